package parse

import (
	"github.com/gtrace-dev/gtrace/script/ast"
	"github.com/gtrace-dev/gtrace/script/diag"
	"github.com/gtrace-dev/gtrace/script/scan"
)

// block parses { … }; the token behind is looked at.
func (p *parser) block() []ast.Stmt {
	open := p.expect("{", "where a block should be")
	p.enter(open.Span)
	var out []ast.Stmt
	for !p.tok.Is("}") {
		if p.tok.Kind == scan.EOF {
			p.fail(open.Span, "block is not closed").Expected = "`}` before the end of the script"
			panic(bailout{})
		}
		if p.diags.Full() {
			panic(bailout{})
		}
		if p.tok.Is(";") {
			p.next()
			continue
		}
		start := p.tok.Span.Start
		var s ast.Stmt
		if p.try(func() { s = p.stmt() }) {
			if s != nil {
				out = append(out, s)
			}
		} else {
			p.recoverStmt(start)
		}
	}
	p.depth--
	p.next()
	return out
}

// recoverStmt goes behind the next semicolon, or to the } that closes the block.
func (p *parser) recoverStmt(start int) {
	if p.tok.Span.Start == start {
		p.skipOne()
	}
	level := 0
	for p.tok.Kind != scan.EOF {
		switch {
		case p.tok.Is("{"):
			level++
		case p.tok.Is("}") && level == 0:
			return
		case p.tok.Is("}"):
			if level--; level == 0 {
				p.next()
				return
			}
		case p.tok.Is(";") && level == 0:
			p.next()
			return
		}
		p.next()
	}
}

// skipOne goes on by one token, unless it closes the block.
func (p *parser) skipOne() {
	if !p.tok.Is("}") && !p.tok.Is("{") {
		p.next()
	}
}

func (p *parser) stmt() ast.Stmt {
	p.nodes = 0
	at := p.tok.Span
	if p.tok.Kind == scan.Word {
		switch p.tok.Text {
		case "if":
			return p.ifStmt()
		case "unroll":
			return p.unroll()
		case "return":
			p.next()
			if !p.tok.Is(";") && !p.tok.Is("}") {
				x := p.expr()
				p.diags.Unsupported(x.At(), "return with a value")
			}
			return p.end(&ast.Return{Pos: ast.Pos{Span: at}})
		case "let":
			p.next()
			return p.let(at)
		case "while", "for":
			p.broken = true
			p.diags.Unsupported(at, "%s loops", p.tok.Text).Hint = "unroll (N) { … } repeats a block a fixed number of times"
			p.next()
			p.skipBlock()
			p.next()
			return nil
		case "break", "continue":
			p.diags.Unsupported(at, "`%s`", p.tok.Text)
			p.next()
			return nil
		}
	}
	if p.tok.Is("{") {
		body := p.block()
		return &ast.Block{Pos: ast.Pos{Span: at}, Body: body}
	}
	return p.simple(at, false)
}

// simple parses an assignment or an expression.
func (p *parser) simple(at diag.Span, let bool) ast.Stmt {
	x := p.expr()
	if p.tok.Kind == scan.Op && assignOps[p.tok.Text] {
		op := p.next().Text
		v := p.expr()
		return p.end(&ast.Assign{Pos: ast.Pos{Span: at.To(v.At())}, Target: x, Op: op, Value: v, Let: let})
	}
	return p.end(&ast.ExprStmt{Pos: ast.Pos{Span: x.At()}, X: x})
}

var assignOps = map[string]bool{"=": true, "+=": true, "-=": true, "*=": true, "/=": true, "%=": true, "&=": true, "|=": true, "^=": true, "<<=": true, ">>=": true}

// let parses what follows the word let.
func (p *parser) let(at diag.Span) ast.Stmt {
	if p.tok.Kind != scan.Var {
		d := p.fail(p.tok.Span, "syntax error behind `let`")
		d.Expected, d.Found = "a variable `$x`", p.tok.String()
		panic(bailout{})
	}
	name := p.tok
	x := &ast.Var{Pos: ast.Pos{Span: name.Span}, Name: name.Text}
	p.next()
	if !p.tok.Is("=") {
		p.broken = true
		p.diags.Unsupported(at.To(name.Span), "a declaration without a value").Hint = "write `let $" + name.Text + " = …;`"
		for !p.tok.Is(";") && !p.tok.Is("}") && p.tok.Kind != scan.EOF {
			p.next()
		}
		return nil
	}
	p.next()
	v := p.expr()
	return p.end(&ast.Assign{Pos: ast.Pos{Span: at.To(v.At())}, Target: x, Op: "=", Value: v, Let: true})
}

// end takes the semicolon; the last statement of a block needs none.
func (p *parser) end(s ast.Stmt) ast.Stmt {
	if p.tok.Is("}") {
		return s
	}
	if p.tok.Is(";") {
		p.next()
		return s
	}
	if p.tok.Kind != scan.Bad {
		d := p.fail(p.tok.Span, "syntax error behind the statement")
		d.Expected, d.Found = "`;`", p.tok.String()
	}
	panic(bailout{})
}

func (p *parser) ifStmt() ast.Stmt {
	at := p.next().Span
	p.enter(at)
	s := &ast.If{}
	s.Cond = p.expr()
	s.Span = at.To(s.Cond.At())
	s.Then = p.block()
	if p.tok.IsWord("else") {
		p.next()
		if p.tok.IsWord("if") {
			s.Else = []ast.Stmt{p.ifStmt()}
		} else {
			s.Else = p.block()
		}
	}
	p.depth--
	return s
}

func (p *parser) unroll() ast.Stmt {
	at := p.next().Span
	n := p.expr()
	return &ast.Unroll{Pos: ast.Pos{Span: at.To(n.At())}, Count: n, Body: p.block()}
}
