package verify

import (
	"fmt"

	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/call"
	"github.com/gtrace-dev/gtrace/verify/cfg"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/scalar"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file walks calls of kernel functions, and the loops of iterators.

// kernelFuncs are the kernel functions that the program calls; nil for none.
func (w *walk) kernelFuncs() *call.Kfuncs {
	if len(w.img.Kfuncs) == 0 {
		return nil
	}
	k := &call.Kfuncs{Funcs: w.img.Kfuncs}
	k.Ctx, k.KernelCtx = ctxTypes(w.img.Target, w.img.Attach.Type)
	return k
}

// ctxTypes are the context of programs of type t as programs see it, and as
// the kernel has it: BTF says so in the members of struct bpf_ctx_convert.
func ctxTypes(target *image.Target, t abi.ProgType) (prog, kernel btf.Type) {
	conv, err := kernelStruct(target, "bpf_ctx_convert")
	if err != nil {
		return nil, nil
	}
	spec, err := target.BTF()
	if err != nil {
		return nil, nil
	}
	var types *btf.Enum
	if spec.TypeByName("bpf_prog_type", &types) != nil {
		return nil, nil
	}
	for _, v := range types.Values {
		if v.Value != uint64(t) {
			continue
		}
		for _, m := range conv.(*btf.Struct).Members {
			switch m.Name {
			case v.Name + "_prog":
				prog = m.Type
			case v.Name + "_kern":
				kernel = m.Type
			}
		}
	}
	return prog, kernel
}

func kernelType(t *image.Target, id uint32) (btf.Type, error) {
	if t.BTF == nil {
		return nil, fmt.Errorf("the target has no types")
	}
	spec, err := t.BTF()
	if err != nil {
		return nil, err
	}
	return spec.TypeByID(btf.TypeID(id))
}

// kfuncLicense judges what the kernel judges of all calls of kernel functions, also where no path comes.
func (w *walk) kfuncLicense() (int, fault.Fault) {
	if w.rules.GPL || w.rules.Kernel == nil {
		return 0, nil
	}
	for i := 0; i < len(w.insns); i = cfg.Next(w.insns, i) {
		in := w.insns[i]
		if fn := w.img.Kfuncs[in.Imm]; in.IsCall() && in.Src == isa.CallKfunc && fn != nil {
			return i, fault.ForbiddenKfunc{Func: fn.Name, Program: w.row.Name, Reason: fault.KfuncLicense}
		}
	}
	return 0, nil
}

// stepsIterator reports whether a call steps an iterator.
func (w *walk) stepsIterator(in isa.Insn) bool {
	fn := w.img.Kfuncs[in.Imm]
	if in.Src != isa.CallKfunc || fn == nil {
		return false
	}
	k := abi.KernelFuncByName(fn.Name)
	return k != nil && k.Iter == abi.IterNext
}

// kfuncSleeps reports whether a kernel function may sleep.
func (w *walk) kfuncSleeps(in isa.Insn) bool {
	fn := w.img.Kfuncs[in.Imm]
	if fn == nil {
		return false
	}
	k := abi.KernelFuncByName(fn.Name)
	return k != nil && k.Sleepable
}

// callKfunc walks the call of a kernel function.
func (w *walk) callKfunc(k *call.Kfunc) (int, fault.Fault) {
	if n := len(w.s.Locks); n > 0 && !k.UnderLock {
		if k.Incomplete() { // it may be one that wants the lock
			return 0, fault.Unsupported{What: "kfunc " + k.Name}
		}
		return 0, fault.InRegion{What: "a call of " + k.Name, Region: fault.RegionLock, Since: w.s.Locks[n-1].Insn}
	}
	if k.Sleepable {
		if f := w.sleeps(k.Name); f != nil {
			return 0, f
		}
	}
	if a := w.img.Attach; k.HoldsLocks && !a.Sleepable && a.Type != abi.LSM && (a.Type != abi.Tracing || a.Expected != abi.AttachTraceIter) {
		return 0, fault.ForbiddenKfunc{Func: k.Name, Program: w.row.Name, Reason: fault.KfuncLocks}
	}
	e, f := call.CheckKernelFunc(w.s, &w.layout, k, w.pc, &w.rules)
	if f != nil {
		return 0, f
	}
	if k.Lock == abi.TakesLock {
		if f := w.notLocked(); f != nil {
			return 0, f
		}
	}
	if e.Callback != nil {
		if f := w.callback(e); f != nil {
			return 0, f
		}
	}
	w.apply(e)
	w.applyRegion(e.Region)
	if e.Object == nil {
		return w.pc + 1, nil
	}
	return w.applyObject(k, e)
}

// notLocked queues the way on which a lock could not be taken.
func (w *walk) notLocked() fault.Fault {
	other, f := w.fork()
	if f != nil {
		return f
	}
	other.s.Clobber()
	other.s.Set(isa.R0, state.Number(scalar.Signed(-maxErrno, -1)))
	w.queue(other)
	return nil
}

func (w *walk) applyRegion(r abi.RegionRole) {
	switch s := w.s; r {
	case abi.RCULock:
		s.RCU++
	case abi.RCUUnlock:
		s.LeaveRCU()
	case abi.PreemptDisable:
		s.Preempt++
	case abi.PreemptEnable:
		s.Preempt--
	}
}

// applyObject makes, steps or ends an object on the stack.
func (w *walk) applyObject(k *call.Kfunc, e *call.Effects) (int, fault.Fault) {
	o := e.Object
	switch {
	case o.Save:
		id := w.s.SaveIRQ(w.pc, k.Lock != abi.NoLock)
		v := state.Reg{Kind: state.IRQFlag, ID: id}
		w.s.Edit(o.Frame).PutObject(o.Off, o.Size, v, v)
	case o.Restore:
		w.s.RestoreIRQ()
		w.s.Edit(o.Frame).DropObject(o.Off, o.Size)
	case o.Role == abi.IterNew:
		rest := o.Reg
		o.Reg.Ref = w.s.Acquire(w.pc, k.Name)
		w.s.Edit(o.Frame).PutObject(o.Off, o.Size, o.Reg, rest)
	case o.Role == abi.IterDestroy:
		w.s.Edit(o.Frame).DropObject(o.Off, o.Size)
		w.s.Release(o.Reg.Ref, w.released())
	case o.Role == abi.IterNext:
		return w.iterNext(e)
	}
	return w.pc + 1, nil
}

// iterNext goes on without an element, and leaves the way with one for later.
func (w *walk) iterNext(e *call.Effects) (int, fault.Fault) {
	o := e.Object
	if o.Reg.Active() {
		other, f := w.fork()
		if f != nil {
			return 0, f
		}
		turned := o.Reg
		turned.Off++
		other.s.Edit(o.Frame).SetObject(o.Off, turned)
		other.path.Widen(w.pc, other.s)
		w.queue(other)
	}
	done := o.Reg
	done.Nullable = true
	w.s.Edit(o.Frame).SetObject(o.Off, done)
	w.s.Set(isa.R0, state.Constant(0))
	return w.pc + 1, nil
}

// stepped is the iterator that the call before s steps.
func stepped(s *state.State) *state.Reg {
	v := s.Reg(isa.R1)
	off, ok := v.ConstOff()
	if v.Kind != state.Stack || !ok || off >= 0 {
		return nil
	}
	slot := s.Frame(int(v.Frame)).SlotAt(int(off))
	if slot == nil {
		return nil
	}
	return slot.Object()
}

// unrolls: iterators differ in how many turns they made.
func unrolls(old, cur *state.State) bool {
	for i := range min(old.Depth(), cur.Depth()) {
		a, b := old.Frame(i), cur.Frame(i)
		for j := range min(len(a.Slots), len(b.Slots)) {
			x, y := a.Slots[j].Object(), b.Slots[j].Object()
			if x != nil && y != nil && x.Active() && x.Ref != 0 && x.Off != y.Off {
				return true
			}
		}
	}
	return false
}
