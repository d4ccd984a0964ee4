package engine

// This file defines Command: a program that gtrace starts, held before its
// first instruction until the probes are in place.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// StartOptions say how Start runs a command. The zero value inherits everything.
type StartOptions struct {
	Env []string // nil: this process's environment
	Dir string   // "": the working directory
	// Stdin, Stdout and Stderr are the command's; nil: this process's.
	Stdin, Stdout, Stderr *os.File
}

// Command is a started program. Until Release it is stopped right behind its
// exec, with no instruction of it executed, and dies with this process.
//
// It is in a process group of its own. Where its standard input is this
// process's controlling terminal, that group is the terminal's foreground
// group, so that Ctrl-C reaches the command and only it; Wait and Close give
// the terminal back.
type Command struct {
	pid   int
	name  string
	pidfd int
	tty   int // descriptor of the terminal whose foreground group is the command's; -1: none
	back  int // the foreground group to restore

	holds chan func() // work for the thread that holds the command; closed at release

	mu       sync.Mutex
	changed  *sync.Cond
	state    commandState
	reaped   bool
	traced   bool // another thread traces it, and reaps it
	status   syscall.WaitStatus
	waitErr  error
	restored bool
	released chan struct{}
}

type commandState uint8

const (
	held       commandState = iota // in a ptrace stop of the starting thread
	handedOver                     // stopped by SIGSTOP, for another thread to seize
	running
)

// Start starts argv with its own process group and leaves it stopped. The
// error says why a command cannot be run: not found, not executable, not a program.
func Start(argv []string, opts StartOptions) (*Command, error) {
	if len(argv) == 0 || argv[0] == "" {
		return nil, errors.New("no command to start")
	}
	path, err := lookCommand(argv[0])
	if err != nil {
		return nil, err
	}
	c := &Command{name: argv[0], pidfd: -1, tty: -1, holds: make(chan func()), released: make(chan struct{})}
	c.changed = sync.NewCond(&c.mu)
	attr := c.attributes(opts)
	started := make(chan error)
	go c.hold(path, argv, attr, started)
	if err := <-started; err != nil {
		c.restoreTerminal()
		return nil, err
	}
	return c, nil
}

// lookCommand finds the file of a command as a shell would, and says why it cannot be run.
func lookCommand(name string) (string, error) {
	path, err := exec.LookPath(name)
	switch {
	case err == nil || errors.Is(err, exec.ErrDot):
	case errors.Is(err, exec.ErrNotFound):
		return "", fmt.Errorf("cannot start %q: no such command in $PATH", name)
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("cannot start %q: no such file", name)
	case errors.Is(err, fs.ErrPermission):
		if st, serr := os.Stat(name); serr == nil && st.IsDir() {
			return "", fmt.Errorf("cannot start %q: it is a directory", name)
		}
		return "", fmt.Errorf("cannot start %q: no permission to execute it", name)
	default:
		if st, serr := os.Stat(name); serr == nil && st.IsDir() {
			return "", fmt.Errorf("cannot start %q: it is a directory", name)
		}
		return "", fmt.Errorf("cannot start %q: %w", name, err)
	}
	return path, nil
}

// startReason turns the error of fork and exec into one that says what to do.
func startReason(name string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("cannot start %q: not a program of this machine (a script needs a #! line): %w", name, err)
	case errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("cannot start %q: its interpreter (#! line or dynamic loader) does not exist: %w", name, err)
	case errors.Is(err, syscall.ETXTBSY):
		return fmt.Errorf("cannot start %q: the file is open for writing: %w", name, err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("cannot start %q: no permission to execute it or its interpreter: %w", name, err)
	}
	return fmt.Errorf("cannot start %q: %w", name, err)
}

// attributes builds the process attributes and decides on the terminal.
func (c *Command) attributes(opts StartOptions) *syscall.ProcAttr {
	file := func(f, def *os.File) *os.File {
		if f == nil {
			return def
		}
		return f
	}
	in, out, errw := file(opts.Stdin, os.Stdin), file(opts.Stdout, os.Stdout), file(opts.Stderr, os.Stderr)
	env := opts.Env
	if env == nil {
		env = os.Environ()
	}
	attr := &syscall.ProcAttr{
		Dir: opts.Dir, Env: env,
		Files: []uintptr{in.Fd(), out.Fd(), errw.Fd()},
		Sys:   &syscall.SysProcAttr{Ptrace: true, Setpgid: true, PidFD: &c.pidfd},
	}
	// Only a process of the foreground group may hand the terminal on: a gtrace
	// that runs in the background must not take it from the shell.
	fd := int(in.Fd())
	if fg, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err == nil && fg == unix.Getpgrp() {
		if dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3); err == nil {
			c.tty, c.back = dup, fg
			attr.Sys.Foreground, attr.Sys.Ctty = true, dup
		}
	}
	return attr
}

// hold starts the command on a thread of its own and serves that thread's
// ptrace requests until the command is let go: only the thread that traces a
// process may ask for anything about it.
func (c *Command) hold(path string, argv []string, attr *syscall.ProcAttr, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := c.startStopped(path, argv, attr); err != nil {
		started <- err
		return
	}
	started <- nil
	for f := range c.holds {
		f()
	}
}

// startStopped forks and execs, and waits for the stop behind the exec.
func (c *Command) startStopped(path string, argv []string, attr *syscall.ProcAttr) error {
	pid, err := syscall.ForkExec(path, argv, attr)
	if err != nil {
		return startReason(c.name, err)
	}
	c.pid = pid
	if c.pidfd < 0 {
		if c.pidfd, err = unix.PidfdOpen(pid, 0); err != nil {
			c.killNow()
			return fmt.Errorf("cannot start %q: pidfd_open: %w (Linux 5.3 or newer is needed)", c.name, err)
		}
	}
	var ws unix.WaitStatus
	if err := wait4(pid, &ws); err != nil {
		c.killNow()
		return fmt.Errorf("cannot start %q: waiting for its exec: %w", c.name, err)
	}
	if !ws.Stopped() {
		unix.Close(c.pidfd)
		return fmt.Errorf("cannot start %q: it ended before its first instruction (%s)", c.name, StatusString(syscall.WaitStatus(ws)))
	}
	if err := unix.PtraceSetOptions(pid, unix.PTRACE_O_EXITKILL); err != nil {
		c.killNow()
		return fmt.Errorf("cannot start %q: PTRACE_O_EXITKILL: %w", c.name, err)
	}
	return nil
}

// wait4 waits for one child of the calling thread.
func wait4(pid int, ws *unix.WaitStatus) error {
	for {
		_, err := unix.Wait4(pid, ws, unix.WALL|unix.WNOTHREAD, nil)
		if err != unix.EINTR {
			return err
		}
	}
}

// killNow ends a command that could not be set up; on the holding thread.
func (c *Command) killNow() {
	_ = unix.Kill(c.pid, unix.SIGKILL)
	var ws unix.WaitStatus
	for wait4(c.pid, &ws) == nil && !ws.Exited() && !ws.Signaled() {
	}
	if c.pidfd >= 0 {
		unix.Close(c.pidfd)
	}
}

// PID is the command's process id.
func (c *Command) PID() int { return c.pid }

// Name is the command as it was given.
func (c *Command) Name() string { return c.name }

// Foreground reports whether the command owns the terminal: then Ctrl-C
// reaches it without anybody's help. Otherwise forward SIGINT with Signal.
func (c *Command) Foreground() bool { return c.tty >= 0 }

// Release lets the command run. Only the first call does something.
func (c *Command) Release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	switch c.state {
	case held:
		err = c.onHolder(func() error { return unix.PtraceDetach(c.pid) })
	case handedOver:
		err = unix.PidfdSendSignal(c.pidfd, unix.SIGCONT, nil, 0)
	case running:
		return nil
	}
	c.state = running
	close(c.released)
	if c.tty >= 0 && !c.traced {
		go c.watchStops()
	}
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("cannot let %q (process %d) run: %w", c.name, c.pid, err)
	}
	return nil
}

// Released is closed once the command runs.
func (c *Command) Released() <-chan struct{} { return c.released }

// onHolder runs f on the holding thread, for the last time: that thread ends.
func (c *Command) onHolder(f func() error) error {
	errc := make(chan error, 1)
	c.holds <- func() { errc <- f() }
	close(c.holds)
	return <-errc
}

// Handover makes the command's tracer another thread, the caller's: the
// command is left untraced in a group stop (SIGSTOP), to be seized and later
// let go by Release, which sends SIGCONT. From here on the caller reaps it:
// it reports the end by Exited, or gives that duty back by Return.
func (c *Command) Handover() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != held {
		return fmt.Errorf("%q (process %d) was let go already", c.name, c.pid)
	}
	err := c.onHolder(func() error {
		// Not PtraceDetach: it delivers no signal.
		_, _, e := syscall.RawSyscall6(syscall.SYS_PTRACE, unix.PTRACE_DETACH, uintptr(c.pid), 0, uintptr(unix.SIGSTOP), 0, 0)
		if e != 0 {
			return e
		}
		var info unix.Siginfo
		for {
			// WNOWAIT: an exit must stay for the one who reaps.
			err := unix.Waitid(unix.P_PID, c.pid, &info, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT|unix.WNOTHREAD, nil)
			if err != unix.EINTR {
				return err
			}
		}
	})
	if err != nil {
		return fmt.Errorf("cannot hand over %q (process %d): %w", c.name, c.pid, err)
	}
	c.state, c.traced = handedOver, true
	return nil
}

// Exited is told the command's end by the thread that traced and reaped it.
func (c *Command) Exited(ws syscall.WaitStatus) {
	c.mu.Lock()
	if !c.reaped {
		c.reaped, c.status = true, ws
	}
	c.changed.Broadcast()
	c.mu.Unlock()
}

// Return ends the duty that Handover gave: Wait reaps again.
func (c *Command) Return() {
	c.mu.Lock()
	c.traced = false
	c.changed.Broadcast()
	c.mu.Unlock()
}

// Wait waits for the command's end, gives the terminal back and reports the
// exit status. It can be called more than once and from any goroutine.
func (c *Command) Wait() (syscall.WaitStatus, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.reaped && c.waitErr == nil {
		// A pidfd becomes readable at the end without consuming anything, so
		// that a tracer's waits and this one never compete.
		fd := c.pidfd
		c.mu.Unlock()
		err := pollEnd(fd)
		c.mu.Lock()
		switch {
		case c.reaped:
		case err != nil:
			c.waitErr = err
		case c.traced:
			c.changed.Wait()
		default:
			c.reap()
		}
		c.changed.Broadcast()
	}
	c.restoreTerminalLocked()
	if c.waitErr != nil {
		return 0, fmt.Errorf("waiting for %q (process %d): %w", c.name, c.pid, c.waitErr)
	}
	return c.status, nil
}

func pollEnd(pidfd int) error {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(fds, -1); err != unix.EINTR {
			return err
		}
	}
}

// reap collects the status of a command that has ended; c.mu is held.
func (c *Command) reap() {
	var ws unix.WaitStatus
	for {
		n, err := unix.Wait4(c.pid, &ws, unix.WALL, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			c.waitErr = err
			return
		case n == c.pid && (ws.Exited() || ws.Signaled()):
			c.reaped, c.status = true, syscall.WaitStatus(ws)
			return
		}
	}
}

// Signal sends a signal to the command's process group: what Ctrl-C does
// where there is a terminal. Nothing is sent once the command was reaped.
func (c *Command) Signal(sig syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaped {
		return os.ErrProcessDone
	}
	err := unix.Kill(-c.pid, sig)
	if err != nil { // it made itself another group, or left it
		err = unix.PidfdSendSignal(c.pidfd, sig, nil, 0)
	}
	return err
}

// Kill ends the command, whatever it is doing.
func (c *Command) Kill() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaped {
		return os.ErrProcessDone
	}
	return unix.PidfdSendSignal(c.pidfd, unix.SIGKILL, nil, 0)
}

// Close gives the terminal back, and kills a command that was never released:
// it ends without having run. A running command is left alone.
func (c *Command) Close() error {
	c.mu.Lock()
	unreleased := c.state != running && !c.reaped
	isHeld := c.state == held
	c.mu.Unlock()
	var err error
	if unreleased {
		_ = c.Kill()
		if isHeld {
			c.mu.Lock()
			_ = c.onHolder(func() error { return nil })
			c.state = running
			close(c.released)
			c.mu.Unlock()
		}
		_, err = c.Wait()
	}
	c.restoreTerminal()
	return err
}

func (c *Command) restoreTerminal() {
	c.mu.Lock()
	c.restoreTerminalLocked()
	c.mu.Unlock()
}

// restoreTerminalLocked makes the foreground group what it was before Start.
func (c *Command) restoreTerminalLocked() {
	if c.tty < 0 || c.restored {
		return
	}
	c.restored = true
	if fg, err := unix.IoctlGetInt(c.tty, unix.TIOCGPGRP); err == nil && fg != c.back {
		setForeground(c.tty, c.back)
	}
	unix.Close(c.tty)
}

// StatusString says how a process ended: "exit status 3", "killed by SIGSEGV (core dumped)".
func StatusString(ws syscall.WaitStatus) string {
	switch {
	case ws.Exited():
		return fmt.Sprintf("exit status %d", ws.ExitStatus())
	case ws.Signaled():
		s := "killed by " + signalName(ws.Signal())
		if ws.CoreDump() {
			s += " (core dumped)"
		}
		return s
	}
	return fmt.Sprintf("wait status %#x", uint32(ws))
}

func signalName(sig syscall.Signal) string {
	if n := unix.SignalName(sig); n != "" {
		return n
	}
	return strings.TrimSpace(fmt.Sprintf("signal %d", int(sig)))
}
