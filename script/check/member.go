package check

import (
	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/script/ast"
	"github.com/gtrace-dev/gtrace/script/diag"
	"github.com/gtrace-dev/gtrace/script/typed"
)

// found is a field and the way to it through anonymous members.
type found struct {
	path []int
	off  int64 // of the field's struct, in bits
	m    btf.Member
}

// findMember looks for a field, also within anonymous structs and unions.
func findMember(t btf.Type, name string, depth int) *found {
	ms, _ := typed.Members(t)
	for i, m := range ms {
		if m.Name == name && name != "" {
			return &found{path: []int{i}, m: m}
		}
	}
	for i, m := range ms {
		if m.Name != "" || depth > 16 {
			continue
		}
		if f := findMember(m.Type, name, depth+1); f != nil {
			f.path = append([]int{i}, f.path...)
			f.off += int64(m.Offset)
			return f
		}
	}
	return nil
}

// memberNames lists the fields, also those of anonymous members.
func memberNames(t btf.Type, depth int) []string {
	ms, _ := typed.Members(t)
	var out []string
	for _, m := range ms {
		if m.Name != "" {
			out = append(out, m.Name)
		} else if depth < 16 {
			out = append(out, memberNames(m.Type, depth+1)...)
		}
	}
	return out
}

// member checks X.name and X->name.
func (c *checker) member(e *ast.Member) typed.Expr {
	if id, ok := e.X.(*ast.Ident); ok && id.Name == "args" {
		return c.arg(e)
	}
	x := c.expr(e.X)
	t := x.T()
	switch t.Kind {
	case typed.Invalid:
		return x
	case typed.Ptr:
		if !e.Arrow {
			b, d := c.bad(e.NameAt, "%s is a pointer", t)
			d.Hint = "its fields are reached with `->`: …->" + e.Name
			return b
		}
		target := c.complete(t.BTF, e)
		if target == nil {
			return invalid(e.At())
		}
		return c.field(e, target, typed.Mem{Base: x, Null: true, Root: target, Path: []int{}, Space: t.Space}, nil)
	case typed.Composite:
		if e.Arrow {
			b, d := c.bad(e.NameAt, "%s is not a pointer", t)
			d.Hint = "its fields are reached with `.`: …." + e.Name
			return b
		}
		if p, ok := x.(*pieces); ok {
			return c.field(e, p.bt, typed.Mem{}, p)
		}
		if r, ok := x.(*typed.Ref); ok {
			return c.field(e, t.BTF, r.Mem, nil)
		}
	}
	b, d := c.bad(e.X.At(), "%s has no fields", t)
	d.Expected = "a pointer to a struct, or a struct"
	if t.Kind == typed.Int {
		d.Hint = c.untypedHint(e.X)
	}
	return b
}

// untypedHint says how a number gets a type that can be followed.
func (c *checker) untypedHint(x ast.Expr) string {
	if id, ok := x.(*ast.Ident); ok && (argNumber(id.Name) >= 0 || id.Name == "retval") {
		if argNumber(id.Name) >= 0 {
			return "a register has no type: cast it, ((struct NAME *)" + id.Name + ")->…, or use args.NAME"
		}
		return "the return value has no known type: cast it, ((struct NAME *)retval)->…"
	}
	return "a number has no type to follow: cast it, ((struct NAME *)…)->…"
}

// complete gives the struct or union that t names. One that is only declared
// is looked up by its name.
func (c *checker) complete(t btf.Type, e *ast.Member) btf.Type {
	if _, ok := typed.Members(t); ok {
		return t
	}
	if f, ok := typed.Bare(t).(*btf.Fwd); ok {
		full, err := c.env.Type(c.inst.place, f.Kind.String(), f.Name)
		if err == nil {
			if _, ok := typed.Members(full); ok {
				return full
			}
		}
		d := c.diags.Add(e.X.At(), "`%s` is only declared here, its fields are not known", typed.Name(f))
		d.Hint = "install the debug information of the library that defines it, or cast to a type that has them"
		return nil
	}
	d := c.diags.Add(e.X.At(), "`%s` has no fields", typed.Name(&btf.Pointer{Target: orVoid(t)}))
	d.Expected = "a pointer to a struct"
	switch typed.Bare(t).(type) {
	case *btf.Pointer:
		d.Hint = "it is a pointer to a pointer: (*…)->" + e.Name
	case nil, *btf.Void:
		d.Hint = "cast it first: ((struct NAME *)…)->" + e.Name
	}
	return nil
}

func orVoid(t btf.Type) btf.Type {
	if t == nil {
		return &btf.Void{}
	}
	return t
}

// field goes from a struct in memory, or in pieces, to one of its fields.
func (c *checker) field(e *ast.Member, t btf.Type, mem typed.Mem, p *pieces) typed.Expr {
	f := findMember(t, e.Name, 0)
	if f == nil {
		b, d := c.bad(e.NameAt, "`%s` has no field `%s`", typed.Name(t), e.Name)
		d.Hint = diag.DidYouMean(e.Name, memberNames(t, 0))
		return b
	}
	bits := f.off + int64(f.m.Offset)
	at := f.m
	at.Offset = btf.Bits(bits)
	if p != nil {
		return c.pieceField(e, p, at)
	}
	mem.Path = append(append([]int{}, mem.Path...), f.path...)
	if at.BitfieldSize > 0 {
		b := typed.FieldBits(at)
		mem.Off += b.At
		mem.Bits = &b.Bits
		return c.bitfield(e.At(), mem, at)
	}
	mem.Off += bits / 8
	return c.valueAt(e.At(), mem, at.Type)
}

func (c *checker) bitfield(at spanT, mem typed.Mem, m btf.Member) typed.Expr {
	t := c.scalarType(m.Type, mem.Space)
	if t == nil {
		return c.unsupported(at, "bit-field of type %s", typed.Name(m.Type))
	}
	return &typed.Load{X: typed.X{Type: t, Span: at}, Mem: mem}
}

// scalarType is the type of a number or pointer of type t read from space s; nil for others.
func (c *checker) scalarType(t btf.Type, s typed.Space) *typed.Type {
	switch u := typed.Bare(t).(type) {
	case *btf.Int:
		if u.Size > 8 {
			return nil
		}
		return &typed.Type{Kind: typed.Int, Size: int(u.Size), Signed: u.Encoding == btf.Signed || u.Encoding == btf.Char && u.Size == 1, BTF: t}
	case *btf.Enum:
		return &typed.Type{Kind: typed.Int, Size: int(u.Size), Signed: u.Signed, BTF: t}
	case *btf.Pointer:
		if typed.HasTag(u.Target, "user") {
			s.User = true
		}
		target := u.Target
		if _, void := typed.Bare(target).(*btf.Void); void {
			target = nil
		}
		return &typed.Type{Kind: typed.Ptr, Size: 8, BTF: target, Space: s}
	}
	return nil
}

// valueAt is what lies at mem: a load of a number or pointer, or a reference.
func (c *checker) valueAt(at spanT, mem typed.Mem, t btf.Type) typed.Expr {
	x := typed.X{Span: at}
	if x.Type = c.scalarType(t, mem.Space); x.Type != nil {
		return &typed.Load{X: x, Mem: mem}
	}
	if why := c.opaque(t); why != "" {
		return c.unsupported(at, "%s", why)
	}
	size, _ := btf.Sizeof(t)
	x.Type = &typed.Type{Kind: typed.Composite, Size: size, BTF: t, Space: mem.Space}
	if _, ok := typed.Bare(t).(*btf.Array); ok {
		x.Type.Kind = typed.Array
	}
	return &typed.Ref{X: x, Mem: mem}
}

// opaque says why a value of type t can't be had; "" when it can.
func (c *checker) opaque(t btf.Type) string {
	switch u := typed.Bare(t).(type) {
	case *btf.Float:
		return "floating point: `" + typed.Name(t) + "`"
	case *btf.Int:
		if u.Size > 8 {
			return "numbers of more than 64 bits: `" + typed.Name(t) + "`"
		}
	case *btf.Struct, *btf.Union, *btf.Array, *btf.Enum, *btf.Pointer:
	default:
		return "a value of type `" + typed.Name(t) + "`"
	}
	return ""
}

// deref checks *X.
func (c *checker) deref(e *ast.Unary) typed.Expr {
	x := c.expr(e.X)
	t := x.T()
	if t.Kind == typed.Invalid {
		return x
	}
	if t.Kind == typed.Array {
		return c.element(e.At(), x, &typed.Const{X: typed.X{Type: int64T, Span: e.At()}})
	}
	if t.Kind != typed.Ptr {
		b, d := c.bad(e.At(), "%s can't be followed", t)
		d.Expected = "a pointer"
		if t.Kind == typed.Int {
			d.Hint = "a number has no type to follow: cast it, *(uint64 *)…"
			if id, ok := e.X.(*ast.Ident); ok && argNumber(id.Name) >= 0 {
				d.Hint = "a register has no type: cast it, *(uint64 *)" + id.Name + ", or use args.NAME"
			}
		}
		return b
	}
	return c.element(e.At(), x, &typed.Const{X: typed.X{Type: int64T, Span: e.At()}})
}

// index checks X[I].
func (c *checker) index(e *ast.Index) typed.Expr {
	x, i := c.expr(e.X), c.integer(c.expr(e.I), "an index")
	if isInvalid(x) || isInvalid(i) {
		return invalid(e.At())
	}
	return c.element(e.At(), x, i)
}

// element is number i of an array, or of what a pointer points to.
func (c *checker) element(at spanT, x, i typed.Expr) typed.Expr {
	k, isConst := i.(*typed.Const)
	t := x.T()
	switch t.Kind {
	case typed.Array:
		a := typed.Bare(t.BTF).(*btf.Array)
		if isConst && a.Nelems > 0 && k.Val >= uint64(a.Nelems) {
			b, d := c.bad(i.At(), "index %d is outside of %s", int64(k.Val), t)
			d.Expected = "0 to " + string(appendInt(nil, int(a.Nelems)-1))
			return b
		}
		if p, ok := x.(*pieces); ok {
			return c.pieceElement(at, p, a, i)
		}
		r, ok := x.(*typed.Ref)
		if !ok {
			break
		}
		return c.arrayElement(at, r, a, i)
	case typed.Ptr:
		n, err := sizeofBTF(t.BTF)
		if _, void := typed.Bare(orVoid(t.BTF)).(*btf.Void); void || err != nil {
			b, d := c.bad(at, "%s points to nothing of a known size", t)
			d.Hint = "cast it first: (uint8 *)…"
			return b
		}
		mem := typed.Mem{Base: x, Null: true, Root: t.BTF, Path: []int{}, Space: t.Space}
		if !isConst || k.Val != 0 {
			mem.Base = &typed.Binary{X: typed.X{Type: t, Span: at}, Op: "+", A: nonNull(x), B: scaled(i, n)}
			mem.Null = false
		}
		return c.valueAt(at, mem, t.BTF)
	}
	b, d := c.bad(at, "%s has no elements", t)
	d.Expected = "an array or a pointer"
	return b
}

// nonNull is the pointer x, tested before it is computed with.
func nonNull(x typed.Expr) typed.Expr {
	return &typed.Addr{X: typed.X{Type: x.T(), Span: x.At()}, Mem: typed.Mem{Base: x, Null: true, Space: x.T().Space}}
}

func (c *checker) arrayElement(at spanT, r *typed.Ref, a *btf.Array, i typed.Expr) typed.Expr {
	n, err := btf.Sizeof(a.Type)
	if err != nil {
		return c.unsupported(at, "elements of type %s", typed.Name(a.Type))
	}
	mem := r.Mem
	if k, ok := i.(*typed.Const); ok {
		mem.Off += int64(k.Val) * int64(n)
		mem.Path = append(append([]int{}, mem.Path...), int(k.Val))
		return c.valueAt(at, mem, a.Type)
	}
	if a.Nelems > 0 && a.Nelems < 1<<31 {
		i = &typed.Bound{X: typed.X{Type: uint64T, Span: i.At()}, A: i, N: int32(a.Nelems)}
	}
	base := c.addressOf(r)
	p := &typed.Type{Kind: typed.Ptr, Size: 8, BTF: a.Type, Space: mem.Space}
	sum := &typed.Binary{X: typed.X{Type: p, Span: at}, Op: "+", A: base, B: scaled(i, n)}
	return c.valueAt(at, typed.Mem{Base: sum, Root: a.Type, Path: []int{}, Space: mem.Space}, a.Type)
}

// address checks &X.
func (c *checker) address(e *ast.Unary) typed.Expr {
	x := c.expr(e.X)
	var mem typed.Mem
	switch r := x.(type) {
	case *typed.Load:
		mem = r.Mem
	case *typed.Ref:
		mem = r.Mem
	default:
		if isInvalid(x) {
			return x
		}
		if _, ok := e.X.(*ast.Var); ok {
			return c.unsupported(e.At(), "the address of a variable")
		}
		b, d := c.bad(e.At(), "this has no address")
		d.Expected = "a field, an element, or what a pointer points to"
		return b
	}
	if mem.Bits != nil {
		b, _ := c.bad(e.At(), "a bit-field has no address")
		return b
	}
	t := &typed.Type{Kind: typed.Ptr, Size: 8, BTF: x.T().BTF, Space: mem.Space}
	if x.T().Kind == typed.Ptr {
		t.BTF = &btf.Pointer{Target: orVoid(x.T().BTF)}
	}
	return &typed.Addr{X: typed.X{Type: t, Span: e.At()}, Mem: mem}
}
