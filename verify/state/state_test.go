package state

import (
	"testing"

	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/scalar"
)

func TestKindsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for k := range numKinds {
		if s := k.String(); s == "" || seen[s] {
			t.Errorf("kind %d is called %q", uint8(k), s)
		}
		seen[k.String()] = true
	}
}

func TestCloneIsApart(t *testing.T) {
	var ids uint32
	a := New(&ids, Pointer(Ctx))
	b := a.Clone()
	b.Set(isa.R3, Constant(4))
	b.Edit(0).StoreReg(-8, 8, Constant(9))
	if a.Reg(isa.R3).Kind != Uninit || len(a.Top().Slots) != 0 {
		t.Error("a change of the copy is seen in the original")
	}
	if err := b.Check(); err != nil {
		t.Error(err)
	}
}

func TestSpill(t *testing.T) {
	var ids uint32
	s := New(&ids, Pointer(Ctx))
	f := s.Edit(0)
	f.StoreReg(-8, 8, Pointer(Ctx))
	if v, ok := f.LoadReg(-8, 8); !ok || v.Kind != Ctx {
		t.Errorf("whole: %v, %v", &v, ok)
	}
	if !f.PartOfPointer(-8, 4) || !f.PartOfPointer(-4, 4) {
		t.Error("a half of a pointer is not seen as one")
	}
	f.StoreBytes(-4, 1, Misc) // destroys the pointer
	if _, ok := f.LoadReg(-8, 8); ok || f.PartOfPointer(-8, 4) {
		t.Error("an overwritten pointer is still there")
	}
	f.StoreReg(-16, 4, Number(scalar.Unsigned(0, 7)))
	if v, ok := f.LoadReg(-16, 4); !ok || v.Val.UMax != 7 {
		t.Errorf("four bytes: %v, %v", &v, ok)
	}
	if _, ok := f.LoadReg(-16, 8); ok {
		t.Error("eight bytes of four")
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

func TestReferenceGone(t *testing.T) {
	var ids uint32
	s := New(&ids, Pointer(Ctx))
	r := Pointer(RingRecord)
	r.Ref = s.Acquire(3, "f")
	r.ID, r.Nullable = r.Ref, true
	s.Set(isa.R6, r)
	null := s.Clone()
	null.DecideNull(r.ID, r.Ref, true)
	if len(null.Refs()) != 0 || !null.Reg(isa.R6).IsNull() {
		t.Error("NULL is still a reference")
	}
	s.DecideNull(r.ID, r.Ref, false)
	s.Release(r.Ref, Number(scalar.Unknown))
	if len(s.Refs()) != 0 || s.Reg(isa.R6).Kind != Scalar {
		t.Error("a released record can still be used")
	}
}

func TestCopiesLearnTogether(t *testing.T) {
	var ids uint32
	s := New(&ids, Pointer(Ctx))
	s.Set(isa.R2, Number(scalar.Unknown))
	s.Link(isa.R2)
	plus := *s.Reg(isa.R2)
	plus.Linked, plus.Off = true, 8
	s.Set(isa.R3, plus)
	v := *s.Reg(isa.R2)
	v.Val = scalar.Unsigned(1, 5)
	s.Set(isa.R2, v)
	s.Propagate(v)
	if got := s.Reg(isa.R3).Val; got.UMin != 9 || got.UMax != 13 {
		t.Errorf("r2+8 is %v", got)
	}
}
