package verify_test

import (
	"context"
	"errors"
	"flag"
	"math/rand"
	"testing"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify"
)

// This file makes programs in which a number is fine on the path that is
// walked first and bad on another, goes a long way, and decides where an access
// goes. To accept one means that pruning lost what the number came from.

var chainsCount = flag.Int("chains", 3000, "random programs with a bad number on a second path, from -seed on")

// chain writes such a program, in the registers and slots of joins.
type chain struct{ joins }

// fork does one of two things, each of one instruction, the good one first.
func (c *chain) fork(good, bad isa.Insn) {
	c.either(2)
	c.add(good, isa.Insn{Op: isa.ClassJMP | isa.Ja, Off: 1}, bad)
}

// filler is enough for a state to be kept, mostly.
func (c *chain) filler(not ...isa.Reg) {
	for range 2 + c.r.Intn(2) {
		d := c.other(not...)
		c.either(1)
		c.add(movi(d, c.small()), mov(isa.R0, d))
	}
}

// other is a register that is none of those.
func (c *chain) other(not ...isa.Reg) isa.Reg {
	for {
		d := c.num()
		taken := false
		for _, r := range not {
			taken = taken || r == d
		}
		if !taken {
			return d
		}
	}
}

func (c *chain) unknown(d isa.Reg, mask int32) {
	c.add(isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeDW, Dst: d, Src: isa.R6, Off: int16(8 * c.r.Intn(14))})
	if mask != 0 {
		c.add(isa.Insn{Op: isa.ClassALU64 | isa.And, Dst: d, Imm: mask})
	}
}

// begin makes the number and says where it is.
func (c *chain) begin() isa.Reg {
	d := c.num()
	bad := []int32{97, 200, -1, 1 << 30}[c.r.Intn(4)]
	slot := c.slot()
	switch c.r.Intn(7) {
	case 0: // tied to what is compared below, or not
		s := c.other(d)
		c.unknown(d, 255)
		c.unknown(s, 255)
		c.add(mov(isa.R0, s))
		c.fork(mov(d, s), mov(isa.R0, s))
		c.filler(d, s)
		c.exits = append(c.exits, len(c.out))
		c.add(isa.Insn{Op: isa.ClassJMP | isa.Jgt, Dst: s, Imm: 30})
	case 1: // zero bytes, or others, in half of a slot
		half := func(imm int32) isa.Insn {
			return isa.Insn{Op: isa.ClassST | isa.ModeMEM | isa.SizeW, Dst: isa.R10, Off: slot + 4, Imm: imm}
		}
		c.add(isa.Insn{Op: isa.ClassST | isa.ModeMEM | isa.SizeW, Dst: isa.R10, Off: slot})
		c.fork(half(0), half(1<<20))
		c.filler(d)
		c.add(isa.Insn{Op: isa.ClassST | isa.ModeMEM | isa.SizeW, Dst: isa.R10, Off: slot, Imm: 5},
			isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeW, Dst: d, Src: isa.R10, Off: slot + 4})
	case 2: // bounded by another
		s := c.other(d)
		c.fork(movi(s, 9), movi(s, 1000))
		c.filler(d, s)
		c.unknown(d, 0)
		c.exits = append(c.exits, len(c.out))
		c.add(isa.Insn{Op: isa.ClassJMP | isa.Jgt | isa.SrcX, Dst: d, Src: s})
	case 3: // a sum of 32 bits, of a number that may have more
		s := c.other(d)
		c.unknown(s, 0)
		c.add(mov(isa.R0, s))
		c.fork(isa.Insn{Op: isa.ClassALU | isa.Mov | isa.SrcX, Dst: s, Src: s}, mov(isa.R0, s))
		c.add(isa.Insn{Op: isa.ClassALU64 | isa.Mov | isa.SrcX, Dst: d, Src: s}, isa.Insn{Op: isa.ClassALU | isa.Add, Dst: d, Imm: -1})
		c.exits = append(c.exits, len(c.out))
		c.add(isa.Insn{Op: isa.ClassJMP | isa.Jgt, Dst: d, Imm: 40})
		c.add(mov(d, s))
	case 4: // tied to what is compared below, but not in the same way
		s := c.other(d)
		c.unknown(s, 0)
		c.add(mov(d, s))
		c.fork(addi(d, 4), addi(d, 1<<20))
		c.filler(d, s)
		c.exits = append(c.exits, len(c.out))
		c.add(isa.Insn{Op: isa.ClassJMP | isa.Jgt, Dst: s, Imm: 30})
	default:
		c.fork(movi(d, c.r.Int31n(17)), movi(d, bad))
	}
	return d
}

// pass moves the number of s elsewhere, in one of the ways that numbers go.
func (c *chain) pass(s isa.Reg) isa.Reg {
	d, off := c.other(s), c.slot()
	size := []uint8{isa.SizeDW, isa.SizeDW, isa.SizeW}[c.r.Intn(3)]
	put := isa.Insn{Op: isa.ClassSTX | isa.ModeMEM | size, Dst: isa.R10, Src: s, Off: off}
	get := isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | size, Dst: d, Src: isa.R10, Off: off}
	switch c.r.Intn(10) {
	case 0:
		c.add(mov(d, s))
	case 1:
		c.add(put)
		c.filler(s)
		c.add(get)
	case 2:
		c.add(movi(d, 1), isa.Insn{Op: isa.ClassALU64 | isa.SrcX | []uint8{isa.Add, isa.Or, isa.Xor, isa.Mul}[c.r.Intn(4)], Dst: d, Src: s})
	case 3:
		put.Op = isa.ClassSTX | isa.ModeMEM | isa.SizeDW
		c.add(put)
		c.filler(d)
		in := isa.Insn{Op: isa.ClassSTX | isa.ModeATOMIC | isa.SizeDW, Dst: isa.R10, Src: d, Off: off, Imm: isa.AtomicXchg}
		switch c.r.Intn(4) {
		case 0:
			in.Imm = isa.AtomicAdd | isa.AtomicFetch
		case 1:
			in.Imm = isa.AtomicCmpXchg
			c.add(movi(isa.R0, 1), in, mov(d, isa.R0))
			return d
		case 2:
			in.Dst, in.Src, in.Imm = d, isa.R10, isa.LoadAcquire
		}
		c.add(in)
	case 4: // an argument, and the result
		c.add(mov(isa.R1, s))
		c.enter(0, d)
	case 5: // a function reads it in its caller's frame
		c.add(isa.Insn{Op: isa.ClassSTX | isa.ModeMEM | isa.SizeDW, Dst: isa.R10, Src: s, Off: off}, mov(isa.R2, isa.R10), addi(isa.R2, int32(off)))
		c.enter(1, d)
	case 6: // a function stores it in its caller's frame
		c.add(mov(isa.R1, s), mov(isa.R2, isa.R10), addi(isa.R2, int32(off)))
		c.enter(2, d)
		get.Op = isa.ClassLDX | isa.ModeMEM | isa.SizeDW
		c.add(get)
	case 7: // it stays in a register of the caller's
		k := []isa.Reg{isa.R7, isa.R8, isa.R9}[c.r.Intn(3)]
		c.add(mov(k, s), movi(isa.R1, 1))
		c.enter(0, isa.R0)
		return k
	case 8: // it stays in the caller's frame
		c.add(put, movi(isa.R1, 1))
		c.enter(0, isa.R0)
		c.add(get)
	case 9:
		c.add(isa.Insn{Op: isa.ClassALU | isa.Mov | isa.SrcX, Dst: d, Src: s})
	}
	return d
}

// enter calls a function. R3 is any number there.
func (c *chain) enter(fn int, d isa.Reg) {
	c.unknown(isa.R3, 0)
	c.call(fn, d)
}

// bodies are the functions: what the number does, and enough for states to be kept before and behind.
func (c *chain) bodies() [][]isa.Insn {
	fill := []isa.Insn{jump(isa.Jset, isa.R3, 1, 1), movi(isa.R4, 1), mov(isa.R5, isa.R3), jump(isa.Jset, isa.R3, 2, 1), movi(isa.R4, 2), mov(isa.R5, isa.R4), jump(isa.Jset, isa.R3, 4, 1), movi(isa.R4, 3), mov(isa.R5, isa.R4)}
	exit := isa.Insn{Op: isa.ClassJMP | isa.Exit}
	var out [][]isa.Insn
	for _, in := range []isa.Insn{mov(isa.R0, isa.R1),
		{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeDW, Dst: isa.R0, Src: isa.R2},
		{Op: isa.ClassSTX | isa.ModeMEM | isa.SizeDW, Dst: isa.R2, Src: isa.R1}} {
		b := append([]isa.Insn{movi(isa.R0, 0)}, fill...)
		b = append(b, in)
		if c.r.Intn(2) == 0 {
			b = append(b, fill...)
		}
		out = append(out, append(b, exit))
	}
	return out
}

func (c *chain) program(t *image.Target) *image.Image {
	c.add(mov(isa.R6, isa.R1))
	for _, r := range []isa.Reg{isa.R7, isa.R8, isa.R9, isa.R3, isa.R4, isa.R5} {
		c.add(movi(r, 1))
	}
	d := c.begin()
	for range c.r.Intn(4) {
		if c.r.Intn(2) == 0 {
			c.filler(d)
		}
		d = c.pass(d)
	}
	c.filler(d)
	c.add(mov(isa.R1, isa.R10), addi(isa.R1, -96), isa.Insn{Op: isa.ClassALU64 | isa.Add | isa.SrcX, Dst: isa.R1, Src: d},
		isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeB, Dst: isa.R0, Src: isa.R1})
	return c.finish(t, c.bodies())
}

// TestChains requires that what is accepted is also accepted when every path is
// walked to its end, and that it runs as the verifier says.
func TestChains(t *testing.T) {
	target := &image.Target{Version: abi.V(6, 18), Privileged: true, Arch: "amd64"}
	byName := testMaps(t, joinsMaps)
	accepted, sane := 0, 0
	for i := range *chainsCount {
		if t.Failed() {
			return // one is enough to look at
		}
		seed := *randomSeed + int64(i)
		c := &chain{joins{r: rand.New(rand.NewSource(seed))}}
		img := c.program(target)
		v, err := verify.Verify(context.Background(), img, verify.Options{MaxProcessed: 50_000})
		var r *verify.Rejection
		if errors.As(err, &r) {
			switch r.Fault.Code() {
			case "stack-bounds", "pointer-arithmetic", "unbounded-access":
				sane++
			}
		}
		if err != nil {
			continue
		}
		accepted++
		soundly(t, seed, v, byName)
	}
	if sane < *chainsCount/2 {
		t.Errorf("only %d of %d programs are rejected for the number", sane, *chainsCount)
	}
	t.Logf("%d programs: %d rejected for the number, %d accepted", *chainsCount, sane, accepted)
}
