package mem

import (
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file judges what memory would tell an unprivileged user.

// tells says why an access would let an address out.
func (l *Layout) tells(base *state.Reg, q Query) fault.Fault {
	if l.PointerLeaks {
		return nil
	}
	switch base.Kind {
	case state.Stack:
	case state.MapPtr, state.BTF:
		return fault.PrivilegedOnly{What: "loads from kernel memory", Capability: "CAP_PERFMON"}
	default:
		if q.Write && q.Value != nil && q.Value.Kind.Pointer() {
			return fault.PointerLeak{Reg: q.Base, Kind: q.Value.Describe(), Reason: fault.LeakStore}
		}
	}
	return nil
}

// wholePointers requires that a store of size bytes at off overwrites a stored pointer whole.
func (l *Layout) wholePointers(s *state.State, frame, off, size int, reg isa.Reg) fault.Fault {
	if l.PointerLeaks || size == state.SlotSize {
		return nil
	}
	slot := s.Frame(frame).SlotAt(off)
	if slot == nil {
		return nil
	}
	if p, _ := slot.Spilled(); p != nil && p.Kind.Pointer() {
		return fault.PointerLeak{Reg: reg, Kind: p.Describe(), Reason: fault.LeakOverwrite}
	}
	return nil
}

// Inside reports whether p, a pointer to a map's value, points into it.
func (l *Layout) Inside(p *state.Reg) bool {
	return valueBounds(l.Maps[p.Map], p, isa.R0, 0, 1) == nil
}
