package fault

import (
	"fmt"

	"github.com/gtrace-dev/gtrace/isa"
)

// This file defines the faults of memory accesses.

func access(write bool) string {
	if write {
		return "store"
	}
	return "load"
}

// ScalarDeref is a load or store through a number.
type ScalarDeref struct {
	mark
	Reg   isa.Reg
	Write bool
}

func (ScalarDeref) Code() string { return "scalar-deref" }
func (f ScalarDeref) String() string {
	return fmt.Sprintf("%s through %s, which is a number, not a pointer", access(f.Write), reg(f.Reg))
}

// NullableDeref is a load or store through a pointer that was not compared with NULL.
type NullableDeref struct {
	mark
	Reg  isa.Reg
	Kind string
}

func (NullableDeref) Code() string { return "nullable-deref" }
func (f NullableDeref) String() string {
	return fmt.Sprintf("access through %s, %s that may be NULL: compare it with 0 first", reg(f.Reg), article(f.Kind))
}

// InvalidDeref is a load or store through a pointer that can't be followed.
type InvalidDeref struct {
	mark
	Reg   isa.Reg
	Kind  string
	Write bool
}

func (InvalidDeref) Code() string { return "invalid-deref" }
func (f InvalidDeref) String() string {
	return fmt.Sprintf("%s through %s: programs can't access memory through %s", access(f.Write), reg(f.Reg), article(f.Kind))
}

// StackBounds is an access outside of the function's stack frame.
type StackBounds struct {
	mark
	Reg  isa.Reg
	Off  Span // from the frame pointer
	Size int64
}

func (StackBounds) Code() string { return "stack-bounds" }
func (f StackBounds) String() string {
	return fmt.Sprintf("access of %s through %s at offset %s of the frame pointer: must be within -512 to -1", bytes(f.Size), reg(f.Reg), f.Off)
}

// UninitStack is a read of stack bytes that were not written.
type UninitStack struct {
	mark
	Off  int64
	Size int64
}

func (UninitStack) Code() string { return "uninit-stack" }
func (f UninitStack) String() string {
	return fmt.Sprintf("read of %s of stack at offset %d of the frame pointer: not all of them were written", bytes(f.Size), f.Off)
}

// StackObject is a read of stack bytes that only calls may touch.
type StackObject struct {
	mark
	Off  int64
	Size int64
	Kind string // of the object
}

func (StackObject) Code() string { return "stack-object" }
func (f StackObject) String() string {
	return fmt.Sprintf("read of %s of stack at offset %d of the frame pointer, %s: only the functions made for it may touch it", bytes(f.Size), f.Off, article(f.Kind))
}

// PartialSpill is a read of a part of a pointer that was stored on the stack.
type PartialSpill struct {
	mark
	Off  int64
	Size int64
}

func (PartialSpill) Code() string { return "partial-spill" }
func (f PartialSpill) String() string {
	return fmt.Sprintf("read of %s at stack offset %d, a part of a stored pointer", bytes(f.Size), f.Off)
}

// MapValueBounds is an access beyond a map's value.
type MapValueBounds struct {
	mark
	Reg       isa.Reg
	Map       string
	ValueSize int64
	Off       Span // from the value's start
	Size      int64
}

func (MapValueBounds) Code() string { return "map-value-bounds" }
func (f MapValueBounds) String() string {
	return fmt.Sprintf("access of %s through %s at offset %s of a value of map %s, which has %s", bytes(f.Size), reg(f.Reg), f.Off, f.Map, bytes(f.ValueSize))
}

// MemBounds is an access beyond a memory region of known size.
type MemBounds struct {
	mark
	Reg     isa.Reg
	Kind    string
	MemSize int64 // -1: not known, but offsets are not negative
	Off     Span
	Size    int64
}

func (MemBounds) Code() string { return "mem-bounds" }
func (f MemBounds) String() string {
	if f.MemSize < 0 {
		return fmt.Sprintf("access of %s through %s, %s, at offset %s: must not be negative", bytes(f.Size), reg(f.Reg), article(f.Kind), f.Off)
	}
	return fmt.Sprintf("access of %s through %s at offset %s of %s, which has %s", bytes(f.Size), reg(f.Reg), f.Off, article(f.Kind), bytes(f.MemSize))
}

// UnboundedAccess is an access at an offset of which a bound is not known.
type UnboundedAccess struct {
	mark
	Reg  isa.Reg
	Kind string
	Off  Span
	Low  bool // the lower bound is missing
}

func (UnboundedAccess) Code() string { return "unbounded-access" }
func (f UnboundedAccess) String() string {
	if f.Low {
		return fmt.Sprintf("offset of %s, %s, may be negative (%s): check its lower bound or make it unsigned", reg(f.Reg), article(f.Kind), f.Off)
	}
	return fmt.Sprintf("offset of %s, %s, has no upper bound (%s): compare it with the size first", reg(f.Reg), article(f.Kind), f.Off)
}

// ReadOnly is a store to memory that programs may only read.
type ReadOnly struct {
	mark
	Reg  isa.Reg
	Kind string
	Name string // of the map, if it is one
}

func (ReadOnly) Code() string { return "read-only" }
func (f ReadOnly) String() string {
	if f.Name != "" {
		return fmt.Sprintf("store through %s to a value of map %s, which programs may only read", reg(f.Reg), f.Name)
	}
	return fmt.Sprintf("store through %s: %s may only be read", reg(f.Reg), article(f.Kind))
}

// WriteOnly is a load from a map that programs may only write.
type WriteOnly struct {
	mark
	Reg isa.Reg
	Map string
}

func (WriteOnly) Code() string { return "write-only" }
func (f WriteOnly) String() string {
	return fmt.Sprintf("load through %s from a value of map %s, which programs may only write", reg(f.Reg), f.Map)
}

// CtxAccess is an access to the context that its layout does not allow.
type CtxAccess struct {
	mark
	Context string
	Off     int64
	Size    int64
	Write   bool
}

func (CtxAccess) Code() string { return "ctx-access" }
func (f CtxAccess) String() string {
	return fmt.Sprintf("%s of %s at offset %d of the context (%s) is not allowed", access(f.Write), bytes(f.Size), f.Off, f.Context)
}

// SockAccess is a load from a socket where its layout has no field for it.
type SockAccess struct {
	mark
	Reg    isa.Reg
	Kind   string
	Layout string
	Off    int64
	Size   int64
}

func (SockAccess) Code() string { return "sock-access" }
func (f SockAccess) String() string {
	return fmt.Sprintf("load of %s at offset %d through %s, %s: %s has no such field there", bytes(f.Size), f.Off, reg(f.Reg), article(f.Kind), f.Layout)
}

// CtxModified is an access through a context pointer that was moved.
type CtxModified struct {
	mark
	Reg      isa.Reg
	Off      Span
	Variable bool
}

func (CtxModified) Code() string { return "ctx-modified" }
func (f CtxModified) String() string {
	if f.Variable {
		return fmt.Sprintf("context pointer %s has a variable offset (%s): a constant one is required", reg(f.Reg), f.Off)
	}
	return fmt.Sprintf("context pointer %s was moved by %s bytes: use the offset in the instruction instead", reg(f.Reg), f.Off)
}

// FieldReason says why a typed access is wrong.
type FieldReason uint8

const (
	FieldNone     FieldReason = 1 + iota // no field there
	FieldPadding                         // between fields
	FieldPartial                         // crosses the end of a field, or part of a pointer
	FieldBeyond                          // beyond the type's end
	FieldNegative                        // before the type's start
	FieldWrite                           // typed memory is read-only
	FieldUser                            // user-space pointer in a kernel type
	FieldPerCPU                          // per-CPU pointer in a kernel type
	FieldNoStruct                        // not a struct or union
	FieldLicense                         // for programs under a GPL-compatible license
)

var fieldText = [...]string{
	FieldNone:     "no field is there",
	FieldPadding:  "that is between two fields",
	FieldPartial:  "that is not a whole field",
	FieldBeyond:   "that is beyond its end",
	FieldNegative: "the offset must not be negative",
	FieldWrite:    "it may only be read",
	FieldUser:     "it is a user-space pointer: read it with a probe_read_user helper",
	FieldPerCPU:   "it is a per-CPU pointer: use bpf_per_cpu_ptr or bpf_this_cpu_ptr",
	FieldNoStruct: "it is not a struct or union",
	FieldLicense:  "only programs under a GPL-compatible license may look into kernel types",
}

// TypeField is an access that does not fit the type of the memory.
type TypeField struct {
	mark
	Reg    isa.Reg
	Type   string
	Off    int64
	Size   int64
	Reason FieldReason
}

func (TypeField) Code() string { return "type-field" }
func (f TypeField) String() string {
	return fmt.Sprintf("access of %s through %s at offset %d of %s: %s", bytes(f.Size), reg(f.Reg), f.Off, f.Type, fieldText[f.Reason])
}

// AtomicTarget is an atomic operation on memory that allows none.
type AtomicTarget struct {
	mark
	Reg  isa.Reg
	Kind string
}

func (AtomicTarget) Code() string { return "atomic-target" }
func (f AtomicTarget) String() string {
	return fmt.Sprintf("atomic operation through %s: not possible on %s", reg(f.Reg), article(f.Kind))
}

// Misaligned is an access that must be aligned and is not.
type Misaligned struct {
	mark
	Reg  isa.Reg
	Kind string
	Off  Span
	Size int64
	// Packet: packets are taken to begin two bytes behind an aligned address.
	Packet bool
}

func (Misaligned) Code() string { return "misaligned" }
func (f Misaligned) String() string {
	if f.Packet {
		return fmt.Sprintf("access of %s through %s, %s, at offset %s: must be aligned, and packets are taken to begin 2 bytes behind an aligned address", bytes(f.Size), reg(f.Reg), article(f.Kind), f.Off)
	}
	return fmt.Sprintf("access of %s through %s, %s, at offset %s: must be aligned", bytes(f.Size), reg(f.Reg), article(f.Kind), f.Off)
}
