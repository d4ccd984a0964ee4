package explain

import (
	"slices"

	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/cfg"
	"github.com/gtrace-dev/gtrace/verify/prune"
)

// This file follows a value back along the path that was rejected.

// eventKind says what a step did with the value that is followed.
type eventKind uint8

const (
	isSet       eventKind = iota // a constant, or an address
	isResult                     // the result of a call
	isLost                       // a call left the register without a value
	isLoaded                     // from memory other than the stack
	isChanged                    // by arithmetic
	isCopied                     // from a register
	isCut                        // the low 32 bits of a register
	isStored                     // to the stack
	isRestored                   // from the stack
	isPassed                     // to a function
	isReturned                   // by a function
	isVoided                     // a call took from it what was known of it
	isTested                     // by a jump
	otherTested                  // by a jump, but not the register that is used later: a relative of it
)

// event is one step in the life of a value.
type event struct {
	kind eventKind
	step int
	// at holds the value after the step, from held it before.
	at, from prune.Place
	taken    bool // isTested, otherTested: the jump was taken
	narrow   bool // otherTested: the relative is a 32-bit copy
	changed  bool // otherTested: arithmetic lies between the two
}

// trail is the path that was rejected.
type trail struct {
	insns []isa.Insn
	steps []prune.Step
	last  int // the instruction at fault, behind the last step
}

// insn is the instruction of a step; the zero instruction where there is none.
func (t *trail) insn(step int) isa.Insn {
	if i := t.slot(step); i >= 0 && i < len(t.insns) {
		return t.insns[i]
	}
	return isa.Insn{}
}

// slot is the instruction of a step; the one behind the last is at fault.
func (t *trail) slot(step int) int {
	if step < len(t.steps) {
		return int(t.steps[step].Insn)
	}
	return t.last
}

// taken reports whether the jump at step was taken.
func (t *trail) taken(step int) bool {
	return t.slot(step+1) == cfg.Target(t.insns, t.slot(step))
}

func register(frame uint8, r isa.Reg) prune.Place { return prune.Place{Frame: frame, Index: uint8(r)} }

// history is what happened to the value that at holds before step end, the earliest first.
func (t *trail) history(at prune.Place, end int) []event {
	var out []event
	for i := end - 1; i >= 0; i-- {
		e, ok := t.before(i, at)
		if !ok {
			continue
		}
		out = append(out, e)
		if e.kind <= isLoaded {
			break
		}
		at = e.from
	}
	slices.Reverse(out)
	return out
}

// before tells what step i did with the value that at holds afterwards.
func (t *trail) before(i int, at prune.Place) (event, bool) {
	s, in := &t.steps[i], t.insn(i)
	e := event{step: i, at: at, from: at}
	is := func(r isa.Reg) bool { return at == register(s.Frame, r) }
	src := register(s.Frame, in.Src)
	switch in.Class() {
	case isa.ClassALU, isa.ClassALU64:
		if !is(in.Dst) {
			return e, false
		}
		e.kind = isChanged
		if in.Operation() == isa.Mov {
			e.kind, e.from = move(in), src
		}
		return e, true
	case isa.ClassLD:
		e.kind = isSet
		if !in.IsWide() {
			e.kind = isLoaded
			return e, is(isa.R0)
		}
		return e, is(in.Dst)
	case isa.ClassLDX:
		return load(e, s), is(in.Dst)
	case isa.ClassST:
		e.kind = isSet
		return e, stores(s, at)
	case isa.ClassSTX:
		if in.Mode() == isa.ModeATOMIC {
			return atomic(e, s, in, is)
		}
		e.kind, e.from = isStored, src
		return e, stores(s, at)
	}
	return t.jump(e, s, in, is)
}

func move(in isa.Insn) eventKind {
	switch {
	case !in.UsesReg():
		return isSet
	case in.Class() == isa.ClassALU || in.Off != 0:
		return isCut
	}
	return isCopied
}

func stores(s *prune.Step, at prune.Place) bool {
	return s.HasSlot && at.Slot && at.Frame == s.SlotFrame && int8(at.Index) >= s.SlotLo && int8(at.Index) <= s.SlotHi
}

func load(e event, s *prune.Step) event {
	e.kind = isLoaded
	if s.HasSlot {
		e.kind, e.from = isRestored, prune.Place{Frame: s.SlotFrame, Slot: true, Index: uint8(s.SlotLo)}
	}
	return e
}

func atomic(e event, s *prune.Step, in isa.Insn, is func(isa.Reg) bool) (event, bool) {
	switch {
	case in.Imm == isa.LoadAcquire:
		return load(e, s), is(in.Dst)
	case in.Imm == isa.StoreRelease:
		e.kind, e.from = isStored, register(s.Frame, in.Src)
		return e, stores(s, e.at)
	case in.Imm == isa.AtomicCmpXchg:
		return load(e, s), is(isa.R0)
	case in.Imm&isa.AtomicFetch != 0:
		return load(e, s), is(in.Src)
	}
	return e, false
}

func (t *trail) jump(e event, s *prune.Step, in isa.Insn, is func(isa.Reg) bool) (event, bool) {
	argument := !e.at.Slot && e.at.Index >= 1 && e.at.Index <= 5
	switch {
	case s.Kind == prune.Enter:
		e.kind, e.from.Frame = isPassed, s.Frame
		return e, argument && e.at.Frame == s.Frame+1
	case s.Kind == prune.Return:
		if e.at.Slot || e.at.Frame+1 != s.Frame || e.at.Index > 5 {
			return e, false
		}
		e.kind, e.from.Frame = isReturned, s.Frame
		if e.at.Index > 0 {
			e.kind = isLost
		}
		return e, true
	case in.IsCall():
		e.kind = isResult
		if argument {
			e.kind = isLost
		}
		return e, e.at.Frame == s.Frame && !e.at.Slot && e.at.Index <= 5
	case cfg.Conditional(in):
		e.kind, e.taken = isTested, t.taken(e.step)
		return e, is(in.Dst) || in.UsesReg() && is(in.Src)
	}
	return e, false
}

// kinship says how a register's value is related to another.
type kinship struct{ narrow, changed bool }

// others finds the tests of values that come from where the value of chain
// comes from, but are not in the register that is used in the end.
func (t *trail) others(chain []event, end int) []event {
	if len(chain) == 0 {
		return nil
	}
	var out []event
	kin := map[prune.Place]kinship{chain[0].at: {}}
	main, next := chain[0].at, 1
	for i := chain[0].step + 1; i < end; i++ {
		s, in := &t.steps[i], t.insn(i)
		if cfg.Conditional(in) {
			for _, r := range [2]isa.Reg{in.Dst, in.Src} {
				p := register(s.Frame, r)
				if k, ok := kin[p]; ok && p != main && (r == in.Dst || in.UsesReg()) {
					out = append(out, event{kind: otherTested, step: i, at: p, from: p, taken: t.taken(i), narrow: k.narrow, changed: k.changed})
				}
			}
		}
		t.inherit(i, kin)
		for next < len(chain) && chain[next].step == i {
			main = chain[next].at
			kin[main] = kinship{}
			next++
		}
	}
	return out
}

// inherit carries the relations over step i.
func (t *trail) inherit(i int, kin map[prune.Place]kinship) {
	s, in := &t.steps[i], t.insn(i)
	dst, src := register(s.Frame, in.Dst), register(s.Frame, in.Src)
	give := func(to, from prune.Place, cut bool) {
		k, ok := kin[from]
		if !ok {
			delete(kin, to)
			return
		}
		k.narrow = k.narrow || cut
		kin[to] = k
	}
	slot := prune.Place{Frame: s.SlotFrame, Slot: true, Index: uint8(s.SlotLo)}
	switch in.Class() {
	case isa.ClassALU, isa.ClassALU64:
		if in.Operation() == isa.Mov && in.UsesReg() {
			give(dst, src, move(in) == isCut)
		} else if k, ok := kin[dst]; ok && in.Operation() != isa.Mov {
			if shift := in.Operation() == isa.Lsh || in.Operation() == isa.Rsh; shift && !in.UsesReg() && in.Imm == 32 {
				k.narrow = true // how compilers cut a number to 32 bits
			} else {
				k.changed = true
			}
			kin[dst] = k
		} else {
			delete(kin, dst)
		}
	case isa.ClassLDX:
		if s.HasSlot {
			give(dst, slot, in.Bytes() < 8)
		} else {
			delete(kin, dst)
		}
	case isa.ClassLD:
		delete(kin, dst)
	case isa.ClassST, isa.ClassSTX:
		if s.HasSlot && in.Mode() != isa.ModeATOMIC {
			give(slot, src, in.Bytes() < 8)
		}
	default:
		inheritCall(s, in, kin)
	}
}

func inheritCall(s *prune.Step, in isa.Insn, kin map[prune.Place]kinship) {
	for r := isa.R0; in.IsCall() && r <= isa.R5; r++ {
		p := register(s.Frame, r)
		k, ok := kin[p]
		if s.Kind == prune.Enter && ok && r > 0 {
			kin[register(s.Frame+1, r)] = k
		}
		delete(kin, p)
	}
}
