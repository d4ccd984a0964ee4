package state

import (
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/verify/scalar"
)

// This file defines dynptrs. One takes two slots of stack; each holds a Reg with
//
//	Kind Dynptr, Map (abi.DynptrKind), ID (the dynptr's), Size (16 in its lowest slot, else 0),
//	Ref (the record's reference, in the lowest slot only)
//
// A slice of a dynptr's memory is a Mem with the dynptr's ID in Map.

// DynptrAt is the dynptr that begins at off, or nil.
func (f *Frame) DynptrAt(off int) *Reg {
	if off%SlotSize != 0 || off < -StackSize || off+abi.DynptrSize > 0 {
		return nil
	}
	lo, hi := f.SlotAt(off), f.SlotAt(off+SlotSize)
	if lo == nil || hi == nil {
		return nil
	}
	a, b := lo.Object(), hi.Object()
	if a == nil || b == nil || a.Kind != Dynptr || b.Kind != Dynptr || a.Size == 0 || b.Size != 0 || a.ID != b.ID {
		return nil
	}
	return a
}

// dynptrOver is where the dynptr begins that has a byte in slot s, or 0.
func (f *Frame) dynptrOver(slot int) int {
	r := f.Slots[slot].Object()
	switch {
	case r == nil || r.Kind != Dynptr:
		return 0
	case r.Size != 0:
		return -SlotSize * (slot + 1)
	}
	return -SlotSize * (slot + 2)
}

// Overwrite ends the dynptrs of frame i that have bytes in lo to hi-1: their
// slices are void. It reports the first that stands for a reference, which may not be overwritten.
func (s *State) Overwrite(i, lo, hi int) *Reg {
	f := s.frames[i]
	for slot := SlotOf(hi - 1); slot <= SlotOf(lo) && slot < len(f.Slots); slot++ {
		off := f.dynptrOver(slot)
		if off == 0 {
			continue
		}
		d := f.DynptrAt(off)
		if d == nil {
			continue
		}
		if d.Ref != 0 {
			return d
		}
		id := int32(d.ID)
		s.Edit(i).DropObject(off, abi.DynptrSize)
		f = s.frames[i]
		s.each(func(r *Reg) (Reg, bool) {
			return Number(scalar.Unknown), r.Kind == Mem && !r.ReadOnly && !r.OfPacket && r.Map == id
		})
	}
	return nil
}

// OwnedDynptr reports whether bytes lo to hi-1 belong to a dynptr that stands for a reference.
func (f *Frame) OwnedDynptr(lo, hi int) bool {
	for slot := SlotOf(hi - 1); slot <= SlotOf(lo) && slot < len(f.Slots); slot++ {
		if off := f.dynptrOver(slot); off != 0 {
			if d := f.DynptrAt(off); d != nil && d.Ref != 0 {
				return true
			}
		}
	}
	return false
}

// MakeDynptr makes a dynptr at off of frame i, where none is that stands for a reference.
func (s *State) MakeDynptr(i, off int, kind abi.DynptrKind, ref uint32) {
	s.Overwrite(i, off, off+abi.DynptrSize)
	rest := Reg{Kind: Dynptr, Map: int32(kind), ID: s.NewID()}
	first := rest
	first.Size, first.Ref = abi.DynptrSize, ref
	s.Edit(i).PutObject(off, abi.DynptrSize, first, rest)
}

// ReleaseDynptr gives up the reference that a dynptr and its clones stand for:
// left is what is left of pointers to it.
func (s *State) ReleaseDynptr(ref uint32, left Reg) {
	s.Release(ref, left)
	for i := range s.frames {
		for slot := range s.frames[i].Slots {
			if r := s.frames[i].Slots[slot].Object(); r != nil && r.Kind == Dynptr && r.Ref == ref {
				s.Edit(i).DropObject(-SlotSize*(slot+1), abi.DynptrSize)
			}
		}
	}
}

// VoidSlices turns slices of the packet into unusable numbers: it changed.
func (s *State) VoidSlices() {
	s.each(func(r *Reg) (Reg, bool) { return Number(scalar.Unknown), r.Kind == Mem && r.OfPacket })
}
