package abi

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Defines the table of kernel functions: kfuncs.txt, read when it is first asked.

// KernelFunc is what is known of a kernel function that programs may call,
// beyond its prototype, which is in the kernel's BTF.
type KernelFunc struct {
	Name  string
	Since Version
	set   *kernelFuncSet

	Acquire, Release bool // a reference
	RetNull          bool // may return NULL
	Trusted          bool // pointers must be trusted, at their object's start, and not NULL
	RCU              bool // or protected by RCU
	RCUProtected     bool // for RCU read-side sections only; what it gives is protected by RCU
	Sleepable        bool // may sleep
	HoldsLocks       bool // for LSM programs, iterators and sleepable programs only: others may run under its locks
	Iter             IterRole
	Fastcall         bool
	UnderLock        bool     // may be called while a lock is held
	RetUntrusted     bool     // what it returns may be stale
	RetWritable      bool     // the memory that it returns may be written
	Lock             LockRole // of a bpf_res_spin_lock
	RDOnlyCast       bool     // gives its first argument the type that its second one numbers
	CastCtx          bool     // gives the context as the kernel's own type
	Region           RegionRole
	Dynptr           DynptrKind // of the dynptr that it makes
	Callback         *Callback  // how it calls the function that it is given; nil: it is given none
	Slice            bool       // gives memory of a dynptr
	SliceWrite       bool       // which may be written
}

// RegionRole is the region that a kernel function opens or ends.
type RegionRole uint8

const (
	NoRegion RegionRole = iota
	RCULock
	RCUUnlock
	PreemptDisable
	PreemptEnable
	IRQSave
	IRQRestore
)

// IterRole is what a kernel function does with the iterator in its first argument.
type IterRole uint8

const (
	NoIter IterRole = iota
	IterNew
	IterNext
	IterDestroy
)

// kernelFuncSet is a set of program types, each with the first release in which it belongs.
type kernelFuncSet struct {
	all   bool
	types []kernelFuncType
}

type kernelFuncType struct {
	typ      ProgType
	expected AttachType // where attached is set
	attached bool
	since    Version
}

//go:embed kfuncs.txt
var kernelFuncText string

var kernelFuncs = sync.OnceValue(func() map[string]*KernelFunc {
	m, err := parseKernelFuncs(kernelFuncText)
	if err != nil {
		panic(err) // TestKernelFuncs reads the table
	}
	return m
})

// KernelFuncByName finds a kernel function; nil for one that the table lacks.
func KernelFuncByName(name string) *KernelFunc { return kernelFuncs()[name] }

// Allowed reports whether programs attached so may call f on a kernel of version v.
func (f *KernelFunc) Allowed(a Attach, v Version) bool {
	for _, t := range f.set.types {
		if t.typ == a.Type && (!t.attached || t.expected == a.Expected) && t.since <= v {
			return true
		}
	}
	return f.set.all
}

// kernelFuncTypes are the names of program types in kfuncs.txt.
var kernelFuncTypes = map[string]ProgType{
	"Kprobe": Kprobe, "SocketFilter": SocketFilter, "SchedCLS": SchedCLS, "SchedACT": SchedACT, "Tracepoint": Tracepoint, "XDP": XDP,
	"PerfEvent": PerfEvent, "CGroupSKB": CGroupSKB, "CGroupSock": CGroupSock, "LWTIn": LWTIn, "LWTOut": LWTOut, "LWTXmit": LWTXmit,
	"SockOps": SockOps, "SKSKB": SKSKB, "CGroupDevice": CGroupDevice, "CGroupSockAddr": CGroupSockAddr, "LWTSeg6Local": LWTSeg6Local,
	"CGroupSysctl": CGroupSysctl, "CGroupSockopt": CGroupSockopt, "Tracing": Tracing, "StructOps": StructOps, "LSM": LSM,
	"Syscall": Syscall, "Netfilter": Netfilter,
}

func parseKernelFuncs(text string) (map[string]*KernelFunc, error) {
	out, sets := map[string]*KernelFunc{}, map[string]*kernelFuncSet{}
	for line := range strings.Lines(text) {
		w := strings.Fields(line)
		if len(w) == 0 || w[0][0] == '#' {
			continue
		}
		var err error
		if w[0] == "set" {
			sets[w[1]], err = parseSet(w[1:])
		} else {
			out[w[0]], err = parseKernelFunc(w, sets)
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
	}
	return out, nil
}

func parseSet(w []string) (*kernelFuncSet, error) {
	s := &kernelFuncSet{all: w[0] == "all"}
	for _, t := range w[1:] {
		var out kernelFuncType
		name, release, gated := strings.Cut(t, "@")
		name, attach, attached := strings.Cut(name, "/")
		p, ok := kernelFuncTypes[name]
		if !ok {
			return nil, fmt.Errorf("no program type %s", name)
		}
		out.typ, out.attached = p, attached
		if attached {
			n, err := strconv.ParseUint(attach, 10, 32)
			if err != nil {
				return nil, err
			}
			out.expected = AttachType(n)
		}
		if gated {
			v, err := ParseVersion(release)
			if err != nil {
				return nil, err
			}
			out.since = v
		}
		s.types = append(s.types, out)
	}
	return s, nil
}

func parseKernelFunc(w []string, sets map[string]*kernelFuncSet) (*KernelFunc, error) {
	if len(w) < 3 || sets[w[2]] == nil {
		return nil, fmt.Errorf("expected name, release, set and flags")
	}
	v, err := ParseVersion(w[1])
	f := &KernelFunc{Name: w[0], Since: v, set: sets[w[2]]}
	flags := map[string]*bool{
		"acquire": &f.Acquire, "release": &f.Release, "ret_null": &f.RetNull, "trusted": &f.Trusted, "rcu": &f.RCU,
		"rcu_protected": &f.RCUProtected, "sleepable": &f.Sleepable, "holds_locks": &f.HoldsLocks, "fastcall": &f.Fastcall,
		"under_lock": &f.UnderLock, "ret_untrusted": &f.RetUntrusted, "ret_writable": &f.RetWritable, "rdonly_cast": &f.RDOnlyCast, "cast_ctx": &f.CastCtx,
	}
	roles := map[string]IterRole{"new": IterNew, "next": IterNext, "destroy": IterDestroy}
	regions := map[string]RegionRole{
		"rcu_lock": RCULock, "rcu_unlock": RCUUnlock, "preempt_disable": PreemptDisable, "preempt_enable": PreemptEnable,
		"irq_save": IRQSave, "irq_restore": IRQRestore,
	}
	dynptrs := map[string]DynptrKind{"dynptr_skb": DynptrSKB, "dynptr_xdp": DynptrXDP, "dynptr_meta": DynptrSKBMeta, "dynptr_same": DynptrSame}
	flags["slice"], flags["slice_rdwr"] = &f.Slice, &f.SliceWrite
	for _, x := range w[3:] {
		switch {
		case x == "calls_work":
			f.Callback = callbackWork
		case dynptrs[x] != NoDynptr:
			f.Dynptr = dynptrs[x]
		case flags[x] != nil:
			*flags[x] = true
		case roles[x] != NoIter:
			f.Iter = roles[x]
		case regions[x] != NoRegion:
			f.Region = regions[x]
		case x == "lock":
			f.Lock = TakesLock
		case x == "unlock":
			f.Lock = DropsLock
		default:
			return nil, fmt.Errorf("no flag %s", x)
		}
	}
	f.Trusted = f.Trusted || f.Release
	return f, err
}
