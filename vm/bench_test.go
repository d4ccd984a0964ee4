package vm

import (
	"testing"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/vm/helper"
)

// This file measures the interpreter: time per instruction, and of a small probe.

// loopProgram runs n rounds of eight instructions: a mix of arithmetic, loads and stores.
func loopProgram(n int32) ([]isa.Insn, int) {
	return prog(
		movK(0, 0), movK(2, n),
		alu64K(isa.Add, 0, 7), stx(isa.SizeDW, 10, -8, 0), ldx(isa.SizeDW, 3, 10, -8), alu64(isa.Xor, 0, 3),
		alu64(isa.Add, 0, 2), alu64K(isa.Rsh, 3, 3), alu64K(isa.Sub, 2, 1), jmpK(isa.Jne, 2, 0, -8),
		exit()), int(n)*8 + 3
}

func BenchmarkInstructions(b *testing.B) {
	for _, mode := range []struct {
		name string
		opts Options
	}{{"plain", Options{}}, {"check", Options{Check: true}}} {
		b.Run(mode.name, func(b *testing.B) {
			insns, n := loopProgram(1000)
			p, _ := start(b, mode.opts, insns)
			host := &self{}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Run(host, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/insn")
		})
	}
}

// countProgram is what a counting probe does: look up a hash by process, add one.
func countProgram() []isa.Insn {
	return prog(
		call(14), alu64K(isa.Rsh, 0, 32), stx(isa.SizeDW, 10, -8, 0),
		mapIdx(1, 0), movR(2, 10), alu64K(isa.Add, 2, -8), call(1),
		jmpK(isa.Jeq, 0, 0, 4),
		movK(1, 1), atomicOp(isa.SizeDW, 0, 0, 1, isa.AtomicAdd), movK(0, 0), exit(),
		mapIdx(1, 0), movR(2, 10), alu64K(isa.Add, 2, -8), st(isa.SizeDW, 10, -16, 1), movR(3, 10), alu64K(isa.Add, 3, -16),
		movK(4, 0), call(2), movK(0, 0), exit())
}

func countMap(t abi.MapType) *object.Map {
	return &object.Map{Name: "counts", Type: t, KeySize: 8, ValueSize: 8, MaxEntries: 1024}
}

// fixed is a Host whose answers cost nothing.
type fixed struct{ self }

func (*fixed) Task() helper.Task { return helper.Task{TGID: 17, TID: 18} }

func BenchmarkRun(b *testing.B) {
	for _, c := range []struct {
		name  string
		insns []isa.Insn
		maps  []*object.Map
	}{
		{"empty", prog(movK(0, 0), exit()), nil},
		{"count hash", countProgram(), []*object.Map{countMap(abi.MapHash)}},
		{"ring record", prog(mapIdx(1, 0), movK(2, 64), movK(3, 0), call(131), jmpK(isa.Jeq, 0, 0, 4),
			st(isa.SizeDW, 0, 0, 1), movR(1, 0), movK(2, 0), call(133), movK(0, 0), exit()),
			[]*object.Map{{Name: "ring", Type: abi.MapRingBuf, MaxEntries: 1 << 16}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			p, byName := start(b, Options{}, c.insns, c.maps...)
			host, ctx := &fixed{}, make([]byte, 168)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Run(host, ctx); err != nil {
					b.Fatal(err)
				}
				if r := byName["ring"]; r != nil {
					r.Consume(func([]byte) error { return nil })
				}
			}
		})
	}
}
