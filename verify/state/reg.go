package state

import (
	"fmt"

	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/scalar"
)

// TypeID is a type in a Types table. 0: none.
type TypeID int32

// Reg is what is known of a register or of a register stored on the stack.
// Fields that a kind does not use are zero, so that equal knowledge is equal by ==.
type Reg struct {
	Kind     Kind
	Nullable bool
	Trust    Trust // BTF; Mem: Untrusted when nothing is known of it
	ReadOnly bool  // Mem
	OfPacket bool  // Mem: within packet data, a slice of a dynptr
	Tagged   Tag   // BTF: an address space other than the kernel's
	// Linked: the value is that of the other registers with the same ID plus Off (Scalar).
	Linked bool
	Low    bool // Linked, and the sum is cut to 32 bits; so was the number it is of
	// Distinct: MapValue: values of the map hold locks, and ID tells them apart.
	Distinct bool
	Frame    uint8 // Stack: index of the frame pointed into
	// Off is the constant part of a pointer's offset.
	Off int32
	Map int32 // MapPtr, MapValue: index in Image.Maps; Func: subprogram; Mem: the ID of the dynptr that it is a slice of
	// Size is bytes of RingRecord and Mem. Of Packet and PacketMeta it is how
	// many bytes from the pointer's base on (all pointers with its ID have the
	// same) are known to be there; or AtEnd, or BeyondEnd.
	Size int32
	Type TypeID
	// ID ties registers with the same origin: nullable pointers that one test
	// decides for all, scalars that are copies of each other, packet pointers
	// with the same variable offset.
	ID uint32
	// Ref is the acquired reference that the pointer stands for.
	Ref uint32
	// Val is a scalar's value, or the variable part of a pointer's offset.
	Val scalar.S
}

// Tag is an address-space tag of a pointed-to type.
type Tag uint8

const (
	NoTag Tag = iota
	UserTag
	PerCPUTag
)

// Number is a scalar with value v.
func Number(v scalar.S) Reg { return Reg{Kind: Scalar, Val: v} }

// Constant is the number v.
func Constant(v uint64) Reg { return Number(scalar.Const(v)) }

// Pointer is a pointer of kind k at offset 0.
func Pointer(k Kind) Reg { return Reg{Kind: k, Val: scalar.Const(0)} }

// Untyped is a pointer to memory of the kernel of which nothing is known: loads through it are protected.
func Untyped() Reg {
	r := Pointer(Mem)
	r.ReadOnly, r.Trust = true, Untrusted
	return r
}

// IsNull reports whether r is the number 0.
func (r *Reg) IsNull() bool { return r.Kind == Scalar && r.Val.IsConst() && r.Val.Value() == 0 }

// IsConst reports whether r is a known number.
func (r *Reg) IsConst() bool { return r.Kind == Scalar && r.Val.IsConst() }

// ConstOff reports whether a pointer's offset is a constant, and which.
func (r *Reg) ConstOff() (int64, bool) {
	return int64(r.Off) + int64(r.Val.Value()), r.Val.IsConst()
}

// Span is the range of a pointer's offset plus off, for messages.
func (r *Reg) Span(off int64) fault.Span {
	base := int64(r.Off) + off
	lo, hi := r.Val.SMin, r.Val.SMax
	if lo > -1<<62 {
		lo += base
	}
	if hi < 1<<62 {
		hi += base
	}
	return fault.Span{Lo: lo, Hi: hi}
}

// Describe names the kind of r for messages.
func (r *Reg) Describe() string {
	s := r.Kind.String()
	switch {
	case r.Kind == BTF && r.Tagged == UserTag:
		s = "user-tagged kernel type's pointer"
	case (r.Kind == BTF || r.Kind == Mem) && r.Trust == Untrusted:
		s = "untrusted " + s
	}
	if r.Nullable {
		s += " or NULL"
	}
	return s
}

// String shows everything that is known.
func (r *Reg) String() string {
	switch {
	case r.Kind == Uninit:
		return "?"
	case r.Kind == Scalar:
		return r.Val.String()
	}
	s := r.Describe()
	if r.Off != 0 || !r.Val.IsConst() || r.Val.Value() != 0 {
		s += fmt.Sprintf("%+d", r.Off)
		if !r.Val.IsConst() || r.Val.Value() != 0 {
			s += "+(" + r.Val.String() + ")"
		}
	}
	return s
}

// Untie makes a number one that no other register has.
func (r *Reg) Untie() { r.ID, r.Linked, r.Low, r.Off = 0, false, false, 0 }

// PlainNumber turns r into a number of which nothing is known.
func (r *Reg) PlainNumber() { *r = Number(scalar.Unknown) }
