package verify

import (
	"context"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/call"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/prune"
	"github.com/gtrace-dev/gtrace/verify/scalar"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file walks into functions: static ones are part of their caller's path,
// global ones are walked on their own, by their prototype.

// function is what the walk knows of a function.
type function struct {
	sig    *call.Signature // of a global function that is called
	called bool            // and so has to be walked on its own
	walked bool

	callback, async bool // a call calls it, at once or later

	// By its instructions alone, with what it calls.
	changesPacket, maySleep bool
	// By its own instructions.
	tailCall bool
	throws   int // the first that throws; -1: none
}

// lazyGlobals is the release from which on global functions are only judged
// when a path calls them, and after the program itself.
var lazyGlobals = abi.V(6, 8)

// tailCallEnds is the first release that was seen to know that a tail call may
// end a function; those before take what the function itself returns.
var tailCallEnds = abi.V(6, 18)

// run walks the program and the global functions that it needs.
func (w *walk) run(ctx context.Context) (int, fault.Fault, error) {
	program := func() (int, fault.Fault, error) {
		s := state.New(&w.ids, state.Pointer(state.Ctx))
		w.branch = branch{s: s, path: w.table.Path(s)}
		return w.paths(ctx)
	}
	if w.img.Target.Version >= lazyGlobals {
		if i, f, err := program(); f != nil || err != nil {
			return i, f, err
		}
		return w.globals(ctx)
	}
	for f := range w.funcs {
		w.funcs[f].called = f > 0 && w.global(f)
	}
	if i, f, err := w.globals(ctx); f != nil || err != nil {
		return i, f, err
	}
	w.table.Reset()
	return program()
}

// globals walks the global functions that are called, and those that they call.
func (w *walk) globals(ctx context.Context) (int, fault.Fault, error) {
	for again := true; again; {
		again = false
		for f := range w.funcs {
			fn := &w.funcs[f]
			if !fn.called || fn.walked {
				continue
			}
			fn.walked, again = true, true
			if i, ft, err := w.alone(ctx, f); ft != nil || err != nil {
				return i, ft, err
			}
		}
	}
	return 0, nil, nil
}

// alone walks a global function for any arguments that fit its prototype.
func (w *walk) alone(ctx context.Context, f int) (int, fault.Fault, error) {
	start := w.graph.Funcs[f].Start
	sig, ft := w.signature(f)
	if bad, ok := ft.(fault.BadSignature); ok && f == w.exception && bad.Reason == fault.SignatureReturn {
		ft = fault.BadException{Func: bad.Func, Reason: fault.ExceptionReturn}
	}
	if ft != nil {
		return start, ft, nil
	}
	if f == w.exception {
		if ft := exceptionSignature(sig); ft != nil {
			return start, ft, nil
		}
	}
	w.table.Reset()
	s := state.NewAt(&w.ids, f)
	for i, v := range sig.Registers(s.NewID) {
		s.Set(isa.R1+isa.Reg(i), v)
	}
	w.branch = branch{s: s, pc: start, path: w.table.Path(s)}
	return w.paths(ctx)
}

// global reports whether function f is verified on its own.
func (w *walk) global(f int) bool { return f < len(w.img.Subprogs) && w.img.Subprogs[f].Global }

func (w *walk) signature(f int) (*call.Signature, fault.Fault) {
	fn := &w.funcs[f]
	if fn.sig == nil {
		sub := &w.img.Subprogs[f]
		sig, ft := call.Sign(sub.Name, sub.BTF, &w.layout, &w.rules)
		if ft != nil {
			return nil, ft
		}
		fn.sig = sig
	}
	return fn.sig, nil
}

// enter walks into a subprogram.
func (w *walk) enter(in isa.Insn) (int, fault.Fault) {
	target := w.pc + 1 + int(in.Imm)
	sub := w.graph.FuncAt(target)
	if w.global(sub) {
		return w.callGlobal(sub)
	}
	if w.s.Depth() >= maxFrames {
		return 0, fault.TooManyFrames{Max: maxFrames}
	}
	if f := w.staticCall("a call of " + w.graph.Funcs[sub].Name); f != nil {
		return 0, f
	}
	w.step.Kind = prune.Enter
	w.s.Push(w.pc, sub)
	return target, nil
}

// tailCall goes on behind a tail call that failed. One that did not fail ends
// the function, not its callers: what it returns is what the other program returned.
func (w *walk) tailCall() (int, fault.Fault) {
	if f := w.oneMap(w.callMap[w.pc]); f != nil {
		return 0, f
	}
	if w.s.Depth() == 1 || w.img.Target.Version < tailCallEnds {
		return w.pc + 1, nil
	}
	top := w.s.Top()
	if top.Callback != nil {
		return 0, fault.CallbackTailCall{Func: w.graph.Funcs[top.Sub].Name}
	}
	if len(w.pending) >= w.opts.MaxPending {
		return 0, fault.TooComplex{What: "pending branches", Limit: w.opts.MaxPending}
	}
	failed := branch{s: w.s.Clone(), path: w.path.Fork(), pc: w.pc + 1}
	failed.path.Log(w.step)
	w.pending = append(w.pending, failed)
	w.s.Set(isa.R0, state.Number(scalar.Unknown))
	w.step.Kind = prune.TailReturn
	return w.s.Pop() + 1, nil
}

// callGlobal judges a call of a global function by its prototype and goes on behind it.
func (w *walk) callGlobal(sub int) (int, fault.Fault) {
	if f := w.globalCall(w.graph.Funcs[sub].Name, w.funcs[sub].maySleep); f != nil {
		return 0, f
	}
	sig, f := w.signature(sub)
	if bad, ok := f.(fault.BadSignature); ok {
		return 0, fault.GlobalArgument{Func: bad.Func, Why: bad}
	}
	if f != nil {
		return 0, f
	}
	e, f := call.Global(w.s, &w.layout, sig)
	if f != nil {
		return 0, f
	}
	w.funcs[sub].called = true
	e.ChangesPacket = w.funcs[sub].changesPacket
	w.apply(e)
	return w.pc + 1, nil
}

// globalReturn judges the result of a function that was walked on its own.
func (w *walk) globalReturn(sub int, r0 *state.Reg) fault.Fault {
	if r0.Kind != state.Scalar {
		return fault.GlobalReturn{Func: w.graph.Funcs[sub].Name, Kind: r0.Describe()}
	}
	return nil
}
