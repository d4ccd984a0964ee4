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

func TestSlots(t *testing.T) {
	store := isa.Insn{Op: isa.ClassST | isa.ModeMEM | isa.SizeDW, Dst: isa.R10, Off: -8}
	half := isa.Insn{Op: isa.ClassST | isa.ModeMEM | isa.SizeW, Dst: isa.R10, Off: -8}
	load := isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeW, Dst: isa.R0, Src: isa.R10, Off: -4}
	exit := isa.Insn{Op: isa.ClassJMP | isa.Exit}
	leak := isa.Insn{Op: isa.ClassSTX | isa.ModeMEM | isa.SizeDW, Dst: isa.R10, Src: isa.R10, Off: -16}
	for _, c := range []struct {
		name   string
		insns  []isa.Insn
		before Slots // the first instruction
	}{
		{"overwritten whole", []isa.Insn{store, load, exit}, 0},
		{"overwritten half", []isa.Insn{half, load, exit}, 1},
		{"read", []isa.Insn{load, exit}, 1},
		{"through a stored pointer", []isa.Insn{leak, store, load, exit}, allSlots},
	} {
		if got := compute(t, c.insns...).SlotsAt(0); got != c.before {
			t.Errorf("%s: %b, want %b", c.name, got, c.before)
		}
	}
}
