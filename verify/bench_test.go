package verify_test

import (
	"context"
	"testing"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify"
)

// BenchmarkLoop walks a loop of 100,000 turns: the cost of an instruction.
func BenchmarkLoop(b *testing.B) {
	img := &image.Image{Program: "loop", Attach: abi.Attach{Type: abi.Kprobe}, License: "GPL", Subprogs: []image.Subprog{{Name: "loop"}},
		Target: &image.Target{Version: abi.V(6, 18), Privileged: true, Arch: "amd64"},
		Insns: []isa.Insn{
			movi(isa.R0, 0), addi(isa.R0, 1), {Op: isa.ClassJMP | isa.Jlt, Imm: 100_000, Off: -2}, {Op: isa.ClassJMP | isa.Exit},
		}}
	for b.Loop() {
		if _, err := verify.Verify(context.Background(), img, verify.Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/200_000, "ns/insn")
}
