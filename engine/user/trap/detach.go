package trap

// This file lets the target go and leaves it as it was found.

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// detach removes every breakpoint, brings each thread back to the original
// code, and lets them go. What cannot be stopped in time (a thread that waits
// in vfork, or in the kernel) is let go by the end of the tracing thread: its
// memory is whole again, and it is not at a breakpoint.
func (tr *Tracer) detach() {
	cmd := tr.opt.Command
	if cmd != nil {
		defer cmd.Return()
	}
	if len(tr.threads) == 0 {
		return
	}
	complete := true
	if err := tr.hold(detachTimeout); err != nil {
		complete = false
	}
	if tr.ended() {
		tr.buryImage()
		return
	}
	if tr.img != nil {
		if t := tr.anyStopped(); t != nil {
			tr.img.tid = t.tid
		}
		if err := tr.img.restore(tr.img.mem); err != nil && !ended(tr.img.tid) {
			tr.fail(err)
		}
	}
	for _, t := range tr.threads {
		if t.stopped {
			tr.settle(t)
		}
		complete = complete && (t.stopped || t.exiting)
	}
	if tr.img != nil {
		if complete && tr.guests == 0 {
			tr.unmapAreas()
		}
		tr.img.close()
	}
	for _, t := range tr.threads {
		if t.stopped {
			_ = detachThread(t.tid, pendingSignal(t))
			delete(tr.threads, t.tid)
		}
	}
}

// pendingSignal is the signal that t stopped for and that it must still get.
func pendingSignal(t *thread) syscall.Signal {
	if t.ws == 0 || event(t.ws) != 0 {
		return 0
	}
	return syscall.Signal(t.ws >> 8 & 0xff)
}

// settle moves a stopped thread from a breakpoint or a copy to where it would
// be without them.
func (tr *Tracer) settle(t *thread) {
	if tr.img == nil || event(t.ws) == unix.PTRACE_EVENT_EXIT || event(t.ws) == unix.PTRACE_EVENT_EXEC {
		return
	}
	if pendingSignal(t) == unix.SIGTRAP {
		if s := tr.breakpointHit(t); s != nil {
			_ = setReg(t.tid, tr.arch.ip, s.addr)
			t.ws = 0
			return
		}
	}
	if t.drop && pendingSignal(t) == unix.SIGCONT {
		t.ws = 0
	}
	for range 8 {
		if getRegs(t.tid, &tr.regs) != nil {
			return
		}
		ip := tr.regs[tr.arch.ip]
		s := tr.img.copyAt(ip)
		switch {
		case s == nil:
			return
		case ip == s.copy:
			_ = setReg(t.tid, tr.arch.ip, s.addr)
			return
		case ip == s.copy+s.body:
			_ = setReg(t.tid, tr.arch.ip, s.addr+s.len)
			return
		}
		if !tr.stepOut(t) {
			return
		}
	}
	tr.img.pinned = true
}

// stepOut executes one instruction of a copy.
func (tr *Tracer) stepOut(t *thread) bool {
	var info siginfo
	isSignal := pendingSignal(t) != 0 && getSiginfo(t.tid, &info) == nil
	var mask uint64
	if getSigmask(t.tid, &mask) != nil || setSigmask(t.tid, allSignals) != nil {
		return false
	}
	_, err := tr.step(t, nil)
	_ = setSigmask(t.tid, mask)
	if isSignal {
		_ = setSiginfo(t.tid, &info)
	}
	if err == nil && tr.isGroupStop(t.ws) {
		tr.stopAgain(t)
	}
	return err == nil
}

// unmapAreas removes the pages with copies. They stay where a signal handler
// may return into one: the address is then in a frame on some stack.
func (tr *Tracer) unmapAreas() {
	t := tr.anyStopped()
	if t == nil || tr.img.pinned {
		return
	}
	for _, a := range tr.img.areas {
		if _, err := tr.remoteCall(t, tr.arch.sysMunmap, a.base, pageSize, 0, 0, 0, 0); err != nil {
			return
		}
	}
	tr.img.areas = nil
}

// buryImage ends the session after the target's end: processes that still
// work in its memory get it back whole.
func (tr *Tracer) buryImage() {
	if tr.opt.Command != nil {
		defer tr.opt.Command.Return()
	}
	tr.evictGuests()
}

// evictGuests takes the breakpoints out of memory that the target has left
// and lets the processes go that are still in it.
func (tr *Tracer) evictGuests() {
	if tr.img == nil {
		return
	}
	defer tr.img.close()
	if tr.guests == 0 {
		return
	}
	target := map[int]*thread{}
	for tid, t := range tr.threads { // only the guests are to be stopped
		if !t.guest {
			target[tid] = t
			delete(tr.threads, tid)
		}
	}
	holding := tr.holding
	_ = tr.hold(detachTimeout)
	tr.holding = holding
	for tid, t := range tr.threads {
		if !t.guest {
			continue
		}
		if mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", tid), os.O_RDWR, 0); err == nil {
			if err := tr.img.restore(mem); err != nil && !ended(tid) {
				tr.fail(err)
			}
			mem.Close()
		}
		if t.stopped {
			tr.settle(t)
			_ = detachThread(tid, pendingSignal(t))
			delete(tr.threads, tid)
			tr.guests--
		}
	}
	for tid, t := range target {
		tr.threads[tid] = t
	}
}
