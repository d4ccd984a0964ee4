package verify

import (
	"fmt"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/cfg"
	"github.com/gtrace-dev/gtrace/verify/fault"
)

// This file finds instructions that came after the target.

// lacks records by slot what the target's instruction set does not have yet.
// Operations that older kernels do not know are refused wherever they stand.
func (w *walk) lacks() (int, fault.Fault) {
	v := w.img.Target.Version
	if v >= abi.FeatureOrdered.Since() || w.img.Target.Engine != image.EngineKernel {
		return 0, nil
	}
	for i := 0; i < len(w.insns); i = cfg.Next(w.insns, i) {
		feature, everywhere, found := newer(w.insns[i])
		if !found || feature.Since() <= v {
			continue
		}
		f := fault.Unsupported{
			What:  fmt.Sprintf("%v came with Linux %v, the target is older", feature, feature.Since()),
			Since: feature.Since().String(),
		}
		if everywhere {
			return i, f
		}
		if w.missing == nil {
			w.missing = map[int]fault.Unsupported{}
		}
		w.missing[i] = f
	}
	return 0, nil
}

// newer tells which feature an instruction needs, and whether a kernel without
// it refuses the instruction also where it is never reached.
func newer(in isa.Insn) (f abi.Feature, everywhere, found bool) {
	switch in.Class() {
	case isa.ClassLD:
		switch {
		case !in.IsWide():
		case in.Src == isa.PseudoFunc:
			return abi.FeatureFuncPtr, true, true
		case in.Src == isa.PseudoBTFID:
			return abi.FeatureKsyms, true, true
		}
	case isa.ClassLDX:
		if in.Mode() == isa.ModeMEMSX {
			return abi.FeatureCPUv4, true, true
		}
	case isa.ClassSTX:
		switch {
		case in.Mode() != isa.ModeATOMIC, in.Imm == isa.AtomicAdd:
		case in.Imm == isa.LoadAcquire, in.Imm == isa.StoreRelease:
			return abi.FeatureOrdered, false, true
		default:
			return abi.FeatureAtomics, false, true
		}
	case isa.ClassALU, isa.ClassALU64:
		return newerALU(in)
	case isa.ClassJMP, isa.ClassJMP32:
		switch {
		case in.Operation() == isa.Jcond:
			return abi.FeatureMayGoto, true, true
		case in.Op == isa.ClassJMP32|isa.Ja:
			return abi.FeatureCPUv4, true, true
		case in.IsCall() && in.Src == isa.CallKfunc && in.Imm > 0:
			return abi.FeatureKfuncs, true, true
		}
	}
	return 0, false, false
}

// addrSpaceCast in the offset of a move makes it a cast between address spaces.
const addrSpaceCast = 1

func newerALU(in isa.Insn) (f abi.Feature, everywhere, found bool) {
	switch in.Operation() {
	case isa.Mov:
		switch in.Off {
		case 0:
		case addrSpaceCast:
			return abi.FeatureAddrSpaces, false, true
		default:
			return abi.FeatureCPUv4, false, true
		}
	case isa.Div, isa.Mod:
		return abi.FeatureCPUv4, false, in.Off != 0
	case isa.End:
		return abi.FeatureCPUv4, true, in.Class() == isa.ClassALU64
	}
	return 0, false, false
}
