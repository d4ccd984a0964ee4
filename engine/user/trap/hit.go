package trap

// This file runs probes: at an instruction, and at a function's return.
//
// A return is watched by a breakpoint at the place the call returns to, never
// by another return address on the stack: unwinders, debuggers and shadow
// stacks read those. Such a breakpoint stays until the end: it is passed only
// by calls from the place that called a probed function once.

import (
	"fmt"
	"slices"
	"unsafe"
)

// frame is a running call of a function whose return is watched.
type frame struct {
	probe int
	sp    uint64 // where the return address lies
	ret   uint64
}

const (
	// maxFrames bounds what one thread's calls that never return can cost.
	maxFrames = 1 << 16
	// sameStack is how far apart stack pointers of one stack are at most:
	// a thread may switch stacks, and frames of another stack must live.
	sameStack = 8 << 20
)

// hitSite runs what belongs to site s, at which t stopped; tr.regs are t's.
func (tr *Tracer) hitSite(t *thread, s *site) {
	tr.regs[tr.arch.ip] = s.addr
	if s.isRet {
		tr.returned(t, s)
	}
	for _, p := range s.entries {
		tr.call(t, p)
	}
	for _, p := range slices.Backward(s.returns) { // as a stack: the first is called first
		tr.entered(t, p)
	}
	if s.loader {
		tr.librariesChanged(t)
	}
}

func (tr *Tracer) call(t *thread, probe int) {
	h := &tr.hit
	h.Probe, h.PID, h.TID = probe, t.tgid, t.tid
	h.Context = unsafe.Slice((*byte)(unsafe.Pointer(&tr.regs)), tr.arch.contextSize)
	tr.opt.OnHit(h)
}

// entered notes a call whose return is watched. The return address is still
// at the stack pointer: the breakpoint is at the function's first instruction.
func (tr *Tracer) entered(t *thread, probe int) {
	sp := tr.regs[tr.arch.sp]
	var word [8]byte
	if err := readMemory(t.tid, sp, word[:]); err != nil {
		tr.note(probe, fmt.Errorf("a return could not be watched: reading the return address at %#x: %w", sp, err))
		return
	}
	ret := le64(word[:])
	s, err := tr.addSite(t, ret)
	if err != nil {
		tr.note(probe, fmt.Errorf("a return could not be watched: %w", err))
		return
	}
	s.isRet = true
	// Calls above the stack pointer are over, without a return (longjmp, a
	// thrown exception); at it, those that did not jump here (a tail call).
	keep := t.frames[:0]
	for _, f := range t.frames {
		dead := f.sp < sp && sp-f.sp < sameStack || f.sp == sp && (f.ret != ret || f.probe == probe)
		if !dead {
			keep = append(keep, f)
		}
	}
	if len(keep) == maxFrames {
		keep = keep[:copy(keep, keep[1:])]
		tr.note(probe, fmt.Errorf("a return could not be watched: more than %d calls are open in one thread", maxFrames))
	}
	t.frames = append(keep, frame{probe, sp, ret})
}

// returned runs the probes of the calls that end at site s.
func (tr *Tracer) returned(t *thread, s *site) {
	sp := tr.regs[tr.arch.sp] - 8 // ret took the address from the stack
	var fire []int
	keep := t.frames[:0]
	for _, f := range t.frames {
		switch {
		case f.sp == sp && f.ret == s.addr:
			fire = append(fire, f.probe)
		case f.sp <= sp && sp-f.sp < sameStack: // over, without a return
		default:
			keep = append(keep, f)
		}
	}
	t.frames = keep
	for i := len(fire) - 1; i >= 0; i-- {
		tr.call(t, fire[i])
	}
}

// note keeps an error that concerns one probe.
func (tr *Tracer) note(probe int, err error) {
	tr.mu.Lock()
	tr.states[probe].Err = err
	tr.mu.Unlock()
}
