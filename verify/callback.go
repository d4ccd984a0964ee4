package verify

import (
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/call"
	"github.com/gtrace-dev/gtrace/verify/cfg"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/prune"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file walks what goes round until nothing new comes: callbacks and
// may_goto. A call that calls a function any number of times is walked as if
// each time it either called the function, and is then made again, or was done.

// functionAddress loads the address of a function.
func (w *walk) functionAddress(in isa.Insn) fault.Fault {
	sub := w.graph.FuncAt(w.pc + 1 + int(in.Imm))
	if w.global(sub) {
		return fault.GlobalCallback{Func: w.graph.Funcs[sub].Name}
	}
	v := state.Pointer(state.Func)
	v.Map = int32(sub)
	w.s.Set(in.Dst, v)
	return nil
}

// turn says how calls go round.
func (w *walk) turn(in isa.Insn) cfg.Turn {
	if w.stepsIterator(in) {
		return cfg.IterNext
	}
	if !in.IsCall() || in.Src != isa.CallHelper {
		return cfg.NoTurn
	}
	if h := abi.HelperByID(in.Imm); h != nil && h.Callback != nil && !h.Callback.Async {
		return cfg.CallsBack
	}
	return cfg.NoTurn
}

// turns are the rules for what goes round.
func (w *walk) turns() prune.Rules {
	return prune.Rules{
		Converges: func(turn cfg.Turn, old, cur *state.State) bool {
			switch turn {
			case cfg.CallsBack:
				return true
			case cfg.MayGoto:
				return old.MayGotos != cur.MayGotos
			case cfg.IterNext:
				it := stepped(cur)
				return it != nil && it.Active()
			}
			return false
		},
		Unrolls: func(old, cur *state.State) bool {
			return old.MayGotos != cur.MayGotos || old.Unrolls != cur.Unrolls || unrolls(old, cur)
		},
		UninitStack: w.layout.UninitStack,
		Off:         w.opts.NoPrune,
	}
}

// callback queues the walk of the function that a call calls. e is what the call does.
func (w *walk) callback(e *call.Effects) fault.Fault {
	cb := e.Callback
	defer w.s.EndTurns() // what comes behind the call has no part in its turns
	if cb == nil {
		return nil
	}
	start := w.graph.Funcs[cb.Sub].Start
	w.funcs[cb.Sub].callback = true
	if len(w.pending) >= w.opts.MaxPending {
		return fault.TooComplex{What: "pending branches", Limit: w.opts.MaxPending}
	}
	if cb.Async {
		s := state.NewAt(&w.ids, cb.Sub)
		s.Begin(cb.Regs, cb.Callback)
		w.pending = append(w.pending, branch{s: s, path: w.table.Path(s), pc: start})
		w.funcs[cb.Sub].async = true
		return nil
	}
	if w.s.Depth() >= maxFrames {
		return fault.TooManyFrames{Max: maxFrames}
	}
	w.exact(e.Exact...)
	other := branch{s: w.s.Clone(), path: w.path.Fork(), pc: start}
	other.s.PushCallback(w.pc, cb.Sub, cb.Regs, cb.Callback)
	step := w.step
	step.Kind = prune.EnterCallback
	other.path.Log(step)
	w.pending = append(w.pending, other)
	return nil
}

// adopt sets what is true of the current branch: some callbacks may sleep, whatever the program may.
func (w *walk) adopt() {
	cb := w.s.Frame(0).Callback
	sleepable := w.img.Attach.Sleepable || cb != nil && cb.Sleepable
	w.rules.Attach.Sleepable, w.layout.Sleepable = sleepable, sleepable
}

// leaveCallback goes back to the call that made a callback: it is made again.
func (w *walk) leaveCallback(r0 *state.Reg) (int, fault.Fault) {
	if f := w.callbackReturn(w.s.Top().Callback, r0); f != nil {
		return 0, f
	}
	w.step.Kind = prune.ReturnCallback
	site := w.s.PopCallback()
	w.path.Widen(site, w.s)
	return site, nil
}

// callbackReturn judges what a callback returns.
func (w *walk) callbackReturn(cb *abi.Callback, r0 *state.Reg) fault.Fault {
	allowed := fault.Span{Lo: cb.RetMin, Hi: cb.RetMax}
	if r0.Kind == state.Uninit {
		return fault.UninitRegister{Reg: isa.R0}
	}
	if r0.Kind != state.Scalar {
		return fault.ReturnRange{Reg: isa.R0, Kind: r0.Describe(), Allowed: allowed}
	}
	w.exact(isa.R0)
	if r0.Val.SMin < allowed.Lo || r0.Val.SMax > allowed.Hi {
		return fault.ReturnRange{Reg: isa.R0, Value: fault.Span{Lo: r0.Val.SMin, Hi: r0.Val.SMax}, Allowed: allowed}
	}
	return nil
}

// mayGoto leaves the loop, and queues the walk of another turn.
func (w *walk) mayGoto() (int, fault.Fault) {
	if w.img.Target.Version < mayGotoSince {
		return 0, fault.Unsupported{What: "may_goto: the target is older than Linux 6.9"}
	}
	on, f := w.fork()
	if f != nil {
		return 0, f
	}
	on.s.MayGotos++
	on.path.Widen(w.pc, on.s)
	w.queue(on)
	return cfg.Target(w.insns, w.pc), nil
}

var mayGotoSince = abi.V(6, 9)
