package vm

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/gtrace-dev/gtrace/isa"
)

// This file tests arithmetic and jumps: against big integers, and against the kernel.

var edges = []uint64{0, 1, 2, 3, 7, 8, 31, 32, 33, 63, 64, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0x1234_5678,
	math.MaxInt32, 1 << 31, math.MaxUint32, 1 << 32, 0x1122_3344_5566_7788, math.MaxInt64, 1 << 63, math.MaxUint64 - 1, math.MaxUint64,
	0xffff_ffff_8000_0000, 0xffff_ffff_0000_0000, 0x8000_0000_ffff_ffff}

var edgeImms = []int32{0, 1, 2, 5, 31, 32, 63, 127, -1, -2, -128, math.MaxInt32, math.MinInt32}

// operation is an instruction's kind, and what it means in big integers: a
// and b are given unsigned, as is the result, taken modulo the width.
type operation struct {
	name  string
	op    uint8
	off   int16
	unary bool
	mean  func(a, b *big.Int, width uint) *big.Int
}

func toSigned(v *big.Int, width uint) *big.Int {
	if v.Bit(int(width)-1) == 0 {
		return v
	}
	return new(big.Int).Sub(v, new(big.Int).Lsh(big.NewInt(1), width))
}

func count(b *big.Int, width uint) uint { return uint(b.Uint64()) & (width - 1) }

func quotient(f func(z, a, b *big.Int) *big.Int, signed, mod bool) func(a, b *big.Int, w uint) *big.Int {
	return func(a, b *big.Int, w uint) *big.Int {
		if signed {
			a, b = toSigned(a, w), toSigned(b, w)
		}
		if b.Sign() == 0 {
			if mod {
				return a
			}
			return new(big.Int)
		}
		return f(new(big.Int), a, b)
	}
}

func extend(bits uint) func(a, b *big.Int, w uint) *big.Int {
	return func(_, b *big.Int, w uint) *big.Int {
		low := new(big.Int).And(b, new(big.Int).SetUint64(1<<bits-1))
		return toSigned(low, bits)
	}
}

var operations = []operation{
	{"add", isa.Add, 0, false, func(a, b *big.Int, _ uint) *big.Int { return new(big.Int).Add(a, b) }},
	{"sub", isa.Sub, 0, false, func(a, b *big.Int, _ uint) *big.Int { return new(big.Int).Sub(a, b) }},
	{"mul", isa.Mul, 0, false, func(a, b *big.Int, _ uint) *big.Int { return new(big.Int).Mul(a, b) }},
	{"div", isa.Div, 0, false, quotient((*big.Int).Quo, false, false)},
	{"sdiv", isa.Div, 1, false, quotient((*big.Int).Quo, true, false)},
	{"mod", isa.Mod, 0, false, quotient((*big.Int).Rem, false, true)},
	{"smod", isa.Mod, 1, false, quotient((*big.Int).Rem, true, true)},
	{"or", isa.Or, 0, false, func(a, b *big.Int, _ uint) *big.Int { return new(big.Int).Or(a, b) }},
	{"and", isa.And, 0, false, func(a, b *big.Int, _ uint) *big.Int { return new(big.Int).And(a, b) }},
	{"xor", isa.Xor, 0, false, func(a, b *big.Int, _ uint) *big.Int { return new(big.Int).Xor(a, b) }},
	{"lsh", isa.Lsh, 0, false, func(a, b *big.Int, w uint) *big.Int { return new(big.Int).Lsh(a, count(b, w)) }},
	{"rsh", isa.Rsh, 0, false, func(a, b *big.Int, w uint) *big.Int { return new(big.Int).Rsh(a, count(b, w)) }},
	{"arsh", isa.Arsh, 0, false, func(a, b *big.Int, w uint) *big.Int { return new(big.Int).Rsh(toSigned(a, w), count(b, w)) }},
	{"mov", isa.Mov, 0, false, func(_, b *big.Int, _ uint) *big.Int { return b }},
	{"movsx8", isa.Mov, 8, false, extend(8)},
	{"movsx16", isa.Mov, 16, false, extend(16)},
	{"movsx32", isa.Mov, 32, false, extend(32)},
	{"neg", isa.Neg, 0, true, func(a, _ *big.Int, _ uint) *big.Int { return new(big.Int).Neg(a) }},
}

func (o operation) result(a, b uint64, width uint) uint64 {
	mask := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), width), big.NewInt(1))
	x := new(big.Int).And(new(big.Int).SetUint64(a), mask)
	y := new(big.Int).And(new(big.Int).SetUint64(b), mask)
	z := o.mean(x, y, width)
	return new(big.Int).And(z, mask).Uint64() // And is of two's complement: modulo
}

// half is the program: R0 and R1 from the context, in, then R0 shifted right
// by the context's third word, because the kernel reports 32 bits only.
func half(in ...isa.Insn) []isa.Insn {
	return prog(ldx(isa.SizeDW, 6, 1, 16), ldx(isa.SizeDW, 0, 1, 0), ldx(isa.SizeDW, 1, 1, 8),
		in, alu64K(isa.And, 6, 63), alu64(isa.Rsh, 0, 6), exit())
}

// both runs a half program on a and b, and compares with the kernel when k is not nil.
func both(t *testing.T, name string, p *Program, k *kernelProgram, a, b uint64) uint64 {
	t.Helper()
	got, err := p.Run(&self{}, words(a, b, 0))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if k != nil {
		want := uint64(k.run(t, words(a, b, 0))) | uint64(k.run(t, words(a, b, 32)))<<32
		if got != want {
			t.Errorf("%s: %#x, %#x: got %#x, kernel %#x", name, a, b, got, want)
		}
	}
	return got
}

func TestALU(t *testing.T) {
	useKernel := bpfPermitted() == nil
	for _, width := range []uint{32, 64} {
		class := map[uint]uint8{32: isa.ClassALU, 64: isa.ClassALU64}[width]
		for _, o := range operations {
			if o.off == 32 && width == 32 {
				continue
			}
			name := fmt.Sprintf("%s%d", o.name, width)
			in := isa.Insn{Op: class | o.op | isa.SrcX, Dst: 0, Src: 1, Off: o.off}
			if o.unary {
				in.Op, in.Src = class|o.op, 0
			}
			p, _ := start(t, Options{}, half(in))
			var k *kernelProgram
			if useKernel {
				k = kernel(t, half(in))
			}
			for _, a := range edges {
				for _, b := range edges {
					got := both(t, name, p, k, a, b)
					if want := o.result(a, b, width); got != want {
						t.Errorf("%s: %#x, %#x: got %#x, want %#x", name, a, b, got, want)
					}
				}
			}
			if o.off <= 1 && !o.unary {
				immediates(t, name+" imm", o, class, width, useKernel)
			}
		}
	}
}

func immediates(t *testing.T, name string, o operation, class uint8, width uint, useKernel bool) {
	for _, imm := range edgeImms {
		in := isa.Insn{Op: class | o.op, Dst: 0, Off: o.off, Imm: imm}
		p, _ := start(t, Options{}, half(in))
		var k *kernelProgram
		shift := o.op == isa.Lsh || o.op == isa.Rsh || o.op == isa.Arsh
		invalid := shift && (imm < 0 || imm >= int32(width)) || imm == 0 && (o.op == isa.Div || o.op == isa.Mod)
		if useKernel && !invalid { // the kernel's verifier rejects those
			k = kernel(t, half(in))
		}
		for _, a := range edges {
			got := both(t, name, p, k, a, 0)
			if want := o.result(a, uint64(int64(imm)), width); got != want {
				t.Errorf("%s: %#x, %d: got %#x, want %#x", name, a, imm, got, want)
			}
		}
	}
}

func TestByteSwaps(t *testing.T) {
	useKernel := bpfPermitted() == nil
	reverse := func(v uint64, n int) (out uint64) {
		for i := range n {
			out |= v >> (8 * i) & 0xff << (8 * (n - 1 - i))
		}
		return out
	}
	keep := func(v uint64, n int) uint64 { return reverse(reverse(v, n), n) }
	for _, c := range []struct {
		name string
		op   uint8
		mean func(uint64, int) uint64
	}{
		{"bswap", isa.ClassALU64 | isa.End, reverse},
		{"be", isa.ClassALU | isa.End | isa.SrcX, reverse}, // on a little-endian machine
		{"le", isa.ClassALU | isa.End, keep},
	} {
		for _, bits := range []int32{16, 32, 64} {
			in := isa.Insn{Op: c.op, Dst: 0, Imm: bits}
			p, _ := start(t, Options{}, half(in))
			var k *kernelProgram
			if useKernel {
				k = kernel(t, half(in))
			}
			for _, a := range edges {
				got := both(t, c.name, p, k, a, 0)
				if want := c.mean(a, int(bits)/8); got != want {
					t.Errorf("%s%d %#x: got %#x, want %#x", c.name, bits, a, got, want)
				}
			}
		}
	}
}

func TestJumps(t *testing.T) {
	useKernel := bpfPermitted() == nil
	for _, c := range []struct {
		name string
		op   uint8
		mean func(a, b *big.Int, w uint) bool
	}{
		{"jeq", isa.Jeq, func(a, b *big.Int, _ uint) bool { return a.Cmp(b) == 0 }},
		{"jne", isa.Jne, func(a, b *big.Int, _ uint) bool { return a.Cmp(b) != 0 }},
		{"jgt", isa.Jgt, func(a, b *big.Int, _ uint) bool { return a.Cmp(b) > 0 }},
		{"jge", isa.Jge, func(a, b *big.Int, _ uint) bool { return a.Cmp(b) >= 0 }},
		{"jlt", isa.Jlt, func(a, b *big.Int, _ uint) bool { return a.Cmp(b) < 0 }},
		{"jle", isa.Jle, func(a, b *big.Int, _ uint) bool { return a.Cmp(b) <= 0 }},
		{"jsgt", isa.Jsgt, func(a, b *big.Int, w uint) bool { return toSigned(a, w).Cmp(toSigned(b, w)) > 0 }},
		{"jsge", isa.Jsge, func(a, b *big.Int, w uint) bool { return toSigned(a, w).Cmp(toSigned(b, w)) >= 0 }},
		{"jslt", isa.Jslt, func(a, b *big.Int, w uint) bool { return toSigned(a, w).Cmp(toSigned(b, w)) < 0 }},
		{"jsle", isa.Jsle, func(a, b *big.Int, w uint) bool { return toSigned(a, w).Cmp(toSigned(b, w)) <= 0 }},
		{"jset", isa.Jset, func(a, b *big.Int, _ uint) bool { return new(big.Int).And(a, b).Sign() != 0 }},
	} {
		for _, width := range []uint{32, 64} {
			class := map[uint]uint8{32: isa.ClassJMP32, 64: isa.ClassJMP}[width]
			check := func(in isa.Insn, a, b uint64, p *Program, k *kernelProgram) {
				want := uint64(0)
				o := operation{mean: func(x, y *big.Int, w uint) *big.Int {
					if c.mean(x, y, w) {
						return big.NewInt(1)
					}
					return new(big.Int)
				}}
				want = o.result(a, b, width)
				if got := both(t, c.name, p, k, a, b); got != want {
					t.Errorf("%s%d (%+v): %#x, %#x: got %d, want %d", c.name, width, in, a, b, got, want)
				}
			}
			make1 := func(in isa.Insn) (*Program, *kernelProgram) {
				insns := half(movR(2, 0), movK(0, 1), in, movK(0, 0))
				p, _ := start(t, Options{}, insns)
				if useKernel {
					return p, kernel(t, insns)
				}
				return p, nil
			}
			in := isa.Insn{Op: class | c.op | isa.SrcX, Dst: 2, Src: 1, Off: 1}
			p, k := make1(in)
			for _, a := range edges {
				for _, b := range edges {
					check(in, a, b, p, k)
				}
			}
			for _, imm := range edgeImms {
				in := isa.Insn{Op: class | c.op, Dst: 2, Imm: imm, Off: 1}
				p, k := make1(in)
				for _, a := range edges {
					check(in, a, uint64(int64(imm)), p, k)
				}
			}
		}
	}
}

// TestRandomALU compares long random sequences of arithmetic, stack accesses
// and forward jumps with the kernel, in both modes.
func TestRandomALU(t *testing.T) {
	needKernel(t)
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		insns := randomProgram(rng)
		k := kernel(t, insns)
		plain, _ := start(t, Options{}, insns)
		checked, _ := start(t, Options{Check: true}, insns)
		for range 4 {
			a, b := edges[rng.IntN(len(edges))], rng.Uint64()
			got := both(t, fmt.Sprint("program ", n), plain, k, a, b)
			if c := both(t, fmt.Sprint("program ", n), checked, nil, a, b); c != got {
				t.Errorf("program %d: checking mode gives %#x, plain %#x", n, c, got)
			}
		}
		if t.Failed() {
			t.Fatalf("program %d: %+v", n, insns)
		}
	}
}

func randomProgram(rng *rand.Rand) []isa.Insn {
	body := []isa.Insn{movR(2, 0), movR(3, 1), movK(4, rng.Int32()), movR(5, 0)}
	for i := int16(8); i <= 64; i += 8 {
		body = append(body, stx(isa.SizeDW, 10, -i, isa.Reg(rng.IntN(6))))
	}
	sizes := []uint8{isa.SizeB, isa.SizeH, isa.SizeW, isa.SizeDW}
	reg := func() isa.Reg { return isa.Reg(rng.IntN(6)) }
	for range 60 {
		size := rng.IntN(4)
		off := -8*int16(1+rng.IntN(8)) + int16(rng.IntN(8>>size)<<size)
		switch rng.IntN(10) {
		case 0:
			body = append(body, stx(sizes[size], 10, off, reg()))
		case 1:
			body = append(body, ldx(sizes[size], reg(), 10, off))
		case 2:
			if size < 3 {
				body = append(body, ldxs(sizes[size], reg(), 10, off))
			}
		case 3:
			kinds := []int32{isa.AtomicAdd, isa.AtomicOr, isa.AtomicAnd, isa.AtomicXor, 1 | isa.AtomicAdd, 1 | isa.AtomicOr, 1 | isa.AtomicAnd, 1 | isa.AtomicXor, isa.AtomicXchg, isa.AtomicCmpXchg}
			if size >= 2 {
				body = append(body, atomicOp(sizes[size], 10, off, reg(), kinds[rng.IntN(len(kinds))]))
			}
		case 4:
			ops := []uint8{isa.Jeq, isa.Jgt, isa.Jge, isa.Jset, isa.Jne, isa.Jsgt, isa.Jsge, isa.Jlt, isa.Jle, isa.Jslt, isa.Jsle}
			class := []uint8{isa.ClassJMP, isa.ClassJMP32}[rng.IntN(2)]
			body = append(body, isa.Insn{Op: class | isa.SrcX | ops[rng.IntN(len(ops))], Dst: reg(), Src: reg(), Off: 1}, alu64K(isa.Xor, reg(), rng.Int32()))
		case 5:
			body = append(body, st(sizes[size], 10, off, rng.Int32()))
		case 6:
			body = append(body, isa.Insn{Op: isa.ClassALU64 | isa.End, Dst: reg(), Imm: []int32{16, 32, 64}[rng.IntN(3)]})
		default:
			o := operations[rng.IntN(len(operations))]
			class := []uint8{isa.ClassALU, isa.ClassALU64}[rng.IntN(2)]
			in := isa.Insn{Op: class | o.op | isa.SrcX, Dst: reg(), Src: reg(), Off: o.off}
			if o.unary {
				in.Op, in.Src = class|o.op, 0
			}
			if o.off == 32 {
				in.Op = isa.ClassALU64 | o.op | isa.SrcX
			}
			body = append(body, in)
		}
	}
	for r := isa.Reg(1); r < 6; r++ {
		body = append(body, alu64(isa.Xor, 0, r), alu64K(isa.Mul, 0, 0x01000193))
	}
	return half(body...)
}
