package scalar

import (
	"math"

	"github.com/gtrace-dev/gtrace/isa"
)

// This file defines what a conditional jump tells of the two numbers it compares.

// Cond is the condition of a JMP or JMP32 instruction.
type Cond struct {
	Code uint8 // isa.Jeq …
	Is32 bool  // compares the low halves
}

// Pair is what is known of the operands on one way out of a jump.
type Pair struct {
	A, B S
	// Never: the views show that this way is not taken.
	Never bool
}

var negated = map[uint8]uint8{
	isa.Jeq: isa.Jne, isa.Jne: isa.Jeq, isa.Jgt: isa.Jle, isa.Jle: isa.Jgt, isa.Jge: isa.Jlt, isa.Jlt: isa.Jge,
	isa.Jsgt: isa.Jsle, isa.Jsle: isa.Jsgt, isa.Jsge: isa.Jslt, isa.Jslt: isa.Jsge,
}

var mirrored = map[uint8]uint8{
	isa.Jeq: isa.Jeq, isa.Jne: isa.Jne, isa.Jgt: isa.Jlt, isa.Jlt: isa.Jgt, isa.Jge: isa.Jle, isa.Jle: isa.Jge,
	isa.Jsgt: isa.Jslt, isa.Jslt: isa.Jsgt, isa.Jsge: isa.Jsle, isa.Jsle: isa.Jsge, isa.Jset: isa.Jset,
}

// notSet is the negation of isa.Jset, which no instruction has.
const notSet uint8 = 0x01

// Refine narrows the operands a and b of a conditional jump for both ways out.
func Refine(c Cond, a, b S) (taken, fallthru Pair) {
	t, known := Decide(c, a, b)
	neg, ok := negated[c.Code]
	if !ok {
		neg = notSet
	}
	taken = Pair{Never: known && !t}
	fallthru = Pair{Never: known && t}
	taken.A, taken.B = narrow(c.Code, c.Is32, a, b)
	fallthru.A, fallthru.B = narrow(neg, c.Is32, a, b)
	return taken, fallthru
}

// Decide tells whether the jump is always or never taken.
func Decide(c Cond, a, b S) (taken, known bool) {
	switch c.Code {
	case isa.Jeq:
		return equal(c.Is32, a, b)
	case isa.Jne:
		t, k := equal(c.Is32, a, b)
		return !t, k
	case isa.Jset:
		return anySet(c.Is32, a, b)
	case isa.Jgt, isa.Jge, isa.Jsgt, isa.Jsge:
		return greater(c, a, b)
	}
	return greater(Cond{mirrored[c.Code], c.Is32}, b, a)
}

func equal(is32 bool, a, b S) (bool, bool) {
	x, y := a.Bits, b.Bits
	if is32 {
		x, y = x.Low32(), y.Low32()
	}
	if x.IsConst() && y.IsConst() {
		return x.Value == y.Value, true
	}
	if !x.Overlaps(y) {
		return false, true
	}
	if a.UMin32 > b.UMax32 || a.UMax32 < b.UMin32 || a.SMin32 > b.SMax32 || a.SMax32 < b.SMin32 {
		return false, true
	}
	if !is32 && (a.UMin > b.UMax || a.UMax < b.UMin || a.SMin > b.SMax || a.SMax < b.SMin) {
		return false, true
	}
	return false, false
}

// anySet decides a & b != 0; b is the constant, if one of them is.
func anySet(is32 bool, a, b S) (bool, bool) {
	x, y := a.Bits, b.Bits
	if is32 {
		x, y = x.Low32(), y.Low32()
	}
	if !y.IsConst() {
		x, y = y, x
	}
	if !y.IsConst() {
		return false, false
	}
	if x.Value&y.Value != 0 {
		return true, true
	}
	return false, x.Max()&y.Value == 0
}

// greater decides a > b and a >= b.
func greater(c Cond, a, b S) (bool, bool) {
	var above, below bool // surely, surely not
	strict := c.Code == isa.Jgt || c.Code == isa.Jsgt
	cmp := func(aMin, aMax, bMin, bMax int64) (bool, bool) {
		if strict {
			return aMin > bMax, aMax <= bMin
		}
		return aMin >= bMax, aMax < bMin
	}
	switch {
	case c.Is32 && (c.Code == isa.Jgt || c.Code == isa.Jge):
		above, below = cmp(int64(a.UMin32), int64(a.UMax32), int64(b.UMin32), int64(b.UMax32))
	case c.Is32:
		above, below = cmp(int64(a.SMin32), int64(a.SMax32), int64(b.SMin32), int64(b.SMax32))
	case c.Code == isa.Jsgt || c.Code == isa.Jsge:
		above, below = cmp(a.SMin, a.SMax, b.SMin, b.SMax)
	case strict:
		above, below = a.UMin > b.UMax, a.UMax <= b.UMin
	default:
		above, below = a.UMin >= b.UMax, a.UMax < b.UMin
	}
	return above, above || below
}

// narrow is a and b where "a code b" holds.
func narrow(code uint8, is32 bool, a, b S) (S, S) {
	switch code {
	case isa.Jgt, isa.Jge, isa.Jsgt, isa.Jsge:
		b, a = less(mirrored[code], is32, b, a)
	case isa.Jlt, isa.Jle, isa.Jslt, isa.Jsle:
		a, b = less(code, is32, a, b)
	case isa.Jeq:
		a, b = same(is32, a, b)
	case isa.Jne:
		a, b = differ(is32, a, b), differ(is32, b, a)
	case isa.Jset, notSet:
		if (is32 && !b.Const32()) || (!is32 && !b.IsConst()) {
			b, a = bitsSet(code, is32, b, a)
		} else {
			a, b = bitsSet(code, is32, a, b)
		}
	}
	return a.sync().sane(), b.sync().sane()
}

func same(is32 bool, a, b S) (S, S) {
	a.unsigned32(b.UMin32, b.UMax32)
	a.signed32(b.SMin32, b.SMax32)
	if is32 {
		low := a.Bits.Low32().Intersect(b.Bits.Low32())
		b.unsigned32(a.UMin32, a.UMax32)
		b.signed32(a.SMin32, a.SMax32)
		a.Bits, b.Bits = a.Bits.WithLow32(low), b.Bits.WithLow32(low)
		return a, b
	}
	a.unsigned64(b.UMin, b.UMax)
	a.signed64(b.SMin, b.SMax)
	a.Bits = a.Bits.Intersect(b.Bits)
	return a, a
}

// differ is a where it is not the constant b: only an end of a range can be cut off.
func differ(is32 bool, a, b S) S {
	if is32 {
		if !b.Const32() {
			return a
		}
		v := uint32(b.Bits.Value)
		if a.UMin32 == v && v != math.MaxUint32 {
			a.UMin32++
		}
		if a.UMax32 == v && v != 0 {
			a.UMax32--
		}
		if a.SMin32 == int32(v) && int32(v) != math.MaxInt32 {
			a.SMin32++
		}
		if a.SMax32 == int32(v) && int32(v) != math.MinInt32 {
			a.SMax32--
		}
		return a
	}
	if !b.IsConst() {
		return a
	}
	v := b.Value()
	if a.UMin == v && v != math.MaxUint64 {
		a.UMin++
	}
	if a.UMax == v && v != 0 {
		a.UMax--
	}
	if a.SMin == int64(v) && int64(v) != math.MaxInt64 {
		a.SMin++
	}
	if a.SMax == int64(v) && int64(v) != math.MinInt64 {
		a.SMax--
	}
	return a
}

// less is a and b where a < b or a <= b.
func less(code uint8, is32 bool, a, b S) (S, S) {
	d := uint64(0)
	if code == isa.Jlt || code == isa.Jslt {
		d = 1
	}
	switch {
	case is32 && (code == isa.Jlt || code == isa.Jle):
		hi, lo := b.UMax32-uint32(d), a.UMin32+uint32(d)
		if d == 0 || b.UMax32 > 0 {
			a.UMax32 = min(a.UMax32, hi)
		}
		if d == 0 || a.UMin32 < math.MaxUint32 {
			b.UMin32 = max(b.UMin32, lo)
		}
	case is32:
		if d == 0 || b.SMax32 > math.MinInt32 {
			a.SMax32 = min(a.SMax32, b.SMax32-int32(d))
		}
		if d == 0 || a.SMin32 < math.MaxInt32 {
			b.SMin32 = max(b.SMin32, a.SMin32+int32(d))
		}
	case code == isa.Jlt || code == isa.Jle:
		if d == 0 || b.UMax > 0 {
			a.UMax = min(a.UMax, b.UMax-d)
		}
		if d == 0 || a.UMin < math.MaxUint64 {
			b.UMin = max(b.UMin, a.UMin+d)
		}
	default:
		if d == 0 || b.SMax > math.MinInt64 {
			a.SMax = min(a.SMax, b.SMax-int64(d))
		}
		if d == 0 || a.SMin < math.MaxInt64 {
			b.SMin = max(b.SMin, a.SMin+int64(d))
		}
	}
	return a, b
}

// bitsSet is a and the constant b where a & b is not 0 (Jset) or is 0 (notSet).
func bitsSet(code uint8, is32 bool, a, b S) (S, S) {
	if (is32 && !b.Const32()) || (!is32 && !b.IsConst()) {
		return a, b
	}
	v := b.Bits.Value
	if is32 {
		v &= math.MaxUint32
	}
	if code == notSet { // the kernel forgets the ranges here (Linux 6.17), and no more may be known than it knows
		a.free64()
		a.free32()
		a.Bits.Value &^= v
		a.Bits.Mask &^= v
		return a, b
	}
	if v != 0 && v&(v-1) == 0 {
		a.Bits.Value |= v
		a.Bits.Mask &^= v
	}
	return a, b
}
