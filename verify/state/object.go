package state

// This file defines objects that live on the stack and that only calls may
// touch: iterators and saved flags of interrupts. Each slot of an object holds
// a Reg of its kind; the fields that it uses are
//
//	Iter:     Type (its struct), Ref (its reference, in the lowest slot only), Off (turns made),
//	          Nullable (it has nothing more to give), Trust (RCU: for read-side sections; Untrusted: its section is over)
//	IRQFlag:  ID (of the IRQ in Regions)

// Active reports whether r is an iterator that may have more to give.
func (r *Reg) Active() bool { return r.Kind == Iter && !r.Nullable }

// Object is the register that stands for the object in s, or nil.
func (s *Slot) Object() *Reg {
	if s.Bytes[0] != Object {
		return nil
	}
	return s.Reg
}

// PutObject makes an object of size bytes at off, in whole slots. The register
// in its lowest slot is first, in the others rest.
func (f *Frame) PutObject(off, size int, first, rest Reg) {
	f.grow(SlotOf(off))
	for o := off; o < off+size; o += SlotSize {
		r := rest
		if o == off {
			r = first
		}
		s := &f.Slots[SlotOf(o)]
		s.Reg = &r
		for i := range s.Bytes {
			s.Bytes[i] = Object
		}
	}
}

// DropObject ends an object: nothing is known of its bytes any more.
func (f *Frame) DropObject(off, size int) {
	for o := off; o < off+size; o += SlotSize {
		f.Slots[SlotOf(o)] = Slot{}
	}
}

// ObjectAt is the object that begins at off with the same kind in all of size
// bytes, or nil.
func (f *Frame) ObjectAt(off, size int, kind Kind) *Reg {
	var first *Reg
	for o := off; o < off+size; o += SlotSize {
		s := f.SlotAt(o)
		if s == nil {
			return nil
		}
		r := s.Object()
		switch {
		case r == nil || r.Kind != kind:
			return nil
		case o == off:
			first = r
		case r.Type != first.Type || r.Ref != 0:
			return nil
		}
	}
	if kind == Iter && first.Ref == 0 {
		return nil
	}
	return first
}

// HasObject reports whether a byte of off to off+size belongs to an object.
func (f *Frame) HasObject(off, size int) bool {
	for i := off; i < off+size; i++ {
		if f.ByteAt(i) == Object {
			return true
		}
	}
	return false
}

// eachObject offers every slot of an object to f, which says whether and to what its register changes.
func (s *State) eachObject(f func(*Reg) (Reg, bool)) {
	for i, fr := range s.frames {
		for j := range fr.Slots {
			r := fr.Slots[j].Object()
			if r == nil {
				continue
			}
			if v, ok := f(r); ok {
				s.Edit(i).Slots[j].Reg = &v
				fr = s.frames[i]
			}
		}
	}
}

// SetObject changes what is known in the lowest slot of the object at off.
func (f *Frame) SetObject(off int, r Reg) { f.Slots[SlotOf(off)].Reg = &r }
