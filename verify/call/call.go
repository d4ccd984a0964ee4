// Package call judges calls of helpers and kfuncs by their prototypes: who may
// call, which arguments, what the call does to the state.
package call

import (
	"fmt"

	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/mem"
	"github.com/gtrace-dev/gtrace/verify/scalar"
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
	// Callback says how it calls the function that it is given; nil: none.
	Callback *abi.Callback
}

// Rules say who calls: the program and its target.
type Rules struct {
	Program *abi.Program
	License string
	GPL     bool // the license is compatible with the GPL
	Version abi.Version
	Pseudo  bool                // gtrace's pseudo-kfuncs exist
	Kfuncs  map[int32]*btf.Func // kernel functions by BTF id
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
}

// helpers whose numbers end here are all that kernels will ever have.
const lastHelper = 211

// Helper finds the prototype of helper id and judges whether the program may call it.
func Helper(id int32, r *Rules) (*Proto, fault.Fault) {
	if id <= 0 || id > lastHelper {
		return nil, fault.UnknownHelper{ID: id}
	}
	h := abi.HelperByID(id)
	if h == nil || h.Name == "" {
		return nil, fault.Unsupported{What: fmt.Sprintf("helper number %d", id)}
	}
	switch {
	case h.Has(r.Program) && abi.HelperSince(h, r.Program) > r.Version:
		return nil, lateHelper(h, r)
	case !h.Has(r.Program), h.Sleepable:
		return nil, fault.ForbiddenHelper{Func: h.Name, Program: r.Program.Name}
	case h.GPL && !r.GPL:
		return nil, fault.GPLHelper{Func: h.Name, License: r.License}
	case h.Named, unknownRules[id]:
		return nil, fault.Unsupported{What: "helper " + h.Name}
	}
	return &Proto{
		ID: h.ID, Name: h.Name, Args: h.Args, Ret: h.Ret, Acquire: h.AcquiresRef, Release: h.ReleaseArg,
		Lock: h.Lock, UnderLock: h.Lock == abi.DropsLock, Sleeps: h.Sleepable, Callback: h.Callback,
	}, nil
}

// lateHelper says that the target is older than the helper, or than the
// helper in programs of this type.
func lateHelper(h *abi.Helper, r *Rules) fault.Fault {
	since := abi.HelperSince(h, r.Program)
	what := "helper " + h.Name
	if since > h.Since {
		what += " in programs of type " + r.Program.Name
	}
	return fault.Unsupported{What: fmt.Sprintf("%s: the target is Linux %v, it came with %v", what, r.Version, since), Since: since.String()}
}

// Numbers of helpers that have rules of their own.
const (
	mapLookup      = 1
	mapUpdate      = 2
	mapDelete      = 3
	processorID    = 8
	tailCall       = 12
	probeReadStr   = 45
	getStack       = 67
	mapPush        = 87
	mapPop         = 88
	probeUserStr   = 114
	probeKernelStr = 115
	getTaskStack   = 141
	snprintf       = 165
)

// maxCPUs is the most that a kernel can be built for; the kernel itself knows how many there are.
const maxCPUs = 8192

// unknownRules are helpers that the kernel checks beyond their prototype, in ways not known here.
var unknownRules = map[int32]bool{tailCall: true, snprintf: true}

// lengthOrError are helpers that return at most the size they were given, or an error number.
var lengthOrError = map[int32]bool{probeReadStr: true, getStack: true, probeUserStr: true, probeKernelStr: true, getTaskStack: true}

// changesMap are helpers that write to the map.
var changesMap = map[int32]bool{mapUpdate: true, mapDelete: true, mapPush: true, mapPop: true}

// Kfunc finds the prototype of a kfunc.
func Kfunc(id int32, r *Rules) (*Proto, fault.Fault) {
	for i := range abi.Kfuncs {
		if k := &abi.Kfuncs[i]; k.ID == id {
			if !r.Pseudo {
				return nil, fault.Unsupported{What: "kfunc " + k.Name + ": only gtrace's own engine has it"}
			}
			return &Proto{ID: k.ID, Name: k.Name, Args: k.Args, Ret: k.Ret}, nil
		}
	}
	if fn := r.Kfuncs[id]; fn != nil {
		return nil, fault.Unsupported{What: "kfunc " + fn.Name}
	}
	return nil, fault.Unsupported{What: fmt.Sprintf("kfunc with BTF id %d", id)}
}

// Check judges a call of p in state s. types are the types that gtrace_user_cast names.
func Check(s *state.State, l *mem.Layout, p *Proto, insn int, types []object.UserType, r *Rules) (*Effects, fault.Fault) {
	c := &checker{s: s, l: l, p: p, insn: insn, version: r.Version, row: r.Program, out: &Effects{Map: -1}, types: types}
	for i, kind := range p.Args {
		if f := c.argument(i, kind); f != nil {
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
	return c.out, c.result()
}

// checker judges one call.
type checker struct {
	s       *state.State
	l       *mem.Layout
	p       *Proto
	insn    int
	version abi.Version
	row     *abi.Program
	out     *Effects
	types   []object.UserType

	m         *object.Map
	allocSize int
	maxSize   uint64 // of the last memory argument
	constArg  uint64
}

func (c *checker) mapRules() fault.Fault {
	if c.m == nil {
		return nil
	}
	if !abi.MapAllowsHelper(c.m.Type, c.p.ID) {
		return fault.MapHelper{Func: c.p.Name, Map: c.m.Name, Type: uint32(c.m.Type)}
	}
	if sockets(c.m.Type) && changesMap[c.p.ID] && !abi.MayChangeSockmap(c.row, c.p.ID) {
		return fault.MapHelper{Func: c.p.Name, Map: c.m.Name, Type: uint32(c.m.Type), Program: c.row.Name}
	}
	if changesMap[c.p.ID] && (c.m.Frozen || c.m.Flags&abi.MapRdonlyProg != 0) {
		return fault.ReadOnly{Reg: isa.R1, Name: c.m.Name}
	}
	return nil
}

// sockets reports whether a map's values are sockets.
func sockets(t abi.MapType) bool { return t == abi.MapSockmap || t == abi.MapSockhash }

func (c *checker) release() fault.Fault {
	if c.p.Release == 0 {
		return nil
	}
	r := isa.Reg(c.p.Release)
	v := c.s.Reg(r)
	if v.Ref == 0 || !c.s.Owns(v.Ref) {
		return fault.ReleaseUnowned{Func: c.p.Name, Reg: r, Kind: v.Describe()}
	}
	c.out.Release = v.Ref
	return nil
}

// result makes what the call returns.
func (c *checker) result() fault.Fault {
	out := c.out
	switch c.p.Ret {
	case abi.RetVoid:
		out.Ret = state.Reg{}
	case abi.RetInteger:
		out.Ret = state.Number(scalar.Unknown)
		if c.p.ID == processorID && c.version >= abi.V(6, 12) {
			out.Ret = state.Number(scalar.Unsigned(0, maxCPUs-1))
		}
		if lengthOrError[c.p.ID] {
			v := scalar.Signed(-4095, int64(c.maxSize))
			out.Ret = state.Number(v)
		}
	case abi.RetMapValueOrNull:
		return c.mapValue()
	case abi.RetRingMemOrNull:
		out.Ret = state.Pointer(state.RingRecord)
		out.Ret.Size, out.Ret.Nullable = int32(c.allocSize), true
	case abi.RetBTFTask:
		t, err := c.l.KernelStruct("task_struct")
		if err != nil {
			return fault.Unsupported{What: fmt.Sprintf("helper %s: %v", c.p.Name, err)}
		}
		out.Ret = state.Pointer(state.BTF)
		out.Ret.Type, out.Ret.Trust = c.l.Types.ID(state.Kernel, t), state.Trusted
	case abi.RetUserCast:
		if c.constArg >= uint64(len(c.types)) {
			return fault.WrongArgument{Func: c.p.Name, Arg: 2, Want: fmt.Sprintf("the index of one of %d user types", len(c.types)), Got: fmt.Sprint(c.constArg)}
		}
		t := c.types[c.constArg]
		out.Ret = state.Pointer(state.User)
		out.Ret.Type = c.l.Types.ID(t.Space, t.Type)
	default:
		return fault.Unsupported{What: "what " + c.p.Name + " returns"}
	}
	if c.p.Acquire {
		out.Acquire = c.p.Name
	}
	return nil
}

func (c *checker) mapValue() fault.Fault {
	switch c.m.Type {
	case abi.MapArrayOfMaps, abi.MapHashOfMaps:
		in := c.l.Inner[c.out.Map]
		if in < 0 {
			return fault.Unsupported{What: fmt.Sprintf("map %s of maps of which nothing is declared", c.m.Name)}
		}
		c.out.Ret = state.Pointer(state.MapPtr)
		c.out.Ret.Map, c.out.Ret.Nullable = in, true
		return nil
	case abi.MapSockmap, abi.MapSockhash:
		c.out.Ret = state.Pointer(state.Sock)
		c.out.Ret.Nullable, c.out.Acquire = true, c.p.Name
		return nil
	case abi.MapXSKmap:
		c.out.Ret = state.Pointer(state.XDPSock)
		c.out.Ret.Nullable = true
		return nil
	}
	c.out.Ret = state.Pointer(state.MapValue)
	c.out.Ret.Map = int32(c.out.Map)
	c.out.Ret.Nullable = !c.surelyThere()
	c.out.Ret.Distinct = c.l.Field(c.out.Map, abi.SpinLock) != nil || c.l.Field(c.out.Map, abi.ResSpinLock) != nil
	return nil
}

// surelyThere reports whether an array has the element that is looked up: its
// key is a constant below the array's length (since Linux 6.14).
func (c *checker) surelyThere() bool {
	if c.p.ID != mapLookup || c.version < abi.V(6, 14) || c.m.KeySize != 4 || c.m.Flags&abi.MapInnerMap != 0 || (c.m.Type != abi.MapArray && c.m.Type != abi.MapPerCPUArray) {
		return false
	}
	key := c.s.Reg(isa.R2)
	off, ok := key.ConstOff()
	if key.Kind != state.Stack || !ok {
		return false
	}
	f := c.s.Frame(int(key.Frame))
	span := &mem.Span{Frame: int(key.Frame), Lo: int(off), Hi: int(off) + 4}
	if zeroBytes(f, int(off), 4) && c.m.MaxEntries > 0 {
		c.out.Key = span
		return true
	}
	v, ok := f.LoadReg(int(off), 4)
	if !ok || !exactly(f.SlotAt(int(off)), 4) || !v.IsConst() || uint64(uint32(v.Val.Value())) >= uint64(c.m.MaxEntries) {
		return false
	}
	c.out.Key = span
	return true
}

// exactly reports whether the number stored in s has size bytes.
func exactly(s *state.Slot, size int) bool {
	_, n := s.Spilled()
	return n == size
}

// zeroBytes reports whether the bytes were each stored as zero, not as part of a register.
func zeroBytes(f *state.Frame, off, size int) bool {
	for i := off; i < off+size; i++ {
		if f.ByteAt(i) != state.Zero {
			return false
		}
	}
	return true
}
