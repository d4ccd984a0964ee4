package trap

// This file handles the stops and ends of traced threads.

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func event(ws unix.WaitStatus) int { return int(uint32(ws) >> 16) }

// dispatch takes what wait reported.
func (tr *Tracer) dispatch(tid int, ws unix.WaitStatus) {
	if ws.Exited() || ws.Signaled() {
		tr.gone(tid, ws)
		return
	}
	if !ws.Stopped() {
		return
	}
	t := tr.threads[tid]
	if t == nil {
		if t = tr.newcomer(tid); t == nil {
			return
		}
	}
	t.stopped, t.ws = true, ws
	switch event(ws) {
	case unix.PTRACE_EVENT_CLONE, unix.PTRACE_EVENT_FORK, unix.PTRACE_EVENT_VFORK:
		tr.announced(t)
	}
	if !tr.holding {
		tr.handle(t)
	}
}

// announced notes the child that an event of t tells of.
func (tr *Tracer) announced(t *thread) {
	child, err := eventMessage(t.tid)
	switch {
	case err != nil:
	case tr.early[child]:
		delete(tr.early, child)
	case tr.threads[child] == nil:
		tr.expected[child] = true
	}
}

// newcomer takes the first stop of a thread that the kernel attached for us.
// It returns nil for one that was let go again.
func (tr *Tracer) newcomer(tid int) *thread {
	if tr.expected[tid] {
		delete(tr.expected, tid)
	} else {
		tr.early[tid] = true
	}
	tgid := statusInt(tid, "Tgid")
	t := &thread{tid: tid, tgid: tgid}
	if tgid == tr.pid {
		tr.threads[tid] = t
		return t
	}
	if tr.isGuest(t) {
		t.guest = true
		tr.guests++
		tr.threads[tid] = t
		return t
	}
	tr.freeChild(t)
	return nil
}

// isGuest reports whether a new process works in the target's memory, as
// after vfork: then the breakpoints must stay, and it must survive them.
func (tr *Tracer) isGuest(t *thread) bool {
	if same, ok := sharesMemory(t.tid, tr.alive()); ok {
		return same
	}
	for _, p := range tr.threads {
		if p.vfork || event(p.ws) == unix.PTRACE_EVENT_VFORK {
			if child, err := eventMessage(p.tid); err == nil && child == t.tid {
				return true
			}
		}
	}
	return false
}

// alive is a thread of the target that still has its memory.
func (tr *Tracer) alive() int {
	for tid, t := range tr.threads {
		if !t.guest && !t.exiting {
			return tid
		}
	}
	return tr.pid
}

// freeChild takes the breakpoints out of a forked child's copy of the memory
// and lets the child go: probes on a process are not probes on its children.
func (tr *Tracer) freeChild(t *thread) {
	if tr.img != nil {
		mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", t.tid), os.O_RDWR, 0)
		if err == nil {
			err = tr.img.restore(mem)
			mem.Close()
		}
		if err != nil && !ended(t.tid) {
			tr.fail(fmt.Errorf("child process %d: its breakpoints could not be removed: %w", t.tid, err))
		}
	}
	_ = detachThread(t.tid, 0)
}

// gone takes the end of a thread.
func (tr *Tracer) gone(tid int, ws unix.WaitStatus) {
	delete(tr.expected, tid)
	if t := tr.threads[tid]; t != nil {
		if t.guest {
			tr.guests--
		}
		delete(tr.threads, tid)
	}
	if tid == tr.pid && tr.opt.Command != nil {
		tr.opt.Command.Exited(syscall.WaitStatus(ws))
	}
}

func (tr *Tracer) isGroupStop(ws unix.WaitStatus) bool {
	if event(ws) != unix.PTRACE_EVENT_STOP {
		return false
	}
	switch syscall.Signal(ws >> 8 & 0xff) {
	case unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU:
		return true
	}
	return false
}

// resume lets a thread go on, with a signal or without.
func (t *thread) resume(sig syscall.Signal) {
	t.stopped = false
	_ = cont(t.tid, sig) // ESRCH: killed; its end is reported by wait
}

// handle reacts to the stop of t and lets it go on.
func (tr *Tracer) handle(t *thread) {
	sig := syscall.Signal(t.ws >> 8 & 0xff)
	switch event(t.ws) {
	case 0:
		switch {
		case t.ws == 0: // nothing to react to
			t.resume(0)
		case sig != unix.SIGTRAP || !tr.trapped(t):
			tr.signal(t, sig)
		}
	case unix.PTRACE_EVENT_STOP:
		if tr.isGroupStop(t.ws) {
			t.stopped = false
			_ = listen(t.tid)
			if t.tid == tr.pid && tr.opt.Command != nil {
				go tr.opt.Command.Stopped(sig)
			}
			return
		}
		t.resume(0)
	case unix.PTRACE_EVENT_EXEC:
		tr.exec(t)
	case unix.PTRACE_EVENT_VFORK:
		t.vfork = true
		t.resume(0)
	case unix.PTRACE_EVENT_VFORK_DONE:
		t.vfork = false
		t.resume(0)
	case unix.PTRACE_EVENT_EXIT:
		t.exiting = true
		t.resume(0)
	default:
		t.resume(0)
	}
}

// signal delivers a signal of the target's own. Its handler must not see a
// copy's address where that can be helped.
func (tr *Tracer) signal(t *thread, sig syscall.Signal) {
	if sig == unix.SIGCONT && t.drop {
		t.drop = false
		t.resume(0)
		return
	}
	if tr.img != nil && len(tr.img.areas) > 0 && getRegs(t.tid, &tr.regs) == nil {
		ip := tr.regs[tr.arch.ip]
		if s := tr.img.copyAt(ip); s != nil {
			switch {
			case ip == s.copy+s.body:
				_ = setReg(t.tid, tr.arch.ip, s.addr+s.len)
			case ip == s.copy && tr.isFault(t, sig): // the instruction itself failed
				_ = setReg(t.tid, tr.arch.ip, s.addr)
			default:
				tr.img.pinned = true // the handler returns into the copy
			}
		}
	}
	t.resume(sig)
}

// isFault reports whether an instruction of t raised sig.
func (tr *Tracer) isFault(t *thread, sig syscall.Signal) bool {
	switch sig {
	case unix.SIGSEGV, unix.SIGBUS, unix.SIGILL, unix.SIGFPE, unix.SIGTRAP:
		return getSiginfo(t.tid, &tr.info) == nil && tr.info.code() > 0
	}
	return false
}

// trapped handles a SIGTRAP that one of our breakpoints raised; it returns
// false for any other.
func (tr *Tracer) trapped(t *thread) bool {
	s := tr.breakpointHit(t)
	if s == nil {
		return false
	}
	if !t.guest { // what other processes do in this memory is not the target's doing
		tr.hitSite(t, s)
	}
	if t.stopped { // a callback may have seen it die
		_ = setReg(t.tid, tr.arch.ip, s.copy)
		t.resume(0)
	}
	return true
}

// breakpointHit finds the breakpoint that t stopped at, with its registers in tr.regs.
func (tr *Tracer) breakpointHit(t *thread) *site {
	if tr.img == nil || getRegs(t.tid, &tr.regs) != nil {
		return nil
	}
	s := tr.img.sites[tr.regs[tr.arch.ip]-1]
	if s == nil || getSiginfo(t.tid, &tr.info) != nil || tr.info.code() != siKernel {
		return nil
	}
	return s
}

// exec takes a new program: of the target, whose memory and other threads are
// gone, or of a guest, which now has memory of its own and is let go.
func (tr *Tracer) exec(t *thread) {
	if t.guest {
		tr.guests--
		delete(tr.threads, t.tid)
		_ = detachThread(t.tid, 0)
		return
	}
	for tid, o := range tr.threads {
		if o != t && !o.guest {
			delete(tr.threads, tid)
		}
	}
	t.frames, t.exiting, t.vfork = nil, false, false
	if tr.guests == 0 && tr.img != nil {
		tr.img.close()
	} else {
		tr.evictGuests()
	}
	tr.img = nil
	if tr.opt.OnExec != nil {
		tr.opt.OnExec()
	}
	img, err := newImage(t.tid, tr.arch)
	if err != nil && ended(t.tid) {
		t.resume(0)
		return
	}
	if err != nil {
		tr.fail(fmt.Errorf("process %d after exec: %w", tr.pid, err))
		t.resume(0)
		return
	}
	tr.img = img
	tr.placePending(t)
	if t.stopped {
		t.resume(0)
	}
}
