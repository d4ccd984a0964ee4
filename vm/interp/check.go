package interp

import (
	"fmt"

	"github.com/gtrace-dev/gtrace/abi"
)

// This file defines checking mode: what an access must lie in. It looks at
// the machine's own state only, never at what the verifier believed.

// object is memory that a program may use.
type object struct {
	name     string
	start    uint64
	size     uint64
	readOnly bool
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
	verb := "reads"
	if write {
		verb = "writes"
	}
	var nearest object
	distance := ^uint64(0)
	try := func(o object) (string, bool) {
		switch {
		case addr >= o.start && addr-o.start <= o.size && n <= o.size-(addr-o.start):
			if write && o.readOnly {
				return fmt.Sprintf("%s %d bytes at %#x, offset %d of %s, which is read-only", verb, n, addr, addr-o.start, o.name), true
			}
			return "", true
		case addr < o.start:
			if o.start-addr < distance {
				nearest, distance = o, o.start-addr
			}
		default:
			if d := addr - o.start; d < distance {
				nearest, distance = o, d
			}
		}
		return "", false
	}
	for _, o := range m.objects() {
		if why, ok := try(o); ok {
			if why == "" && write && o.start == m.ctx && (m.code.write == nil || !m.code.write(int(addr-m.ctx), int(n))) {
				return fmt.Sprintf("%s %d bytes at offset %d of the context, which is read-only there", verb, n, addr-m.ctx)
			}
			return why
		}
	}
	for _, p := range m.env.Maps {
		if _, ok := p.ValueAt(uintptr(addr), int(n)); !ok {
			continue
		}
		if write && !p.Writable() {
			return fmt.Sprintf("%s %d bytes at %#x in a value of map %q, which is read-only", verb, n, addr, p.Name())
		}
		return ""
	}
	where := "nothing near"
	if distance < 4096 {
		where = fmt.Sprintf("offset %d of %s, which has %d bytes", int64(addr-nearest.start), nearest.name, nearest.size)
	}
	for _, p := range m.env.Maps {
		if start := uint64(uintptr(p.Base())); addr >= start && addr < start+p.Size() {
			where = fmt.Sprintf("offset %d in the memory of map %q (%s), but not inside a value of %d bytes", addr-start, p.Name(), p.Type(), p.ValueSize())
		}
	}
	return fmt.Sprintf("%s %d bytes at %#x, outside of every live object: %s", verb, n, addr, where)
}

// objects are the live objects but map values.
func (m *Machine) objects() []object {
	list := []object{{name: "the context", start: m.ctx, size: uint64(m.ctxLen)}}
	for d := 0; d <= m.depth; d++ {
		list = append(list, object{name: fmt.Sprintf("stack frame %d", d), start: m.stack + uint64(d)*frameStep, size: frameSize})
	}
	for _, r := range m.env.Records {
		list = append(list, object{name: "a ring-buffer record", start: r.Addr, size: r.Size})
	}
	for _, r := range m.env.Keys {
		list = append(list, object{name: "a key given to a callback", start: r.Addr, size: r.Size, readOnly: true})
	}
	return list
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
