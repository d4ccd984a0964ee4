package mem

import (
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file judges memory that a call reads or writes.

// Block is memory that a call accesses through register Base.
type Block struct {
	Base  isa.Reg
	Size  int  // bytes, the most
	Write bool // the call writes it
	Fresh bool // the call writes all of it: nothing needs to be there
	// OrNull: the pointer may be NULL, for the call to find out.
	OrNull bool
}

// Span is stack that a call accesses.
type Span struct {
	Frame  int
	Lo, Hi int // offsets from the frame pointer; Hi is behind the last byte
	Write  bool
	Read   bool // what is there may matter to the call
}

// Takes reports whether calls can access memory through pointers of kind k.
func Takes(k state.Kind) bool {
	switch k {
	case state.Stack, state.MapValue, state.MapKey, state.RingRecord, state.Mem, state.Buffer, state.Packet, state.PacketMeta:
		return true
	}
	return false
}

// Block judges b. The stack it returns becomes unknown, where written, when the call is made.
func (l *Layout) Block(s *state.State, b Block) (stack []Span, f fault.Fault) {
	base := s.Reg(b.Base)
	if b.OrNull && base.Nullable {
		c := *base
		c.Nullable = false
		base = &c
	}
	if f := Followable(base, b.Base, b.Write); f != nil {
		return nil, f
	}
	q := Query{Base: b.Base, Size: b.Size, Write: b.Write}
	var r Result
	switch base.Kind {
	case state.Stack:
		return l.stackBlock(s, base, b)
	case state.MapValue:
		m := l.Maps[base.Map]
		if f := MapPermits(m, b.Base, b.Write); f != nil {
			return nil, f
		}
		if f := valueBounds(m, base, b.Base, 0, b.Size); f != nil {
			return nil, f
		}
		_, f := l.fenced(base, b.Base, 0, b.Size, false)
		return nil, f
	case state.MapKey:
		return nil, l.mapKey(base, q, &r)
	case state.Packet, state.PacketMeta:
		return nil, inPacket(base, b.Base, 0, b.Size)
	case state.RingRecord, state.Mem:
		return nil, sized(base, q, &r)
	case state.Buffer:
		return nil, buffer(base, q, &r)
	case state.BTF:
		return nil, l.kernel(s, base, q, &r)
	}
	return nil, fault.InvalidDeref{Reg: b.Base, Kind: base.Describe(), Write: b.Write}
}

func (l *Layout) stackBlock(s *state.State, base *state.Reg, b Block) ([]Span, fault.Fault) {
	lo, hi, f := stackRange(base, b.Base, 0, b.Size)
	if f != nil {
		return nil, f
	}
	frame := int(base.Frame)
	if b.Fresh && b.Write {
		if f := noDynptr(s.Frame(frame), b.Base, lo, hi+b.Size, b.Size); f != nil {
			return nil, f
		}
	}
	if !b.Fresh || lo != hi {
		if f := l.readable(s, frame, lo, hi+b.Size, b.Size); f != nil {
			return nil, f
		}
	}
	if b.Write && b.Fresh && lo == hi {
		for at := lo; at < hi+b.Size; at += state.SlotSize {
			if f := l.wholePointers(s, frame, at, 1, b.Base); f != nil {
				return nil, f
			}
		}
	}
	return []Span{{frame, lo, hi + b.Size, b.Write, !b.Fresh || lo != hi}}, nil
}

// noDynptr requires that a call does not write to a dynptr.
func noDynptr(f *state.Frame, base isa.Reg, lo, hi, size int) fault.Fault {
	for o := lo; o < hi; o++ {
		if f.ByteAt(o) == state.Object && f.SlotAt(o).Object().Kind == state.Dynptr {
			return fault.ObjectState{Reg: base, Off: int64(o), Size: int64(size), Kind: "dynptr", Reason: fault.ObjectOverwritten}
		}
	}
	return nil
}
