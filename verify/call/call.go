// Package call judges calls of helpers and kfuncs by their prototypes: who may
// call, which arguments, what the call does to the state.
package call

import (
	"fmt"
	"slices"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/mem"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// Proto is what a call of one function demands and does.
type Proto struct {
	ID      int32
	Name    string
	Args    []abi.ArgKind
	Ret     abi.RetKind
	Acquire bool
	Release int // 1-based argument; 0: none
	Lock    abi.LockRole
	// UnderLock: it may be called while a lock is held; Sleeps: it may sleep.
	UnderLock, Sleeps bool
	// TailCall: it goes on in another program, or fails and returns.
	TailCall bool
	// Callback says how it calls the function that it is given; nil: none.
	Callback *abi.Callback

	Helper *abi.Helper // what else is known of it; nil for kfuncs
}

// Rules say who calls: the program and its target.
type Rules struct {
	Program *abi.Program
	Attach  abi.Attach
	License string
	GPL     bool // the license is compatible with the GPL
	Version abi.Version
	May     abi.Privileges
	Pseudo  bool    // gtrace's pseudo-kfuncs exist
	Kernel  *Kfuncs // the kernel's functions
	// Built is the value of an option of the kernel's configuration, and whether that is known.
	Built    func(option string) (value string, known bool)
	Lockdown func() abi.Lockdown
	CPUs     int // how many the kernel numbers, at most
}

// Effects is what a call that was found right does.
type Effects struct {
	Ret     state.Reg
	Acquire string     // name of the function that acquires Ret's reference; "" for none
	Release uint32     // reference given up; 0: none
	Stack   []mem.Span // stack it accesses; what it writes becomes unknown
	Map     int        // index of the map it works on, or -1
	// Exact are arguments whose value the verdict rests on, and Key is stack it rests on.
	Exact []isa.Reg
	Key   *mem.Span
	// Lock is a lock that is taken; Unlock: the last one is given up.
	Lock   *state.Lock
	Unlock bool
	// Callback is a function that it calls; nil: none.
	Callback *Callback
	// Object is an iterator or saved flag on the stack that it makes, steps or ends; nil: none.
	Object *StackObject
	// Dynptr is one that it makes; DropDynptr the reference that a dynptr stands for and the call gives up.
	Dynptr     *NewDynptr
	DropDynptr uint32
	// ChangesPacket: pointers to the packet are void.
	ChangesPacket bool
	// Region is what it opens or ends.
	Region abi.RegionRole
}

// Helper finds the prototype of helper id and judges whether the program may call it.
func Helper(id int32, r *Rules) (*Proto, fault.Fault) {
	if id <= 0 || id > abi.LastHelper {
		return nil, fault.UnknownHelper{ID: id}
	}
	h := abi.HelperByID(id)
	if h == nil || h.Name == "" {
		return nil, fault.Unsupported{What: fmt.Sprintf("helper number %d", id)}
	}
	switch {
	case h.Has(r.Attach) && abi.HelperSince(h, r.Program) > r.Version:
		return nil, lateHelper(h, r)
	case !r.May.BPF && !h.ForAll():
		return nil, fault.PrivilegedOnly{What: "calls of " + h.Name, Capability: "CAP_BPF or CAP_PERFMON"}
	case !h.Has(r.Attach):
		return nil, fault.ForbiddenHelper{Func: h.Name, Program: r.Program.Name}
	case h.GPL && !r.GPL:
		return nil, fault.GPLHelper{Func: h.Name, License: r.License}
	case h.Sleepable && !r.Attach.Sleepable:
		return nil, fault.SleepInAtomic{Func: h.Name}
	case h.Callback == nil && slices.Contains(h.Args, abi.ArgFuncPtr):
		return nil, fault.Unsupported{What: "helper " + h.Name}
	}
	if f := host(h, r); f != nil {
		return nil, f
	}
	h = h.For(r.Attach.Type, r.Version)
	return &Proto{
		ID: h.ID, Name: h.Name, Args: h.Args, Ret: h.Ret, Acquire: h.AcquiresRef, Release: h.ReleaseArg,
		Lock: h.Lock, UnderLock: h.Lock == abi.DropsLock, Sleeps: h.Sleepable, TailCall: h.TailCall, Callback: h.Callback, Helper: h,
	}, nil
}

// host judges what the kernel's build and policy take away.
func host(h *abi.Helper, r *Rules) fault.Fault {
	if h.Locked != abi.LockdownNone && r.Lockdown() >= h.Locked {
		return fault.ForbiddenHelper{Func: h.Name, Program: r.Program.Name, Lockdown: true}
	}
	if h.Config == "" {
		return nil
	}
	v, known := r.Built(h.Config)
	switch {
	case !known:
		return fault.Unsupported{What: fmt.Sprintf("helper %s: whether the target was built with %s is not known; give its configuration", h.Name, h.Config)}
	case v != "y":
		return fault.ForbiddenHelper{Func: h.Name, Program: r.Program.Name, Config: h.Config}
	}
	return nil
}

// lateHelper says that the target is older than the helper, or than the
// helper in programs of this type.
func lateHelper(h *abi.Helper, r *Rules) fault.Fault {
	since := abi.HelperSince(h, r.Program)
	what := "helper " + h.Name
	if since > h.Since {
		what += " in programs of type " + r.Program.Name
	}
	return fault.Unsupported{What: fmt.Sprintf("%s came with Linux %v, the target is older", what, since), Since: since.String()}
}

// Pseudo finds the prototype of one of gtrace's own kfuncs.
func Pseudo(id int32, r *Rules) (*Proto, fault.Fault) {
	for i := range abi.Kfuncs {
		if k := &abi.Kfuncs[i]; k.ID == id {
			if !r.Pseudo {
				return nil, fault.Unsupported{What: "kfunc " + k.Name + ": only gtrace's own engine has it"}
			}
			return &Proto{ID: k.ID, Name: k.Name, Args: k.Args, Ret: k.Ret}, nil
		}
	}
	return nil, fault.Unsupported{What: fmt.Sprintf("kfunc with BTF id %d", id)}
}

// Check judges a call of p in state s. types are the types that gtrace_user_cast names.
func Check(s *state.State, l *mem.Layout, p *Proto, insn int, types []object.UserType, r *Rules) (*Effects, fault.Fault) {
	c := &checker{s: s, l: l, p: p, insn: insn, version: r.Version, cpus: uint64(r.CPUs), row: r.Program, out: &Effects{Map: -1}, types: types}
	for i, kind := range p.Args {
		if f := c.argument(i, kind); f != nil {
			return nil, f
		}
	}
	if f := c.flags(); f != nil {
		return nil, f
	}
	if h := p.Helper; h != nil && h.Format {
		if f := c.format(); f != nil {
			return nil, f
		}
	}
	if f := c.mapRules(); f != nil {
		return nil, f
	}
	if f := c.release(); f != nil {
		return nil, f
	}
	if f := c.callback(); f != nil {
		return nil, f
	}
	if h := p.Helper; h != nil {
		c.out.ChangesPacket = h.InvalidatesPacket || h.WritesDynptr && c.given.kind.WriteChanges()
	}
	return c.out, c.result()
}

// checker judges one call.
type checker struct {
	s       *state.State
	l       *mem.Layout
	p       *Proto
	insn    int
	version abi.Version
	cpus    uint64
	row     *abi.Program
	out     *Effects
	types   []object.UserType

	m         *object.Map
	kptr      *mem.Special // the field in the first argument
	owner     int          // index of the map that holds the timer in the first argument, plus 1
	allocSize int
	maxSize   uint64 // of the last memory argument
	constArg  uint64
	given     given
	fixed     int // ArgFixed… arguments seen
}

// flags demands that the flags, the last argument, are 0 where helpers have none yet.
func (c *checker) flags() fault.Fault {
	n := len(c.p.Args)
	if c.p.Helper == nil || !c.p.Helper.ZeroFlags {
		return nil
	}
	v := c.s.Reg(isa.Reg(n))
	if v.IsNull() {
		c.out.Exact = append(c.out.Exact, isa.Reg(n))
		return nil
	}
	return fault.WrongArgument{Func: c.p.Name, Arg: n, Want: "0", Got: v.String()}
}

func (c *checker) mapRules() fault.Fault {
	if c.m == nil {
		return nil
	}
	if !abi.MapAllowsHelper(c.m.Type, c.p.ID) {
		return fault.MapHelper{Func: c.p.Name, Map: c.m.Name, Type: uint32(c.m.Type)}
	}
	if sockets(c.m.Type) && c.p.Helper.ChangesMap && !abi.MayChangeSockmap(c.row, c.p.ID) {
		return fault.MapHelper{Func: c.p.Name, Map: c.m.Name, Type: uint32(c.m.Type), Program: c.row.Name}
	}
	if c.p.Helper.ChangesMap && (c.m.Frozen || c.m.Flags&abi.MapRdonlyProg != 0) {
		return fault.ReadOnly{Reg: isa.R1, Name: c.m.Name}
	}
	return nil
}

// sockets reports whether a map's values are sockets.
func sockets(t abi.MapType) bool { return t == abi.MapSockmap || t == abi.MapSockhash }

func (c *checker) release() fault.Fault {
	if c.p.Release == 0 || c.out.DropDynptr != 0 {
		return nil
	}
	r := isa.Reg(c.p.Release)
	v := c.s.Reg(r)
	if c.kptr != nil && v.IsNull() {
		return nil
	}
	if v.Ref == 0 || !c.s.Owns(v.Ref) {
		return fault.ReleaseUnowned{Func: c.p.Name, Reg: r, Kind: v.Describe()}
	}
	c.out.Release = v.Ref
	return nil
}
