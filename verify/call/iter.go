package call

import (
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/mem"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file judges iterators, saved flags of interrupts, and calls that open and end regions.

// StackObject is an object on the stack that a call makes, steps or ends.
type StackObject struct {
	Frame, Off, Size int
	Reg              state.Reg // as it is before the call; made: what it becomes
	Role             abi.IterRole
	Save, Restore    bool // a saved flag of interrupts
}

// onStack finds where on the stack an object is.
func (c *kfuncCall) onStack(r isa.Reg, v *state.Reg, size int, bad fault.ObjectState) (StackObject, fault.Fault) {
	if v.Kind != state.Stack {
		bad.Reason = fault.ObjectNotStack
		return StackObject{}, bad
	}
	off, ok := v.ConstOff()
	if !ok || off%state.SlotSize != 0 {
		bad.Reason = fault.ObjectOffset
		return StackObject{}, bad
	}
	if off < -state.StackSize || off+int64(size) > 0 {
		return StackObject{}, fault.StackBounds{Reg: r, Off: fault.Span{Lo: off, Hi: off}, Size: int64(size)}
	}
	return StackObject{Frame: int(v.Frame), Off: int(off), Size: size}, nil
}

// span is the stack that an object takes, for liveness.
func (c *kfuncCall) span(o StackObject, fresh bool) {
	c.out.Stack = append(c.out.Stack, mem.Span{Frame: o.Frame, Lo: o.Off, Hi: o.Off + o.Size, Read: !fresh})
}

// iter judges an iterator.
func (c *kfuncCall) iter(i int, a *kfuncArg, r isa.Reg, v *state.Reg) fault.Fault {
	st, ok := a.target.(*btf.Struct)
	if !ok || a.size == 0 || a.size%state.SlotSize != 0 {
		return fault.Unsupported{What: "iterator of kfunc " + c.f.Name}
	}
	bad := fault.ObjectState{Func: c.f.Name, Arg: i + 1, Reg: r, Kind: "iterator " + strings.TrimPrefix(st.Name, "bpf_")}
	o, f := c.onStack(r, v, a.size, bad)
	if f != nil {
		return f
	}
	frame := c.s.Frame(o.Frame)
	o.Role = c.f.Iter
	if c.f.Iter == abi.IterNew {
		if frame.HasObject(o.Off, o.Size) {
			bad.Reason = fault.ObjectThere
			return bad
		}
		o.Reg = state.Reg{Kind: state.Iter, Type: c.l.Types.ID(state.Kernel, st)}
		if c.f.RCUProtected {
			o.Reg.Trust = state.Untrusted
			if c.s.InRCU(c.r.Attach.Sleepable) {
				o.Reg.Trust = state.RCU
			}
		}
		c.span(o, true)
		c.out.Object = &o
		return nil
	}
	have := frame.ObjectAt(o.Off, o.Size, state.Iter)
	switch {
	case have == nil || have.Type != c.l.Types.ID(state.Kernel, st):
		bad.Reason = fault.ObjectNone
		return bad
	case have.Trust == state.Untrusted:
		bad.Reason = fault.ObjectRCU
		return bad
	}
	o.Reg = *have
	c.span(o, false)
	if c.f.Iter != abi.NoIter {
		c.out.Object = &o
	}
	return nil
}

// element makes what an iterator gives when it gives something.
func (c *kfuncCall) element() fault.Fault {
	t, ok := c.f.ret.(*btf.Pointer)
	if !ok || c.out.Object == nil {
		return fault.Unsupported{What: "what kfunc " + c.f.Name + " returns"}
	}
	it := &c.out.Object.Reg
	c.ref = it.Ref
	null := c.f.RetNull
	c.f.RetNull = false // the walk takes both ways
	f := c.pointerTo(state.Strip(t.Target))
	c.f.RetNull = null
	if f != nil {
		return f
	}
	if c.out.Ret.Kind == state.BTF {
		c.out.Ret.Trust = state.Trusted
		if it.Trust == state.RCU {
			c.out.Ret.Trust = state.RCU
		}
	}
	return nil
}

// irqFlag judges a saved flag of interrupts.
func (c *kfuncCall) irqFlag(i int, r isa.Reg, v *state.Reg) fault.Fault {
	bad := fault.ObjectState{Func: c.f.Name, Arg: i + 1, Reg: r, Kind: "saved interrupt flag"}
	o, f := c.onStack(r, v, state.SlotSize, bad)
	if f != nil {
		return f
	}
	frame := c.s.Frame(o.Frame)
	lock := c.f.Lock != abi.NoLock
	if c.f.Region == abi.IRQSave || c.f.Lock == abi.TakesLock {
		if frame.HasObject(o.Off, o.Size) {
			bad.Reason = fault.ObjectThere
			return bad
		}
		o.Save = true
		c.span(o, true)
		c.out.Object = &o
		return nil
	}
	have := frame.ObjectAt(o.Off, o.Size, state.IRQFlag)
	irqs := c.s.IRQs
	switch {
	case have == nil:
		bad.Reason = fault.ObjectNone
		return bad
	case len(irqs) == 0 || irqs[len(irqs)-1].ID != have.ID:
		bad.Reason = fault.ObjectOrder
		return bad
	case irqs[len(irqs)-1].Lock != lock:
		bad.Reason = fault.ObjectOther
		return bad
	}
	o.Reg, o.Restore = *have, true
	c.span(o, false)
	c.out.Object = &o
	return nil
}

// region judges calls that open and end regions.
func (c *kfuncCall) region() fault.Fault {
	bad := fault.RegionState{Func: c.f.Name, Region: fault.RegionRCU}
	switch c.f.Region {
	case abi.RCULock:
		if bad.Nested = true; c.s.RCU > 0 {
			return bad
		}
	case abi.RCUUnlock:
		if c.s.RCU == 0 {
			return bad
		}
	case abi.PreemptEnable:
		if bad.Region = fault.RegionPreempt; c.s.Preempt == 0 {
			return bad
		}
	case abi.PreemptDisable:
		if c.s.Preempt == 255 {
			return fault.Unsupported{What: "more than 255 nested sections that can't be preempted"}
		}
	}
	c.out.Region = c.f.Region
	return nil
}
