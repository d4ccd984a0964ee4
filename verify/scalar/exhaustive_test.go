package scalar

import (
	"flag"
	"testing"

	"github.com/gtrace-dev/gtrace/verify/tnum"
)

// This file checks every operation and comparison on every range, and on all
// known bits, of a few bits, placed where something changes: numbers of so few
// bits around a corner behave as all numbers of a machine with so few would.

var width = flag.Uint("bits", 3, "width of the numbers that are checked exhaustively")

// window are all ranges among the 2^width numbers around c, as unsigned, as
// signed and as ranges of the low half only.
func window(c uint64, width uint) []set {
	var out []set
	first := c - 1<<(width-1)
	n := uint64(1) << width
	for i := uint64(0); i < n; i++ {
		for j := i; j < n; j++ {
			lo, hi := first+i, first+j
			var con, low []uint64
			for v := lo; ; v++ {
				con = append(con, v)
				low = append(low, v, v^1<<32, v|0xffffffff<<32)
				if v == hi {
					break
				}
			}
			if lo <= hi {
				out = append(out, set{Unsigned(lo, hi), con})
			}
			if int64(lo) <= int64(hi) && lo > hi {
				out = append(out, set{Signed(int64(lo), int64(hi)), con})
			}
			if (i+j)%3 != 0 {
				continue // there are enough of them
			}
			if uint32(lo) <= uint32(hi) {
				s := Unknown
				s.UMin32, s.UMax32 = uint32(lo), uint32(hi)
				out = append(out, set{s.sync(), low})
			} else if int32(lo) <= int32(hi) {
				s := Unknown
				s.SMin32, s.SMax32 = int32(lo), int32(hi)
				out = append(out, set{s.sync(), low})
			}
		}
	}
	return out
}

// edges are where ranges of the whole or the half, signed or not, begin and end.
var edges = []uint64{0, 1 << 31, 1 << 32, 1 << 63, 1<<63 | 1<<31, 1<<40 | 1<<31, 20}

func TestExhaustiveRanges(t *testing.T) {
	for i, c := range edges {
		a := window(c, *width)
		for j, d := range edges {
			b := a
			switch {
			case i == j:
			case j > 0 && c != 1<<63:
				continue
			case *width > 3:
				b = window(d, *width-2)
			default:
				b = window(d, *width)
			}
			step := 1
			if testing.Short() {
				step = 17
			}
			for k := 0; k < len(a); k += step {
				for l := range b {
					check(t, a[k], b[l])
				}
			}
		}
	}
}

// members are all numbers of bits, which has few that are not known.
func members(bits tnum.T) (out []uint64) {
	for s := bits.Mask; ; s = (s - 1) & bits.Mask {
		out = append(out, bits.Value|s)
		if s == 0 {
			return out
		}
	}
}

func TestExhaustiveBits(t *testing.T) {
	var all [][]set
	for _, shift := range []uint{0, 29, 60} {
		var sets []set
		for m := uint64(0); m < 1<<*width; m++ {
			for v := uint64(0); v < 1<<*width; v++ {
				if v&m != 0 {
					continue
				}
				s := Unknown
				s.Bits = tnum.T{Value: v << shift, Mask: m << shift}
				sets = append(sets, set{s.sync(), members(s.Bits)})
			}
		}
		all = append(all, sets)
	}
	for _, a := range all {
		for _, b := range all {
			for i := range a {
				for j := range b {
					if testing.Short() && (i+j)%7 != 0 {
						continue
					}
					check(t, a[i], b[j])
				}
			}
		}
	}
}
