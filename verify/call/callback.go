package call

import (
	"fmt"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/scalar"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file defines Callback: a function that a call calls.

// Callback is a function that a call calls, and with what.
type Callback struct {
	*abi.Callback
	Sub  int // index of the function
	Regs []state.Reg
}

// callback notes the function that the call calls.
func (c *checker) callback() fault.Fault {
	cb := c.p.Callback
	if cb == nil {
		return nil
	}
	out := &Callback{Callback: cb, Sub: int(c.s.Reg(isa.Reg(cb.Func)).Map)}
	for _, a := range cb.Args {
		v, f := c.callbackArg(a)
		if f != nil {
			return f
		}
		out.Regs = append(out.Regs, v)
	}
	if cb.Turns > 0 {
		c.out.Exact = append(c.out.Exact, isa.Reg(cb.Turns))
		if uint64(c.s.Top().Turns) >= c.s.Reg(isa.Reg(cb.Turns)).Val.UMax {
			return nil // it was called as often as it may be
		}
	}
	c.out.Callback = out
	return nil
}

func (c *checker) callbackArg(a abi.CallbackArg) (state.Reg, fault.Fault) {
	var kind state.Kind
	switch a.Kind {
	case abi.CallbackNumber:
		return state.Number(scalar.Unknown), nil
	case abi.CallbackSame:
		return *c.s.Reg(isa.Reg(a.From)), nil
	case abi.CallbackVMA:
		t, err := c.l.KernelStruct("vm_area_struct")
		if err != nil {
			return state.Reg{}, fault.Unsupported{What: fmt.Sprintf("helper %s: %v", c.p.Name, err)}
		}
		v := state.Pointer(state.BTF)
		v.Type = c.l.Types.ID(state.Kernel, t)
		return v, nil
	case abi.CallbackDynptr:
		v := state.Pointer(state.ConstDynptr)
		v.ID = c.s.NewID()
		return v, nil
	case abi.CallbackMap:
		kind = state.MapPtr
	case abi.CallbackMapKey:
		kind = state.MapKey
	case abi.CallbackMapValue:
		kind = state.MapValue
	}
	v := state.Pointer(kind)
	if v.Map = int32(c.out.Map); c.owner != 0 {
		v.Map = int32(c.owner - 1)
	}
	return v, nil
}
