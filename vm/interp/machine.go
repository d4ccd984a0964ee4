package interp

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/vm/helper"
	"github.com/gtrace-dev/gtrace/vm/maps"
	"golang.org/x/sys/unix"
)

// This file defines Machine, the state of a run.

const (
	maxFrames = 8   // nested calls, as in the kernel
	frameSize = 512 // bytes of stack of a function
	// frameStep is from a frame to the next: the gap is in no frame, so that
	// checking mode sees an access that runs out of one.
	frameStep = 1024
	stackSize = maxFrames * frameStep
	// ctxSize is the longest context: a tracepoint's record is at most 8 KiB.
	ctxSize = 8192

	// mayGotos is how often may_goto falls through in one call of a function (BPF_MAX_LOOPS).
	mayGotos = 1 << 23

	// faulted is event.Fault: what gtrace_fault returns after a load that could not be done.
	faulted = 1

	// funcHandle marks the values that stand for subprograms in registers: the low half is an op's index.
	funcHandle uint64 = 0x6670_0000_0000_0000
)

// ErrBudget ends a run that took more instructions than it may.
var ErrBudget = errors.New("the budget of instructions is used up")

// Machine runs Code, one run at a time. It holds the memory of a run, outside
// Go's heap.
type Machine struct {
	regs    [16]uint64
	depth   int
	fuel    int64
	fault   uint64
	frames  [maxFrames]frame
	env     helper.Env
	code    *Code
	img     *image.Image
	mem     []byte // stack, then context
	stack   uint64
	ctx     uint64
	ctxLen  int
	used    int // bytes of context that an earlier run left
	scratch [8]byte

	// Step, in checking mode, is called before each instruction with its slot and the registers.
	Step func(insn int, regs []uint64) error
}

// frame is what a call saves of its caller.
type frame struct {
	regs  [5]uint64 // R6 to R10
	ret   int
	gotos int
}

// NewMachine makes a machine for code, which was decoded from img and ms.
func NewMachine(code *Code, img *image.Image, ms []*maps.Map) (*Machine, error) {
	mem, err := unix.MmapPtr(-1, 0, nil, stackSize+ctxSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("program %q: memory for its stack: %w", img.Program, err)
	}
	m := &Machine{code: code, img: img, mem: unsafe.Slice((*byte)(mem), stackSize+ctxSize)}
	m.stack = uint64(uintptr(mem))
	m.ctx = m.stack + stackSize
	m.env.Maps = ms
	m.env.Call = m.callback
	runtime.AddCleanup(m, func(p unsafe.Pointer) { unix.MunmapPtr(p, stackSize+ctxSize) }, mem)
	return m, nil
}

// Run runs the program. ctx is copied: what the program writes to it is lost.
// A run that ends with an error has discarded the ring-buffer records it held.
func (m *Machine) Run(host helper.Host, ctx []byte, fuel int64) (uint64, error) {
	if len(ctx) > ctxSize {
		return 0, &Error{Program: m.img.Program, Insn: -1, Why: fmt.Sprintf("context of %d bytes, at most %d", len(ctx), ctxSize)}
	}
	if m.used > len(ctx) {
		clear(m.mem[stackSize+len(ctx) : stackSize+m.used])
	}
	m.used, m.ctxLen = len(ctx), len(ctx)
	copy(m.mem[stackSize:], ctx)
	m.env.Reset(host)
	m.depth, m.fuel, m.fault = 0, fuel, 0
	m.frames[0].gotos = mayGotos
	m.regs[1] = m.ctx
	m.regs[10] = m.stack + frameSize
	r0, err := m.exec(1)
	if len(m.env.Records) > 0 {
		if err == nil && m.code.check {
			err = m.fail(-1, "ended with %d ring-buffer records neither submitted nor discarded", len(m.env.Records))
		}
		m.env.Release()
	}
	runtime.KeepAlive(m)
	return r0, err
}

// enter makes a frame for a function whose caller goes on at op ret.
func (m *Machine) enter(ret int) {
	f := &m.frames[m.depth]
	copy(f.regs[:], m.regs[6:11])
	f.ret = ret
	m.depth++
	m.frames[m.depth].gotos = mayGotos
	m.regs[10] = m.stack + uint64(m.depth)*frameStep + frameSize
}

// leave goes back to the caller's frame and returns the op to go on with.
func (m *Machine) leave() int {
	m.depth--
	f := &m.frames[m.depth]
	copy(m.regs[6:11], f.regs[:])
	return f.ret
}

// callback runs the subprogram fn for a helper.
func (m *Machine) callback(fn, r1, r2, r3, r4 uint64) uint64 {
	pc := fn ^ funcHandle
	if pc == 0 || pc >= uint64(len(m.code.ops)) {
		m.env.Err = fmt.Errorf("%#x is not the address of a subprogram", fn)
		return 0
	}
	if m.depth == maxFrames-1 {
		m.env.Err = fmt.Errorf("more than %d nested calls", maxFrames)
		return 0
	}
	if m.fuel -= int64(len(m.code.ops)); m.fuel < 0 {
		m.env.Err = ErrBudget
		return 0
	}
	m.enter(0)
	m.regs[1], m.regs[2], m.regs[3], m.regs[4] = r1, r2, r3, r4
	r0, err := m.exec(int(pc))
	if err != nil {
		m.env.Err = err
		return 0
	}
	m.leave()
	return r0
}

func (m *Machine) slot(pc int) int {
	if pc < 0 {
		return -1
	}
	return int(m.code.slots[pc])
}

func (m *Machine) fail(pc int, format string, args ...any) error {
	return &Error{Program: m.img.Program, Insn: m.slot(pc), Why: fmt.Sprintf(format, args...)}
}

func (m *Machine) wrap(pc int, err error) error {
	var at *Error
	if errors.As(err, &at) {
		return err
	}
	return &Error{Program: m.img.Program, Insn: m.slot(pc), Why: err.Error(), Err: err}
}
