package mem

import (
	"fmt"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/verify/facts"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file judges loads from a map itself, which the kernel types as the
// structure that it keeps a map of this type in.

func (l *Layout) mapFields(base *state.Reg, q Query, r *Result) fault.Fault {
	m := l.Maps[base.Map]
	name := abi.MapStruct(m.Type)
	if !l.MapFields || name == "" {
		return fault.InvalidDeref{Reg: q.Base, Kind: base.Describe(), Write: q.Write}
	}
	r.Region = facts.KernelPtr
	bad := fault.TypeField{Reg: q.Base, Type: "struct " + name, Off: int64(base.Off) + int64(q.Off), Size: int64(q.Size)}
	switch {
	case bad.Off < 0:
		bad.Reason = fault.FieldNegative
		return bad
	case q.Write, q.Atomic:
		bad.Reason = fault.FieldWrite
		return bad
	}
	t, err := l.KernelStruct(name)
	if err != nil {
		return fault.Unsupported{What: fmt.Sprintf("load from map %s: struct %s: %v", m.Name, name, err)}
	}
	f, reason := find(t, int(bad.Off), q.Size)
	if reason != 0 {
		bad.Reason = reason
		return bad
	}
	if f.pointer == nil {
		return nil
	}
	typed := state.Pointer(state.BTF) // as through an old kind of typed pointer
	return l.follow(&typed, f, true, r)
}
