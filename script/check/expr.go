package check

import (
	"strconv"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/script/ast"
	"github.com/gtrace-dev/gtrace/script/typed"
)

// expr checks an expression. Structs and arrays come back as a typed.Ref or as
// pieces, which are not values yet.
func (c *checker) expr(e ast.Expr) typed.Expr {
	x := typed.X{Span: e.At()}
	switch e := e.(type) {
	case *ast.Int:
		x.Type = int64T
		if e.Unsigned || e.Val > 1<<63-1 {
			x.Type = uint64T
		}
		return &typed.Const{X: x, Val: e.Val}
	case *ast.Str:
		if len(e.Val) >= MaxStr {
			return c.unsupported(e.At(), "strings of more than %d bytes", MaxStr-1)
		}
		return lit(x, e.Val)
	case *ast.Ident:
		return c.builtin(e)
	case *ast.Var:
		v := c.lookup(e.Name)
		if v == nil {
			return c.undefinedVar(e)
		}
		x.Type = v.Type
		return &typed.Get{X: x, Var: v}
	case *ast.MapRef:
		return c.mapGet(e)
	case *ast.Param:
		return c.param(e)
	case *ast.ParamCount:
		x.Type = int64T
		return &typed.Const{X: x, Val: uint64(len(c.opts.Params))}
	case *ast.Unary:
		return c.unary(e)
	case *ast.IncDec:
		return c.incDec(e)
	case *ast.Binary:
		return c.binary(e)
	case *ast.Ternary:
		return c.ternary(e)
	case *ast.Call:
		return c.call(e)
	case *ast.Member:
		return c.member(e)
	case *ast.Index:
		return c.index(e)
	case *ast.Cast:
		return c.cast(e)
	case *ast.Sizeof:
		return c.sizeof(e)
	}
	return invalid(e.At())
}

func lit(x typed.X, s string) typed.Expr {
	x.Type = &typed.Type{Kind: typed.Str, Size: len(s) + 1}
	return &typed.Lit{X: x, Val: s}
}

// param is $N as a number.
func (c *checker) param(e *ast.Param) typed.Expr {
	x := typed.X{Type: int64T, Span: e.At()}
	if e.N == 0 || e.N > len(c.opts.Params) {
		if e.N == 0 {
			b, d := c.bad(e.At(), "positional parameters count from $1")
			d.Hint = "$# is their number"
			return b
		}
		return &typed.Const{X: x} // as in a shell, a missing one is empty
	}
	s := c.opts.Params[e.N-1]
	v, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		u, uerr := strconv.ParseUint(s, 0, 64)
		if uerr != nil {
			b, d := c.bad(e.At(), "positional parameter $%d is %q", e.N, s)
			d.Expected, d.Hint = "a number", "use str($"+strconv.Itoa(e.N)+") for a string"
			return b
		}
		return &typed.Const{X: typed.X{Type: uint64T, Span: e.At()}, Val: u}
	}
	return &typed.Const{X: x, Val: uint64(v)}
}

// decay turns an array of characters into the string that it holds.
func (c *checker) decay(e typed.Expr) typed.Expr {
	switch r := e.(type) {
	case *pieces:
		return c.unsupported(e.At(), "a whole %s that is kept in registers; name one of its fields", typed.Name(r.bt))
	case *typed.Ref:
		a, ok := typed.Bare(r.Type.BTF).(*btf.Array)
		if !ok || !typed.IsChar(a.Type) {
			return e
		}
		n := min(int(a.Nelems)+1, MaxStr)
		if a.Nelems == 0 {
			n = c.opts.StrSize
		}
		return c.strRead(c.addressOf(r), n, r.Mem.Space.User, r.Span)
	}
	return e
}

// strRead reads a string at an address.
func (c *checker) strRead(addr typed.Expr, size int, user bool, at spanT) typed.Expr {
	_, fromCtx := addr.(*typed.CtxAddr)
	_, computed := addr.(*typed.Addr)
	return &typed.StrRead{X: typed.X{Type: &typed.Type{Kind: typed.Str, Size: size}, Span: at}, Addr: addr, Null: !fromCtx && !computed, User: user}
}

// addressOf is the address of what r refers to.
func (c *checker) addressOf(r *typed.Ref) typed.Expr {
	t := &typed.Type{Kind: typed.Ptr, Size: 8, BTF: r.Type.BTF, Space: r.Mem.Space}
	if r.Mem.Off == 0 && !r.Mem.Null && len(r.Mem.Path) == 0 {
		if a, ok := r.Mem.Base.(*typed.CtxAddr); ok {
			return a
		}
	}
	return &typed.Addr{X: typed.X{Type: t, Span: r.Span}, Mem: r.Mem}
}

// scalar demands a number, pointer or string.
func (c *checker) scalar(e typed.Expr) typed.Expr {
	e = c.decay(e)
	if k := e.T().Kind; k == typed.Composite || k == typed.Array {
		b, d := c.bad(e.At(), "%s is not a value that can be used here", e.T())
		d.Expected = "a number, a pointer or a string"
		if k == typed.Composite {
			d.Hint = "name one of its fields"
		}
		return b
	}
	return e
}

// integer demands a number; a pointer counts as one where it is not followed.
func (c *checker) integer(e typed.Expr, what string) typed.Expr {
	e = c.scalar(e)
	switch e.T().Kind {
	case typed.Int, typed.Invalid:
		return e
	case typed.Ptr:
		return &typed.Cast{X: typed.X{Type: uint64T, Span: e.At()}, A: e}
	}
	b, d := c.bad(e.At(), "%s needs a number", what)
	d.Found = e.T().String()
	return b
}

// condition demands what is true or false: a number or a pointer.
func (c *checker) condition(e ast.Expr) typed.Expr {
	x := c.scalar(c.expr(e))
	if k := x.T().Kind; k != typed.Int && k != typed.Ptr && k != typed.Invalid {
		b, d := c.bad(e.At(), "a condition needs a number or a pointer")
		d.Found = x.T().String()
		if k == typed.Str {
			d.Hint = `compare the string: … == "text"`
		}
		return b
	}
	return x
}

func (c *checker) ternary(e *ast.Ternary) typed.Expr {
	cond := c.condition(e.Cond)
	a, b := c.storable(c.expr(e.X), "a value"), c.storable(c.expr(e.Y), "a value")
	if isInvalid(a) || isInvalid(b) {
		return invalid(e.At())
	}
	t := *widen(a.T())
	if isZero(a) && b.T().Kind == typed.Ptr {
		t = *b.T()
	} else if !c.fits(&t, b) {
		bad, d := c.bad(e.At(), "the two values of `? :` have different types")
		d.Expected, d.Found = a.T().String(), b.T().String()
		return bad
	}
	switch t.Kind {
	case typed.Str:
		t.Size = max(t.Size, b.T().Size)
	case typed.Int:
		t.Signed = signedOf(a, b)
		if isEnum(a.T()) && (!isEnum(b.T()) || typed.Name(a.T().BTF) != typed.Name(b.T().BTF)) {
			t.BTF = nil
		}
	}
	return &typed.Cond{X: typed.X{Type: &t, Span: e.At()}, C: cond, A: a, B: b}
}

// signedOf is the signedness of arithmetic on a and b: unsigned if one is,
// but a constant that fits both ways follows the other.
func signedOf(a, b typed.Expr) bool {
	as, bs := a.T().Signed, b.T().Signed
	if as == bs {
		return as
	}
	fits := func(e typed.Expr) bool {
		k, ok := e.(*typed.Const)
		return ok && int64(k.Val) >= 0
	}
	switch {
	case fits(a):
		return bs
	case fits(b):
		return as
	}
	return false
}

func isEnum(t *typed.Type) bool {
	if t.BTF == nil || t.Kind != typed.Int {
		return false
	}
	_, ok := typed.Bare(t.BTF).(*btf.Enum)
	return ok
}

func (c *checker) incDec(e *ast.IncDec) typed.Expr {
	delta := int64(1)
	if e.Op == "--" {
		delta = -1
	}
	switch t := e.X.(type) {
	case *ast.MapRef:
		return c.incMap(e, t, delta)
	case *ast.Var:
		v := c.lookup(t.Name)
		if v == nil {
			return c.undefinedVar(t)
		}
		switch v.Type.Kind {
		case typed.Int, typed.Invalid:
		case typed.Ptr:
			n, err := sizeofBTF(v.Type.BTF)
			if err != nil {
				return c.unsupported(e.At(), "`%s` on %s, whose target has no size", e.Op, v.Type)
			}
			delta *= int64(n)
		default:
			b, d := c.bad(e.At(), "`%s` needs a number", e.Op)
			d.Found = v.Type.String()
			return b
		}
		return &typed.IncVar{X: typed.X{Type: v.Type, Span: e.At()}, Var: v, Delta: delta, Post: e.Post}
	}
	b, d := c.bad(e.X.At(), "can't change this")
	d.Expected = "a variable `$x` or a map `@x` with `" + e.Op + "`"
	return b
}

func sizeofBTF(t btf.Type) (int, error) {
	b := typed.Bare(t)
	if b == nil {
		return 1, nil // void, as gcc has it
	}
	if _, ok := b.(*btf.Void); ok {
		return 1, nil
	}
	return btf.Sizeof(t)
}

func (c *checker) sizeof(e *ast.Sizeof) typed.Expr {
	x := typed.X{Type: uint64T, Span: e.At()}
	var n int
	if e.Type != nil {
		t := c.typeName(e.Type)
		if t == nil {
			return invalid(e.At())
		}
		var err error
		if n, err = t.size(); err != nil {
			b, d := c.bad(e.At(), "the size of `%s` is not known", e.Type.Name)
			d.Hint = err.Error()
			return b
		}
	} else {
		v := c.expr(e.X)
		if isInvalid(v) {
			return v
		}
		n = v.T().Size
		if p, ok := v.(*pieces); ok {
			n, _ = btf.Sizeof(p.bt)
		}
	}
	return &typed.Const{X: x, Val: uint64(n)}
}
