package fault

import (
	"fmt"

	"github.com/gtrace-dev/gtrace/isa"
)

// This file defines the faults of values in registers and of arithmetic.

// UninitRegister is the use of a register that was never written, or that a call has overwritten.
type UninitRegister struct {
	mark
	Reg isa.Reg
}

func (UninitRegister) Code() string { return "uninit-register" }
func (f UninitRegister) String() string {
	if f.Reg >= isa.R1 && f.Reg <= isa.R5 {
		return fmt.Sprintf("%s has no value here: it was never set, or a call has overwritten it", reg(f.Reg))
	}
	return fmt.Sprintf("%s has no value here: it was never set", reg(f.Reg))
}

// FramePointerWrite is a write to r10.
type FramePointerWrite struct{ mark }

func (FramePointerWrite) Code() string   { return "frame-pointer-write" }
func (FramePointerWrite) String() string { return "r10, the frame pointer, is read-only" }

// DivByZero is a division by the constant zero.
type DivByZero struct{ mark }

func (DivByZero) Code() string   { return "div-by-zero" }
func (DivByZero) String() string { return "division by the constant 0" }

// BadShift is a shift by a constant that is negative or not below the operand's width.
type BadShift struct {
	mark
	By    int32
	Width int
}

func (BadShift) Code() string { return "bad-shift" }
func (f BadShift) String() string {
	return fmt.Sprintf("shift by %d: must be 0 to %d", f.By, f.Width-1)
}

// ArithReason says what is wrong with an arithmetic operation on a pointer.
type ArithReason uint8

const (
	ArithOp           ArithReason = iota // the operation is not possible on pointers
	ArithNullable                        // the pointer may be NULL
	ArithKind                            // the kind of pointer allows none
	ArithTwoPointers                     // pointer + pointer
	ArithFromScalar                      // scalar - pointer
	ArithFromStack                       // pointer to the stack on the right of a subtraction
	Arith32                              // 32-bit operation on a pointer
	ArithNegate                          // unary operation
	ArithUnboundedMin                    // the scalar has no lower bound
	ArithRange                           // the scalar or the sum is out of the offsets that a pointer can have
	ArithPartialCopy                     // a move that copies part of a pointer
)

var arithText = [...]string{
	ArithOp:           "only addition and subtraction are possible on it",
	ArithNullable:     "it may be NULL: compare it with 0 first",
	ArithKind:         "no arithmetic is allowed on this kind of pointer",
	ArithTwoPointers:  "two pointers can't be combined",
	ArithFromScalar:   "a pointer can't be subtracted from a number",
	ArithFromStack:    "a number can't be subtracted from or with a stack pointer here",
	Arith32:           "32-bit arithmetic on a pointer",
	ArithNegate:       "a pointer can't be negated or byte-swapped",
	ArithUnboundedMin: "the number added has no lower bound: compare it first or mask it",
	ArithRange:        "the offset is beyond 2^29, the most a pointer may move",
	ArithPartialCopy:  "a pointer can't be copied in part",
}

// PointerArithmetic is an operation that pointers of a kind do not allow.
type PointerArithmetic struct {
	mark
	Reg    isa.Reg
	Kind   string // of the pointer
	Reason ArithReason
	Value  Span // of the scalar, for ArithRange and ArithUnboundedMin
}

func (PointerArithmetic) Code() string { return "pointer-arithmetic" }
func (f PointerArithmetic) String() string {
	s := fmt.Sprintf("arithmetic on %s, %s: %s", reg(f.Reg), article(f.Kind), arithText[f.Reason])
	if f.Reason == ArithRange || f.Reason == ArithUnboundedMin {
		s += fmt.Sprintf(" (it is %s)", f.Value)
	}
	return s
}

// PointerOffset is the use of a pointer with an offset where none, or only a constant one, is allowed.
type PointerOffset struct {
	mark
	Reg      isa.Reg
	Kind     string
	Off      Span
	Variable bool // a constant offset would do
}

func (PointerOffset) Code() string { return "pointer-offset" }
func (f PointerOffset) String() string {
	if f.Variable {
		return fmt.Sprintf("%s is %s at a variable offset (%s): a constant offset is required", reg(f.Reg), article(f.Kind), f.Off)
	}
	return fmt.Sprintf("%s is %s at offset %s: the unchanged pointer is required", reg(f.Reg), article(f.Kind), f.Off)
}

// MixedAccess is one instruction that reaches different kinds of memory on different paths.
type MixedAccess struct {
	mark
	Kind, Other string
}

func (MixedAccess) Code() string { return "mixed-access" }
func (f MixedAccess) String() string {
	return fmt.Sprintf("the same instruction accesses %s on one path and %s on another", article(f.Kind), article(f.Other))
}

func article(kind string) string {
	if kind == "" {
		return "a value"
	}
	switch kind[0] {
	case 'a', 'e', 'i', 'o', 'u':
		return "an " + kind
	}
	return "a " + kind
}
