// Package prune ends paths whose state was already judged: it keeps states at
// the heads of blocks, compares new ones with them, and finds loops that come
// back in the same state.
package prune

import (
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

// Checkpoint is a state that was kept.
type Checkpoint struct {
	state  *state.State
	insn   int
	parent *Checkpoint
	// open counts the paths from here that are not finished.
	open int
	// log is the steps from parent to here.
	log     []Step
	precise marks
	hits    int
	misses  int
}

// Path is where a walk is: its last checkpoint and the steps since.
type Path struct {
	last  *Checkpoint
	log   []Step
	steps int // since the last checkpoint
	jumps int

	pending marks // see Settle
}

// Fork is the path for another branch from here.
func (p *Path) Fork() Path {
	if p.last != nil {
		p.last.open++
	}
	q := *p
	q.log = append([]Step(nil), p.log...)
	return q
}

// Log notes a step.
func (p *Path) Log(s Step) {
	p.log = append(p.log, s)
	p.steps++
}

// Jumped notes that the step was a jump.
func (p *Path) Jumped() { p.jumps++ }

// End notes that the path is finished.
func (p *Path) End() {
	for c := p.last; c != nil; {
		c.open--
		if c.open > 0 {
			return
		}
		c.log, c.parent, c = nil, nil, c.parent
	}
}

func trim(l []Step) []Step { return l[:len(l):len(l)] }

// LoopHead finds where the loop that came back to insn begins.
func (p *Path) LoopHead(g *cfg.Graph, insn int) int {
	log := p.log
	for c := p.last; ; c = c.parent {
		for i := len(log) - 1; i >= 0; i-- {
			at := int(log[i].Insn)
			if g.Loop[at] || at == insn {
				return at
			}
		}
		if c == nil {
			return insn
		}
		log = c.log
	}
}

// Table keeps the checkpoints of one program.
type Table struct {
	g    *cfg.Graph
	live *live.Table
	at   [][]*Checkpoint
	ids  idMap
	// Kept counts the states that were kept.
	Kept int
}

// New makes a table for g.
func New(g *cfg.Graph, l *live.Table) *Table {
	return &Table{g: g, live: l, at: make([][]*Checkpoint, len(g.Insns))}
}

// keepMisses is how often a state may be compared in vain, for each time that it ended a path.
const keepMisses = 3

// Visit decides about state s before instruction insn, and may keep it.
func (t *Table) Visit(insn int, s *state.State, p *Path) Decision {
	loop := t.g.Loop[insn]
	add := p.last == nil || (p.jumps >= 2 && p.steps >= 8) || p.steps >= 64
	kept := t.at[insn][:0]
	decision := Go
	all := t.at[insn]
	for i, c := range all {
		if c.open > 0 {
			if c.state.Depth() == s.Depth() && t.equal(c, s, exact) {
				return Cycles
			}
			if loop && p.jumps < 20 && p.steps < 100 {
				add = false // a loop: not every turn is worth keeping
			}
			if c.misses++; c.misses <= keepMisses {
				kept = append(kept, c)
			}
			continue
		}
		if t.equal(c, s, covers) {
			c.hits++
			kept = append(kept, all[i:]...)
			decision = Done
			p.inherit(c, s)
			break
		}
		c.misses++
		if c.misses > keepMisses*(c.hits+1) {
			continue // not worth its comparisons
		}
		kept = append(kept, c)
	}
	for i := len(kept); i < len(all); i++ {
		all[i] = nil
	}
	t.at[insn] = kept
	if decision == Go && add {
		t.keep(insn, s, p)
	}
	return decision
}

func (t *Table) keep(insn int, s *state.State, p *Path) {
	dropSingleIDs(s)
	c := &Checkpoint{state: s.Clone(), insn: insn, parent: p.last, open: 1, log: trim(p.log)}
	c.precise = newMarks(s.Depth())
	t.at[insn] = append(t.at[insn], c)
	t.Kept++
	p.last, p.log, p.steps, p.jumps = c, nil, 0, 0
}

// dropSingleIDs takes their ids from scalars that nothing is linked to.
func dropSingleIDs(s *state.State) {
	var once, more []uint32
	s.SharedIDs(func(id uint32) {
		switch {
		case contains(more, id):
		case contains(once, id):
			more = append(more, id)
		default:
			once = append(once, id)
		}
	})
	for _, id := range once {
		if !contains(more, id) {
			s.Unlink(id)
		}
	}
}

func contains(l []uint32, id uint32) bool {
	for _, v := range l {
		if v == id {
			return true
		}
	}
	return false
}
