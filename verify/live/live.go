// Package live says which registers and stack slots a later instruction may
// still read: registers before the walk and without it, stack slots by what the
// walk saw. Two states that differ only in what is dead are the same.
package live

import (
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/cfg"
)

// Regs is a set of registers, bit i for ri.
type Regs uint16

// Has reports whether r is in the set.
func (s Regs) Has(r isa.Reg) bool { return s>>r&1 != 0 }

// Slots is a set of the 64 stack slots of a frame, bit 0 just below the frame pointer.
type Slots uint64

// Has reports whether slot i is in the set.
func (s Slots) Has(i int) bool { return s>>uint(i)&1 != 0 }

const (
	allSlots = ^Slots(0)
	argRegs  = Regs(0b111110) // r1 to r5
	callSets = Regs(0b111111) // r0 to r5
)

// Table says which registers are live before each instruction.
type Table struct{ regs []Regs }

// RegsAt are the registers that are live before instruction i.
func (t *Table) RegsAt(i int) Regs { return t.regs[i] }

// Compute finds what is live in every function of g. args says how many
// registers a call of a helper or kfunc reads, or -1 when that is not known.
func Compute(g *cfg.Graph, args func(isa.Insn) int) *Table {
	t := &Table{make([]Regs, len(g.Insns))}
	effects := make([]effect, len(g.Insns))
	for i := 0; i < len(g.Insns); i = cfg.Next(g.Insns, i) {
		effects[i] = registers(g.Insns[i], args)
	}
	for _, f := range g.Funcs {
		flow(t, g.Insns, f, effects)
	}
	return t
}

// effect is what one instruction reads and overwrites.
type effect struct{ use, def Regs }

// flow solves the backward data flow of one function.
func flow(t *Table, insns []isa.Insn, f cfg.Func, effects []effect) {
	for changed := true; changed; {
		changed = false
		for i := f.End - 1; i >= f.Start; i-- {
			if i > f.Start && insns[i].Op == 0 && insns[i-1].IsWide() {
				continue
			}
			succ, n := cfg.Succ(insns, i)
			var r Regs
			for _, j := range succ[:n] {
				r |= t.regs[j]
			}
			if r = r&^effects[i].def | effects[i].use; r != t.regs[i] {
				t.regs[i] = r
				changed = true
			}
		}
	}
}

// registers is what in reads and overwrites of the registers.
func registers(in isa.Insn, args func(isa.Insn) int) effect {
	dst, src := Regs(1)<<in.Dst, Regs(1)<<in.Src
	switch in.Class() {
	case isa.ClassALU, isa.ClassALU64:
		e := effect{def: dst}
		if in.Operation() != isa.Mov {
			e.use |= dst
		}
		if in.UsesReg() && in.Operation() != isa.End && in.Operation() != isa.Neg {
			e.use |= src
		}
		return e
	case isa.ClassLD:
		if in.IsWide() {
			return effect{def: dst}
		}
		if in.Mode() == isa.ModeABS {
			return effect{use: 1 << isa.R6, def: callSets}
		}
		return effect{use: 1<<isa.R6 | src, def: callSets}
	case isa.ClassLDX:
		return effect{use: src, def: dst}
	case isa.ClassST:
		return effect{use: dst}
	case isa.ClassSTX:
		if in.Mode() == isa.ModeATOMIC {
			return atomic(in, dst, src)
		}
		return effect{use: dst | src}
	}
	switch {
	case in.IsExit():
		return effect{use: 1 << isa.R0}
	case in.IsCall():
		use := argRegs
		if n := args(in); in.Src != isa.CallLocal && n >= 0 {
			use = (Regs(1)<<(n+1) - 1) &^ 1
		}
		return effect{use: use, def: callSets}
	case cfg.Always(in):
		return effect{}
	}
	e := effect{use: dst}
	if in.Operation() == isa.Jcond {
		return effect{}
	}
	if in.UsesReg() {
		e.use |= src
	}
	return e
}

func atomic(in isa.Insn, dst, src Regs) effect {
	switch {
	case in.Imm == isa.LoadAcquire:
		return effect{use: src, def: dst}
	case in.Imm == isa.AtomicCmpXchg:
		return effect{use: dst | src | 1<<isa.R0, def: 1 << isa.R0}
	case in.Imm != isa.StoreRelease && in.Imm&isa.AtomicFetch != 0:
		return effect{use: dst | src, def: src}
	}
	return effect{use: dst | src}
}
