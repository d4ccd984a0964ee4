package call

import (
	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file judges the exchange of pointers to kernel objects that map values own.

// kptrField requires that argument r points to such a pointer in a map's value.
func (c *checker) kptrField(r isa.Reg, v *state.Reg, wrong fault.WrongArgument) fault.Fault {
	if v.Kind == state.BTF && v.Ref != 0 {
		return fault.Unsupported{What: "kernel pointers in allocated objects"}
	}
	if v.Kind != state.MapValue || v.Nullable {
		return wrong
	}
	off, ok := v.ConstOff()
	if !ok {
		return fault.PointerOffset{Reg: r, Kind: v.Describe(), Off: v.Span(0), Variable: true}
	}
	bad := fault.KptrType{Reg: r, Map: c.l.Maps[v.Map].Name, Off: off}
	fields := c.l.Special[v.Map]
	for i := range fields {
		f := &fields[i]
		if int64(f.Off) != off || !f.Kind.Pointer() {
			continue
		}
		if f.Kind != abi.KptrRef && f.Kind != abi.KptrPerCPU {
			bad.Want, bad.Reason = f.Name, fault.KptrUnowned
			return bad
		}
		if f.Kind == abi.KptrPerCPU || c.kptrType(f.Target) == nil {
			return fault.Unsupported{What: "exchange of a " + f.Name + " to " + state.TypeName(f.Target)}
		}
		c.kptr = f
		return nil
	}
	return bad
}

// kptrType is the kernel's type that a pointer in a map's value points to; nil for one of the program's own.
func (c *checker) kptrType(t btf.Type) btf.Type {
	st, ok := t.(*btf.Struct)
	if !ok {
		return nil
	}
	k, err := c.l.KernelStruct(st.Name)
	if err != nil {
		return nil
	}
	return k
}

// kptrValue requires NULL, or a reference that the field's type takes.
func (c *checker) kptrValue(r isa.Reg, v *state.Reg, wrong fault.WrongArgument) fault.Fault {
	if v.IsNull() {
		return nil
	}
	switch {
	case v.Kind != state.BTF:
		return wrong
	case v.Nullable:
		return fault.Untrusted{Func: c.p.Name, Arg: int(r), Got: v.Describe(), Null: true}
	case v.Ref == 0:
		return fault.ReleaseUnowned{Func: c.p.Name, Reg: r, Kind: v.Describe()}
	case v.Trust == state.Untrusted || v.Tagged != state.NoTag:
		return wrong
	}
	want := c.kptrType(c.kptr.Target)
	if v.Type != c.l.Types.ID(state.Kernel, want) {
		wrong.Want, wrong.Got = "a pointer to "+state.TypeName(want), "a pointer to "+c.l.Types.Name(v.Type)
		return wrong
	}
	return unmoved(r, v)
}

// kptrResult is what the field held: now the program owns it.
func (c *checker) kptrResult() fault.Fault {
	c.out.Ret = state.Pointer(state.BTF)
	c.out.Ret.Type = c.l.Types.ID(state.Kernel, c.kptrType(c.kptr.Target))
	c.out.Ret.Trust, c.out.Ret.Nullable = state.Trusted, true
	c.out.Acquire = c.p.Name
	return nil
}
