package state

import (
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/scalar"
)

// NumRegs is the number of registers, r0 to r10.
const NumRegs = 11

// Frame is one activation of a function.
type Frame struct {
	Regs     [NumRegs]Reg
	Slots    []Slot // Slots[0] is just below the frame pointer
	CallSite int    // slot of the call that made it; -1 for what is walked on its own
	Sub      int    // index of the subprogram
	// Chain numbers the chain of calls that made it, once that was asked (package live).
	Chain int32

	// Callback: the call at CallSite calls this function any number of times.
	Callback *abi.Callback
	// Turns counts the callbacks of the call that this frame is at.
	Turns int

	shared bool // another State has it too: copy before a change
}

// Ref is a reference that was acquired and not released.
type Ref struct {
	ID   uint32
	Insn int // that acquired it
	Func string
}

// State is what is known at one point of one path. Clone is cheap; frames are
// copied when they change.
type State struct {
	frames []*Frame
	refs   []Ref
	ids    *uint32
	Regions

	// MayGotos and Unrolls count how often the path took may_goto's way on,
	// and how many callbacks it walked: equal states that differ in them are no endless loop.
	MayGotos, Unrolls int
	// Speculative: only a processor that runs ahead of checks comes here.
	Speculative bool
}

// New is the state at a program's entry: r1 the context, r10 the frame pointer.
func New(ids *uint32, ctx Reg) *State {
	f := &Frame{CallSite: -1}
	f.Regs[isa.R1] = ctx
	f.Regs[isa.R10] = Pointer(Stack)
	return &State{frames: []*Frame{f}, ids: ids}
}

// NewAt is the state at the entry of function sub when it is walked on its own: r10 the frame pointer.
func NewAt(ids *uint32, sub int) *State {
	s := New(ids, Reg{})
	s.frames[0].Sub = sub
	return s
}

// Clone copies s.
func (s *State) Clone() *State {
	for _, f := range s.frames {
		f.shared = true
	}
	c := &State{frames: append(make([]*Frame, 0, len(s.frames)), s.frames...), ids: s.ids, Regions: s.Regions, MayGotos: s.MayGotos, Unrolls: s.Unrolls, Speculative: s.Speculative}
	if len(s.refs) > 0 {
		c.refs = append([]Ref(nil), s.refs...)
	}
	return c
}

// NewID makes an id that no register has.
func (s *State) NewID() uint32 { *s.ids++; return *s.ids }

// Depth is the number of frames, at least 1.
func (s *State) Depth() int { return len(s.frames) }

// Frame is frame i for reading; 0 is the program's.
func (s *State) Frame(i int) *Frame { return s.frames[i] }

// Top is the current frame for reading.
func (s *State) Top() *Frame { return s.frames[len(s.frames)-1] }

// Edit is frame i for changing.
func (s *State) Edit(i int) *Frame {
	f := s.frames[i]
	if f.shared {
		c := *f
		c.shared = false
		c.Slots = append([]Slot(nil), f.Slots...)
		s.frames[i] = &c
		f = &c
	}
	return f
}

// Reg is register r of the current frame for reading.
func (s *State) Reg(r isa.Reg) *Reg { return &s.Top().Regs[r] }

// Set sets register r of the current frame.
func (s *State) Set(r isa.Reg, v Reg) { s.Edit(len(s.frames) - 1).Regs[r] = v }

// Push enters a subprogram: it gets r1 to r5 and a stack of its own; what the caller must not rely on is lost there.
func (s *State) Push(callSite, sub int) {
	f := &Frame{CallSite: callSite, Sub: sub}
	caller := s.Edit(len(s.frames) - 1)
	for r := isa.R1; r <= isa.R5; r++ {
		f.Regs[r] = caller.Regs[r]
	}
	f.Regs[isa.R10] = Pointer(Stack)
	f.Regs[isa.R10].Frame = uint8(len(s.frames))
	for r := isa.R0; r <= isa.R5; r++ {
		caller.Regs[r] = Reg{}
	}
	s.frames = append(s.frames, f)
}

// PushCallback enters function sub, which the call at callSite calls with args
// in r1 and behind. The caller keeps its registers: the call is made again afterwards.
func (s *State) PushCallback(callSite, sub int, args []Reg, cb *abi.Callback) {
	f := &Frame{CallSite: callSite, Sub: sub, Callback: cb}
	for i, v := range args {
		f.Regs[isa.R1+isa.Reg(i)] = v
	}
	f.Regs[isa.R10] = Pointer(Stack)
	f.Regs[isa.R10].Frame = uint8(len(s.frames))
	s.Edit(len(s.frames)-1).Turns++
	s.Unrolls++
	s.frames = append(s.frames, f)
}

// EndTurns notes that the call that the current frame was at is done.
func (s *State) EndTurns() {
	if s.Top().Turns != 0 {
		s.Edit(len(s.frames) - 1).Turns = 0
	}
}

// Begin makes s, which NewAt made, the entry of a callback that is called on its own with args.
func (s *State) Begin(args []Reg, cb *abi.Callback) {
	f := s.frames[0]
	f.Callback = cb
	for i, v := range args {
		f.Regs[isa.R1+isa.Reg(i)] = v
	}
}

// PopCallback returns from a callback to the call that made it and gives its slot.
func (s *State) PopCallback() (callSite int) {
	f := s.Top()
	s.frames = s.frames[:len(s.frames)-1]
	return f.CallSite
}

// Pop returns to the caller with r0 and gives the slot of the call.
func (s *State) Pop() (callSite int) {
	f := s.Top()
	s.frames = s.frames[:len(s.frames)-1]
	s.Set(isa.R0, f.Regs[isa.R0])
	return f.CallSite
}

// Clobber forgets r0 to r5, as a call of a helper does.
func (s *State) Clobber() {
	f := s.Edit(len(s.frames) - 1)
	for r := isa.R0; r <= isa.R5; r++ {
		f.Regs[r] = Reg{}
	}
}

// Refs are the references that are still owned.
func (s *State) Refs() []Ref { return s.refs }

// Acquire adds a reference.
func (s *State) Acquire(insn int, fn string) uint32 {
	id := s.NewID()
	s.refs = append(s.refs, Ref{id, insn, fn})
	return id
}

// Owns reports whether reference id is still owned.
func (s *State) Owns(id uint32) bool {
	for _, r := range s.refs {
		if r.ID == id {
			return true
		}
	}
	return false
}

func (s *State) dropRef(id uint32) {
	for i, r := range s.refs {
		if r.ID == id {
			s.refs = append(append([]Ref(nil), s.refs[:i]...), s.refs[i+1:]...)
			return
		}
	}
}

// Release gives reference id up: pointers that stand for it become unusable numbers.
func (s *State) Release(id uint32, left Reg) {
	s.dropRef(id)
	s.each(func(r *Reg) (Reg, bool) { return left, r.Ref == id })
}

// each offers every register and stored register to f, which says whether and to what it changes.
func (s *State) each(f func(*Reg) (Reg, bool)) {
	for i := range s.frames {
		for r := range NumRegs {
			if v, ok := f(&s.frames[i].Regs[r]); ok {
				s.Edit(i).Regs[r] = v
			}
		}
		for j := range s.frames[i].Slots {
			sl := &s.frames[i].Slots[j]
			if sl.Bytes[0] != Spill {
				continue
			}
			if v, ok := f(sl.Reg); ok {
				s.Edit(i).Slots[j].Reg = &v
			}
		}
	}
}

// DecideNull records that the nullable pointer with this id is, or is not, NULL.
// A pointer that was made of one with a reference has an id of its own: that it is NULL says nothing of the reference.
func (s *State) DecideNull(id, ref uint32, null bool) {
	if null && ref != 0 && ref == id {
		s.dropRef(ref)
	}
	s.each(func(r *Reg) (Reg, bool) {
		if !r.Nullable || r.ID != id {
			return Reg{}, false
		}
		if null {
			return Constant(0), true
		}
		v := *r
		if v.Nullable = false; !v.Distinct {
			v.ID = 0
		}
		return v, true
	})
}

// Link gives register r an id, so that copies of it can be told to be equal. Constants need none.
func (s *State) Link(r isa.Reg) {
	v := s.Reg(r)
	if v.Kind != Scalar || v.Val.IsConst() || (v.ID != 0 && !v.Linked) {
		return
	}
	w := *v
	w.Untie()
	w.ID = s.NewID()
	s.Set(r, w)
}

// Propagate tells all copies of the scalar from what is now known of it.
func (s *State) Propagate(from Reg) {
	if from.ID == 0 {
		return
	}
	s.each(func(r *Reg) (Reg, bool) {
		if r.Kind != Scalar || r.ID != from.ID || (r.Val == from.Val && r.Off == from.Off) {
			return Reg{}, false
		}
		v := *r
		v.Val = from.Val
		if from.Low && r.Linked && !r.Low { // what is above the low half is not known
			return Reg{}, false
		}
		if d := int64(r.Off) - int64(from.Off); d != 0 || r.Low != from.Low {
			v.Val = scalar.Apply(scalar.Op{Code: isa.Add, Is32: r.Low || from.Low}, from.Val, scalar.Const(uint64(d)))
		}
		return v, true
	})
}

// SharedIDs calls f with the id of every scalar.
func (s *State) SharedIDs(f func(id uint32)) {
	s.each(func(r *Reg) (Reg, bool) {
		if r.Kind == Scalar && r.ID != 0 {
			f(r.ID)
		}
		return Reg{}, false
	})
}

// Unlink takes their ids from all scalars whose id is lone.
func (s *State) Unlink(lone func(id uint32) bool) {
	s.each(func(r *Reg) (Reg, bool) {
		if r.Kind != Scalar || r.ID == 0 || !lone(r.ID) {
			return Reg{}, false
		}
		return Number(r.Val), true
	})
}

// Copies calls f for every register and stack slot whose scalar has the id, the
// current frame's first.
func (s *State) Copies(id uint32, f func(frame int, slot bool, index int)) {
	for i := len(s.frames) - 1; i >= 0; i-- {
		for r := range NumRegs {
			if v := &s.frames[i].Regs[r]; v.Kind == Scalar && v.ID == id {
				f(i, false, r)
			}
		}
		for j := range s.frames[i].Slots {
			if p, _ := s.frames[i].Slots[j].Spilled(); p != nil && p.Kind == Scalar && p.ID == id {
				f(i, true, j)
			}
		}
	}
}

// Untie takes the id from the number in a register or stack slot of a frame.
func (s *State) Untie(frame int, slot bool, index int) {
	f := s.Edit(frame)
	if !slot {
		f.Regs[index].Untie()
		return
	}
	v := *f.Slots[index].Reg
	v.Untie()
	f.Slots[index].Reg = &v
}
