package mem

import (
	"encoding/binary"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify/facts"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file judges values of maps, among them global data.

const mapWronlyProg = 1 << 8 // BPF_F_WRONLY_PROG

func (l *Layout) mapValue(s *state.State, base *state.Reg, q Query, r *Result) fault.Fault {
	r.Region, r.Map = facts.MapValue, int(base.Map)
	m := l.Maps[base.Map]
	if f := MapPermits(m, q.Base, q.Write); f != nil {
		return f
	}
	if f := valueBounds(m, base, q.Base, q.Off, q.Size); f != nil {
		return f
	}
	if p, f := l.fenced(base, q.Base, q.Off, q.Size, true); p != nil || f != nil {
		if f != nil {
			return f
		}
		return l.kptr(s, base, p, q, r)
	}
	if off, ok := base.ConstOff(); ok && !q.Write && m.Frozen && q.Size <= 8 {
		if v, ok := constant(m, int(off)+q.Off, q.Size); ok {
			r.Value = state.Constant(v)
		}
	}
	return nil
}

// MapPermits says why programs may not load from, or store to, values of m.
func MapPermits(m *object.Map, reg isa.Reg, write bool) fault.Fault {
	if write && (m.Frozen || m.Flags&abi.MapRdonlyProg != 0) {
		return fault.ReadOnly{Reg: reg, Name: m.Name}
	}
	if !write && m.Flags&mapWronlyProg != 0 {
		return fault.WriteOnly{Reg: reg, Map: m.Name}
	}
	return nil
}

// mapKey judges a key of a map, which may not change.
func (l *Layout) mapKey(base *state.Reg, q Query, r *Result) fault.Fault {
	r.Region = facts.Mem
	if q.Write {
		return fault.ReadOnly{Reg: q.Base, Kind: base.Describe()}
	}
	have := int64(l.Maps[base.Map].KeySize)
	return within(base, q.Base, q.Off, q.Size, have, func(at fault.Span) fault.Fault {
		return fault.MemBounds{Reg: q.Base, Kind: base.Describe(), MemSize: have, Off: at, Size: int64(q.Size)}
	})
}

func valueBounds(m *object.Map, base *state.Reg, reg isa.Reg, off, size int) fault.Fault {
	return within(base, reg, off, size, int64(m.ValueSize), func(at fault.Span) fault.Fault {
		return fault.MapValueBounds{Reg: reg, Map: m.Name, ValueSize: int64(m.ValueSize), Off: at, Size: int64(size)}
	})
}

// constant reads global data that never changes.
func constant(m *object.Map, off, size int) (uint64, bool) {
	if m.Section == "" || off < 0 || off+size > int(m.ValueSize) {
		return 0, false
	}
	var b [8]byte
	if off < len(m.Data) {
		copy(b[:size], m.Data[off:])
	}
	return binary.LittleEndian.Uint64(b[:]), true
}
