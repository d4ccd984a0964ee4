package interp

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/gtrace-dev/gtrace/isa"
)

// This file defines the instructions that take more than one line of Go.

// Division by zero gives 0, modulo by zero the dividend (RFC 9669 §4.1); the
// overflow of signed division is the dividend, its modulo 0.

func div64(a, b uint64) uint64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func mod64(a, b uint64) uint64 {
	if b == 0 {
		return a
	}
	return a % b
}

func div32(a, b uint64) uint64 {
	if uint32(b) == 0 {
		return 0
	}
	return uint64(uint32(a) / uint32(b))
}

func mod32(a, b uint64) uint64 {
	if uint32(b) == 0 {
		return uint64(uint32(a))
	}
	return uint64(uint32(a) % uint32(b))
}

func sdiv64(a, b uint64) uint64 {
	switch int64(b) {
	case 0:
		return 0
	case -1:
		return -a
	}
	return uint64(int64(a) / int64(b))
}

func smod64(a, b uint64) uint64 {
	switch int64(b) {
	case 0:
		return a
	case -1:
		return 0
	}
	return uint64(int64(a) % int64(b))
}

func sdiv32(a, b uint64) uint64 {
	switch int32(b) {
	case 0:
		return 0
	case -1:
		return uint64(-uint32(a))
	}
	return uint64(uint32(int32(a) / int32(b)))
}

func smod32(a, b uint64) uint64 {
	switch int32(b) {
	case 0:
		return uint64(uint32(a))
	case -1:
		return 0
	}
	return uint64(uint32(int32(a) % int32(b)))
}

// typed is a load through a typed pointer into memory that the Host has. One
// that faults gives 0, and gtrace_fault reports it.
func (m *Machine) typed(from func(uint64, []byte) error, kind uint16, addr uint64) uint64 {
	size := 1 << (kind & 3)
	if kind >= 4 {
		size = 1 << (kind - 4)
	}
	buf := m.scratch[:size]
	if addr+uint64(size) < addr || from(addr, buf) != nil {
		m.fault = faulted
		return 0
	}
	switch kind {
	case 0:
		return uint64(buf[0])
	case 1:
		return uint64(binary.NativeEndian.Uint16(buf))
	case 2:
		return uint64(binary.NativeEndian.Uint32(buf))
	case 3:
		return binary.NativeEndian.Uint64(buf)
	case 4:
		return uint64(int64(int8(buf[0])))
	case 5:
		return uint64(int64(int16(binary.NativeEndian.Uint16(buf))))
	}
	return uint64(int64(int32(binary.NativeEndian.Uint32(buf))))
}

// fetched puts what an atomic operation found where it belongs.
func (m *Machine) fetched(o *op, old uint64) {
	if int32(o.imm) == isa.AtomicCmpXchg {
		m.regs[0] = old
		return
	}
	m.regs[o.src&15] = old
}

func rmw32(p *uint32, kind uint64, v, expect uint32) (old uint32) {
	switch int32(kind) &^ isa.AtomicFetch {
	case isa.AtomicAdd:
		return atomic.AddUint32(p, v) - v
	case isa.AtomicOr:
		return atomic.OrUint32(p, v)
	case isa.AtomicAnd:
		return atomic.AndUint32(p, v)
	case isa.AtomicXchg &^ isa.AtomicFetch:
		return atomic.SwapUint32(p, v)
	case isa.AtomicXor:
		for {
			if old = atomic.LoadUint32(p); atomic.CompareAndSwapUint32(p, old, old^v) {
				return old
			}
		}
	}
	for { // compare and exchange
		if old = atomic.LoadUint32(p); old != expect || atomic.CompareAndSwapUint32(p, expect, v) {
			return old
		}
	}
}

func rmw64(p *uint64, kind uint64, v, expect uint64) (old uint64) {
	switch int32(kind) &^ isa.AtomicFetch {
	case isa.AtomicAdd:
		return atomic.AddUint64(p, v) - v
	case isa.AtomicOr:
		return atomic.OrUint64(p, v)
	case isa.AtomicAnd:
		return atomic.AndUint64(p, v)
	case isa.AtomicXchg &^ isa.AtomicFetch:
		return atomic.SwapUint64(p, v)
	case isa.AtomicXor:
		for {
			if old = atomic.LoadUint64(p); atomic.CompareAndSwapUint64(p, old, old^v) {
				return old
			}
		}
	}
	for {
		if old = atomic.LoadUint64(p); old != expect || atomic.CompareAndSwapUint64(p, expect, v) {
			return old
		}
	}
}

// part is the aligned word that holds a value of 1 or 2 bytes at addr, and
// the value's shift in it: Go has no atomics that narrow.
func part(addr, size uint64) (p *uint32, shift uint) {
	in := addr & 3
	if bigEndian {
		in = 4 - size - in
	}
	return (*uint32)(at(addr &^ 3)), uint(in) * 8
}

func loadAcquire(addr, size uint64) uint64 {
	switch size {
	case 8:
		return atomic.LoadUint64((*uint64)(at(addr)))
	case 4:
		return uint64(atomic.LoadUint32((*uint32)(at(addr))))
	}
	p, shift := part(addr, size)
	return uint64(atomic.LoadUint32(p)>>shift) & (1<<(8*size) - 1)
}

func storeRelease(addr, size, v uint64) {
	switch size {
	case 8:
		atomic.StoreUint64((*uint64)(at(addr)), v)
		return
	case 4:
		atomic.StoreUint32((*uint32)(at(addr)), uint32(v))
		return
	}
	p, shift := part(addr, size)
	mask := uint32(1<<(8*size)-1) << shift
	for {
		old := atomic.LoadUint32(p)
		if atomic.CompareAndSwapUint32(p, old, old&^mask|uint32(v)<<shift&mask) {
			return
		}
	}
}
