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
