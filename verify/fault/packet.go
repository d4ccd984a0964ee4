package fault

import (
	"fmt"

	"github.com/gtrace-dev/gtrace/isa"
)

// This file defines the faults of access to packets.

// PacketBounds is an access to a packet that no comparison shows to be inside.
type PacketBounds struct {
	mark
	Reg   isa.Reg
	Kind  string
	Off   int64 // from the pointer's base: behind what was added to it last that is no constant
	Size  int64
	Need  int64 // Off+Size, from where Reg points
	Known int64 // bytes from the base on that are known to be there
	// Variable: the base is not the packet's start; Meta: metadata, which ends where
	// the packet starts; AtEnd: the pointer is known to be at the packet's end or behind.
	Variable, Meta, AtEnd bool
}

func (PacketBounds) Code() string { return "packet-bounds" }
func (f PacketBounds) String() string {
	what := fmt.Sprintf("access of %s through %s at offset %d of the packet", bytes(f.Size), reg(f.Reg), f.Off)
	end := "data_end"
	if f.Meta {
		what = fmt.Sprintf("access of %s through %s at offset %d of the packet's metadata", bytes(f.Size), reg(f.Reg), f.Off)
		end = "data"
	}
	if f.Variable {
		what += ", counted from where a variable offset leads"
	}
	need := fmt.Sprintf("go on only where %s + %d is not above %s", reg(f.Reg), f.Need, end)
	switch {
	case f.Off < 0:
		return fmt.Sprintf("%s: nothing is known to be there; load the start of the data again", what)
	case f.AtEnd:
		return fmt.Sprintf("%s: here %s is known to be at or behind %s; the access belongs on the other branch of that comparison", what, reg(f.Reg), end)
	case f.Known > 0:
		return fmt.Sprintf("%s: only %s are known to be before %s: %s", what, bytes(f.Known), end, need)
	case f.Variable:
		return fmt.Sprintf("%s: no comparison with %s since that was added: %s", what, end, need)
	}
	return fmt.Sprintf("%s: no comparison with %s on the way here: %s", what, end, need)
}

// LegacyReason says why LD_ABS or LD_IND is not possible.
type LegacyReason uint8

const (
	LegacyProgram LegacyReason = 1 + iota // in programs of this type
	LegacyContext                         // r6 is not the context
	LegacyReturn                          // in functions that return no int
)

// LegacyLoad is a load from the packet by an instruction of classic BPF where it can't be.
type LegacyLoad struct {
	mark
	Reason  LegacyReason
	Program string // LegacyProgram: the type; LegacyReturn: the function
	Found   string // LegacyContext: what r6 is
}

func (LegacyLoad) Code() string { return "legacy-load" }
func (f LegacyLoad) String() string {
	switch f.Reason {
	case LegacyContext:
		return fmt.Sprintf("a load by LD_ABS or LD_IND needs the context in r6, which is %s: copy r1 to r6 where the program begins", article(f.Found))
	case LegacyReturn:
		return fmt.Sprintf("a load by LD_ABS or LD_IND in function %s: it may return 0 at once, so BTF must say that the function returns int", f.Program)
	}
	return fmt.Sprintf("%s programs can't load from the packet by LD_ABS and LD_IND: use the context's data, or bpf_skb_load_bytes", f.Program)
}

// PacketArgument is a packet pointer as an argument of a call that does not take one.
type PacketArgument struct {
	mark
	Func    string
	Arg     int
	Reg     isa.Reg
	Program string // the program's type, if it is that which does not allow it
}

func (PacketArgument) Code() string { return "packet-argument" }
func (f PacketArgument) String() string {
	who := f.Func + " can't access packet data"
	if f.Program != "" {
		who = fmt.Sprintf("%s programs can't let helpers access packet data", f.Program)
	}
	return fmt.Sprintf("argument %d of %s (%s) is a packet pointer, but %s: copy the bytes to the stack first", f.Arg, f.Func, reg(f.Reg), who)
}
