// Package scan splits a script into tokens. It knows the shape of words,
// numbers and strings, and nothing of what they mean. What separates an attach
// point from a predicate depends on where the parser is: it asks for an
// attach point or a token.
package scan

import (
	"strings"
	"unicode/utf8"

	"github.com/gtrace-dev/gtrace/script/diag"
)

// Kind is the kind of a token.
type Kind uint8

const (
	EOF    Kind = iota
	Word        // a name or keyword
	Var         // $name; Text without $
	Map         // @name; Text without @, may be empty
	Param       // $1; Val is the number
	Params      // $#
	Int         // Val, Unsigned, Suffix
	String      // Text is the value
	Char        // Val
	Op          // an operator or punctuation
	Bad         // was reported
)

// Token is one token.
type Token struct {
	Kind     Kind
	Text     string // Op, Word, Var, Map, String: see Kind
	Val      uint64
	Unsigned bool // Int: written with a u suffix
	Span     diag.Span
}

// Is reports whether t is the operator op.
func (t Token) Is(op string) bool { return t.Kind == Op && t.Text == op }

// IsWord reports whether t is the word w.
func (t Token) IsWord(w string) bool { return t.Kind == Word && t.Text == w }

// String names t in messages.
func (t Token) String() string {
	switch t.Kind {
	case EOF:
		return "the end of the script"
	case String:
		return "a string"
	case Int, Char:
		return "a number"
	case Var:
		return "`$" + t.Text + "`"
	case Map:
		return "`@" + t.Text + "`"
	case Param, Params:
		return "a positional parameter"
	}
	return "`" + t.Text + "`"
}

// Scanner reads tokens from a script.
type Scanner struct {
	src   string
	pos   int
	diags *diag.List
}

// New starts at the script's first byte; a first line #! is skipped.
func New(src string, diags *diag.List) *Scanner {
	s := &Scanner{src: src, diags: diags}
	if strings.HasPrefix(src, "#!") {
		s.pos = lineEnd(src, 0)
	}
	return s
}

func lineEnd(src string, from int) int {
	if i := strings.IndexByte(src[from:], '\n'); i >= 0 {
		return from + i
	}
	return len(src)
}

// Pos is the offset of the next unread byte.
func (s *Scanner) Pos() int { return s.pos }

// Seek goes back to an offset that Pos gave.
func (s *Scanner) Seek(pos int) { s.pos = pos }

// blank skips white space and comments.
func (s *Scanner) blank() {
	for s.pos < len(s.src) {
		rest := s.src[s.pos:]
		switch {
		case strings.IndexByte(" \t\r\n\v\f", rest[0]) >= 0:
			s.pos++
		case strings.HasPrefix(rest, "//"):
			s.pos = lineEnd(s.src, s.pos)
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				s.diags.Add(diag.Span{Start: s.pos, End: s.pos + 2}, "comment is not closed").Hint = "end it with */"
				s.pos = len(s.src)
				return
			}
			s.pos += end + 4
		default:
			return
		}
	}
}

// AttachWord reads one attach point and splits it at its colons: up to white
// space, a comma or {, and where a path can't go on up to a slash. Quotes keep
// all that. It says where each part is.
func (s *Scanner) AttachWord() (parts []string, at []diag.Span) {
	s.blank()
	start := s.pos
	var b strings.Builder
	part := func() {
		parts, at = append(parts, b.String()), append(at, diag.Span{Start: start, End: s.pos})
		b.Reset()
	}
	for s.pos < len(s.src) {
		c := s.src[s.pos]
		switch {
		case c == '"':
			b.WriteString(s.str().Text)
			continue
		case strings.IndexByte(" \t\r\n\v\f,{;}", c) >= 0, c == '/' && !pathMayGoOn(parts):
			part()
			return parts, at
		case c == ':':
			part()
			s.pos++
			start = s.pos
			continue
		}
		b.WriteByte(c)
		s.pos++
	}
	part()
	return parts, at
}

// pathMayGoOn reports whether a slash behind parts belongs to the path of a
// binary, the second field of probes that have one.
func pathMayGoOn(parts []string) bool {
	if len(parts) != 1 {
		return false
	}
	switch parts[0] {
	case "interval", "i", "profile", "p", "tracepoint", "t", "rawtracepoint", "rt", "software", "s", "hardware", "h", "kprobe", "k", "kretprobe", "kr", "fentry", "f", "fexit", "fr", "iter", "it":
		return false
	}
	return true
}

// PeekByteAfterBlank is the next byte behind white space and comments, 0 at the end.
func (s *Scanner) PeekByteAfterBlank() byte {
	s.blank()
	if s.pos < len(s.src) {
		return s.src[s.pos]
	}
	return 0
}

func isLetter(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// ops are the operators, longest first.
var ops = []string{
	"<<=", ">>=", "...",
	"->", "++", "--", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||",
	"+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "..", "::",
}

// Next reads one token.
func (s *Scanner) Next() Token {
	s.blank()
	start := s.pos
	if s.pos >= len(s.src) {
		return Token{Kind: EOF, Span: diag.Span{Start: start, End: start}}
	}
	c := s.src[s.pos]
	switch {
	case isLetter(c):
		return s.finish(Token{Kind: Word, Text: s.word()}, start)
	case isDigit(c):
		return s.number()
	case c == '"':
		return s.str()
	case c == '\'':
		return s.char()
	case c == '$':
		return s.dollar()
	case c == '@':
		s.pos++
		return s.finish(Token{Kind: Map, Text: s.word()}, start)
	}
	return s.op()
}

func (s *Scanner) finish(t Token, start int) Token {
	t.Span = diag.Span{Start: start, End: s.pos}
	return t
}

// word reads letters and digits.
func (s *Scanner) word() string {
	start := s.pos
	for s.pos < len(s.src) && (isLetter(s.src[s.pos]) || isDigit(s.src[s.pos])) {
		s.pos++
	}
	return s.src[start:s.pos]
}

func (s *Scanner) dollar() Token {
	start := s.pos
	s.pos++
	if s.pos < len(s.src) && s.src[s.pos] == '#' {
		s.pos++
		return s.finish(Token{Kind: Params}, start)
	}
	w := s.word()
	switch {
	case w == "":
		s.diags.Add(diag.Span{Start: start, End: s.pos}, "`$` without a name").Hint = "variables are $name, positional parameters $1"
		return s.finish(Token{Kind: Bad, Text: "$"}, start)
	case !isDigit(w[0]):
		return s.finish(Token{Kind: Var, Text: w}, start)
	}
	var n uint64
	for i := 0; i < len(w); i++ {
		if !isDigit(w[i]) || n > 1e6 {
			t := s.finish(Token{Kind: Bad, Text: "$" + w}, start)
			s.diags.Add(t.Span, "`$%s` is neither a variable nor a positional parameter", w)
			return t
		}
		n = n*10 + uint64(w[i]-'0')
	}
	return s.finish(Token{Kind: Param, Val: n}, start)
}

func (s *Scanner) op() Token {
	start := s.pos
	rest := s.src[s.pos:]
	for _, o := range ops {
		if strings.HasPrefix(rest, o) {
			s.pos += len(o)
			return s.finish(Token{Kind: Op, Text: o}, start)
		}
	}
	if strings.IndexByte("+-*/%&|^~!<>=?:;,.(){}[]#", rest[0]) >= 0 {
		s.pos++
		return s.finish(Token{Kind: Op, Text: rest[:1]}, start)
	}
	r, n := utf8.DecodeRuneInString(rest)
	s.pos += n
	t := s.finish(Token{Kind: Bad, Text: rest[:n]}, start)
	s.diags.Add(t.Span, "character %q has no meaning here", r)
	return t
}

// SkipLine goes to the end of the line.
func (s *Scanner) SkipLine() { s.pos = lineEnd(s.src, s.pos) }

// EndsPredicate reports whether the unread text, behind a slash that was just
// read, is a block: then the slash was no division.
func (s *Scanner) EndsPredicate() bool {
	pos := s.pos
	defer func() { s.pos = pos }()
	return s.PeekByteAfterBlank() == '{'
}
