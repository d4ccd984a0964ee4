package parse

import (
	"github.com/gtrace-dev/gtrace/script/ast"
	"github.com/gtrace-dev/gtrace/script/diag"
	"github.com/gtrace-dev/gtrace/script/scan"
)

// precedence of the binary operators, as in C; higher binds tighter.
var precedence = map[string]int{
	"||": 1, "&&": 2, "|": 3, "^": 4, "&": 5, "==": 6, "!=": 6,
	"<": 7, "<=": 7, ">": 7, ">=": 7, "<<": 8, ">>": 8, "+": 9, "-": 9, "*": 10, "/": 10, "%": 10,
}

func (p *parser) expr() ast.Expr {
	p.enter(p.tok.Span)
	x := p.binary(1)
	if p.tok.Is("?") {
		p.next()
		t := &ast.Ternary{Cond: x, X: p.expr()}
		p.expect(":", "in `… ? … : …`")
		t.Y = p.expr()
		t.Span = x.At().To(t.Y.At())
		x = t
	}
	p.depth--
	return x
}

func (p *parser) binary(least int) ast.Expr {
	x := p.unary()
	for p.tok.Kind == scan.Op {
		prec := precedence[p.tok.Text]
		if prec < least || prec == 0 {
			return x
		}
		if p.tok.Is("/") && p.inPred && p.s.EndsPredicate() {
			return x
		}
		op := p.next()
		p.node(op.Span)
		y := p.binary(prec + 1)
		x = &ast.Binary{Pos: ast.Pos{Span: x.At().To(y.At())}, Op: op.Text, OpAt: op.Span, X: x, Y: y}
	}
	return x
}

func (p *parser) unary() ast.Expr {
	p.enter(p.tok.Span)
	defer func() { p.depth-- }()
	at := p.tok.Span
	if p.tok.Kind == scan.Op {
		switch p.tok.Text {
		case "!", "~", "-", "*", "&", "+":
			op := p.next().Text
			x := p.unary()
			if op == "+" {
				return x
			}
			return &ast.Unary{Pos: ast.Pos{Span: at.To(x.At())}, Op: op, X: x}
		case "++", "--":
			op := p.next().Text
			x := p.unary()
			return p.incDec(op, x, at.To(x.At()), false)
		case "(":
			if t := p.castType(); t != nil {
				x := p.unary()
				return &ast.Cast{Pos: ast.Pos{Span: at.To(x.At())}, Type: t, X: x}
			}
		}
	}
	if p.tok.IsWord("sizeof") {
		return p.sizeof()
	}
	return p.postfix(p.primary())
}

func (p *parser) incDec(op string, x ast.Expr, at diag.Span, post bool) ast.Expr {
	return &ast.IncDec{Pos: ast.Pos{Span: at}, Op: op, X: x, Post: post}
}

func (p *parser) postfix(x ast.Expr) ast.Expr {
	for p.tok.Kind == scan.Op {
		p.node(p.tok.Span)
		switch p.tok.Text {
		case ".", "->":
			arrow := p.next().Is("->")
			if p.tok.Kind != scan.Word {
				d := p.fail(p.tok.Span, "syntax error behind `%s`", map[bool]string{true: "->", false: "."}[arrow])
				d.Expected, d.Found = "the name of a field", p.tok.String()
				panic(bailout{})
			}
			name := p.next()
			x = &ast.Member{Pos: ast.Pos{Span: x.At().To(name.Span)}, X: x, Name: name.Text, NameAt: name.Span, Arrow: arrow}
		case "[":
			p.next()
			i := p.expr()
			if p.tok.Is(",") {
				d := p.fail(p.tok.Span, "an array has one index")
				d.Hint = "only maps have several keys: @x[a, b]"
				panic(bailout{})
			}
			end := p.expect("]", "behind the index")
			x = &ast.Index{Pos: ast.Pos{Span: x.At().To(end.Span)}, X: x, I: i}
		case "++", "--":
			op := p.next()
			x = p.incDec(op.Text, x, x.At().To(op.Span), true)
		default:
			return x
		}
	}
	return x
}

func (p *parser) primary() ast.Expr {
	t := p.tok
	p.node(t.Span)
	pos := ast.Pos{Span: t.Span}
	switch t.Kind {
	case scan.Int, scan.Char:
		p.next()
		return &ast.Int{Pos: pos, Val: t.Val, Unsigned: t.Unsigned}
	case scan.String:
		p.next()
		return &ast.Str{Pos: pos, Val: t.Text}
	case scan.Var:
		p.next()
		return &ast.Var{Pos: pos, Name: t.Text}
	case scan.Param:
		p.next()
		return &ast.Param{Pos: pos, N: int(t.Val)}
	case scan.Params:
		p.next()
		return &ast.ParamCount{Pos: pos}
	case scan.Map:
		return p.mapRef()
	case scan.Word:
		return p.name()
	}
	if t.Is("(") {
		return p.paren()
	}
	if t.Kind != scan.Bad {
		d := p.fail(t.Span, "syntax error")
		d.Expected, d.Found = "an expression", t.String()
	}
	panic(bailout{})
}

// paren parses (expr); a comma within makes a tuple.
func (p *parser) paren() ast.Expr {
	open := p.next()
	saved := p.inPred
	p.inPred = false
	x := p.expr()
	p.inPred = saved
	if p.tok.Is(",") {
		for p.tok.Is(",") {
			p.next()
			if !p.tok.Is(")") {
				p.expr()
			}
		}
		end := p.expect(")", "behind the tuple")
		p.diags.Unsupported(open.Span.To(end.Span), "tuples")
		return x
	}
	p.expect(")", "behind the expression")
	return x
}

func (p *parser) mapRef() ast.Expr {
	t := p.next()
	m := &ast.MapRef{Pos: ast.Pos{Span: t.Span}, Name: t.Text}
	if !p.tok.Is("[") {
		return m
	}
	p.next()
	saved := p.inPred
	p.inPred = false
	m.Keys = p.list("]", "behind the keys")
	p.inPred = saved
	if len(m.Keys) == 0 {
		p.fail(t.Span, "map `@%s` has empty brackets", t.Text).Expected = "at least one key"
	}
	m.Span = diag.Span{Start: t.Span.Start, End: p.lastEnd}
	return m
}

func (p *parser) name() ast.Expr {
	t := p.next()
	if !p.tok.Is("(") {
		return &ast.Ident{Pos: ast.Pos{Span: t.Span}, Name: t.Text}
	}
	p.next()
	saved := p.inPred
	p.inPred = false
	c := &ast.Call{Name: t.Text, NameAt: t.Span}
	c.Args = p.list(")", "behind the arguments")
	p.inPred = saved
	c.Span = diag.Span{Start: t.Span.Start, End: p.lastEnd}
	return c
}

// list parses expressions with commas up to the closing bracket.
func (p *parser) list(end, where string) []ast.Expr {
	var out []ast.Expr
	for !p.tok.Is(end) {
		out = append(out, p.expr())
		if !p.tok.Is(",") {
			break
		}
		p.next()
	}
	p.lastEnd = p.expect(end, where).Span.End
	return out
}

func (p *parser) sizeof() ast.Expr {
	at := p.next().Span
	if t := p.castType(); t != nil {
		return &ast.Sizeof{Pos: ast.Pos{Span: diag.Span{Start: at.Start, End: p.lastEnd}}, Type: t}
	}
	p.expect("(", "behind `sizeof`")
	x := p.expr()
	end := p.expect(")", "behind the expression")
	return &ast.Sizeof{Pos: ast.Pos{Span: at.To(end.Span)}, X: x}
}
