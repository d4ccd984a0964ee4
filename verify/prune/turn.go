package prune

import (
	"github.com/gtrace-dev/gtrace/verify/scalar"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file treats loops that no count ends. A path of such a loop ends at a
// state whose own paths are not all finished: what matters for that state is
// known only when they are, and then has to be told to the path.

// round is the walk of one strongly connected part while paths in it wait so.
type round struct {
	place place
	// entry is the first state that was kept in it; its end is that of the round.
	entry *Checkpoint
	waits []wait
	// closed are the states whose paths are finished but whose steps the waiting paths go through.
	closed []*Checkpoint
}

// wait is a path that ended at a state that is not finished.
type wait struct {
	at   *Checkpoint
	path Path
}

// place is a strongly connected part as walked from one chain of calls.
type place struct {
	frame, ring int
	of          *state.State // has the chain of calls
}

// placeOf is the outermost part that s is in, before insn. frame is -1: none.
func (t *Table) placeOf(s *state.State, insn int) place {
	for i := range s.Depth() {
		at := insn
		if i+1 < s.Depth() {
			at = s.Frame(i + 1).CallSite
		}
		if r := t.g.Ring[at]; r != 0 {
			return place{i, int(r), s}
		}
	}
	return place{frame: -1}
}

func (p place) same(o place) bool {
	if p.frame != o.frame || p.ring != o.ring {
		return false
	}
	for i := 1; i <= p.frame; i++ {
		if p.of.Frame(i).CallSite != o.of.Frame(i).CallSite {
			return false
		}
	}
	return true
}

// roundOf is the round with waiting paths that c belongs to, or nil.
func (t *Table) roundOf(c *Checkpoint) *round {
	if len(t.rounds) == 0 {
		return nil
	}
	at := t.placeOf(c.state, c.insn)
	if at.frame < 0 {
		return nil
	}
	for _, r := range t.rounds {
		if r.place.same(at) {
			return r
		}
	}
	return nil
}

// unfinished reports whether more may be found to matter for c, although its paths are finished.
func (t *Table) unfinished(c *Checkpoint) bool { return t.roundOf(c) != nil }

// turnBack lets path p, which ends at c, wait until all is known of c.
func (t *Table) turnBack(c *Checkpoint, p *Path) {
	r := t.roundOf(c)
	if r == nil {
		r = &round{place: t.placeOf(c.state, c.insn), entry: c}
		for e := p.last; e != nil; e = e.parent {
			if t.placeOf(e.state, e.insn).same(r.place) {
				r.entry = e
			}
		}
		t.rounds = append(t.rounds, r)
	}
	r.waits = append(r.waits, wait{c, *p})
}

// closes reports whether c, whose paths are finished, still is of use to a round.
func (t *Table) closes(c *Checkpoint) bool {
	for i := len(t.rounds) - 1; i >= 0; i-- {
		r := t.rounds[i]
		if r.entry != c {
			continue
		}
		t.settle(r)
		t.rounds = append(t.rounds[:i], t.rounds[i+1:]...)
		if len(t.rounds) == 0 {
			for _, d := range r.closed {
				d.forget()
			}
			return false
		}
		t.rounds[0].closed = append(t.rounds[0].closed, r.closed...)
	}
	if len(t.rounds) == 0 {
		return false
	}
	t.rounds[0].closed = append(t.rounds[0].closed, c)
	return true
}

// settle tells the waiting paths what matters, until nothing new comes.
func (t *Table) settle(r *round) {
	for again := true; again; {
		again = false
		for _, w := range r.waits {
			copy(t.fresh(), w.at.precise)
			again = w.path.back(t.need) || again
		}
	}
}

// Widen forgets the numbers in s, which is to begin another turn at insn, that
// differ from those of the turn before and that no verdict rests on.
func (p *Path) Widen(insn int, s *state.State) {
	c := p.last
	if c != nil && c.insn == insn && len(p.log) == 0 {
		c = c.parent // the state of this turn itself
	}
	for c != nil && !(c.insn == insn && sameCalls(c.state, s)) {
		c = c.parent
	}
	if c == nil {
		return
	}
	for i := range s.Depth() {
		old := c.state.Frame(i)
		for r := range state.NumRegs {
			if v := s.Frame(i).Regs[r]; !c.precise[i].regs.Has(regOf(r)) && changed(&old.Regs[r], &v) {
				s.Edit(i).Regs[r] = state.Number(scalar.Unknown)
			}
		}
		for j := range min(len(old.Slots), len(s.Frame(i).Slots)) {
			was, n := old.Slots[j].Spilled()
			is, k := s.Frame(i).Slots[j].Spilled()
			if was != nil && is != nil && n == 8 && k == 8 && !c.precise[i].slots.Has(j) && changed(was, is) {
				v := state.Number(scalar.Unknown)
				s.Edit(i).Slots[j].Reg = &v
			}
		}
	}
}

func changed(old, cur *state.Reg) bool {
	return old.Kind == state.Scalar && cur.Kind == state.Scalar && (old.Val != cur.Val || (old.ID != 0) != (cur.ID != 0))
}

// sameCalls reports whether the frames of both were made by the same calls.
func sameCalls(a, b *state.State) bool {
	if a.Depth() != b.Depth() {
		return false
	}
	for i := 1; i < a.Depth(); i++ {
		if a.Frame(i).CallSite != b.Frame(i).CallSite {
			return false
		}
	}
	return true
}
