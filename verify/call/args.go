package call

import (
	"bytes"
	"fmt"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/mem"
	"github.com/gtrace-dev/gtrace/verify/state"
	"github.com/gtrace-dev/gtrace/verify/tnum"
)

// This file judges arguments.

// maxSize is the most memory that a call may access.
const maxSize = 1 << 29

var wants = map[abi.ArgKind]string{
	abi.ArgConstMapPtr: "a map", abi.ArgMapKey: "a pointer to a key", abi.ArgMapValue: "a pointer to a value",
	abi.ArgUninitMapValue: "a pointer to memory for a value", abi.ArgMem: "a pointer to memory", abi.ArgMemOrNull: "a pointer to memory or NULL",
	abi.ArgUninitMem: "a pointer to memory", abi.ArgUninitMemOrNull: "a pointer to memory or NULL", abi.ArgUninitU64: "a pointer to 8 bytes of memory",
	abi.ArgConstSize: "a number", abi.ArgConstSizeOrZero: "a number", abi.ArgConstAllocSize: "a constant number", abi.ArgConst: "a constant number",
	abi.ArgCtx: "the context", abi.ArgRingMem: "a reserved ring buffer record", abi.ArgConstStr: "a constant string", abi.ArgBTF: "a typed pointer to struct ", abi.ArgBTFOrNull: "NULL or a typed pointer to struct ",
	abi.ArgWritableMem: "a pointer to memory that may be written", abi.ArgFixedMem: "a pointer to memory", abi.ArgFixedWritableMem: "a pointer to memory that may be written",
	abi.ArgMapValueOrNull: "a pointer to a value or NULL", abi.ArgCtxOrNull: "the context or NULL", abi.ArgSockCommon: "a socket",
	abi.ArgSockOrNull: "a full socket or NULL", abi.ArgAnySock: "a socket", abi.ArgAnySockOrNull: "a socket or NULL", abi.ArgPerCPU: "a per-CPU variable",
	abi.ArgSpinLock: "a pointer to the struct bpf_spin_lock in a map's value", abi.ArgTimer: "a bpf_timer", abi.ArgKptr: "a field for a kernel pointer", abi.ArgKptrValue: "an owned kernel pointer or NULL",
	abi.ArgDynptr: "a dynptr", abi.ArgUninitDynptr: "stack for a dynptr", abi.ArgRingDynptr: "a dynptr of a ring buffer's record",
	abi.ArgFuncPtr: "the address of a function", abi.ArgStackOrNull: "a pointer to the stack or NULL",
}

// orNull are the kinds of arguments that may be NULL, or a pointer that may be.
var orNull = map[abi.ArgKind]bool{
	abi.ArgMemOrNull: true, abi.ArgUninitMemOrNull: true, abi.ArgMapValueOrNull: true, abi.ArgCtxOrNull: true, abi.ArgBTFOrNull: true,
	abi.ArgSockOrNull: true, abi.ArgAnySockOrNull: true,
}

// argument judges argument i, counted from 0.
func (c *checker) argument(i int, kind abi.ArgKind) fault.Fault {
	r := isa.Reg(i + 1)
	v := c.s.Reg(r)
	if kind != abi.ArgNone && v.Kind == state.Uninit {
		return fault.UninitRegister{Reg: r}
	}
	wrong := fault.WrongArgument{Func: c.p.Name, Arg: i + 1, Want: wants[kind], Got: v.Describe()}
	if orNull[kind] && v.IsNull() {
		return nil
	}
	if v.Kind.InPacket() && kind != abi.ArgNone && kind != abi.ArgAnything {
		if f := c.packet(i, r); f != nil {
			return f
		}
	}
	switch kind {
	case abi.ArgNone:
		return nil
	case abi.ArgAnything:
		if v.Kind.Pointer() && !c.l.PointerLeaks {
			return fault.PointerLeak{Reg: r, Kind: v.Describe(), Reason: fault.LeakArgument}
		}
		return nil
	case abi.ArgConstMapPtr:
		if v.Kind != state.MapPtr || v.Nullable {
			return wrong
		}
		if f := c.owned(v, wrong); f != nil {
			return f
		}
		c.out.Map, c.m = int(v.Map), c.l.Maps[v.Map]
		return nil
	case abi.ArgMapKey, abi.ArgMapValue, abi.ArgMapValueOrNull, abi.ArgUninitMapValue:
		return c.mapMemory(r, v, kind, wrong)
	case abi.ArgMem, abi.ArgUninitMem, abi.ArgWritableMem, abi.ArgMemOrNull, abi.ArgUninitMemOrNull:
		return c.pointer(v, kind, wrong)
	case abi.ArgConstSize, abi.ArgConstSizeOrZero:
		return c.size(i, r, v, kind, wrong)
	case abi.ArgUninitU64, abi.ArgFixedMem, abi.ArgFixedWritableMem:
		return c.fixedMem(r, v, kind, wrong)
	case abi.ArgConstAllocSize, abi.ArgConst:
		return c.constant(r, v, kind, wrong)
	}
	return c.special(r, v, kind, wrong)
}

// fixedMem judges memory of a size that the prototype says.
func (c *checker) fixedMem(r isa.Reg, v *state.Reg, kind abi.ArgKind, wrong fault.WrongArgument) fault.Fault {
	if f := c.pointer(v, kind, wrong); f != nil {
		return f
	}
	b := mem.Block{Base: r, Size: 8, Write: kind != abi.ArgFixedMem, Fresh: kind == abi.ArgUninitU64}
	if kind != abi.ArgUninitU64 {
		b.Size = c.p.Helper.Sizes[c.fixed]
		c.fixed++
	}
	if f := c.block(b); f != nil || !b.Write {
		return f
	}
	at := v.Val.Bits.Add(tnum.Const(uint64(int64(v.Off))))
	if (at.Value|at.Mask)&uint64(b.Size-1) != 0 {
		return fault.Misaligned{Reg: r, Kind: v.Describe(), Off: v.Span(0), Size: int64(b.Size)}
	}
	return nil
}

// constant requires a number that is known.
func (c *checker) constant(r isa.Reg, v *state.Reg, kind abi.ArgKind, wrong fault.WrongArgument) fault.Fault {
	if v.Kind != state.Scalar {
		return wrong
	}
	if !v.Val.IsConst() {
		return fault.WrongSize{Func: c.p.Name, Arg: int(r), Value: fault.Span{Lo: v.Val.SMin, Hi: v.Val.SMax}, Reason: fault.SizeVariable}
	}
	c.out.Exact = append(c.out.Exact, r)
	c.constArg = v.Val.Value()
	if kind == abi.ArgConstAllocSize {
		if v.Val.Value() >= 1<<31 {
			return fault.Unsupported{What: fmt.Sprintf("%s of %d bytes", c.p.Name, v.Val.Value())}
		}
		c.allocSize = int(v.Val.Value())
	}
	return nil
}

// special judges the kinds of arguments that are no plain memory.
func (c *checker) special(r isa.Reg, v *state.Reg, kind abi.ArgKind, wrong fault.WrongArgument) fault.Fault {
	switch kind {
	case abi.ArgCtx, abi.ArgCtxOrNull:
		if v.Kind != state.Ctx {
			return wrong
		}
		if off, ok := v.ConstOff(); !ok || off != 0 {
			return fault.CtxModified{Reg: r, Off: v.Span(0), Variable: !ok}
		}
		return nil
	case abi.ArgRingMem:
		if v.Kind != state.RingRecord || v.Nullable {
			return wrong
		}
		return unmoved(r, v)
	case abi.ArgConstStr:
		return c.constString(r, v, wrong)
	case abi.ArgBTF, abi.ArgBTFOrNull, abi.ArgPerCPU:
		return c.kernelObject(r, v, kind, wrong)
	case abi.ArgSockCommon, abi.ArgSockOrNull, abi.ArgAnySock, abi.ArgAnySockOrNull:
		return c.socket(r, v, kind, wrong)
	case abi.ArgSpinLock:
		return c.spinLock(r, v, wrong)
	case abi.ArgDynptr, abi.ArgRingDynptr, abi.ArgUninitDynptr:
		return c.anyDynptr(r, v, kind, wrong)
	case abi.ArgTimer:
		return c.timer(r, v, wrong)
	case abi.ArgKptr:
		return c.kptrField(r, v, wrong)
	case abi.ArgKptrValue:
		return c.kptrValue(r, v, wrong)
	case abi.ArgFuncPtr:
		if v.Kind != state.Func {
			return wrong
		}
		return nil
	case abi.ArgStackOrNull:
		if v.Kind != state.Stack && !v.IsNull() {
			return wrong
		}
		return nil
	}
	return fault.Unsupported{What: fmt.Sprintf("argument %d of %s, %s", r, c.p.Name, wants[kind])}
}

// packet judges a packet pointer as an argument, whatever is wanted.
func (c *checker) packet(i int, r isa.Reg) fault.Fault {
	rights := c.row.Packet()
	switch {
	case rights == abi.PacketNone:
		return fault.PacketArgument{Func: c.p.Name, Arg: i + 1, Reg: r, Program: c.row.Name}
	case rights != abi.PacketBuffer && c.p.Helper != nil && !c.p.Helper.PacketAccess:
		return fault.PacketArgument{Func: c.p.Name, Arg: i + 1, Reg: r}
	}
	return nil
}

// anyDynptr judges a dynptr, or stack for one.
func (c *checker) anyDynptr(r isa.Reg, v *state.Reg, kind abi.ArgKind, wrong fault.WrongArgument) fault.Fault {
	switch {
	case v.Kind != state.Stack && v.Kind != state.ConstDynptr:
		return wrong
	case kind == abi.ArgDynptr:
		return c.dynptr(r, v, true)
	case kind == abi.ArgRingDynptr:
		return c.ringDynptr(r, v)
	}
	return c.newDynptr(r, v, c.p.Helper.Dynptr)
}

func unmoved(r isa.Reg, v *state.Reg) fault.Fault {
	off, ok := v.ConstOff()
	if !ok || off != 0 {
		return fault.PointerOffset{Reg: r, Kind: v.Describe(), Off: v.Span(0)}
	}
	return nil
}

// pointer requires a pointer to memory that calls can access.
func (c *checker) pointer(v *state.Reg, kind abi.ArgKind, wrong fault.WrongArgument) fault.Fault {
	switch {
	case v.Kind == state.BTF && v.Trust == state.Trusted && v.Tagged == state.NoTag && !v.Nullable && onlyReads(kind) && c.takesTyped():
		return nil
	case !mem.Takes(v.Kind), v.Nullable && !orNull[kind], v.Kind == state.Mem && v.Trust == state.Untrusted:
		return wrong
	case v.ReadOnly && !onlyReads(kind):
		return wrong
	}
	return nil
}

// takesTyped reports whether the function takes typed kernel memory where it reads.
func (c *checker) takesTyped() bool { return c.p.Helper == nil || c.p.Helper.TakesTyped(c.version) }

// onlyReads reports whether helpers promise not to write to memory of this kind.
func onlyReads(kind abi.ArgKind) bool {
	switch kind {
	case abi.ArgMem, abi.ArgMemOrNull, abi.ArgFixedMem:
		return true
	}
	return false
}

func (c *checker) block(b mem.Block) fault.Fault {
	w, f := c.l.Block(c.s, b)
	c.out.Stack = append(c.out.Stack, w...)
	return f
}

// anyMapMemory is the release from which on keys and values of maps may lie in
// any memory, not on the stack, in packets and in maps only.
var anyMapMemory = abi.V(6, 2)

func (c *checker) mapMemory(r isa.Reg, v *state.Reg, kind abi.ArgKind, wrong fault.WrongArgument) fault.Fault {
	if kind == abi.ArgMapValue && sockets(c.m.Type) {
		return c.socket(r, v, abi.ArgAnySock, wrong)
	}
	if f := c.pointer(v, kind, wrong); f != nil {
		return f
	}
	if (v.Kind == state.Mem || v.Kind == state.RingRecord || v.Kind == state.Buffer) && c.version < anyMapMemory {
		return wrong
	}
	b := mem.Block{Base: r, Size: int(c.m.ValueSize), OrNull: orNull[kind]}
	switch kind {
	case abi.ArgMapKey:
		b.Size = int(c.m.KeySize)
	case abi.ArgUninitMapValue:
		b.Write = c.m.Type != abi.MapBloom // which reads the value that it looks for
		b.Fresh = b.Write
	}
	if b.Size == 0 {
		return fault.WrongKey{Func: c.p.Name, Map: c.m.Name}
	}
	return c.block(b)
}

// size judges a size and the memory in the argument before it.
func (c *checker) size(i int, r isa.Reg, v *state.Reg, kind abi.ArgKind, wrong fault.WrongArgument) fault.Fault {
	if v.Kind != state.Scalar {
		return wrong
	}
	bad := fault.WrongSize{Func: c.p.Name, Arg: i + 1, Value: fault.Span{Lo: v.Val.SMin, Hi: v.Val.SMax}}
	switch {
	case v.Val.SMin < 0:
		bad.Reason = fault.SizeNegative
		return bad
	case v.Val.UMin == 0 && kind == abi.ArgConstSize:
		bad.Reason = fault.SizeZero
		return bad
	case v.Val.UMax >= maxSize:
		bad.Reason = fault.SizeUnbounded
		return bad
	}
	c.out.Exact = append(c.out.Exact, r)
	c.maxSize = v.Val.UMax
	base := c.s.Reg(r - 1)
	if base.IsNull() {
		if v.Val.UMax == 0 {
			return nil
		}
		return fault.WrongArgument{Func: c.p.Name, Arg: i, Want: wants[abi.ArgMem], Got: "NULL with a size that may be above 0"}
	}
	before := c.p.Args[i-1]
	fresh := before == abi.ArgUninitMem || before == abi.ArgUninitMemOrNull
	write := fresh || before == abi.ArgWritableMem
	return c.block(mem.Block{Base: r - 1, Size: int(v.Val.UMax), OrNull: orNull[before], Write: write, Fresh: fresh && v.Val.IsConst()})
}

// constString requires a NUL-terminated string in global data that never changes.
func (c *checker) constString(r isa.Reg, v *state.Reg, wrong fault.WrongArgument) fault.Fault {
	if v.Kind != state.MapValue || v.Nullable {
		return wrong
	}
	m := c.l.Maps[v.Map]
	off, ok := v.ConstOff()
	if !m.Frozen || m.Section == "" {
		wrong.Got = "a value of a map that may change"
		return wrong
	}
	if !ok {
		return fault.PointerOffset{Reg: r, Kind: v.Describe(), Off: v.Span(0), Variable: true}
	}
	if off < 0 || off >= int64(len(m.Data)) || bytes.IndexByte(m.Data[off:], 0) < 0 {
		wrong.Got = "a string without an end"
		return wrong
	}
	return nil
}
