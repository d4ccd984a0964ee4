package vm

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/internal/testkit/sound"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify"
)

// This file runs what the verifier accepts in checking mode: no access of
// such a program may leave its object, whatever its context, and registers and
// stack are always as the verifier knows them.

func verified(t testing.TB, insns []isa.Insn, defs ...*object.Map) (*verify.Verified, error) {
	t.Helper()
	img := imageOf(insns, defs...)
	img.Target = &image.Target{Arch: "amd64", Release: "6.18", Version: abi.V(6, 18), Name: "6.18", Privileged: true, Engine: image.EngineUser}
	return verify.Verify(context.Background(), img, verify.Options{})
}

func TestLoadVerified(t *testing.T) {
	v, err := verified(t, countProgram(), countMap(abi.MapHash))
	if err != nil {
		t.Fatal(err)
	}
	byName := memory(t, countMap(abi.MapHash))
	for _, opts := range everyMode {
		p, err := Load(v, byName, opts)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Run(&fixed{}, nil); err != nil {
			t.Error(err)
		}
	}
	if got, _ := byName["counts"].Lookup(words(17)); got == nil || got[0][0] != 2 {
		t.Errorf("counted %v, want 2", got)
	}
}

// access makes a program that computes an offset from the context, bounds it
// in one of many ways, some of them wrong, and uses it.
func access(rng *rand.Rand) []isa.Insn {
	size := []uint8{isa.SizeB, isa.SizeH, isa.SizeW, isa.SizeDW}[rng.IntN(4)]
	var base []isa.Insn // leaves a pointer in R7
	limit := int32(48)  // bytes behind it
	switch rng.IntN(3) {
	case 0: // map value
		base = prog(st(isa.SizeW, 10, -4, 0), mapIdx(1, 0), movR(2, 10), alu64K(isa.Add, 2, -4), call(1),
			jmpK(isa.Jne, 0, 0, 2), movK(0, 0), exit(), movR(7, 0))
	case 1: // stack
		for off := int16(-48); off < 0; off += 8 {
			base = append(base, st(isa.SizeDW, 10, off, 7))
		}
		base = append(base, movR(7, 10), alu64K(isa.Add, 7, -48))
	case 2: // global data
		base = prog(wide(7, isa.PseudoMapIdxValue, 0))
	}
	body := prog(movR(6, 1), base, ldx(isa.SizeDW, 3, 6, 0), ldx(isa.SizeDW, 4, 6, 8))
	for range rng.IntN(6) {
		body = append(body, bound(rng, limit)...)
	}
	body = append(body, alu64(isa.Add, 7, 3))
	off := int16(rng.IntN(24) - 4)
	if rng.IntN(2) == 0 {
		body = append(body, ldx(size, 5, 7, off))
	} else {
		body = append(body, stx(size, 7, off, 4))
	}
	return append(body, movK(0, 0), exit())
}

// bound narrows R3: by a mask, a comparison that leaves, a shift, arithmetic with R4.
func bound(rng *rand.Rand, limit int32) []isa.Insn {
	class := []uint8{isa.ClassALU, isa.ClassALU64}[rng.IntN(2)]
	jump := []uint8{isa.ClassJMP, isa.ClassJMP32}[rng.IntN(2)]
	n := rng.Int32N(2*limit) - 4
	leave := func(op uint8) []isa.Insn {
		return prog(isa.Insn{Op: jump | op, Dst: 3, Imm: n, Off: 2}, movK(0, 0), exit())
	}
	switch rng.IntN(8) {
	case 0:
		return prog(isa.Insn{Op: class | isa.And, Dst: 3, Imm: []int32{7, 15, 31, 63, -8}[rng.IntN(5)]})
	case 1:
		return leave([]uint8{isa.Jlt, isa.Jle, isa.Jslt, isa.Jsle}[rng.IntN(4)])
	case 2:
		return leave([]uint8{isa.Jgt, isa.Jge, isa.Jsgt, isa.Jsge, isa.Jne, isa.Jeq, isa.Jset}[rng.IntN(7)])
	case 3:
		return prog(isa.Insn{Op: class | []uint8{isa.Rsh, isa.Arsh, isa.Lsh}[rng.IntN(3)], Dst: 3, Imm: rng.Int32N(31)})
	case 4:
		return prog(alu64K(isa.And, 4, 15), isa.Insn{Op: class | isa.SrcX | []uint8{isa.Add, isa.Sub, isa.Or, isa.Xor, isa.Mul}[rng.IntN(5)], Dst: 3, Src: 4})
	case 5:
		return prog(isa.Insn{Op: class | []uint8{isa.Add, isa.Sub, isa.Mod, isa.Div}[rng.IntN(4)], Dst: 3, Imm: 1 + rng.Int32N(40)})
	case 6:
		return prog(isa.Insn{Op: isa.ClassALU64 | isa.Mov | isa.SrcX, Dst: 3, Src: 3, Off: []int16{8, 16, 32}[rng.IntN(3)]})
	}
	return prog(isa.Insn{Op: isa.ClassALU | isa.Mov | isa.SrcX, Dst: 3, Src: 3})
}

func TestSound(t *testing.T) {
	value := &object.Map{Name: "m", Type: abi.MapArray, KeySize: 4, ValueSize: 48, MaxEntries: 1}
	byName := memory(t, value)
	rng := rand.New(rand.NewPCG(11, 12))
	accepted, looser := 0, 0
	for n := range 6000 {
		insns := access(rng)
		v, err := verified(t, insns, value)
		if err != nil {
			var r *verify.Rejection
			if !errors.As(err, &r) {
				t.Fatalf("program %d: %v\n%+v", n, err, insns)
			}
			continue
		}
		accepted++
		seen, err := sound.Walk(v.Image(), 10_000)
		if err != nil {
			t.Fatalf("program %d: accepted, but not when every path is walked to its end: %v\n%+v", n, err, insns)
		}
		run := seen.Run(byName)
		p, err := Load(v, byName, Options{Check: true, Step: run.Step})
		if err != nil {
			t.Fatalf("program %d: %v", n, err)
		}
		for range 40 {
			ctx := words(interesting(rng), interesting(rng))
			run.Begin()
			if _, err := p.Run(&fixed{}, ctx); err != nil {
				t.Fatalf("program %d, context %x: accepted, but: %v\n%+v", n, ctx, err, insns)
			}
		}
		if bpfPermitted() == nil && accepted%4 == 0 {
			if _, err := tryKernel(t, insns, value); err != nil {
				looser++
				t.Logf("program %d: ours accepts, the kernel does not: %v\n%+v", n, err, insns)
			}
		}
	}
	if accepted < 300 {
		t.Errorf("only %d of 6000 programs were accepted: they test nothing", accepted)
	}
	if looser > 0 {
		t.Errorf("%d programs that ours accepts and the kernel rejects", looser)
	}
	t.Logf("%d of 6000 accepted", accepted)
}

func interesting(rng *rand.Rand) uint64 {
	switch rng.IntN(4) {
	case 0:
		return edges[rng.IntN(len(edges))]
	case 1:
		return rng.Uint64N(100)
	case 2:
		return -rng.Uint64N(100)
	}
	return rng.Uint64() >> rng.IntN(64)
}
