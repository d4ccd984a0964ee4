package verify

import (
	"fmt"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/explain"
	"github.com/gtrace-dev/gtrace/verify/prune"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file explains rejections: it walks the rejected path once more, alone,
// and keeps what was known along it.

// failure is what a Rejection keeps to explain itself.
type failure struct {
	w     *walk
	path  prune.Path
	steps []prune.Step
	frame uint8
}

// Explain says how the program came to be rejected and what to write instead.
func (r *Rejection) Explain() *explain.Report {
	w := r.failed.w
	views := w.replay(r.failed.path.Start(), r.failed.steps, r.Insn)
	p := &explain.Path{
		Insns: w.insns, Lines: w.img.Lines, Steps: r.failed.steps, Insn: r.Insn, Frame: r.failed.frame,
		Known: func(i int, p prune.Place) explain.Value { return known(views, i-len(r.failed.steps), p) },
		Func:  w.callee, Details: w.details(r.Fault, r.Insn, views),
	}
	return explain.Explain(r.Fault, p)
}

// keptViews is how many steps before the fault are explained with what was known.
const keptViews = 1 << 14

// replay walks steps again and returns what was known before each of the last
// of them and behind them all. It ends early where the walk goes another way:
// where two paths had been made one.
func (w *walk) replay(start *state.State, steps []prune.Step, last int) []View {
	if start == nil {
		return nil
	}
	again := &walk{img: w.img, insns: w.insns, opts: w.opts, facts: newFacts(len(w.insns)), callMap: map[int]int{}}
	again.opts.NoPrune, again.opts.Trace = true, nil
	if again.prepare() != "" {
		return nil
	}
	if _, f := again.begin(); f != nil {
		return nil
	}
	again.ids = w.ids
	s := start.Clone()
	for i := range s.Depth() {
		s.Edit(i).Chain = 0 // it numbers chains of the other walk
	}
	again.branch = branch{s: s, path: again.table.Path(s)}
	views := make([]View, 0, min(len(steps), keptViews)+1)
	keep := func(i int) {
		if len(steps)-i < keptViews {
			views = append(views, View{again.s.Clone(), &again.layout})
		}
	}
	for i := range steps {
		keep(i)
		again.pc = int(steps[i].Insn)
		next, f := again.one()
		if f != nil {
			return nil
		}
		want := last
		if i+1 < len(steps) {
			want = int(steps[i+1].Insn)
		}
		if !again.follow(next, want) {
			return nil
		}
	}
	keep(len(steps))
	return views
}

// follow takes the branch that leads to want; next is where the walk would go on.
func (w *walk) follow(next, want int) bool {
	n := len(w.pending)
	if next != want {
		if n == 0 || w.pending[n-1].pc != want {
			return false
		}
		w.branch = w.pending[n-1]
	}
	w.pending = w.pending[:0]
	return true
}

// known tells what is known of p at a view; i counts from the last, which is 0, down.
func known(views []View, i int, p prune.Place) explain.Value {
	i += len(views) - 1
	if i < 0 || i >= len(views) || int(p.Frame) >= views[i].Depth() {
		return explain.Value{}
	}
	v := views[i]
	var r *state.Reg
	if p.Slot {
		s := v.s.Frame(int(p.Frame)).SlotAt(-state.SlotSize * (int(p.Index) + 1))
		if s == nil {
			return explain.Value{}
		}
		n := 0
		if r, n = s.Spilled(); n == 0 {
			return explain.Value{Text: "bytes " + pattern(s), Kind: state.Scalar}
		}
	} else {
		r = &v.s.Frame(int(p.Frame)).Regs[p.Index]
	}
	text := v.text(r)
	if r.Kind == state.Scalar {
		text = r.Val.String()
	}
	return explain.Value{Text: text, Kind: r.Kind, Const: r.IsConst()}
}

// callee names what the call at slot calls.
func (w *walk) callee(slot int) string {
	in := w.insns[slot]
	switch {
	case !in.IsCall():
		return "the function"
	case in.Src == isa.CallLocal:
		f := w.graph.FuncAt(slot + 1 + int(in.Imm))
		if f < len(w.img.Subprogs) && w.img.Subprogs[f].Name != "" {
			return w.img.Subprogs[f].Name
		}
		return fmt.Sprintf("the function at instruction %d", slot+1+int(in.Imm))
	case in.Src == isa.CallHelper:
		if h := abi.HelperByID(in.Imm); h != nil && h.Name != "" {
			return h.Name
		}
	case in.Src == isa.CallKfunc:
		for _, k := range abi.Kfuncs {
			if k.ID == in.Imm {
				return k.Name
			}
		}
	}
	return "the call"
}

// failure keeps the path that the walk is on, if it began.
func (w *walk) failure() *failure {
	if w.table == nil || w.s == nil || w.opts.NoPrune {
		return &failure{w: w}
	}
	return &failure{w, w.path, w.path.Steps(), uint8(w.s.Depth() - 1)}
}
