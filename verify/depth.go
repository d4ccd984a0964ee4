package verify

import (
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/verify/cfg"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file judges the stack that nested functions use together, and what may
// not be nested: tail calls and exceptions below callbacks.

const (
	// separateStack is the size from which on a function of a tracing program
	// has a stack of its own.
	separateStack = 64
	// tailCallStack is what the callers of a function with a tail call may use:
	// 33 such programs in a row must fit on the kernel's stack.
	tailCallStack = 256
)

// finerStacks is the release in which frames were first seen to be multiples of 16 bytes, not of 32.
var finerStacks = abi.V(6, 12)

// frameSize is what function f's frame takes.
func (w *walk) frameSize(f int) int {
	if w.img.Target.Version >= finerStacks {
		return (w.used[f] + 15) / 16 * 16
	}
	return (max(w.used[f], 1) + 31) / 32 * 32
}

// depth judges the chains of calls from the program and from each function
// that is called on its own.
func (w *walk) depth() (int, fault.Fault) {
	if i, f := w.exceptionShape(); f != nil {
		return i, f
	}
	own := w.privateStacks()
	var shared []bool // functions that run below an asynchronous callback, on the kernel's stack
	for f := len(w.graph.Funcs) - 1; f >= 0; f-- {
		if f > 0 && !w.funcs[f].async {
			continue
		}
		c, i, ft := w.chains(f)
		if ft != nil {
			return i, ft
		}
		if f == 0 {
			w.facts.StackDepth = c.deepest(w.frameSize)
		} else if shared == nil {
			shared = make([]bool, len(w.graph.Funcs))
		}
		size := func(g int) int {
			n := w.frameSize(g)
			if f == 0 && own && n >= separateStack && (shared == nil || !shared[g]) {
				return 0
			}
			return n
		}
		if i, ft := w.judgeChains(c, size); ft != nil {
			return i, ft
		}
		for _, g := range c.order {
			if f > 0 {
				shared[g] = true
			}
		}
	}
	return 0, nil
}

// privateStacks reports whether functions with much stack get one of their own.
func (w *walk) privateStacks() bool {
	for f := range w.funcs {
		if w.funcs[f].tailCall {
			return false
		}
	}
	return w.row.OwnStacks() && w.img.Target.Version >= abi.OwnStacksSince && w.img.Target.Arch == "amd64"
}

// chains is the functions that one of them reaches.
type chains struct {
	order   []int // callers before what they call
	callers map[int][]cfg.Call
}

// chains finds the functions that root reaches. An asynchronous callback is
// part of a chain only where it is called like any function.
func (w *walk) chains(root int) (*chains, int, fault.Fault) {
	c := &chains{callers: map[int][]cfg.Call{}}
	const open, done = 1, 2
	color := make([]uint8, len(w.graph.Funcs))
	at, bad := 0, false
	var visit func(f int)
	visit = func(f int) {
		color[f] = open
		fn := &w.graph.Funcs[f]
		for i, calls := range [...][]cfg.Call{fn.Calls, fn.Refs} {
			for _, call := range calls {
				if i == 1 && w.funcs[call.Func].async {
					continue
				}
				if color[call.Func] == open {
					at, bad = call.Insn, true
					continue
				}
				c.callers[call.Func] = append(c.callers[call.Func], cfg.Call{Insn: call.Insn, Func: f})
				if color[call.Func] == 0 {
					visit(call.Func)
				}
			}
		}
		color[f] = done
		c.order = append(c.order, f)
	}
	visit(root)
	for i, j := 0, len(c.order)-1; i < j; i, j = i+1, j-1 {
		c.order[i], c.order[j] = c.order[j], c.order[i]
	}
	if bad { // a callback that passes itself on
		return nil, at, fault.TooManyFrames{Max: maxFrames}
	}
	return c, 0, nil
}

// chain is the deepest chain of callers of a function.
type chain struct {
	bytes, frames int
	callback      bool // one of them is a callback
	insn          int  // the last call
}

// above is the deepest chain above each function of c.
func (w *walk) above(c *chains, size func(f int) int) map[int]chain {
	out := make(map[int]chain, len(c.order))
	for _, f := range c.order {
		var best chain
		for _, call := range c.callers[f] {
			up := out[call.Func]
			if n := up.bytes + size(call.Func); n >= best.bytes {
				best.bytes, best.insn = n, call.Insn
			}
			best.frames = max(best.frames, up.frames+1)
			best.callback = best.callback || up.callback || w.funcs[call.Func].callback
		}
		out[f] = best
	}
	return out
}

func (c *chains) deepest(size func(f int) int) int {
	most := 0
	above := map[int]int{}
	for _, f := range c.order {
		for _, call := range c.callers[f] {
			above[f] = max(above[f], above[call.Func]+size(call.Func))
		}
		most = max(most, above[f]+size(f))
	}
	return most
}

func (w *walk) judgeChains(c *chains, size func(f int) int) (int, fault.Fault) {
	above := w.above(c, size)
	for _, f := range c.order {
		up := above[f]
		fn := &w.funcs[f]
		switch total := up.bytes + size(f); {
		case up.frames >= maxFrames:
			return up.insn, fault.TooManyFrames{Max: maxFrames}
		case f > 0 && fn.tailCall && up.bytes >= tailCallStack:
			return up.insn, fault.TailCallStack{Func: w.graph.Funcs[f].Name, Depth: up.bytes, Max: tailCallStack}
		case total > state.StackSize:
			return up.insn, fault.StackTooDeep{Depth: total, Max: state.StackSize, Frames: up.frames + 1}
		case fn.throws >= 0 && (fn.callback || up.callback):
			return fn.throws, fault.CallbackThrows{Func: w.graph.Funcs[f].Name}
		}
	}
	return 0, nil
}
