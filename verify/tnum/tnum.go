// Package tnum defines tristate numbers: 64-bit words of which each bit is
// known to be 0, known to be 1, or not known. Operations are sound: the result
// contains every concrete result (Vishwanathan et al., "Sound, Precise, and
// Fast Abstract Interpretation with Tristate Numbers", CGO 2022).
package tnum

import (
	"fmt"
	"math/bits"
)

// T is a tristate number. Bits set in Mask are not known; the others have
// their value in Value. Value&Mask is 0.
type T struct{ Value, Mask uint64 }

// Unknown knows no bit.
var Unknown = T{Mask: ^uint64(0)}

// Const is the number v.
func Const(v uint64) T { return T{Value: v} }

// Range is the smallest tristate number that contains lo to hi, unsigned, both included.
func Range(lo, hi uint64) T {
	if lo > hi {
		return Unknown
	}
	n := bits.Len64(lo ^ hi)
	if n == 64 {
		return Unknown
	}
	mask := uint64(1)<<n - 1
	return T{lo &^ mask, mask}
}

// IsConst reports whether every bit is known.
func (t T) IsConst() bool { return t.Mask == 0 }

// IsUnknown reports whether no bit is known.
func (t T) IsUnknown() bool { return t.Mask == ^uint64(0) }

// Contains reports whether v is one of t's numbers.
func (t T) Contains(v uint64) bool { return v&^t.Mask == t.Value }

// Covers reports whether every number of a is one of t.
func (t T) Covers(a T) bool { return a.Mask&^t.Mask == 0 && a.Value&^t.Mask == t.Value }

// Overlaps reports whether t and o may have a number in common.
func (t T) Overlaps(o T) bool {
	known := ^(t.Mask | o.Mask)
	return t.Value&known == o.Value&known
}

// Min and Max are the smallest and the largest unsigned number.
func (t T) Min() uint64 { return t.Value }

// Max is the largest unsigned number.
func (t T) Max() uint64 { return t.Value | t.Mask }

func of(v, m uint64) T { return T{v &^ m, m} }

// Add is t + o.
func (t T) Add(o T) T {
	low := t.Value + o.Value
	high := t.Mask + o.Mask + low
	return of(low, (low^high)|t.Mask|o.Mask)
}

// Sub is t - o.
func (t T) Sub(o T) T {
	d := t.Value - o.Value
	return of(d, (d+t.Mask)^(d-o.Mask)|t.Mask|o.Mask)
}

// Neg is -t.
func (t T) Neg() T { return T{}.Sub(t) }

// And is t & o.
func (t T) And(o T) T {
	one := t.Value & o.Value
	return T{one, (t.Value | t.Mask) & (o.Value | o.Mask) &^ one}
}

// Or is t | o.
func (t T) Or(o T) T {
	one := t.Value | o.Value
	return T{one, (t.Mask | o.Mask) &^ one}
}

// Xor is t ^ o.
func (t T) Xor(o T) T { return of(t.Value^o.Value, t.Mask|o.Mask) }

// Union is the smallest that contains both.
func (t T) Union(o T) T { return of(t.Value&o.Value, t.Mask|o.Mask|(t.Value^o.Value)) }

// Intersect keeps what both know. Where they contradict each other the result means nothing.
func (t T) Intersect(o T) T {
	m := t.Mask & o.Mask
	return of(t.Value|o.Value, m)
}

// Mul is t * o by long multiplication: an unknown bit of t adds o or nothing.
func (t T) Mul(o T) T {
	sum := Const(0)
	for t.Value|t.Mask != 0 {
		switch {
		case t.Value&1 != 0:
			sum = sum.Add(o)
		case t.Mask&1 != 0:
			sum = sum.Union(sum.Add(o))
		}
		t = t.Rsh(1)
		o = o.Lsh(1)
	}
	return sum
}

// Lsh is t << n, n below 64.
func (t T) Lsh(n uint) T { return T{t.Value << n, t.Mask << n} }

// Rsh is t >> n, logical.
func (t T) Rsh(n uint) T { return T{t.Value >> n, t.Mask >> n} }

// Arsh is t >> n, arithmetic, for operands of width 64 or 32 bits. A 32-bit result is zero-extended.
func (t T) Arsh(n uint, width int) T {
	if width == 32 {
		return T{uint64(uint32(int32(t.Value) >> n)), uint64(uint32(int32(t.Mask) >> n))}
	}
	return T{uint64(int64(t.Value) >> n), uint64(int64(t.Mask) >> n)}
}

// Cast keeps the low size bytes; the bits above become 0.
func (t T) Cast(size int) T {
	if size >= 8 {
		return t
	}
	m := uint64(1)<<(8*size) - 1
	return T{t.Value & m, t.Mask & m}
}

// Swap is t, of which only the low size bytes may be set, with these in the other order.
func (t T) Swap(size int) T {
	n := 64 - 8*uint(size)
	return T{bits.ReverseBytes64(t.Value) >> n, bits.ReverseBytes64(t.Mask) >> n}
}

// Low32 is the low half, zero-extended.
func (t T) Low32() T { return t.Cast(4) }

// High32 is t with its low half cleared.
func (t T) High32() T { return T{t.Value &^ 0xffffffff, t.Mask &^ 0xffffffff} }

// WithLow32 is t with the low half of o.
func (t T) WithLow32(o T) T { return t.High32().Or(o.Low32()) }

// String shows value and mask in hex.
func (t T) String() string { return fmt.Sprintf("(%#x; %#x)", t.Value, t.Mask) }
