package verify

import (
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/scalar"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file judges what a processor may do that runs ahead of checks.
//
// For the unprivileged the kernel forces a bound on the number that arithmetic
// moves a pointer by (it masks it), so that also a run with a wrong guess stays
// within the pointer's memory. Each such instruction can have one bound only:
// the same on every path. And until Linux 6.16 the side of a jump that no run
// takes was walked as well, since a processor may guess that it is taken; later
// kernels put a barrier where such a path does something unsafe.

// masking is how the kernel bounds the operand of an instruction.
type masking struct {
	number             bool // no pointer is moved
	negative, constant bool // the operand
	fromSrc            bool // the pointer is the destination: the other register is masked
	limit              uint32
}

// masks reports whether arithmetic at this instruction is bounded at all.
func (w *walk) masks(in isa.Insn, op scalar.Op) bool {
	return !w.may.Speculation && w.img.Target.Version < abi.SpeculationBarriers && in.UsesReg() && (op.Code == isa.Add || op.Code == isa.Sub)
}

// once requires that an instruction is masked the same way on every path.
func (w *walk) once(m masking) bool {
	if w.maskings == nil {
		w.maskings = map[int]masking{}
	}
	old, seen := w.maskings[w.pc]
	w.maskings[w.pc] = m
	return !seen || old == m
}

// numberAhead judges arithmetic on two numbers.
func (w *walk) numberAhead(in isa.Insn, op scalar.Op) fault.Fault {
	if !w.masks(in, op) || w.once(masking{number: true}) {
		return nil
	}
	return fault.Speculation{Reg: in.Dst, Kind: "number", Reason: fault.SpecPaths}
}

// move is arithmetic that moves a pointer: ptr, which is in the destination
// or in the source register, by off.
type move struct {
	in       isa.Insn
	op       scalar.Op
	ptr, off state.Reg
	limit    uint32 // before the move
	left     bool
}

// ahead judges a move before it is made, and walks what follows if the
// processor takes the operand for 0.
func (w *walk) ahead(m *move) fault.Fault {
	if !w.masks(m.in, m.op) {
		return nil
	}
	bad := fault.Speculation{Reg: m.in.Dst, Kind: m.ptr.Describe()}
	v := &m.off.Val
	constant := v.IsConst()
	if !w.s.Speculative {
		if !constant && (v.SMin < 0) != (v.SMax < 0) {
			bad.Reason = fault.SpecSign
			return bad
		}
		m.left = (m.op.Code == isa.Add) == (v.SMin < 0)
		var ok bool
		if m.limit, bad.Reason, ok = w.limit(&m.ptr, m.left); !ok {
			return bad
		}
	}
	if !constant {
		w.table.ExactNumbers = true // or paths with other bounds would not be walked
		unmoved := w.s.Clone()
		unmoved.Set(m.in.Dst, m.ptr)
		w.alsoWalk(unmoved, w.pc+1)
	}
	return nil
}

// moved judges a move that was made: out is the pointer now.
func (w *walk) moved(m *move, out *state.Reg) fault.Fault {
	if w.may.Speculation {
		return nil
	}
	if f := w.stays(m.in.Dst, out); f != nil {
		return f
	}
	if w.s.Speculative || !w.masks(m.in, m.op) {
		return nil
	}
	bad := fault.Speculation{Reg: m.in.Dst, Kind: m.ptr.Describe()}
	limit, reason, ok := w.limit(out, m.left)
	if !ok {
		bad.Reason = reason
		return bad
	}
	off := &m.off.Val
	mask := masking{negative: off.SMin < 0, constant: off.IsConst(), fromSrc: w.s.Reg(m.in.Dst).Kind.Pointer()}
	if mask.limit = limit - m.limit; int32(mask.limit) < 0 {
		mask.limit = -mask.limit
	}
	if !w.once(mask) {
		bad.Reason = fault.SpecPaths
		return bad
	}
	return nil
}

// limit is how far p may move down (left) or up within its memory.
func (w *walk) limit(p *state.Reg, left bool) (uint32, fault.SpeculationReason, bool) {
	var n, most uint32
	switch p.Kind {
	case state.Stack:
		most = state.StackSize
		if left {
			most++
		}
		n = uint32(-(int64(p.Val.Bits.Value) + int64(p.Off)))
	case state.MapValue:
		most = uint32(w.layout.Maps[p.Map].ValueSize)
		n = uint32(int64(p.Val.UMax) + int64(p.Off))
		if left {
			n = uint32(p.Val.SMin + int64(p.Off))
		}
	default:
		return 0, fault.SpecKind, false
	}
	return n, fault.SpecLimit, n < most
}

// stays requires that a pointer to the stack or to a map's value points into
// it after each move, not only when it is followed.
func (w *walk) stays(r isa.Reg, p *state.Reg) fault.Fault {
	bad := fault.Speculation{Reg: r, Kind: p.Describe()}
	switch p.Kind {
	case state.Stack:
		off, ok := p.ConstOff()
		switch {
		case !ok:
			bad.Reason = fault.SpecStackVar
			return bad
		case off >= 0 || off < -state.StackSize:
			bad.Reason = fault.SpecStackRange
			return bad
		}
	case state.MapValue:
		if !w.layout.Inside(p) {
			bad.Reason = fault.SpecMapRange
			return bad
		}
	}
	return nil
}

// otherSide walks the side of a decided jump that is not taken, as a processor
// may: what was compared can be anything there.
func (w *walk) otherSide(in isa.Insn, pc int) {
	if w.may.Speculation || w.img.Target.Version >= abi.SpeculationBarriers {
		return
	}
	s := w.s.Clone()
	s.Set(in.Dst, state.Number(scalar.Unknown))
	if in.UsesReg() {
		s.Set(in.Src, state.Number(scalar.Unknown))
	}
	w.alsoWalk(s, pc)
}

// alsoWalk queues a path that only a processor that runs ahead can take.
func (w *walk) alsoWalk(s *state.State, pc int) {
	s.Speculative = true
	w.queue(branch{s: s, path: w.path.Fork(), pc: pc})
}
