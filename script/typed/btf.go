package typed

import (
	"fmt"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/event"
)

// Bare strips typedefs, qualifiers and tags. A chain that does not end gives a
// type of no known kind.
func Bare(t btf.Type) btf.Type { return btf.UnderlyingType(t) }

// HasTag reports whether tag is on t, in front of anything else but qualifiers.
func HasTag(t btf.Type, tag string) bool {
	for range 64 {
		switch u := t.(type) {
		case *btf.TypeTag:
			if u.Value == tag {
				return true
			}
			t = u.Type
		case *btf.Const:
			t = u.Type
		case *btf.Volatile:
			t = u.Type
		case *btf.Restrict:
			t = u.Type
		default:
			return false
		}
	}
	return false
}

// Members are the fields of a struct or union; ok is false for other types.
func Members(t btf.Type) (ms []btf.Member, ok bool) {
	switch u := Bare(t).(type) {
	case *btf.Struct:
		return u.Members, true
	case *btf.Union:
		return u.Members, true
	}
	return nil, false
}

// IsChar reports whether t is C's char, of which strings are made. Types such
// as uint8_t are numbers.
func IsChar(t btf.Type) bool {
	i, ok := Bare(t).(*btf.Int)
	return ok && i.Size == 1 && i.Name == "char"
}

// IsByte reports whether t is a number of one byte.
func IsByte(t btf.Type) bool {
	i, ok := Bare(t).(*btf.Int)
	return ok && i.Size == 1 && i.Encoding != btf.Bool
}

// Name is t as C writes it.
func Name(t btf.Type) string {
	return name(t, 0)
}

func name(t btf.Type, depth int) string {
	if depth > 16 {
		return "…"
	}
	switch u := t.(type) {
	case nil, *btf.Void:
		return "void"
	case *btf.Pointer:
		if _, ok := Bare(u.Target).(*btf.FuncProto); ok {
			return "function pointer"
		}
		s := name(u.Target, depth+1)
		if s[len(s)-1] != '*' {
			s += " "
		}
		return s + "*"
	case *btf.Struct:
		return "struct " + anonymous(u.Name)
	case *btf.Union:
		return "union " + anonymous(u.Name)
	case *btf.Enum:
		return "enum " + anonymous(u.Name)
	case *btf.Fwd:
		return u.Kind.String() + " " + u.Name
	case *btf.Array:
		return fmt.Sprintf("%s[%d]", name(u.Type, depth+1), u.Nelems)
	case *btf.Const:
		return "const " + name(u.Type, depth+1)
	case *btf.Volatile:
		return "volatile " + name(u.Type, depth+1)
	case *btf.Restrict:
		return name(u.Type, depth+1)
	case *btf.TypeTag:
		return name(u.Type, depth+1)
	}
	if n := t.TypeName(); n != "" {
		return n
	}
	return "(anonymous)"
}

func anonymous(s string) string {
	if s == "" {
		return "(anonymous)"
	}
	return s
}

// String names t in messages.
func (t *Type) String() string {
	switch t.Kind {
	case Int:
		if t.BTF != nil {
			return "`" + Name(t.BTF) + "`"
		}
		s := fmt.Sprintf("int%d", t.Size*8)
		if !t.Signed {
			s = "u" + s
		}
		return "`" + s + "`"
	case Ptr:
		s := Name(&btf.Pointer{Target: t.target()})
		return "`" + s + "`"
	case Composite, Array:
		return "`" + Name(t.BTF) + "`"
	case Str:
		return "a string"
	case KSym, USym:
		return "a symbol"
	}
	return "a value of unknown type"
}

func (t *Type) target() btf.Type {
	if t.BTF == nil {
		return &btf.Void{}
	}
	return t.BTF
}

// Event is t as it is written into records, keys and values.
func (t *Type) Event() event.Type {
	switch t.Kind {
	case Int:
		return intEvent(t)
	case Ptr:
		return event.Type{Kind: event.Ptr, Size: 8, Name: Name(&btf.Pointer{Target: t.target()})}
	case Str:
		return event.Type{Kind: event.String, Size: t.Size}
	case KSym:
		return event.Type{Kind: event.KSym, Size: 8}
	case USym:
		return event.Type{Kind: event.USym, Size: 16}
	case Composite, Array:
		e, _ := btfEvent(t.BTF, 0)
		return e
	}
	return event.Type{Kind: event.Int, Size: 8, Signed: true}
}

func intEvent(t *Type) event.Type {
	e := event.Type{Kind: event.Int, Size: t.Size, Signed: t.Signed}
	if t.BTF == nil {
		return e
	}
	switch u := Bare(t.BTF).(type) {
	case *btf.Enum:
		e.Kind, e.Name, e.Names = event.Enum, u.Name, map[int64]string{}
		for _, v := range u.Values {
			n := int64(v.Value)
			if _, dup := e.Names[n]; !dup {
				e.Names[n] = v.Name
			}
		}
	case *btf.Int:
		if u.Encoding == btf.Bool {
			e.Kind = event.Bool
		}
		e.Name = Name(t.BTF)
	}
	return e
}

// Printable reports whether the value of a struct or array can be shown; if
// not, why says what stands in the way.
func Printable(t btf.Type) (why string) {
	_, why = btfEvent(t, 0)
	return why
}

// btfEvent describes memory of type t as it lies there.
func btfEvent(t btf.Type, depth int) (event.Type, string) {
	size, err := btf.Sizeof(t)
	if err != nil || depth > 8 {
		return event.Type{}, "its size is not known"
	}
	switch u := Bare(t).(type) {
	case *btf.Int:
		if size > 8 {
			return event.Type{Kind: event.Bytes, Size: size, Name: Name(t)}, ""
		}
		return intEvent(&Type{Kind: Int, Size: size, Signed: u.Encoding == btf.Signed, BTF: t}), ""
	case *btf.Enum:
		return intEvent(&Type{Kind: Int, Size: size, Signed: u.Signed, BTF: t}), ""
	case *btf.Pointer:
		return event.Type{Kind: event.Ptr, Size: 8, Name: Name(t)}, ""
	case *btf.Array:
		if IsChar(u.Type) {
			return event.Type{Kind: event.String, Size: size}, ""
		}
		elem, why := btfEvent(u.Type, depth+1)
		return event.Type{Kind: event.Array, Size: size, Elem: &elem, Len: int(u.Nelems)}, why
	case *btf.Float:
		return event.Type{Kind: event.Bytes, Size: size, Name: Name(t)}, ""
	}
	ms, ok := Members(t)
	if !ok {
		return event.Type{}, "it is " + Name(t)
	}
	e := event.Type{Kind: event.Struct, Size: size, Name: Name(t)}
	for _, m := range ms {
		mt, why := btfEvent(m.Type, depth+1)
		if why != "" {
			return e, why
		}
		f := event.Field{Name: m.Name, Offset: int(m.Offset / 8), Type: mt}
		if m.BitfieldSize > 0 {
			b := FieldBits(m)
			f.Offset, f.BitOffset, f.BitSize = int(b.At), b.Off, b.Size
			f.Type.Size = b.Bytes
		}
		e.Fields = append(e.Fields, f)
	}
	return e, ""
}

// BitsAt is a bit-field's place: Bits within the bytes at At.
type BitsAt struct {
	Bits
	At int64
}

// FieldBits finds the aligned bytes that hold the whole bit-field m, no wider
// than eight, as CO-RE relocations count them.
func FieldBits(m btf.Member) BitsAt {
	bytes, err := btf.Sizeof(m.Type)
	if err != nil || bytes <= 0 || bytes > 8 {
		bytes = 8
	}
	off, size := int64(m.Offset), int64(m.BitfieldSize)
	at := off / 8 / int64(bytes) * int64(bytes)
	for off+size-at*8 > int64(bytes)*8 && bytes < 8 {
		bytes *= 2
		at = off / 8 / int64(bytes) * int64(bytes)
	}
	return BitsAt{Bits{Off: int(off - at*8), Size: int(size), Bytes: bytes}, at}
}
