package verify

import (
	"math"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/scalar"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file walks arithmetic.

func (w *walk) alu(in isa.Insn) fault.Fault {
	op := scalar.OpOf(in, false)
	op.Opaque = w.img.Target.Version < swapsKnown
	if op.Code == isa.Mov {
		return w.move(in, op)
	}
	dst, f := w.read(in.Dst)
	if f != nil {
		return f
	}
	src := state.Constant(uint64(int64(in.Imm)))
	unary := op.Code == isa.Neg || op.Code == isa.End
	if in.UsesReg() && !unary {
		v, f := w.read(in.Src)
		if f != nil {
			return f
		}
		src = *v
	} else if f := immediate(in, op); f != nil {
		return f
	}
	switch {
	case unary && dst.Kind.Pointer():
		if f := w.leak(in.Dst, dst, fault.LeakArithmetic); f != nil {
			return f
		}
		w.s.Set(in.Dst, state.Number(scalar.Unknown))
		return nil
	case dst.Kind.Pointer() || src.Kind.Pointer():
		return w.pointerALU(in, op, *dst, src)
	}
	if f := w.numberAhead(in, op); f != nil {
		return f
	}
	w.s.Set(in.Dst, w.compute(op, dst, &src))
	return nil
}

// immediate rejects constants that an operation can't have.
func immediate(in isa.Insn, op scalar.Op) fault.Fault {
	switch op.Code {
	case isa.Div, isa.Mod:
		if in.Imm == 0 {
			return fault.DivByZero{}
		}
	case isa.Lsh, isa.Rsh, isa.Arsh:
		width := 64
		if op.Is32 {
			width = 32
		}
		if in.Imm < 0 || int(in.Imm) >= width {
			return fault.BadShift{By: in.Imm, Width: width}
		}
	}
	return nil
}

// Releases from which on something is known of a negation and of a change of byte order, and
// from which on sums with negative constants and of 32 bits stay tied.
var (
	negKnown   = abi.V(6, 17)
	swapsKnown = abi.V(6, 18)
	sumsTied   = abi.V(6, 18)
)

// compute is the result of an operation on two numbers. A sum with a constant
// stays tied to its operand, once.
func (w *walk) compute(op scalar.Op, dst, src *state.Reg) state.Reg {
	if op.Code == isa.Neg && w.img.Target.Version < negKnown {
		if op.Is32 {
			return state.Number(scalar.Bytes(4))
		}
		return state.Number(scalar.Unknown)
	}
	out := state.Number(scalar.Apply(op, dst.Val, src.Val))
	if op.Code != isa.Add && op.Code != isa.Sub || dst.ID == 0 || dst.Linked || !src.Val.IsConst() {
		return out
	}
	d := int64(src.Val.Value())
	if op.Is32 {
		d = int64(int32(d))
	}
	if op.Code == isa.Sub {
		d = -d
	}
	switch {
	case d != int64(int32(d)), op.Is32 && !dst.Val.Fits32(),
		w.img.Target.Version < sumsTied && (op.Is32 || op.Code == isa.Sub || d < 0):
		return out
	}
	out.ID, out.Linked, out.Low, out.Off = dst.ID, true, op.Is32, int32(d)
	return out
}

func (w *walk) move(in isa.Insn, op scalar.Op) fault.Fault {
	if !in.UsesReg() {
		v := uint64(int64(in.Imm))
		if op.Is32 {
			v = uint64(uint32(in.Imm))
		}
		w.s.Set(in.Dst, state.Constant(v))
		return nil
	}
	if op.Code == isa.Mov && !op.Is32 && in.Off == 1 {
		return fault.Unsupported{What: "address space casts"}
	}
	src, f := w.read(in.Src)
	if f != nil {
		return f
	}
	if src.Kind.Pointer() {
		v := *src
		if op.Is32 || op.Extend != 0 {
			if f := w.leak(in.Src, src, fault.LeakPart); f != nil {
				return f
			}
			v = state.Number(scalar.Unknown)
			if op.Is32 {
				v.Val = scalar.Bytes(4)
			}
		}
		w.s.Set(in.Dst, v)
		return nil
	}
	val := scalar.Apply(op, src.Val, src.Val)
	if val != src.Val || op.Is32 && w.older(halvesTied) { // the copy differs from the original
		w.s.Set(in.Dst, state.Number(val))
		return nil
	}
	w.s.Link(in.Src)
	w.s.Set(in.Dst, *w.s.Reg(in.Src))
	return nil
}

// maxOffset is the most that a pointer may move, and the bound of numbers added to one.
const maxOffset = 1 << 29

// pointerALU walks arithmetic with at least one pointer.
func (w *walk) pointerALU(in isa.Insn, op scalar.Op, dst, src state.Reg) fault.Fault {
	if dst.Kind == state.User || (src.Kind == state.User && dst.Kind == state.Scalar) {
		return w.userALU(in, op, dst, src)
	}
	if dst.Kind.Pointer() && src.Kind.Pointer() {
		if op.Code == isa.Sub {
			w.s.Set(in.Dst, state.Number(scalar.Unknown))
			return w.leak(in.Dst, &dst, fault.LeakArithmetic)
		}
		return fault.PointerArithmetic{Reg: in.Dst, Kind: dst.Describe(), Reason: fault.ArithTwoPointers}
	}
	ptr, off, ptrReg := dst, src, in.Dst
	if src.Kind.Pointer() {
		ptr, off, ptrReg = src, dst, in.Src
		w.exact(in.Dst)
	} else if in.UsesReg() {
		w.exact(in.Src)
	}
	bad := fault.PointerArithmetic{Reg: ptrReg, Kind: ptr.Describe(), Value: fault.Span{Lo: off.Val.SMin, Hi: off.Val.SMax}}
	if op.Is32 {
		if op.Code == isa.Sub {
			w.s.Set(in.Dst, state.Number(scalar.Unknown))
			return w.leak(ptrReg, &ptr, fault.LeakArithmetic)
		}
		bad.Reason = fault.Arith32
		return bad
	}
	if ptr.Kind == state.Mem && ptr.Trust == state.Untrusted {
		// Of no known size: where it points does not matter, as long as it is the destination.
		if !dst.Kind.Pointer() {
			ptr = state.Number(scalar.Unknown)
		}
		w.s.Set(in.Dst, ptr)
		return nil
	}
	if f := movable(&ptr, &off, op, bad); f != nil {
		return f
	}
	if f := sane(&off, bad); f != nil {
		return f
	}
	return w.movePointer(&move{in: in, op: op, ptr: ptr, off: off}, bad)
}

// movePointer moves a pointer that can be moved by a bounded number.
func (w *walk) movePointer(m *move, bad fault.PointerArithmetic) fault.Fault {
	if f := w.ahead(m); f != nil {
		return f
	}
	out, off := m.ptr, m.off.Val
	if out.Kind.InPacket() && !off.IsConst() { // comparisons were about another base
		out.ID = w.s.NewID()
		if m.op.Code == isa.Add || off.SMin < 0 {
			out.Size = 0
		}
	}
	switch m.op.Code {
	case isa.Add:
		addOffset(&out, off)
	case isa.Sub:
		switch {
		case !w.s.Reg(m.in.Dst).Kind.Pointer():
			bad.Reason = fault.ArithFromScalar
			return bad
		case out.Kind == state.Stack:
			bad.Reason = fault.ArithFromStack
			return bad
		}
		subOffset(&out, off)
	default:
		bad.Reason = fault.ArithOp
		return bad
	}
	if f := saneSum(&out, bad); f != nil {
		return f
	}
	if f := w.moved(m, &out); f != nil {
		return f
	}
	w.s.Set(m.in.Dst, out)
	return nil
}

// userALU: addresses in user space are but numbers. A constant offset keeps the type.
func (w *walk) userALU(in isa.Insn, op scalar.Op, dst, src state.Reg) fault.Fault {
	if src.Kind.Pointer() && src.Kind != state.User {
		return fault.PointerArithmetic{Reg: in.Src, Kind: src.Describe(), Reason: fault.ArithTwoPointers}
	}
	out := state.Number(scalar.Unknown)
	if op.Code == isa.Add && !op.Is32 && dst.Kind == state.User && src.IsConst() {
		if sum := int64(dst.Off) + int64(src.Val.Value()); sum >= 0 && sum < maxOffset {
			out = dst
			out.Off = int32(sum)
		}
	}
	w.s.Set(in.Dst, out)
	return nil
}

// movable requires a kind of pointer that can be moved.
func movable(ptr, off *state.Reg, op scalar.Op, bad fault.PointerArithmetic) fault.Fault {
	if ptr.Nullable {
		bad.Reason = fault.ArithNullable
		return bad
	}
	switch ptr.Kind {
	case state.FlowKeys:
		if off.Val.IsConst() {
			return nil
		}
		bad.Reason = fault.ArithKind
		return bad
	case state.MapPtr:
		if off.Val.IsConst() && off.Val.Value() == 0 && op.Code == isa.Add {
			return nil
		}
		fallthrough
	case state.PacketEnd, state.Func, state.Sock, state.SockCommon, state.TCPSock, state.XDPSock:
		bad.Reason = fault.ArithKind
		return bad
	}
	return nil
}

// sane requires a bounded number.
func sane(off *state.Reg, bad fault.PointerArithmetic) fault.Fault {
	v := &off.Val
	switch {
	case v.IsConst() && (int64(v.Value()) >= maxOffset || int64(v.Value()) <= -maxOffset):
		bad.Reason = fault.ArithRange
	case v.SMin == math.MinInt64:
		bad.Reason = fault.ArithUnboundedMin
	case v.SMin >= maxOffset || v.SMin <= -maxOffset:
		bad.Reason = fault.ArithRange
	default:
		return nil
	}
	return bad
}

// saneSum requires that the pointer's offset stays within what is allowed.
func saneSum(p *state.Reg, bad fault.PointerArithmetic) fault.Fault {
	bad.Value = p.Span(0)
	v := &p.Val
	switch {
	case v.IsConst() && (int64(v.Value()) >= maxOffset || int64(v.Value()) <= -maxOffset),
		p.Off >= maxOffset, p.Off <= -maxOffset, v.SMin >= maxOffset:
		bad.Reason = fault.ArithRange
	case v.SMin == math.MinInt64:
		bad.Reason = fault.ArithUnboundedMin
	case v.SMin <= -maxOffset:
		bad.Reason = fault.ArithRange
	default:
		return nil
	}
	return bad
}

func addOffset(p *state.Reg, v scalar.S) {
	if v.IsConst() {
		p.Off += int32(v.Value()) // both are below 2^29
		return
	}
	p.Val = scalar.Apply(scalar.Op{Code: isa.Add}, p.Val, v)
}

func subOffset(p *state.Reg, v scalar.S) {
	if v.IsConst() {
		p.Off -= int32(v.Value())
		return
	}
	p.Val = scalar.Apply(scalar.Op{Code: isa.Sub}, p.Val, v)
}
