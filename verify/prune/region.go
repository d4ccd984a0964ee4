package prune

import "github.com/gtrace-dev/gtrace/verify/state"

// This file compares the regions of two states.

// regionsEqual reports whether both are in the same regions.
func (t *Table) regionsEqual(a, b *state.Regions) bool {
	if a.RCU != b.RCU || a.Preempt != b.Preempt || len(a.Locks) != len(b.Locks) || len(a.IRQs) != len(b.IRQs) {
		return false
	}
	for i, l := range a.Locks {
		m := b.Locks[i]
		if l.Kind != m.Kind || l.Map != m.Map || l.Type != m.Type || !t.ids.match(l.ID, m.ID) {
			return false
		}
	}
	for i, q := range a.IRQs {
		if q.Lock != b.IRQs[i].Lock || !t.ids.match(q.ID, b.IRQs[i].ID) {
			return false
		}
	}
	return true
}

// objectsEqual compares slots of which one at least belongs to an object. How
// many turns an iterator made does not matter: Rules.Unrolls asks for that.
func (t *Table) objectsEqual(x, y *state.Slot, m mode) bool {
	if x.Bytes == [state.SlotSize]state.Byte{} {
		return m == covers
	}
	a, b := x.Object(), y.Object()
	if a == nil || b == nil {
		return false
	}
	return a.Kind == b.Kind && a.Type == b.Type && a.Map == b.Map && a.Size == b.Size && a.Nullable == b.Nullable && a.Trust == b.Trust &&
		t.ids.match(a.Ref, b.Ref) && t.ids.match(a.ID, b.ID)
}
