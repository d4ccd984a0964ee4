package live

import (
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/cfg"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file collects, while paths are walked, which stack slots each
// instruction reads and overwrites, apart for each chain of calls, and keeps
// up what is live. It is complete for a state all of whose paths were walked;
// for others it says nothing.

// Stack is what is known of one program's stack slots.
type Stack struct {
	g      *cfg.Graph
	preds  [][]int32
	chains []*chain // chains[0] is of no use
	index  map[chainKey]int32
	work   []place
}

type chainKey struct {
	up, callSite int32
	sub          int
}

// chain is a function as called by one chain of calls.
type chain struct {
	up       int32 // the caller's; 0: none
	callSite int
	start    int
	// levels are the frames that the function can access, its own the last;
	// nil where it never read one of its callers'.
	levels []*masks
}

// masks are, for each instruction of a function, the slots of one frame. All
// slots are overwritten by what no path came to: what is behind it does not count.
type masks struct{ use, def, live []Slots }

type place struct {
	chain int32
	insn  int32
	level int32
}

// NewStack begins to collect for g.
func NewStack(g *cfg.Graph) *Stack {
	t := &Stack{g: g, preds: make([][]int32, len(g.Insns)), chains: make([]*chain, 1), index: map[chainKey]int32{}}
	count := make([]int32, len(g.Insns)+1)
	t.edges(func(_, to int) { count[to]++ })
	total := int32(0)
	for _, n := range count {
		total += n
	}
	all := make([]int32, total)
	for i := range t.preds {
		t.preds[i], all = all[:0:count[i]], all[count[i]:]
	}
	t.edges(func(from, to int) { t.preds[to] = append(t.preds[to], int32(from)) })
	return t
}

func (t *Stack) edges(f func(from, to int)) {
	for i := 0; i < len(t.g.Insns); i = cfg.Next(t.g.Insns, i) {
		succ, n := cfg.Succ(t.g.Insns, i)
		for _, j := range succ[:n] {
			f(i, j)
		}
	}
}

// chainOf is the chain of calls that made frame i of s.
func (t *Stack) chainOf(s *state.State, i int) int32 {
	f := s.Frame(i)
	if f.Chain != 0 {
		return f.Chain
	}
	k := chainKey{callSite: int32(f.CallSite), sub: f.Sub}
	if i > 0 {
		k.up = t.chainOf(s, i-1)
	}
	n, ok := t.index[k]
	if !ok {
		fn := t.g.Funcs[f.Sub]
		c := &chain{up: k.up, callSite: f.CallSite, start: fn.Start, levels: make([]*masks, i+1)}
		n = int32(len(t.chains))
		t.chains = append(t.chains, c)
		t.index[k] = n
		c.levels[i] = newMasks(fn.End - fn.Start)
	}
	f.Chain = n
	return n
}

func newMasks(n int) *masks {
	all := make([]Slots, 3*n)
	m := &masks{all[:n:n], all[n : 2*n : 2*n], all[2*n:]}
	for i := range m.def {
		m.def[i] = allSlots
	}
	return m
}

// level is the frame l as a chain sees it.
func (c *chain) level(l int) *masks {
	if c.levels[l] == nil {
		own := c.levels[len(c.levels)-1]
		m := newMasks(len(own.def))
		for i, d := range own.def {
			if d != allSlots {
				m.def[i] = 0
			}
		}
		c.levels[l] = m
	}
	return c.levels[l]
}

// Chain is the chain of calls that made the current frame of s.
func (t *Stack) Chain(s *state.State) int32 { return t.chainOf(s, s.Depth()-1) }

// Visit notes that instruction insn is walked in a chain: that it overwrites
// slots over of frame level, and no others.
func (t *Stack) Visit(n int32, insn, level int, over Slots) {
	c := t.chains[n]
	i := insn - c.start
	for l, m := range c.levels {
		if m == nil || m.def[i] == 0 {
			continue
		}
		d := m.def[i]
		if l == level {
			d &= over
		} else {
			d = 0
		}
		if d != m.def[i] {
			m.def[i] = d
			t.work = append(t.work, place{n, int32(insn), int32(l)})
		}
	}
}

// Reads notes that instruction insn in a chain reads slots of frame level.
func (t *Stack) Reads(n int32, insn, level int, slots Slots) {
	c := t.chains[n]
	m := c.level(level)
	if i := insn - c.start; slots&^m.use[i] != 0 {
		m.use[i] |= slots
		t.work = append(t.work, place{n, int32(insn), int32(level)})
	}
}

// flow brings what is live up to date.
func (t *Stack) flow() {
	for len(t.work) > 0 {
		p := t.work[len(t.work)-1]
		t.work = t.work[:len(t.work)-1]
		c := t.chains[p.chain]
		m := c.levels[p.level]
		i := int(p.insn) - c.start
		var after Slots
		succ, n := cfg.Succ(t.g.Insns, int(p.insn))
		for _, j := range succ[:n] {
			after |= m.live[j-c.start]
		}
		v := after&^m.def[i] | m.use[i]
		if v == m.live[i] {
			continue
		}
		m.live[i] |= v
		for _, j := range t.preds[p.insn] {
			t.work = append(t.work, place{p.chain, j, p.level})
		}
		if i == 0 && c.up != 0 && int(p.level) < len(c.levels)-1 {
			t.Reads(c.up, c.callSite, int(p.level), m.live[0])
		}
	}
}

// Live are the slots of frame i that are read behind s, before insn, ere they
// are overwritten. All paths of s must have been walked.
func (t *Stack) Live(s *state.State, i, insn int) Slots {
	t.flow()
	var live Slots
	for k := i; k < s.Depth(); k++ {
		c := t.chains[t.chainOf(s, k)]
		m := c.levels[i]
		if m == nil {
			continue
		}
		if k == s.Depth()-1 {
			return live | m.live[insn-c.start]
		}
		at := s.Frame(k + 1).CallSite
		live |= m.live[cfg.Next(t.g.Insns, at)-c.start]
		if in := t.g.Insns[at]; in.Src != isa.CallLocal { // it calls again
			live |= m.live[at-c.start]
		}
	}
	return live
}

// Between are the slots with a byte in lo to hi-1, offsets from the frame pointer.
func Between(lo, hi int) Slots {
	lo, hi = max(lo, -512), min(hi, 0)
	if lo >= hi {
		return 0
	}
	first, last := uint((-hi)/8), uint((-lo-1)/8)
	return allSlots >> (63 - last) &^ (1<<first - 1)
}
