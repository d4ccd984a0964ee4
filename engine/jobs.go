package engine

// This file is job control: what the terminal does to the command (Ctrl-Z, a
// read in the background) happens to gtrace too, so that the shell takes over.

import (
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// watchStops waits for stops of a command that no thread traces, until it is reaped.
func (c *Command) watchStops() {
	for {
		var info unix.Siginfo
		switch err := unix.Waitid(unix.P_PID, c.pid, &info, unix.WSTOPPED, nil); err {
		case nil:
			c.Stopped(stopSignal(&info))
		case unix.EINTR:
		default:
			return
		}
	}
}

// Stopped is told the signal that stopped the command, by the thread that
// traces it where there is one. For a signal of the terminal it stops gtrace
// like the command, and lets both go on together.
func (c *Command) Stopped(sig syscall.Signal) {
	if sig != unix.SIGTSTP && sig != unix.SIGTTIN && sig != unix.SIGTTOU {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c.mu.Lock()
	fg, ok := c.foregroundLocked()
	if ok && fg == c.pid {
		setForeground(c.tty, c.back)
	}
	c.mu.Unlock()
	if !ok {
		return
	}
	if fg != c.back {
		// To this very thread, which is stopped before it returns from the call: a
		// signal to the process could stop it late, behind what follows. The kernel
		// ignores it where no shell could continue us (an orphaned group). Other
		// members of a pipeline stop when they touch the terminal, or by the next Ctrl-Z.
		_ = unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGTSTP)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// Behind fg the terminal is ours to hand on; behind bg it is the shell's.
	if fg, ok := c.foregroundLocked(); ok && fg == c.back {
		setForeground(c.tty, c.pid)
	}
	_ = unix.Kill(-c.pid, unix.SIGCONT)
}

// foregroundLocked is the terminal's foreground group, while the terminal is shared with the command.
func (c *Command) foregroundLocked() (pgrp int, ok bool) {
	if c.tty < 0 || c.restored || c.reaped {
		return 0, false
	}
	fg, err := unix.IoctlGetInt(c.tty, unix.TIOCGPGRP)
	return fg, err == nil
}

// setForeground makes pgrp the terminal's foreground group. A background
// process that does so gets SIGTTOU, which would stop it, unless the calling
// thread blocks it.
func setForeground(tty, pgrp int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var block, old unix.Sigset_t
	block.Val[0] = 1 << (uint(unix.SIGTTOU) - 1)
	if unix.PthreadSigmask(unix.SIG_BLOCK, &block, &old) == nil {
		defer unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
	}
	_ = unix.IoctlSetPointerInt(tty, unix.TIOCSPGRP, pgrp)
}

// stopSignal is si_status of a child's stop (sigaction(2)): behind si_signo,
// si_errno, si_code, padding to 8 bytes, si_pid and si_uid.
func stopSignal(info *unix.Siginfo) syscall.Signal {
	b := (*[128]byte)(unsafe.Pointer(info))
	return syscall.Signal(*(*int32)(unsafe.Pointer(&b[24])))
}
