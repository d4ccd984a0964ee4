package mem

import (
	"fmt"

	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/scalar"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file judges the arguments that a program gets from what it is attached
// to: slots of eight bytes, typed by the target's prototype.

// Target is what a program with typed arguments is attached to.
type Target struct {
	Proto *btf.FuncProto
	// Notes say of the arguments what their types do not; there may be fewer of them.
	Notes []abi.ArgNote
	Trust state.Trust // of pointers without a note
	// Result: behind the arguments is a slot with what the target returned.
	Result Result0
	// ResultRange is what the number there can be; nil: anything.
	ResultRange *scalar.S
	// From, To: pointers to kernel struct From are pointers to To; "" for none.
	From, To string
	// Writable are the parts of kernel structs that the program may write.
	Writable []Part
}

// Part is a part of a kernel struct.
type Part struct {
	Struct string
	Lo, Hi int64 // bytes; Hi is behind the last
}

// mayWrite reports whether the program may write size bytes at off of typ.
func (t *Target) mayWrite(typ btf.Type, off, size int64) bool {
	for i := range t.Writable {
		if p := &t.Writable[i]; p.Lo <= off && off+size <= p.Hi && p.Struct == structName(typ) {
			return true
		}
	}
	return false
}

// Result0 says what may be read of the target's return value.
type Result0 uint8

const (
	NoResult  Result0 = iota
	AnyResult         // a number or a typed pointer (fexit, lsm)
	IntResult         // a number (fmod_ret)
)

// argument loads an argument of the attach target.
func (l *Layout) argument(q Query, r *Result, bad fault.CtxAccess) fault.Fault {
	if q.Off < 0 || q.Off%8 != 0 || q.Size > 8 || q.Off+q.Size > l.Context.Size {
		return bad
	}
	t := l.Target
	if t == nil {
		return fault.Unsupported{What: "typed arguments without the attach target's prototype"}
	}
	n, slots := slotArgument(t.Proto, q.Off/8)
	note := abi.ArgAsTyped
	var typ btf.Type
	switch {
	case n >= 0:
		typ = t.Proto.Params[n].Type
		if n < len(t.Notes) {
			note = t.Notes[n]
		}
	case t.Result == NoResult || q.Off/8 != slots:
		return bad
	default:
		typ = t.Proto.Return
	}
	p, ok := state.Strip(typ).(*btf.Pointer)
	if n < 0 && t.Result == IntResult && ok {
		return bad
	}
	if n < 0 && t.ResultRange != nil && !ok {
		r.Value = state.Number(*t.ResultRange)
	}
	if !ok {
		return number(state.Strip(typ), bad)
	}
	if q.Size != 8 {
		return bad
	}
	trust := t.Trust
	if n < 0 {
		trust = state.Legacy
	}
	return l.pointerArgument(p, note, trust, r, bad)
}

// pointerArgument makes the value of an argument that is a pointer.
func (l *Layout) pointerArgument(p *btf.Pointer, note abi.ArgNote, trust state.Trust, r *Result, bad fault.CtxAccess) fault.Fault {
	switch note {
	case abi.ArgBufferOrNull, abi.ArgReadBufferOrNull:
		r.Value = state.Pointer(state.Buffer)
		r.Value.Nullable, r.Value.ReadOnly = true, note == abi.ArgReadBufferOrNull
		return nil
	case abi.ArgReference:
		return fault.Unsupported{What: "arguments that are references"}
	}
	target, tag := pointee(p)
	switch v := target.(type) {
	case *btf.Struct:
		if l.Target.From != "" && v.Name == l.Target.From {
			to, err := l.KernelStruct(l.Target.To)
			if err != nil {
				return fault.Unsupported{What: fmt.Sprintf("arguments that are pointers to struct %s: %v", l.Target.To, err)}
			}
			target = to
		}
	case *btf.Union:
	case nil, *btf.Void, *btf.Int:
		return nil // a number
	default:
		return bad
	}
	v := state.Pointer(state.BTF)
	v.Type = l.Types.ID(state.Kernel, target)
	v.Trust, v.Tagged = trust, tag.space
	switch note {
	case abi.ArgMayBeNull:
		v.Nullable = true
	case abi.ArgLegacyOrNull:
		v.Nullable, v.Trust = true, state.Legacy
	}
	r.Value = v
	return nil
}

// number allows a load of an argument that is no pointer.
func number(typ btf.Type, bad fault.CtxAccess) fault.Fault {
	switch typ.(type) {
	case *btf.Int, *btf.Enum, *btf.Struct, *btf.Union:
		return nil
	}
	return bad
}

// slotArgument is the parameter in a slot of the context; -1 behind the last,
// with the number of slots. A struct passed by value may take several slots.
func slotArgument(args *btf.FuncProto, slot int) (n, slots int) {
	for i, p := range args.Params {
		size, err := btf.Sizeof(p.Type)
		if err != nil {
			return -1, 0
		}
		if slots += (size + 7) / 8; slot < slots {
			return i, slots
		}
	}
	return -1, slots
}
