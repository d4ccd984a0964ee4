package mem

import (
	"fmt"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/verify/facts"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file judges the program's context.

func (l *Layout) ctx(base *state.Reg, q Query, r *Result) fault.Fault {
	r.Region = facts.Ctx
	if q.Atomic {
		return fault.AtomicTarget{Reg: q.Base, Kind: base.Describe()}
	}
	if f := unmoved(base, q); f != nil {
		return f
	}
	c := l.Context
	bad := fault.CtxAccess{Context: c.Name, Off: int64(q.Off), Size: int64(q.Size), Write: q.Write}
	switch {
	case c.BTFArgs && q.Write:
		return bad
	case c.BTFArgs:
		return l.argument(q, r, bad)
	case q.Write && !c.CanStore(q.Off, q.Size), !q.Write && !c.CanLoad(q.Off, q.Size):
		return bad
	case !l.BPF && !c.Field(q.Off, q.Size).ForAll(q.Write):
		return bad
	case q.Write:
		return nil
	}
	if f := c.Field(q.Off, q.Size); f != nil && f.Since > l.Version {
		return bad
	} else if f != nil && f.Kind != abi.CtxScalar {
		if q.Signed {
			return bad
		}
		return l.yield(f, r)
	}
	return nil
}

// fieldKinds are the kinds of pointers that context fields yield.
var fieldKinds = [...]state.Kind{
	abi.CtxPacket: state.Packet, abi.CtxPacketEnd: state.PacketEnd, abi.CtxPacketMeta: state.PacketMeta,
	abi.CtxSock: state.Sock, abi.CtxSockCommon: state.SockCommon, abi.CtxFlowKeys: state.FlowKeys, abi.CtxTPBuffer: state.TPBuffer,
	abi.CtxKernel: state.BTF,
}

// yield makes the pointer that a load of field f gives.
func (l *Layout) yield(f *abi.CtxField, r *Result) fault.Fault {
	if int(f.Kind) >= len(fieldKinds) || fieldKinds[f.Kind] == state.Uninit {
		return fault.Unsupported{What: "context field " + f.Name}
	}
	v := state.Pointer(fieldKinds[f.Kind])
	v.Nullable = f.Nullable
	if f.Kind == abi.CtxKernel {
		t, err := l.KernelStruct(f.Struct)
		if err != nil {
			return fault.Unsupported{What: fmt.Sprintf("context field %s: %v", f.Name, err)}
		}
		v.Type, v.Trust = l.Types.ID(state.Kernel, t), state.Trusted
	}
	r.Value = v
	return nil
}

// unmoved requires the context pointer as the program got it.
func unmoved(base *state.Reg, q Query) fault.Fault {
	off, ok := base.ConstOff()
	if !ok {
		return fault.CtxModified{Reg: q.Base, Off: base.Span(0), Variable: true}
	}
	if off != 0 {
		return fault.CtxModified{Reg: q.Base, Off: base.Span(0)}
	}
	return nil
}
