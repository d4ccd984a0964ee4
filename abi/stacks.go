package abi

// Defines which programs get a stack of its own for each function with much stack.

// OwnStacksSince is the release that brought such stacks, on x86-64 only.
var OwnStacksSince = V(6, 13)

// OwnStacks reports whether programs of type p have them. Asked of Linux 6.18.
func (p *Program) OwnStacks() bool {
	switch p.Type {
	case Kprobe, Tracepoint, PerfEvent, RawTracepoint:
		return true
	case Tracing:
		return p.Expected != AttachTraceIter
	case LSM:
		return p.Expected != AttachLSMCgroup
	}
	return false
}
