// Package parse turns a script's tokens into its tree. It knows the grammar
// and nothing of types. What the language has and gtrace has not is reported
// at its place as unsupported. It goes on behind an error, to find more.
package parse

import (
	"strings"

	"github.com/gtrace-dev/gtrace/script/ast"
	"github.com/gtrace-dev/gtrace/script/diag"
	"github.com/gtrace-dev/gtrace/script/scan"
)

// Limits of a script.
const (
	MaxBytes = 1 << 20
	MaxDepth = 200  // of nested blocks, parentheses, operators
	MaxNodes = 2000 // parts of one statement's expressions
)

// Parse parses a script. Complete says that the tree has everything that was
// written, if with errors: then it can be checked for more of them.
func Parse(src *diag.Source, diags *diag.List) (f *ast.File, complete bool) {
	if len(src.Text) > MaxBytes {
		diags.Add(diag.Span{}, "script has %d bytes, more than %d", len(src.Text), MaxBytes)
		return &ast.File{}, false
	}
	p := &parser{s: scan.New(src.Text, diags), diags: diags}
	f = &ast.File{}
	for !diags.Full() && p.s.PeekByteAfterBlank() != 0 {
		if p.s.PeekByteAfterBlank() == ';' { // behind what is no clause
			p.s.Next()
			continue
		}
		if c := p.topLevel(); c != nil {
			f.Clauses = append(f.Clauses, c)
		} else {
			p.broken = true
		}
	}
	if len(f.Clauses) == 0 && diags.Len() == 0 {
		diags.Add(diag.Span{}, "script has no probes").Hint = "the least script is `BEGIN { … }`"
	}
	return f, !p.broken && len(f.Clauses) > 0
}

type parser struct {
	s       *scan.Scanner
	diags   *diag.List
	tok     scan.Token // the token to look at
	depth   int
	nodes   int
	broken  bool // something that was written is not in the tree
	lastEnd int  // end of the bracket that closed the last list or type
	inPred  bool // a slash in front of { ends the predicate
}

// bailout is the panic that ends a statement or clause; it never leaves this package.
type bailout struct{}

// try runs f and reports whether it came to its end.
func (p *parser) try(f func()) (ok bool) {
	depth := p.depth
	defer func() {
		p.depth = depth
		switch r := recover().(type) {
		case nil:
		case bailout:
			ok, p.broken = false, true
		default:
			panic(r)
		}
	}()
	f()
	return true
}

func (p *parser) next() scan.Token {
	t := p.tok
	p.tok = p.s.Next()
	return t
}

func (p *parser) fail(at diag.Span, format string, args ...any) *diag.Diagnostic {
	return p.diags.Add(at, format, args...)
}

// expect takes the operator op, or reports what is there instead and bails out.
func (p *parser) expect(op, where string) scan.Token {
	if !p.tok.Is(op) {
		if p.tok.Kind != scan.Bad {
			d := p.fail(p.tok.Span, "syntax error %s", where)
			d.Expected, d.Found = "`"+op+"`", p.tok.String()
		}
		panic(bailout{})
	}
	return p.next()
}

// enter counts nesting; leave with p.depth--.
func (p *parser) enter(at diag.Span) {
	if p.depth++; p.depth > MaxDepth {
		p.fail(at, "more than %d levels of nesting", MaxDepth)
		panic(bailout{})
	}
}

// node counts the parts of a statement.
func (p *parser) node(at diag.Span) {
	if p.nodes++; p.nodes > MaxNodes {
		p.fail(at, "statement has more than %d parts", MaxNodes)
		panic(bailout{})
	}
}

// skipBlock goes behind the } that closes the next {.
func (p *parser) skipBlock() {
	level := 0
	for p.tok.Kind != scan.EOF {
		switch {
		case p.tok.Is("{"):
			level++
		case p.tok.Is("}"):
			if level--; level <= 0 {
				return
			}
		}
		p.next()
	}
}

// unsupportedTop are the words that open something at the top level that is not a clause.
var unsupportedTop = map[string]string{
	"struct": "C definitions in a script; types come from BTF and debug information", "union": "C definitions in a script; types come from BTF and debug information",
	"enum": "C definitions in a script; types come from BTF and debug information", "typedef": "C definitions in a script; types come from BTF and debug information",
	"config": "config blocks", "macro": "macros", "fn": "functions", "import": "imports", "let": "declarations of maps",
}

// topLevel parses one clause; nil when there is none.
func (p *parser) topLevel() *ast.Clause {
	start := p.s.Pos()
	if p.s.PeekByteAfterBlank() == '#' {
		p.tok = p.s.Next()
		at := p.tok.Span
		w := p.s.Next()
		p.diags.Unsupported(at.To(w.Span), "preprocessor lines; types come from BTF and debug information")
		p.s.SkipLine()
		return nil
	}
	c := &ast.Clause{}
	if !p.attachPoints(c) {
		p.recoverTop(start)
		return nil
	}
	ok := p.try(func() {
		p.tok = p.s.Next()
		if p.tok.Is("/") {
			p.next()
			p.inPred, p.nodes = true, 0
			c.Pred = p.expr()
			p.inPred = false
			p.expect("/", "behind the predicate")
		}
		if !p.tok.Is("{") {
			d := p.fail(p.tok.Span, "syntax error behind the probe")
			d.Expected, d.Found = "a predicate `/…/` or a block `{ … }`", p.tok.String()
			panic(bailout{})
		}
		c.Body = p.block()
	})
	p.inPred = false
	if !ok {
		p.skipBlock()
		p.seekBehind()
		return nil
	}
	c.Span = diag.Span{Start: c.Attach[0].Span.Start, End: p.tok.Span.Start}
	p.s.Seek(p.tok.Span.Start)
	return c
}

// seekBehind leaves the scanner behind the current token.
func (p *parser) seekBehind() { p.s.Seek(p.tok.Span.End) }

// recoverTop goes behind the next block after something that is no clause.
func (p *parser) recoverTop(start int) {
	p.tok = p.s.Next()
	p.skipBlock()
	p.seekBehind()
	if p.s.Pos() <= start {
		p.s.Next()
	}
}

// attachPoints parses the comma-separated probes of a clause.
func (p *parser) attachPoints(c *ast.Clause) bool {
	for {
		parts, at := p.s.AttachWord()
		if len(parts) == 1 && parts[0] == "" {
			p.tok = p.s.Next()
			d := p.fail(p.tok.Span, "syntax error where a probe should be")
			d.Expected, d.Found = "a probe such as `uprobe:PATH:FUNCTION`", p.tok.String()
			p.s.Seek(p.tok.Span.Start)
			return false
		}
		if what, ok := unsupportedTop[parts[0]]; ok && len(parts) == 1 {
			p.diags.Unsupported(at[0], what)
			return false
		}
		c.Attach = append(c.Attach, p.attachPoint(parts, at))
		if p.s.PeekByteAfterBlank() != ',' {
			return true
		}
		p.s.Next()
		if p.s.PeekByteAfterBlank() == '{' { // a trailing comma does no harm
			return true
		}
	}
}

// attachPoint makes an attach point of its parts and takes the offset off.
func (p *parser) attachPoint(parts []string, at []diag.Span) *ast.AttachPoint {
	a := &ast.AttachPoint{Span: at[0].To(at[len(at)-1])}
	if t := parts[0]; len(parts) > 3 && (t == "uprobe" || t == "u" || t == "uretprobe" || t == "ur") {
		// C++ names have :: in them; only the first two colons separate.
		parts = append(parts[:2:2], strings.Join(parts[2:], ":"))
		at = append(at[:2:2], at[2].To(at[len(at)-1]))
	}
	a.At = at
	a.Type, a.Fields = parts[0], parts[1:]
	if n := len(a.Fields); n == 2 && strings.HasPrefix(a.Type, "u") {
		if name, o, ok := cutLast(a.Fields[1], '+'); ok && !strings.HasSuffix(name, "operator") {
			v, problem := scan.ParseInt(o)
			if problem != "" {
				p.fail(a.At[2], "offset `%s` %s", o, problem)
			}
			a.Fields[1], a.Offset = name, v
		}
	}
	return a
}

func cutLast(s string, c byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, c)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
