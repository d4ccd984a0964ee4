package fault

import (
	"fmt"

	"github.com/gtrace-dev/gtrace/isa"
)

// This file defines the faults of special fields of map values, of locks and of regions.

// SpecialReason says what is wrong with an access to a special field.
type SpecialReason uint8

const (
	SpecialOpaque     SpecialReason = iota // only helpers may touch it
	SpecialByCall                          // a call would read or write it as plain memory
	SpecialVariable                        // at an offset that varies
	SpecialMisaligned                      // not at the field's start
	SpecialPart                            // not the whole field
	SpecialMode                            // by an atomic or sign-extending instruction
	SpecialOwned                           // a store to a pointer that owns what it points to
	SpecialNumber                          // a store of a number other than 0
)

var specialText = [...]string{
	SpecialOpaque:     "only the helpers and kfuncs made for it may touch it",
	SpecialByCall:     "a call can't read or write it as plain memory",
	SpecialVariable:   "its offset must be a constant",
	SpecialMisaligned: "the access must begin where the field does",
	SpecialPart:       "it must be accessed as a whole, eight bytes",
	SpecialMode:       "only plain loads and stores may touch it",
	SpecialOwned:      "only bpf_kptr_xchg may change it: it owns what it points to",
	SpecialNumber:     "only a pointer of its type, or 0, may be stored there",
}

// SpecialField is an access to a field of a map's value that does not treat the field as what it is.
type SpecialField struct {
	mark
	Reg     isa.Reg
	Map     string
	Field   string // struct, or type tag of the pointer
	Pointer bool
	Off     int64 // of the field in the value
	Reason  SpecialReason
}

func (SpecialField) Code() string { return "special-field" }
func (f SpecialField) String() string {
	what := "struct " + f.Field
	if f.Pointer {
		what = f.Field + " pointer"
	}
	return fmt.Sprintf("access through %s touches the %s at offset %d of map %s's value: %s", reg(f.Reg), what, f.Off, f.Map, specialText[f.Reason])
}

// MapProgram is a map that programs of this type can't use, for what its
// values hold, or that sleepable programs can't.
type MapProgram struct {
	mark
	Map, Field, Program string
	Type                string // of the map, when it is what sleepable programs can't use
}

func (MapProgram) Code() string { return "map-program" }
func (f MapProgram) String() string {
	if f.Type != "" {
		return fmt.Sprintf("map %s is a %s: sleepable programs can use arrays, hashes, queues, ring buffers and local storage only", f.Map, f.Type)
	}
	return fmt.Sprintf("values of map %s hold a struct %s: programs of type %s can't use such a map", f.Map, f.Field, f.Program)
}

// LockReason says what is wrong with taking or giving up a lock.
type LockReason uint8

const (
	LockSecond    LockReason = iota // another one is held
	LockNone                        // none is held
	LockDifferent                   // another one is held, this one is not
	LockOrder                       // another one was taken later
	LockTwice                       // it is held already
)

var lockText = [...]string{
	LockSecond:    "another lock is held already: only one can be",
	LockNone:      "no lock is held",
	LockDifferent: "it is not the lock that is held: unlock the value that was locked",
	LockOrder:     "locks must be given up in the reverse order of taking them",
	LockTwice:     "this lock is held already",
}

// LockState is a call that takes or gives up a lock when that is not possible.
type LockState struct {
	mark
	Func   string
	Taken  int // instruction that took the lock that is held; 0 when none is
	Reason LockReason
}

func (LockState) Code() string { return "lock-state" }
func (f LockState) String() string {
	s := fmt.Sprintf("%s: %s", f.Func, lockText[f.Reason])
	if f.Reason != LockNone {
		s += fmt.Sprintf(" (taken at instruction %d)", f.Taken)
	}
	return s
}

// Region is a stretch of a path in which less is allowed.
type Region uint8

const (
	RegionLock Region = iota
	RegionRCU
	RegionPreempt
	RegionIRQ
)

var regionText = [...]string{
	RegionLock:    "a lock is held",
	RegionRCU:     "an RCU read-side section is open",
	RegionPreempt: "preemption is disabled",
	RegionIRQ:     "interrupts are disabled",
}

// RegionState is a call that opens a region which can't be nested, or closes one that is not open.
type RegionState struct {
	mark
	Func   string
	Region Region
	Nested bool
}

func (RegionState) Code() string { return "region-state" }
func (f RegionState) String() string {
	if f.Nested {
		return fmt.Sprintf("%s: %s already, and that can't be nested", f.Func, regionText[f.Region])
	}
	return fmt.Sprintf("%s has no counterpart before it: nothing is to be ended", f.Func)
}

// InRegion is something that may not happen within a region.
type InRegion struct {
	mark
	What   string // "exit", "a call of bpf_x", …
	Region Region
	Sleeps bool // it may sleep
	Since  int  // instruction that opened the region, where known
}

func (InRegion) Code() string { return "in-region" }
func (f InRegion) String() string {
	s := fmt.Sprintf("%s while %s", f.What, regionText[f.Region])
	if f.Sleeps {
		s += ": it may sleep"
	}
	return s
}

// KptrReason says what is wrong with a kernel pointer and the field for it.
type KptrReason uint8

const (
	KptrNoField  KptrReason = iota // no such field is there
	KptrUnowned                    // the field owns nothing
	KptrMismatch                   // the pointer is not of the field's type
)

// KptrType is a kernel pointer that does not fit the field of a map's value that it is for.
type KptrType struct {
	mark
	Reg       isa.Reg
	Map       string
	Off       int64  // in the value
	Want, Got string // types; Want is the field's kind when that owns nothing
	Reason    KptrReason
}

func (KptrType) Code() string { return "kptr-type" }
func (f KptrType) String() string {
	where := fmt.Sprintf("offset %d of map %s's value", f.Off, f.Map)
	switch f.Reason {
	case KptrUnowned:
		return fmt.Sprintf("%s points to a %s pointer at %s, which owns nothing: bpf_kptr_xchg is for fields marked __kptr, others are stored to and loaded", reg(f.Reg), f.Want, where)
	case KptrMismatch:
		return fmt.Sprintf("the field at %s is for pointers to the start of a struct %s, or 0, not for %s", where, f.Want, article(f.Got))
	}
	return fmt.Sprintf("%s points to %s, where no kernel pointer is: bpf_kptr_xchg needs the start of a field marked __kptr", reg(f.Reg), where)
}
