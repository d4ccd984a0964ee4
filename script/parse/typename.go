package parse

import (
	"strings"

	"github.com/gtrace-dev/gtrace/script/ast"
	"github.com/gtrace-dev/gtrace/script/diag"
	"github.com/gtrace-dev/gtrace/script/scan"
)

// baseWords are the words that only types are made of.
var baseWords = map[string]bool{
	"int": true, "char": true, "short": true, "long": true, "unsigned": true, "signed": true, "void": true, "bool": true, "_Bool": true, "float": true, "double": true, "const": true,
	"int8": true, "int16": true, "int32": true, "int64": true, "uint8": true, "uint16": true, "uint32": true, "uint64": true,
	"int8_t": true, "int16_t": true, "int32_t": true, "int64_t": true, "uint8_t": true, "uint16_t": true, "uint32_t": true, "uint64_t": true,
	"size_t": true, "ssize_t": true, "uintptr_t": true, "intptr_t": true,
	"u8": true, "u16": true, "u32": true, "u64": true, "s8": true, "s16": true, "s32": true, "s64": true,
	"__u8": true, "__u16": true, "__u32": true, "__u64": true, "__s8": true, "__s16": true, "__s32": true, "__s64": true,
}

// castType parses (TYPE) and returns nil, with nothing taken, when the
// parenthesis opens an expression. A bare name is a type when a star and the
// closing parenthesis follow, or the start of an operand.
func (p *parser) castType() *ast.TypeName {
	if !p.tok.Is("(") {
		return nil
	}
	back, open := p.s.Pos(), p.tok
	p.next()
	t, sure := p.typeName()
	if t != nil && p.tok.Is("[") && sure {
		d := p.diags.Unsupported(p.tok.Span, "casts to arrays")
		d.Hint = "cast to a pointer and use an index"
		panic(bailout{})
	}
	if t != nil && p.tok.Is(")") {
		end := p.tok.Span
		p.next()
		if sure || t.Stars > 0 || p.startsOperand() {
			t.Span = open.Span.To(end)
			p.lastEnd = end.End
			return t
		}
	} else if t != nil && sure {
		p.expect(")", "behind the type")
	}
	p.s.Seek(back)
	p.tok = open
	return nil
}

// startsOperand reports whether the token can only begin an operand.
func (p *parser) startsOperand() bool {
	switch p.tok.Kind {
	case scan.Word, scan.Var, scan.Map, scan.Param, scan.Params, scan.Int, scan.Char, scan.String:
		return true
	}
	return p.tok.Is("(")
}

// typeName parses the name of a type and its stars; sure says that it can't be
// an expression.
func (p *parser) typeName() (t *ast.TypeName, sure bool) {
	start := p.tok.Span
	if p.tok.Kind != scan.Word {
		return nil, false
	}
	t = &ast.TypeName{}
	for p.tok.IsWord("const") || p.tok.IsWord("volatile") {
		p.next()
	}
	switch {
	case p.tok.IsWord("struct"), p.tok.IsWord("union"), p.tok.IsWord("enum"):
		t.Keyword = p.next().Text
		if p.tok.Kind != scan.Word {
			d := p.fail(p.tok.Span, "syntax error behind `%s`", t.Keyword)
			d.Expected, d.Found = "the name of a type", p.tok.String()
			panic(bailout{})
		}
		t.Name, sure = p.next().Text, true
	case p.tok.Kind == scan.Word && baseWords[p.tok.Text]:
		var words []string
		for p.tok.Kind == scan.Word && baseWords[p.tok.Text] {
			if w := p.next().Text; w != "const" {
				words = append(words, w)
			}
		}
		t.Name, sure = strings.Join(words, " "), true
	case p.tok.Kind == scan.Word:
		t.Name = p.next().Text
	default:
		return nil, false
	}
	end := start
	for p.tok.Is("*") || p.tok.IsWord("const") {
		if p.next().Is("*") {
			t.Stars++
		}
		end = p.tok.Span
	}
	t.Span = diag.Span{Start: start.Start, End: max(end.Start, start.End)}
	return t, sure
}
