package state

import "github.com/cilium/ebpf/btf"

// Typed is a type within its space: types of different spaces are never equal.
type Typed struct {
	Space string // "kernel", or a user space's name
	Type  btf.Type
}

// Kernel is the space of the target kernel's types.
const Kernel = "kernel"

// Types numbers the types that pointers point to.
type Types struct {
	list  []Typed
	index map[Typed]TypeID
}

// ID is the number of t, without qualifiers and typedefs.
func (t *Types) ID(space string, typ btf.Type) TypeID {
	k := Typed{space, Strip(typ)}
	if id, ok := t.index[k]; ok {
		return id
	}
	if t.index == nil {
		t.index = make(map[Typed]TypeID)
		t.list = make([]Typed, 1)
	}
	id := TypeID(len(t.list))
	t.list = append(t.list, k)
	t.index[k] = id
	return id
}

// At is the type numbered id.
func (t *Types) At(id TypeID) Typed {
	if int(id) >= len(t.list) {
		return Typed{}
	}
	return t.list[id]
}

// Name names the type numbered id for messages.
func (t *Types) Name(id TypeID) string { return TypeName(t.At(id).Type) }

// TypeName names typ for messages.
func TypeName(typ btf.Type) string {
	switch v := Strip(typ).(type) {
	case nil:
		return "unknown type"
	case *btf.Struct:
		return named("struct ", v.Name)
	case *btf.Union:
		return named("union ", v.Name)
	case *btf.Enum:
		return named("enum ", v.Name)
	case *btf.Pointer:
		return "pointer to " + TypeName(v.Target)
	case *btf.Array:
		return "array of " + TypeName(v.Type)
	case *btf.Void:
		return "void"
	default:
		return v.TypeName()
	}
}

// IsVoid reports whether t is no type at all: what a function returns that returns nothing.
func IsVoid(t btf.Type) bool {
	_, void := Strip(t).(*btf.Void)
	return t == nil || void
}

func named(keyword, name string) string {
	if name == "" {
		return keyword + "(without a name)"
	}
	return keyword + name
}

// Strip removes typedefs, qualifiers and type tags. A chain that does not end
// gives a type of no known kind.
func Strip(typ btf.Type) btf.Type { return btf.UnderlyingType(typ) }
