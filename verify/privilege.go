package verify

import (
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/cfg"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/scalar"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file judges what programs that are loaded without privilege may not do,
// other than in memory (package mem), in calls (package call) and ahead of
// checks (speculate.go).

// privilege judges what is known before the walk.
func (w *walk) privilege() (int, fault.Fault) {
	if w.may.BPF {
		return 0, nil
	}
	const capability = "CAP_BPF"
	if !w.row.Type.ForAll() {
		return 0, fault.PrivilegedOnly{What: "programs of type " + w.row.Name, Capability: capability}
	}
	for i := 0; i < len(w.insns); i = cfg.Next(w.insns, i) {
		in := w.insns[i]
		switch {
		case in.IsWide() && (in.Src == isa.PseudoMapIdx || in.Src == isa.PseudoMapIdxValue):
			if m := int(in.Imm); m >= 0 && m < len(w.img.Maps) && !w.img.Maps[m].Type.ForAll() {
				return i, fault.PrivilegedOnly{What: "maps of type " + w.img.Maps[m].Type.String(), Capability: capability}
			}
		case in.IsWide() && in.Src == isa.PseudoFunc, in.IsCall() && in.Src == isa.CallLocal:
			return i, fault.PrivilegedOnly{What: "functions beside the program's own", Capability: capability}
		case in.IsCall() && in.Src == isa.CallKfunc:
			return i, fault.PrivilegedOnly{What: "calls of kernel functions", Capability: capability}
		}
	}
	return 0, nil
}

// leak says that the use of v, in register r, would tell an address.
func (w *walk) leak(r isa.Reg, v *state.Reg, how fault.LeakReason) fault.Fault {
	if w.may.PointerLeaks || v.Kind == state.Scalar || v.Kind == state.Uninit {
		return nil
	}
	return fault.PointerLeak{Reg: r, Kind: v.Describe(), Reason: how}
}

// comparable judges the right side of a comparison, before it is decided.
func (w *walk) comparable(in isa.Insn, dst, src *state.Reg) fault.Fault {
	if !in.UsesReg() || packetPointer(dst) && packetPointer(src) {
		return nil
	}
	return w.leak(in.Src, src, fault.LeakCompare)
}

func packetPointer(v *state.Reg) bool {
	return v.Kind == state.Packet || v.Kind == state.PacketMeta || v.Kind == state.PacketEnd
}

// oneMap requires of a tail call that it always has the same map.
func (w *walk) oneMap(index int) fault.Fault {
	if w.may.Speculation || index >= 0 {
		return nil
	}
	return fault.Speculation{Reg: isa.R2, Kind: "map", Reason: fault.SpecTailCall}
}

// backEdges reports whether jumps back are followed.
func (w *walk) backEdges() bool {
	return w.img.Target.Version >= abi.V(5, 3) && w.may.BPF
}

// released is what is left of a pointer to an object that was given up: its
// address is a number, which the unprivileged may not know.
func (w *walk) released() state.Reg {
	if w.may.PointerLeaks {
		return state.Number(scalar.Unknown)
	}
	return state.Reg{}
}
