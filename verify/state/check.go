package state

import (
	"fmt"

	"github.com/gtrace-dev/gtrace/isa"
)

// Check reports the first broken invariant of s, for tests.
func (s *State) Check() error {
	for i, f := range s.frames {
		if fp := f.Regs[isa.R10]; fp.Kind != Stack || int(fp.Frame) != i || fp.Off != 0 {
			return fmt.Errorf("frame %d: r10 is %v", i, &fp)
		}
		for r := range NumRegs {
			if err := s.checkReg(&f.Regs[r]); err != nil {
				return fmt.Errorf("frame %d: r%d: %w", i, r, err)
			}
		}
		if len(f.Slots) > StackSize/SlotSize {
			return fmt.Errorf("frame %d: %d stack slots", i, len(f.Slots))
		}
		for j := range f.Slots {
			if err := s.checkSlot(&f.Slots[j]); err != nil {
				return fmt.Errorf("frame %d: slot %d: %w", i, j, err)
			}
		}
	}
	return nil
}

func (s *State) checkSlot(sl *Slot) error {
	if o := sl.Object(); o != nil {
		if o.Kind != Iter && o.Kind != IRQFlag && o.Kind != Dynptr {
			return fmt.Errorf("%v as an object", o)
		}
		return nil
	}
	p, n := sl.Spilled()
	if p == nil {
		for i, b := range sl.Bytes {
			if b == Spill {
				return fmt.Errorf("byte %d belongs to no stored register", i)
			}
		}
		return nil
	}
	if p.Kind != Scalar && n != SlotSize {
		return fmt.Errorf("%d bytes of %v", n, p)
	}
	return s.checkReg(p)
}

func (s *State) checkReg(r *Reg) error {
	switch {
	case r.Kind >= numKinds:
		return fmt.Errorf("kind %d", r.Kind)
	case r.Kind == Uninit && *r != Reg{}:
		return fmt.Errorf("no value, but %+v", *r)
	case r.Kind == Uninit:
		return nil
	case r.Val.Empty():
		return fmt.Errorf("contradicting ranges %+v", r.Val)
	case r.Kind == Scalar && (r.Nullable || r.Ref != 0 || r.Map != 0 || r.Type != 0):
		return fmt.Errorf("a number with pointer fields: %+v", *r)
	case r.Kind == Stack && int(r.Frame) >= len(s.frames):
		return fmt.Errorf("pointer to frame %d of %d", r.Frame, len(s.frames))
	case r.Nullable && r.ID == 0:
		return fmt.Errorf("may be NULL but has no id")
	case r.Kind == BTF && r.Type == 0:
		return fmt.Errorf("typed pointer without a type")
	}
	return nil
}
