// Package mem judges accesses to memory, one file per region: stack, context,
// map values, records and sized memory, typed kernel memory, typed user memory.
package mem

import (
	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify/facts"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/scalar"
	"github.com/gtrace-dev/gtrace/verify/state"
	"github.com/gtrace-dev/gtrace/verify/tnum"
)

// Layout describes the memory that one program can reach. It does not change.
type Layout struct {
	Maps []*object.Map // the image's, and behind them the templates of maps within maps
	// Inner is for each of Maps the index of its template in Maps, or -1.
	Inner []int32
	// Special are for each of Maps the special fields of its values.
	Special [][]Special
	Context *abi.Context
	Packet  abi.PacketRights
	// Strict: all accesses must be aligned.
	Strict bool
	Target *Target // types the slots of a context with BTFArgs
	Types  *state.Types
	// UninitStack: stack that was never written may be read. PointerLeaks:
	// pointers may be stored anywhere. BPF: all of the context may be accessed (abi.Privileges).
	UninitStack, PointerLeaks, BPF bool
	// Version is the target's.
	Version abi.Version
	// GPL: the program may look into typed kernel memory.
	GPL bool
	// Writes are the members of kernel structs that the program may write to.
	Writes map[string][]string
	// Sleepable: the program may sleep; RCUType tells of which structs RCU keeps referenced objects alive.
	Sleepable bool
	RCUType   func(name string) bool
	// MapFields: the program may look into the kernel's structure of a map.
	MapFields bool
	// KernelStruct finds a struct of the target kernel's types.
	KernelStruct func(name string) (btf.Type, error)
	// KernelType is the target kernel's type with this number.
	KernelType func(id uint32) (btf.Type, error)
}

// Query is one load or store.
type Query struct {
	Base   isa.Reg // register with the address
	Off    int     // in the instruction
	Size   int     // bytes
	Write  bool
	Signed bool       // load: sign-extend
	Value  *state.Reg // store: the value; nil for a number that is not known
	Atomic bool
}

// Result says what an access touched and, for a load, what it gave.
type Result struct {
	Value  state.Reg
	Region facts.Region
	Faults bool
	Map    int // index in Maps, or -1
	// Stack: the frame, and the lowest and highest byte as offsets from its frame pointer.
	Frame, Lo, Hi int
}

const maxVar = 1 << 29 // the most a pointer may move

// Access judges q and carries stores to the stack out.
func (l *Layout) Access(s *state.State, q Query) (Result, fault.Fault) {
	base := s.Reg(q.Base)
	if f := Followable(base, q.Base, q.Write); f != nil {
		return Result{}, f
	}
	if q.Atomic && base.Kind.InPacket() { // however it is aligned
		return Result{}, fault.AtomicTarget{Reg: q.Base, Kind: base.Describe()}
	}
	if f := l.aligned(base, q); f != nil {
		return Result{}, f
	}
	if f := l.tells(base, q); f != nil {
		return Result{}, f
	}
	r := Result{Map: -1, Value: state.Number(scalar.Unknown)}
	var f fault.Fault
	switch base.Kind {
	case state.Stack:
		f = l.stack(s, base, q, &r)
	case state.Ctx:
		f = l.ctx(base, q, &r)
	case state.MapValue:
		f = l.mapValue(s, base, q, &r)
	case state.MapPtr:
		f = l.mapFields(base, q, &r)
	case state.MapKey:
		f = l.mapKey(base, q, &r)
	case state.RingRecord, state.Mem:
		f = sized(base, q, &r)
	case state.BTF:
		f = l.kernel(s, base, q, &r)
	case state.User:
		f = l.user(base, q, &r)
	case state.Sock, state.SockCommon, state.TCPSock, state.XDPSock:
		f = socket(base, q, &r)
	case state.Packet, state.PacketMeta:
		f = l.packet(base, q, &r)
	case state.FlowKeys:
		f = flowKeys(base, q, &r)
	case state.TPBuffer, state.Buffer:
		f = buffer(base, q, &r)
	default:
		f = fault.InvalidDeref{Reg: q.Base, Kind: base.Describe(), Write: q.Write}
	}
	if f == nil && !q.Write {
		r.Value = narrow(r.Value, q)
	}
	return r, f
}

// Followable says why memory can't be accessed through base, whatever the offset.
func Followable(base *state.Reg, reg isa.Reg, write bool) fault.Fault {
	switch {
	case base.Kind == state.Uninit:
		return fault.UninitRegister{Reg: reg}
	case base.Kind == state.Scalar:
		return fault.ScalarDeref{Reg: reg, Write: write}
	case base.Nullable:
		return fault.NullableDeref{Reg: reg, Kind: base.Kind.String()}
	case base.Kind == state.PacketEnd, base.Kind == state.Func:
		return fault.InvalidDeref{Reg: reg, Kind: base.Describe(), Write: write}
	}
	return nil
}

// aligned requires that accesses to the stack, and atomic ones, are aligned; all, where the target or the program says so.
func (l *Layout) aligned(base *state.Reg, q Query) fault.Fault {
	if base.Kind != state.Stack && !q.Atomic && !l.Strict {
		return nil
	}
	off := int64(base.Off) + int64(q.Off)
	if base.Kind.InPacket() {
		off += abi.NetIPAlign
	}
	at := base.Val.Bits.Add(tnum.Const(uint64(off)))
	if (at.Value|at.Mask)&uint64(q.Size-1) == 0 {
		return nil
	}
	return fault.Misaligned{Reg: q.Base, Kind: base.Describe(), Off: base.Span(int64(q.Off)), Size: int64(q.Size), Packet: base.Kind.InPacket()}
}

// narrow makes the loaded value as wide as the load.
func narrow(v state.Reg, q Query) state.Reg {
	if v.Kind != state.Scalar || q.Size == 8 {
		return v
	}
	old := v.Val
	if q.Signed {
		v.Val = v.Val.SignExtend(q.Size)
	} else {
		v.Val = v.Val.Truncate(q.Size)
	}
	if v.Val != old {
		v.Untie()
	}
	return v
}

// within judges an access of size bytes at base+off against a region of have
// bytes. beyond makes the fault for an access outside.
func within(base *state.Reg, reg isa.Reg, off, size int, have int64, beyond func(at fault.Span) fault.Fault) fault.Fault {
	fixed := int64(off) + int64(base.Off)
	lo := base.Val.SMin
	span := base.Span(int64(off))
	if lo < 0 && (lo == -1<<63 || fixed+lo != int64(int32(fixed+lo)) || fixed+lo < 0) {
		if base.Val.IsConst() {
			return beyond(span)
		}
		return fault.UnboundedAccess{Reg: reg, Kind: base.Describe(), Off: span, Low: true}
	}
	if at := fixed + lo; at < 0 || at+int64(size) > have {
		return beyond(span)
	}
	if base.Val.UMax >= maxVar {
		return fault.UnboundedAccess{Reg: reg, Kind: base.Describe(), Off: span}
	}
	if at := fixed + int64(base.Val.UMax); at < 0 || at+int64(size) > have {
		return beyond(span)
	}
	return nil
}

// sized judges records of a ring buffer and other memory of known size.
func sized(base *state.Reg, q Query, r *Result) fault.Fault {
	r.Region = facts.Mem
	if base.Kind == state.RingRecord {
		r.Region = facts.RingRecord
	}
	if q.Write && base.ReadOnly {
		return fault.ReadOnly{Reg: q.Base, Kind: base.Describe()}
	}
	if base.Trust == state.Untrusted { // any address: loads are protected
		r.Faults = true
		return nil
	}
	return within(base, q.Base, q.Off, q.Size, int64(base.Size), func(at fault.Span) fault.Fault {
		return fault.MemBounds{Reg: q.Base, Kind: base.Describe(), MemSize: int64(base.Size), Off: at, Size: int64(q.Size)}
	})
}
