package verify

import (
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/verify/call"
	"github.com/gtrace-dev/gtrace/verify/fault"
)

// This file judges what may not happen within a region: under a lock, within
// RCU's read-side section, with preemption or interrupts off.

// leave judges the end of the program, or what ends it: nothing may be left
// that only the program could undo. what names it: "exit", "a tail call".
func (w *walk) leave(what string) fault.Fault {
	s := w.s
	if n := len(s.Locks); n > 0 {
		return fault.InRegion{What: what, Region: fault.RegionLock, Since: s.Locks[n-1].Insn}
	}
	if refs := s.Refs(); len(refs) > 0 {
		return fault.LeakedReference{Acquired: refs[0].Insn, Func: refs[0].Func}
	}
	switch {
	case len(s.IRQs) > 0:
		return fault.InRegion{What: what, Region: fault.RegionIRQ, Since: s.IRQs[len(s.IRQs)-1].Insn}
	case s.RCU > 0:
		return fault.InRegion{What: what, Region: fault.RegionRCU}
	case s.Preempt > 0:
		return fault.InRegion{What: what, Region: fault.RegionPreempt}
	}
	return nil
}

// underLock judges a call of a helper or kfunc while a lock is held.
func (w *walk) underLock(p *call.Proto) fault.Fault {
	if n := len(w.s.Locks); n > 0 && !p.UnderLock {
		return fault.InRegion{What: "a call of " + p.Name, Region: fault.RegionLock, Since: w.s.Locks[n-1].Insn}
	}
	return nil
}

// sleeps judges a call that may sleep.
func (w *walk) sleeps(name string) fault.Fault {
	bad := fault.InRegion{What: "a call of " + name, Sleeps: true}
	switch s := w.s; {
	case len(s.Locks) > 0:
		bad.Region = fault.RegionLock
	case s.RCU > 0:
		bad.Region = fault.RegionRCU
	case s.Preempt > 0:
		bad.Region = fault.RegionPreempt
	case len(s.IRQs) > 0:
		bad.Region = fault.RegionIRQ
	default:
		return nil
	}
	return bad
}

// mayNotSleep is the release that knows of global functions whether they may
// sleep: in 6.12 none may be called where preemption or interrupts are off.
var mayNotSleep = abi.V(6, 18)

func (w *walk) calledAsleep(name string, maySleep bool) fault.Fault {
	if maySleep {
		return w.sleeps("global function " + name)
	}
	bad := fault.InRegion{What: "a call of global function " + name, Region: fault.RegionPreempt}
	switch {
	case w.s.Preempt > 0:
		return bad
	case len(w.s.IRQs) > 0:
		bad.Region = fault.RegionIRQ
		return bad
	}
	return nil
}

// globalCall judges a call of a global function, which is verified on its own.
func (w *walk) globalCall(name string, maySleep bool) fault.Fault {
	if n := len(w.s.Locks); n > 0 {
		return fault.InRegion{What: "a call of global function " + name, Region: fault.RegionLock, Since: w.s.Locks[n-1].Insn}
	}
	if maySleep || w.img.Target.Version < mayNotSleep {
		return w.calledAsleep(name, maySleep)
	}
	return nil
}
