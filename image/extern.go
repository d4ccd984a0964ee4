package image

// Defines how externs are resolved: kfuncs, kernel variables and configuration values.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
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
	var fn *btf.Func
	if err := spec.TypeByName(name, &fn); err == nil {
		id, err := spec.TypeID(fn)
		if err != nil {
			return err
		}
		in.Imm = int32(id)
		if l.img.Kfuncs == nil {
			l.img.Kfuncs = map[int32]*btf.Func{}
		}
		l.img.Kfuncs[in.Imm] = fn
		return nil
	}
	if x := l.extern(name); x != nil && x.Weak {
		l.poison(at, "call of kfunc "+name, "the target has no such kfunc")
		return nil
	}
	return &Unsupported{What: fmt.Sprintf("kfunc %s: %s has no such function in vmlinux", name, l.t.Name), How: "functions of kernel modules are not looked up; declare it __weak and test it with bpf_ksym_exists"}
}

// ksym resolves the 64-bit load at slot at: a typed kernel variable or
// function by its BTF id, or 0 when it is weak and absent.
func (l *linker) ksym(at int, name string) error {
	x := l.extern(name)
	weak := x != nil && x.Weak
	a, b := &l.img.Insns[at], &l.img.Insns[at+1]
	b.Imm = 0
	if x != nil && x.Kind == object.ExternKsym && x.Type == nil || x == nil {
		if !weak {
			return &Unsupported{What: fmt.Sprintf("address of kernel symbol %s, which has no type", name), How: "declare it with its type"}
		}
		a.Src, a.Imm = isa.PseudoNone, 0
		return nil
	}
	if l.t.Engine == EngineUser {
		return &Unsupported{What: fmt.Sprintf("kernel variable %s on the user engine", name)}
	}
	spec, err := l.t.btf("kernel symbol " + name)
	if err != nil {
		return err
	}
	id, err := symbolID(spec, name)
	if err != nil && !weak {
		return &Unsupported{What: fmt.Sprintf("kernel symbol %s: %s has no such symbol in its BTF", name, l.t.Name), How: "declare it __weak and test its address"}
	}
	a.Src, a.Imm = isa.PseudoBTFID, int32(id)
	if id == 0 {
		a.Src = isa.PseudoNone
	}
	return nil
}

func symbolID(spec *btf.Spec, name string) (btf.TypeID, error) {
	var v *btf.Var
	if err := spec.TypeByName(name, &v); err == nil {
		return spec.TypeID(v)
	}
	var f *btf.Func
	if err := spec.TypeByName(name, &f); err != nil {
		return 0, err
	}
	return spec.TypeID(f)
}

// btf is the target's BTF, or an Unsupported that says what needs it.
func (t *Target) btf(what string) (*btf.Spec, error) {
	if t.BTF == nil {
		return nil, &Unsupported{What: fmt.Sprintf("%s: target %s has no BTF", what, t.Name), How: "give the kernel's BTF with the target"}
	}
	s, err := t.BTF()
	if err != nil {
		return nil, fmt.Errorf("%s needs the target's types: %w", what, err)
	}
	return s, nil
}

func (t *Target) config() (map[string]string, error) {
	if t.Config != nil || t.LoadConfig == nil {
		return t.Config, nil
	}
	return t.LoadConfig()
}

// kconfigName is the map of configuration values.
const kconfigName = ".kconfig"

// filled is m, with a .kconfig map's data from the target's configuration. A
// value that the target lacks is an error only for what refers to it.
func (l *linker) filled(m *object.Map) (*object.Map, error) {
	if m.Name != kconfigName {
		return m, nil
	}
	c := *m
	c.Data = make([]byte, m.ValueSize)
	c.Frozen, c.Flags = true, c.Flags|abi.MapRdonlyProg
	l.lacking = map[int64]error{}
	for _, x := range l.o.Externs {
		if x.Kind != object.ExternKconfig {
			continue
		}
		size, err := btf.Sizeof(x.Type)
		if err != nil || size <= 0 || int64(x.Offset)+int64(size) > int64(len(c.Data)) {
			return nil, fmt.Errorf("extern %s: no room for its type %v in %s", x.Name, x.Type, kconfigName)
		}
		if err := l.t.fillConfig(x.Name, x.Type, x.Weak, c.Data[x.Offset:][:size]); err != nil {
			l.lacking[int64(x.Offset)] = err
		}
	}
	return &c, nil
}

// fillConfig writes the configuration value name, of type typ, into dst.
func (t *Target) fillConfig(name string, typ btf.Type, weak bool, dst []byte) error {
	if v, ok, err := t.virtualConfig(name); err != nil || ok {
		if err == nil {
			err = putInt(dst, v, name)
		}
		return err
	}
	config, err := t.config()
	if err != nil && !weak {
		return &Unsupported{What: fmt.Sprintf("configuration value %s: %v", name, err)}
	}
	val, ok := config[name]
	if !ok {
		if weak {
			clear(dst)
			return nil
		}
		return &Unsupported{What: fmt.Sprintf("configuration value %s: target %s does not have it", name, t.Name), How: "declare it __weak, or give the target's configuration"}
	}
	return putConfig(dst, btf.UnderlyingType(typ), name, val)
}

// virtualConfig are the names that libbpf documents as not coming from the configuration.
func (t *Target) virtualConfig(name string) (v uint64, ok bool, err error) {
	switch name {
	case "LINUX_KERNEL_VERSION":
		patch := uint64(0)
		if p := strings.SplitN(t.Release, ".", 3); len(p) == 3 {
			digits := len(p[2]) - len(strings.TrimLeft(p[2], "0123456789"))
			patch, _ = strconv.ParseUint(p[2][:digits], 10, 32)
		}
		return uint64(t.Version) | min(patch, 255), true, nil
	case "LINUX_HAS_BPF_COOKIE":
		return b2u(t.Version >= abi.V(5, 15)), true, nil
	case "LINUX_HAS_SYSCALL_WRAPPER":
		return b2u(t.Arch == "amd64" && t.Version >= abi.V(4, 17)), true, nil
	}
	if strings.HasPrefix(name, "LINUX_") {
		return 0, false, &Unsupported{What: "extern " + name}
	}
	return 0, false, nil
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// putConfig writes val as the kernel's build wrote it: y, n, m, "text" or a number.
func putConfig(dst []byte, typ btf.Type, name, val string) error {
	if _, ok := typ.(*btf.Array); ok && len(dst) > 0 {
		text, err := strconv.Unquote(val)
		if err != nil {
			return fmt.Errorf("extern %s is an array, but the target's value is %s, not a string", name, val)
		}
		clear(dst)
		copy(dst[:len(dst)-1], text)
		return nil
	}
	switch val {
	case "y", "n", "m":
		// A tristate's m is 2; in a char it is the letter itself.
		i, isInt := typ.(*btf.Int)
		switch {
		case isInt && i.Encoding&btf.Char != 0, isInt && i.Name == "char":
			return putInt(dst, uint64(val[0]), name)
		case isInt && i.Encoding&btf.Bool != 0 && val == "m":
			return fmt.Errorf("extern %s is a bool, but the target's value is m (module)", name)
		}
		return putInt(dst, map[string]uint64{"n": 0, "y": 1, "m": 2}[val], name)
	}
	if strings.HasPrefix(val, `"`) {
		return fmt.Errorf("extern %s is no array, but the target's value is the string %s", name, val)
	}
	if u, err := strconv.ParseUint(val, 0, 64); err == nil {
		return putInt(dst, u, name)
	}
	s, err := strconv.ParseInt(val, 0, 64)
	if err != nil {
		return fmt.Errorf("extern %s: the target's value %q is no number", name, val)
	}
	if bits := uint(len(dst)) * 8; bits < 64 && s < -1<<(bits-1) {
		return fmt.Errorf("extern %s: the target's value %s does not fit %d bytes", name, val, len(dst))
	}
	return putInt(dst, uint64(s)&(1<<(uint(len(dst))*8)-1), name)
}

func putInt(dst []byte, v uint64, name string) error {
	if len(dst) < 8 && v>>(uint(len(dst))*8) != 0 {
		return fmt.Errorf("extern %s: the target's value %d does not fit %d bytes", name, v, len(dst))
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	clear(dst)
	copy(dst, b[:])
	return nil
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
