package verify_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/internal/testkit"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify"
)

// This file compares verdicts on random programs with the running kernel's.

var (
	randomCount = flag.Int("random", 500, "random programs to compare with the kernel")
	randomSeed  = flag.Int64("seed", 1_000_000, "of the random programs")
)

// gen writes a random program, mostly valid.
type gen struct {
	r    *rand.Rand
	out  []isa.Insn
	deep int
	// What is believed of r0 to r9: nothing, a number, a pointer to the value, to the stack, or the context.
	kind [10]byte
}

const (
	knum   = 'n'
	kvalue = 'v'
	kstack = 's'
	kctx   = 'c'
)

func (g *gen) add(i ...isa.Insn) { g.out = append(g.out, i...) }

func mov(d, s isa.Reg) isa.Insn {
	return isa.Insn{Op: isa.ClassALU64 | isa.Mov | isa.SrcX, Dst: d, Src: s}
}
func movi(d isa.Reg, v int32) isa.Insn {
	return isa.Insn{Op: isa.ClassALU64 | isa.Mov, Dst: d, Imm: v}
}
func addi(d isa.Reg, v int32) isa.Insn {
	return isa.Insn{Op: isa.ClassALU64 | isa.Add, Dst: d, Imm: v}
}
func helper(id int32) isa.Insn { return isa.Insn{Op: isa.ClassJMP | isa.Call, Imm: id} }

var sizes = []uint8{isa.SizeB, isa.SizeH, isa.SizeW, isa.SizeDW}

func (g *gen) reg(kinds string) (isa.Reg, bool) {
	for range 12 {
		r := g.r.Intn(10)
		if g.kind[r] != 0 && strings.IndexByte(kinds, g.kind[r]) >= 0 {
			return isa.Reg(r), true
		}
	}
	if g.r.Intn(60) == 0 {
		return isa.Reg(g.r.Intn(11)), true
	}
	return 0, false
}

func (g *gen) imm() int32 {
	switch g.r.Intn(6) {
	case 0:
		return []int32{0, 1, -1, 63, 64, 31, 1 << 30, -1 << 31, 1<<31 - 1, 255}[g.r.Intn(10)]
	case 1:
		return g.r.Int31() - 1<<30
	}
	return g.r.Int31n(80) - 8
}

func (g *gen) alu() {
	d, ok := g.reg("n")
	if !ok {
		return
	}
	class := []uint8{isa.ClassALU, isa.ClassALU64}[g.r.Intn(2)]
	op := []uint8{isa.Add, isa.Sub, isa.Mul, isa.Div, isa.Or, isa.And, isa.Lsh, isa.Rsh, isa.Neg, isa.Mod, isa.Xor, isa.Mov, isa.Arsh, isa.And, isa.And, isa.Mov, isa.Add}[g.r.Intn(17)]
	in := isa.Insn{Op: class | op, Dst: d}
	s, ok := g.reg("n")
	switch {
	case op == isa.Neg:
	case ok && g.r.Intn(2) == 0:
		in.Op |= isa.SrcX
		in.Src = s
		if op == isa.Mov && g.r.Intn(3) == 0 {
			in.Off = []int16{8, 16, 32}[g.r.Intn(3)]
			if class == isa.ClassALU && in.Off == 32 {
				in.Off = 8
			}
		}
	default:
		in.Imm = g.imm()
		switch op {
		case isa.Lsh, isa.Rsh, isa.Arsh:
			in.Imm = g.r.Int31n(33)
			if class == isa.ClassALU64 && g.r.Intn(3) == 0 {
				in.Imm = []int32{32, 48, 56, 63}[g.r.Intn(4)]
			}
		case isa.Div, isa.Mod:
			in.Imm |= 1
		case isa.And:
			if g.r.Intn(2) == 0 {
				in.Imm = []int32{1, 3, 7, 15, 31, 63, 0xff}[g.r.Intn(7)]
			}
		}
	}
	if (op == isa.Div || op == isa.Mod) && g.r.Intn(3) == 0 {
		in.Off = 1
	}
	g.add(in)
}

func (g *gen) jump() {
	d, ok := g.reg("nnnnv")
	if !ok {
		return
	}
	class := []uint8{isa.ClassJMP, isa.ClassJMP32}[g.r.Intn(2)]
	if g.kind[min(int(d), 9)] == kvalue {
		class = isa.ClassJMP
	}
	op := []uint8{isa.Jeq, isa.Jne, isa.Jgt, isa.Jge, isa.Jlt, isa.Jle, isa.Jsgt, isa.Jsge, isa.Jslt, isa.Jsle, isa.Jset}[g.r.Intn(11)]
	in := isa.Insn{Op: class | op, Dst: d, Imm: g.imm()}
	if s, ok := g.reg("n"); ok && g.r.Intn(3) == 0 {
		in.Op, in.Src, in.Imm = in.Op|isa.SrcX, s, 0
	}
	at := len(g.out)
	g.add(in)
	before := g.kind
	g.block(1 + g.r.Intn(5))
	if g.r.Intn(3) == 0 { // else
		j := len(g.out)
		g.add(isa.Insn{Op: isa.ClassJMP | isa.Ja})
		g.out[at].Off = int16(len(g.out) - at - 1)
		mid := g.kind
		g.kind = before
		g.block(1 + g.r.Intn(4))
		g.out[j].Off = int16(len(g.out) - j - 1)
		g.meet(mid)
		return
	}
	g.out[at].Off = int16(len(g.out) - at - 1)
	g.meet(before)
}

func (g *gen) meet(o [10]byte) {
	for i := range g.kind {
		if g.kind[i] != o[i] {
			g.kind[i] = 0
		}
	}
}

func (g *gen) bound() {
	d, ok := g.reg("n")
	if !ok {
		return
	}
	switch g.r.Intn(3) {
	case 0:
		g.add(isa.Insn{Op: isa.ClassALU64 | isa.And, Dst: d, Imm: []int32{7, 15, 31, 63}[g.r.Intn(4)]})
	default:
		lim := 1 + g.r.Int31n(70)
		g.add(isa.Insn{Op: []uint8{isa.ClassJMP, isa.ClassJMP32}[g.r.Intn(2)] | isa.Jle, Dst: d, Imm: lim, Off: 1}, movi(d, g.r.Int31n(lim)))
	}
}

func (g *gen) pointer() {
	d := isa.Reg(g.r.Intn(6))
	base, ok := g.reg("vvvs")
	if !ok {
		return
	}
	if g.r.Intn(3) == 0 {
		base = isa.R10
	}
	k := byte(kstack)
	if base < 10 && g.kind[base] != 0 {
		k = g.kind[base]
	}
	g.add(mov(d, base))
	if base == isa.R10 {
		g.add(addi(d, -8*(1+g.r.Int31n(12))))
	}
	g.kind[d] = k
	if s, ok := g.reg("n"); ok && s != d && g.r.Intn(2) == 0 {
		op := isa.Add
		if g.r.Intn(5) == 0 {
			op = isa.Sub
		}
		g.add(isa.Insn{Op: isa.ClassALU64 | op | isa.SrcX, Dst: d, Src: s})
	} else {
		g.add(addi(d, g.r.Int31n(24)-4))
	}
}

func (g *gen) access() {
	base, ok := g.reg("vvvsc")
	if !ok || g.r.Intn(2) == 0 {
		base = isa.R10
	}
	size := sizes[g.r.Intn(4)]
	n := int16(1) << map[uint8]int{isa.SizeB: 0, isa.SizeH: 1, isa.SizeW: 2, isa.SizeDW: 3}[size]
	off := int16(g.r.Intn(16)) * n
	if base == isa.R10 {
		off = -int16(8+8*g.r.Intn(12)) + int16(g.r.Intn(8))/n*n
	}
	if g.r.Intn(16) == 0 {
		off = int16(g.r.Intn(80)) - 8
	}
	ctx := base < 10 && g.kind[base] == kctx
	if ctx || g.r.Intn(2) == 0 {
		d := isa.Reg(g.r.Intn(9))
		if g.r.Intn(3) == 0 && size != isa.SizeDW {
			g.add(isa.Insn{Op: isa.ClassLDX | isa.ModeMEMSX | size, Dst: d, Src: base, Off: off})
		} else {
			g.add(isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | size, Dst: d, Src: base, Off: off})
		}
		g.kind[d] = knum
		if base == isa.R10 && size == isa.SizeDW && g.r.Intn(3) == 0 {
			g.kind[d] = kvalue // perhaps
		}
		return
	}
	s, ok := g.reg("nnnvs")
	switch {
	case !ok || g.r.Intn(4) == 0:
		g.add(isa.Insn{Op: isa.ClassST | isa.ModeMEM | size, Dst: base, Off: off, Imm: g.r.Int31n(3)})
	case g.r.Intn(8) == 0:
		op := []int32{isa.AtomicAdd, isa.AtomicOr | isa.AtomicFetch, isa.AtomicXchg, isa.AtomicAdd | isa.AtomicFetch, isa.AtomicAnd}[g.r.Intn(5)]
		g.add(isa.Insn{Op: isa.ClassSTX | isa.ModeATOMIC | []uint8{isa.SizeW, isa.SizeDW}[g.r.Intn(2)], Dst: base, Src: s, Off: off &^ 7, Imm: op})
	default:
		if s < 10 && g.kind[s] != knum {
			size, off = isa.SizeDW, off&^7
		}
		g.add(isa.Insn{Op: isa.ClassSTX | isa.ModeMEM | size, Dst: base, Src: s, Off: off})
	}
}

func (g *gen) forget() {
	for r := range 6 {
		g.kind[r] = 0
	}
}

func (g *gen) call() {
	switch g.r.Intn(6) {
	case 0, 1:
		g.add(helper([]int32{5, 7, 8, 14}[g.r.Intn(4)]))
		g.forget()
		g.kind[0] = knum
	case 2, 3: // look up
		m := int32(g.r.Intn(2))
		w := isa.Wide(isa.R1, isa.PseudoMapIdx, uint64(m))
		off := int16(-8 * (1 + g.r.Intn(6)))
		if g.r.Intn(2) == 0 {
			g.add(isa.Insn{Op: isa.ClassST | isa.ModeMEM | isa.SizeW, Dst: isa.R10, Off: off, Imm: g.r.Int31n(5)})
		} else if s, ok := g.reg("n"); ok {
			g.add(isa.Insn{Op: isa.ClassSTX | isa.ModeMEM | isa.SizeDW, Dst: isa.R10, Src: s, Off: off})
		}
		g.add(mov(isa.R2, isa.R10), addi(isa.R2, int32(off)), w[0], w[1], helper(1))
		g.forget()
		if g.r.Intn(12) != 0 {
			g.add(isa.Insn{Op: isa.ClassJMP | isa.Jne, Dst: isa.R0, Off: 2}, movi(isa.R0, 0), isa.Insn{Op: isa.ClassJMP | isa.Exit})
		}
		d := isa.Reg(6 + g.r.Intn(4))
		g.add(mov(d, isa.R0))
		g.kind[0], g.kind[d] = kvalue, kvalue
	case 4: // read memory
		s, ok := g.reg("n")
		if !ok {
			return
		}
		g.add(mov(isa.R2, s), mov(isa.R1, isa.R10), addi(isa.R1, -8*(1+g.r.Int31n(16))), movi(isa.R3, 0), helper([]int32{113, 115}[g.r.Intn(2)]))
		g.forget()
		g.kind[0] = knum
	case 5: // a record
		w := isa.Wide(isa.R1, isa.PseudoMapIdx, 2)
		g.add(w[0], w[1], movi(isa.R2, 8+g.r.Int31n(24)), movi(isa.R3, 0), helper(131))
		g.forget()
		g.add(isa.Insn{Op: isa.ClassJMP | isa.Jne, Dst: isa.R0, Off: 2}, movi(isa.R0, 0), isa.Insn{Op: isa.ClassJMP | isa.Exit})
		if s, ok := g.reg("n"); ok {
			g.add(isa.Insn{Op: isa.ClassSTX | isa.ModeMEM | sizes[g.r.Intn(4)], Dst: isa.R0, Src: s, Off: int16(g.r.Intn(24))})
		}
		if g.r.Intn(10) != 0 {
			g.add(mov(isa.R1, isa.R0), movi(isa.R2, 0), helper([]int32{132, 133}[g.r.Intn(2)]))
		}
		g.forget()
	}
}

func (g *gen) loop() {
	if g.deep > 2 {
		return
	}
	c := isa.Reg(6 + g.r.Intn(4))
	g.add(movi(c, 0))
	g.kind[c] = knum
	before := g.kind
	top := len(g.out)
	g.block(1 + g.r.Intn(4))
	g.meet(before)
	g.kind[c] = knum
	g.add(addi(c, 1))
	lim := 1 + g.r.Int31n(8)
	g.add(isa.Insn{Op: []uint8{isa.ClassJMP, isa.ClassJMP32}[g.r.Intn(2)] | []uint8{isa.Jlt, isa.Jslt, isa.Jne}[g.r.Intn(3)], Dst: c, Imm: lim})
	at := len(g.out) - 1
	g.out[at].Off = int16(top - at - 1)
}

func (g *gen) block(n int) {
	g.deep++
	defer func() { g.deep-- }()
	for range n {
		switch k := g.r.Intn(24); {
		case k < 6:
			g.alu()
		case k < 9 && g.deep < 5:
			g.jump()
		case k < 11:
			g.bound()
		case k < 14:
			g.pointer()
		case k < 20:
			g.access()
		case k < 23:
			g.call()
		default:
			g.loop()
		}
	}
}

var randomMaps = []*object.Map{
	{Name: "h", Type: abi.MapHash, KeySize: 4, ValueSize: 64, MaxEntries: 4},
	{Name: "a", Type: abi.MapArray, KeySize: 4, ValueSize: 48, MaxEntries: 3},
	{Name: "ring", Type: abi.MapRingBuf, MaxEntries: 4096},
}

func randomImage(r *rand.Rand, t *image.Target) *image.Image {
	g := &gen{r: r}
	g.add(mov(isa.R6, isa.R1))
	g.kind[6], g.kind[1] = kctx, kctx
	for _, d := range []isa.Reg{isa.R7, isa.R8} {
		g.add(isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeDW, Dst: d, Src: isa.R6, Off: int16(d) * 8})
		g.kind[d] = knum
	}
	g.block(4 + r.Intn(14))
	g.add(movi(isa.R0, 0), isa.Insn{Op: isa.ClassJMP | isa.Exit})
	subs := []image.Subprog{{Start: 0, Name: "prog"}}
	if r.Intn(3) == 0 { // a subprogram: the body again, called with what is there
		f := &gen{r: r}
		f.kind[1] = knum
		f.add(mov(isa.R6, isa.R1))
		f.kind[6] = knum
		f.block(2 + r.Intn(6))
		f.add(movi(isa.R0, r.Int31n(64)), isa.Insn{Op: isa.ClassJMP | isa.Exit})
		h := &gen{r: r}
		h.add(g.out[:3]...)
		h.add(mov(isa.R1, isa.R7), isa.Insn{Op: isa.ClassJMP | isa.Call, Src: isa.CallLocal}, mov(isa.R8, isa.R0))
		h.add(movi(isa.R1, 0))
		h.out[4].Imm = int32(len(g.out) - 3 + 7 - 5)
		h.add(g.out[3:]...)
		subs = append(subs, image.Subprog{Start: len(h.out), Name: "sub"})
		g.out = append(h.out, f.out...)
	}
	return &image.Image{Program: "prog", Attach: abi.Attach{Type: abi.Kprobe}, License: "GPL", Target: t, Insns: g.out, Subprogs: subs, Maps: randomMaps}
}

func TestRandomAgainstKernel(t *testing.T) {
	testkit.RequireBPF(t)
	target, err := image.Running()
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for i := range *randomCount {
		seed := *randomSeed + int64(i)
		img := randomImage(rand.New(rand.NewSource(seed)), target)
		_, ours := verify.Verify(context.Background(), img, verify.Options{MaxProcessed: 50_000})
		k, theirs := testkit.LoadKernel(img)
		if theirs == nil {
			k.Close()
		}
		var rej *testkit.KernelRejection
		if theirs != nil && !errors.As(theirs, &rej) {
			t.Fatal(theirs)
		}
		key := fmt.Sprintf("ours %s, kernel %s", word(ours), word(theirs))
		count[key]++
		switch {
		case ours == nil && theirs != nil:
			t.Errorf("seed %d: accepted, but %v", seed, theirs)
			if *randomCount == 1 {
				t.Logf("%s\n%s", isa.Listing(img.Insns), rej.Log)
			}
		case ours != nil && theirs == nil:
			count["  "+code(ours)]++
			if testing.Verbose() {
				t.Logf("seed %d: %v, but the kernel accepts", seed, ours)
			}
			if *randomCount == 1 {
				t.Logf("%s", isa.Listing(img.Insns))
			}
		}
	}
	t.Logf("verdicts: %v", count)
}

func word(err error) string {
	var u *verify.Unsupported
	switch {
	case err == nil:
		return "accept"
	case errors.As(err, &u):
		return "unsupported"
	}
	return "reject"
}

func code(err error) string {
	var r *verify.Rejection
	if errors.As(err, &r) {
		return r.Fault.Code()
	}
	return err.Error()
}
