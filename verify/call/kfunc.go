package call

import (
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file defines Kfunc: what the prototype of a kernel function, the names
// of its parameters and the table of abi demand of its callers
// (Documentation/bpf/kfuncs.rst).

// Kfunc is a kernel function as callers see it.
type Kfunc struct {
	*abi.KernelFunc
	Args []kfuncArg
	ret  btf.Type // stripped
	// unknown is its name when nothing is known of it.
	unknown string
}

type kfuncArg struct {
	kind     kfuncArgKind
	nullable bool
	// target is what a pointer points to, stripped; size its size, 0 when it has none.
	target btf.Type
	size   int
	plain  bool // target is made of numbers: memory will do
	sized  bool // the next argument is the memory's size
}

type kfuncArgKind uint8

const (
	kfIgnored     kfuncArgKind = iota
	kfNumber                   // any number
	kfConst                    // a constant (__k)
	kfRdonlySize               // a constant, the size of the read-only memory returned
	kfRdwrSize                 // the same of writable memory
	kfSize                     // the size of the memory in the argument before (__sz)
	kfConstSize                // the same, a constant (__szk)
	kfCtx                      // the context
	kfPointer                  // a typed object, or memory
	kfIter                     // an iterator on the stack
	kfIRQFlag                  // a saved flag of interrupts on the stack
	kfConstString              // a string that never changes
	kfMap                      // a map
	kfWorkQueue                // a bpf_wq in a map's value
	kfLock                     // a bpf_res_spin_lock in a map's value
	kfFunc                     // a function that it calls
	kfDynptr                   // a dynptr
	kfNewDynptr                // stack for one
	kfUnknown                  // not judged yet
)

// Kfuncs are the kernel functions that a program calls.
type Kfuncs struct {
	Funcs map[int32]*btf.Func // by BTF id
	// CtxTypes are the program's context as a program sees it, and as the kernel has it.
	Ctx, KernelCtx btf.Type
	known          map[int32]*Kfunc
}

// find is the function numbered id, nil when the image names none such.
func (k *Kfuncs) find(id int32) *Kfunc {
	if f, ok := k.known[id]; ok {
		return f
	}
	fn := k.Funcs[id]
	if fn == nil {
		return nil
	}
	if k.known == nil {
		k.known = map[int32]*Kfunc{}
	}
	f := k.read(fn)
	k.known[id] = f
	return f
}

// unknownTypes are structs that kernel functions treat in ways not judged yet.
var unknownTypes = map[string]bool{
	"bpf_list_head": true, "bpf_list_node": true, "bpf_rb_root": true, "bpf_rb_node": true,
	"bpf_timer": true, "bpf_task_work": true, "bpf_arena": true,
}

// Incomplete reports whether some of f's arguments are not judged yet.
func (f *Kfunc) Incomplete() bool {
	return slices.ContainsFunc(f.Args, func(a kfuncArg) bool { return a.kind == kfUnknown })
}

func (k *Kfuncs) read(fn *btf.Func) *Kfunc {
	f := &Kfunc{KernelFunc: abi.KernelFuncByName(fn.Name)}
	proto, ok := fn.Type.(*btf.FuncProto)
	if f.KernelFunc == nil || !ok || len(proto.Params) > maxParams {
		f.KernelFunc = &abi.KernelFunc{Name: fn.Name}
		f.unknown = "kfunc " + fn.Name
		return f
	}
	f.ret = state.Strip(proto.Return)
	for i, p := range proto.Params {
		f.Args = append(f.Args, k.param(f, proto, i, p))
	}
	return f
}

// param reads parameter i: its type, and the endings of its name and of the next one's.
func (k *Kfuncs) param(f *Kfunc, proto *btf.FuncProto, i int, p btf.FuncParam) kfuncArg {
	a := kfuncArg{nullable: strings.HasSuffix(p.Name, "__nullable") || strings.HasSuffix(p.Name, "__opt")}
	ends := func(suffix string) bool { return strings.HasSuffix(p.Name, suffix) }
	ptr, isPtr := state.Strip(p.Type).(*btf.Pointer)
	switch {
	case ends("__ign"), ends("__prog"):
		return a
	case !isPtr:
		a.kind = numberKind(p)
		return a
	}
	a.kind, a.target = kfPointer, state.Strip(ptr.Target)
	if n, err := btf.Sizeof(a.target); err == nil {
		a.size = n
	}
	a.plain = plain(a.target, 0)
	if i+1 < len(proto.Params) {
		next := proto.Params[i+1]
		a.sized = number(next.Type) && (strings.HasSuffix(next.Name, "__sz") || strings.HasSuffix(next.Name, "__szk"))
	}
	st, _ := a.target.(*btf.Struct)
	switch {
	case st != nil && st.Name == "bpf_dynptr" && ends("__uninit"):
		if a.kind = kfNewDynptr; f.Dynptr == abi.NoDynptr {
			a.kind = kfUnknown
		}
	case st != nil && st.Name == "bpf_dynptr":
		a.kind = kfDynptr
	case i == 0 && f.Iter != abi.NoIter, ends("__iter"):
		a.kind = kfIter
	case ends("__irq_flag"):
		a.kind = kfIRQFlag
	case ends("__const_str"), ends("__str"):
		a.kind = kfConstString
	case ends("__map"):
		a.kind = kfMap
	case ends("__alloc"), ends("__refcounted_kptr"), ends("__uninit"), ends("__arena"):
		a.kind = kfUnknown
	case st != nil && st.Name == "bpf_wq":
		a.kind = kfWorkQueue
	case st != nil && st.Name == "bpf_res_spin_lock":
		a.kind = kfLock
	case st != nil && unknownTypes[st.Name]:
		a.kind = kfUnknown
	case f.CastCtx, st != nil && k.Ctx != nil && state.TypeName(st) == state.TypeName(k.Ctx):
		a.kind = kfCtx
	}
	if _, ok := a.target.(*btf.FuncProto); ok {
		if a.kind = kfFunc; f.Callback == nil || f.Callback.Func != i+1 {
			a.kind = kfUnknown
		}
	}
	return a
}

// numberSuffixes are the endings of names that make a number more than that.
var numberSuffixes = []struct {
	suffix string
	kind   kfuncArgKind
}{
	{"__szk", kfConstSize}, {"__sz", kfSize}, {"__k", kfConst}, {"rdonly_buf_size", kfRdonlySize}, {"rdwr_buf_size", kfRdwrSize},
}

// numberKind is what a parameter that is no pointer demands.
func numberKind(p btf.FuncParam) kfuncArgKind {
	if !number(p.Type) {
		return kfUnknown
	}
	for _, n := range numberSuffixes {
		if strings.HasSuffix(p.Name, n.suffix) {
			return n.kind
		}
	}
	return kfNumber
}

// plain reports whether t is a number, or made of nothing but numbers.
func plain(t btf.Type, depth int) bool {
	switch v := state.Strip(t).(type) {
	case *btf.Int, *btf.Enum:
		return true
	case *btf.Struct:
		return plainMembers(v.Members, depth)
	case *btf.Union:
		return plainMembers(v.Members, depth)
	}
	return false
}

func plainMembers(members []btf.Member, depth int) bool {
	for _, m := range members {
		e := state.Strip(m.Type)
		if a, ok := e.(*btf.Array); ok {
			if a.Nelems == 0 {
				return false
			}
			e = state.Strip(a.Type)
		}
		if depth >= 4 || !plain(e, depth+1) {
			return false
		}
	}
	return true
}

// callable judges whether the program may call f at all.
func (f *Kfunc) callable(s *state.State, r *Rules) fault.Fault {
	bad := fault.ForbiddenKfunc{Func: f.Name, Program: r.Program.Name}
	switch {
	case !r.GPL:
		bad.Reason = fault.KfuncLicense
	case f.unknown != "":
		return fault.Unsupported{What: f.unknown}
	case f.Since > r.Version:
		return fault.Unsupported{What: "kfunc " + f.Name + " came with Linux " + f.Since.String() + ", the target is older", Since: f.Since.String()}
	case !f.Allowed(r.Attach, r.Version):
		bad.Reason = fault.KfuncProgram
	case f.Sleepable && !r.Attach.Sleepable:
		bad.Reason = fault.KfuncSleeps
	case f.RCUProtected && f.Iter == abi.NoIter && !s.InRCU(r.Attach.Sleepable):
		bad.Reason = fault.KfuncRCU
	default:
		return nil
	}
	return bad
}
