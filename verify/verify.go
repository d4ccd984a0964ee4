// Package verify judges an Image as the Linux verifier of its target would.
// It yields Verified, which nothing else can make, or a Rejection.
package verify

import (
	"fmt"

	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify/facts"
	"github.com/gtrace-dev/gtrace/verify/fault"
)

// Verified is a program that was proved safe. Only this package can make one.
type Verified struct {
	img   *image.Image
	facts *facts.Table
}

// Image is the program that was verified. It must not be changed.
func (v *Verified) Image() *image.Image { return v.img }

// Facts is what the verifier learnt. It must not be changed.
func (v *Verified) Facts() *facts.Table { return v.facts }

// Stats says how much work a verdict took and what was measured on the way.
type Stats struct {
	Processed  int // instructions walked
	States     int // states kept for comparison
	StackDepth int // bytes, the deepest call chain seen
}

// Stats says how much work the verdict took.
func (v *Verified) Stats() Stats {
	return Stats{v.facts.Processed, v.facts.States, v.facts.StackDepth}
}

// Rejection says that a program was not proved safe, and why.
type Rejection struct {
	Fault   fault.Fault
	Insn    int          // slot in Image.Insns
	Line    *object.Line // of the source; nil when unknown
	Program string
	Stats   Stats

	failed *failure
}

// Error is one line: place, what was required, what was known.
func (r *Rejection) Error() string {
	if r.Line != nil {
		return fmt.Sprintf("%s:%d: %s (instruction %d, %s)", r.Line.File, r.Line.Line, r.Fault, r.Insn, r.Fault.Code())
	}
	return fmt.Sprintf("%s: instruction %d: %s (%s)", r.Program, r.Insn, r.Fault, r.Fault.Code())
}

// Unsupported says that the target does not have something that the program
// needs, or that gtrace does not know it: no verdict on safety.
type Unsupported struct {
	What    string // "helper bpf_loop", "program type sk_skb", …
	Since   string // the first release that has it: "5.17"; "" when no release is the matter
	Insn    int    // slot in Image.Insns; -1 for the whole program
	Line    *object.Line
	Program string
	Stats   Stats
}

// Error is one line.
func (u *Unsupported) Error() string {
	switch {
	case u.Line != nil:
		return fmt.Sprintf("%s:%d: unsupported: %s (instruction %d)", u.Line.File, u.Line.Line, u.What, u.Insn)
	case u.Insn >= 0:
		return fmt.Sprintf("%s: instruction %d: unsupported: %s", u.Program, u.Insn, u.What)
	}
	return fmt.Sprintf("%s: unsupported: %s", u.Program, u.What)
}

// Options bound the work of Verify. The zero value means the target's own limits.
type Options struct {
	MaxProcessed int // instructions walked; 0: 1,000,000
	MaxPending   int // branches waiting; 0: 8,192

	// For tests. Trace, when not nil, is called before each instruction on
	// each path, also where the path then ends because its state was judged
	// before; it must not keep v beyond the call, but may keep v.Keep().
	Trace func(insn int, v View)
	// NoPrune walks every path to its end, so that what Trace shows at an
	// instruction covers every run. Loops without an end, and programs with
	// very many paths, then come to MaxProcessed.
	NoPrune bool
}
