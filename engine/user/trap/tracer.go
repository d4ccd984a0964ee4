// Package trap watches places in a running process by breakpoints: it attaches
// with ptrace, puts a one-byte breakpoint on each place, calls back at each
// hit, and leaves the process as it was found.
//
// It knows processes, threads and instructions; it knows nothing of BPF. One
// locked operating system thread makes every ptrace and wait call, because the
// kernel ties a tracee to a thread.
package trap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Probe is a place to watch.
type Probe struct {
	Name   string // for messages
	Path   string // the ELF file
	Addr   uint64 // virtual address in the file's own terms
	Offset uint64 // the same as a file offset; 0: found from Addr
	Return bool   // watch the return of the function that starts there
}

// Hit is a thread of the target at a probe. It is valid during the call only.
type Hit struct {
	Probe    int
	PID, TID int
	Context  []byte // struct pt_regs
}

// Command is a target that was started stopped; *engine.Command is one.
type Command interface {
	PID() int
	Handover() error
	Release() error
	Exited(syscall.WaitStatus)
	Return()
	Stopped(sig syscall.Signal) // a signal stopped it
}

// Options say what to watch and whom to tell. The callbacks run on the tracing
// thread, one at a time, with the hitting thread stopped.
type Options struct {
	PID     int
	Command Command // nil: attach to PID
	Probes  []Probe
	OnHit   func(*Hit)
	// Ready is called once every probe is in place, before the target goes on.
	Ready func() error
	// OnExec is called when the target has a new program and name.
	OnExec func()
}

// Tracer is an attached target.
type Tracer struct {
	opt     Options
	arch    *arch
	pid     int
	self    int // the tracing thread
	options int // ptrace options in force

	threads  map[int]*thread
	expected map[int]bool // children that an event announced and that did not stop yet
	early    map[int]bool // children that stopped before the event announced them
	img      *image
	files    []file // of Probes
	offsets  []uint64
	holding  bool // stops are kept instead of being handled
	guests   int
	isParent bool // the target is a child of this process, which wants its exit status

	stopping atomic.Bool
	poked    atomic.Bool
	attached chan error
	done     chan struct{}

	mu     sync.Mutex
	states []State
	err    error

	regs registers
	info siginfo
	hit  Hit
}

// State is what became of a probe.
type State struct {
	Sites int   // breakpoints placed so far
	Err   error // why it could not be placed somewhere, or a return be watched; the last reason
}

// thread is a traced thread.
type thread struct {
	tid, tgid int
	guest     bool // of another process, which shares the target's memory
	stopped   bool
	ws        unix.WaitStatus // the stop
	exiting   bool            // past its exit event: it runs no more code
	vfork     bool            // waits in the kernel for its child
	drop      bool            // one SIGCONT is ours
	frames    []frame
}

const (
	attachTimeout = 10 * time.Second
	detachTimeout = 2 * time.Second
	patience      = 200 * time.Millisecond
)

// Attach attaches to the target and places the probes. When it returns, the
// target runs with all of them, or an error says why none is there.
func Attach(ctx context.Context, opt Options) (*Tracer, error) {
	a, err := hostArch()
	if err != nil {
		return nil, err
	}
	tr := &Tracer{
		opt: opt, arch: a, pid: opt.PID, options: seizeOptions,
		threads: map[int]*thread{}, expected: map[int]bool{}, early: map[int]bool{},
		attached: make(chan error, 1), done: make(chan struct{}),
		states: make([]State, len(opt.Probes)),
	}
	if opt.Command != nil {
		tr.pid = opt.Command.PID()
	}
	if err := tr.lookUpFiles(); err != nil {
		return nil, err
	}
	if tr.pid == os.Getpid() {
		return nil, fmt.Errorf("cannot trace process %d: it is gtrace itself", tr.pid)
	}
	go tr.run()
	select {
	case err = <-tr.attached:
	case <-ctx.Done():
		tr.Stop()
		if err = <-tr.attached; err == nil {
			err = ctx.Err()
		}
	}
	if err != nil {
		<-tr.done
		return nil, err
	}
	return tr, nil
}

// lookUpFiles finds each probe's file and file offset.
func (tr *Tracer) lookUpFiles() error {
	for _, p := range tr.opt.Probes {
		f, err := statFile(p.Path)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		off := p.Offset
		if off == 0 {
			if off, err = fileOffset(p.Path, p.Addr); err != nil {
				return fmt.Errorf("%s: %w", p.Name, err)
			}
		}
		if p.Return && isGo(p.Path) {
			return fmt.Errorf("%s: unsupported: return probes in Go programs on the user engine: goroutines change threads and stacks while a call is open", p.Name)
		}
		tr.files, tr.offsets = append(tr.files, f), append(tr.offsets, off)
	}
	return nil
}

// Done is closed when the target is gone or was let go.
func (tr *Tracer) Done() <-chan struct{} { return tr.done }

// Err says, after Done, what went wrong at the end; nil when nothing did.
func (tr *Tracer) Err() error {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.err
}

// States reports on each probe.
func (tr *Tracer) States() []State {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return slices.Clone(tr.states)
}

// Stop removes the probes and lets the target go, and returns when that is done.
func (tr *Tracer) Stop() {
	tr.stopping.Store(true)
	for {
		tr.wake()
		select {
		case <-tr.done:
			return
		case <-time.After(2 * time.Millisecond): // a signal right before the wait is lost
		}
	}
}

// wake makes a blocked wait of the tracing thread return. A wait cannot watch
// anything but children, so a signal has to end it.
func (tr *Tracer) wake() {
	tr.poked.Store(true)
	if tid := tr.tracingThread(); tid != 0 {
		interruptible()
		_ = unix.Tgkill(os.Getpid(), tid, wakeSignal)
	}
}

// wakeSignal is one that Go's runtime handles and does nothing about.
const wakeSignal = unix.SIGIO

// interruptible makes wakeSignal end system calls. Go installs its handlers
// with SA_RESTART, which would make the kernel go on waiting.
func interruptible() { changeHandler(wakeSignal, 0, saRestart) }

// quietStops tells the kernel not to send this process a SIGCHLD for each stop
// of a tracee: wait reports it anyway, and a signal costs some thread of ours
// a run of Go's handler.
func quietStops() { changeHandler(unix.SIGCHLD, saNoCldStop, 0) }

const (
	saNoCldStop = 1
	saRestart   = 0x10000000
)

// changeHandler changes the flags of a signal's handler and nothing else of it.
func changeHandler(sig syscall.Signal, set, reset uint64) {
	type sigaction struct{ handler, flags, restorer, mask uint64 }
	var sa sigaction
	if _, _, e := syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), 0, uintptr(unsafe.Pointer(&sa)), sigsetSize, 0, 0); e != 0 {
		return
	}
	if flags := sa.flags&^reset | set; flags != sa.flags {
		sa.flags = flags
		_, _, _ = syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&sa)), 0, sigsetSize, 0, 0)
	}
}

func (tr *Tracer) tracingThread() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.self
}

func (tr *Tracer) fail(err error) {
	tr.mu.Lock()
	if tr.err == nil {
		tr.err = err
	}
	tr.mu.Unlock()
}

// run starts the tracing thread. It must not be the process's first thread:
// Go cannot end that one, and attachments that are left would stay.
func (tr *Tracer) run() {
	runtime.LockOSThread()
	if unix.Gettid() != os.Getpid() {
		tr.trace()
		return
	}
	locked := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(locked)
		tr.trace()
	}()
	<-locked // until here the first thread is taken, by this goroutine
	runtime.UnlockOSThread()
}

// trace is the tracing thread. It is never unlocked: the goroutine's end ends
// the thread, and with it every attachment that is left.
func (tr *Tracer) trace() {
	defer func() { go tr.finish() }()
	quietStops()
	tr.mu.Lock()
	tr.self = unix.Gettid()
	tr.mu.Unlock()
	err := tr.attach()
	if err != nil {
		tr.detach()
		tr.attached <- err
		return
	}
	tr.attached <- nil
	for !tr.ended() {
		if tr.stopping.Load() {
			tr.detach()
			return
		}
		if !tr.wait() {
			break
		}
	}
	tr.buryImage()
}

// finish announces the end: once the tracing thread itself is gone, where it
// takes attachments with it.
func (tr *Tracer) finish() {
	for range 5000 {
		if len(tr.threads) == 0 || unix.Tgkill(os.Getpid(), tr.self, 0) != nil {
			break
		}
		time.Sleep(200 * time.Microsecond)
	}
	close(tr.done)
}

// ended reports whether no thread of the target is left.
func (tr *Tracer) ended() bool { return len(tr.threads) == tr.guests }

// wait waits for one stop or end of a tracee and handles it. It returns
// false when there is no tracee; also early, with true, when woken.
func (tr *Tracer) wait() bool {
	if tr.poked.Swap(false) && tr.stopping.Load() && !tr.holding {
		return true
	}
	from := -1
	if tr.isParent && tr.guests == 0 {
		var ended bool
		if from, ended = tr.peek(); ended {
			return true
		}
	}
	tid, ws, err := wait4(from, 0)
	switch {
	case err == unix.EINTR || err == nil && tid == 0:
		return true
	case err != nil:
		return false
	}
	tr.dispatch(tid, ws)
	return true
}

// peek waits for an event, leaves it, and returns whose it is. It takes notice
// of the end of a target that is our own child and does not reap it: somebody
// else in this process waits for its exit status. (That one must not wait
// before the end: the kernel would hand it the stops that are meant for us.)
func (tr *Tracer) peek() (tid int, ended bool) {
	tid, code, err := peekWait()
	switch {
	case err == unix.EINTR:
		return -1, true
	case err != nil:
		return -1, false
	case tid == tr.pid && (code == cldExited || code == cldKilled || code == cldDumped):
		delete(tr.threads, tid)
		return tid, true
	}
	return tid, false
}

// attach seizes the target, stops it, places the probes and lets it go on.
func (tr *Tracer) attach() error {
	if tr.opt.Command != nil {
		if err := tr.opt.Command.Handover(); err != nil {
			return err
		}
		tr.options |= unix.PTRACE_O_EXITKILL // until it is released
	} else {
		tr.isParent = statusInt(tr.pid, "PPid") == os.Getpid()
	}
	if err := tr.seizeAll(); err != nil {
		return err
	}
	if err := tr.hold(attachTimeout); err != nil {
		return err
	}
	tr.seizeGuests()
	t := tr.anyStopped()
	if t == nil {
		return fmt.Errorf("process %d ended while gtrace attached to it", tr.pid)
	}
	var err error
	if tr.img, err = newImage(t.tid, tr.arch); err != nil {
		return fmt.Errorf("process %d: %w", tr.pid, err)
	}
	if err := tr.placeFirst(t); err != nil {
		return err
	}
	if tr.opt.Ready != nil {
		if err := tr.opt.Ready(); err != nil {
			return err
		}
	}
	if tr.opt.Command != nil {
		tr.options &^= unix.PTRACE_O_EXITKILL
		if err := setOptions(t.tid, tr.options); err != nil {
			return fmt.Errorf("process %d: PTRACE_SETOPTIONS: %w", tr.pid, err)
		}
		t.drop, t.ws = true, 0
		if err := tr.opt.Command.Release(); err != nil {
			return err
		}
	}
	tr.unhold()
	return nil
}

// seizeAll attaches to every thread of the target, those included that start meanwhile.
func (tr *Tracer) seizeAll() error {
	seen := map[int]bool{}
	for {
		tids, err := tasks(tr.pid)
		if err != nil || len(tids) == 0 {
			return fmt.Errorf("no process %d", tr.pid)
		}
		fresh := false
		for _, tid := range tids {
			if seen[tid] {
				continue
			}
			seen[tid], fresh = true, true
			err := seize(tid, tr.options)
			switch {
			case err == nil:
				tr.threads[tid] = &thread{tid: tid, tgid: tr.pid}
			case err == unix.ESRCH || threadState(tid) == 'Z' || threadState(tid) == 'X': // ended
			case statusInt(tid, "TracerPid") == tr.self: // started by a thread that is ours already
			default:
				return tr.seizeError(tid, err)
			}
		}
		if !fresh {
			break
		}
	}
	if len(tr.threads) == 0 {
		return fmt.Errorf("process %d has ended and waits for its parent to notice (zombie)", tr.pid)
	}
	return nil
}

// seizeGuests attaches to children that work in the target's memory since
// before we came: after vfork, until they exec. They must survive breakpoints.
func (tr *Tracer) seizeGuests() {
	var queue []int
	for tid := range tr.threads {
		queue = append(queue, children(tr.pid, tid)...)
	}
	for ; len(queue) > 0; queue = queue[1:] {
		pid := queue[0]
		if same, ok := sharesMemory(pid, tr.alive()); !ok || !same {
			continue
		}
		tids, _ := tasks(pid)
		for _, tid := range tids {
			if tr.threads[tid] == nil && seize(tid, tr.options) == nil {
				tr.threads[tid] = &thread{tid: tid, tgid: pid, guest: true}
				tr.guests++
			}
			queue = append(queue, children(pid, tid)...)
		}
	}
}

// seizeError says why a thread cannot be traced, and what to do.
func (tr *Tracer) seizeError(tid int, err error) error {
	if by := statusInt(tid, "TracerPid"); by != 0 {
		return fmt.Errorf("cannot trace process %d: process %d (%s) traces it already (a debugger, strace, another gtrace?); only one can", tr.pid, by, commandName(by))
	}
	if !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("cannot trace process %d: PTRACE_SEIZE: %w", tr.pid, err)
	}
	hint := ""
	var st syscall.Stat_t
	if syscall.Stat(fmt.Sprintf("/proc/%d", tr.pid), &st) == nil && int(st.Uid) != os.Geteuid() && os.Geteuid() != 0 {
		hint = fmt.Sprintf(": it belongs to user %d and gtrace runs as user %d; run gtrace as that user or as root", st.Uid, os.Geteuid())
	} else if b, rerr := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope"); rerr == nil && len(b) > 0 && b[0] != '0' {
		hint = fmt.Sprintf(": /proc/sys/kernel/yama/ptrace_scope is %c; start the program with gtrace (behind --), run gtrace as root, or write 0 there", b[0])
	} else {
		hint = ": it changed its user, holds privileges that gtrace lacks, or a security module forbids it; run gtrace as root"
	}
	return fmt.Errorf("cannot trace process %d: PTRACE_SEIZE: %w%s", tr.pid, err, hint)
}

// hold stops every thread and keeps the stops unhandled, until unhold.
//
// A thread that waits in the kernel uninterruptibly, as one does whose vfork
// child has not gone on, does not stop: hold goes on without it after
// patience. It executes nothing of the target's and stops before it does.
func (tr *Tracer) hold(timeout time.Duration) error {
	tr.holding = true
	for _, t := range tr.threads {
		if !t.stopped && !t.exiting {
			_ = interrupt(t.tid)
		}
	}
	done := make(chan struct{})
	defer close(done)
	go func() { // a wait ends only by an event: make some
		tick := time.NewTicker(patience)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				tr.wake()
			}
		}
	}()
	for begin := time.Now(); ; {
		t := tr.unstopped(false)
		if t == nil && len(tr.expected) == 0 {
			if !tr.trapPending() {
				return nil
			}
			continue
		}
		switch waited := time.Since(begin); {
		case waited > patience && tr.unstopped(true) == nil && len(tr.expected) == 0:
			return nil
		case waited > timeout && t == nil: // an announced child never came
			return nil
		case waited > timeout:
			return fmt.Errorf("cannot stop thread %d of process %d within %v: it is in state %c", t.tid, t.tgid, timeout, threadState(t.tid))
		}
		if !tr.wait() {
			return nil
		}
	}
}

// trapPending looks for threads that executed a breakpoint and were stopped
// before its signal was delivered, and makes them stop for the signal instead.
func (tr *Tracer) trapPending() (again bool) {
	if tr.img == nil {
		return false
	}
	for _, t := range tr.threads {
		if !t.stopped || event(t.ws) != unix.PTRACE_EVENT_STOP || getRegs(t.tid, &tr.regs) != nil {
			continue
		}
		if tr.img.sites[tr.regs[tr.arch.ip]-1] != nil && hasPending(t.tid, unix.SIGTRAP) {
			t.resume(0) // no instruction is executed before the signal
			again = true
		}
	}
	return again
}

// unstopped finds a thread that may run code of the target; with look it asks
// the kernel about those that do not stop.
func (tr *Tracer) unstopped(look bool) *thread {
	for _, t := range tr.threads {
		if !t.stopped && !t.exiting && !t.vfork && !(look && threadState(t.tid) == 'D') {
			return t
		}
	}
	return nil
}

// anyStopped finds a thread that can be made to do something, best one
// without a signal to be delivered.
func (tr *Tracer) anyStopped() *thread {
	var best *thread
	for _, t := range tr.threads {
		e := event(t.ws)
		if !t.stopped || t.exiting || t.guest || e == unix.PTRACE_EVENT_EXIT || e == unix.PTRACE_EVENT_VFORK {
			continue
		}
		if best == nil || e == unix.PTRACE_EVENT_STOP {
			best = t
		}
	}
	return best
}

// unhold handles the stops that hold kept.
func (tr *Tracer) unhold() {
	tr.holding = false
	for _, t := range tr.threads {
		if t.stopped {
			tr.handle(t)
		}
	}
}
