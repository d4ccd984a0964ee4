package scalar

import (
	"math"
	"math/bits"
	"math/rand"
	"testing"

	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/tnum"
)

// concrete is what the machine computes (RFC 9669 §4.1), little-endian.
func concrete(op Op, x, y uint64) uint64 {
	if op.Code == isa.Mov {
		if op.Extend != 0 {
			y = signExtend(y, op.Extend)
		}
		if op.Is32 {
			y = uint64(uint32(y))
		}
		return y
	}
	if op.Code == isa.End {
		if op.Swap {
			x = bits.ReverseBytes64(x) >> (64 - op.Width)
		}
		return x & (math.MaxUint64 >> (64 - op.Width))
	}
	if op.Is32 {
		return uint64(uint32(concrete64(op, 32, uint64(uint32(x)), uint64(uint32(y)), int64(int32(x)), int64(int32(y)))))
	}
	return concrete64(op, 64, x, y, int64(x), int64(y))
}

func concrete64(op Op, width uint64, x, y uint64, sx, sy int64) uint64 {
	switch op.Code {
	case isa.Add:
		return x + y
	case isa.Sub:
		return x - y
	case isa.Mul:
		return x * y
	case isa.Div:
		switch {
		case y == 0:
			return 0
		case !op.Signed:
			return x / y
		case sy == -1:
			return uint64(-sx)
		}
		return uint64(sx / sy)
	case isa.Mod:
		switch {
		case y == 0:
			return x
		case !op.Signed:
			return x % y
		case sy == -1:
			return 0
		}
		return uint64(sx % sy)
	case isa.Or:
		return x | y
	case isa.And:
		return x & y
	case isa.Xor:
		return x ^ y
	case isa.Neg:
		return -x
	case isa.Lsh:
		return x << (y & (width - 1))
	case isa.Rsh:
		return x >> (y & (width - 1))
	}
	return uint64(sx >> (y & (width - 1)))
}

func holds(c Cond, x, y uint64) bool {
	sx, sy := int64(x), int64(y)
	if c.Is32 {
		x, y, sx, sy = uint64(uint32(x)), uint64(uint32(y)), int64(int32(x)), int64(int32(y))
	}
	switch c.Code {
	case isa.Jeq:
		return x == y
	case isa.Jne:
		return x != y
	case isa.Jgt:
		return x > y
	case isa.Jge:
		return x >= y
	case isa.Jlt:
		return x < y
	case isa.Jle:
		return x <= y
	case isa.Jsgt:
		return sx > sy
	case isa.Jsge:
		return sx >= sy
	case isa.Jslt:
		return sx < sy
	case isa.Jsle:
		return sx <= sy
	}
	return x&y != 0
}

func ops() []Op {
	var out []Op
	for _, is32 := range []bool{false, true} {
		for _, c := range []uint8{isa.Add, isa.Sub, isa.Mul, isa.Div, isa.Mod, isa.Or, isa.And, isa.Xor, isa.Neg, isa.Lsh, isa.Rsh, isa.Arsh, isa.Mov} {
			out = append(out, Op{Code: c, Is32: is32})
			switch c {
			case isa.Div, isa.Mod:
				out = append(out, Op{Code: c, Is32: is32, Signed: true})
			case isa.Mov:
				for _, e := range []int{1, 2, 4} {
					out = append(out, Op{Code: c, Is32: is32, Extend: e})
				}
			}
		}
	}
	for _, w := range []int{16, 32, 64} {
		out = append(out, Op{Code: isa.End, Width: w}, Op{Code: isa.End, Width: w, Swap: true})
	}
	return out
}

var condCodes = []uint8{isa.Jeq, isa.Jne, isa.Jgt, isa.Jge, isa.Jlt, isa.Jle, isa.Jsgt, isa.Jsge, isa.Jslt, isa.Jsle, isa.Jset}

// set is an abstract number with some of its concrete ones.
type set struct {
	abs S
	con []uint64
}

// corners are values around which ranges and signs change.
var corners = []uint64{0, 5, 1 << 31, 1 << 32, 1 << 63, 1<<63 | 1<<31, 1<<31 - 1 | 1<<40, 1<<64 - 1, 31, 63}

// smallSets are all ranges up to 3 long around the corners, exhaustively listed.
func smallSets() []set {
	var out []set
	for _, c := range corners {
		for d := -2; d <= 1; d++ {
			for n := 0; n <= 3; n++ {
				lo := c + uint64(d)
				hi := lo + uint64(n)
				var con []uint64
				for v := lo; ; v++ {
					con = append(con, v)
					if v == hi {
						break
					}
				}
				switch {
				case int64(lo) <= int64(hi):
					out = append(out, set{Signed(int64(lo), int64(hi)), con})
				case lo <= hi:
					out = append(out, set{Unsigned(lo, hi), con})
				}
			}
		}
	}
	return out
}

func check(t *testing.T, a, b set) {
	t.Helper()
	for _, op := range allOps {
		r := Apply(op, a.abs, b.abs)
		if r.Empty() {
			t.Fatalf("%+v(%v, %v) is empty: %+v", op, a.abs, b.abs, r)
		}
		for _, x := range a.con {
			for _, y := range b.con {
				if v := concrete(op, x, y); !r.Contains(v) {
					t.Fatalf("%+v(%v, %v) = %v lacks %#x, from %#x and %#x", op, a.abs, b.abs, r, v, x, y)
				}
			}
		}
	}
	for _, code := range condCodes {
		for _, is32 := range []bool{false, true} {
			c := Cond{code, is32}
			yes, no := Refine(c, a.abs, b.abs)
			for _, x := range a.con {
				for _, y := range b.con {
					p := no
					if holds(c, x, y) {
						p = yes
					}
					if p.Never || !p.A.Contains(x) || !p.B.Contains(y) {
						t.Fatalf("%+v of %v, %v gives %v, %v (never: %v): lacks %#x, %#x", c, a.abs, b.abs, p.A, p.B, p.Never, x, y)
					}
				}
			}
		}
	}
}

var allOps = ops()

func TestExhaustiveAroundCorners(t *testing.T) {
	sets := smallSets()
	for i, a := range sets {
		for j, b := range sets {
			if testing.Short() && (i+j)%4 != 0 {
				continue
			}
			check(t, a, b)
		}
	}
}

// randomSet starts from a few numbers and takes views that contain them.
func randomSet(r *rand.Rand) set {
	base := corners[r.Intn(len(corners))]
	if r.Intn(3) == 0 {
		base = r.Uint64()
	}
	var con []uint64
	for range 1 + r.Intn(4) {
		v := base + uint64(r.Int63n(1<<uint(1+r.Intn(40)))) - 1<<uint(r.Intn(38))
		if r.Intn(8) == 0 {
			v = r.Uint64()
		}
		con = append(con, v)
	}
	s := Unknown
	bitsOf := tnum.Const(con[0])
	lo, hi, slo, shi := con[0], con[0], int64(con[0]), int64(con[0])
	lo32, hi32, slo32, shi32 := uint32(lo), uint32(lo), int32(lo), int32(lo)
	for _, v := range con {
		bitsOf = bitsOf.Union(tnum.Const(v))
		lo, hi, slo, shi = min(lo, v), max(hi, v), min(slo, int64(v)), max(shi, int64(v))
		lo32, hi32, slo32, shi32 = min(lo32, uint32(v)), max(hi32, uint32(v)), min(slo32, int32(v)), max(shi32, int32(v))
	}
	m := r.Intn(32)
	if m&1 != 0 {
		s.Bits = bitsOf
	}
	if m&2 != 0 {
		s.UMin, s.UMax = lo, hi
	}
	if m&4 != 0 {
		s.SMin, s.SMax = slo, shi
	}
	if m&8 != 0 {
		s.UMin32, s.UMax32 = lo32, hi32
	}
	if m&16 != 0 {
		s.SMin32, s.SMax32 = slo32, shi32
	}
	return set{s.sync(), con}
}

func TestRandom(t *testing.T) {
	r := rand.New(rand.NewSource(7))
	for range 8000 {
		a, b := randomSet(r), randomSet(r)
		for _, v := range a.con {
			if !a.abs.Contains(v) {
				t.Fatalf("narrowing lost %#x: %+v", v, a.abs)
			}
			for size := 1; size <= 8; size *= 2 {
				if z := a.abs.Truncate(size); !z.Contains(v & (math.MaxUint64 >> (64 - 8*size))) {
					t.Fatalf("Truncate(%d) of %v lacks one of %#x: %v", size, a.abs, v, z)
				}
			}
		}
		check(t, a, b)
		if r.Intn(4) == 0 {
			check(t, a, set{Const(b.con[0] & 63), []uint64{b.con[0] & 63}})
		}
	}
}

func TestIn(t *testing.T) {
	if !Unsigned(3, 5).In(Unsigned(2, 9)) || Unsigned(3, 5).In(Unsigned(4, 9)) || !Const(7).In(Unknown) || Unknown.In(Const(7)) {
		t.Error("In is wrong")
	}
}
