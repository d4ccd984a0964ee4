package call

import (
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/mem"
	"github.com/gtrace-dev/gtrace/verify/scalar"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file defines Signature: what the prototype of a global function demands
// of its callers and promises to itself.

// ParamKind is what a parameter of a global function may be.
type ParamKind uint8

const (
	ParamNumber ParamKind = iota
	ParamCtx
	ParamMem // memory of Size bytes
	ParamBTF // typed kernel memory
	ParamDynptr
)

// Param is a parameter of a global function.
type Param struct {
	Kind     ParamKind
	Size     int32 // ParamMem
	Nullable bool
	Type     state.TypeID // ParamBTF
}

// Signature is a global function's prototype.
type Signature struct {
	Func   string
	Params []Param
}

// maxParams is how many arguments registers can hold.
const maxParams = 5

// Sign reads the prototype of fn.
func Sign(name string, fn *btf.Func, l *mem.Layout, r *Rules) (*Signature, fault.Fault) {
	bad := fault.BadSignature{Func: name, Reason: fault.SignatureUnknown}
	if fn == nil {
		return nil, bad
	}
	proto, ok := fn.Type.(*btf.FuncProto)
	if !ok {
		return nil, bad
	}
	if len(proto.Params) > maxParams {
		bad.Reason = fault.SignatureArgs
		return nil, bad
	}
	if !number(proto.Return) {
		bad.Reason = fault.SignatureReturn
		return nil, bad
	}
	s := &Signature{Func: name}
	for i, p := range proto.Params {
		bad.Arg, bad.Type = i+1, state.TypeName(p.Type)
		var tags []string
		if i < len(fn.ParamTags) {
			tags = fn.ParamTags[i]
		}
		q, f := param(p.Type, tags, l, r, bad)
		if f != nil {
			return nil, f
		}
		s.Params = append(s.Params, q)
	}
	return s, nil
}

// number reports whether values of type t are numbers.
func number(t btf.Type) bool {
	switch state.Strip(t).(type) {
	case *btf.Int, *btf.Enum:
		return true
	}
	return false
}

// tagSet is the tags of one parameter.
type tagSet struct{ ctx, nonnull, nullable, trusted, untrusted, arena bool }

// readTags reads tags as the kernel of version v does. The loader tells older
// ones what the context is, where that has a type of its own (told).
func readTags(tags []string, v abi.Version, told bool) (s tagSet, ok bool) {
	for _, t := range tags {
		word, mine := strings.CutPrefix(t, abi.ArgTagPrefix)
		switch since, known := abi.ArgTags[word]; {
		case !mine, v < abi.ArgTagsSince && (word != abi.ArgTagCtx || !told):
			continue
		case !known, v >= abi.ArgTagsSince && v < since:
			return s, false
		}
		switch word {
		case abi.ArgTagCtx:
			s.ctx = true
		case abi.ArgTagNonnull:
			s.nonnull = true
		case abi.ArgTagNullable:
			s.nullable = true
		case abi.ArgTagTrusted:
			s.trusted = true
		case abi.ArgTagUntrusted:
			s.untrusted = true
		case abi.ArgTagArena:
			s.arena = true
		}
	}
	return s, true
}

func param(t btf.Type, tags []string, l *mem.Layout, r *Rules, bad fault.BadSignature) (Param, fault.Fault) {
	set, ok := readTags(tags, r.Version, len(r.Program.CtxArg().Names) > 0)
	if !ok {
		bad.Reason = fault.SignatureTag
		return Param{}, bad
	}
	ptr, isPtr := state.Strip(t).(*btf.Pointer)
	switch {
	case !isPtr && set != tagSet{}:
		bad.Reason = fault.SignatureTag
		return Param{}, bad
	case !isPtr && number(t):
		return Param{}, nil
	case !isPtr:
		bad.Reason = fault.SignatureType
		return Param{}, bad
	case set.ctx:
		return ctxParam(ptr, set, r, bad)
	case isNamed(ptr.Target, r.Program.CtxArg().Names):
		if set != (tagSet{}) {
			bad.Reason = fault.SignatureTag
			return Param{}, bad
		}
		return Param{Kind: ParamCtx}, nil
	case state.TypeName(ptr.Target) == "struct bpf_dynptr":
		if set != (tagSet{}) {
			bad.Reason = fault.SignatureTag
			return Param{}, bad
		}
		return Param{Kind: ParamDynptr}, nil
	case set.arena:
		return Param{}, fault.Unsupported{What: "arena argument of global function " + bad.Func}
	case set.untrusted:
		return Param{}, fault.Unsupported{What: "untrusted argument of global function " + bad.Func}
	case set.trusted:
		return btfParam(ptr, set, l, bad)
	case set.nullable:
		bad.Reason = fault.SignatureTag
		return Param{}, bad
	}
	if r.Version < abi.ArgMemSince {
		bad.Reason = fault.SignatureType
		return Param{}, bad
	}
	size, ok := pointee(ptr.Target)
	if !ok {
		bad.Reason = fault.SignatureUnsized
		return Param{}, bad
	}
	return Param{Kind: ParamMem, Size: size, Nullable: !set.nonnull}, nil
}

// pointee is the size of the memory that a pointer to t stands for.
func pointee(t btf.Type) (int32, bool) {
	switch u := state.Strip(t).(type) {
	case *btf.Int, *btf.Enum, *btf.Struct, *btf.Union, *btf.Pointer, *btf.Array, *btf.Float:
		n, err := btf.Sizeof(u)
		return int32(n), err == nil && n >= 0 && n < 1<<29
	}
	return 0, false
}

// btfParam is a parameter tagged as trusted: a pointer into the target kernel's types.
func btfParam(ptr *btf.Pointer, set tagSet, l *mem.Layout, bad fault.BadSignature) (Param, fault.Fault) {
	if set.nonnull && set.nullable {
		bad.Reason = fault.SignatureTag
		return Param{}, bad
	}
	s, ok := state.Strip(ptr.Target).(*btf.Struct)
	if !ok {
		bad.Reason = fault.SignatureNoStruct
		return Param{}, bad
	}
	name, _, _ := strings.Cut(s.Name, "___") // a flavour of the kernel's type
	t, err := l.KernelStruct(name)
	if err != nil {
		bad.Reason = fault.SignatureNoStruct
		return Param{}, bad
	}
	return Param{Kind: ParamBTF, Type: l.Types.ID(state.Kernel, t), Nullable: set.nullable}, nil
}

// ctxParam is a parameter tagged as the context.
func ctxParam(ptr *btf.Pointer, set tagSet, r *Rules, bad fault.BadSignature) (Param, fault.Fault) {
	if set != (tagSet{ctx: true}) {
		bad.Reason = fault.SignatureTag
		return Param{}, bad
	}
	c := r.Program.CtxArg()
	ok := c.Any || isNamed(ptr.Target, c.Names) || isNamed(ptr.Target, c.Tagged)
	switch u := state.Strip(ptr.Target).(type) {
	case *btf.Void:
		ok = true
	case *btf.Int:
		ok = ok || c.U64 && u.Size == 8
	case *btf.Struct:
		ok = ok || c.Prefix != "" && strings.HasPrefix(u.Name, c.Prefix)
	}
	if !ok {
		bad.Reason = fault.SignatureCtx
		return Param{}, bad
	}
	return Param{Kind: ParamCtx}, nil
}

// isNamed reports whether t, one of its typedefs or the struct below has one of names.
func isNamed(t btf.Type, names []string) bool {
	for range 32 {
		switch u := t.(type) {
		case *btf.Typedef:
			if slices.Contains(names, u.Name) {
				return true
			}
			t = u.Type
		case *btf.Const:
			t = u.Type
		case *btf.Volatile:
			t = u.Type
		case *btf.Restrict:
			t = u.Type
		case *btf.TypeTag:
			t = u.Type
		case *btf.Struct:
			return slices.Contains(names, u.Name)
		default:
			return false
		}
	}
	return false
}

// Registers are what the function finds in r1 and behind when it is verified on its own.
func (s *Signature) Registers(id func() uint32) []state.Reg {
	out := make([]state.Reg, len(s.Params))
	for i, p := range s.Params {
		switch p.Kind {
		case ParamNumber:
			out[i] = state.Number(scalar.Unknown)
			continue
		case ParamCtx:
			out[i] = state.Pointer(state.Ctx)
		case ParamMem:
			out[i] = state.Pointer(state.Mem)
			out[i].Size = p.Size
		case ParamDynptr:
			out[i] = state.Pointer(state.ConstDynptr)
			out[i].ID = id()
		case ParamBTF:
			out[i] = state.Pointer(state.BTF)
			out[i].Type, out[i].Trust = p.Type, state.Trusted
		}
		if p.Nullable {
			out[i].Nullable, out[i].ID = true, id()
		}
	}
	return out
}
