package verify_test

import (
	"context"
	"errors"
	"flag"
	"math/rand"
	"testing"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/internal/testkit"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify"
	"github.com/gtrace-dev/gtrace/vm/maps"
)

// This file makes programs in which a number depends on the way that was
// taken, goes through moves, the stack, calls and comparisons, and at last
// decides where an access goes: what pruning must not lose.

var joinsCount = flag.Int("joins", 700, "random programs with branches that meet, from -seed on")

// joins writes such a program. R6 is the context; R7 to R9, R3 to R5 and fp-8
// to fp-32 are small numbers at all times.
type joins struct {
	r     *rand.Rand
	out   []isa.Insn
	calls []int // places of calls
	exits []int // places of jumps to the end
}

func (j *joins) add(in ...isa.Insn) { j.out = append(j.out, in...) }

func (j *joins) num() isa.Reg {
	return []isa.Reg{isa.R7, isa.R8, isa.R9, isa.R3, isa.R4, isa.R5}[j.r.Intn(6)]
}
func (j *joins) slot() int16 { return -8 * int16(1+j.r.Intn(4)) }

// small is a number that the final accesses mostly allow.
func (j *joins) small() int32 {
	if j.r.Intn(14) == 0 {
		return []int32{97, 200, -1, 1 << 30}[j.r.Intn(4)]
	}
	return []int32{0, 1, 2, 4, 8, 16}[j.r.Intn(6)]
}

// either jumps over the next n instructions, or not, as the context says.
func (j *joins) either(n int16) {
	j.add(isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeDW, Dst: isa.R0, Src: isa.R6, Off: int16(8 * j.r.Intn(14))},
		isa.Insn{Op: isa.ClassJMP | []uint8{isa.Jset, isa.Jgt, isa.Jslt, isa.Jeq}[j.r.Intn(4)], Dst: isa.R0, Imm: j.r.Int31n(70), Off: n})
}

func (j *joins) store(s isa.Reg) {
	j.add(isa.Insn{Op: isa.ClassSTX | isa.ModeMEM | []uint8{isa.SizeDW, isa.SizeDW, isa.SizeW}[j.r.Intn(3)], Dst: isa.R10, Src: s, Off: j.slot()})
}

func (j *joins) step() {
	d, s := j.num(), j.num()
	switch j.r.Intn(13) {
	case 0, 1:
		j.either(2)
		j.add(movi(d, j.small()), isa.Insn{Op: isa.ClassJMP | isa.Ja, Off: 1}, movi(d, j.small()))
	case 2:
		j.either(1)
		j.add(addi(d, j.small()))
	case 3:
		j.either(1)
		j.add(isa.Insn{Op: isa.ClassST | isa.ModeMEM | isa.SizeDW, Dst: isa.R10, Off: j.slot(), Imm: j.small()})
	case 4:
		j.either(1)
		j.add(mov(d, s))
	case 5:
		j.store(s)
	case 6:
		j.add(isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | []uint8{isa.SizeDW, isa.SizeDW, isa.SizeW, isa.SizeB}[j.r.Intn(4)], Dst: d, Src: isa.R10, Off: j.slot()})
	case 7:
		j.add(isa.Insn{Op: isa.ClassALU64 | isa.SrcX | []uint8{isa.Add, isa.Or, isa.And, isa.Mov, isa.Xor}[j.r.Intn(5)], Dst: d, Src: s})
	case 8: // a number from outside
		j.add(isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | []uint8{isa.SizeW, isa.SizeDW}[j.r.Intn(2)], Dst: d, Src: isa.R6, Off: int16(8 * j.r.Intn(14))})
		if j.r.Intn(2) == 0 {
			j.add(isa.Insn{Op: isa.ClassALU64 | isa.And, Dst: d, Imm: []int32{7, 31, 63}[j.r.Intn(3)]})
		}
	case 9: // a copy is compared
		j.add(mov(d, s))
		if j.r.Intn(2) == 0 {
			j.add(addi(d, j.small()))
		}
		j.leave([]isa.Reg{d, s}[j.r.Intn(2)])
	case 10:
		j.add(isa.Insn{Op: []uint8{isa.ClassJMP, isa.ClassJMP32}[j.r.Intn(2)] | isa.SrcX | []uint8{isa.Jlt, isa.Jgt, isa.Jeq, isa.Jne, isa.Jsge}[j.r.Intn(5)], Dst: d, Src: s, Off: 1},
			movi(j.num(), j.small()))
	case 11:
		j.add(mov(isa.R1, s))
		j.calls = append(j.calls, len(j.out))
		j.add(isa.Insn{Op: isa.ClassJMP | isa.Call, Src: isa.CallLocal}, movi(isa.R3, j.small()), movi(isa.R4, j.small()), movi(isa.R5, j.small()), mov(d, isa.R0))
	case 12:
		j.leave(s)
	}
}

// leave goes to the end unless s is small.
func (j *joins) leave(s isa.Reg) {
	j.exits = append(j.exits, len(j.out))
	j.add(isa.Insn{Op: []uint8{isa.ClassJMP, isa.ClassJMP, isa.ClassJMP32}[j.r.Intn(3)] | []uint8{isa.Jgt, isa.Jge}[j.r.Intn(2)], Dst: s, Imm: 8 + j.r.Int31n(60)})
}

// use reads where a number says.
func (j *joins) use() {
	j.add(mov(isa.R1, isa.R10), addi(isa.R1, -96), isa.Insn{Op: isa.ClassALU64 | isa.Add | isa.SrcX, Dst: isa.R1, Src: j.num()},
		isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeB, Dst: isa.R0, Src: isa.R1})
}

// program is a random program, and a function that it calls.
func (j *joins) program(t *image.Target) *image.Image {
	j.add(mov(isa.R6, isa.R1))
	for _, r := range []isa.Reg{isa.R7, isa.R8, isa.R9, isa.R3, isa.R4, isa.R5} {
		j.add(movi(r, j.small()&15))
	}
	for i := range int16(4) {
		j.add(isa.Insn{Op: isa.ClassST | isa.ModeMEM | isa.SizeDW, Dst: isa.R10, Off: -8 * (i + 1), Imm: j.small()})
	}
	for range 1 + j.r.Intn(3) {
		for range 3 + j.r.Intn(9) {
			j.step()
		}
		j.use()
	}
	end := len(j.out)
	j.add(movi(isa.R0, 0), isa.Insn{Op: isa.ClassJMP | isa.Exit})
	for _, at := range j.exits {
		j.out[at].Off = int16(end - at - 1)
	}
	subs := []image.Subprog{{Start: 0, Name: "prog"}}
	if len(j.calls) > 0 {
		start := len(j.out)
		subs = append(subs, image.Subprog{Start: start, Name: "sub"})
		for _, at := range j.calls {
			j.out[at].Imm = int32(start - at - 1)
		}
		j.add(mov(isa.R0, isa.R1), isa.Insn{Op: isa.ClassSTX | isa.ModeMEM | isa.SizeDW, Dst: isa.R10, Src: isa.R1, Off: -8},
			isa.Insn{Op: isa.ClassJMP | isa.Jlt, Dst: isa.R1, Imm: 8 + j.r.Int31n(60), Off: 1}, movi(isa.R0, j.small()),
			isa.Insn{Op: isa.ClassJMP | isa.Jne, Dst: isa.R0, Imm: j.small(), Off: 1},
			isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeDW, Dst: isa.R0, Src: isa.R10, Off: -8},
			isa.Insn{Op: isa.ClassJMP | isa.Exit})
	}
	return &image.Image{Program: "prog", Attach: abi.Attach{Type: abi.Kprobe}, License: "GPL", Target: t, Insns: j.out, Subprogs: subs}
}

func TestJoins(t *testing.T) {
	bpf := testkit.BPFPermitted()
	target := &image.Target{Version: abi.V(6, 18), Privileged: true, Arch: "amd64"}
	accepted, large, looser := 0, 0, 0
	for i := range *joinsCount {
		seed := *randomSeed + int64(i)
		img := (&joins{r: rand.New(rand.NewSource(seed))}).program(target)
		v, err := verify.Verify(context.Background(), img, verify.Options{MaxProcessed: 50_000})
		if err != nil {
			continue
		}
		accepted++
		if soundly(t, seed, v, map[string]*maps.Map{}) == 0 {
			large++
		}
		if !bpf || accepted%4 != 0 {
			continue
		}
		k, err := testkit.LoadKernel(img)
		var rej *testkit.KernelRejection
		switch {
		case err == nil:
			k.Close()
		case errors.As(err, &rej):
			looser++
			t.Errorf("seed %d: accepted, but %v", seed, err)
		default:
			t.Fatal(err)
		}
	}
	if *joinsCount >= 500 && accepted-large < *joinsCount/3 {
		t.Errorf("only %d of %d programs ran: they test nothing", accepted-large, *joinsCount)
	}
	t.Logf("%d programs: %d accepted, %d of them not compared: not every path can be walked to its end, %d that the kernel rejects", *joinsCount, accepted, large, looser)
}
