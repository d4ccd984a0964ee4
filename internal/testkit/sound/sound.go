// Package sound holds programs that run against what the verifier knows of
// them: before each instruction, registers and stack must be as in one of the
// states that the verifier came there with.
//
// The verifier walks every path to its end for that (verify.Options.NoPrune):
// where it stops at a state that was judged before, numbers that no verdict
// rests on may differ from that state's.
package sound

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/state"
	"github.com/gtrace-dev/gtrace/vm/maps"
)

// ErrIncomplete says that not every path of a program can be walked to its end:
// there are too many, or one moves a pointer by a constant beyond what the
// kernel allows. Pruning hides the latter, in the kernel too: a state with a
// range that reaches beyond may do so, and covers the one with the constant.
var ErrIncomplete = errors.New("not every path can be walked to its end")

// Seen is every state that the verifier came to an instruction with.
type Seen struct {
	img    *image.Image
	states [][]verify.View
	Count  int // of states
}

// Walk verifies img and keeps at most limit states. The error is ErrIncomplete or
// Verify's: one for a program that Verify accepts otherwise is a bug in pruning.
func Walk(img *image.Image, limit int) (*Seen, error) {
	s := &Seen{img: img, states: make([][]verify.View, len(img.Insns))}
	var broken error
	_, err := verify.Verify(context.Background(), img, verify.Options{NoPrune: true, MaxProcessed: limit, Trace: func(insn int, v verify.View) {
		if err := v.Check(); err != nil && broken == nil {
			broken = fmt.Errorf("the state before instruction %d contradicts itself: %w", insn, err)
		}
		s.states[insn] = append(s.states[insn], v.Keep())
		s.Count++
	}})
	var r *verify.Rejection
	if errors.As(err, &r) && Incomplete(r) {
		err = ErrIncomplete
	}
	if broken != nil {
		return nil, broken
	}
	return s, err
}

// Incomplete reports whether a rejection means ErrIncomplete.
func Incomplete(r *verify.Rejection) bool {
	switch f := r.Fault.(type) {
	case fault.TooComplex:
		return true
	case fault.PointerArithmetic:
		return f.Reason == fault.ArithRange
	}
	return false
}

// Run compares one run at a time with what was seen.
type Run struct {
	seen   *Seen
	maps   []*maps.Map
	alone  []int    // of frames, those of global functions
	frames []uint64 // the upper ends of the stack frames
	ctx    uint64
	last   int      // the instruction before; -1 at the start
	starts []uint64 // what helpers gave the program
	global []uint64 // the value of each map that has just one
	hint   []int    // the state that fitted last, by instruction
	// Compared counts the instructions that were compared.
	Compared int
}

// Run prepares for runs on maps, by name.
func (s *Seen) Run(byName map[string]*maps.Map) *Run {
	r := &Run{seen: s, hint: make([]int, len(s.states)), last: -1}
	for _, def := range s.img.Maps {
		m := byName[def.Name]
		r.maps = append(r.maps, m)
		only := uint64(0)
		if m != nil && m.Type() == abi.MapArray && m.MaxEntries() == 1 {
			only = uint64(uintptr(m.Values()))
		}
		r.global = append(r.global, only)
	}
	return r
}

// Begin starts a new run.
func (r *Run) Begin() {
	r.last, r.frames, r.starts, r.alone = -1, r.frames[:0], r.starts[:0], r.alone[:0]
}

// Step is vm.Options.Step.
func (r *Run) Step(insn int, regs []uint64) error {
	if r.last < 0 {
		r.ctx = regs[isa.R1]
	}
	r.enter(insn, regs)
	r.given(regs[isa.R0])
	r.last = insn
	if insn >= len(r.seen.states) || len(r.seen.states[insn]) == 0 {
		return fmt.Errorf("instruction %d runs, but the verifier never came there", insn)
	}
	r.Compared++
	all := r.seen.states[insn]
	first := r.hint[insn]
	for i := range all {
		at := (first + i) % len(all)
		if r.fits(all[at], regs) == "" {
			r.hint[insn] = at
			return nil
		}
	}
	return r.misfit(insn, all, regs)
}

// enter keeps the frames by their ends: a called function's frame is new, a return leaves it.
func (r *Run) enter(insn int, regs []uint64) {
	for i, f := range r.frames {
		if f == regs[isa.R10] {
			r.frames = r.frames[:i+1]
			for n := len(r.alone); n > 0 && r.alone[n-1] > i; n-- {
				r.alone = r.alone[:n-1]
			}
			return
		}
	}
	if slices.ContainsFunc(r.seen.img.Subprogs, func(s image.Subprog) bool { return s.Global && s.Start == insn && insn > 0 }) {
		r.alone = append(r.alone, len(r.frames))
		r.starts = append(r.starts, regs[isa.R1:isa.R6]...)
	}
	r.frames = append(r.frames, regs[isa.R10])
}

// known are the frames that the verifier knows: those from the last global
// function on, which it walks on its own.
func (r *Run) known() []uint64 {
	if n := len(r.alone); n > 0 {
		return r.frames[r.alone[n-1]:]
	}
	return r.frames
}

// given notes an object that the instruction before gave the program.
func (r *Run) given(r0 uint64) {
	if r.last < 0 {
		return
	}
	in := r.seen.img.Insns[r.last]
	if in.IsCall() && in.Src == isa.CallHelper && r0 != 0 {
		r.starts = append(r.starts, r0)
	}
}

// start reports whether an object starts at addr: a value of map m, or with
// m -1 what the program was given.
func (r *Run) start(m int, addr uint64) bool {
	if m >= 0 {
		_, ok := r.maps[m].ValueAt(uintptr(addr), r.maps[m].ValueSize())
		return ok
	}
	return slices.Contains(r.starts, addr)
}

// fits returns why the registers and stack are not as v says, or "".
func (r *Run) fits(v verify.View, regs []uint64) string {
	frames := r.known()
	if v.Depth() != len(frames) {
		return fmt.Sprintf("%d frames, not %d", len(frames), v.Depth())
	}
	top := v.Depth() - 1
	for reg := range isa.R10 {
		if why := r.value(v.Reg(top, reg), regs[reg]); why != "" {
			return fmt.Sprintf("r%d is %#x: %s", reg, regs[reg], why)
		}
	}
	for f := range v.Depth() {
		for i := range v.Slots(f) {
			if why := r.slot(v.Slot(f, i), frames[f]-uint64(8*(i+1))); why != "" {
				return fmt.Sprintf("frame %d, fp-%d: %s", f, 8*(i+1), why)
			}
		}
	}
	return ""
}

func (r *Run) slot(s verify.Stored, addr uint64) string {
	if s.Bytes == 0 && s.Zero == 0 {
		return ""
	}
	// The machine's stack is outside of Go's heap.
	b := *(*[8]byte)(unsafe.Add(unsafe.Pointer(nil), addr))
	for i, x := range b {
		if s.Zero>>i&1 == 1 && x != 0 {
			return fmt.Sprintf("bytes %x: byte %d is not zero", b, i)
		}
	}
	word := binary.NativeEndian.Uint64(b[:])
	why := ""
	switch {
	case s.Bytes == 8:
		why = r.value(s.Value, word)
	case s.Bytes > 0:
		if word &= 1<<(8*s.Bytes) - 1; !s.Value.ContainsLow(word, s.Bytes) {
			why = "outside of what is known"
		}
	}
	if why != "" {
		why = fmt.Sprintf("%#x: %s", word, why)
	}
	return why
}

// value returns why x is not a value that k describes, or "".
func (r *Run) value(k verify.Value, x uint64) string {
	if k.Kind().Pointer() && k.Nullable() && x == 0 {
		return ""
	}
	ok := true
	switch k.Kind() {
	case state.Scalar:
		ok = k.Contains(x)
	case state.Ctx:
		ok = k.Contains(x - r.ctx)
	case state.Stack:
		ok = k.Contains(x - r.known()[k.Frame()])
	case state.MapValue:
		ok = r.inObject(k, k.Map(), x)
	case state.RingRecord, state.Mem:
		ok = r.inObject(k, -1, x)
	case state.MapPtr:
		ok = x != 0
	}
	if !ok {
		return "outside of what is known"
	}
	return ""
}

// inObject reports whether x can be at one of the offsets of k from the start
// of a value of map m, or with m -1 of what the program was given.
func (r *Run) inObject(k verify.Value, m int, x uint64) bool {
	if off, exact := k.Offset(); exact {
		return r.start(m, x-uint64(off))
	}
	if m >= 0 && r.global[m] != 0 && k.Contains(x-r.global[m]) {
		return true
	}
	for _, addr := range r.starts {
		if k.Contains(x-addr) && (m < 0 || r.start(m, addr)) {
			return true
		}
	}
	return false
}

// misfit says what ran and what was known.
func (r *Run) misfit(insn int, all []verify.View, regs []uint64) error {
	var b strings.Builder
	fmt.Fprintf(&b, "before instruction %d the run is in none of the verifier's %d states (registers %#x)", insn, len(all), regs)
	for i, v := range all {
		if i == 4 {
			b.WriteString("\n\t…")
			break
		}
		fmt.Fprintf(&b, "\n\tstate %d: %s", i, r.fits(v, regs))
		for _, n := range v.Names() {
			text, _ := v.Text(n)
			fmt.Fprintf(&b, "\n\t\t%s = %s", n, text)
		}
	}
	return errors.New(b.String())
}
