// Package helper implements BPF helper functions for programs that run in
// this process. What they need of the traced task comes from a Host.
//
// It knows maps; it knows nothing of instructions or of how they are run.
package helper

import (
	"fmt"
	"syscall"
	"unsafe"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/vm/maps"
)

// This file defines Host, Env and the table of helpers.

// Host is the world that a program looks into. Its methods are called on the
// goroutine that runs the program.
type Host interface {
	// ReadUser fills dst with the traced task's memory at addr, all of it or
	// an error. A caller that reads a string never crosses a page in one call.
	ReadUser(addr uint64, dst []byte) error
	// ReadKernel does the same for kernel memory; an error where there is none to read.
	ReadKernel(addr uint64, dst []byte) error
	// Task is the traced task.
	Task() Task
	// CPU is the number of the CPU, below maps.PossibleCPUs. It is asked at
	// most once a run. Two programs that run at once should not share one:
	// values of per-CPU maps are not guarded.
	CPU() int
	// Monotonic and Boottime are the clocks of clock_gettime(2), in nanoseconds.
	Monotonic() uint64
	Boottime() uint64
	// Printk takes the text of bpf_trace_printk.
	Printk(text string)
}

// Task identifies a task as bpf_get_current_pid_tgid and the like report it.
type Task struct {
	TGID, TID uint32 // process and thread
	UID, GID  uint32
	Comm      [16]byte // zero-padded
}

// Record is a ring-buffer record that was reserved and is not yet submitted or discarded.
type Record struct {
	Addr, Size uint64
}

// Env is what a helper works with: one running program. Its fields belong to
// the interpreter; Reset prepares it for a run.
type Env struct {
	Host    Host
	Maps    []*maps.Map
	Records []Record
	// Keys are the keys that callbacks which are running were given.
	Keys []Record

	// Err, set by a helper, ends the run.
	Err error

	// Call runs the subprogram whose address is fn, for helpers with callbacks.
	Call func(fn, r1, r2, r3, r4 uint64) uint64

	cpu  int
	text []byte // one page, for strings
}

// Reset prepares e for a run on host.
func (e *Env) Reset(host Host) {
	e.Host, e.Err, e.cpu = host, nil, -1
	e.Records, e.Keys = e.Records[:0], e.Keys[:0]
}

// CPU is the CPU that the program runs on, the same for the whole run.
func (e *Env) CPU() int {
	if e.cpu < 0 {
		e.cpu = e.Host.CPU()
		if e.cpu < 0 {
			e.Err = fmt.Errorf("the host says that this is CPU %d", e.cpu)
			e.cpu = 0
		}
	}
	return e.cpu
}

// Release discards the records that the program still holds: it did not come to its end.
func (e *Env) Release() {
	for _, r := range e.Records {
		maps.Discard(pointer(r.Addr))
	}
	e.Records = e.Records[:0]
}

// mapHandle marks the values that stand for maps in registers: the lowest bits index Env.Maps.
const mapHandle uint64 = 0x6d61_7000_0000_0000

// MapHandle is what a program holds for Env.Maps[i].
func MapHandle(i int) uint64 { return mapHandle | uint64(i) }

// MapOf returns the map that a program holds as v.
func (e *Env) MapOf(v uint64) (*maps.Map, bool) {
	if i := v ^ mapHandle; i < uint64(len(e.Maps)) {
		return e.Maps[i], true
	}
	return nil, false
}

func (e *Env) mapArg(v uint64) *maps.Map {
	m, ok := e.MapOf(v)
	if !ok && e.Err == nil {
		e.Err = fmt.Errorf("helper called with %#x, which is not a map", v)
	}
	return m
}

// Func runs a helper with R1 to R5 and returns R0.
type Func func(e *Env, r1, r2, r3, r4, r5 uint64) uint64

// Unsupported is a helper that is not there.
type Unsupported struct {
	ID   int32
	Name string // "" when abi does not know it either
}

func (e *Unsupported) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("unsupported: helper #%d", e.ID)
	}
	return fmt.Sprintf("unsupported: helper %s (#%d) in gtrace's own engine", e.Name, e.ID)
}

// ByID returns the helper with number id (include/uapi/linux/bpf.h: enum
// bpf_func_id) or *Unsupported.
func ByID(id int32) (Func, error) {
	if id > 0 && int(id) < len(table) && table[id] != nil {
		return table[id], nil
	}
	u := &Unsupported{ID: id}
	if h := abi.HelperByID(id); h != nil {
		u.Name = h.Name
	}
	return nil, u
}

var table = [...]Func{
	1:   mapLookup,
	2:   mapUpdate,
	3:   mapDelete,
	4:   probeRead,
	5:   ktimeMonotonic,
	6:   tracePrintk,
	7:   prandom,
	8:   processorID,
	14:  pidTgid,
	15:  uidGid,
	16:  comm,
	45:  probeReadStr,
	105: strtol,
	106: strtoul,
	112: probeReadUser,
	113: probeReadKernel,
	114: probeReadUserStr,
	115: probeReadKernelStr,
	125: ktimeBoot,
	130: ringOutput,
	131: ringReserve,
	132: ringSubmit,
	133: ringDiscard,
	134: ringQuery,
	148: probeReadUser, // bpf_copy_from_user: may sleep in the kernel, reads the same
	160: ktimeMonotonic,
	164: forEach,
	165: snprintf,
	181: loop,
	182: strncmp,
	195: mapLookupPerCPU,
}

// errno is an error as helpers return it.
func errno(e syscall.Errno) uint64 { return uint64(-int64(e)) }

// pointer makes an address that a program computed usable. Everything that
// such an address may point to is outside Go's heap.
func pointer(addr uint64) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(nil), addr) }

func address(p unsafe.Pointer) uint64 { return uint64(uintptr(p)) }

// memory is the program's memory at addr.
func memory(addr, n uint64) []byte {
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(pointer(addr)), int(n))
}
