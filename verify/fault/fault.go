// Package fault defines Fault: every way in which a program can be rejected,
// as a closed list of types with typed fields. A message is rendered from the
// fields: one line that says what was required and what was known.
package fault

import (
	"fmt"

	"github.com/gtrace-dev/gtrace/isa"
)

// Fault is a reason to reject a program. The types of this package are all there are.
type Fault interface {
	// Code is the stable name of the kind of fault, in kebab-case.
	Code() string
	// String says in one line what was required and what was known.
	String() string
	sealed()
}

type mark struct{}

func (mark) sealed() {}

// Span is a range of byte offsets or values, both ends included.
type Span struct{ Lo, Hi int64 }

func (s Span) String() string {
	if s.Lo == s.Hi {
		return fmt.Sprint(s.Lo)
	}
	return fmt.Sprintf("%s to %s", bound(s.Lo), bound(s.Hi))
}

func bound(v int64) string {
	switch v {
	case -1 << 63:
		return "-2^63"
	case 1<<63 - 1:
		return "2^63-1"
	}
	return fmt.Sprint(v)
}

func reg(r isa.Reg) string { return fmt.Sprintf("r%d", r) }

func bytes(n int64) string {
	if n == 1 {
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", n)
}

// All has one value of every fault: tests use it to see that none is forgotten.
var All = []Fault{
	BadEncoding{}, JumpOutOfRange{}, FallThrough{}, Unreachable{}, BackEdge{}, Recursion{}, TooManyFrames{}, StackTooDeep{},
	InfiniteLoop{}, TooComplex{}, CorePoison{}, MapDescriptor{}, KsymAddress{}, NoMapValue{}, TooLong{},
	UninitRegister{}, FramePointerWrite{}, DivByZero{}, BadShift{}, PointerArithmetic{}, PointerOffset{}, MixedAccess{},
	ScalarDeref{}, NullableDeref{}, InvalidDeref{}, StackBounds{}, UninitStack{}, PartialSpill{},
	MapValueBounds{}, MemBounds{}, PacketBounds{}, PacketArgument{}, LegacyLoad{}, UnboundedAccess{}, ReadOnly{}, WriteOnly{}, CtxAccess{}, CtxModified{}, SockAccess{}, TypeField{}, AtomicTarget{}, Misaligned{},
	PrivilegedOnly{}, PointerLeak{}, Speculation{},
	WrongArgument{}, WrongSize{}, UnknownHelper{}, ForbiddenHelper{}, SleepInAtomic{}, GPLHelper{}, BadFormat{}, MapHelper{}, WrongKey{},
	AttachTarget{}, StackObject{}, SpecialField{}, KptrType{}, MapProgram{}, LockState{}, RegionState{}, InRegion{}, ForbiddenKfunc{}, Untrusted{}, ObjectState{},
	LeakedReference{}, ReleaseUnowned{}, ReturnRange{}, StackPointerReturn{},
	BadSignature{}, GlobalArgument{}, GlobalReturn{}, GlobalCallback{},
	TailCallStack{}, CallbackThrows{}, BadException{}, CallbackTailCall{},
}

// Unsupported is no fault of the program: the target lacks something, or this
// verifier does not know it. It travels the same way and is not in All.
type Unsupported struct {
	mark
	What  string
	Since string // the first release that has it: "5.17"; "" when no release is the matter
}

func (Unsupported) Code() string     { return "unsupported" }
func (f Unsupported) String() string { return f.What }
