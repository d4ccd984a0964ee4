package call

import (
	"fmt"

	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/mem"
	"github.com/gtrace-dev/gtrace/verify/scalar"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file judges calls of kernel functions.

// KernelFunc finds the kernel function numbered id and judges whether the
// program may call it. Nil without a fault: gtrace's own functions are meant.
func KernelFunc(id int32, s *state.State, r *Rules) (*Kfunc, fault.Fault) {
	if r.Kernel == nil {
		return nil, nil
	}
	f := r.Kernel.find(id)
	if f == nil {
		return nil, nil
	}
	return f, f.callable(s, r)
}

// kfuncCall judges one call.
type kfuncCall struct {
	checker
	f    *Kfunc
	r    *Rules
	size int // of the memory that is returned, 0 for none
	// sliceSize is the size of the memory of a dynptr that is asked for.
	sliceSize int
	rdwr      bool
	num       uint64 // the constant argument
	ref       uint32 // reference of an argument
}

// CheckKernelFunc judges a call of f in state s.
func CheckKernelFunc(s *state.State, l *mem.Layout, f *Kfunc, insn int, r *Rules) (*Effects, fault.Fault) {
	c := &kfuncCall{f: f, r: r}
	c.checker = checker{s: s, l: l, p: &Proto{Name: f.Name}, insn: insn, version: r.Version, row: r.Program, out: &Effects{Map: -1}}
	for i := range f.Args {
		if f := c.arg(i); f != nil {
			return nil, f
		}
	}
	if f.Release {
		if c.ref == 0 {
			return nil, fault.ReleaseUnowned{Func: f.Name, Reg: isa.R1, Kind: s.Reg(isa.R1).Describe()}
		}
		c.out.Release = c.ref
	}
	if f := c.region(); f != nil {
		return nil, f
	}
	if c.p.Callback = f.Callback; c.p.Callback != nil {
		if f := c.callback(); f != nil {
			return nil, f
		}
	}
	return c.out, c.returns()
}

func (c *kfuncCall) wrong(i int, want string) fault.WrongArgument {
	return fault.WrongArgument{Func: c.f.Name, Arg: i + 1, Want: want, Got: c.s.Reg(isa.Reg(i + 1)).Describe()}
}

// arg judges argument i, counted from 0.
func (c *kfuncCall) arg(i int) fault.Fault {
	a := &c.f.Args[i]
	r := isa.Reg(i + 1)
	v := c.s.Reg(r)
	switch {
	case a.kind == kfIgnored:
		return nil
	case v.Kind == state.Uninit:
		return fault.UninitRegister{Reg: r}
	case a.kind <= kfConstSize:
		return c.number(i, a, r, v)
	}
	if a.kind == kfUnknown {
		return fault.Unsupported{What: "kfunc " + c.f.Name}
	}
	if (c.f.Trusted || c.f.RCU) && (v.IsNull() || v.Nullable) && !a.nullable {
		return fault.Untrusted{Func: c.f.Name, Arg: i + 1, Got: v.Describe(), Null: true}
	}
	if v.Kind.Pointer() && v.Ref != 0 {
		if c.f.Release && c.ref != 0 {
			return fault.Unsupported{What: "two references as arguments of " + c.f.Name}
		}
		c.ref = v.Ref
	}
	if a.nullable && v.IsNull() {
		return nil
	}
	switch a.kind {
	case kfCtx:
		if v.Kind != state.Ctx {
			return c.wrong(i, "the context")
		}
		return unmoved(r, v)
	case kfIter:
		return c.iter(i, a, r, v)
	case kfIRQFlag:
		return c.irqFlag(i, r, v)
	case kfMap:
		return c.mapPtr(i, v)
	case kfWorkQueue:
		return c.workQueue(r, v, c.wrong(i, "a bpf_wq in a map's value"))
	case kfLock:
		return c.resLock(r, v, c.wrong(i, "a bpf_res_spin_lock in a map's value"))
	case kfFunc:
		if v.Kind != state.Func {
			return c.wrong(i, "the address of a function")
		}
		return nil
	case kfDynptr:
		return c.dynptr(r, v, true)
	case kfNewDynptr:
		return c.newDynptr(r, v, c.f.Dynptr)
	case kfConstString:
		return c.constString(r, v, c.wrong(i, "a constant string"))
	}
	if typed(v) {
		return c.object(i, a, r, v)
	}
	return c.memory(i, a, r, v)
}

// number judges an argument that is no pointer.
func (c *kfuncCall) number(i int, a *kfuncArg, r isa.Reg, v *state.Reg) fault.Fault {
	if v.Kind != state.Scalar {
		return c.wrong(i, "a number")
	}
	switch a.kind {
	case kfNumber, kfSize: // a size was judged with its memory
		return nil
	}
	if !v.Val.IsConst() {
		return fault.WrongSize{Func: c.f.Name, Arg: i + 1, Value: fault.Span{Lo: v.Val.SMin, Hi: v.Val.SMax}, Reason: fault.SizeVariable}
	}
	c.out.Exact = append(c.out.Exact, r)
	switch a.kind {
	case kfConst:
		c.num = v.Val.Value()
	case kfConstSize:
		if v.Val.Value() >= maxSize {
			return fault.Unsupported{What: fmt.Sprintf("%s of %d bytes", c.f.Name, v.Val.Value())}
		}
		c.sliceSize = int(v.Val.Value())
	case kfRdonlySize, kfRdwrSize:
		if v.Val.Value() >= maxSize {
			return fault.Unsupported{What: fmt.Sprintf("%s of %d bytes", c.f.Name, v.Val.Value())}
		}
		c.size, c.rdwr = int(v.Val.Value()), a.kind == kfRdwrSize
	}
	return nil
}

// socketTypes are the kernel's structs behind pointers to sockets and maps.
var socketTypes = map[state.Kind]string{state.Sock: "sock", state.SockCommon: "sock_common", state.TCPSock: "tcp_sock", state.MapPtr: "bpf_map"}

func (c *kfuncCall) mapPtr(i int, v *state.Reg) fault.Fault {
	wrong := c.wrong(i, "a map")
	if v.Kind == state.BTF && c.f.Trusted { // a map by the kernel's structure of it
		return c.object(i, &kfuncArg{target: &btf.Struct{Name: "bpf_map"}}, isa.Reg(i+1), v)
	}
	if v.Kind != state.MapPtr || v.Nullable {
		return wrong
	}
	c.out.Map = int(v.Map)
	return c.owned(v, wrong)
}

// typed reports whether v points to a typed kernel object.
func typed(v *state.Reg) bool { return v.Kind == state.BTF || socketTypes[v.Kind] != "" }

// object judges a typed kernel object.
func (c *kfuncCall) object(i int, a *kfuncArg, r isa.Reg, v *state.Reg) fault.Fault {
	want, ok := a.target.(*btf.Struct)
	if !ok {
		return fault.Unsupported{What: fmt.Sprintf("typed kernel memory as argument %d of %s", i+1, c.f.Name)}
	}
	name := want.Name
	if p := abi.Projections[name]; p != "" {
		name = p
	}
	strict := c.f.Acquire || c.f.Release && v.Ref != 0
	trusted := v.Ref != 0 || v.Kind != state.BTF || v.Trust == state.Trusted && v.Tagged == state.NoTag
	demand := c.f.Trusted || c.f.RCU
	if demand && !trusted && !(c.f.RCU && v.Trust == state.RCU && v.Tagged == state.NoTag) {
		return fault.Untrusted{Func: c.f.Name, Arg: i + 1, Got: v.Describe(), RCU: c.f.RCU}
	}
	wrong := c.wrong(i, "a pointer to struct "+name)
	if v.Kind == state.BTF && (v.Trust == state.Untrusted || v.Tagged != state.NoTag) || v.Nullable && demand && !a.nullable {
		return wrong
	}
	if off, ok := v.ConstOff(); !ok || off != 0 && (v.Kind != state.BTF || c.f.Release && v.Ref != 0) {
		return fault.PointerOffset{Reg: r, Kind: v.Describe(), Off: v.Span(0)}
	}
	if v.Kind != state.BTF {
		if strict && name != socketTypes[v.Kind] {
			return wrong
		}
		t, err := c.l.KernelStruct(socketTypes[v.Kind])
		if err != nil || !mem.StructAt(t, 0, name) {
			return wrong
		}
		return nil
	}
	have, ok := c.l.Types.At(v.Type).Type.(*btf.Struct)
	if strict || ok && halfMade(have.Name, name) {
		if !ok || have.Name != name || v.Off != 0 {
			wrong.Got = "a pointer to " + c.l.Types.Name(v.Type)
			return wrong
		}
		return nil
	}
	return c.holds(r, v, name, wrong)
}

// halfMade reports whether one of two structs stands for the other while that
// is not initialised: programs can't take one for the other.
func halfMade(a, b string) bool {
	const suffix = "___init"
	return a == b+suffix || b == a+suffix
}

// memory judges plain memory that the function may read and write.
func (c *kfuncCall) memory(i int, a *kfuncArg, r isa.Reg, v *state.Reg) fault.Fault {
	_, void := a.target.(*btf.Void)
	if !a.plain && !(a.sized && void) {
		return c.wrong(i, "a pointer to "+state.TypeName(a.target))
	}
	if a.sized {
		return c.sizedMemory(i, a, r, v)
	}
	if v.IsNull() {
		return nil
	}
	if a.size == 0 {
		return fault.Unsupported{What: fmt.Sprintf("argument %d of %s, memory without a size", i+1, c.f.Name)}
	}
	return c.readWrite(i, r, v, a.size)
}

func (c *kfuncCall) sizedMemory(i int, a *kfuncArg, r isa.Reg, v *state.Reg) fault.Fault {
	n := c.s.Reg(r + 1)
	if n.Kind == state.Uninit {
		return fault.UninitRegister{Reg: r + 1}
	}
	if n.Kind != state.Scalar {
		return c.wrong(i+1, "a number")
	}
	bad := fault.WrongSize{Func: c.f.Name, Arg: i + 2, Value: fault.Span{Lo: n.Val.SMin, Hi: n.Val.SMax}}
	switch {
	case n.Val.SMin < 0:
		bad.Reason = fault.SizeNegative
		return bad
	case n.Val.UMax >= maxSize:
		bad.Reason = fault.SizeUnbounded
		return bad
	}
	c.out.Exact = append(c.out.Exact, r+1)
	if v.IsNull() {
		if a.nullable || n.Val.UMax == 0 {
			return nil
		}
		return c.wrong(i, "a pointer to memory")
	}
	return c.readWrite(i, r, v, int(n.Val.UMax))
}

func (c *kfuncCall) readWrite(i int, r isa.Reg, v *state.Reg, size int) fault.Fault {
	w := *v
	if v.Nullable { // what matters is what it points to when it is not NULL
		nn := w
		nn.Nullable = false
		c.s.Set(r, nn)
		defer c.s.Set(r, w)
	}
	switch {
	case v.Kind == state.Scalar, !mem.Takes(v.Kind) && v.Kind != state.Packet && v.Kind != state.PacketMeta:
		return c.wrong(i, "a pointer to memory")
	}
	for _, write := range [...]bool{false, true} {
		if f := c.block(mem.Block{Base: r, Size: size, Write: write}); f != nil {
			return f
		}
	}
	return nil
}

// returns makes what the call returns.
func (c *kfuncCall) returns() fault.Fault {
	out := c.out
	f := c.f
	switch {
	case f.Slice:
		return c.dynptrSlice()
	case f.RDOnlyCast:
		return c.rdonlyCast()
	case f.CastCtx:
		return c.castCtx()
	case f.Iter == abi.IterNext:
		return c.element()
	}
	switch t := f.ret.(type) {
	case *btf.Void:
		out.Ret = state.Reg{}
		return nil
	case *btf.Pointer:
		return c.pointerTo(state.Strip(t.Target))
	}
	if f.Acquire || !number(f.ret) {
		return fault.Unsupported{What: "what kfunc " + f.Name + " returns"}
	}
	out.Ret = state.Number(scalar.Unknown)
	if f.Lock == abi.TakesLock { // 0: the walk takes the other way as well
		out.Ret = state.Constant(0)
	}
	return nil
}

// pointerTo makes a returned pointer.
func (c *kfuncCall) pointerTo(t btf.Type) fault.Fault {
	f, out := c.f, c.out
	if st, ok := t.(*btf.Struct); ok {
		out.Ret = state.Pointer(state.BTF)
		out.Ret.Type = c.l.Types.ID(state.Kernel, st)
		switch {
		case f.RetUntrusted:
			out.Ret.Trust = state.Untrusted
		case f.RCUProtected:
			out.Ret.Trust = state.RCU
		case f.Acquire:
			out.Ret.Trust = state.Trusted
		}
		out.Ret.Nullable = f.RetNull
		if f.Acquire {
			out.Acquire = f.Name
		}
		return nil
	}
	if f.Acquire {
		return fault.Unsupported{What: "what kfunc " + f.Name + " returns"}
	}
	size, rdwr := c.size, c.rdwr || f.RetWritable
	if size == 0 {
		if _, void := t.(*btf.Void); void {
			return fault.Unsupported{What: "what kfunc " + f.Name + " returns"}
		}
		n, err := btf.Sizeof(t)
		if err != nil {
			return fault.Unsupported{What: "what kfunc " + f.Name + " returns"}
		}
		size = n
	}
	out.Ret = state.Pointer(state.Mem)
	out.Ret.Size, out.Ret.ReadOnly, out.Ret.Nullable, out.Ret.Ref = int32(size), !rdwr, f.RetNull, c.ref
	if f.RetNull && c.ref != 0 {
		return fault.Unsupported{What: "what kfunc " + f.Name + " returns"}
	}
	return nil
}

// untrustedMem is the release that has memory of no known size, which may only be read.
var untrustedMem = abi.V(6, 17)

// rdonlyCast gives the first argument the type that the second one numbers.
func (c *kfuncCall) rdonlyCast() fault.Fault {
	t, err := c.l.KernelType(uint32(c.num))
	if err != nil {
		return c.wrong(1, "the number of one of the kernel's types")
	}
	switch t := t.(type) {
	case *btf.Struct, *btf.Union:
		c.out.Ret = state.Pointer(state.BTF)
		c.out.Ret.Type = c.l.Types.ID(state.Kernel, t)
	case *btf.Void:
		if c.version < untrustedMem {
			return fault.Unsupported{What: "bpf_rdonly_cast to void: the target is older than Linux " + untrustedMem.String()}
		}
		c.out.Ret = state.Untyped()
	default:
		return c.wrong(1, "the number of one of the kernel's structs, or 0")
	}
	c.out.Ret.Trust = state.Untrusted
	return nil
}

// castCtx gives the context as the kernel's own type.
func (c *kfuncCall) castCtx() fault.Fault {
	st, ok := state.Strip(c.r.Kernel.KernelCtx).(*btf.Struct)
	if !ok {
		return fault.Unsupported{What: "bpf_cast_to_kern_ctx in programs of type " + c.r.Program.Name}
	}
	c.out.Ret = state.Pointer(state.BTF)
	c.out.Ret.Type, c.out.Ret.Trust = c.l.Types.ID(state.Kernel, st), state.Trusted
	return nil
}
