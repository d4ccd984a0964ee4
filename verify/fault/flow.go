package fault

import (
	"fmt"

	"github.com/gtrace-dev/gtrace/isa"
)

// This file defines the faults of a program's shape: encoding, jumps, calls between functions, size.

// BadEncoding is an instruction that no kernel decodes.
type BadEncoding struct {
	mark
	Insn isa.Insn
	Want string // what is required of this instruction
}

func (BadEncoding) Code() string { return "bad-encoding" }
func (f BadEncoding) String() string {
	return fmt.Sprintf("instruction %02x (dst %d, src %d, off %d, imm %d) is not valid: %s", f.Insn.Op, f.Insn.Dst, f.Insn.Src, f.Insn.Off, f.Insn.Imm, f.Want)
}

// JumpOutOfRange is a jump that leaves its function or lands inside a 64-bit load.
type JumpOutOfRange struct {
	mark
	Target     int // slot
	Start, End int // of the function
}

func (JumpOutOfRange) Code() string { return "jump-out-of-range" }
func (f JumpOutOfRange) String() string {
	if f.Target >= f.Start && f.Target < f.End {
		return fmt.Sprintf("jump to instruction %d, the second half of a 64-bit load", f.Target)
	}
	return fmt.Sprintf("jump to instruction %d, out of its function (%d to %d)", f.Target, f.Start, f.End-1)
}

// FallThrough is a function whose last instruction is neither exit nor a jump.
type FallThrough struct {
	mark
	Func string
}

func (FallThrough) Code() string { return "fall-through" }
func (f FallThrough) String() string {
	return fmt.Sprintf("function %s runs past its end: its last instruction must be exit or an unconditional jump", f.Func)
}

// Unreachable is an instruction that no path leads to.
type Unreachable struct {
	mark
	Insn int
}

func (Unreachable) Code() string { return "unreachable" }
func (f Unreachable) String() string {
	return fmt.Sprintf("instruction %d can't be reached from the start of its function", f.Insn)
}

// BackEdge is a loop, for targets that don't follow loops (before Linux 5.3).
type BackEdge struct {
	mark
	To int
}

func (BackEdge) Code() string { return "back-edge" }
func (f BackEdge) String() string {
	return fmt.Sprintf("jump back to instruction %d: the target does not allow loops (bounded loops need Linux 5.3)", f.To)
}

// Recursion is a function that calls itself, directly or through others.
type Recursion struct {
	mark
	Func string
}

func (Recursion) Code() string { return "recursion" }
func (f Recursion) String() string {
	return fmt.Sprintf("function %s calls itself, directly or through another function", f.Func)
}

// TooManyFrames is a chain of calls deeper than the target allows.
type TooManyFrames struct {
	mark
	Max int
}

func (TooManyFrames) Code() string { return "too-many-frames" }
func (f TooManyFrames) String() string {
	return fmt.Sprintf("calls are nested deeper than %d functions", f.Max)
}

// StackTooDeep is a chain of calls whose stack frames together exceed the limit.
type StackTooDeep struct {
	mark
	Depth, Max, Frames int
}

func (StackTooDeep) Code() string { return "stack-too-deep" }
func (f StackTooDeep) String() string {
	return fmt.Sprintf("%d nested functions use %d bytes of stack together, at most %d are allowed", f.Frames, f.Depth, f.Max)
}

// InfiniteLoop is a path that comes back to the same state.
type InfiniteLoop struct {
	mark
	Head int // slot
}

func (InfiniteLoop) Code() string { return "infinite-loop" }
func (f InfiniteLoop) String() string {
	return fmt.Sprintf("loop at instruction %d comes back in the same state: nothing shows that it ends", f.Head)
}

// TooComplex is a program that needs more work than the target spends.
type TooComplex struct {
	mark
	What  string // "instructions", "pending branches"
	Limit int
}

func (TooComplex) Code() string { return "too-complex" }
func (f TooComplex) String() string {
	return fmt.Sprintf("checking all paths needs more than %d %s", f.Limit, f.What)
}

// CorePoison is a reachable instruction whose CO-RE relocation failed.
type CorePoison struct {
	mark
	Relo, Reason string
}

func (CorePoison) Code() string { return "core-poison" }
func (f CorePoison) String() string {
	return fmt.Sprintf("relocation %s failed for this target: %s", f.Relo, f.Reason)
}

// MapDescriptor is a 64-bit load with the descriptor of a map, which nothing in the object names.
type MapDescriptor struct {
	mark
	FD int64
}

func (MapDescriptor) Code() string { return "bad-map" }
func (f MapDescriptor) String() string {
	return fmt.Sprintf("load of the map with file descriptor %d: the object names no map there; refer to one that it declares", f.FD)
}

// KsymAddress is a load of a kernel symbol that the kernel's symbol table lacks.
type KsymAddress struct {
	mark
	Symbol string
}

func (KsymAddress) Code() string { return "missing-ksym" }
func (f KsymAddress) String() string {
	return fmt.Sprintf("address of kernel symbol %s: the target's BTF has it, its symbol table does not; variables are there with CONFIG_KALLSYMS_ALL only", f.Symbol)
}

// TooLong is a program of more instructions than may be loaded.
type TooLong struct {
	mark
	Insns, Max int
	Privileged bool
}

func (TooLong) Code() string { return "too-long" }
func (f TooLong) String() string {
	if !f.Privileged {
		return fmt.Sprintf("the program has %d instructions, at most %d may be loaded without CAP_BPF", f.Insns, f.Max)
	}
	return fmt.Sprintf("the program has %d instructions, at most %d may be loaded", f.Insns, f.Max)
}

// NoMapValue is a 64-bit load of the address of a map's value, of a map that has not exactly one.
type NoMapValue struct {
	mark
	Map, Type string
	Entries   uint32
}

func (NoMapValue) Code() string { return "no-map-value" }
func (f NoMapValue) String() string {
	return fmt.Sprintf("address of a value of map %s of type %s with %d entries: only an array with a single entry has one; look it up with bpf_map_lookup_elem", f.Map, f.Type, f.Entries)
}
