package call

import (
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/mem"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file judges dynptrs: those on the stack, and those that a callback or a
// global function is given and may only read.

// NewDynptr is a dynptr that a call makes.
type NewDynptr struct {
	Frame, Off int
	Kind       abi.DynptrKind
	Ref        uint32 // of the dynptr that it is a clone of
	Acquire    string // the function that acquires a reference for it; "": none
}

// given is the initialised dynptr of a call.
type given struct {
	kind    abi.DynptrKind
	id, ref uint32
}

// dynptrStack is where on the stack argument r points to a dynptr or to space for one.
func dynptrStack(r isa.Reg, v *state.Reg, bad fault.ObjectState) (int, fault.Fault) {
	off, ok := v.ConstOff()
	if !ok || off%state.SlotSize != 0 {
		bad.Reason = fault.ObjectOffset
		return 0, bad
	}
	if off < -state.StackSize || off+abi.DynptrSize > 0 {
		bad.Reason = fault.ObjectOffset
		return 0, bad
	}
	return int(off), nil
}

// dynptr judges an initialised dynptr; readOnly: one that may not be changed will do.
func (c *checker) dynptr(r isa.Reg, v *state.Reg, readOnly bool) fault.Fault {
	bad := fault.ObjectState{Func: c.p.Name, Arg: int(r), Reg: r, Kind: "dynptr", Reason: fault.ObjectNotStack}
	switch v.Kind {
	case state.ConstDynptr:
		if off, ok := v.ConstOff(); !ok || off != 0 {
			bad.Reason = fault.ObjectOffset
			return bad
		}
		if !readOnly {
			bad.Reason = fault.ObjectConst
			return bad
		}
		c.given = given{abi.DynptrLocal, v.ID, 0}
		return nil
	case state.Stack:
	default:
		return bad
	}
	off, f := dynptrStack(r, v, bad)
	if f != nil {
		return f
	}
	d := c.s.Frame(int(v.Frame)).DynptrAt(off)
	if d == nil {
		bad.Reason = fault.ObjectNone
		return bad
	}
	c.out.Stack = append(c.out.Stack, mem.Span{Frame: int(v.Frame), Lo: off, Hi: off + abi.DynptrSize, Read: true})
	c.given = given{abi.DynptrKind(d.Map), d.ID, d.Ref}
	return nil
}

// ringDynptr judges the dynptr of a record that the call gives up.
func (c *checker) ringDynptr(r isa.Reg, v *state.Reg) fault.Fault {
	f := c.dynptr(r, v, false)
	if bad, ok := f.(fault.ObjectState); f != nil && (!ok || bad.Reason != fault.ObjectNone) {
		return f
	}
	if f != nil || c.given.ref == 0 {
		return fault.ReleaseUnowned{Func: c.p.Name, Reg: r, Kind: "dynptr"}
	}
	c.out.DropDynptr = c.given.ref
	return nil
}

// dynptrsAgain is the release from which on stack with a dynptr that owns
// nothing may be used for another.
var dynptrsAgain = abi.V(6, 3)

// newDynptr judges stack for a dynptr of a kind.
func (c *checker) newDynptr(r isa.Reg, v *state.Reg, kind abi.DynptrKind) fault.Fault {
	bad := fault.ObjectState{Func: c.p.Name, Arg: int(r), Reg: r, Kind: "dynptr", Reason: fault.ObjectNotStack}
	if v.Kind == state.ConstDynptr {
		bad.Reason = fault.ObjectThere
		return bad
	}
	if v.Kind != state.Stack {
		return bad
	}
	off, f := dynptrStack(r, v, bad)
	if f != nil {
		return f
	}
	frame := int(v.Frame)
	on := c.s.Frame(frame)
	if c.version < dynptrsAgain && (on.ByteAt(off) == state.Object || on.ByteAt(off+state.SlotSize) == state.Object) {
		bad.Reason = fault.ObjectThere
		return bad
	}
	if on.OwnedDynptr(off, off+abi.DynptrSize) {
		bad.Reason = fault.ObjectOwned
		return bad
	}
	c.out.Stack = append(c.out.Stack, mem.Span{Frame: frame, Lo: off, Hi: off + abi.DynptrSize})
	if kind == abi.DynptrLocal && c.s.Reg(isa.R1).Kind != state.MapValue {
		bad.Reason = fault.ObjectSource
		return bad
	}
	n := &NewDynptr{Frame: frame, Off: off, Kind: kind}
	switch kind {
	case abi.DynptrSame:
		n.Kind, n.Ref = c.given.kind, c.given.ref
	case abi.DynptrRing:
		n.Acquire = c.p.Name
	}
	c.out.Dynptr = n
	return nil
}

// slice makes a pointer to size bytes of the dynptr's memory.
func (c *checker) slice(size int) state.Reg {
	v := state.Pointer(state.Mem)
	v.Size, v.Nullable, v.Map, v.Ref = int32(size), true, int32(c.given.id), c.given.ref
	return v
}

// dynptrSlice makes what a kernel function gives of a dynptr's memory.
func (c *kfuncCall) dynptrSlice() fault.Fault {
	if c.f.SliceWrite && !c.r.Program.Type.WritesPackets() {
		return fault.ForbiddenKfunc{Func: c.f.Name, Program: c.r.Program.Name, Reason: fault.KfuncWritesPacket}
	}
	v := c.slice(c.sliceSize)
	v.Ref, v.ReadOnly, v.OfPacket = 0, !c.f.SliceWrite, c.given.kind.Packet()
	c.out.Ret = v
	return nil
}
