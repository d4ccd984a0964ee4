package mem

import (
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/facts"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file judges packet data and metadata.

// packet judges a load or store.
func (l *Layout) packet(base *state.Reg, q Query, r *Result) fault.Fault {
	r.Region = facts.Packet
	if q.Write && l.Packet < abi.PacketWrite {
		return fault.ReadOnly{Reg: q.Base, Kind: base.Describe()}
	}
	return inPacket(base, q.Base, q.Off, q.Size)
}

// inPacket judges an access of size bytes at base+off by what comparisons have shown.
func inPacket(base *state.Reg, reg isa.Reg, off, size int) fault.Fault {
	if base.Val.SMin < 0 {
		return fault.UnboundedAccess{Reg: reg, Kind: base.Describe(), Off: base.Span(int64(off)), Low: true}
	}
	at := int64(base.Off) + int64(off) // the known bytes begin behind the variable offset
	if at >= 0 && at+int64(size) <= int64(base.Size) {
		return nil
	}
	bad := fault.PacketBounds{Reg: reg, Kind: base.Describe(), Off: at, Size: int64(size), Need: int64(off) + int64(size), Known: int64(base.Size), Variable: base.ID != 0, Meta: base.Kind == state.PacketMeta}
	if base.Size < 0 {
		bad.Known, bad.AtEnd = 0, true
	}
	return bad
}
