package kernel

// Defines attach and session: the life of a trace on the kernel.

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/engine"
	"github.com/gtrace-dev/gtrace/event"
	"github.com/gtrace-dev/gtrace/place"
	"golang.org/x/sys/unix"
)

type session struct {
	bound  []bind
	progs  []int // program descriptors, by index in bound
	maps   map[string]*ebpf.Map
	views  map[string]*kernelMap
	reader *ringbuf.Reader // nil without event.RingMap

	stopOnce  sync.Once
	stopping  chan struct{} // closed when Stop begins
	stopped   chan struct{} // closed when END has run
	intervals sync.WaitGroup
	multi     bool // uprobes are uprobe_multi links
	wake      int  // eventfd that ends the wait for the target
	watch     sync.WaitGroup

	mu     sync.Mutex
	probes []int // descriptors whose closing detaches
	runErr error // first failure of a test run
	closed bool
}

// attach loads and attaches bound: BEGIN runs when all is loaded and every
// event is open, so that little can fail behind it, and before the other
// programs are connected.
func attach(ctx context.Context, bound []bind, t engine.Target, opts Options) (_ *session, err error) {
	s := &session{bound: bound, maps: map[string]*ebpf.Map{}, views: map[string]*kernelMap{},
		stopping: make(chan struct{}), stopped: make(chan struct{}), wake: -1}
	defer func() {
		if err != nil {
			s.release()
		}
	}()
	if s.multi, err = multiUprobes(opts); err != nil {
		return nil, err
	}
	pid := t.PID
	if t.Command != nil {
		pid = t.Command.PID()
	}
	pidfd := -1
	if pid != 0 {
		if pidfd, err = openTarget(pid); err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				unix.Close(pidfd)
			}
		}()
		if s.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
			return nil, fmt.Errorf("eventfd: %w", err)
		}
	}
	if err := s.loadAll(ctx); err != nil {
		return nil, err
	}
	if err := s.connect(ctx, pid); err != nil {
		return nil, err
	}
	s.startIntervals()
	if pidfd >= 0 {
		fd := pidfd
		pidfd = -1
		s.watch.Go(func() { s.watchTarget(fd) })
	}
	if t.Command != nil {
		if err := t.Command.Release(); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// openTarget opens a descriptor of a live process.
func openTarget(pid int) (int, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	switch {
	case errors.Is(err, unix.ESRCH):
		return -1, fmt.Errorf("there is no process %d", pid)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
		return -1, fmt.Errorf("%d is not a process (a thread's number? give its process)", pid)
	case err != nil:
		return -1, fmt.Errorf("process %d: pidfd_open: %w (Linux 5.3 or newer is needed)", pid, err)
	}
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0); err == nil && n > 0 {
		unix.Close(fd)
		return -1, fmt.Errorf("process %d has ended already", pid)
	}
	return fd, nil
}

// loadAll creates the maps of all programs and loads the programs.
func (s *session) loadAll(ctx context.Context) error {
	for _, b := range s.bound {
		if err := ctx.Err(); err != nil {
			return err
		}
		if want := wants[b.place.Kind]; want != b.img.Attach.Type {
			return fmt.Errorf("%s: a program of type %s; this kind of probe runs %s", b.place, b.img.Attach.Type, want)
		}
		if b.place.Kind == place.RawTracepoint && b.place.Event != b.img.Attach.Target {
			return fmt.Errorf("%s: its program is for raw tracepoint %s", b.place, b.img.Attach.Target)
		}
		if err := s.createMaps(b); err != nil {
			return err
		}
		expected := b.img.Attach.Expected
		if b.place.Kind.User() && s.multi {
			expected = attachUprobeMulti
		}
		fd, err := load(b.img, s.maps, expected)
		if err != nil {
			return fmt.Errorf("%s: %w", b.place, err)
		}
		s.progs = append(s.progs, fd)
	}
	if m := s.maps[event.RingMap]; m != nil {
		r, err := ringbuf.NewReader(m)
		if err != nil {
			return fmt.Errorf("map %s: %w", event.RingMap, err)
		}
		s.reader = r
	}
	return nil
}

// createMaps creates the maps that b is the first to refer to: programs share maps by name.
func (s *session) createMaps(b bind) error {
	for _, m := range b.img.Maps {
		if v := s.views[m.Name]; v != nil {
			if o := v.m; o.Type != m.Type || o.KeySize != m.KeySize || o.ValueSize != m.ValueSize || o.MaxEntries != m.MaxEntries {
				return fmt.Errorf("%s: map %s differs from another program's map of that name", b.place, m.Name)
			}
			continue
		}
		km, err := createMap(m)
		if err != nil {
			return err
		}
		s.maps[m.Name] = km
		if s.views[m.Name], err = newKernelMap(m, km); err != nil {
			return err
		}
	}
	return nil
}

// connect opens all events, runs BEGIN, and connects programs and events.
func (s *session) connect(ctx context.Context, pid int) error {
	events := make([]int, len(s.bound))
	order := s.order()
	for _, i := range order {
		b := s.bound[i]
		fd, err := openEvent(b.place, pid, s.multi)
		if err != nil {
			return err
		}
		if events[i] = fd; fd >= 0 {
			s.probes = append(s.probes, fd)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.run(place.Begin); err != nil {
		return err
	}
	for _, i := range order {
		b := s.bound[i]
		fd, err := openLink(b.place, s.progs[i], pid, s.multi)
		if err != nil {
			return fmt.Errorf("%s: attaching the program: %w", b.place, err)
		}
		if fd >= 0 {
			s.probes = append(s.probes, fd)
		}
		if events[i] >= 0 {
			if err := setProgram(events[i], s.progs[i]); err != nil {
				return fmt.Errorf("%s: %w", b.place, err)
			}
		}
	}
	return nil
}

// order is the order of attaching that makes programs at one place run in the
// script's order: of uprobes, the kernel runs the one attached last first.
func (s *session) order() []int {
	var order, user []int
	for i, b := range s.bound {
		if b.place.Kind.User() {
			user = append(user, i)
		} else {
			order = append(order, i)
		}
	}
	slices.Reverse(user)
	return append(order, user...)
}

// run runs all programs of a kind once.
func (s *session) run(k place.Kind) error {
	for i, b := range s.bound {
		if b.place.Kind != k {
			continue
		}
		if err := testRun(s.progs[i]); err != nil {
			return fmt.Errorf("%s: running the program: %w", b.place, err)
		}
	}
	return nil
}

// startIntervals runs each interval's program at its ticks. A tick that comes
// while the program still runs, or the machine is busy, is skipped.
func (s *session) startIntervals() {
	for i, b := range s.bound {
		if b.place.Kind != place.Interval {
			continue
		}
		s.intervals.Go(func() {
			tick := time.NewTicker(time.Duration(max(b.place.PeriodNS, 1)))
			defer tick.Stop()
			for {
				select {
				case <-s.stopping:
					return
				case <-tick.C:
				}
				if err := testRun(s.progs[i]); err != nil {
					s.fail(fmt.Errorf("%s: running the program: %w", b.place, err))
					return
				}
			}
		})
	}
}

func (s *session) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runErr == nil {
		s.runErr = err
	}
}

// watchTarget stops the session when the target ends.
func (s *session) watchTarget(pidfd int) {
	defer unix.Close(pidfd)
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}, {Fd: int32(s.wake), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			s.fail(fmt.Errorf("waiting for the target's end: %w", err))
		}
		break
	}
	if fds[1].Revents == 0 {
		s.Stop()
	}
}

// Stop implements engine.Session.
func (s *session) Stop() {
	s.stopOnce.Do(func() {
		close(s.stopping)
		s.intervals.Wait()
		s.detach()
		if err := s.run(place.End); err != nil {
			s.fail(err)
		}
		if s.wake >= 0 {
			one := [8]byte{1}
			_, _ = unix.Write(s.wake, one[:]) // can only fail when the counter is full, which wakes as well
		}
		close(s.stopped)
		if s.reader != nil {
			if err := s.reader.Flush(); err != nil && !errors.Is(err, os.ErrClosed) {
				s.fail(err)
			}
		}
	})
	<-s.stopped
}

// detachers bounds the threads that wait in the kernel at once.
const detachers = 32

// detach closes every probe. Closing a uprobe waits until no program can run
// there any more, 0.1 s on Linux 6.18: many are closed at once, and the wait is shared.
func (s *session) detach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(detachers, len(s.probes)) {
		wg.Go(func() {
			for fd := range next {
				unix.Close(fd)
			}
		})
	}
	for _, fd := range s.probes {
		next <- fd
	}
	close(next)
	wg.Wait()
	s.probes = nil
}

// Events implements engine.Session.
func (s *session) Events() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if s.reader == nil {
			<-s.stopped
		}
		var rec ringbuf.Record
		for s.reader != nil {
			err := s.reader.ReadInto(&rec)
			if errors.Is(err, ringbuf.ErrFlushed) || errors.Is(err, os.ErrClosed) {
				break
			}
			if err != nil {
				yield(nil, fmt.Errorf("reading map %s: %w", event.RingMap, err))
				return
			}
			if !yield(rec.RawSample, nil) {
				return
			}
		}
		s.mu.Lock()
		err := s.runErr
		s.mu.Unlock()
		if err != nil {
			yield(nil, err)
		}
	}
}

// Map implements engine.Session.
func (s *session) Map(name string) (engine.Map, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.views[name]
	if v == nil || s.closed {
		return nil, fmt.Errorf("there is no map %s", name)
	}
	if t := v.m.Type; t == abi.MapRingBuf {
		return nil, fmt.Errorf("map %s is a ring buffer: it has no keys", name)
	}
	return v, nil
}

// Stats implements engine.Session.
func (s *session) Stats() []engine.Site {
	sites := make([]engine.Site, len(s.bound))
	for i, b := range s.bound {
		way := ways[b.place.Kind]
		if b.place.Kind.User() && !s.multi {
			way = "perf " + b.place.Kind.String()
		}
		sites[i] = engine.Site{Probe: b.place.String(), Way: way}
	}
	return sites
}

// Close implements engine.Session.
func (s *session) Close() error {
	s.Stop()
	s.watch.Wait()
	return s.release()
}

// release gives everything back that the kernel holds for the session.
func (s *session) release() error {
	s.detach()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var errs []error
	if s.reader != nil {
		errs = append(errs, s.reader.Close())
	}
	for _, fd := range s.progs {
		unix.Close(fd)
	}
	for _, m := range s.maps {
		errs = append(errs, m.Close())
	}
	if s.wake >= 0 {
		unix.Close(s.wake)
	}
	return errors.Join(errs...)
}
