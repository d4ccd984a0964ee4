package user

// This file defines the session: programs attached, events handed out.

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gtrace-dev/gtrace/engine"
	"github.com/gtrace-dev/gtrace/engine/user/trap"
	"github.com/gtrace-dev/gtrace/place"
	"github.com/gtrace-dev/gtrace/vm/maps"
	"golang.org/x/sys/unix"
)

// session implements engine.Session.
type session struct {
	opt      Options
	target   engine.Target
	programs []*program
	probes   []trap.Probe
	index    []int // of probes: into programs
	tracer   *trap.Tracer

	mem    *maps.Memory
	byName map[string]*maps.Map
	ring   *maps.Map

	running sync.Mutex // one program at a time: values of per-CPU maps are not guarded
	host    host

	news    chan struct{} // something was written to the ring
	ending  chan struct{} // closed when Stop begins
	ended   chan struct{} // closed when Stop is through
	stop    sync.Once
	workers sync.WaitGroup

	mu     sync.Mutex
	err    error
	users  int // of mem
	closed bool

	endFD atomic.Int64 // eventfd that ends the watch of a target without probes
}

func newSession(opt Options, bound []engine.Bound, t engine.Target) (*session, error) {
	s := &session{opt: opt, target: t, news: make(chan struct{}, 1), ending: make(chan struct{}), ended: make(chan struct{}), users: 1}
	s.endFD.Store(-1)
	s.host.printk = opt.Printk
	var err error
	if s.mem, err = maps.NewMemory(); err != nil {
		return nil, err
	}
	if s.byName, s.programs, err = loadAll(s.mem, bound, opt.VM); err != nil {
		s.mem.Close()
		return nil, err
	}
	s.ring = ringOf(s.byName)
	s.probes, s.index = trapProbes(s.programs)
	return s, nil
}

// start attaches: BEGIN programs have run and the probes are in place when it returns.
func (s *session) start(ctx context.Context) error {
	var err error
	switch {
	case len(s.probes) > 0:
		opt := trap.Options{PID: s.target.PID, Probes: s.probes, OnHit: s.hit, Ready: func() error { return s.runKind(place.Begin) }}
		if s.target.Command != nil {
			opt.Command = s.target.Command
		}
		if s.tracer, err = trap.Attach(ctx, opt); err != nil {
			return err
		}
		s.workers.Go(func() { <-s.tracer.Done(); go s.Stop() })
	case s.target.Command != nil || s.target.PID != 0:
		err = s.watchTarget()
	default:
		err = s.runKind(place.Begin)
	}
	if err != nil {
		return err
	}
	for _, p := range s.programs {
		if p.place.Kind == place.Interval {
			s.workers.Go(func() { s.every(p) })
		}
	}
	return nil
}

// watchTarget ends the session with a target that nothing is attached to.
func (s *session) watchTarget() error {
	pid := s.target.PID
	if s.target.Command != nil {
		pid = s.target.Command.PID()
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("no process %d: %w", pid, err)
	}
	end, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(fd)
		return fmt.Errorf("eventfd: %w", err)
	}
	s.endFD.Store(int64(end))
	s.workers.Go(func() {
		defer unix.Close(fd)
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(end), Events: unix.POLLIN}}
		for {
			if _, err := unix.Poll(fds, -1); err != unix.EINTR {
				break
			}
		}
		go s.Stop()
	})
	if err := s.runKind(place.Begin); err != nil {
		return err
	}
	if s.target.Command != nil {
		return s.target.Command.Release()
	}
	return nil
}

// every runs an interval's program until the session ends.
func (s *session) every(p *program) {
	tick := time.NewTicker(time.Duration(p.place.PeriodNS))
	defer tick.Stop()
	for {
		select {
		case <-s.ending:
			return
		case <-tick.C:
			if err := s.runOwn(p); err != nil {
				s.fail(err)
				go s.Stop()
				return
			}
		}
	}
}

// runKind runs the programs of one kind for gtrace itself.
func (s *session) runKind(k place.Kind) error {
	for _, p := range s.programs {
		if p.place.Kind == k {
			if err := s.runOwn(p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *session) runOwn(p *program) error {
	s.running.Lock()
	defer s.running.Unlock()
	s.host.own()
	return s.runOn(p, nil)
}

// runOn runs p on s.host; s.running is held.
func (s *session) runOn(p *program, ctx []byte) error {
	s.host.needs = p.needs
	_, err := p.Run(&s.host, ctx) // what a tracing program returns is not used
	if err != nil {
		return fmt.Errorf("%s: %w", p.place, err)
	}
	select {
	case s.news <- struct{}{}:
	default:
	}
	return nil
}

// hit runs a probe's program; on the tracing thread.
func (s *session) hit(h *trap.Hit) {
	s.running.Lock()
	defer s.running.Unlock()
	select {
	case <-s.ending:
		return // END has its say after the last hit
	default:
	}
	s.host.pid, s.host.tid = h.PID, h.TID
	if err := s.runOn(s.programs[s.index[h.Probe]], h.Context); err != nil {
		s.fail(err)
		go s.Stop()
	}
}

func (s *session) fail(err error) {
	s.mu.Lock()
	if s.err == nil {
		s.err = err
	}
	s.mu.Unlock()
}

// Stop implements engine.Session.
func (s *session) Stop() {
	s.stop.Do(func() {
		close(s.ending)
		s.detach()
		if err := s.runKind(place.End); err != nil {
			s.fail(err)
		}
		close(s.ended)
	})
	<-s.ended
}

// detach takes the probes away; no program but END runs after it.
func (s *session) detach() {
	if s.tracer != nil {
		s.tracer.Stop()
		if err := s.tracer.Err(); err != nil {
			s.fail(err)
		}
	}
	if fd := s.endFD.Load(); fd >= 0 {
		one := [8]byte{1}
		_, _ = unix.Write(int(fd), one[:])
	}
	s.workers.Wait()
	if fd := s.endFD.Swap(-1); fd >= 0 {
		unix.Close(int(fd))
	}
}

// abandon undoes a start that failed: END programs do not run.
func (s *session) abandon() {
	s.stop.Do(func() {
		close(s.ending)
		s.detach()
		close(s.ended)
	})
	<-s.ended
	_ = s.Close()
}

var errBreak = errors.New("the consumer wants no more")

// Events implements engine.Session.
func (s *session) Events() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if err := s.use(); err != nil {
			yield(nil, err)
			return
		}
		defer s.release()
		for over := false; ; {
			if s.ring != nil {
				_, err := s.ring.Consume(func(rec []byte) error {
					if !yield(rec, nil) {
						return errBreak
					}
					return nil
				})
				if errors.Is(err, errBreak) {
					return
				}
				if err != nil {
					yield(nil, err)
					return
				}
			}
			if over {
				break
			}
			select {
			case <-s.news:
			case <-s.ended:
				over = true // once more: END has written
			}
		}
		s.mu.Lock()
		err := s.err
		s.mu.Unlock()
		if err != nil {
			yield(nil, err)
		}
	}
}

// use keeps the maps' memory until release.
func (s *session) use() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == 0 {
		return errClosed
	}
	s.users++
	return nil
}

func (s *session) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users == 0 {
		_ = s.mem.Close()
	}
}

// Close implements engine.Session.
func (s *session) Close() error {
	s.Stop()
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if first {
		s.release()
	}
	return nil
}

// Map implements engine.Session.
func (s *session) Map(name string) (engine.Map, error) {
	m := s.byName[name]
	if m == nil {
		return nil, fmt.Errorf("no map %q in this session", name)
	}
	return &view{s, m}, nil
}

// view is a map of a session that may be closed meanwhile.
type view struct {
	s *session
	m *maps.Map
}

func (v *view) Each(f func(key []byte, values [][]byte) error) error {
	return v.do(func() error { return v.m.Each(f) })
}

func (v *view) Lookup(key []byte) (values [][]byte, err error) {
	err = v.do(func() error { values, err = v.m.Lookup(key); return err })
	return values, err
}

func (v *view) Delete(key []byte) error { return v.do(func() error { return v.m.Delete(key) }) }

func (v *view) Clear() error { return v.do(v.m.Clear) }

func (v *view) Zero() error { return v.do(v.m.Zero) }

func (v *view) do(f func() error) error {
	if err := v.s.use(); err != nil {
		return err
	}
	defer v.s.release()
	return f()
}

// Stats implements engine.Session.
func (s *session) Stats() []engine.Site {
	var states []trap.State
	if s.tracer != nil {
		states = s.tracer.States()
	}
	sites := make([]engine.Site, len(s.programs))
	for i, p := range s.programs {
		sites[i] = engine.Site{Probe: p.place.String(), Way: "in gtrace"}
	}
	for i, st := range states {
		way := "int3"
		switch {
		case st.Sites == 0 && st.Err == nil:
			way = "never mapped"
		case st.Sites == 0:
			way = "not attached"
		case st.Sites > 1:
			way = fmt.Sprintf("int3 at %d places", st.Sites)
		}
		if st.Err != nil {
			way += ": " + st.Err.Error()
		}
		sites[s.index[i]].Way = way
	}
	return sites
}
