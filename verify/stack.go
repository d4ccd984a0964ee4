package verify

import (
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/call"
	"github.com/gtrace-dev/gtrace/verify/live"
	"github.com/gtrace-dev/gtrace/verify/mem"
	"github.com/gtrace-dev/gtrace/verify/scalar"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file tells package live which stack the instructions read and overwrite.

// tracked is what an instruction that is being walked has to do with stack.
type tracked struct {
	chain     int32
	overFrame int        // the frame
	over      live.Slots // of which it overwrites these slots
	passed    stackArgs
}

// track begins with an instruction.
func (w *walk) track(in isa.Insn) {
	w.chain, w.over, w.passed.n = w.stack.Chain(w.s), 0, 0
	if in.IsCall() {
		w.stackArgs(in)
	}
}

// tracks ends it; depth is that of the calls before.
func (w *walk) tracks(in isa.Insn, depth int) {
	if in.IsCall() && w.s.Depth() == depth {
		w.callRead()
	}
	w.stack.Visit(w.chain, w.pc, w.overFrame, w.over)
}

// stackArgs are the arguments of a call that point to stack.
type stackArgs struct {
	n    int
	args [5]stackArg
}

type stackArg struct {
	frame  int
	lo     int
	listed bool // the call said what it accesses there
}

// stackArgs finds them before a call is made.
func (w *walk) stackArgs(in isa.Insn) {
	a := &w.passed
	n := w.args(in)
	if n < 0 {
		n = len(a.args)
	}
	for r := isa.R1; r <= isa.Reg(n); r++ {
		v := w.s.Reg(r)
		if v.Kind != state.Stack {
			continue
		}
		lo := -state.StackSize
		if off, ok := v.ConstOff(); ok {
			lo = int(off)
		}
		a.args[a.n] = stackArg{frame: int(v.Frame), lo: lo}
		a.n++
	}
}

// listStack notes the stack that a call names.
func (w *walk) listStack(e *call.Effects) {
	for _, b := range e.Stack {
		for i := range w.passed.args[:w.passed.n] {
			if a := &w.passed.args[i]; a.frame == b.Frame && b.Lo <= a.lo && a.lo < b.Hi {
				a.listed = true
			}
		}
		if b.Read {
			w.readStack(b.Frame, b.Lo, b.Hi)
		}
	}
}

// callRead notes what a call reads that it does not name: all from a pointer's target up.
func (w *walk) callRead() {
	for _, a := range w.passed.args[:w.passed.n] {
		if !a.listed {
			w.readStack(a.frame, a.lo, 0)
		}
	}
}

func (w *walk) readStack(frame, lo, hi int) {
	w.stack.Reads(w.chain, w.pc, frame, live.Between(lo, hi))
}

// accessed notes a load, store or atomic of stack.
func (w *walk) accessed(r *mem.Result) {
	in := w.insns[w.pc]
	reads := in.Class() == isa.ClassLDX || in.Class() == isa.ClassSTX && in.Mode() == isa.ModeATOMIC && in.Imm != isa.StoreRelease
	if reads {
		w.readStack(r.Frame, r.Lo, r.Hi+1)
		if v := &r.Value; in.Class() == isa.ClassLDX && v.Kind == state.Scalar && v.ID == 0 && v.Val == unknownOf(in) {
			w.step.HasSlot = false // nothing is known of it, whatever is there
		}
		return
	}
	if r.Hi-r.Lo == 7 && r.Lo%8 == 0 && in.Bytes() == 8 {
		w.over, w.overFrame = live.Between(r.Lo, r.Hi+1), r.Frame
	}
}

// unknownOf is what a load gives that knows nothing of what it reads.
func unknownOf(in isa.Insn) scalar.S {
	if in.Mode() == isa.ModeMEMSX {
		return scalar.Unknown.SignExtend(in.Bytes())
	}
	return scalar.Bytes(in.Bytes())
}
