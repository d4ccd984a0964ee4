package tnum

import (
	"flag"
	"math/rand"
	"testing"
)

var width = flag.Uint("bits", 4, "width of the numbers that are checked exhaustively")

type binop struct {
	name string
	abs  func(a, b T) T
	con  func(a, b uint64) uint64
}

var binops = []binop{
	{"add", T.Add, func(a, b uint64) uint64 { return a + b }},
	{"sub", T.Sub, func(a, b uint64) uint64 { return a - b }},
	{"mul", T.Mul, func(a, b uint64) uint64 { return a * b }},
	{"and", T.And, func(a, b uint64) uint64 { return a & b }},
	{"or", T.Or, func(a, b uint64) uint64 { return a | b }},
	{"xor", T.Xor, func(a, b uint64) uint64 { return a ^ b }},
	{"union", T.Union, func(a, b uint64) uint64 { return a }},
	{"union2", T.Union, func(a, b uint64) uint64 { return b }},
	{"neg", func(a, _ T) T { return a.Neg() }, func(a, _ uint64) uint64 { return -a }},
	{"cast4", func(a, _ T) T { return a.Cast(4) }, func(a, _ uint64) uint64 { return a & 0xffffffff }},
}

// each calls f with every tristate number over the given number of bits.
func each(width uint, f func(T)) {
	for m := uint64(0); m < 1<<width; m++ {
		for v := uint64(0); v < 1<<width; v++ {
			if v&m == 0 {
				f(T{v, m})
			}
		}
	}
}

// members calls f with every number of t, as subsets of its mask.
func members(t T, f func(uint64)) {
	for s := t.Mask; ; s = (s - 1) & t.Mask {
		f(t.Value | s)
		if s == 0 {
			return
		}
	}
}

func TestExhaustiveSmall(t *testing.T) {
	w := *width
	for _, op := range binops {
		each(w, func(a T) {
			each(w, func(b T) {
				r := op.abs(a, b)
				if r.Value&r.Mask != 0 {
					t.Fatalf("%s(%v, %v) = %v overlaps itself", op.name, a, b, r)
				}
				members(a, func(x uint64) {
					members(b, func(y uint64) {
						if !r.Contains(op.con(x, y)) {
							t.Fatalf("%s(%v, %v) = %v lacks %#x, from %#x and %#x", op.name, a, b, r, op.con(x, y), x, y)
						}
					})
				})
			})
		})
	}
}

func TestExhaustiveRelations(t *testing.T) {
	w := *width
	each(w, func(a T) {
		each(w, func(b T) {
			in, common := true, false
			members(b, func(y uint64) {
				in = in && a.Contains(y)
				if a.Contains(y) {
					common = true
					if !a.Intersect(b).Contains(y) {
						t.Fatalf("%v and %v: intersection lacks %#x", a, b, y)
					}
				}
			})
			if a.Covers(b) != in || a.Overlaps(b) != common {
				t.Fatalf("%v and %v: Covers %v, want %v; Overlaps %v, want %v", a, b, a.Covers(b), in, a.Overlaps(b), common)
			}
		})
	})
}

func TestRange(t *testing.T) {
	for lo := uint64(0); lo < 40; lo++ {
		for hi := lo; hi < 40; hi++ {
			r := Range(lo, hi)
			for v := lo; v <= hi; v++ {
				if !r.Contains(v) {
					t.Fatalf("Range(%d, %d) = %v lacks %d", lo, hi, r, v)
				}
			}
		}
	}
	if !Range(0, ^uint64(0)).IsUnknown() {
		t.Error("the full range knows something")
	}
}

func random(r *rand.Rand) T {
	m := r.Uint64()
	for range r.Intn(4) {
		m &= r.Uint64()
	}
	return of(r.Uint64(), m)
}

func pick(r *rand.Rand, t T) uint64 { return t.Value | t.Mask&r.Uint64() }

func TestRandom64(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for range 20000 {
		a, b := random(r), random(r)
		x, y := pick(r, a), pick(r, b)
		for _, op := range binops {
			if got := op.abs(a, b); !got.Contains(op.con(x, y)) {
				t.Fatalf("%s(%v, %v) = %v lacks %#x", op.name, a, b, got, op.con(x, y))
			}
		}
		n := uint(r.Intn(64))
		if !a.Lsh(n).Contains(x<<n) || !a.Rsh(n).Contains(x>>n) || !a.Arsh(n, 64).Contains(uint64(int64(x)>>n)) {
			t.Fatalf("shift of %v by %d lacks one of %#x", a, n, x)
		}
		if n < 32 && !a.Arsh(n, 32).Contains(uint64(uint32(int32(x)>>n))) {
			t.Fatalf("32-bit shift of %v by %d lacks one of %#x", a, n, x)
		}
		if w := a.WithLow32(b); !w.Contains(x&^0xffffffff | y&0xffffffff) {
			t.Fatalf("WithLow32(%v, %v) = %v", a, b, w)
		}
	}
}
