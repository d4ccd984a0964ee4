package interp

import (
	"fmt"

	"github.com/gtrace-dev/gtrace/abi"
)

// This file defines checking mode: what an access must lie in. It looks at
// the machine's own state only, never at what the verifier believed.

// object is memory that a program may use.
type object struct {
	kind  string
	n     int // which stack frame
	start uint64
	size  uint64
}

const (
	theContext   = "the context"
	stackFrame   = "stack frame"
	ringRecord   = "a ring-buffer record"
	callbacksKey = "a key given to a callback"
)

func (o object) String() string {
	if o.kind == stackFrame {
		return fmt.Sprintf("%s %d", o.kind, o.n)
	}
	return o.kind
}

func (m *Machine) step(pc int, slot uint64) error {
	if m.fuel--; m.fuel < 0 {
		return m.wrap(pc, ErrBudget)
	}
	if top := m.stack + uint64(m.depth)*frameStep + frameSize; m.regs[10] != top {
		return m.fail(pc, "r10 is %#x, the frame's end is %#x", m.regs[10], top)
	}
	if m.Step != nil {
		if err := m.Step(int(slot), m.regs[:11]); err != nil {
			return m.wrap(pc, err)
		}
	}
	return nil
}

func (m *Machine) checkMem(pc int, addr, imm uint64) error {
	if why := m.access(addr, imm&^checkWrite, imm&checkWrite != 0); why != "" {
		return m.fail(pc, "%s", why)
	}
	return nil
}

// access returns why the program may not access n bytes at addr, or "".
func (m *Machine) access(addr, n uint64, write bool) string {
	for o := range m.objects {
		if addr < o.start || addr-o.start > o.size || n > o.size-(addr-o.start) {
			continue
		}
		off := addr - o.start
		if write && (o.kind == callbacksKey || o.kind == theContext && (m.code.write == nil || !m.code.write(int(off), int(n)))) {
			return fmt.Sprintf("writes %d bytes at offset %d of %s, which is read-only there", n, off, o)
		}
		return ""
	}
	for _, p := range m.env.Maps {
		if _, ok := p.ValueAt(uintptr(addr), int(n)); !ok {
			continue
		}
		if write && !p.Writable() {
			return fmt.Sprintf("writes %d bytes at %#x in a value of map %q, which is read-only", n, addr, p.Name())
		}
		return ""
	}
	verb := "reads"
	if write {
		verb = "writes"
	}
	return fmt.Sprintf("%s %d bytes at %#x, outside of every live object: %s", verb, n, addr, m.near(addr))
}

// near says what is near an address that is in no object.
func (m *Machine) near(addr uint64) string {
	var nearest object
	distance := uint64(frameSize)
	for o := range m.objects {
		d := o.start - addr
		if addr >= o.start {
			d = addr - min(addr, o.start+o.size)
		}
		if d < distance {
			nearest, distance = o, d
		}
	}
	if nearest.kind != "" {
		return fmt.Sprintf("offset %d of %s, which has %d bytes", int64(addr-nearest.start), nearest, nearest.size)
	}
	for _, p := range m.env.Maps {
		if start := uint64(uintptr(p.Base())); addr >= start && addr < start+p.Size() {
			return fmt.Sprintf("offset %d in the memory of map %q (%s), but not inside a value of %d bytes", addr-start, p.Name(), p.Type(), p.ValueSize())
		}
	}
	return "nothing near"
}

// objects yields the live objects but map values, innermost first.
func (m *Machine) objects(yield func(object) bool) {
	for d := m.depth; d >= 0; d-- {
		if !yield(object{stackFrame, d, m.stack + uint64(d)*frameStep, frameSize}) {
			return
		}
	}
	if !yield(object{theContext, 0, m.ctx, uint64(m.ctxLen)}) {
		return
	}
	for _, r := range m.env.Records {
		if !yield(object{ringRecord, 0, r.Addr, r.Size}) {
			return
		}
	}
	for _, r := range m.env.Keys {
		if !yield(object{callbacksKey, 0, r.Addr, r.Size}) {
			return
		}
	}
}

// checkCall checks the arguments of a helper call against its prototype.
func (m *Machine) checkCall(pc int, id int32) error {
	h := abi.HelperByID(id)
	if h == nil {
		return nil
	}
	for i, kind := range h.Args {
		if why := m.argument(kind, h.Args, i); why != "" {
			return m.fail(pc, "%s: argument %d: %s", h.Name, i+1, why)
		}
	}
	return nil
}

func (m *Machine) argument(kind abi.ArgKind, all []abi.ArgKind, i int) string {
	v, next := m.regs[i+1], uint64(uint32(m.regs[i+2]))
	switch kind {
	case abi.ArgConstMapPtr:
		if _, ok := m.env.MapOf(v); !ok {
			return fmt.Sprintf("%#x is not a map", v)
		}
	case abi.ArgMapKey, abi.ArgMapValue, abi.ArgUninitMapValue:
		p, _ := m.env.MapOf(m.regs[1]) // helpers take the map first
		if p == nil {
			return fmt.Sprintf("%#x is not a map", m.regs[1])
		}
		n := p.ValueSize()
		if kind == abi.ArgMapKey {
			n = p.KeySize()
		}
		return m.access(v, uint64(n), kind == abi.ArgUninitMapValue)
	case abi.ArgMem, abi.ArgUninitMem, abi.ArgMemOrNull, abi.ArgUninitMemOrNull:
		if next == 0 {
			return ""
		}
		return m.access(v, next, kind == abi.ArgUninitMem || kind == abi.ArgUninitMemOrNull)
	case abi.ArgUninitU64:
		return m.access(v, 8, true)
	case abi.ArgCtx:
		if v != m.ctx {
			return fmt.Sprintf("%#x is not the context", v)
		}
	case abi.ArgConstStr:
		return m.text(v)
	case abi.ArgRingMem:
		for _, r := range m.env.Records {
			if r.Addr == v {
				return ""
			}
		}
		return fmt.Sprintf("%#x is not the start of a live ring-buffer record", v)
	case abi.ArgFuncPtr:
		if v^funcHandle >= uint64(len(m.code.ops)) {
			return fmt.Sprintf("%#x is not the address of a subprogram", v)
		}
	}
	return ""
}

// text checks a string up to its NUL.
func (m *Machine) text(addr uint64) string {
	for ; ; addr++ {
		if why := m.access(addr, 1, false); why != "" {
			return why
		}
		if *(*byte)(at(addr)) == 0 {
			return ""
		}
	}
}
