package envtext

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// words are the base types, by their words in C.
var words = map[string]*btf.Int{
	"char": {Name: "char", Size: 1, Encoding: btf.Char}, "signed char": {Name: "signed char", Size: 1, Encoding: btf.Signed}, "unsigned char": {Name: "unsigned char", Size: 1},
	"bool": {Name: "_Bool", Size: 1, Encoding: btf.Bool}, "short": {Name: "short", Size: 2, Encoding: btf.Signed}, "unsigned short": {Name: "unsigned short", Size: 2},
	"int": {Name: "int", Size: 4, Encoding: btf.Signed}, "unsigned": {Name: "unsigned int", Size: 4}, "unsigned int": {Name: "unsigned int", Size: 4},
	"long": {Name: "long", Size: 8, Encoding: btf.Signed}, "unsigned long": {Name: "unsigned long", Size: 8}, "__int128": {Name: "__int128", Size: 16, Encoding: btf.Signed},
}

// base parses a type in front of its declarators.
func (p *parser) base() btf.Type {
	var t btf.Type
	user, isConst := false, false
	for p.peek() == "const" || p.peek() == "__user" {
		if p.next() == "const" {
			isConst = true
		} else {
			user = true
		}
	}
	switch k := p.peek(); k {
	case "struct", "union", "enum":
		p.next()
		t = p.tagged(k)
	case "void":
		p.next()
		t = &btf.Void{}
	case "float", "double":
		p.next()
		t = &btf.Float{Name: k, Size: map[string]uint32{"float": 4, "double": 8}[k]}
	default:
		t = p.named()
	}
	for p.peek() == "const" || p.peek() == "__user" {
		if p.next() == "__user" {
			user = true
		}
	}
	if isConst {
		t = &btf.Const{Type: t}
	}
	if user {
		t = &btf.TypeTag{Value: "user", Type: t}
	}
	return t
}

// named parses a base type or a typedef.
func (p *parser) named() btf.Type {
	var ws []string
	for {
		w := p.peek()
		if _, ok := words[strings.Join(append(append([]string{}, ws...), w), " ")]; !ok && w != "signed" {
			break
		}
		ws = append(ws, p.next())
	}
	if t := words[strings.Join(ws, " ")]; t != nil {
		return t
	}
	n := p.next()
	if t := p.env.types[n]; t != nil {
		return t
	}
	if p.err == nil {
		p.err = fmt.Errorf("unknown type %q", n)
	}
	return &btf.Void{}
}

// tagged parses what follows struct, union or enum.
func (p *parser) tagged(kind string) btf.Type {
	name := ""
	if p.peek() != "{" {
		name = p.next()
	}
	key := kind + " " + name
	if p.peek() != "{" {
		if t := p.env.types[key]; t != nil {
			return t
		}
		// A name that is used before it is defined is filled in later; one that
		// never is stays a declaration without fields.
		var t btf.Type = &btf.Struct{Name: name}
		if kind == "union" {
			t = &btf.Union{Name: name}
		}
		p.env.types[key] = t
		return t
	}
	p.next()
	if kind == "enum" {
		return p.enum(name)
	}
	members, size := p.members(kind == "union")
	if kind == "union" {
		u, _ := p.env.types[key].(*btf.Union)
		if u == nil || name == "" {
			u = &btf.Union{Name: name}
		}
		u.Members, u.Size = members, size
		p.define(key, name, u)
		return u
	}
	s, _ := p.env.types[key].(*btf.Struct)
	if s == nil || name == "" {
		s = &btf.Struct{Name: name}
	}
	s.Members, s.Size = members, size
	p.define(key, name, s)
	return s
}

func (p *parser) define(key, name string, t btf.Type) {
	if name != "" {
		p.env.types[key] = t
	}
}

func (p *parser) enum(name string) btf.Type {
	e := &btf.Enum{Name: name, Size: 4}
	next := int64(0)
	for p.err == nil && !p.accept("}") {
		n := p.next()
		if p.accept("=") {
			next = p.number()
		}
		if next < 0 {
			e.Signed = true
		}
		e.Values = append(e.Values, btf.EnumValue{Name: n, Value: uint64(next)})
		next++
		p.accept(",")
	}
	p.define("enum "+name, name, e)
	return e
}

// members parses the fields and lays them out as C does.
func (p *parser) members(union bool) (out []btf.Member, size uint32) {
	bit, align := 0, 1
	for p.err == nil && !p.accept("}") {
		base := p.base()
		for p.err == nil {
			m := btf.Member{Type: base}
			if p.peek() != ";" {
				m.Name, m.Type = p.declarator(base)
			}
			n, a := p.sizeAlign(m.Type)
			align = max(align, a)
			if p.accept(":") {
				m.BitfieldSize = btf.Bits(p.number())
				if bit/(8*n) != (bit+int(m.BitfieldSize)-1)/(8*n) {
					bit = (bit + 8*a - 1) / (8 * a) * 8 * a
				}
			} else {
				bit = (bit + 8*a - 1) / (8 * a) * 8 * a
			}
			if union {
				bit = 0
			}
			m.Offset = btf.Bits(bit)
			out = append(out, m)
			if m.BitfieldSize > 0 {
				bit += int(m.BitfieldSize)
			} else {
				bit += 8 * n
			}
			size = max(size, uint32((bit+7)/8))
			if !p.accept(",") {
				break
			}
		}
		p.expect(";")
	}
	return out, (size + uint32(align) - 1) / uint32(align) * uint32(align)
}

// declarator parses stars, a name and array bounds, or a pointer to a function.
func (p *parser) declarator(t btf.Type) (string, btf.Type) {
	for p.accept("*") {
		t = &btf.Pointer{Target: t}
		if p.accept("__user") {
			t = &btf.TypeTag{Value: "user", Type: t}
		}
		p.accept("const")
	}
	if p.accept("(") {
		p.expect("*")
		name := p.next()
		p.expect(")")
		p.expect("(")
		for p.err == nil && !p.accept(")") {
			p.next()
		}
		return name, &btf.Pointer{Target: &btf.FuncProto{Return: t}}
	}
	name := p.next()
	var dims []uint32
	for p.accept("[") {
		n := uint32(0)
		if p.peek() != "]" {
			n = uint32(p.number())
		}
		dims = append(dims, n)
		p.expect("]")
	}
	for i := len(dims) - 1; i >= 0; i-- {
		t = &btf.Array{Index: words["unsigned int"], Type: t, Nelems: dims[i]}
	}
	return name, t
}

func (p *parser) sizeAlign(t btf.Type) (size, align int) {
	switch u := btf.UnderlyingType(t).(type) {
	case *btf.Array:
		n, a := p.sizeAlign(u.Type)
		return n * int(u.Nelems), a
	case *btf.Struct:
		return int(u.Size), memberAlign(p, u.Members)
	case *btf.Union:
		return int(u.Size), memberAlign(p, u.Members)
	default:
		n, err := btf.Sizeof(u)
		if err != nil || n == 0 {
			return 1, 1
		}
		return n, min(n, 16)
	}
}

func memberAlign(p *parser, ms []btf.Member) int {
	a := 1
	for _, m := range ms {
		_, n := p.sizeAlign(m.Type)
		a = max(a, n)
	}
	return a
}
