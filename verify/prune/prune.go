// Package prune ends paths whose state was already judged: it keeps states at
// the heads of blocks, compares new ones with them, and finds loops that come
// back in the same state.
//
// # Loops that no count ends
//
// Where an instruction makes a program go round until nothing new comes
// (cfg.Turn: may_goto, steps of iterators, calls with callbacks), a state is
// kept on every turn, and a turn ends where its state lies within one of an
// earlier turn. What a walk has to do for such an instruction:
//
//   - name it by cfg.Rules.Turn, so that a state is kept before it;
//   - say in Rules.Converges when a turn may end so (the iterator has given an
//     element; the depth of may_goto grew), and in Rules.Unrolls whether two
//     equal states are two turns and no endless loop;
//   - for the state of another turn call Path.Widen, which forgets the numbers
//     that changed since the last turn and that no verdict rests on: without
//     it a counter in the loop is new on every turn.
package prune

import (
	"slices"

	"github.com/gtrace-dev/gtrace/verify/cfg"
	"github.com/gtrace-dev/gtrace/verify/live"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// Decision is what to do at an instruction.
type Decision uint8

const (
	Go     Decision = iota // walk on
	Done                   // a state that covers this one was judged
	Cycles                 // the path came back to the same state
)

// Rules are what only the walk knows of states. Functions may be nil.
type Rules struct {
	// Converges reports whether the path from the kept state old, which is not
	// finished, may end at cur, which lies within it. Asked where cfg.Turn is.
	Converges func(turn cfg.Turn, old, cur *state.State) bool
	// Unrolls reports whether equal states differ in how far such a loop went.
	Unrolls func(old, cur *state.State) bool
	// Off: Visit is not called, and paths need no log.
	Off bool
	// UninitStack: stack that was never written may be read.
	UninitStack bool
}

// Table keeps the checkpoints of one program.
type Table struct {
	g     *cfg.Graph
	live  *live.Table
	stack *live.Stack
	rules Rules
	at    [][]*Checkpoint
	ids   idMap
	lone  uint32 // the last id given to a number without one, from the top down
	// What was walked on all paths, and what when the last state was kept.
	insns, jumps         int
	keptInsns, keptJumps int
	rounds               []*round
	need                 marks    // scratch
	seen                 []uint32 // scratch
	entries              uint32   // paths that began on their own
	// Kept counts the states that were kept.
	Kept int
	// ExactNumbers: a number covers no other one. For programs whose arithmetic
	// the kernel bounds by what it saw on the path.
	ExactNumbers bool
}

// New makes a table for g.
func New(g *cfg.Graph, l *live.Table, stack *live.Stack, rules Rules) *Table {
	return &Table{g: g, live: l, stack: stack, rules: rules, at: make([][]*Checkpoint, len(g.Insns)), need: newMarks(maxFrames)}
}

// Tick notes that an instruction is walked.
func (t *Table) Tick() { t.insns++ }

// Figures of the kernel, by which it keeps states (LPC 2019, "BPF verifier
// scalability", and the messages of the changes that brought them).
const (
	keepJumps   = 2  // and as many jumps
	keepInsns   = 8  // and as many instructions after the last one, a state is kept
	loopJumps   = 20 // in a loop: so many jumps
	loopInsns   = 100
	keepHistory = 40 // always, after so many steps that tracing a value back needs
	keepMisses  = 3  // so often a state may be compared in vain, for each time that it ended a path
	turnMisses  = 64 // and so often in a loop that no count ends
)

// Reset forgets all states: another function is walked.
func (t *Table) Reset() { clear(t.at) }

// Visit decides about state s before instruction insn, and may keep it.
func (t *Table) Visit(insn int, s *state.State, p *Path) Decision {
	force := t.g.Turn[insn] != cfg.NoTurn || p.history > keepHistory
	add := force || (t.jumps-t.keptJumps >= keepJumps && t.insns-t.keptInsns >= keepInsns)
	all := t.at[insn]
	gone := false
	for i := len(all) - 1; i >= 0; i-- { // the newest first
		c := all[i]
		if c.state.Top().CallSite != s.Top().CallSite {
			continue // kept for another call, and not to be held against it
		}
		decision := t.compare(c, s, p)
		switch {
		case decision != Go:
			if gone {
				t.at[insn] = compact(all)
			}
			if decision == Done {
				c.hits++
				t.join(c, p)
			}
			return decision
		case c.open > 0 && !force && t.jumps-t.keptJumps < loopJumps && t.insns-t.keptInsns < loopInsns:
			add = false // a loop: not every turn is worth keeping
		}
		if add {
			c.misses++
		}
		n := keepMisses
		if t.g.Turn[insn] != cfg.NoTurn && c.open > 0 {
			n = turnMisses
		}
		if c.misses > n*c.hits+n { // not worth its comparisons
			all[i], gone = nil, true
		}
	}
	if gone {
		t.at[insn] = compact(all)
	}
	if add {
		t.keep(insn, s, p)
	}
	return Go
}

// compare says what s coming to the kept state c means.
func (t *Table) compare(c *Checkpoint, s *state.State, p *Path) Decision {
	if c.open == 0 {
		m := covers
		if t.unfinished(c) {
			m = within
		} else {
			t.know(c)
		}
		if t.equal(c, s, m) {
			return Done
		}
		return Go
	}
	if c.entry != p.entry {
		// The function is walked on its own once more, before all that follows
		// the first time is known: whatever it does then, it does from c too.
		if t.equal(c, s, within) {
			return Done
		}
		return Go
	}
	switch turn := t.g.Turn[c.insn]; turn {
	case cfg.IterNext, cfg.CallsBack, cfg.MayGoto:
		if t.rules.Converges != nil && t.equal(c, s, within) && t.rules.Converges(turn, c.state, s) {
			return Done
		}
		if turn != cfg.MayGoto {
			return Go
		}
	}
	if t.equal(c, s, exact) && (t.rules.Unrolls == nil || !t.rules.Unrolls(c.state, s)) {
		return Cycles
	}
	return Go
}

// join ends path p at c: what mattered for c matters for p.
func (t *Table) join(c *Checkpoint, p *Path) {
	if c.open > 0 && c.entry != p.entry { // what matters for c may not be known yet: all of it may
		need := t.fresh()
		for i := range c.state.Depth() {
			need[i] = mark{regs: allRegs, slots: ^live.Slots(0)}
		}
		p.back(need)
		return
	}
	copy(t.fresh(), c.precise)
	p.back(t.need)
	if c.open > 0 || t.unfinished(c) {
		t.turnBack(c, p)
	}
}

// fresh is marks of nothing, to be used before the next call.
func (t *Table) fresh() marks {
	clear(t.need)
	return t.need
}

func compact(all []*Checkpoint) []*Checkpoint {
	kept := all[:0]
	for _, c := range all {
		if c != nil {
			kept = append(kept, c)
		}
	}
	clear(all[len(kept):])
	return kept
}

func (t *Table) keep(insn int, s *state.State, p *Path) {
	t.dropSingleIDs(s)
	c := &Checkpoint{state: s.Clone(), insn: insn, entry: p.entry, parent: p.last, open: 1, log: trim(p.log)}
	c.precise = newMarks(s.Depth())
	t.at[insn] = append(t.at[insn], c)
	t.Kept++
	t.keptInsns, t.keptJumps = t.insns, t.jumps
	p.last, p.log, p.history = c, nil, 0
}

// dropSingleIDs takes their ids from scalars that nothing is linked to.
func (t *Table) dropSingleIDs(s *state.State) {
	t.seen = t.seen[:0]
	s.SharedIDs(func(id uint32) { t.seen = append(t.seen, id) })
	slices.Sort(t.seen)
	once := t.seen[:0]
	for i := 0; i < len(t.seen); {
		id, n := t.seen[i], 1
		for i+n < len(t.seen) && t.seen[i+n] == id {
			n++
		}
		if i += n; n == 1 {
			once = append(once, id)
		}
	}
	if len(once) > 0 {
		s.Unlink(func(id uint32) bool {
			_, found := slices.BinarySearch(once, id)
			return found
		})
	}
}
