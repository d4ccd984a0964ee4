package image

// Defines how kfuncs and the prototypes of attach targets are found.

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
)

func (l *linker) extern(name string) *object.Extern {
	for i := range l.o.Externs {
		if l.o.Externs[i].Name == name {
			return &l.o.Externs[i]
		}
	}
	return nil
}

// kfunc resolves the call at slot at.
func (l *linker) kfunc(at int, name string) error {
	in := &l.img.Insns[at]
	in.Src, in.Off = isa.CallKfunc, 0
	for _, k := range abi.Kfuncs {
		if k.Name != name {
			continue
		}
		if l.t.Engine != EngineUser {
			return &Unsupported{What: name + " on the kernel", How: "only gtrace's own engine has it; compile the script with Lower: kernel"}
		}
		in.Imm = k.ID
		return nil
	}
	if l.t.Engine == EngineUser {
		return &Unsupported{What: fmt.Sprintf("kfunc %s on the user engine", name)}
	}
	spec, err := l.t.btf("kfunc " + name)
	if err != nil {
		return err
	}
	x := l.extern(name)
	fn, id, err := kernelFunc(spec, name, x)
	switch {
	case err == nil:
		in.Imm = int32(id)
		if l.img.Kfuncs == nil {
			l.img.Kfuncs = map[int32]*btf.Func{}
		}
		l.img.Kfuncs[in.Imm] = fn
		return nil
	case x != nil && x.Weak:
		l.poison(at, "call of kfunc "+name, err.Error())
		return nil
	case errors.Is(err, errIncompatible):
		return fmt.Errorf("kfunc %s: %w", name, err)
	}
	return &Unsupported{What: fmt.Sprintf("kfunc %s: %s has no such function in vmlinux", name, l.t.Name), How: "functions of kernel modules are not looked up; declare it __weak and test it with bpf_ksym_exists"}
}

var (
	errNoKfunc      = errors.New("the target has no such function")
	errIncompatible = errors.New("the target's function has another prototype")
)

// kernelFunc finds a kernel function by its name without a flavour
// ("name___flavour"); the prototype that the program declares must fit.
func kernelFunc(spec *btf.Spec, name string, x *object.Extern) (*btf.Func, btf.TypeID, error) {
	essential, _, _ := strings.Cut(name, "___")
	var fn *btf.Func
	if err := spec.TypeByName(essential, &fn); err != nil {
		return nil, 0, errNoKfunc
	}
	if x != nil && x.Type != nil {
		local, ok := x.Type.(*btf.Func)
		if ok && btf.CheckTypeCompatibility(local.Type, fn.Type) != nil {
			return nil, 0, errIncompatible
		}
	}
	id, err := spec.TypeID(fn)
	return fn, id, err
}

// btf is the target's BTF, or an Unsupported that says what needs it.
func (t *Target) btf(what string) (*btf.Spec, error) {
	if t.BTF == nil {
		return nil, &Unsupported{What: fmt.Sprintf("%s: target %s has no BTF", what, t.Name), How: "give the kernel's types (--btf FILE)", NeedsBTF: true}
	}
	s, err := t.BTF()
	if err != nil {
		return nil, fmt.Errorf("%s needs the target's types: %w", what, err)
	}
	return s, nil
}

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
	switch a.Expected {
	case abi.AttachTraceRawTp:
		return tracepointTypes(spec, name, t)
	case abi.AttachTraceIter:
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
	ptr, ok := td.Type.(*btf.Pointer)
	if !ok {
		return nil, fmt.Errorf("BTF of tracepoint %s is malformed", event)
	}
	proto, ok := ptr.Target.(*btf.FuncProto)
	if !ok || len(proto.Params) == 0 {
		return nil, fmt.Errorf("BTF of tracepoint %s is malformed", event)
	}
	return &btf.FuncProto{Return: proto.Return, Params: proto.Params[1:]}, nil
}
