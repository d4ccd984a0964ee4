// Package cfg finds a program's shape: functions, jumps, calls, and whether
// every instruction can be reached. It knows nothing of values.
package cfg

import (
	"errors"

	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/fault"
)

// Start names a function and the slot where it begins. Starts ascend; the first is at 0.
type Start struct {
	Slot int
	Name string
}

// Rules are what a target allows.
type Rules struct {
	BackEdges bool // loops
	// OnlyJumps: a loop goes back by a jump, not from the instruction before
	// its start, as one does that is entered in the middle.
	OnlyJumps bool
	MaxFrames int // nested functions
	// Entries are the indexes of functions that are entered without a call, beside the first.
	Entries []int
	// Turn says which calls go round; nil: none. It is not asked of may_goto.
	Turn func(isa.Insn) Turn
}

// Turn is how an instruction makes a program go round, where a state is always
// kept: the loop ends where a turn brings nothing new, not where a count ends.
type Turn uint8

const (
	NoTurn    Turn = iota
	MayGoto        // may_goto
	IterNext       // a call that steps an open-coded iterator
	CallsBack      // a call of a function that calls a callback any number of times
)

// Func is a function: slots Start to End-1.
type Func struct {
	Name       string
	Start, End int
	Calls      []Call
	Refs       []Call // functions whose address it takes
	Callback   bool   // its address is taken
}

// Call is a call of function Func at slot Insn.
type Call struct{ Insn, Func int }

// Graph is a program's shape.
type Graph struct {
	Insns []isa.Insn
	Funcs []Func
	// Head marks slots where paths meet or states are worth keeping: targets
	// of jumps, instructions behind conditional jumps and calls, starts of loops.
	Head []bool
	// Loop marks the targets of back edges.
	Loop []bool
	// Joint marks slots that a path may come to from elsewhere than the slot before.
	Joint []bool
	// Turn says where a state is always kept, and why.
	Turn []Turn
	// Ring numbers the strongly connected parts: instructions with the same
	// number, which is not 0, can reach each other within their function.
	Ring []int32
	of   []int32
}

// FuncOf is the index of the function that holds slot i.
func (g *Graph) FuncOf(i int) int { return int(g.of[i]) }

// FuncAt is the index of the function that starts at slot i, or -1.
func (g *Graph) FuncAt(i int) int {
	if i < 0 || i >= len(g.of) {
		return -1
	}
	if f := int(g.of[i]); g.Funcs[f].Start == i {
		return f
	}
	return -1
}

// Target is where the jump at slot i leads.
func Target(insns []isa.Insn, i int) int {
	in := insns[i]
	if in.Op == isa.ClassJMP32|isa.Ja {
		return i + 1 + int(in.Imm)
	}
	return i + 1 + int(in.Off)
}

// Next is the slot behind instruction i.
func Next(insns []isa.Insn, i int) int {
	if insns[i].IsWide() {
		return i + 2
	}
	return i + 1
}

// Always reports whether in is an unconditional jump.
func Always(in isa.Insn) bool {
	return in.IsJump() && in.Operation() == isa.Ja
}

// Conditional reports whether in is a jump that may fall through.
func Conditional(in isa.Insn) bool {
	return in.IsJump() && in.Operation() != isa.Ja && !in.IsCall() && !in.IsExit()
}

// Succ lists where control goes from slot i within its function; a call goes on behind it.
func Succ(insns []isa.Insn, i int) (out [2]int, n int) {
	in := insns[i]
	switch {
	case in.IsExit():
		return out, 0
	case Always(in):
		out[0] = Target(insns, i)
		return out, 1
	case Conditional(in):
		out[0], out[1] = Next(insns, i), Target(insns, i)
		return out, 2
	}
	out[0] = Next(insns, i)
	return out, 1
}

// Build checks the shape of a program. insn is where a fault is.
func Build(insns []isa.Insn, starts []Start, rules Rules) (g *Graph, insn int, f fault.Fault) {
	n := len(insns)
	flags := make([]bool, 3*n)
	g = &Graph{
		Insns: insns, Head: flags[:n:n], Loop: flags[n : 2*n : 2*n], Joint: flags[2*n:],
		Turn: make([]Turn, n), Ring: make([]int32, n), of: make([]int32, n),
	}
	for _, pass := range []func(*Graph, []Start, Rules) (int, fault.Fault){encoding, split, jumps, reach, nesting, rings} {
		if i, f := pass(g, starts, rules); f != nil {
			return nil, i, f
		}
	}
	return g, 0, nil
}

func encoding(g *Graph, starts []Start, _ Rules) (int, fault.Fault) {
	if len(g.Insns) == 0 || len(starts) == 0 || starts[0].Slot != 0 {
		return 0, fault.FallThrough{Func: "of no instructions"}
	}
	for i := 0; i < len(g.Insns); i = Next(g.Insns, i) {
		var next *isa.Insn
		if i+1 < len(g.Insns) {
			next = &g.Insns[i+1]
		}
		if err := isa.Validate(g.Insns[i], next); err != nil {
			want := err.Error()
			var e *isa.EncodingError
			if errors.As(err, &e) {
				want = e.Field.String() + ": expected " + e.Want
			}
			return i, fault.BadEncoding{Insn: g.Insns[i], Want: want}
		}
	}
	return 0, nil
}

// split finds the functions.
func split(g *Graph, starts []Start, _ Rules) (int, fault.Fault) {
	for n, s := range starts {
		end := len(g.Insns)
		if n+1 < len(starts) {
			end = starts[n+1].Slot
		}
		if s.Slot >= end || end > len(g.Insns) {
			return min(s.Slot, len(g.Insns)-1), fault.FallThrough{Func: s.Name}
		}
		g.Funcs = append(g.Funcs, Func{Name: s.Name, Start: s.Slot, End: end})
		for i := s.Slot; i < end; i++ {
			g.of[i] = int32(n)
		}
	}
	return 0, nil
}

func (g *Graph) second(i int) bool { return i > 0 && g.Insns[i].Op == 0 && g.Insns[i-1].IsWide() }

// jumps checks the targets of jumps and calls and the ends of functions.
func jumps(g *Graph, _ []Start, _ Rules) (int, fault.Fault) {
	for n := range g.Funcs {
		f := &g.Funcs[n]
		last := f.Start
		for i := f.Start; i < f.End; i = Next(g.Insns, i) {
			last = i
			in := g.Insns[i]
			switch {
			case in.IsCall() && in.Src == isa.CallLocal, in.IsWide() && in.Src == isa.PseudoFunc:
				callee := g.FuncAt(i + 1 + int(in.Imm))
				if callee < 0 {
					return i, fault.JumpOutOfRange{Target: i + 1 + int(in.Imm), Start: 0, End: len(g.Insns)}
				}
				if in.IsCall() {
					f.Calls = append(f.Calls, Call{i, callee})
				} else {
					f.Refs = append(f.Refs, Call{i, callee})
					g.Funcs[callee].Callback = true
				}
			case Always(in), Conditional(in):
				t := Target(g.Insns, i)
				if t < f.Start || t >= f.End || g.second(t) {
					return i, fault.JumpOutOfRange{Target: t, Start: f.Start, End: f.End}
				}
			}
		}
		if in := g.Insns[last]; !in.IsExit() && !Always(in) {
			return last, fault.FallThrough{Func: f.Name}
		}
	}
	return 0, nil
}

// reach walks every function, marks heads and loops, and finds what no path leads to.
func reach(g *Graph, _ []Start, rules Rules) (int, fault.Fault) {
	const (
		open = 1 + iota
		done
	)
	color := make([]uint8, len(g.Insns))
	var queue []int // functions
	seen := make([]bool, len(g.Funcs))
	enter := func(f int) {
		if !seen[f] {
			seen[f] = true
			queue = append(queue, f)
		}
	}
	enter(0)
	for _, f := range rules.Entries {
		enter(f)
	}
	type step struct{ insn, next int }
	var stack []step
	for len(queue) > 0 {
		f := queue[0]
		queue = queue[1:]
		stack = append(stack[:0], step{g.Funcs[f].Start, 0})
		color[g.Funcs[f].Start] = open
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			i := top.insn
			succ, n := Succ(g.Insns, i)
			if top.next == 0 {
				g.mark(i, rules, enter)
			}
			if top.next == n {
				color[i] = done
				stack = stack[:len(stack)-1]
				continue
			}
			t := succ[top.next]
			top.next++
			switch color[t] {
			case 0:
				color[t] = open
				stack = append(stack, step{t, 0})
			case open:
				if !rules.BackEdges || rules.OnlyJumps && !Conditional(g.Insns[i]) && !Always(g.Insns[i]) {
					return i, fault.BackEdge{To: t}
				}
				g.Head[t], g.Loop[t] = true, true
			}
		}
	}
	for i := range g.Insns {
		if color[i] == 0 && !g.second(i) {
			return i, fault.Unreachable{Insn: i}
		}
	}
	return 0, nil
}

// mark notes what instruction i makes worth keeping states for.
func (g *Graph) mark(i int, rules Rules, enter func(int)) {
	in := g.Insns[i]
	switch {
	case in.IsCall() && in.Src == isa.CallLocal, in.IsWide() && in.Src == isa.PseudoFunc:
		f := g.FuncAt(i + 1 + int(in.Imm))
		enter(f)
		start := g.Funcs[f].Start
		g.Head[start], g.Joint[start], g.Head[i] = true, true, true
		g.Head[Next(g.Insns, i)], g.Joint[Next(g.Insns, i)] = true, true
	case in.IsCall():
		g.Head[i+1], g.Joint[i+1] = true, true
		if rules.Turn != nil {
			g.Turn[i] = rules.Turn(in)
		}
		if g.Turn[i] != NoTurn {
			g.Head[i], g.Joint[i] = true, true
		}
	case Always(in):
		t := Target(g.Insns, i)
		g.Head[t], g.Joint[t] = true, true
	case Conditional(in):
		t := Target(g.Insns, i)
		g.Head[i], g.Head[t], g.Joint[t] = true, true, true
		if in.Operation() == isa.Jcond {
			g.Turn[i] = MayGoto
		}
	}
}

// nesting finds recursion and chains of calls that are too long.
func nesting(g *Graph, _ []Start, rules Rules) (int, fault.Fault) {
	depth := make([]int, len(g.Funcs)) // -1: being visited
	var visit func(f int) (int, int, fault.Fault)
	visit = func(f int) (int, int, fault.Fault) {
		if depth[f] > 0 {
			return depth[f], 0, nil
		}
		depth[f] = -1
		deepest := 0
		for _, c := range g.Funcs[f].Calls {
			if depth[c.Func] < 0 {
				return 0, c.Insn, fault.Recursion{Func: g.Funcs[c.Func].Name}
			}
			d, i, ft := visit(c.Func)
			if ft != nil {
				return 0, i, ft
			}
			deepest = max(deepest, d)
		}
		depth[f] = deepest + 1
		return depth[f], 0, nil
	}
	for f := range g.Funcs {
		d, i, ft := visit(f)
		if ft != nil {
			return i, ft
		}
		if d > rules.MaxFrames && f == 0 {
			return 0, fault.TooManyFrames{Max: rules.MaxFrames}
		}
	}
	return 0, nil
}
