package verify

import (
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/cfg"
)

// This file finds what functions may do by their instructions alone, whether
// they are reached or not: callers of global functions go by that.

// summarise looks through all functions.
func (w *walk) summarise() {
	for f := range w.funcs {
		fn, shape := &w.funcs[f], &w.graph.Funcs[f]
		fn.throws = -1
		for i := shape.Start; i < shape.End; i = cfg.Next(w.insns, i) {
			in := w.insns[i]
			switch {
			case !in.IsCall():
			case in.Src == isa.CallHelper:
				if h := abi.HelperByID(in.Imm); h != nil {
					fn.changesPacket = fn.changesPacket || h.InvalidatesPacket
					fn.maySleep = fn.maySleep || h.Sleepable
					fn.tailCall = fn.tailCall || h.TailCall
				}
			case in.Src == isa.CallKfunc && w.throwing(in) && fn.throws < 0:
				fn.throws = i
			case in.Src == isa.CallKfunc:
				fn.maySleep = fn.maySleep || w.kfuncSleeps(in)
			}
		}
	}
	for again := true; again; { // what a function calls, it does
		again = false
		for f := range w.funcs {
			fn, shape := &w.funcs[f], &w.graph.Funcs[f]
			for _, calls := range [...][]cfg.Call{shape.Calls, shape.Refs} {
				for _, c := range calls {
					callee := &w.funcs[c.Func]
					if callee.changesPacket && !fn.changesPacket || callee.maySleep && !fn.maySleep {
						fn.changesPacket = fn.changesPacket || callee.changesPacket
						fn.maySleep = fn.maySleep || callee.maySleep
						again = true
					}
				}
			}
		}
	}
}
