package call

import (
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/mem"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file judges arguments that are special fields of map values, among them locks.

// field requires that argument r points to the field of the kind in a map's value.
func (c *checker) field(r isa.Reg, v *state.Reg, kind abi.SpecialKind, wrong fault.WrongArgument) (*mem.Special, fault.Fault) {
	if v.Kind != state.MapValue || v.Nullable {
		return nil, wrong
	}
	off, ok := v.ConstOff()
	if !ok {
		return nil, fault.PointerOffset{Reg: r, Kind: v.Describe(), Off: v.Span(0), Variable: true}
	}
	s := c.l.Field(int(v.Map), kind)
	switch {
	case s == nil:
		wrong.Got = "a value of map " + c.l.Maps[v.Map].Name + ", which has none"
		return nil, wrong
	case off != int64(s.Off):
		return nil, fault.SpecialField{Reg: r, Map: c.l.Maps[v.Map].Name, Field: s.Name, Off: int64(s.Off), Reason: fault.SpecialMisaligned}
	}
	return s, nil
}

// spinLock judges the lock that argument r points to.
func (c *checker) spinLock(r isa.Reg, v *state.Reg, wrong fault.WrongArgument) fault.Fault {
	if _, f := c.field(r, v, abi.SpinLock, wrong); f != nil {
		return f
	}
	l := state.Lock{Kind: state.SpinLock, Map: v.Map, ID: v.ID, Insn: c.insn}
	held := c.s.Locks
	bad := fault.LockState{Func: c.p.Name}
	if len(held) > 0 {
		bad.Taken = held[len(held)-1].Insn
	}
	switch {
	case c.p.Lock == abi.TakesLock && len(held) > 0:
		bad.Reason = fault.LockSecond
	case c.p.Lock == abi.TakesLock:
		c.out.Lock = &l
		return nil
	case len(held) == 0:
		bad.Reason = fault.LockNone
	case !same(held[len(held)-1], l):
		bad.Reason = fault.LockDifferent
	default:
		c.out.Unlock = true
		return nil
	}
	return bad
}

func same(a, b state.Lock) bool {
	a.Insn, b.Insn = 0, 0
	return a == b
}

// timer judges the timer that argument r points to.
func (c *checker) timer(r isa.Reg, v *state.Reg, wrong fault.WrongArgument) fault.Fault {
	_, f := c.field(r, v, abi.Timer, wrong)
	if f != nil {
		return f
	}
	if c.l.Within(int(v.Map)) {
		return fault.Unsupported{What: "timers in maps within maps"}
	}
	c.out.Map, c.owner = int(v.Map), int(v.Map)+1
	return nil
}

// workQueue judges the work queue that argument r points to.
func (c *checker) workQueue(r isa.Reg, v *state.Reg, wrong fault.WrongArgument) fault.Fault {
	if _, f := c.field(r, v, abi.WorkQueue, wrong); f != nil {
		return f
	}
	if c.l.Within(int(v.Map)) {
		return fault.Unsupported{What: "work queues in maps within maps"}
	}
	c.owner = int(v.Map) + 1
	return nil
}

// resLock judges the lock that argument r of a kernel function points to.
func (c *kfuncCall) resLock(r isa.Reg, v *state.Reg, wrong fault.WrongArgument) fault.Fault {
	if _, f := c.field(r, v, abi.ResSpinLock, wrong); f != nil {
		return f
	}
	l := state.Lock{Kind: state.ResSpinLock, Map: v.Map, ID: v.ID, Insn: c.insn}
	if len(c.f.Args) > 1 {
		l.Kind = state.ResSpinLockIRQ
	}
	held := c.s.Locks
	if c.f.Lock == abi.TakesLock {
		for _, h := range held {
			if h.Kind != state.SpinLock && h.Map == l.Map && h.Type == l.Type && h.ID == l.ID {
				return fault.LockState{Func: c.f.Name, Taken: h.Insn, Reason: fault.LockTwice}
			}
		}
		c.out.Lock = &l
		return nil
	}
	if len(held) == 0 {
		return fault.LockState{Func: c.f.Name, Reason: fault.LockNone}
	}
	bad := fault.LockState{Func: c.f.Name, Taken: held[len(held)-1].Insn, Reason: fault.LockDifferent}
	for i, h := range held {
		if same(h, l) {
			if i < len(held)-1 {
				bad.Reason = fault.LockOrder
				return bad
			}
			c.out.Unlock = true
			return nil
		}
	}
	return bad
}

// owned requires that a map is the one that holds the timer in the argument before.
func (c *checker) owned(v *state.Reg, wrong fault.WrongArgument) fault.Fault {
	if c.owner != 0 && int(v.Map) != c.owner-1 {
		wrong.Want = "map " + c.l.Maps[c.owner-1].Name + ", which holds what the argument before points to"
		wrong.Got = "map " + c.l.Maps[v.Map].Name
		return wrong
	}
	return nil
}
