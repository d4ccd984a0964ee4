package verify

import (
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/call"
	"github.com/gtrace-dev/gtrace/verify/cfg"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/prune"
	"github.com/gtrace-dev/gtrace/verify/scalar"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file walks jumps, calls and exits.

func (w *walk) jump(in isa.Insn) (int, fault.Fault) {
	w.path.Jumped()
	switch {
	case in.IsExit():
		return w.exit()
	case in.IsCall():
		return w.call(in)
	case cfg.Always(in):
		return cfg.Target(w.insns, w.pc), nil
	case in.Operation() == isa.Jcond:
		return w.mayGoto()
	}
	return w.conditional(in)
}

func (w *walk) conditional(in isa.Insn) (int, fault.Fault) {
	dst, f := w.read(in.Dst)
	if f != nil {
		return 0, f
	}
	src := state.Constant(uint64(int64(in.Imm)))
	if in.UsesReg() {
		v, f := w.read(in.Src)
		if f != nil {
			return 0, f
		}
		src = *v
	}
	if f := w.comparable(in, dst, &src); f != nil {
		return 0, f
	}
	next, target := w.pc+1, cfg.Target(w.insns, w.pc)
	c := scalar.Cond{Code: in.Operation(), Is32: in.Class() == isa.ClassJMP32}
	if taken, known := decide(c, dst, &src); known && w.compares(c, dst, &src) {
		w.exact(in.Dst)
		if in.UsesReg() {
			w.exact(in.Src)
		}
		if taken {
			w.otherSide(in, next)
			return target, nil
		}
		w.otherSide(in, target)
		return next, nil
	}
	if len(w.pending) >= w.opts.MaxPending {
		return 0, fault.TooComplex{What: "pending branches", Limit: w.opts.MaxPending}
	}
	w.link(in)
	other := branch{s: w.s.Clone(), path: w.path.Fork(), pc: target}
	if !w.opts.NoPrune {
		other.path.Log(w.step)
	}
	switch {
	case dst.Nullable && !in.UsesReg() && in.Imm == 0 && !c.Is32 && (c.Code == isa.Jeq || c.Code == isa.Jne):
		id, ref := dst.ID, dst.Ref
		other.s.DecideNull(id, ref, c.Code == isa.Jeq)
		w.s.DecideNull(id, ref, c.Code == isa.Jne)
	case dst.Kind == state.Scalar && src.Kind == state.Scalar:
		taken, not := w.refine(c, dst.Val, src.Val)
		narrow(other.s, in, taken)
		narrow(w.s, in, not)
	case !w.may.PointerLeaks && dst.Kind.Pointer() && !(packetPointer(dst) && packetPointer(&src)):
		return 0, w.leak(in.Dst, dst, fault.LeakCompare)
	case packetPointer(dst) && packetPointer(&src):
		refinePacket(other.s, w.s, in)
	case w.older(pointersCompared):
	case in.UsesReg() && !c.Is32 && c.Code == isa.Jeq:
		equalPointers(other.s, in, *dst, src)
	case in.UsesReg() && !c.Is32 && c.Code == isa.Jne:
		equalPointers(w.s, in, *dst, src)
	}
	w.pending = append(w.pending, other)
	return next, nil
}

// equalPointers notes in s, where both operands are equal, that the one that
// might be NULL is not when the other can't be. Typed kernel pointers can be
// NULL whatever is known of them.
func equalPointers(s *state.State, in isa.Insn, dst, src state.Reg) {
	if !dst.Kind.Pointer() || !src.Kind.Pointer() || dst.Nullable == src.Nullable || dst.Kind == state.BTF || src.Kind == state.BTF {
		return
	}
	r, v := in.Dst, dst
	if src.Nullable {
		r, v = in.Src, src
	}
	if v.Nullable = false; !v.Distinct {
		v.ID = 0
	}
	s.Set(r, v)
}

// decide tells whether a jump is always or never taken.
func decide(c scalar.Cond, dst, src *state.Reg) (taken, known bool) {
	switch {
	case dst.Kind == state.Scalar && src.Kind == state.Scalar:
		return scalar.Decide(c, dst.Val, src.Val)
	case packetPointer(dst) && packetPointer(src):
		return decidePacket(c, dst, src)
	case dst.Kind == state.Scalar && src.Kind.Pointer():
		dst, src = src, dst
	}
	if c.Is32 || !src.IsNull() || !neverNull(dst) {
		return false, false
	}
	return c.Code == isa.Jne, c.Code == isa.Jeq || c.Code == isa.Jne
}

// neverNull reports whether a pointer is surely not NULL.
func neverNull(p *state.Reg) bool {
	if p.Nullable {
		return false
	}
	switch p.Kind {
	case state.Mem:
		return p.Trust != state.Untrusted
	case state.MapPtr, state.MapValue, state.RingRecord, state.Sock, state.SockCommon, state.TCPSock:
		return true
	case state.BTF:
		return p.Trust == state.Trusted
	}
	return false
}

// narrow sets what is known of the operands of a jump, and of their copies.
func narrow(s *state.State, in isa.Insn, p scalar.Pair) {
	if in.UsesReg() {
		v := *s.Reg(in.Src)
		v.Val = p.B
		s.Set(in.Src, v)
	}
	if !in.UsesReg() || in.Src != in.Dst {
		v := *s.Reg(in.Dst)
		v.Val = p.A
		s.Set(in.Dst, v)
	}
	if in.UsesReg() {
		s.Propagate(*s.Reg(in.Src))
	}
	s.Propagate(*s.Reg(in.Dst))
}

// maxLinked is how many registers and stack slots a jump narrows together; more lose their tie.
const maxLinked = 6

// link notes which copies a jump narrows together.
func (w *walk) link(in isa.Insn) {
	for i, r := range [2]isa.Reg{in.Src, in.Dst} {
		if i == 0 && !in.UsesReg() {
			continue
		}
		v := w.s.Reg(r)
		if v.Kind != state.Scalar || v.ID == 0 {
			continue
		}
		w.s.Copies(v.ID, func(frame int, slot bool, index int) {
			switch {
			case !slot && !w.table.Lives(w.s, w.pc, frame, isa.Reg(index)):
			case len(w.step.Linked) < maxLinked:
				w.step.Linked = append(w.step.Linked, prune.Place{Frame: uint8(frame), Slot: slot, Index: uint8(index)})
			default:
				w.s.Untie(frame, slot, index)
			}
		})
		if len(w.step.Linked) == 1 {
			w.step.Linked = w.step.Linked[:0]
		}
	}
}

func (w *walk) exit() (int, fault.Fault) {
	r0 := w.s.Reg(isa.R0)
	if w.s.Depth() > 1 {
		if r0.Kind == state.Stack {
			return 0, fault.StackPointerReturn{}
		}
		if w.s.Top().Callback != nil {
			return w.leaveCallback(r0)
		}
		if f := w.staticCall("a return from a function"); f != nil {
			return 0, f
		}
		w.step.Kind = prune.Return
		return w.s.Pop() + 1, nil
	}
	if f := w.leave("exit"); f != nil {
		return 0, f
	}
	if w.row.RetVoid && w.s.Top().Callback == nil && w.s.Top().Sub == 0 {
		return end, nil
	}
	if _, f := w.read(isa.R0); f != nil {
		return 0, f
	}
	if cb := w.s.Top().Callback; cb != nil {
		return end, w.callbackReturn(cb, r0)
	}
	if f := w.leak(isa.R0, r0, fault.LeakReturn); f != nil {
		return 0, f
	}
	return end, w.result(isa.R0, r0)
}

// result judges what the program, or a function that is walked on its own, returns in register r.
func (w *walk) result(r isa.Reg, v *state.Reg) fault.Fault {
	if sub := w.s.Frame(0).Sub; sub != 0 && sub != w.exception {
		return w.globalReturn(sub, v)
	}
	if w.row.RetAny {
		return nil
	}
	allowed := fault.Span{Lo: w.row.RetMin, Hi: w.row.RetMax}
	if v.Kind != state.Scalar {
		return fault.ReturnRange{Reg: r, Kind: v.Describe(), Allowed: allowed}
	}
	w.exact(r)
	has := fault.Span{Lo: v.Val.SMin, Hi: v.Val.SMax}
	if w.row.Ret32 {
		has = fault.Span{Lo: int64(v.Val.SMin32), Hi: int64(v.Val.SMax32)}
	}
	if has.Lo < allowed.Lo || has.Hi > allowed.Hi {
		return fault.ReturnRange{Reg: r, Value: has, Allowed: allowed}
	}
	return nil
}

func (w *walk) call(in isa.Insn) (int, fault.Fault) {
	var p *call.Proto
	var f fault.Fault
	switch {
	case in.UsesReg():
		return 0, fault.Unsupported{What: "calls through a register"}
	case in.Src == isa.CallLocal:
		return w.enter(in)
	case in.Src == isa.CallHelper:
		p, f = call.Helper(in.Imm, &w.rules)
	case in.Src == isa.CallKfunc && w.throwing(in):
		return w.throw()
	case in.Src == isa.CallKfunc:
		k, f := call.KernelFunc(in.Imm, w.s, &w.rules)
		if f != nil {
			return 0, f
		}
		if k != nil {
			return w.callKfunc(k)
		}
		if p, f = call.Pseudo(in.Imm, &w.rules); f != nil {
			return 0, f
		}
	default:
		return 0, fault.BadEncoding{Insn: in, Want: "a helper, function or kfunc"}
	}
	if f != nil {
		return 0, f
	}
	return w.callProto(p)
}

// callProto walks a call of a helper or a pseudo-kfunc.
func (w *walk) callProto(p *call.Proto) (int, fault.Fault) {
	if f := w.underLock(p); f != nil {
		return 0, f
	}
	if p.Sleeps {
		if f := w.sleeps(p.Name); f != nil {
			return 0, f
		}
	}
	e, f := call.Check(w.s, &w.layout, p, w.pc, w.img.UserTypes, &w.rules)
	if f != nil {
		return 0, f
	}
	if p.TailCall {
		if f := w.leave("a call of " + p.Name); f != nil {
			return 0, f
		}
	}
	if p.Callback != nil {
		if f := w.callback(e); f != nil {
			return 0, f
		}
	}
	if p.TailCall && w.s.Depth() == 1 && w.img.Target.Version >= tailCallEnds {
		e.ChangesPacket = false // it failed, and nothing ran
	}
	w.apply(e)
	if f := w.oneEach(p); f != nil {
		return 0, f
	}
	if p.TailCall {
		return w.tailCall()
	}
	return w.pc + 1, nil
}

// apply makes the effects of a call true.
func (w *walk) apply(e *call.Effects) {
	w.exact(e.Exact...)
	if e.Key != nil {
		for o := e.Key.Lo; o < e.Key.Hi; o++ {
			w.path.Exact(w.insns, prune.Place{Frame: uint8(e.Key.Frame), Slot: true, Index: uint8(state.SlotOf(o))})
		}
	}
	w.listStack(e)
	for _, b := range e.Stack {
		w.touch(b.Frame, b.Lo)
		if b.Write && b.Hi > b.Lo {
			w.s.Edit(b.Frame).StoreBytes(b.Lo, b.Hi-b.Lo, state.Misc)
		}
	}
	if e.Release != 0 {
		w.s.Release(e.Release, w.released())
	}
	if e.DropDynptr != 0 {
		w.s.ReleaseDynptr(e.DropDynptr, w.released())
	}
	if e.ChangesPacket {
		w.s.VoidSlices()
		w.s.ForgetPacket(w.released())
	}
	if d := e.Dynptr; d != nil {
		if d.Acquire != "" {
			d.Ref = w.s.Acquire(w.pc, d.Acquire)
		}
		w.s.MakeDynptr(d.Frame, d.Off, d.Kind, d.Ref)
	}
	w.s.Clobber()
	ret := e.Ret
	if e.Acquire != "" {
		ret.Ref = w.s.Acquire(w.pc, e.Acquire)
		ret.ID = ret.Ref
	} else if ret.Nullable || ret.Distinct {
		ret.ID = w.s.NewID()
	}
	w.s.Set(isa.R0, ret)
	if e.Lock != nil {
		w.s.TakeLock(*e.Lock)
	}
	if e.Unlock {
		w.s.DropLock()
	}
	if e.Map >= 0 {
		if old, seen := w.callMap[w.pc]; seen && old != e.Map {
			e.Map = -1
		}
		w.callMap[w.pc] = e.Map
		if e.Map >= len(w.img.Maps) { // within a map: which one is known at run time only
			e.Map = -1
		}
		w.facts.Insns[w.pc].Map = e.Map
	}
}
