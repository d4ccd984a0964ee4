package scalar

import (
	"math"

	"github.com/gtrace-dev/gtrace/verify/tnum"
)

// This file makes the five views of a number narrow each other.

// rounds is how often the ranges are deduced from each other: more rounds
// would know more than the kernel does.
const rounds = 3

// sync narrows each view by the others. The result is a subset of s's views
// that has the same numbers.
func (s S) sync() S {
	s.fromBits()
	for range rounds {
		s.low32From64()
		s.signs32()
		s.signs64()
		s.from32()
	}
	s.toBits()
	s.fromBits()
	return s
}

// fromBits narrows the ranges by the known bits.
func (s *S) fromBits() {
	const sign = uint64(1) << 63
	s.SMin = max(s.SMin, int64(s.Bits.Value|s.Bits.Mask&sign))
	s.SMax = min(s.SMax, int64(s.Bits.Value|s.Bits.Mask&^sign))
	s.UMin = max(s.UMin, s.Bits.Min())
	s.UMax = min(s.UMax, s.Bits.Max())
	const sign32 = uint32(1) << 31
	v, m := uint32(s.Bits.Value), uint32(s.Bits.Mask)
	s.SMin32 = max(s.SMin32, int32(v|m&sign32))
	s.SMax32 = min(s.SMax32, int32(v|m&^sign32))
	s.UMin32 = max(s.UMin32, v)
	s.UMax32 = min(s.UMax32, v|m)
}

// toBits narrows the known bits by the unsigned ranges.
func (s *S) toBits() {
	t := s.Bits.Intersect(tnum.Range(s.UMin, s.UMax))
	low := t.Low32().Intersect(tnum.Range(uint64(s.UMin32), uint64(s.UMax32)))
	s.Bits = t.High32().Or(low)
}

// low32From64 narrows the ranges of the low half where those of the whole leave the upper half fixed, or nearly so.
func (s *S) low32From64() {
	if s.UMin>>32 == s.UMax>>32 {
		s.unsigned32(uint32(s.UMin), uint32(s.UMax))
		if int32(s.UMin) <= int32(s.UMax) {
			s.signed32(int32(s.UMin), int32(s.UMax))
		}
	}
	if s.SMin>>32 == s.SMax>>32 {
		if uint32(s.SMin) <= uint32(s.SMax) {
			s.unsigned32(uint32(s.SMin), uint32(s.SMax))
		}
		if int32(s.SMin) <= int32(s.SMax) {
			s.signed32(int32(s.SMin), int32(s.SMax))
		}
	}
	// The upper half grows by one where the low half goes from negative through -1 and 0 to positive.
	if uint32(s.UMin>>32)+1 == uint32(s.UMax>>32) && int32(s.UMin) < 0 && int32(s.UMax) >= 0 {
		s.signed32(int32(s.UMin), int32(s.UMax))
	}
	if uint32(s.SMin>>32)+1 == uint32(s.SMax>>32) && int32(s.SMin) < 0 && int32(s.SMax) >= 0 {
		s.signed32(int32(s.SMin), int32(s.SMax))
	}
}

// signs32 narrows signed and unsigned ranges of the low half by each other, as
// signs64 those of the whole.
func (s *S) signs32() {
	if int32(s.UMin32) <= int32(s.UMax32) {
		s.signed32(int32(s.UMin32), int32(s.UMax32))
	}
	if uint32(s.SMin32) <= uint32(s.SMax32) {
		s.unsigned32(uint32(s.SMin32), uint32(s.SMax32))
		return
	}
	switch {
	case s.UMax32 < uint32(s.SMin32): // only the part that is not negative is left
		s.SMin32 = int32(s.UMin32)
		s.UMax32 = min(s.UMax32, uint32(s.SMax32))
	case uint32(s.SMax32) < s.UMin32: // only the negative part is left
		s.SMax32 = int32(s.UMax32)
		s.UMin32 = max(s.UMin32, uint32(s.SMin32))
	}
}

// signs64 does the same for the whole, also where a range crosses the sign
// but the other touches only one of its ends.
func (s *S) signs64() {
	if int64(s.UMin) <= int64(s.UMax) {
		s.signed64(int64(s.UMin), int64(s.UMax))
	}
	if uint64(s.SMin) <= uint64(s.SMax) {
		s.unsigned64(uint64(s.SMin), uint64(s.SMax))
		return
	}
	// s is [SMin, -1] and [0, SMax]: as unsigned [0, SMax] and [SMin, max].
	switch {
	case s.UMax < uint64(s.SMin): // only the part that is not negative is left
		s.SMin = int64(s.UMin)
		s.UMax = min(s.UMax, uint64(s.SMax))
	case uint64(s.SMax) < s.UMin: // only the negative part is left
		s.SMax = int64(s.UMax)
		s.UMin = max(s.UMin, uint64(s.SMin))
	}
}

// from32 narrows the whole by the low half.
func (s *S) from32() {
	const low = uint64(math.MaxUint32)
	s.unsigned64(s.UMin&^low|uint64(s.UMin32), s.UMax&^low|uint64(s.UMax32))
	s.signed64(int64(uint64(s.SMin)&^low|uint64(s.UMin32)), int64(uint64(s.SMax)&^low|uint64(s.UMax32)))
	if s.SMin32 >= 0 && s.SMin >= math.MinInt32 && s.SMax <= math.MaxInt32 {
		s.SMin, s.SMax = int64(s.SMin32), int64(s.SMax32)
		s.UMin, s.UMax = uint64(s.SMin32), uint64(s.SMax32)
		s.Bits = s.Bits.Intersect(tnum.Range(s.UMin, s.UMax))
	}
}

func (s *S) signed64(lo, hi int64)    { s.SMin, s.SMax = max(s.SMin, lo), min(s.SMax, hi) }
func (s *S) unsigned64(lo, hi uint64) { s.UMin, s.UMax = max(s.UMin, lo), min(s.UMax, hi) }
func (s *S) signed32(lo, hi int32)    { s.SMin32, s.SMax32 = max(s.SMin32, lo), min(s.SMax32, hi) }
func (s *S) unsigned32(lo, hi uint32) { s.UMin32, s.UMax32 = max(s.UMin32, lo), min(s.UMax32, hi) }
