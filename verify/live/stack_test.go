package live

import (
	"testing"

	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/cfg"
	"github.com/gtrace-dev/gtrace/verify/state"
)

func TestBetween(t *testing.T) {
	for lo := -520; lo <= 8; lo++ {
		for hi := lo; hi <= 8; hi++ {
			var want Slots
			for o := max(lo, -512); o < min(hi, 0); o++ {
				want |= 1 << uint((-o-1)/8)
			}
			if got := Between(lo, hi); got != want {
				t.Fatalf("Between(%d, %d) = %b, want %b", lo, hi, got, want)
			}
		}
	}
}

// A function stores its frame's second slot, calls another, which reads the
// caller's first slot, and reads its own third behind the call.
func TestStackOfCallers(t *testing.T) {
	exit := isa.Insn{Op: isa.ClassJMP | isa.Exit}
	nop := isa.Insn{Op: isa.ClassALU64 | isa.Mov}
	insns := []isa.Insn{nop, {Op: isa.ClassJMP | isa.Call, Src: isa.CallLocal, Imm: 2}, nop, exit, nop, exit}
	g, _, f := cfg.Build(insns, []cfg.Start{{Slot: 0, Name: "p"}, {Slot: 4, Name: "q"}}, cfg.Rules{MaxFrames: 8})
	if f != nil {
		t.Fatal(f)
	}
	l := NewStack(g)
	var ids uint32
	s := state.New(&ids, state.Pointer(state.Ctx))
	main := l.Chain(s)
	start := s.Clone()
	l.Visit(main, 0, 0, 1<<1)
	l.Visit(main, 1, 0, 0)
	s.Push(1, 1)
	callee := l.Chain(s)
	if callee == main || l.Chain(s) != callee {
		t.Fatalf("chains %d and %d", main, callee)
	}
	l.Visit(callee, 4, 0, 0)
	l.Reads(callee, 4, 0, 1)
	l.Visit(callee, 5, 0, 0)
	inside := s.Clone()
	s.Pop()
	l.Visit(main, 2, 0, 0)
	l.Reads(main, 2, 0, 1<<2|1<<1)
	l.Visit(main, 3, 0, 0)
	if got := l.Live(start, 0, 0); got != 1|1<<2 {
		t.Errorf("at the start: %b", got)
	}
	if got := l.Live(inside, 0, 4); got != 1|1<<1|1<<2 {
		t.Errorf("in the function, of its caller's: %b", got)
	}
	if got := l.Live(inside, 1, 4); got != 0 {
		t.Errorf("in the function, of its own: %b", got)
	}
	// Another path does not overwrite the second slot.
	l.Visit(main, 0, 0, 0)
	if got := l.Live(start, 0, 0); got != 0b111 {
		t.Errorf("at the start, with another path: %b", got)
	}
}
