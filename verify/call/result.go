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

// This file makes what calls return.

// result makes what the call returns.
func (c *checker) result() fault.Fault {
	out := c.out
	switch c.p.Ret {
	case abi.RetVoid:
		out.Ret = state.Reg{}
	case abi.RetInteger:
		out.Ret = state.Number(scalar.Unknown)
		if c.p.Helper != nil && c.p.Helper.CPUNumber && c.version >= abi.V(6, 12) {
			out.Ret = state.Number(scalar.Unsigned(0, c.cpus-1))
		}
		if c.p.Helper != nil && c.p.Helper.LengthOrError {
			v := scalar.Signed(-4095, int64(c.maxSize))
			out.Ret = state.Number(v)
		}
	case abi.RetMapValueOrNull:
		return c.mapValue()
	case abi.RetRingMemOrNull:
		out.Ret = state.Pointer(state.RingRecord)
		out.Ret.Size, out.Ret.Nullable = int32(c.allocSize), true
	case abi.RetDynptrMemOrNull:
		out.Ret = c.slice(c.allocSize)
	case abi.RetMapValue:
		out.Ret = state.Pointer(state.MapValue)
		out.Ret.Map = int32(out.Map)
	case abi.RetBTF, abi.RetBTFOrNull, abi.RetBTFTrusted:
		return c.typed()
	case abi.RetSockOrNull:
		c.pointsTo(state.Sock)
	case abi.RetSockCommonOrNull:
		c.pointsTo(state.SockCommon)
	case abi.RetTCPSockOrNull:
		c.pointsTo(state.TCPSock)
	case abi.RetKptrOrNull:
		return c.kptrResult()
	case abi.RetPerCPU, abi.RetPerCPUOrNull:
		return c.perCPU()
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

// pointsTo makes a nullable result of kind k; a cast stands for its argument's reference.
func (c *checker) pointsTo(k state.Kind) {
	c.out.Ret = state.Pointer(k)
	c.out.Ret.Nullable = true
	c.castRef()
}

func (c *checker) castRef() {
	if n := c.p.Helper.CastArg; n != 0 {
		c.out.Ret.Ref = c.s.Reg(isa.Reg(n)).Ref
	}
}

// typed makes a pointer to the kernel struct that the prototype names.
func (c *checker) typed() fault.Fault {
	t, err := c.l.KernelStruct(c.p.Helper.RetType)
	if err != nil {
		return fault.Unsupported{What: fmt.Sprintf("helper %s: %v", c.p.Name, err)}
	}
	c.out.Ret = state.Pointer(state.BTF)
	c.out.Ret.Type = c.l.Types.ID(state.Kernel, t)
	c.out.Ret.Nullable = c.p.Ret == abi.RetBTFOrNull
	if c.p.Ret == abi.RetBTFTrusted {
		c.out.Ret.Trust = state.Trusted
	}
	c.castRef()
	return nil
}

// perCPU makes a CPU's instance of the variable in the first argument.
func (c *checker) perCPU() fault.Fault {
	arg := c.s.Reg(isa.R1)
	if arg.Trust == state.RCU {
		return fault.Unsupported{What: "allocated per-CPU objects"}
	}
	t := c.l.Types.At(arg.Type).Type
	nullable := c.p.Ret == abi.RetPerCPUOrNull
	switch state.Strip(t).(type) {
	case *btf.Struct, *btf.Union:
		c.out.Ret = state.Pointer(state.BTF)
		c.out.Ret.Type, c.out.Ret.Nullable = arg.Type, nullable
		return nil
	}
	size, err := btf.Sizeof(t)
	if err != nil {
		return fault.Unsupported{What: fmt.Sprintf("helper %s: %v", c.p.Name, err)}
	}
	c.out.Ret = state.Pointer(state.Mem)
	c.out.Ret.Size, c.out.Ret.ReadOnly, c.out.Ret.Nullable = int32(size), true, nullable
	return nil
}

func (c *checker) mapValue() fault.Fault {
	switch c.m.Type {
	case abi.MapArrayOfMaps, abi.MapHashOfMaps:
		return c.innerMap()
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

// innerMap makes the map that is the value of a map of maps.
func (c *checker) innerMap() fault.Fault {
	inner := c.l.Inner[c.out.Map]
	if inner < 0 {
		return fault.Unsupported{What: fmt.Sprintf("map %s of maps of which nothing is declared", c.m.Name)}
	}
	c.out.Ret = state.Pointer(state.MapPtr)
	c.out.Ret.Map, c.out.Ret.Nullable = inner, true
	return nil
}

// surelyThere reports whether an array has the element that is looked up: its
// key is a constant below the array's length (since Linux 6.14).
func (c *checker) surelyThere() bool {
	if !c.p.Helper.FindsKnown || c.version < abi.V(6, 14) || c.m.KeySize != 4 || c.m.Flags&abi.MapInnerMap != 0 || (c.m.Type != abi.MapArray && c.m.Type != abi.MapPerCPUArray) {
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
	if p := upperHalf(f, int(off)); p != nil {
		// The kernel takes the upper half of a stored number for all of it, which is in bounds only where that half is 0.
		if !p.IsConst() {
			return false
		}
		c.out.Key = span
		return p.Val.Value() < uint64(c.m.MaxEntries)
	}
	if !ok || !exactly(f.SlotAt(int(off)), 4) || !v.IsConst() {
		return false
	}
	c.out.Key = span // the verdict rests on a key that is known, be it in bounds or not
	return uint64(uint32(v.Val.Value())) < uint64(c.m.MaxEntries)
}

// upperHalf is the register of whose eight bytes on the stack the upper four are at off; nil for none.
func upperHalf(f *state.Frame, off int) *state.Reg {
	s := f.SlotAt(off)
	if s == nil || off&7 != 4 {
		return nil
	}
	p, n := s.Spilled()
	if n != state.SlotSize {
		return nil
	}
	return p
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
