package verify

import (
	"fmt"

	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/mem"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file defines View, through which tests see what the walk knows.

// View is what is known before an instruction on one path, for reading.
type View struct {
	s      *state.State
	layout *mem.Layout
}

// Value is what is known of a register, or of one that was stored.
type Value struct{ r *state.Reg }

// Stored is what is known of eight bytes of stack.
type Stored struct {
	Value Value
	Bytes int   // that hold the low bytes of Value, from the lowest address on; 0: none
	Zero  uint8 // bit i is set when the byte i above the lowest address is zero
}

// Keep is v for longer than the call that it was given to.
func (v View) Keep() View { return View{v.s.Clone(), v.layout} }

// Depth is the number of frames, at least 1.
func (v View) Depth() int { return v.s.Depth() }

// Reg is register r of frame f; frame 0 is the program's own.
func (v View) Reg(f int, r isa.Reg) Value { return Value{&v.s.Frame(f).Regs[r]} }

// Slots is how many eight bytes of stack of frame f something is known of.
func (v View) Slots(f int) int { return len(v.s.Frame(f).Slots) }

// Slot is the eight bytes of frame f that begin 8*(i+1) below its end.
func (v View) Slot(f, i int) Stored {
	s := &v.s.Frame(f).Slots[i]
	r, n := s.Spilled()
	out := Stored{Value{r}, n, 0}
	for j, b := range s.Bytes {
		if b == state.Zero {
			out.Zero |= 1 << j
		}
	}
	return out
}

// Check reports what contradicts itself.
func (v View) Check() error { return v.s.Check() }

// Kind is the kind of value; state.Uninit when there is none.
func (v Value) Kind() state.Kind { return v.r.Kind }

// Nullable reports whether a pointer may be NULL.
func (v Value) Nullable() bool { return v.r.Nullable }

// Frame is the frame that a stack pointer points into.
func (v Value) Frame() int { return int(v.r.Frame) }

// Map is the map of a pointer to one or to one of its values, as an index in Image.Maps.
func (v Value) Map() int { return int(v.r.Map) }

// Contains reports whether a number can be n; of a pointer, whether its
// distance from the start of its object can be (a stack frame starts at its
// upper end).
func (v Value) Contains(n uint64) bool {
	if v.r.Kind == state.Scalar {
		return v.r.Val.Contains(n)
	}
	return v.r.Val.Contains(n - uint64(int64(v.r.Off)))
}

// Offset is a pointer's distance from the start of its object, and whether it is a constant.
func (v Value) Offset() (int64, bool) { return v.r.ConstOff() }

// ContainsLow reports whether the low size bytes of a number can be n.
func (v Value) ContainsLow(n uint64, size int) bool { return v.r.Val.Truncate(size).Contains(n) }

func register(r isa.Reg) string { return fmt.Sprintf("r%d", r) }

// Names are the registers r0 to r9 and the stack ("fp-8") of the current frame that something is known of.
func (v View) Names() []string {
	var out []string
	for r := range isa.R10 {
		if v.s.Reg(r).Kind != state.Uninit {
			out = append(out, register(r))
		}
	}
	for i, s := range v.s.Top().Slots {
		if s.Bytes != [state.SlotSize]state.Byte{} {
			out = append(out, fmt.Sprintf("fp-%d", 8*(i+1)))
		}
	}
	return out
}

// Text says what is known of a register or of stack, given a name as Names has them.
func (v View) Text(name string) (string, error) {
	for r := range isa.R10 {
		if name == register(r) {
			return v.text(v.s.Reg(r)), nil
		}
	}
	var off int
	if n, err := fmt.Sscanf(name, "fp-%d", &off); n != 1 || err != nil || off <= 0 || off > state.StackSize || off%8 != 0 {
		return "", fmt.Errorf("%q: expected r0 to r9 or fp-8, fp-16, … fp-%d", name, state.StackSize)
	}
	s := v.s.Top().SlotAt(-off)
	if s == nil || s.Bytes == [state.SlotSize]state.Byte{} {
		return "nothing", nil
	}
	switch r, n := s.Spilled(); {
	case n == state.SlotSize:
		return v.text(r), nil
	case n > 0:
		return fmt.Sprintf("bytes %s, low %d of %s", pattern(s), n, v.text(r)), nil
	}
	return "bytes " + pattern(s), nil
}

// pattern has a letter for each byte, the lowest address first: r of a stored
// register, m some number, 0 zero, o of an object, - never written.
func pattern(s *state.Slot) string {
	var b [state.SlotSize]byte
	for i, x := range s.Bytes {
		b[i] = "-rm0o"[x]
	}
	return string(b[:])
}

func (v View) text(r *state.Reg) string {
	switch r.Kind {
	case state.Uninit:
		return "nothing"
	case state.Scalar:
		return r.Val.String() + v.copies(r)
	}
	b := v.object(r)
	if r.Kind == state.MapPtr || r.Kind == state.Func {
		return b
	}
	if r.Kind != state.Stack || int(r.Frame) != v.Depth()-1 {
		b += " "
	}
	if off, exact := r.ConstOff(); exact {
		b += fmt.Sprintf("%+d", off)
	} else {
		b += fmt.Sprintf("%+d+(%s)", r.Off, r.Val.String())
	}
	if r.Nullable {
		b += " or NULL"
	}
	return b
}

// object names what a pointer points into.
func (v View) object(r *state.Reg) string {
	switch r.Kind {
	case state.Ctx:
		return "context"
	case state.MapPtr:
		return "map " + v.layout.Maps[r.Map].Name
	case state.MapValue:
		return "value of map " + v.layout.Maps[r.Map].Name
	case state.Stack:
		if int(r.Frame) == v.Depth()-1 {
			return "fp"
		}
		return fmt.Sprintf("stack of frame %d", r.Frame)
	case state.RingRecord:
		return fmt.Sprintf("ring buffer record of %d bytes", r.Size)
	case state.Mem:
		return fmt.Sprintf("memory of %d bytes", r.Size)
	case state.Packet, state.PacketMeta:
		return r.Kind.String() + reach(r)
	case state.BTF:
		return fmt.Sprintf("%s %s", [...]string{"kernel", "trusted kernel", "RCU kernel", "untrusted kernel"}[r.Trust], v.layout.Types.Name(r.Type))
	case state.User:
		return "user " + v.layout.Types.Name(r.Type)
	}
	return r.Kind.String()
}

// reach says how far from a packet pointer's base on the packet surely goes.
func reach(r *state.Reg) string {
	switch r.Size {
	case 0:
		return ""
	case state.AtEnd:
		return " at the end"
	case state.BeyondEnd:
		return " beyond the end"
	}
	return fmt.Sprintf(", %d bytes from its base known", r.Size)
}

// copies numbers the groups of scalars that are tied to each other, in the
// order of registers and stack, and says to which one r belongs.
func (v View) copies(r *state.Reg) string {
	if r.ID == 0 {
		return ""
	}
	holders := map[uint32]int{}
	var order []uint32
	v.s.SharedIDs(func(id uint32) {
		if holders[id]++; holders[id] == 2 {
			order = append(order, id)
		}
	})
	if holders[r.ID] < 2 {
		return ""
	}
	for i, id := range order {
		if id != r.ID {
			continue
		}
		if r.Linked {
			return fmt.Sprintf(" = %c%+d", 'a'+i%26, r.Off)
		}
		return fmt.Sprintf(" = %c", 'a'+i%26)
	}
	return ""
}
