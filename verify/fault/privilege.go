package fault

import (
	"fmt"

	"github.com/gtrace-dev/gtrace/isa"
)

// This file defines the faults of programs that are loaded without privilege.

// PrivilegedOnly is something that needs a capability.
type PrivilegedOnly struct {
	mark
	What       string // "loops", "programs of type kprobe"
	Capability string // "CAP_BPF"
}

func (PrivilegedOnly) Code() string { return "privileged-only" }
func (f PrivilegedOnly) String() string {
	return fmt.Sprintf("%s need %s, without which this program is loaded", f.What, f.Capability)
}

// LeakReason says how the value of a pointer would get out.
type LeakReason uint8

const (
	LeakStore      LeakReason = iota // stored where others can read it
	LeakReturn                       // returned from the program
	LeakCompare                      // compared with something other than NULL
	LeakArgument                     // passed to a function as a number
	LeakArithmetic                   // made into a number
	LeakPart                         // copied in part
	LeakOverwrite                    // partly overwritten on the stack
	LeakRead                         // read from the stack by an atomic operation or a function
)

var leakText = [...]string{
	LeakStore:      "can't be stored in memory other than the stack",
	LeakReturn:     "can't be the program's result",
	LeakCompare:    "can only be compared with 0, and only while it may be NULL",
	LeakArgument:   "can't be passed where a function takes a number",
	LeakArithmetic: "can't be made into a number",
	LeakPart:       "can't be copied in part",
	LeakOverwrite:  "can only be overwritten whole where it is stored on the stack",
	LeakRead:       "can only be read back as a pointer from the stack",
}

// PointerLeak is a use of a pointer that would show its value to an unprivileged user.
type PointerLeak struct {
	mark
	Reg    isa.Reg
	Kind   string
	Reason LeakReason
}

func (PointerLeak) Code() string { return "pointer-leak" }
func (f PointerLeak) String() string {
	return fmt.Sprintf("%s would tell an address to an unprivileged user: %s %s (without CAP_PERFMON)", reg(f.Reg), article(f.Kind), leakText[f.Reason])
}

// SpeculationReason says why arithmetic is not safe when the processor runs ahead.
type SpeculationReason uint8

const (
	SpecKind       SpeculationReason = iota // no bound can be forced on pointers of the kind
	SpecSign                                // the number may be negative or not
	SpecLimit                               // the pointer may move out of its memory
	SpecPaths                               // different bounds on different paths
	SpecStackRange                          // the stack pointer leaves the stack
	SpecStackVar                            // the stack pointer has a variable offset
	SpecMapRange                            // the pointer leaves the map's value
	SpecTailCall                            // different maps on different paths
)

var specText = [...]string{
	SpecKind:       "a variable can't be added to or subtracted from this kind of pointer",
	SpecSign:       "the number may be negative or not: make sure which",
	SpecLimit:      "it may leave the memory that it points to",
	SpecPaths:      "the same instruction has other operands on another path",
	SpecStackRange: "it leaves the stack",
	SpecStackVar:   "its offset is not constant",
	SpecMapRange:   "it leaves the map's value",
	SpecTailCall:   "the same tail call has another map on another path",
}

// Speculation is arithmetic on a pointer that an unprivileged program may not do, since
// a processor that runs ahead of a check could be made to read what the program must not.
type Speculation struct {
	mark
	Reg    isa.Reg
	Kind   string
	Reason SpeculationReason
}

func (Speculation) Code() string { return "speculation" }
func (f Speculation) String() string {
	return fmt.Sprintf("arithmetic on %s, %s, is not safe ahead of its checks: %s (without CAP_PERFMON)", reg(f.Reg), article(f.Kind), specText[f.Reason])
}
