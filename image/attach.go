package image

// Defines how the context of a program is typed by what it is attached to.

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/abi"
)

// contextTypes finds the prototype that types the arguments of a program with abi.Context.BTFArgs.
func contextTypes(a abi.Attach, t *Target) (*btf.FuncProto, error) {
	p := abi.ProgramFor(a)
	if p == nil || !p.Context.BTFArgs {
		return nil, nil
	}
	if a.Target == "" {
		return nil, errors.New("the program has no attach target: its section must name one, as in tp_btf/sched_process_exec")
	}
	spec, err := t.btf("attach target " + a.Target)
	if err != nil {
		return nil, err
	}
	name := a.Target
	switch {
	case a.Type == abi.StructOps:
		return memberTypes(spec, name, t)
	case a.Type == abi.LSM:
		name = "bpf_lsm_" + name
	case a.Expected == abi.AttachTraceRawTp:
		return tracepointTypes(spec, name, t)
	case a.Expected == abi.AttachTraceIter:
		name = "bpf_iter_" + name
	}
	var fn *btf.Func
	if err := spec.TypeByName(name, &fn); err != nil {
		return nil, &Unsupported{What: fmt.Sprintf("attach target %s: %s has no function %s in its BTF", a.Target, t.Name, name)}
	}
	proto, ok := fn.Type.(*btf.FuncProto)
	if !ok {
		return nil, fmt.Errorf("BTF of function %s is malformed", name)
	}
	return proto, nil
}

// tracepointTypes is the prototype of a tracepoint without the first
// argument, the data pointer that each of the kernel's tracepoint callbacks gets.
func tracepointTypes(spec *btf.Spec, event string, t *Target) (*btf.FuncProto, error) {
	var td *btf.Typedef
	if err := spec.TypeByName("btf_trace_"+event, &td); err != nil {
		return nil, &Unsupported{What: fmt.Sprintf("raw tracepoint %s: %s has no such tracepoint in its BTF", event, t.Name)}
	}
	proto := pointedProto(td.Type)
	if proto == nil || len(proto.Params) == 0 {
		return nil, fmt.Errorf("BTF of tracepoint %s is malformed", event)
	}
	return &btf.FuncProto{Return: proto.Return, Params: proto.Params[1:]}, nil
}

// memberTypes is the prototype of "struct.member" of the kernel.
func memberTypes(spec *btf.Spec, target string, t *Target) (*btf.FuncProto, error) {
	name, m, ok := strings.Cut(target, ".")
	if !ok {
		return nil, &Unsupported{What: fmt.Sprintf("struct_ops program for %q", target), How: "a variable in section .struct_ops must have the program as one of its members"}
	}
	var st *btf.Struct
	if err := spec.TypeByName(name, &st); err != nil {
		return nil, &Unsupported{What: fmt.Sprintf("struct %s: %s has no such type in its BTF", name, t.Name)}
	}
	// The kernel makes this type for each struct that programs may implement.
	var ops *btf.Struct
	if err := spec.TypeByName("bpf_struct_ops_"+name, &ops); err != nil {
		return nil, &Unsupported{What: fmt.Sprintf("struct %s: programs can't implement its members in %s", name, t.Name)}
	}
	proto := pointedProto(member(st, m, 0))
	if proto == nil {
		return nil, &Unsupported{What: fmt.Sprintf("struct %s: %s has no member %s that is a function", name, t.Name, m)}
	}
	return proto, nil
}

// pointedProto is the prototype that t points to, or nil.
func pointedProto(t btf.Type) *btf.FuncProto {
	if t == nil {
		return nil
	}
	ptr, ok := btf.UnderlyingType(t).(*btf.Pointer)
	if !ok {
		return nil
	}
	proto, _ := btf.UnderlyingType(ptr.Target).(*btf.FuncProto)
	return proto
}
