package image

// Defines how kernel symbols (__ksym) that are not called are resolved.

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
)

// Ksym is what a 64-bit load with PseudoBTFID loads: the address of a kernel symbol.
type Ksym struct {
	Name string
	Type btf.Type // a variable's type, or a *btf.Func; of the target's BTF
	// PerCPU: the variable exists once a CPU; the address is no place in memory.
	PerCPU bool
	// NoAddress: the kernel's own table of symbols does not list it, so that it refuses the load.
	NoAddress bool
}

// ksym resolves the 64-bit load at slot at: a typed kernel variable or
// function by its BTF id, one without a type by its address, or 0 when it is
// weak and absent.
func (l *linker) ksym(at int, name string) error {
	if l.t.Engine == EngineUser {
		return &Unsupported{What: fmt.Sprintf("kernel variable %s on the user engine", name)}
	}
	x := l.extern(name)
	weak := x != nil && x.Weak
	if x == nil || typeless(x.Type) {
		return l.address(at, name, weak)
	}
	spec, err := l.t.btf("kernel symbol " + name)
	if err != nil {
		return err
	}
	id, sym, err := symbolType(spec, name, x)
	missing := errors.Is(err, btf.ErrNotFound) || errors.Is(err, errNoKfunc)
	switch {
	case weak && (missing || errors.Is(err, errIncompatible)):
		l.number(at, 0)
		return nil
	case missing:
		return &Unsupported{What: fmt.Sprintf("kernel symbol %s: %s has no such symbol in its BTF", name, l.t.Name), How: "declare it __weak and test its address"}
	case err != nil:
		return err
	}
	if x.Kind == object.ExternKsym {
		if err := btf.CheckTypeCompatibility(x.Type, sym.Type); err != nil {
			return fmt.Errorf("extern %s is declared as %v, but it is %v in %s", name, x.Type, sym.Type, l.t.Name)
		}
	}
	if sym.NoAddress, err = l.t.hidden(sym.Name, x.Kind); err != nil {
		return err
	}
	if l.img.Ksyms == nil {
		l.img.Ksyms = map[int]Ksym{}
	}
	l.img.Ksyms[at] = *sym
	a := &l.img.Insns[at]
	a.Src, a.Imm = isa.PseudoBTFID, int32(id)
	l.img.Insns[at+1].Imm = 0
	return nil
}

// number makes the 64-bit load at slot at load v.
func (l *linker) number(at int, v uint64) {
	w := isa.Wide(l.img.Insns[at].Dst, isa.PseudoNone, v)
	l.img.Insns[at], l.img.Insns[at+1] = w[0], w[1]
}

// typeless: declared without a type, or as void.
func typeless(t btf.Type) bool {
	if t == nil {
		return true
	}
	_, void := btf.UnderlyingType(t).(*btf.Void)
	return void
}

// address resolves a symbol without a type, as libbpf does, from the kernel's symbol table.
func (l *linker) address(at int, name string, weak bool) error {
	if l.t.Symbols == nil {
		return &Unsupported{
			What: fmt.Sprintf("address of kernel symbol %s, which has no type: target %s has no symbol table", name, l.t.Name),
			How:  "declare it with its type",
		}
	}
	syms, err := l.t.Symbols()
	if err != nil {
		return &Unsupported{What: fmt.Sprintf("address of kernel symbol %s: %v", name, err)}
	}
	addr, ok := syms[name]
	if !ok && !weak {
		return &Unsupported{What: fmt.Sprintf("kernel symbol %s: %s has no such symbol", name, l.t.Name), How: "declare it __weak and test its address"}
	}
	l.number(at, addr)
	return nil
}

// symbolType finds a variable or function, and which of the two it is.
func symbolType(spec *btf.Spec, name string, x *object.Extern) (btf.TypeID, *Ksym, error) {
	if x.Kind == object.ExternKfunc {
		f, id, err := kernelFunc(spec, name, x)
		if err != nil {
			return 0, nil, err
		}
		return id, &Ksym{Name: f.Name, Type: f}, nil
	}
	var v *btf.Var
	if err := spec.TypeByName(name, &v); err != nil {
		return 0, nil, err
	}
	id, err := spec.TypeID(v)
	if err != nil {
		return 0, nil, err
	}
	k := &Ksym{Name: name, Type: v.Type}
	var ds *btf.Datasec
	if err := spec.TypeByName(".data..percpu", &ds); err == nil {
		for _, m := range ds.Vars {
			k.PerCPU = k.PerCPU || m.Type == btf.Type(v)
		}
	}
	return id, k, nil
}

// hidden reports whether the kernel does not find the address of a symbol that
// its BTF has: variables are in its table only with CONFIG_KALLSYMS_ALL.
func (t *Target) hidden(name string, kind object.ExternKind) (bool, error) {
	if t.Symbols != nil {
		if syms, err := t.Symbols(); err == nil {
			_, ok := syms[name]
			return !ok, nil
		}
	}
	config, err := t.config()
	if err != nil {
		return false, &Unsupported{What: fmt.Sprintf("address of kernel symbol %s: %v", name, err), How: "give the kernel's configuration (--config FILE)"}
	}
	if kind == object.ExternKfunc {
		return config["CONFIG_KALLSYMS"] != "y", nil
	}
	return config["CONFIG_KALLSYMS_ALL"] != "y", nil
}
