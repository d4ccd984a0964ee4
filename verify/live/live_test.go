package live

import (
	"testing"

	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/cfg"
)

func compute(t *testing.T, insns ...isa.Insn) *Table {
	t.Helper()
	g, _, f := cfg.Build(insns, []cfg.Start{{Slot: 0, Name: "p"}}, cfg.Rules{BackEdges: true, MaxFrames: 8})
	if f != nil {
		t.Fatal(f)
	}
	return Compute(g, func(isa.Insn) int { return -1 })
}

func set(regs ...isa.Reg) (s Regs) {
	for _, r := range regs {
		s |= 1 << r
	}
	return s
}

func TestRegisters(t *testing.T) {
	l := compute(t,
		isa.Insn{Op: isa.ClassALU64 | isa.Mov | isa.SrcX, Dst: isa.R6, Src: isa.R1},
		isa.Insn{Op: isa.ClassALU64 | isa.Mov, Dst: isa.R7},
		isa.Insn{Op: isa.ClassALU64 | isa.Add, Dst: isa.R7, Imm: 1}, // loop
		isa.Insn{Op: isa.ClassJMP | isa.Jlt | isa.SrcX, Dst: isa.R7, Src: isa.R6, Off: -2},
		isa.Insn{Op: isa.ClassALU64 | isa.Mov, Dst: isa.R0},
		isa.Insn{Op: isa.ClassJMP | isa.Exit},
	)
	for i, want := range []Regs{set(1), set(6), set(6, 7), set(6, 7), 0, set(0)} {
		if got := l.RegsAt(i); got != want {
			t.Errorf("before instruction %d: %b, want %b", i, got, want)
		}
	}
}
