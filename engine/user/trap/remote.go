package trap

// This file makes system calls in the target.

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var errGone = errors.New("the target ended")

// findGadget finds a system call instruction in the target: in the vdso, else
// in any text.
func (im *image) findGadget() (uint64, error) {
	if im.gadget != 0 {
		return im.gadget, nil
	}
	search := func(m *mapping) bool {
		b := make([]byte, min(m.end-m.start, 4<<20))
		n, _ := im.mem.ReadAt(b, int64(m.start))
		if i := bytes.Index(b[:n], im.arch.syscall); i >= 0 {
			im.gadget = m.start + uint64(i)
			return true
		}
		return false
	}
	for pass := range 2 {
		for i := range im.maps {
			m := &im.maps[i]
			if m.exec && (m.path == "[vdso]") == (pass == 0) && m.path != "[vsyscall]" && search(m) {
				return im.gadget, nil
			}
		}
	}
	return 0, errors.New("no system call instruction in the target's text")
}

// remoteCall makes system call nr on stopped thread t and leaves t stopped,
// as it was. The error is the call's errno, or says why it was not made.
func (tr *Tracer) remoteCall(t *thread, nr uint64, args ...uint64) (uint64, error) {
	im := tr.img
	gadget, err := im.findGadget()
	if err != nil {
		return 0, err
	}
	if statusField(t.tid, "Seccomp") != seccompDisabled && statusField(t.tid, "Seccomp") != "" {
		if err := setOptions(t.tid, tr.options|suspendSeccomp); err != nil {
			return 0, fmt.Errorf("the target runs under seccomp, which may kill it for a system call of ours, and suspending that is refused: %w (CAP_SYS_ADMIN is needed)", err)
		}
		defer setOptions(t.tid, tr.options)
	}
	switch event(t.ws) {
	case unix.PTRACE_EVENT_EXEC, unix.PTRACE_EVENT_CLONE, unix.PTRACE_EVENT_FORK, unix.PTRACE_EVENT_VFORK_DONE:
		// The thread is inside a system call, which is yet to write its result
		// into a register: a step ends the call and executes nothing more.
		if _, err := tr.step(t, nil); err != nil {
			return 0, err
		}
		t.ws = 0
	}
	var saved, regs registers
	var mask uint64
	var info siginfo
	isSignal := t.ws.Stopped() && event(t.ws) == 0
	if isSignal {
		isSignal = getSiginfo(t.tid, &info) == nil
	}
	if err := errors.Join(getRegs(t.tid, &saved), getSigmask(t.tid, &mask), setSigmask(t.tid, allSignals)); err != nil {
		return 0, fmt.Errorf("system call in the target: %w", err)
	}
	regs = saved
	a := im.arch
	regs[a.ip], regs[a.nr], regs[a.orig] = gadget, nr, ^uint64(0) // no number: nothing to restart
	for i, v := range args {
		regs[a.args[i]] = v
	}
	result, err := tr.step(t, &regs)
	if errors.Is(err, errGone) {
		return 0, err
	}
	if rerr := errors.Join(setRegs(t.tid, &saved), setSigmask(t.tid, mask)); rerr != nil && err == nil {
		err = fmt.Errorf("system call in the target: %w", rerr)
	}
	if isSignal { // the step's own trap took its place
		_ = setSiginfo(t.tid, &info)
	}
	if tr.isGroupStop(t.ws) {
		tr.stopAgain(t)
	}
	if err != nil {
		return 0, err
	}
	if v := result[a.result]; int64(v) < 0 && int64(v) > -4096 {
		return 0, syscall.Errno(-int64(v))
	}
	return result[a.result], nil
}

// step runs one instruction on t with regs and returns the registers after it.
func (tr *Tracer) step(t *thread, regs *registers) (registers, error) {
	var out registers
	if regs != nil {
		if err := setRegs(t.tid, regs); err != nil {
			return out, fmt.Errorf("system call in the target: %w", err)
		}
	}
	var later syscall.Signal // SIGSTOP cannot be blocked: it is sent again afterwards
	defer func() {
		if later != 0 {
			_ = syscall.Tgkill(t.tgid, t.tid, later)
		}
	}()
	for range 16 {
		if err := singleStep(t.tid); err != nil {
			return out, fmt.Errorf("single step in the target: %w", err)
		}
		ws, err := tr.waitFor(t.tid)
		if err != nil {
			return out, err
		}
		if ws.Exited() || ws.Signaled() {
			tr.gone(t.tid, ws)
			return out, errGone
		}
		if event(ws) == 0 && ws.StopSignal() == unix.SIGTRAP {
			return out, getRegs(t.tid, &out)
		}
		if event(ws) == unix.PTRACE_EVENT_EXIT { // killed; it must go on to end
			t.exiting = true
			_ = cont(t.tid, 0)
			return out, errGone
		}
		if event(ws) == 0 {
			later = ws.StopSignal()
		}
	}
	return out, errors.New("the target does not execute a single instruction: it is stopped again and again")
}

// stopAgain brings a thread that was in a group stop back into it, so that
// PTRACE_LISTEN is possible.
func (tr *Tracer) stopAgain(t *thread) {
	if interrupt(t.tid) != nil || cont(t.tid, 0) != nil {
		return
	}
	ws, err := tr.waitFor(t.tid)
	switch {
	case err != nil:
	case ws.Exited() || ws.Signaled():
		tr.gone(t.tid, ws)
	default:
		t.ws = ws
	}
}

// waitFor waits for one tracee. The end of a process's first thread is reported
// only when every other thread has been waited for, which is not done here: a
// zombie counts as gone, and the main loop reaps it with the others.
func (tr *Tracer) waitFor(tid int) (unix.WaitStatus, error) {
	for pause := time.Duration(0); ; pause = min(2*pause+time.Microsecond, time.Millisecond) {
		n, ws, err := wait4(tid, unix.WNOHANG)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, errGone
		case n == tid:
			return ws, nil
		case pause >= 100*time.Microsecond && zombie(tid):
			return 0, errGone
		}
		time.Sleep(pause)
	}
}

// zombie reports whether a thread has ended without being waited for (proc(5), /proc/PID/stat).
func zombie(tid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", tid))
	if err != nil {
		return false // gone for good: wait4 says so
	}
	_, rest, ok := bytes.Cut(stat[max(bytes.LastIndexByte(stat, ')'), 0):], []byte(") "))
	return ok && len(rest) > 0 && (rest[0] == 'Z' || rest[0] == 'X')
}
