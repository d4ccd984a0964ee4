package state

import "github.com/gtrace-dev/gtrace/verify/scalar"

// This file defines stack slots and what loads and stores at known offsets do to them.

// StackSize is the size of a stack frame in bytes, and SlotSize that of a slot.
const (
	StackSize = 512
	SlotSize  = 8
)

// Byte says what is in one byte of the stack.
type Byte uint8

const (
	Invalid Byte = iota // never written
	Spill               // part of a stored register
	Misc                // some number
	Zero                // zero
	Object              // part of an object that only calls may touch
)

// Slot is eight bytes of stack. Bytes[0] is at the lowest address.
type Slot struct {
	Bytes [SlotSize]Byte
	// Reg is the register stored here, when Bytes[0] is Spill, or what is known
	// of the object, when it is Object; it is shared and never changed.
	Reg *Reg
}

// SlotOf is the index of the slot that holds the byte at off (negative) of the frame pointer.
func SlotOf(off int) int { return (-off - 1) / SlotSize }

func byteOf(off int) int { return (off%SlotSize + SlotSize) % SlotSize }

// Spilled is the register stored in s, or nil, and how many bytes of it.
func (s *Slot) Spilled() (*Reg, int) {
	if s.Bytes[0] != Spill {
		return nil, 0
	}
	n := 0
	for n < SlotSize && s.Bytes[n] == Spill {
		n++
	}
	return s.Reg, n
}

// loosen marks a byte as holding some number, unless it is known better to be zero or was never written.
func loosen(b *Byte) {
	if *b != Zero && *b != Invalid {
		*b = Misc
	}
}

// scrub forgets a stored register or an object.
func (s *Slot) scrub() {
	if s.Bytes[0] == Spill || s.Bytes[0] == Object {
		for i := range s.Bytes {
			if s.Bytes[i] == Spill || s.Bytes[i] == Object {
				s.Bytes[i] = Misc
			}
		}
	}
	s.Reg = nil
}

func (f *Frame) grow(slot int) {
	if slot < len(f.Slots) {
		return
	}
	slots := make([]Slot, slot+1)
	copy(slots, f.Slots)
	f.Slots = slots
}

// StoreReg stores the low size bytes of r at off, an offset from the frame
// pointer. A pointer must be stored whole and aligned: the caller has checked.
func (f *Frame) StoreReg(off, size int, r Reg) {
	f.grow(SlotOf(off))
	s := &f.Slots[SlotOf(off)]
	if byteOf(off) == 0 && (r.Kind == Scalar || size == SlotSize) {
		if r.Kind == Scalar && !fits(r.Val, size) {
			r.Untie()
		}
		s.Reg = &r
		for i := range s.Bytes {
			if i < size {
				s.Bytes[i] = Spill
			} else if s.Bytes[i] == Spill {
				s.Bytes[i] = Misc
			} else {
				loosen(&s.Bytes[i])
			}
		}
		return
	}
	with := Misc
	if r.IsNull() {
		with = Zero
	}
	f.StoreBytes(off, size, with)
}

// Narrow reports whether a load of size bytes at off reads a part of a stored number.
func (f *Frame) Narrow(off, size int) bool {
	s := f.SlotAt(off)
	if s == nil {
		return false
	}
	p, n := s.Spilled()
	return p != nil && p.Kind == Scalar && byteOf(off) < n && size != n
}

func fits(v scalar.S, size int) bool {
	return size >= 8 || v.UMax < uint64(1)<<(8*size)
}

// StoreBytes stores size bytes of which only with is known at off.
func (f *Frame) StoreBytes(off, size int, with Byte) {
	f.grow(SlotOf(off))
	for i := off; i < off+size; i++ {
		s := &f.Slots[SlotOf(i)]
		if i == off || byteOf(i) == 0 {
			s.scrub()
		}
		s.Bytes[byteOf(i)] = with
	}
}

// ByteAt is what is known of the byte at off.
func (f *Frame) ByteAt(off int) Byte {
	if i := SlotOf(off); i < len(f.Slots) {
		return f.Slots[i].Bytes[byteOf(off)]
	}
	return Invalid
}

// SlotAt is the slot that holds the byte at off, nil when it was never written.
func (f *Frame) SlotAt(off int) *Slot {
	if i := SlotOf(off); i < len(f.Slots) {
		return &f.Slots[i]
	}
	return nil
}

// LoadReg is the register stored at off, if a load of size bytes there reads
// the low bytes of one. ok is false when there is none to take.
func (f *Frame) LoadReg(off, size int) (r Reg, ok bool) {
	s := f.SlotAt(off)
	if s == nil || byteOf(off) != 0 {
		return Reg{}, false
	}
	p, n := s.Spilled()
	if p == nil || size > n {
		return Reg{}, false
	}
	if size == SlotSize {
		return *p, true
	}
	if p.Kind != Scalar {
		return Reg{}, false
	}
	r = *p
	if !fits(r.Val, size) {
		r.Untie()
	}
	return r, true
}

// PartOfPointer reports whether bytes off to off+size hold a part of a stored pointer, but not the whole of one.
func (f *Frame) PartOfPointer(off, size int) bool {
	s := f.SlotAt(off)
	if s == nil {
		return false
	}
	p, n := s.Spilled()
	return p != nil && p.Kind != Scalar && (size != SlotSize || n != SlotSize || byteOf(off) != 0)
}

// AllZero reports whether bytes off to off+size are known to be zero.
func (f *Frame) AllZero(off, size int) bool {
	for i := off; i < off+size; i++ {
		switch f.ByteAt(i) {
		case Zero:
		case Spill:
			if p := f.Slots[SlotOf(i)].Reg; p == nil || !p.IsNull() {
				return false
			}
		default:
			return false
		}
	}
	return true
}
