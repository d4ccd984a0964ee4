package verify

import (
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/call"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/scalar"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file is what older kernels do not conclude, or do not allow yet. The
// releases are those of the kernel's own tests for it; 6.1 and 6.12 were asked.

var (
	// Two ranges decide and narrow a comparison, not only a range and a
	// constant; and a number that is not a constant gets narrower.
	rangesCompared = abi.V(6, 8)
	// The same with the constant on the left; and a range tells that a number is not equal to a constant.
	leftConstants = abi.V(6, 4)
	// A comparison with a pointer that is not NULL tells that another is not.
	pointersCompared = abi.V(6, 2)
	// The lower half of a number below 2^32 is tied to the number that it is a copy of.
	halvesTied = abi.V(6, 4)
	// Loops may be entered in the middle.
	anyBackEdge = abi.V(6, 7)
	// What a register is stored as on the stack is tied to the register.
	storesTied = abi.V(6, 9)
	// Static functions may be called while a lock is held.
	callsUnderLock = abi.V(6, 9)
	// bpf_for_each_map_elem may have another map on another path.
	eachOfMaps = abi.V(6, 10)
)

func (w *walk) older(v abi.Version) bool { return w.img.Target.Version < v }

// compares reports whether the target decides a comparison of these numbers by their ranges.
func (w *walk) compares(c scalar.Cond, dst, src *state.Reg) bool {
	switch {
	case dst.Kind != state.Scalar || src.Kind != state.Scalar:
		return true
	case (c.Code == isa.Jeq || c.Code == isa.Jne) && w.older(leftConstants):
		return dst.Val.IsConst() && src.Val.IsConst()
	case src.Val.IsConst():
		return true
	case dst.Val.IsConst():
		return !w.older(leftConstants)
	}
	return !w.older(rangesCompared)
}

// refine is what a comparison tells of two numbers on either side.
func (w *walk) refine(c scalar.Cond, dst, src scalar.S) (taken, not scalar.Pair) {
	taken, not = scalar.Refine(c, dst, src)
	if !w.older(rangesCompared) {
		return taken, not
	}
	same := scalar.Pair{A: dst, B: src}
	switch constant := dst.IsConst() || src.IsConst(); {
	case c.Code == isa.Jeq:
		not = same
	case c.Code == isa.Jne:
		taken = same
	case !constant:
		taken, not = same, same
	}
	return taken, not
}

// staticCall judges a call of a static function, or the return from one.
func (w *walk) staticCall(what string) fault.Fault {
	if n := len(w.s.Locks); n > 0 && w.older(callsUnderLock) {
		return fault.InRegion{What: what, Region: fault.RegionLock, Since: w.s.Locks[n-1].Insn}
	}
	return nil
}

// oneEach requires of a call with a callback for each element that it always has the same map.
func (w *walk) oneEach(p *call.Proto) fault.Fault {
	if p.Callback == nil || !w.older(eachOfMaps) {
		return nil
	}
	if m, seen := w.callMap[w.pc]; seen && m < 0 {
		return fault.Unsupported{What: p.Name + " with different maps on different paths came with Linux 6.10, the target is older", Since: eachOfMaps.String()}
	}
	return nil
}
