package mem

import (
	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/verify/facts"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file judges typed user memory. Any address may be wrong, so every load
// may fault; the type says only which fields there are.

func (l *Layout) user(base *state.Reg, q Query, r *Result) fault.Fault {
	r.Region, r.Faults = facts.UserPtr, true
	t := l.Types.At(base.Type)
	bad := fault.TypeField{Reg: q.Base, Type: l.Types.Name(base.Type), Off: int64(base.Off) + int64(q.Off), Size: int64(q.Size)}
	switch {
	case q.Atomic:
		return fault.AtomicTarget{Reg: q.Base, Kind: base.Describe()}
	case q.Write:
		bad.Reason = fault.FieldWrite
		return bad
	case !base.Val.IsConst() || base.Val.Value() != 0:
		return fault.PointerOffset{Reg: q.Base, Kind: base.Describe(), Off: base.Span(0), Variable: true}
	case bad.Off < 0:
		bad.Reason = fault.FieldNegative
		return bad
	}
	p, reason := userField(t.Type, int(bad.Off), q.Size)
	if reason != 0 {
		bad.Reason = reason
		return bad
	}
	if p == nil {
		return nil
	}
	target, _ := pointee(p)
	switch target.(type) {
	case nil, *btf.Void, *btf.FuncProto, *btf.Fwd:
		return nil
	}
	v := state.Pointer(state.User)
	v.Type = l.Types.ID(t.Space, target)
	r.Value = v
	return nil
}

// userField finds the pointer at off of typ, of any type; nil for a number.
func userField(typ btf.Type, off, size int) (*btf.Pointer, fault.FieldReason) {
	for range 16 {
		switch v := state.Strip(typ).(type) {
		case *btf.Struct, *btf.Union:
			f, reason := find(v, off, size)
			if reason == 0 && f.crosses {
				reason = fault.FieldPartial
			}
			return f.pointer, reason
		case *btf.Array:
			n, err := btf.Sizeof(v.Type)
			if err != nil || n == 0 || (v.Nelems != 0 && off+size > n*int(v.Nelems)) {
				return nil, fault.FieldBeyond
			}
			typ, off = v.Type, off%n
		case *btf.Pointer:
			if off != 0 || size != 8 {
				return nil, fault.FieldPartial
			}
			return v, 0
		case *btf.Int, *btf.Enum, *btf.Float:
			n, err := btf.Sizeof(v)
			if err != nil || off+size > n {
				return nil, fault.FieldBeyond
			}
			return nil, 0
		default:
			return nil, fault.FieldNoStruct
		}
	}
	return nil, fault.FieldNone
}
