package prune

import (
	"slices"

	"github.com/gtrace-dev/gtrace/verify/cfg"
	"github.com/gtrace-dev/gtrace/verify/live"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file defines the states that are kept, and the paths between them.

// Checkpoint is a state that was kept.
type Checkpoint struct {
	state  *state.State
	insn   int
	entry  uint32 // of the path, as Path.entry
	parent *Checkpoint
	// open counts the paths from here that are not finished.
	open int
	// log is the steps from parent to here.
	log          []Step
	precise      marks
	hits, misses int
	// slots are, for each frame, those that matter, once all that comes after is known.
	slots []live.Slots
}

// Path is where a walk is: its last checkpoint and the steps since.
type Path struct {
	t    *Table
	last *Checkpoint
	log  []Step
	// history counts the steps that the kernel would have to remember.
	history int
	start   *state.State
	// entry numbers the beginnings: what an open state of another one leads to is no loop.
	entry uint32
}

// Path is a new path that begins in state s: a program's, or that of a function that is walked on its own.
func (t *Table) Path(s *state.State) Path {
	t.entries++
	return Path{t: t, start: s.Clone(), entry: t.entries}
}

// Start is the state that the path began in.
func (p *Path) Start() *state.State { return p.start }

// Steps are the steps from Start on.
func (p *Path) Steps() []Step {
	logs := [][]Step{p.log}
	for c := p.last; c != nil; c = c.parent {
		logs = append(logs, c.log)
	}
	slices.Reverse(logs)
	return slices.Concat(logs...)
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
	if p.t.rules.Off {
		return
	}
	if p.log == nil {
		p.log = make([]Step, 0, 16)
	}
	p.log = append(p.log, s)
	if s.HasSlot || len(s.Linked) > 0 || p.t.g.Joint[s.Insn] {
		p.history++
	}
}

// Jumped notes that the step was a jump.
func (p *Path) Jumped() { p.t.jumps++ }

// End notes that the path is finished.
func (p *Path) End() {
	for c := p.last; c != nil; {
		c.open--
		if c.open > 0 {
			return
		}
		up := c.parent
		if !p.t.closes(c) {
			c.forget()
		}
		c = up
	}
}

// forget lets go of what tracing a value back through c needs.
func (c *Checkpoint) forget() { c.log, c.parent = nil, nil }

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
