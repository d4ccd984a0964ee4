package check

import (
	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/script/ast"
	"github.com/gtrace-dev/gtrace/script/diag"
	"github.com/gtrace-dev/gtrace/script/typed"
)

type spanT = diag.Span

func (c *checker) unary(e *ast.Unary) typed.Expr {
	x := typed.X{Type: int64T, Span: e.At()}
	switch e.Op {
	case "*":
		return c.deref(e)
	case "&":
		return c.address(e)
	case "!":
		a := c.condition(e.X)
		if k, ok := a.(*typed.Const); ok && !isInvalid(a) {
			return &typed.Const{X: x, Val: b2u(k.Val == 0)}
		}
		return &typed.Unary{X: x, Op: "!", A: a}
	}
	a := c.integer(c.expr(e.X), "`"+e.Op+"`")
	if isInvalid(a) {
		return a
	}
	x.Type = &typed.Type{Kind: typed.Int, Size: 8, Signed: a.T().Signed || e.Op == "-"}
	if k, ok := a.(*typed.Const); ok {
		if e.Op == "-" {
			return &typed.Const{X: x, Val: -k.Val}
		}
		return &typed.Const{X: x, Val: ^k.Val}
	}
	return &typed.Unary{X: x, Op: e.Op, A: a}
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func isCompare(op string) bool {
	switch op {
	case "==", "!=", "<", "<=", ">", ">=":
		return true
	}
	return false
}

func (c *checker) binary(e *ast.Binary) typed.Expr {
	x := typed.X{Type: int64T, Span: e.At()}
	if e.Op == "&&" || e.Op == "||" {
		return &typed.Logic{X: x, Op: e.Op, A: c.condition(e.X), B: c.condition(e.Y)}
	}
	a, b := c.operands(e)
	if isInvalid(a) || isInvalid(b) {
		if isInvalid(a) && isInvalid(b) && !isCompare(e.Op) {
			return invalid(e.At())
		}
		return &typed.Const{X: x, Val: 1 << 40} // a number, whatever the other turns out to be
	}
	ka, kb := a.T().Kind, b.T().Kind
	switch {
	case ka == typed.Str || kb == typed.Str:
		return c.compareStrings(e, a, b)
	case ka == typed.KSym || ka == typed.USym || kb == typed.KSym || kb == typed.USym:
		bad, d := c.bad(e.OpAt, "`%s` does not work on symbols", e.Op)
		d.Hint = "use the address"
		return bad
	case (ka == typed.Ptr || kb == typed.Ptr) && !isCompare(e.Op):
		return c.pointerArith(e, a, b)
	}
	return c.arith(x, e, a, b)
}

// operands checks both sides. A name beside an enum may be one of its constants.
func (c *checker) operands(e *ast.Binary) (a, b typed.Expr) {
	if n, ok := e.X.(*ast.Ident); ok && !isBuiltin(n.Name) {
		b = c.scalar(c.expr(e.Y))
		return c.beside(b, n), b
	}
	a = c.scalar(c.expr(e.X))
	if n, ok := e.Y.(*ast.Ident); ok && !isBuiltin(n.Name) {
		return a, c.beside(a, n)
	}
	return a, c.scalar(c.expr(e.Y))
}

// beside checks name, which stands beside x.
func (c *checker) beside(x typed.Expr, name *ast.Ident) typed.Expr {
	if isEnum(x.T()) {
		for _, v := range typed.Bare(x.T().BTF).(*btf.Enum).Values {
			if v.Name == name.Name {
				t := *x.T()
				t.Size = 8
				return &typed.Const{X: typed.X{Type: &t, Span: name.At()}, Val: v.Value}
			}
		}
	}
	return c.scalar(c.expr(name))
}

// arith checks arithmetic, bits and comparisons of numbers.
func (c *checker) arith(x typed.X, e *ast.Binary, a, b typed.Expr) typed.Expr {
	signed := signedOf(a, b)
	if a.T().Kind == typed.Ptr || b.T().Kind == typed.Ptr {
		signed = false
	}
	if e.Op == "<<" || e.Op == ">>" {
		signed = a.T().Signed
	}
	if !isCompare(e.Op) {
		x.Type = &typed.Type{Kind: typed.Int, Size: 8, Signed: signed}
	}
	k, isConst := b.(*typed.Const)
	switch {
	case isConst && k.Val == 0 && (e.Op == "/" || e.Op == "%"):
		bad, _ := c.bad(e.OpAt.To(e.Y.At()), "division by zero")
		return bad
	case isConst && k.Val > 63 && (e.Op == "<<" || e.Op == ">>"):
		bad, d := c.bad(e.OpAt.To(e.Y.At()), "shift by %d", int64(k.Val))
		d.Expected = "0 to 63"
		return bad
	}
	if l, ok := a.(*typed.Const); ok && isConst {
		return &typed.Const{X: x, Val: fold(e.Op, signed, l.Val, k.Val)}
	}
	return &typed.Binary{X: x, Op: e.Op, Signed: signed, A: a, B: b}
}

// fold computes on constants as the emitted code would.
func fold(op string, signed bool, a, b uint64) uint64 {
	s, t := int64(a), int64(b)
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "/":
		if signed {
			return uint64(s / t)
		}
		return a / b
	case "%":
		if signed {
			return uint64(s % t)
		}
		return a % b
	case "&":
		return a & b
	case "|":
		return a | b
	case "^":
		return a ^ b
	case "<<":
		return a << b
	case ">>":
		if signed {
			return uint64(s >> b)
		}
		return a >> b
	case "==":
		return b2u(a == b)
	case "!=":
		return b2u(a != b)
	}
	less := a < b
	if signed {
		less = s < t
	}
	switch op {
	case "<":
		return b2u(less)
	case ">=":
		return b2u(!less)
	case "<=":
		return b2u(less || a == b)
	}
	return b2u(!less && a != b)
}

// pointerArith checks pointer + n and pointer - n, in units of what it points to.
func (c *checker) pointerArith(e *ast.Binary, a, b typed.Expr) typed.Expr {
	if b.T().Kind == typed.Ptr && e.Op == "+" {
		a, b = b, a
	}
	if a.T().Kind != typed.Ptr || b.T().Kind != typed.Int || e.Op != "+" && e.Op != "-" {
		bad, d := c.bad(e.OpAt, "`%s` does not work on %s and %s", e.Op, a.T(), b.T())
		d.Hint = "cast pointers to numbers first: (uint64)…"
		return bad
	}
	n, err := sizeofBTF(a.T().BTF)
	if err != nil {
		bad, _ := c.bad(e.At(), "the size of what %s points to is not known", a.T())
		return bad
	}
	return &typed.Binary{X: typed.X{Type: a.T(), Span: e.At()}, Op: e.Op, A: a, B: scaled(b, n)}
}

// scaled is b times n.
func scaled(b typed.Expr, n int) typed.Expr {
	x := typed.X{Type: int64T, Span: b.At()}
	if k, ok := b.(*typed.Const); ok {
		return &typed.Const{X: x, Val: k.Val * uint64(n)}
	}
	if n == 1 {
		return b
	}
	return &typed.Binary{X: x, Op: "*", Signed: true, A: b, B: &typed.Const{X: x, Val: uint64(n)}}
}

// bounded reports whether the string's size is a limit of how it is read, not
// just of what the script puts there.
func bounded(e typed.Expr) bool {
	switch e.(type) {
	case *typed.StrRead, *typed.Call:
		return true
	}
	return false
}

func (c *checker) compareStrings(e *ast.Binary, a, b typed.Expr) typed.Expr {
	if e.Op != "==" && e.Op != "!=" {
		bad, d := c.bad(e.OpAt, "`%s` does not work on strings", e.Op)
		d.Hint = "strings can be compared with == and !="
		return bad
	}
	if a.T().Kind != b.T().Kind {
		bad, d := c.bad(e.At(), "a string is compared with something else")
		d.Expected, d.Found = a.T().String(), b.T().String()
		other := a
		if a.T().Kind == typed.Str {
			other = b
		}
		if other.T().Kind == typed.Ptr {
			d.Hint = "str(…) reads the string that a pointer points to"
		}
		return bad
	}
	for _, p := range [2][2]typed.Expr{{a, b}, {b, a}} {
		l, ok := p[0].(*typed.Lit)
		if _, both := p[1].(*typed.Lit); ok && !both && len(l.Val) >= p[1].T().Size {
			if !bounded(p[1]) {
				return &typed.Const{X: typed.X{Type: int64T, Span: e.At()}, Val: b2u(e.Op == "!=")}
			}
			bad, d := c.bad(l.Span, "this string has %d bytes, and what it is compared with never has more than %d", len(l.Val), p[1].T().Size-1)
			if r, isRead := p[1].(*typed.StrRead); isRead && r.Null {
				d.Hint = "read more: str(pointer, " + string(appendInt(nil, len(l.Val))) + ")"
			}
			return bad
		}
	}
	x := typed.X{Type: int64T, Span: e.At()}
	if l, ok := a.(*typed.Lit); ok {
		if m, ok := b.(*typed.Lit); ok {
			return &typed.Const{X: x, Val: b2u((l.Val == m.Val) == (e.Op == "=="))}
		}
	}
	return &typed.StrCmp{X: x, A: a, B: b, Not: e.Op == "!="}
}
