// Package scalar defines what is known of a number in a register: signed and
// unsigned ranges of its 64 bits and of its low 32, and its known bits. The
// five views are kept consistent: each narrows the others.
//
// It knows nothing of registers, memory or programs.
package scalar

import (
	"fmt"
	"math"

	"github.com/gtrace-dev/gtrace/verify/tnum"
)

// S is a set of 64-bit numbers: those that are in all ranges and in Bits.
type S struct {
	Bits       tnum.T
	SMin, SMax int64
	UMin, UMax uint64
	// The low half, as a signed and as an unsigned number.
	SMin32, SMax32 int32
	UMin32, UMax32 uint32
}

// Unknown is every number.
var Unknown = S{
	Bits: tnum.Unknown, SMin: math.MinInt64, SMax: math.MaxInt64, UMax: math.MaxUint64,
	SMin32: math.MinInt32, SMax32: math.MaxInt32, UMax32: math.MaxUint32,
}

// Const is the number v.
func Const(v uint64) S {
	return S{tnum.Const(v), int64(v), int64(v), v, v, int32(v), int32(v), uint32(v), uint32(v)}
}

// Unsigned is lo to hi, both included.
func Unsigned(lo, hi uint64) S {
	s := Unknown
	s.UMin, s.UMax = lo, hi
	return s.sync()
}

// Signed is lo to hi, both included.
func Signed(lo, hi int64) S {
	s := Unknown
	s.SMin, s.SMax = lo, hi
	return s.sync()
}

// Bytes is what a load of size bytes can give.
func Bytes(size int) S { return Unknown.Truncate(size) }

// IsConst reports whether s is one number.
func (s S) IsConst() bool { return s.Bits.IsConst() }

// Const32 reports whether the low half is one number.
func (s S) Const32() bool { return s.Bits.Low32().IsConst() }

// Value is the number, where IsConst.
func (s S) Value() uint64 { return s.Bits.Value }

// IsUnknown reports whether nothing is known.
func (s S) IsUnknown() bool { return s == Unknown }

// Fits32 reports whether the upper half is known to be zero.
func (s S) Fits32() bool { return s.UMax <= math.MaxUint32 }

// Contains reports whether v is in s.
func (s S) Contains(v uint64) bool {
	return s.Bits.Contains(v) && s.SMin <= int64(v) && int64(v) <= s.SMax && s.UMin <= v && v <= s.UMax &&
		s.SMin32 <= int32(v) && int32(v) <= s.SMax32 && s.UMin32 <= uint32(v) && uint32(v) <= s.UMax32
}

// In reports whether every view of s lies inside that of o.
func (s S) In(o S) bool {
	return o.SMin <= s.SMin && s.SMax <= o.SMax && o.UMin <= s.UMin && s.UMax <= o.UMax &&
		o.SMin32 <= s.SMin32 && s.SMax32 <= o.SMax32 && o.UMin32 <= s.UMin32 && s.UMax32 <= o.UMax32 &&
		o.Bits.Covers(s.Bits)
}

// Empty reports whether the views contradict each other.
func (s S) Empty() bool {
	return s.SMin > s.SMax || s.UMin > s.UMax || s.SMin32 > s.SMax32 || s.UMin32 > s.UMax32
}

// Truncate keeps the low size bytes and clears those above.
func (s S) Truncate(size int) S {
	if size >= 8 {
		return s
	}
	mask := uint64(1)<<(8*size) - 1
	s.Bits = s.Bits.Cast(size)
	if s.UMin&^mask == s.UMax&^mask {
		s.UMin &= mask
		s.UMax &= mask
	} else {
		s.UMin, s.UMax = 0, mask
	}
	s.SMin, s.SMax = int64(s.UMin), int64(s.UMax)
	if size < 4 {
		s.free32()
	}
	return s.sync()
}

// SignExtend keeps the low size bytes and copies their sign to those above.
func (s S) SignExtend(size int) S {
	if size >= 8 {
		return s
	}
	if s.IsConst() {
		return Const(signExtend(s.Value(), size))
	}
	n := 8 * size
	r := Unknown
	r.SMin, r.SMax = math.MinInt64>>(64-n), math.MaxInt64>>(64-n)
	if s.SMin>>n == s.SMax>>n {
		lo, hi := int64(signExtend(uint64(s.SMin), size)), int64(signExtend(uint64(s.SMax), size))
		if lo <= hi {
			r.SMin, r.SMax = lo, hi
		}
	}
	return r.sync()
}

func signExtend(v uint64, size int) uint64 {
	n := 64 - 8*size
	return uint64(int64(v<<n) >> n)
}

// Zero32 clears the upper half: what a 32-bit operation leaves.
func (s S) Zero32() S {
	s.Bits = s.Bits.Low32()
	s.UMin, s.UMax = uint64(s.UMin32), uint64(s.UMax32)
	if s.SMin32 >= 0 && s.SMax32 >= 0 {
		s.SMin, s.SMax = int64(s.SMin32), int64(s.SMax32)
	} else {
		s.SMin, s.SMax = 0, math.MaxUint32
	}
	return s.sync()
}

func (s *S) free64() {
	s.SMin, s.SMax, s.UMin, s.UMax = math.MinInt64, math.MaxInt64, 0, math.MaxUint64
}

func (s *S) free32() {
	s.SMin32, s.SMax32, s.UMin32, s.UMax32 = math.MinInt32, math.MaxInt32, 0, math.MaxUint32
}

// sane gives up the ranges where they contradict each other, which happens only on paths that can't be taken.
func (s S) sane() S {
	if s.Empty() {
		s.free64()
		s.free32()
	}
	return s
}

// String lists the views that say more than those before them: "0..7",
// "s64 min..7, u32 0..9", "any number". Large numbers are in hex.
func (s S) String() string {
	if s.IsConst() {
		return show(int64(s.Value()))
	}
	known, out := Unknown, ""
	add := func(view string) {
		if out != "" {
			out += ", "
		}
		out += view
	}
	same := uint64(s.SMin) == s.UMin && uint64(s.SMax) == s.UMax
	if same && s.SMin != math.MinInt64 && s.SMax != math.MaxInt64 {
		add(show(s.SMin) + ".." + show(s.SMax))
	} else {
		if s.SMin != math.MinInt64 || s.SMax != math.MaxInt64 {
			add("s64 " + ends(s.SMin, s.SMax, math.MinInt64, math.MaxInt64))
		}
		if !same && (s.UMin != 0 || s.UMax != math.MaxUint64) {
			add("u64 " + ends(s.UMin, s.UMax, 0, math.MaxUint64))
		}
	}
	known.SMin, known.SMax, known.UMin, known.UMax = s.SMin, s.SMax, s.UMin, s.UMax
	known = known.sync()
	if s.SMin32 != known.SMin32 || s.SMax32 != known.SMax32 {
		add("s32 " + ends(s.SMin32, s.SMax32, math.MinInt32, math.MaxInt32))
	}
	if s.UMin32 != known.UMin32 || s.UMax32 != known.UMax32 {
		add("u32 " + ends(s.UMin32, s.UMax32, 0, math.MaxUint32))
	}
	known.SMin32, known.SMax32, known.UMin32, known.UMax32 = s.SMin32, s.SMax32, s.UMin32, s.UMax32
	if s.Bits != known.sync().Bits {
		add("bits " + s.Bits.String())
	}
	if out == "" {
		return "any number"
	}
	return out
}

// ends shows a range; the ends of its type are min and max.
func ends[T int64 | uint64 | int32 | uint32](lo, hi, least, most T) string {
	l, h := show(lo), show(hi)
	if lo == least && lo != 0 {
		l = "min"
	}
	if hi == most {
		h = "max"
	}
	return l + ".." + h
}

func show[T int64 | uint64 | int32 | uint32](v T) string {
	if v > 1<<24 || (v < 0 && v+(1<<24) < 0) {
		return fmt.Sprintf("%#x", v)
	}
	return fmt.Sprint(v)
}
