package call

import (
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/mem"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file judges sockets and typed kernel objects as arguments.

// socket requires a socket: one of the program's own kinds, or for some helpers a typed kernel pointer.
func (c *checker) socket(r isa.Reg, v *state.Reg, kind abi.ArgKind, wrong fault.WrongArgument) fault.Fault {
	switch {
	case v.Nullable && !orNull[kind]:
		return wrong
	case kind == abi.ArgSockOrNull:
		if v.Kind != state.Sock {
			return wrong
		}
		return nil
	case v.Kind.Socket():
		return nil
	case kind == abi.ArgSockCommon, v.Kind != state.BTF, v.Trust != state.Legacy && v.Trust != state.Trusted, v.Tagged != state.NoTag:
		return wrong
	}
	return c.holds(r, v, "sock_common", wrong)
}

// kernelObject requires a pointer to the kernel struct that the prototype names, or a per-CPU variable.
func (c *checker) kernelObject(r isa.Reg, v *state.Reg, kind abi.ArgKind, wrong fault.WrongArgument) fault.Fault {
	tag := state.NoTag
	if kind == abi.ArgPerCPU {
		tag = state.PerCPUTag
	} else {
		wrong.Want += c.p.Helper.Type
	}
	switch {
	case v.Kind != state.BTF, v.Trust == state.Untrusted, v.Tagged != tag, v.Nullable && !orNull[kind]:
		return wrong
	case kind == abi.ArgPerCPU:
		return nil
	}
	return c.holds(r, v, c.p.Helper.Type, wrong)
}

// holds requires that v points to a struct of this name, or to where an object has one.
func (c *checker) holds(r isa.Reg, v *state.Reg, name string, wrong fault.WrongArgument) fault.Fault {
	off, ok := v.ConstOff()
	if !ok || v.Val.Value() != 0 {
		return fault.PointerOffset{Reg: r, Kind: v.Describe(), Off: v.Span(0), Variable: true}
	}
	if off < 0 || !mem.StructAt(c.l.Types.At(v.Type).Type, int(off), name) {
		wrong.Got = "a pointer to " + c.l.Types.Name(v.Type)
		return wrong
	}
	return nil
}
