package fault

import (
	"fmt"

	"github.com/gtrace-dev/gtrace/isa"
)

// This file defines the faults of calls of kernel functions.

// ForbiddenKfunc is a call of a kernel function that the program may not make.
type ForbiddenKfunc struct {
	mark
	Func, Program string
	Reason        KfuncReason
}

// KfuncReason says why a program may not call a kernel function.
type KfuncReason uint8

const (
	KfuncProgram      KfuncReason = iota // not from this type of program
	KfuncLicense                         // the license is not compatible with the GPL
	KfuncSleeps                          // it may sleep, and the program may not
	KfuncRCU                             // it is for RCU read-side sections
	KfuncWritesPacket                    // it gives packet data for writing
	KfuncLocks                           // it holds locks that the program may run under
)

func (ForbiddenKfunc) Code() string { return "forbidden-kfunc" }
func (f ForbiddenKfunc) String() string {
	switch f.Reason {
	case KfuncLicense:
		return fmt.Sprintf("%s is for programs under a GPL-compatible license: kernel functions always are", f.Func)
	case KfuncSleeps:
		return fmt.Sprintf("%s may sleep: only sleepable programs can call it", f.Func)
	case KfuncLocks:
		return fmt.Sprintf("%s holds locks that this program may run under: only LSM programs, iterators and sleepable programs can call it", f.Func)
	case KfuncWritesPacket:
		return fmt.Sprintf("programs of type %s can't write to packets: use a function that gives packet data for reading, not %s", f.Program, f.Func)
	case KfuncRCU:
		return fmt.Sprintf("%s is for RCU read-side sections: call bpf_rcu_read_lock before it", f.Func)
	}
	return fmt.Sprintf("programs of type %s can't call kernel function %s", f.Program, f.Func)
}

// Untrusted is a pointer that is not known to be valid, where a kernel function relies on it.
type Untrusted struct {
	mark
	Func string
	Arg  int // from 1
	Got  string
	Null bool // it may be NULL
	RCU  bool // one that RCU protects would do
}

func (Untrusted) Code() string { return "untrusted-argument" }
func (f Untrusted) String() string {
	s := fmt.Sprintf("argument %d of %s, %s: ", f.Arg, f.Func, article(f.Got))
	switch {
	case f.Null:
		return s + "it must not be NULL: compare it with 0 first"
	case f.RCU:
		return s + "it must be referenced, trusted or protected by RCU"
	}
	return s + "it must be referenced or trusted"
}

// ObjectReason says what is wrong with an object on the stack.
type ObjectReason uint8

const (
	ObjectNotStack    ObjectReason = iota // no pointer to the stack
	ObjectOffset                          // at an offset that varies or is not a multiple of 8
	ObjectNone                            // no such object is there
	ObjectThere                           // one is there already
	ObjectOrder                           // a later one is still open
	ObjectRCU                             // its read-side section is over
	ObjectOther                           // another kind of function made it
	ObjectConst                           // may only be read
	ObjectOwned                           // stands for a record that must be submitted or discarded
	ObjectSource                          // memory that it can not be made of
	ObjectOverwritten                     // a store or a call would write over it
)

var objectText = [...]string{
	ObjectNotStack: "must point to the stack",
	ObjectOffset:   "must be at a constant offset that is a multiple of 8",
	ObjectNone:     "is none that was initialised and not destroyed since",
	ObjectThere:    "is initialised already: destroy it first",
	ObjectOrder:    "must be restored in the reverse order of saving: a later one is still saved",
	ObjectRCU:      "is for one RCU read-side section, and that is over",
	ObjectOther:    "was saved by a function of another kind",
	ObjectConst:    "may only be read here",
	ObjectOwned:    "stands for a record that must be submitted or discarded first",
	ObjectSource:   "can be made only of a value of a map",

	ObjectOverwritten: "may be written by the functions made for it only: use other stack for this",
}

// ObjectState is a call with an object on the stack that is not in the state
// that the function needs, or a write over such an object.
type ObjectState struct {
	mark
	Func   string // "": a write over it
	Arg    int    // from 1
	Off    int64  // without Func: of the write, from the frame pointer
	Size   int64
	Reg    isa.Reg
	Kind   string // "iterator bpf_iter_num", "saved interrupt flag"
	Reason ObjectReason
}

func (ObjectState) Code() string { return "object-state" }
func (f ObjectState) String() string {
	if f.Func == "" {
		return fmt.Sprintf("write of %s at offset %d of the frame pointer, over %s: it %s", bytes(f.Size), f.Off, article(f.Kind), objectText[f.Reason])
	}
	return fmt.Sprintf("argument %d of %s, %s: it %s", f.Arg, f.Func, article(f.Kind), objectText[f.Reason])
}
