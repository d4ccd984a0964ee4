package fault

import (
	"fmt"

	"github.com/gtrace-dev/gtrace/isa"
)

// This file defines the faults of calls, references and exits.

// WrongArgument is an argument that a function does not take.
type WrongArgument struct {
	mark
	Func string
	Arg  int // from 1
	Want string
	Got  string
}

func (WrongArgument) Code() string { return "wrong-argument" }
func (f WrongArgument) String() string {
	return fmt.Sprintf("argument %d of %s must be %s, not %s", f.Arg, f.Func, f.Want, f.Got)
}

// SizeReason says what is wrong with a size argument.
type SizeReason uint8

const (
	SizeZero      SizeReason = iota // may be zero
	SizeNegative                    // may be negative
	SizeUnbounded                   // no upper bound
	SizeVariable                    // must be a constant
	SizeWords                       // must be a multiple of 8
)

var sizeText = [...]string{
	SizeZero:      "may be 0",
	SizeNegative:  "may be negative",
	SizeUnbounded: "has no upper bound below 2^29",
	SizeVariable:  "is not a constant",
	SizeWords:     "is not a multiple of 8",
}

// WrongSize is a size argument that may have a value that is not allowed.
type WrongSize struct {
	mark
	Func   string
	Arg    int
	Value  Span
	Reason SizeReason
}

func (WrongSize) Code() string { return "wrong-size" }
func (f WrongSize) String() string {
	return fmt.Sprintf("argument %d of %s, a size, %s (it is %s)", f.Arg, f.Func, sizeText[f.Reason], f.Value)
}

// BadFormat is a format that is wrong, or that names more values than there are.
type BadFormat struct {
	mark
	Func, Format string
	At           int // byte of the format
	Values       int // that the call gives
}

func (BadFormat) Code() string { return "bad-format" }
func (f BadFormat) String() string {
	return fmt.Sprintf("format %q of %s is wrong at byte %d, or names more than the %d values given", f.Format, f.Func, f.At, f.Values)
}

// UnknownHelper is a call of a helper number that no kernel has.
type UnknownHelper struct {
	mark
	ID int32
}

func (UnknownHelper) Code() string { return "unknown-helper" }
func (f UnknownHelper) String() string {
	return fmt.Sprintf("there is no helper function number %d", f.ID)
}

// ForbiddenHelper is a call of a helper that the program's type does not have.
type ForbiddenHelper struct {
	mark
	Func, Program string
	Config        string // the option without which the kernel was built, when that is why
	Lockdown      bool   // the kernel's lockdown takes it from all programs
}

func (ForbiddenHelper) Code() string { return "forbidden-helper" }
func (f ForbiddenHelper) String() string {
	switch {
	case f.Config != "":
		return fmt.Sprintf("this kernel has no %s: it was built without %s", f.Func, f.Config)
	case f.Lockdown:
		return fmt.Sprintf("this kernel's lockdown takes %s from all programs", f.Func)
	}
	return fmt.Sprintf("programs of type %s can't call %s", f.Program, f.Func)
}

// SleepInAtomic is a call that may sleep from a program that may not.
type SleepInAtomic struct {
	mark
	Func string
}

func (SleepInAtomic) Code() string { return "sleep-in-atomic" }
func (f SleepInAtomic) String() string {
	return fmt.Sprintf("%s may sleep, this program may not: programs that may have sections that end in .s", f.Func)
}

// GPLHelper is a call of a helper for programs under a GPL-compatible license from one that is not.
type GPLHelper struct {
	mark
	Func, License string
}

func (GPLHelper) Code() string { return "gpl-helper" }
func (f GPLHelper) String() string {
	return fmt.Sprintf("%s is for programs under a GPL-compatible license; this one has %q", f.Func, f.License)
}

// MapHelper is a map that a helper does not work on.
type MapHelper struct {
	mark
	Func, Map string
	Type      uint32
	Program   string // the program type, when it is what the helper does not work for
}

func (MapHelper) Code() string { return "map-helper" }
func (f MapHelper) String() string {
	if f.Program != "" {
		return fmt.Sprintf("%s can't change map %s of type %d in programs of type %s", f.Func, f.Map, f.Type, f.Program)
	}
	return fmt.Sprintf("%s does not work on map %s of type %d", f.Func, f.Map, f.Type)
}

// WrongKey is a map key or value whose type the map does not have.
type WrongKey struct {
	mark
	Func, Map string
}

func (WrongKey) Code() string { return "wrong-key" }
func (f WrongKey) String() string {
	return fmt.Sprintf("%s: map %s has no key or value of that kind", f.Func, f.Map)
}

// LeakedReference is a reference that was acquired and not released at exit.
type LeakedReference struct {
	mark
	Acquired int // instruction
	Func     string
}

func (LeakedReference) Code() string { return "leaked-reference" }
func (f LeakedReference) String() string {
	return fmt.Sprintf("the reference that %s acquired at instruction %d is not released on this path", f.Func, f.Acquired)
}

// ReleaseUnowned is the release of something that is not an owned reference.
type ReleaseUnowned struct {
	mark
	Func string
	Reg  isa.Reg
	Kind string
}

func (ReleaseUnowned) Code() string { return "release-unowned" }
func (f ReleaseUnowned) String() string {
	return fmt.Sprintf("%s releases %s, but %s is not a reference that is still owned", f.Func, reg(f.Reg), article(f.Kind))
}

// ReturnRange is a return value that the program's type does not allow.
type ReturnRange struct {
	mark
	Reg     isa.Reg
	Kind    string // when it is no number
	Value   Span
	Allowed Span
}

func (ReturnRange) Code() string { return "return-range" }
func (f ReturnRange) String() string {
	if f.Kind != "" {
		return fmt.Sprintf("%s at exit is %s: must be a number from %s", reg(f.Reg), article(f.Kind), f.Allowed)
	}
	return fmt.Sprintf("%s at exit is %s: must be %s", reg(f.Reg), f.Value, f.Allowed)
}

// StackPointerReturn is a function that returns a pointer to its own stack.
type StackPointerReturn struct{ mark }

func (StackPointerReturn) Code() string { return "stack-pointer-return" }
func (StackPointerReturn) String() string {
	return "a function can't return a pointer to its own stack"
}
