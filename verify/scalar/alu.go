package scalar

import (
	"math"
	"math/bits"

	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/tnum"
)

// This file defines arithmetic on numbers.

// Op is an ALU operation.
type Op struct {
	Code   uint8 // isa.Add … isa.End
	Is32   bool  // on the low halves; the result is zero-extended
	Signed bool  // Div, Mod
	Extend int   // Mov: sign-extend from this many bytes; 0: plain
	Swap   bool  // End: the byte order changes
	Width  int   // End: bits kept
	Opaque bool  // End: nothing is said of the result
}

// OpOf is the operation of an ALU or ALU64 instruction, for little- or big-endian targets.
func OpOf(i isa.Insn, bigEndian bool) Op {
	op := Op{Code: i.Operation(), Is32: i.Class() == isa.ClassALU}
	switch op.Code {
	case isa.Div, isa.Mod:
		op.Signed = i.Off == 1
	case isa.Mov:
		op.Extend = int(i.Off) / 8
	case isa.End:
		op.Width = int(i.Imm)
		toBig := i.Op&isa.SrcX != 0
		op.Swap = !op.Is32 || toBig != bigEndian
	}
	return op
}

// Apply is op on a (the destination) and b (the source). It contains every
// concrete result.
func Apply(op Op, a, b S) S {
	if op.Code == isa.Mov {
		return move(op, b)
	}
	if !computable(op, b) {
		return Unknown
	}
	switch op.Code {
	case isa.Add:
		a = add(a, b)
	case isa.Sub:
		a = sub(a, b)
	case isa.Neg:
		a = sub(Const(0), a)
	case isa.Mul:
		a = mul(a, b)
	case isa.And:
		a = and(a, b)
	case isa.Or:
		a = or(a, b)
	case isa.Xor:
		a = xor(a, b)
	case isa.Lsh, isa.Rsh, isa.Arsh:
		a = shift(op, a, uint(b.UMin))
	case isa.End:
		return end(op, a)
	}
	if op.Is32 {
		return a.Zero32().sane()
	}
	return a.sync().sane()
}

// computable reports whether something is known of the result. Division and
// shifts by a number that is not known give any number, as in the kernel.
func computable(op Op, b S) bool {
	switch op.Code {
	case isa.Add, isa.Sub, isa.Neg, isa.Mul, isa.And, isa.Or, isa.Xor:
		return true
	case isa.Lsh, isa.Rsh, isa.Arsh:
		if op.Is32 {
			return b.Const32() && b.UMax32 < 32 && b.UMax < 32
		}
		return b.IsConst() && b.UMax < 64
	case isa.End:
		return !op.Opaque
	}
	return false
}

// end is a cut to op.Width bits, and these in the other byte order with op.Swap: only its known bits say something.
func end(op Op, a S) S {
	r := Unknown
	r.Bits = a.Bits.Cast(op.Width / 8)
	if op.Swap {
		r.Bits = r.Bits.Swap(op.Width / 8)
	}
	return r.sync()
}

func move(op Op, b S) S {
	if op.Extend != 0 {
		b = b.SignExtend(op.Extend)
	}
	if op.Is32 {
		b = b.Zero32()
	}
	return b
}

func add(a, b S) S {
	r := a
	r.SMin32, r.SMax32 = addS32(a.SMin32, b.SMin32, a.SMax32, b.SMax32)
	r.UMin32, r.UMax32 = a.UMin32+b.UMin32, a.UMax32+b.UMax32
	if r.UMin32 >= a.UMin32 && r.UMax32 < a.UMax32 { // only the upper end overflows
		r.UMin32, r.UMax32 = 0, math.MaxUint32
	}
	r.SMin, r.SMax = a.SMin+b.SMin, a.SMax+b.SMax
	if over(a.SMin, b.SMin) || over(a.SMax, b.SMax) {
		r.SMin, r.SMax = math.MinInt64, math.MaxInt64
	}
	r.UMin, r.UMax = a.UMin+b.UMin, a.UMax+b.UMax
	if r.UMin >= a.UMin && r.UMax < a.UMax {
		r.UMin, r.UMax = 0, math.MaxUint64
	}
	r.Bits = a.Bits.Add(b.Bits)
	return r
}

func over(a, b int64) bool { s := a + b; return (s < a) != (b < 0) }

func addS32(lo1, lo2, hi1, hi2 int32) (int32, int32) {
	lo, hi := int64(lo1)+int64(lo2), int64(hi1)+int64(hi2)
	if lo < math.MinInt32 || lo > math.MaxInt32 || hi < math.MinInt32 || hi > math.MaxInt32 {
		return math.MinInt32, math.MaxInt32
	}
	return int32(lo), int32(hi)
}

func sub(a, b S) S {
	r := a
	lo, hi := int64(a.SMin32)-int64(b.SMax32), int64(a.SMax32)-int64(b.SMin32)
	r.SMin32, r.SMax32 = int32(lo), int32(hi)
	if lo < math.MinInt32 || hi > math.MaxInt32 || lo > math.MaxInt32 || hi < math.MinInt32 {
		r.SMin32, r.SMax32 = math.MinInt32, math.MaxInt32
	}
	r.UMin32, r.UMax32 = a.UMin32-b.UMax32, a.UMax32-b.UMin32
	if a.UMin32 < b.UMax32 && a.UMax32 >= b.UMin32 { // only the lower end wraps
		r.UMin32, r.UMax32 = 0, math.MaxUint32
	}
	r.SMin, r.SMax = a.SMin-b.SMax, a.SMax-b.SMin
	if under(a.SMin, b.SMax) || under(a.SMax, b.SMin) {
		r.SMin, r.SMax = math.MinInt64, math.MaxInt64
	}
	r.UMin, r.UMax = a.UMin-b.UMax, a.UMax-b.UMin
	if a.UMin < b.UMax && a.UMax >= b.UMin {
		r.UMin, r.UMax = 0, math.MaxUint64
	}
	r.Bits = a.Bits.Sub(b.Bits)
	return r
}

func under(a, b int64) bool { d := a - b; return (d > a) != (b < 0) }

func mul(a, b S) S {
	r := a
	if hi, lo := bits.Mul64(a.UMax, b.UMax); hi != 0 {
		r.UMin, r.UMax = 0, math.MaxUint64
	} else {
		r.UMin, r.UMax = a.UMin*b.UMin, lo
	}
	if p := uint64(a.UMax32) * uint64(b.UMax32); p > math.MaxUint32 {
		r.UMin32, r.UMax32 = 0, math.MaxUint32
	} else {
		r.UMin32, r.UMax32 = a.UMin32*b.UMin32, uint32(p)
	}
	r.SMin, r.SMax = math.MaxInt64, math.MinInt64
	for _, x := range [2]int64{a.SMin, a.SMax} {
		for _, y := range [2]int64{b.SMin, b.SMax} {
			p, ok := mulS64(x, y)
			if !ok {
				r.SMin, r.SMax = math.MinInt64, math.MaxInt64
				goto low
			}
			r.SMin, r.SMax = min(r.SMin, p), max(r.SMax, p)
		}
	}
low:
	r.SMin32, r.SMax32 = math.MaxInt32, math.MinInt32
	for _, x := range [2]int32{a.SMin32, a.SMax32} {
		for _, y := range [2]int32{b.SMin32, b.SMax32} {
			p := int64(x) * int64(y)
			if p != int64(int32(p)) {
				r.SMin32, r.SMax32 = math.MinInt32, math.MaxInt32
				goto done
			}
			r.SMin32, r.SMax32 = min(r.SMin32, int32(p)), max(r.SMax32, int32(p))
		}
	}
done:
	r.Bits = a.Bits.Mul(b.Bits)
	return r
}

func mulS64(x, y int64) (int64, bool) {
	if x == 0 || y == 0 {
		return 0, true
	}
	p := x * y
	if p/y != x || x == -1 && y == math.MinInt64 || y == -1 && x == math.MinInt64 {
		return 0, false
	}
	return p, true
}

func and(a, b S) S {
	r := a
	r.Bits = a.Bits.And(b.Bits)
	r.UMin32, r.UMax32 = uint32(r.Bits.Value), min(a.UMax32, b.UMax32)
	r.UMin, r.UMax = r.Bits.Value, min(a.UMax, b.UMax)
	return r.signsOfUnsigned()
}

func or(a, b S) S {
	r := a
	r.Bits = a.Bits.Or(b.Bits)
	r.UMin32, r.UMax32 = max(a.UMin32, b.UMin32), uint32(r.Bits.Max())
	r.UMin, r.UMax = max(a.UMin, b.UMin), r.Bits.Max()
	return r.signsOfUnsigned()
}

func xor(a, b S) S {
	r := a
	r.Bits = a.Bits.Xor(b.Bits)
	r.UMin32, r.UMax32 = uint32(r.Bits.Value), uint32(r.Bits.Max())
	r.UMin, r.UMax = r.Bits.Value, r.Bits.Max()
	return r.signsOfUnsigned()
}

// signsOfUnsigned sets the signed ranges from the unsigned ones, which alone are valid.
func (s S) signsOfUnsigned() S {
	s.SMin, s.SMax, s.SMin32, s.SMax32 = math.MinInt64, math.MaxInt64, math.MinInt32, math.MaxInt32
	if int64(s.UMin) <= int64(s.UMax) {
		s.SMin, s.SMax = int64(s.UMin), int64(s.UMax)
	}
	if int32(s.UMin32) <= int32(s.UMax32) {
		s.SMin32, s.SMax32 = int32(s.UMin32), int32(s.UMax32)
	}
	return s
}

func shift(op Op, a S, n uint) S {
	if op.Is32 {
		return shift32(op.Code, a, n)
	}
	r := a
	r.free32()
	switch op.Code {
	case isa.Lsh:
		r.SMin, r.SMax = math.MinInt64, math.MaxInt64
		if n == 32 { // first half of a sign extension
			r.SMin, r.SMax = int64(a.SMin32)<<32, int64(a.SMax32)<<32
		}
		if a.UMax > 1<<(63-n) {
			r.UMin, r.UMax = 0, math.MaxUint64
		} else {
			r.UMin, r.UMax = a.UMin<<n, a.UMax<<n
		}
		r.Bits = a.Bits.Lsh(n)
		l := shift32(isa.Lsh, a, n)
		r.UMin32, r.UMax32 = l.UMin32, l.UMax32
	case isa.Rsh:
		r.SMin, r.SMax = math.MinInt64, math.MaxInt64
		r.UMin, r.UMax = a.UMin>>n, a.UMax>>n
		r.Bits = a.Bits.Rsh(n)
	case isa.Arsh:
		r.SMin, r.SMax = a.SMin>>n, a.SMax>>n
		r.UMin, r.UMax = 0, math.MaxUint64
		r.Bits = a.Bits.Arsh(n, 64)
	}
	r.fromBits()
	return r
}

func shift32(code uint8, a S, n uint) S {
	r := a
	r.free64()
	r.free32()
	low := a.Bits.Low32()
	switch code {
	case isa.Lsh:
		if n <= 31 && a.UMax32 <= 1<<(31-n) {
			r.UMin32, r.UMax32 = a.UMin32<<n, a.UMax32<<n
		}
		r.Bits = low.Lsh(n)
	case isa.Rsh:
		r.UMin32, r.UMax32 = a.UMin32>>n, a.UMax32>>n
		r.Bits = low.Rsh(n)
	case isa.Arsh:
		r.SMin32, r.SMax32 = a.SMin32>>n, a.SMax32>>n
		r.Bits = low.Arsh(n, 32)
	}
	r.Bits = tnum.Unknown.WithLow32(r.Bits)
	r.fromBits()
	return r
}
