package mem

import (
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/facts"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file judges the stack.

func (l *Layout) stack(s *state.State, base *state.Reg, q Query, r *Result) fault.Fault {
	r.Region = facts.Stack
	lo, hi, f := stackRange(base, q.Base, q.Off, q.Size)
	if f != nil {
		return f
	}
	frame := int(base.Frame)
	r.Frame, r.Lo, r.Hi = frame, lo, hi+q.Size-1
	if q.Write && s.Overwrite(frame, lo, hi+q.Size) != nil {
		return fault.ObjectState{Reg: q.Base, Off: int64(lo), Size: int64(q.Size), Kind: "dynptr", Reason: fault.ObjectOwned}
	}
	switch {
	case q.Write && lo == hi:
		if f := l.wholePointers(s, frame, lo, q.Size, q.Base); f != nil {
			return f
		}
		return l.storeStack(s, frame, lo, q)
	case q.Write:
		return l.blur(s, frame, lo, hi+q.Size)
	case lo == hi:
		return l.loadStack(s, frame, lo, q, r)
	}
	if f := l.readable(s, frame, lo, hi+q.Size, q.Size); f != nil {
		return f
	}
	if s.Frame(frame).AllZero(lo, hi+q.Size-lo) {
		r.Value = state.Constant(0)
	}
	return nil
}

// stackRange is the lowest and highest offset of an access from the frame pointer.
func stackRange(base *state.Reg, reg isa.Reg, off, size int) (lo, hi int, f fault.Fault) {
	fixed := int64(base.Off) + int64(off)
	v := &base.Val
	bad := fault.StackBounds{Reg: reg, Off: base.Span(int64(off)), Size: int64(size)}
	if !v.IsConst() && (v.SMax >= maxVar || v.SMin <= -maxVar) {
		return 0, 0, fault.UnboundedAccess{Reg: reg, Kind: base.Describe(), Off: bad.Off, Low: v.SMin <= -maxVar}
	}
	l, h := fixed+v.SMin, fixed+v.SMax
	if l < -state.StackSize || l >= 0 || h+int64(size) > 0 { // also of no bytes
		return 0, 0, bad
	}
	return int(l), int(h), nil
}

// storeStack stores at the known offset at.
func (l *Layout) storeStack(s *state.State, frame, at int, q Query) fault.Fault {
	if v := q.Value; v != nil {
		if v.Kind.Pointer() && q.Size != state.SlotSize {
			return fault.PartialSpill{Off: int64(at), Size: int64(q.Size)}
		}
		if v.Kind == state.Stack && frame != s.Depth()-1 {
			return fault.InvalidDeref{Reg: q.Base, Kind: "caller's stack to keep a stack pointer", Write: true}
		}
		kept := *v
		if l.Version < partsKnown && q.Size != state.SlotSize {
			kept.Untie()
		}
		s.Edit(frame).StoreReg(at, q.Size, kept)
		return nil
	}
	s.Edit(frame).StoreBytes(at, q.Size, state.Misc)
	return nil
}

// partsKnown is the release from which on what is known of a number on the
// stack is known of its parts too, and a part may be tied to a register.
var partsKnown = abi.V(6, 9)

// loadStack loads from the known offset at.
func (l *Layout) loadStack(s *state.State, frame, at int, q Query, r *Result) fault.Fault {
	f := s.Frame(frame)
	if v, ok := f.LoadReg(at, q.Size); ok && !(l.Version < partsKnown && f.Narrow(at, q.Size)) {
		r.Value = v
		return nil
	}
	if f.PartOfPointer(at, q.Size) {
		return fault.PartialSpill{Off: int64(at), Size: int64(q.Size)}
	}
	if ft := l.readable(s, frame, at, at+q.Size, q.Size); ft != nil {
		return ft
	}
	if f.AllZero(at, q.Size) {
		r.Value = state.Constant(0)
	}
	return nil
}

// readable requires that the bytes lo to hi-1 are no object, and that they were written, where the target asks for that.
func (l *Layout) readable(s *state.State, frame, lo, hi, size int) fault.Fault {
	f := s.Frame(frame)
	for i := lo; i < hi; i++ {
		switch b := f.ByteAt(i); {
		case b == state.Object:
			return fault.StackObject{Off: int64(i), Size: int64(size), Kind: f.SlotAt(i).Object().Kind.String()}
		case b == state.Invalid && !l.UninitStack:
			return fault.UninitStack{Off: int64(i), Size: int64(size)}
		case b == state.Spill && !l.PointerLeaks && f.SlotAt(i).Reg.Kind.Pointer():
			return fault.PointerLeak{Reg: isa.R10, Kind: f.SlotAt(i).Reg.Describe(), Reason: fault.LeakRead}
		}
	}
	return nil
}

// blur stores somewhere within lo to hi-1: of each of these bytes only that it was written is known.
func (l *Layout) blur(s *state.State, frame, lo, hi int) fault.Fault {
	f := s.Edit(frame)
	for i := lo; i < hi; i++ {
		if f.ByteAt(i) == state.Invalid && !l.UninitStack {
			return fault.UninitStack{Off: int64(i), Size: 1}
		}
		f.StoreBytes(i, 1, state.Misc)
	}
	return nil
}
