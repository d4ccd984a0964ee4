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
	"github.com/gtrace-dev/gtrace/internal/testkit/sound"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify"
)

// This file makes programs in which a number depends on the way that was
// taken, goes through moves, the stack, calls and comparisons, and at last
// decides where an access goes: what pruning must not lose.

var (
	joinsCount   = flag.Int("joins", 700, "random programs with branches that meet, from -seed on")
	pruningCount = flag.Int("pruning", 1000, "such programs whose verdicts are compared with those without pruning, from -seed on")
	askEvery     = flag.Int("ask", 4, "ask the kernel about one in so many of the programs that meet and are accepted; 0: none")
)

// joins writes such a program. R6 is the context; R7 to R9, R3 to R5 and fp-8
// to fp-32 are small numbers at all times.
type joins struct {
	r     *rand.Rand
	out   []isa.Insn
	calls []call // of functions
	exits []int  // places of jumps to the end
	deep  int    // of loops
	// turns is how often a loop that no count ends is written down; 0: it is a loop.
	turns int
}

// call is a call of function fn at an instruction, or of its address.
type call struct{ at, fn int }

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
	n := 22
	if j.deep > 0 {
		n = 9
	}
	switch j.r.Intn(n) {
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
	case 13:
		j.fetch(s)
	case 14: // a sum of 32 bits, compared with what it is a sum of
		j.add(isa.Insn{Op: isa.ClassALU | isa.Mov | isa.SrcX, Dst: d, Src: s})
		j.add(isa.Insn{Op: []uint8{isa.ClassALU, isa.ClassALU64}[j.r.Intn(2)] | []uint8{isa.Add, isa.Sub}[j.r.Intn(2)], Dst: d, Imm: j.small()})
		j.leave([]isa.Reg{d, s}[j.r.Intn(2)])
	case 15, 16: // a function gets a pointer to a slot
		j.add(mov(isa.R1, s), mov(isa.R2, isa.R10), addi(isa.R2, int32(j.slot())))
		j.call(1, d)
	case 17:
		j.lookup(s, d)
	case 18: // a part of a slot
		off := j.slot() + int16(j.r.Intn(2))*4
		if j.r.Intn(2) == 0 {
			j.add(isa.Insn{Op: isa.ClassST | isa.ModeMEM | []uint8{isa.SizeW, isa.SizeH, isa.SizeB}[j.r.Intn(3)], Dst: isa.R10, Off: off, Imm: j.small()})
		} else {
			j.add(isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | []uint8{isa.SizeW, isa.SizeH, isa.SizeB}[j.r.Intn(3)], Dst: d, Src: isa.R10, Off: off})
		}
	case 19:
		j.loop()
	case 20:
		j.mayGoto()
	case 21:
		j.callbacks(d)
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
		j.call(0, d)
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

// call calls a function, whose result goes to d.
func (j *joins) call(fn int, d isa.Reg) {
	j.calls = append(j.calls, call{len(j.out), fn})
	j.add(isa.Insn{Op: isa.ClassJMP | isa.Call, Src: isa.CallLocal})
	j.called(d)
}

// called gives the registers that a call clobbers new values.
func (j *joins) called(d isa.Reg) {
	j.add(movi(isa.R3, j.small()), movi(isa.R4, j.small()), movi(isa.R5, j.small()), mov(d, isa.R0))
}

// fetch exchanges a slot's number with that of s.
func (j *joins) fetch(s isa.Reg) {
	in := isa.Insn{Op: isa.ClassSTX | isa.ModeATOMIC | isa.SizeDW, Dst: isa.R10, Src: s, Off: j.slot()}
	in.Imm = []int32{isa.AtomicXchg, isa.AtomicAdd | isa.AtomicFetch, isa.AtomicCmpXchg, isa.LoadAcquire}[j.r.Intn(4)]
	switch in.Imm {
	case isa.AtomicCmpXchg:
		j.add(movi(isa.R0, j.small()), in, mov(s, isa.R0))
	case isa.LoadAcquire:
		in.Dst, in.Src = s, isa.R10
		j.add(in)
	default:
		j.add(in)
	}
}

// lookup looks up an element of an array, that is there if its index is known.
func (j *joins) lookup(s, d isa.Reg) {
	off := j.slot()
	if j.r.Intn(2) == 0 {
		j.add(isa.Insn{Op: isa.ClassSTX | isa.ModeMEM | []uint8{isa.SizeDW, isa.SizeW}[j.r.Intn(2)], Dst: isa.R10, Src: s, Off: off})
	} else {
		j.either(1)
		j.add(isa.Insn{Op: isa.ClassST | isa.ModeMEM | isa.SizeW, Dst: isa.R10, Off: off, Imm: j.small() & 7})
	}
	w := isa.Wide(isa.R1, isa.PseudoMapIdx, 0)
	j.add(mov(isa.R2, isa.R10), addi(isa.R2, int32(off)), w[0], w[1], helper(1))
	if j.r.Intn(3) == 0 {
		j.exits = append(j.exits, len(j.out))
		j.add(isa.Insn{Op: isa.ClassJMP | isa.Jeq, Dst: isa.R0})
	}
	j.add(isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeB, Dst: isa.R0, Src: isa.R0})
	j.called(d)
}

// loop goes round a few times.
func (j *joins) loop() {
	j.deep++
	defer func() { j.deep-- }()
	c := []isa.Reg{isa.R7, isa.R8, isa.R9}[j.r.Intn(3)]
	j.add(movi(c, 0))
	top := len(j.out)
	for range 1 + j.r.Intn(3) {
		j.step()
	}
	j.add(addi(c, 1), isa.Insn{Op: isa.ClassJMP | isa.Jlt, Dst: c, Imm: 2 + j.r.Int31n(3)})
	j.out[len(j.out)-1].Off = int16(top - len(j.out))
}

// mayGoto goes round as often as may_goto lets it.
func (j *joins) mayGoto() {
	j.deep++
	defer func() { j.deep-- }()
	before := len(j.out)
	for range 1 + j.r.Intn(3) {
		j.step()
	}
	body := append([]isa.Insn(nil), j.out[before:]...)
	j.out = j.out[:before]
	cond := isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeDW, Dst: isa.R0, Src: isa.R6}
	n := int16(len(body))
	if j.turns == 0 {
		j.add(cond, isa.Insn{Op: isa.ClassJMP | isa.Jcond, Off: n + 1})
		j.add(body...)
		j.add(isa.Insn{Op: isa.ClassJMP | isa.Ja, Off: -n - 2})
		return
	}
	for i := range j.turns {
		j.add(cond, isa.Insn{Op: isa.ClassJMP | isa.Jgt, Dst: isa.R0, Imm: 50, Off: (n+2)*int16(j.turns-i) - 2})
		j.add(body...)
	}
}

// callbacks calls a function as often as bpf_loop does.
func (j *joins) callbacks(d isa.Reg) {
	arg := []isa.Insn{mov(isa.R3, isa.R10), addi(isa.R3, int32(j.slot()))}
	if j.turns == 0 {
		j.add(movi(isa.R1, 100))
		j.calls = append(j.calls, call{len(j.out), 2})
		w := isa.Wide(isa.R2, isa.PseudoFunc, 0)
		j.add(w[0], w[1])
		j.add(arg...)
		j.add(movi(isa.R4, 0), helper(181), movi(isa.R0, 0))
	} else {
		for i := range j.turns {
			j.add(isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeDW, Dst: isa.R0, Src: isa.R6},
				isa.Insn{Op: isa.ClassJMP | isa.Jgt, Dst: isa.R0, Imm: 50, Off: 7*int16(j.turns-i) - 2},
				isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeDW, Dst: isa.R1, Src: isa.R6})
			j.add(arg...)
			j.add(mov(isa.R2, isa.R3))
			j.calls = append(j.calls, call{len(j.out), 2})
			j.add(isa.Insn{Op: isa.ClassJMP | isa.Call, Src: isa.CallLocal})
		}
		j.add(movi(isa.R0, 0))
	}
	j.called(d)
}

// function is the body of function fn.
func (j *joins) function(fn int) []isa.Insn {
	load := func(d isa.Reg) isa.Insn {
		return isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeDW, Dst: d, Src: isa.R2}
	}
	store := isa.Insn{Op: isa.ClassSTX | isa.ModeMEM | []uint8{isa.SizeDW, isa.SizeW}[j.r.Intn(2)], Dst: isa.R2, Src: isa.R1}
	exit := isa.Insn{Op: isa.ClassJMP | isa.Exit}
	switch fn {
	case 0:
		return []isa.Insn{mov(isa.R0, isa.R1), {Op: isa.ClassSTX | isa.ModeMEM | isa.SizeDW, Dst: isa.R10, Src: isa.R1, Off: -8},
			jump(isa.Jlt, isa.R1, 8+j.r.Int31n(60), 1), movi(isa.R0, j.small()), jump(isa.Jne, isa.R0, j.small(), 1),
			{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeDW, Dst: isa.R0, Src: isa.R10, Off: -8}, exit}
	case 1: // r2 points to a slot of the caller's
		return []isa.Insn{movi(isa.R0, j.small()), jump(isa.Jlt, isa.R1, 4+j.r.Int31n(60), 1), store, jump(isa.Jgt, isa.R1, j.small(), 1), load(isa.R0),
			mov(isa.R3, isa.R1), jump(isa.Jne, isa.R3, j.small(), 1), load(isa.R0), jump(isa.Jset, isa.R1, 3, 1), addi(isa.R0, 1), exit}
	}
	// A callback: r1 is a count, r2 points to a slot of the caller's.
	return []isa.Insn{load(isa.R0), jump(isa.Jgt, isa.R1, j.r.Int31n(40), 2), addi(isa.R0, []int32{0, 1, 4}[j.r.Intn(3)]),
		{Op: isa.ClassSTX | isa.ModeMEM | isa.SizeDW, Dst: isa.R2, Src: isa.R0},
		jump(isa.Jlt, isa.R0, 8+j.r.Int31n(60), 1), {Op: isa.ClassST | isa.ModeMEM | isa.SizeDW, Dst: isa.R2, Imm: j.small()}, movi(isa.R0, j.r.Int31n(2)), exit}
}

// joinsMaps are the maps of such a program.
var joinsMaps = []*object.Map{{Name: "a", Type: abi.MapArray, KeySize: 4, ValueSize: 8, MaxEntries: 5}}

// program is a random program, and functions that it calls.
func (j *joins) program(t *image.Target) *image.Image {
	var bodies [3][]isa.Insn
	for i := range bodies {
		bodies[i] = j.function(i)
	}
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
	return j.finish(t, bodies[:])
}

// finish adds the end, and the functions that are called.
func (j *joins) finish(t *image.Target, bodies [][]isa.Insn) *image.Image {
	end := len(j.out)
	j.add(movi(isa.R0, 0), isa.Insn{Op: isa.ClassJMP | isa.Exit})
	for _, at := range j.exits {
		j.out[at].Off = int16(end - at - 1)
	}
	subs := []image.Subprog{{Start: 0, Name: "prog"}}
	for fn, body := range bodies {
		start := len(j.out)
		used := false
		for _, c := range j.calls {
			if c.fn == fn {
				used = true
				j.out[c.at].Imm = int32(start - c.at - 1)
			}
		}
		if used {
			subs = append(subs, image.Subprog{Start: start, Name: []string{"sub", "pointed", "callback"}[fn]})
			j.add(body...)
		}
	}
	return &image.Image{Program: "prog", Attach: abi.Attach{Type: abi.Kprobe}, License: "GPL", Target: t, Insns: j.out, Subprogs: subs, Maps: joinsMaps}
}

// TestPruning compares verdicts with and without pruning, and with loops that
// no count ends written down a few times.
func TestPruning(t *testing.T) {
	target := &image.Target{Version: abi.V(6, 18), Privileged: true, Arch: "amd64"}
	accepted, large := 0, 0
	for i := range *pruningCount {
		if t.Failed() {
			return // one is enough to look at
		}
		seed := *randomSeed + int64(i)
		make := func(turns int) *image.Image {
			return (&joins{r: rand.New(rand.NewSource(seed)), turns: turns}).program(target)
		}
		if _, err := verify.Verify(context.Background(), make(0), verify.Options{MaxProcessed: 50_000}); err != nil {
			continue
		}
		accepted++
		first, last := 0, 0
		if len(make(0).Insns) != len(make(1).Insns) { // it has such loops
			first, last = 1, 3
		}
		for turns := first; turns <= last; turns++ {
			img := make(turns)
			_, err := verify.Verify(context.Background(), img, verify.Options{MaxProcessed: 20_000, NoPrune: true})
			var r *verify.Rejection
			switch {
			case err == nil:
				continue
			case errors.As(err, &r) && sound.Incomplete(r):
				large++
			default:
				t.Errorf("seed %d: accepted, but not when every path is walked to its end (%d turns): %v", seed, turns, err)
				if *pruningCount == 1 {
					t.Logf("%s", isa.Listing(img.Insns))
				}
			}
			break
		}
	}
	if *pruningCount >= 500 && accepted-large < *pruningCount/4 {
		t.Errorf("only %d of %d programs were accepted: they test nothing", accepted-large, *pruningCount)
	}
	t.Logf("%d programs: %d accepted, %d times not every path could be walked to its end", *pruningCount, accepted, large)
}

// hasCallback reports whether the kernel needs types with img.
func hasCallback(img *image.Image) bool {
	for _, in := range img.Insns {
		if in.IsWide() && in.Src == isa.PseudoFunc {
			return true
		}
	}
	return false
}

func TestJoins(t *testing.T) {
	bpf := testkit.BPFPermitted()
	target := &image.Target{Version: abi.V(6, 18), Privileged: true, Arch: "amd64"}
	byName := testMaps(t, joinsMaps)
	accepted, large, looser := 0, 0, 0
	for i := range *joinsCount {
		seed := *randomSeed + int64(i)
		img := (&joins{r: rand.New(rand.NewSource(seed))}).program(target)
		if _, err := verify.Verify(context.Background(), img, verify.Options{MaxProcessed: 50_000}); err != nil {
			continue
		}
		accepted++
		unrolled := (&joins{r: rand.New(rand.NewSource(seed)), turns: 2}).program(target)
		v, err := verify.Verify(context.Background(), unrolled, verify.Options{MaxProcessed: 50_000})
		if err != nil {
			t.Errorf("seed %d: accepted, but not with its loops written down: %v", seed, err)
		} else if soundly(t, seed, v, byName) == 0 {
			large++
		}
		if !bpf || *askEvery == 0 || accepted%*askEvery != 0 || hasCallback(img) {
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
	if *joinsCount >= 500 && accepted-large < *joinsCount/4 {
		t.Errorf("only %d of %d programs ran: they test nothing", accepted-large, *joinsCount)
	}
	t.Logf("%d programs: %d accepted, %d of them not compared: not every path can be walked to its end, %d that the kernel rejects", *joinsCount, accepted, large, looser)
}
