package mem

import (
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/verify/facts"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file judges kernel objects that programs see through a layout of their
// own (sockets, flow keys), and buffers whose size is known when the program is attached.

// socket judges sockets: their fields may only be read.
func socket(base *state.Reg, q Query, r *Result) fault.Fault {
	var c *abi.Context
	switch base.Kind {
	case state.Sock:
		c, r.Region = &abi.Sock, facts.Sock
	case state.SockCommon:
		c, r.Region = &abi.SockCommon, facts.SockCommon
	case state.TCPSock:
		c, r.Region = &abi.TCPSock, facts.TCPSock
	default:
		c, r.Region = &abi.XDPSock, facts.XDPSock
	}
	if q.Atomic {
		return fault.AtomicTarget{Reg: q.Base, Kind: base.Describe()}
	}
	if q.Write {
		return fault.ReadOnly{Reg: q.Base, Kind: base.Describe()}
	}
	if !c.CanLoad(q.Off, q.Size) {
		return fault.SockAccess{Reg: q.Base, Kind: base.Describe(), Layout: c.Name, Off: int64(q.Off), Size: int64(q.Size)}
	}
	return nil
}

// flowKeys judges struct bpf_flow_keys, which is plain memory.
func flowKeys(base *state.Reg, q Query, r *Result) fault.Fault {
	r.Region = facts.Mem
	if q.Atomic {
		return fault.AtomicTarget{Reg: q.Base, Kind: base.Describe()}
	}
	off := base.Span(int64(q.Off))
	if off.Lo < 0 || off.Hi+int64(q.Size) > abi.FlowKeysSize {
		return fault.MemBounds{Reg: q.Base, Kind: base.Describe(), MemSize: abi.FlowKeysSize, Off: off, Size: int64(q.Size)}
	}
	return nil
}

// buffer judges buffers whose size is compared when the program is attached: any constant offset will do.
func buffer(base *state.Reg, q Query, r *Result) fault.Fault {
	r.Region = facts.Mem
	if q.Write && base.ReadOnly {
		return fault.ReadOnly{Reg: q.Base, Kind: base.Describe()}
	}
	off := base.Span(int64(q.Off))
	if !base.Val.IsConst() {
		return fault.PointerOffset{Reg: q.Base, Kind: base.Describe(), Off: off, Variable: true}
	}
	if off.Lo < 0 {
		return fault.MemBounds{Reg: q.Base, Kind: base.Describe(), MemSize: -1, Off: off, Size: int64(q.Size)}
	}
	return nil
}
