package prune

import (
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/live"
	"github.com/gtrace-dev/gtrace/verify/scalar"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file compares states.

type mode uint8

const (
	covers mode = iota // every concrete state of the new one is one of the old, as far as it mattered
	within             // the same, whatever mattered: that is not known yet
	exact              // both are the same
)

// idMap pairs the ids of two states.
type idMap []struct{ old, new uint32 }

func (m *idMap) match(a, b uint32) bool {
	if (a == 0) != (b == 0) {
		return false
	}
	if a == 0 {
		return true
	}
	for _, p := range *m {
		if p.old == a || p.new == b {
			return p.old == a && p.new == b
		}
	}
	*m = append(*m, struct{ old, new uint32 }{a, b})
	return true
}

// equal compares what is live in the kept state c with s.
func (t *Table) equal(c *Checkpoint, s *state.State, m mode) bool {
	old := c.state
	if old.Depth() != s.Depth() || old.Speculative && !s.Speculative {
		return false
	}
	t.ids, t.lone = t.ids[:0], 0
	for i := s.Depth() - 1; i >= 0; i-- {
		a, b := old.Frame(i), s.Frame(i)
		if a == b && c.precise == nil {
			continue
		}
		if a.CallSite != b.CallSite || a.Sub != b.Sub || a.Turns > b.Turns {
			return false
		}
		regs, slots := t.liveIn(c, i)
		if !t.regsEqual(a, b, regs, c.precise[i].regs, m) || !t.slotsEqual(a, b, slots, c.precise[i].slots, m) {
			return false
		}
	}
	if len(old.Refs()) != len(s.Refs()) || !t.regionsEqual(&old.Regions, &s.Regions) {
		return false
	}
	for i, r := range old.Refs() {
		if !t.ids.match(r.ID, s.Refs()[i].ID) {
			return false
		}
	}
	return true
}

// liveIn is what frame i of c still needs.
func (t *Table) liveIn(c *Checkpoint, i int) (live.Regs, live.Slots) {
	slots := ^live.Slots(0)
	if c.slots != nil {
		slots = c.slots[i]
	}
	return t.regsIn(c.state, i, c.insn), slots
}

// regsIn are the registers of frame i that s, before insn, still needs.
func (t *Table) regsIn(s *state.State, i, insn int) live.Regs {
	if i == s.Depth()-1 {
		return t.live.RegsAt(insn)
	}
	at := s.Frame(i + 1).CallSite
	behind := t.live.RegsAt(at+1) &^ 0b111111
	if t.g.Insns[at].Src != isa.CallLocal { // with a callback the call is made again
		behind |= t.live.RegsAt(at)
	}
	return behind
}

// Lives reports whether register r of a frame of s is needed from insn on.
func (t *Table) Lives(s *state.State, insn, frame int, r isa.Reg) bool {
	return t.regsIn(s, frame, insn).Has(r)
}

// know keeps what matters for c, of which all paths were walked.
func (t *Table) know(c *Checkpoint) {
	if c.slots != nil {
		return
	}
	c.slots = make([]live.Slots, c.state.Depth())
	for i := range c.slots {
		c.slots[i] = t.stack.Live(c.state, i, c.insn)
	}
}

func (t *Table) regsEqual(a, b *state.Frame, regs, precise live.Regs, m mode) bool {
	for r := range isa.R10 {
		if regs.Has(r) && !t.regEqual(&a.Regs[r], &b.Regs[r], precise.Has(r), m) {
			return false
		}
	}
	return true
}

func (t *Table) regEqual(a, b *state.Reg, precise bool, m mode) bool {
	if m == exact {
		x, y := *a, *b
		x.ID, y.ID, x.Ref, y.Ref = 0, 0, 0, 0
		return x == y && t.ids.match(a.ID, b.ID) && t.ids.match(a.Ref, b.Ref)
	}
	if a.Kind == state.Uninit {
		return m == covers || b.Kind == state.Uninit
	}
	if a.Kind != b.Kind {
		return false
	}
	if a.Kind == state.Scalar {
		switch {
		case t.ExactNumbers && a.Val != b.Val:
			return false
		case !precise && m == covers:
			return true
		case !b.Val.In(a.Val):
			return false
		case a.ID == 0:
			return true
		}
		id := b.ID
		if id == 0 { // one of its own
			t.lone--
			id = t.lone
		}
		return a.Linked == b.Linked && a.Low == b.Low && a.Off == b.Off && t.ids.match(a.ID, id)
	}
	x, y := *a, *b
	x.ID, y.ID, x.Ref, y.Ref = 0, 0, 0, 0
	switch a.Kind {
	case state.Packet, state.PacketMeta: // what could be accessed then can be now
		if x.Size >= 0 && y.Size > x.Size {
			y.Size = x.Size
		}
		fallthrough
	case state.MapValue, state.MapKey, state.RingRecord, state.Mem:
		if !y.Val.In(x.Val) {
			return false
		}
		x.Val, y.Val = scalar.S{}, scalar.S{}
	}
	return x == y && t.ids.match(a.ID, b.ID) && t.ids.match(a.Ref, b.Ref)
}

func (t *Table) slotsEqual(a, b *state.Frame, slots, precise live.Slots, m mode) bool {
	for i := range max(len(a.Slots), len(b.Slots)) {
		if !slots.Has(i) {
			continue
		}
		var x, y state.Slot
		if i < len(a.Slots) {
			x = a.Slots[i]
		}
		if i < len(b.Slots) {
			y = b.Slots[i]
		}
		if !t.slotEqual(&x, &y, precise.Has(i), m) {
			return false
		}
	}
	return true
}

func (t *Table) slotEqual(x, y *state.Slot, precise bool, m mode) bool {
	if x.Object() != nil || y.Object() != nil {
		return t.objectsEqual(x, y, m)
	}
	p, n := x.Spilled()
	q, k := y.Spilled()
	if m == exact {
		return x.Bytes == y.Bytes && (p == nil || t.regEqual(p, q, true, exact))
	}
	if p != nil && p.Kind.Pointer() {
		return q != nil && n == k && t.regEqual(p, q, precise, m)
	}
	if q != nil && q.Kind.Pointer() {
		// What was a number for the old state may not become a pointer, and
		// what was never written is a number where it may be read.
		return *x == state.Slot{} && (m == within || !t.rules.UninitStack)
	}
	if !precise && m == covers {
		return t.writtenEnough(x, y)
	}
	if p != nil {
		if q != nil && n == k {
			if !t.regEqual(p, q, true, m) {
				return false
			}
		} else if !p.Val.IsUnknown() && !(n < 8 && p.Val == scalar.Bytes(n)) {
			return false
		}
	}
	for i := range x.Bytes {
		if x.Bytes[i] == state.Zero && y.Bytes[i] != state.Zero && !(y.Bytes[i] == state.Spill && q.IsNull()) {
			return false
		}
	}
	return t.writtenEnough(x, y)
}

// writtenEnough: what was written in the old slot is in the new one.
func (t *Table) writtenEnough(x, y *state.Slot) bool {
	if t.rules.UninitStack {
		return true
	}
	for i := range x.Bytes {
		if x.Bytes[i] != state.Invalid && y.Bytes[i] == state.Invalid {
			return false
		}
	}
	return true
}

func regOf(i int) isa.Reg { return isa.Reg(i) }
