package verify

import (
	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify/cfg"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file judges what 64-bit loads refer to: maps, kernel symbols, functions.

// loads judges references as the kernel does before it walks: also those in
// code that is never reached.
func (w *walk) loads() (int, fault.Fault) {
	for i := 0; i < len(w.insns); i = cfg.Next(w.insns, i) {
		in := w.insns[i]
		if !in.IsWide() {
			continue
		}
		switch in.Src {
		case isa.PseudoMapIdx, isa.PseudoMapIdxValue:
			if f := w.mapAllowed(int(in.Imm)); f != nil {
				return i, f
			}
			if f := w.valueLoad(in, w.insns[i+1]); in.Src == isa.PseudoMapIdxValue && f != nil {
				return i, f
			}
		case isa.PseudoMapFD, isa.PseudoMapValue:
			return i, fault.MapDescriptor{FD: int64(in.Imm)}
		case isa.PseudoBTFID:
			if k := w.img.Ksyms[i]; k.NoAddress {
				return i, fault.KsymAddress{Symbol: k.Name}
			}
		}
	}
	return 0, nil
}

// mapAllowed says why programs of this type can't use a map, for what its values hold.
func (w *walk) mapAllowed(i int) fault.Fault {
	if i < 0 || i >= len(w.img.Maps) {
		return nil // judged where it is reached
	}
	if m := w.img.Maps[i]; w.img.Attach.Sleepable && !m.Type.Sleepable(w.img.Target.Version) {
		return fault.MapProgram{Map: m.Name, Type: m.Type.String()}
	}
	for _, s := range w.layout.Special[i] {
		if s.NoTracing && w.row.Type.IsProbe() || s.NoSocketFilter && w.row.Type == abi.SocketFilter {
			return fault.MapProgram{Map: w.img.Maps[i].Name, Field: s.Name, Program: w.row.Name}
		}
	}
	return nil
}

// valueLoad judges the load of an address within the only value of a map.
func (w *walk) valueLoad(in, next isa.Insn) fault.Fault {
	if in.Imm < 0 || int(in.Imm) >= len(w.img.Maps) {
		return fault.BadEncoding{Insn: in, Want: "the index of one of the program's maps"}
	}
	m := w.img.Maps[in.Imm]
	off := int64(uint32(next.Imm))
	switch {
	case m.Type == abi.MapArena:
		return fault.Unsupported{What: "map " + m.Name + ": arena maps"}
	case m.Type != abi.MapArray, m.MaxEntries != 1:
		return fault.NoMapValue{Map: m.Name, Type: m.Type.String(), Entries: m.MaxEntries}
	case off >= int64(m.ValueSize):
		return fault.MapValueBounds{Reg: in.Dst, Map: m.Name, ValueSize: int64(m.ValueSize), Off: fault.Span{Lo: off, Hi: off}, Size: 1}
	}
	return nil
}

// withInner is maps and behind them the templates of those that maps of maps
// hold, and for each map the index of its template, or -1.
func withInner(maps []*object.Map) (all []*object.Map, inner []int32) {
	all = append(all, maps...)
	for _, m := range maps {
		if m.Inner == nil || m.Type != abi.MapArrayOfMaps && m.Type != abi.MapHashOfMaps {
			inner = append(inner, -1)
			continue
		}
		inner = append(inner, int32(len(all)))
		all = append(all, m.Inner)
	}
	for len(inner) < len(all) {
		inner = append(inner, -1)
	}
	return all, inner
}

// wide walks a 64-bit immediate load.
func (w *walk) wide(in isa.Insn) fault.Fault {
	next := w.insns[w.pc+1]
	switch in.Src {
	case isa.PseudoNone:
		w.s.Set(in.Dst, state.Constant(isa.Imm64(in, next)))
	case isa.PseudoMapIdx, isa.PseudoMapIdxValue:
		return w.mapLoad(in, next)
	case isa.PseudoFunc:
		return w.functionAddress(in)
	case isa.PseudoBTFID:
		return w.symbol(in)
	default:
		return fault.Unsupported{What: "64-bit load with a map's file descriptor"}
	}
	return nil
}

func (w *walk) mapLoad(in, next isa.Insn) fault.Fault {
	if in.Imm < 0 || int(in.Imm) >= len(w.img.Maps) {
		return fault.BadEncoding{Insn: in, Want: "the index of one of the program's maps"}
	}
	w.facts.Insns[w.pc].Map = int(in.Imm)
	v := state.Pointer(state.MapPtr)
	v.Map = in.Imm
	if in.Src == isa.PseudoMapIdxValue {
		v.Kind, v.Off = state.MapValue, next.Imm
	}
	w.s.Set(in.Dst, v)
	return nil
}

// symbol walks the load of a kernel symbol's address: a variable that exists
// once a CPU, a struct, or plain memory that is only read. There is nothing to
// be read of a function.
func (w *walk) symbol(in isa.Insn) fault.Fault {
	k, ok := w.img.Ksyms[w.pc]
	if !ok {
		return fault.Unsupported{What: "64-bit load of a type's number that the image does not explain"}
	}
	var v state.Reg
	_, isFunc := k.Type.(*btf.Func)
	switch st := state.Strip(k.Type).(type) {
	case *btf.Struct, *btf.Union:
		v = state.Pointer(state.BTF)
		v.Type = w.layout.Types.ID(state.Kernel, st)
	default:
		if k.PerCPU {
			v = state.Pointer(state.BTF)
			v.Type = w.layout.Types.ID(state.Kernel, st)
			break
		}
		v = state.Pointer(state.Mem)
		v.ReadOnly = true
		if isFunc {
			break
		}
		n, err := btf.Sizeof(k.Type)
		if err != nil {
			return fault.Unsupported{What: "kernel variable " + k.Name + ": " + err.Error()}
		}
		v.Size = int32(n)
	}
	if k.PerCPU {
		v.Tagged = state.PerCPUTag
	}
	w.s.Set(in.Dst, v)
	return nil
}
