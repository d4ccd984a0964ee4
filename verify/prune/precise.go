package prune

import (
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/cfg"
	"github.com/gtrace-dev/gtrace/verify/live"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file finds the numbers that a verdict rests on. Only their ranges have
// to agree for two states to be the same; the others may be any number.

// Step is an instruction that a path went through, with what tracing a value back needs.
type Step struct {
	Insn  int32
	Frame uint8
	Kind  StepKind
	// Stack accessed, slots SlotLo to SlotHi of frame SlotFrame, when HasSlot.
	HasSlot        bool
	SlotFrame      uint8
	SlotLo, SlotHi int8
	// Linked are the registers that a jump narrowed together, nil mostly.
	Linked []Place
}

// StepKind says how a step moves values, where the instruction alone does not.
type StepKind uint8

const (
	Plain          StepKind = iota
	Enter                   // call of a subprogram, in the caller's frame
	Return                  // exit from a subprogram, in the callee's frame
	EnterCallback           // call of a callback, in the frame of the call that makes it
	ReturnCallback          // exit from a callback, in its frame
	TailReturn              // tail call that ends a subprogram, in the frame of the callee
)

// Place is a register or stack slot of a frame.
type Place struct {
	Frame uint8
	Slot  bool
	Index uint8
}

// mark is the precise registers and slots of one frame.
type mark struct {
	regs  live.Regs
	slots live.Slots
}

type marks []mark

func newMarks(n int) marks { return make(marks, n) }

func (m marks) empty() bool {
	for _, f := range m {
		if f.regs != 0 || f.slots != 0 {
			return false
		}
	}
	return true
}

func (m marks) has(p Place) bool {
	if int(p.Frame) >= len(m) {
		return false
	}
	if p.Slot {
		return m[p.Frame].slots.Has(int(p.Index))
	}
	return m[p.Frame].regs.Has(isa.Reg(p.Index))
}

func (m marks) add(p Place) {
	if p.Slot {
		m[p.Frame].slots |= 1 << p.Index
	} else {
		m[p.Frame].regs |= 1 << p.Index
	}
}

// maxFrames bounds the depth of calls that marks are made for.
const maxFrames = 16

// Exact records that the verdict rests on the value of places, as they are before the next step.
func (p *Path) Exact(_ []isa.Insn, places ...Place) {
	if p.t.rules.Off {
		return
	}
	need := p.t.fresh()
	for _, q := range places {
		need.add(q)
	}
	p.back(need)
}

// back traces need through the steps to the checkpoints before, and reports
// whether any of those learnt something.
func (p *Path) back(need marks) (learnt bool) {
	log := p.log
	for c := p.last; ; c = c.parent {
		for i := len(log) - 1; i >= 0 && !need.empty(); i-- {
			undo(p.t.g.Insns, &log[i], need)
		}
		if c == nil || need.empty() {
			return learnt
		}
		learnt = c.take(need) || learnt
		log = c.log
	}
}

// take marks in c what need names, and leaves in need what was not marked before.
func (c *Checkpoint) take(need marks) (learnt bool) {
	for i := range need {
		n := &need[i]
		if i >= len(c.precise) {
			*n = mark{}
			continue
		}
		f := c.state.Frame(i)
		for r := range isa.R10 {
			if n.regs.Has(r) && f.Regs[r].Kind != state.Scalar {
				n.regs &^= 1 << r
			}
		}
		n.regs &^= 1 << isa.R10
		n.regs &^= c.precise[i].regs
		n.slots &^= c.precise[i].slots
		c.precise[i].regs |= n.regs
		c.precise[i].slots |= n.slots
		learnt = learnt || n.regs != 0 || n.slots != 0
	}
	return learnt
}

// undo turns what is needed after a step into what is needed before it.
func undo(insns []isa.Insn, s *Step, need marks) {
	in := insns[s.Insn]
	f := &need[s.Frame]
	for _, l := range s.Linked {
		if need.has(l) {
			for _, q := range s.Linked {
				need.add(q)
			}
			break
		}
	}
	dst, src := live.Regs(1)<<in.Dst, live.Regs(1)<<in.Src
	switch in.Class() {
	case isa.ClassALU, isa.ClassALU64:
		if f.regs&dst == 0 {
			return
		}
		if in.Operation() == isa.Mov {
			f.regs &^= dst
		}
		if in.UsesReg() && in.Operation() != isa.Neg && in.Operation() != isa.End {
			f.regs |= src
		}
	case isa.ClassLD:
		if s.Kind == TailReturn { // LD_ABS or LD_IND that ended the function
			need[s.Frame-1].regs &^= 0b111111
		}
		f.regs &^= dst
	case isa.ClassLDX:
		undoLoad(s, need, dst)
	case isa.ClassST:
		undoStore(in, s, need, 0)
	case isa.ClassSTX:
		if in.Mode() == isa.ModeATOMIC {
			undoAtomic(in, s, need, dst, src)
			return
		}
		undoStore(in, s, need, src)
	default:
		undoJump(in, s, need, dst, src)
	}
}

func undoLoad(s *Step, need marks, into live.Regs) {
	f := &need[s.Frame]
	if f.regs&into == 0 {
		return
	}
	f.regs &^= into
	if s.HasSlot {
		need[s.SlotFrame].slots |= s.slots()
	}
}

func (s *Step) slots() live.Slots {
	var m live.Slots
	for i := s.SlotLo; i <= s.SlotHi; i++ {
		m |= 1 << uint(i)
	}
	return m
}

func undoStore(in isa.Insn, s *Step, need marks, src live.Regs) {
	if !s.HasSlot || need[s.SlotFrame].slots&s.slots() == 0 {
		return
	}
	if in.Bytes() == 8 && s.SlotLo == s.SlotHi {
		need[s.SlotFrame].slots &^= s.slots()
	}
	need[s.Frame].regs |= src
}

func undoAtomic(in isa.Insn, s *Step, need marks, dst, src live.Regs) {
	switch {
	case in.Imm == isa.LoadAcquire:
		undoLoad(s, need, dst)
	case in.Imm == isa.StoreRelease:
		undoStore(in, s, need, src)
	case in.Imm == isa.AtomicCmpXchg:
		undoFetch(s, need, 1<<isa.R0)
	case in.Imm&isa.AtomicFetch != 0:
		undoFetch(s, need, src)
	}
}

// undoFetch: the kernel does not trace values through exchanges with memory,
// but from there on takes all numbers of all frames for ones that matter.
func undoFetch(s *Step, need marks, into live.Regs) {
	if need[s.Frame].regs&into == 0 {
		return
	}
	for i := range s.Frame + 1 {
		need[i] = mark{regs: allRegs, slots: ^live.Slots(0)}
	}
}

const allRegs = live.Regs(1<<isa.R10 - 1)

func undoJump(in isa.Insn, s *Step, need marks, dst, src live.Regs) {
	f := &need[s.Frame]
	const args = live.Regs(0b111110)
	switch {
	case s.Kind == Enter:
		callee := &need[s.Frame+1]
		f.regs |= callee.regs & args
		*callee = mark{}
	case s.Kind == EnterCallback: // the callee's registers are made by the call
		need[s.Frame+1] = mark{}
	case s.Kind == ReturnCallback: // the caller's are what they were
	case s.Kind == TailReturn: // the other program made what the caller finds
		need[s.Frame-1].regs &^= 0b111111
	case s.Kind == Return:
		caller := &need[s.Frame-1]
		f.regs |= caller.regs & 1
		caller.regs &^= 0b111111
	case in.IsCall():
		f.regs &^= 0b111111
	case cfg.Conditional(in) && in.UsesReg() && f.regs&(dst|src) != 0:
		f.regs |= dst | src
	}
}
