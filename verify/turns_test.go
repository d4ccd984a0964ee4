package verify_test

import (
	"context"
	"errors"
	"flag"
	"math/rand"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/internal/testkit"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify"
)

// This file makes programs that go round: may_goto, bpf_loop with callbacks
// that change their caller's stack, calls of static and global functions and
// tail calls in between. What we accept, the kernel has to accept.

var turnsCount = flag.Int("turns", 60, "random programs with callbacks and may_goto, from -seed on")

// turns writes such a program. In every function R6 points to four small
// numbers: in the caller's stack for a callback, else in its own.
type turns struct {
	r     *rand.Rand
	out   []isa.Insn
	deep  int
	level int // 0: the program, 1: a function, 2: a function that a function calls
	calls []turnsCall
}

// turnsCall is a place that names a function.
type turnsCall struct {
	at   int
	kind int
}

const (
	turnsStatic = iota
	turnsGlobal
	turnsTail
	turnsBack // a callback
	turnsKinds
)

func (j *turns) add(in ...isa.Insn) { j.out = append(j.out, in...) }

func (j *turns) num() isa.Reg { return isa.R7 + isa.Reg(j.r.Intn(3)) }
func (j *turns) slot() int16  { return 8 * int16(j.r.Intn(4)) }

func (j *turns) small() int32 {
	if j.r.Intn(14) == 0 {
		return []int32{97, 200, -1}[j.r.Intn(3)]
	}
	return []int32{0, 1, 2, 4, 8, 16}[j.r.Intn(6)]
}

func load(d, s isa.Reg, off int16) isa.Insn {
	return isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeDW, Dst: d, Src: s, Off: off}
}

func save(d, s isa.Reg, off int16) isa.Insn {
	return isa.Insn{Op: isa.ClassSTX | isa.ModeMEM | isa.SizeDW, Dst: d, Src: s, Off: off}
}

func jump(op uint8, d isa.Reg, imm int32, off int16) isa.Insn {
	return isa.Insn{Op: isa.ClassJMP | op, Dst: d, Imm: imm, Off: off}
}

func (j *turns) step() {
	d, s := j.num(), j.num()
	switch j.r.Intn(12) {
	case 0:
		j.add(helper(7), jump(isa.Jgt, isa.R0, j.r.Int31n(70), 1), movi(d, j.small()))
	case 1:
		j.add(addi(d, []int32{1, 1, 2, -1}[j.r.Intn(4)]))
	case 2:
		j.add(save(isa.R6, s, j.slot()))
	case 3, 4:
		j.add(load(d, isa.R6, j.slot()))
	case 5:
		j.add(mov(d, s))
	case 6:
		j.add(isa.Insn{Op: isa.ClassALU64 | isa.And, Dst: d, Imm: []int32{7, 31, 63}[j.r.Intn(3)]})
	case 7:
		j.add(jump([]uint8{isa.Jgt, isa.Jge, isa.Jeq}[j.r.Intn(3)], d, 8+j.r.Int31n(50), 1), addi(d, 1))
	case 8:
		j.mayGoto()
	case 9, 10:
		j.call()
	case 11:
		j.add(jump(isa.Jle, s, 8+j.r.Int31n(60), 1), movi(s, j.small()))
		j.use(s)
	}
}

// use reads where a number says.
func (j *turns) use(s isa.Reg) {
	j.add(mov(isa.R1, isa.R10), addi(isa.R1, -96), isa.Insn{Op: isa.ClassALU64 | isa.Add | isa.SrcX, Dst: isa.R1, Src: s},
		isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeB, Dst: isa.R0, Src: isa.R1})
}

func (j *turns) mayGoto() {
	if j.deep > 1 {
		return
	}
	j.deep++
	top := len(j.out)
	j.add(isa.Insn{Op: isa.ClassJMP | isa.Jcond})
	for range 1 + j.r.Intn(4) {
		j.step()
	}
	j.out[top].Off = int16(len(j.out) - top)
	j.add(isa.Insn{Op: isa.ClassJMP | isa.Ja, Off: int16(top - len(j.out) - 1)})
	j.deep--
}

func (j *turns) call() {
	if j.level > 1 || j.deep > 1 {
		return
	}
	d := j.num()
	switch kind := j.r.Intn(turnsKinds + 1); kind {
	case turnsStatic, turnsGlobal, turnsTail:
		j.add(mov(isa.R1, j.num()))
		if kind == turnsTail {
			if j.level > 0 {
				return
			}
			j.add(load(isa.R1, isa.R10, -48))
		}
		j.calls = append(j.calls, turnsCall{len(j.out), kind})
		j.add(isa.Insn{Op: isa.ClassJMP | isa.Call, Src: isa.CallLocal}, mov(d, isa.R0))
	default:
		j.add(movi(isa.R1, j.r.Int31n(7)))
		if j.r.Intn(3) == 0 {
			j.add(mov(isa.R1, d))
		}
		j.calls = append(j.calls, turnsCall{len(j.out), turnsBack})
		w := isa.Wide(isa.R2, isa.PseudoFunc, 0)
		j.add(w[0], w[1], mov(isa.R3, isa.R6), movi(isa.R4, 0), helper(181))
	}
}

func (j *turns) numbers() {
	for r := isa.R7; r <= isa.R9; r++ {
		j.add(movi(r, j.small()&15))
	}
}

// own gives a function four numbers in its own stack.
func (j *turns) own() {
	for i := range int16(4) {
		j.add(isa.Insn{Op: isa.ClassST | isa.ModeMEM | isa.SizeDW, Dst: isa.R10, Off: -8 * (i + 1), Imm: j.small() & 15})
	}
	j.add(mov(isa.R6, isa.R10), addi(isa.R6, -32))
}

// body is a function of a kind, level calls below the program.
func (j *turns) body(kind, level int) {
	j.level, j.deep = level, 0
	j.numbers()
	switch kind {
	case turnsBack:
		j.add(mov(isa.R6, isa.R2))
		if j.r.Intn(2) == 0 {
			j.add(mov(isa.R7, isa.R1))
		}
	case turnsTail:
		w := isa.Wide(isa.R2, isa.PseudoMapIdx, 0)
		j.add(w[0], w[1], movi(isa.R3, 0), helper(12))
		j.own()
	default:
		j.add(mov(isa.R7, isa.R1))
		j.own()
	}
	for range 2 + j.r.Intn(5) {
		j.step()
	}
	switch {
	case kind == turnsBack:
		j.add(movi(isa.R0, j.r.Int31n(2)))
	case j.r.Intn(2) == 0:
		j.add(mov(isa.R0, j.num()))
	default:
		j.add(movi(isa.R0, j.small()))
	}
	j.add(isa.Insn{Op: isa.ClassJMP | isa.Exit})
}

var turnsMaps = []*object.Map{{Name: "progs", Type: abi.MapProgArray, KeySize: 4, ValueSize: 4, MaxEntries: 1}}

func (j *turns) program(t *image.Target) *image.Image {
	j.add(save(isa.R10, isa.R1, -48))
	j.own()
	j.numbers()
	for range 3 + j.r.Intn(8) {
		j.step()
		if j.r.Intn(3) == 0 {
			j.use(j.num())
		}
	}
	j.add(movi(isa.R0, 0), isa.Insn{Op: isa.ClassJMP | isa.Exit})
	number := &btf.Int{Name: "long", Size: 8, Encoding: btf.Signed}
	fn := func(name string) *btf.Func {
		return &btf.Func{Name: name, Type: &btf.FuncProto{Return: number, Params: []btf.FuncParam{{Name: "n", Type: number}}}}
	}
	subs := []image.Subprog{{Name: "prog", BTF: fn("prog")}}
	for level := 1; level < 3; level++ {
		calls := j.calls
		j.calls = nil
		var start [turnsKinds]int
		for _, c := range calls {
			if start[c.kind] == 0 {
				start[c.kind] = len(j.out)
				name := string(rune('a' + len(subs)))
				subs = append(subs, image.Subprog{Start: len(j.out), Name: name, BTF: fn(name), Global: c.kind == turnsGlobal})
				j.body(c.kind, level)
			}
			j.out[c.at].Imm = int32(start[c.kind] - c.at - 1)
		}
	}
	return &image.Image{Program: "prog", Attach: abi.Attach{Type: abi.SocketFilter}, License: "GPL", Target: t, Insns: j.out, Subprogs: subs, Maps: turnsMaps}
}

// boring are the kernel's reasons that say nothing of safety.
var boring = []string{"infinite loop detected", "BPF program is too large", "too complex", "The sequence of", "verifier bug"}

func TestTurns(t *testing.T) {
	testkit.RequireBPF(t)
	target, err := image.Running()
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for i := range *turnsCount {
		seed := *randomSeed + int64(i)
		img := (&turns{r: rand.New(rand.NewSource(seed))}).program(target)
		_, ours := verify.Verify(context.Background(), img, verify.Options{MaxProcessed: 20_000})
		if ours != nil && code(ours) == "too-complex" && *turnsCount > 1 {
			count["too complex"]++ // for the kernel too, which may take minutes to say so
			continue
		}
		k, theirs := testkit.LoadKernel(img)
		if theirs == nil {
			k.Close()
		}
		var rej *testkit.KernelRejection
		if theirs != nil && !errors.As(theirs, &rej) {
			t.Fatal(theirs)
		}
		key := "ours " + word(ours) + ", kernel " + word(theirs)
		count[key]++
		switch {
		case ours == nil && theirs != nil:
			why := ""
			for _, b := range boring {
				if strings.Contains(rej.Log, b) {
					why = b
				}
			}
			if count["  "+why]++; why == "" {
				t.Errorf("seed %d: accepted, but %v", seed, theirs)
			}
			if *turnsCount == 1 {
				t.Logf("%s\n%s", isa.Listing(img.Insns), rej.Log)
			}
		case ours != nil && theirs == nil:
			count["  "+code(ours)]++
			if *turnsCount == 1 {
				t.Logf("%v\n%s", ours, isa.Listing(img.Insns))
			} else if testing.Verbose() {
				t.Logf("seed %d: %v, but the kernel accepts", seed, ours)
			}
		}
	}
	t.Logf("verdicts: %v", count)
}
