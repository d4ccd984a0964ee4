package scan

import (
	"math/bits"
	"strings"

	"github.com/gtrace-dev/gtrace/script/diag"
)

// number reads an integer: decimal, 0x, 0b, octal with a leading 0, exponents
// (1e6), underscores between digits, the suffixes of C and of time.
func (s *Scanner) number() Token {
	start := s.pos
	for s.pos < len(s.src) && (isLetter(s.src[s.pos]) || isDigit(s.src[s.pos])) {
		s.pos++
	}
	if s.pos+1 < len(s.src) && s.src[s.pos] == '.' && isDigit(s.src[s.pos+1]) {
		s.pos++
		s.word()
		t := s.finish(Token{Kind: Int}, start)
		s.diags.Unsupported(t.Span, "floating point")
		return t
	}
	t := s.finish(Token{Kind: Int}, start)
	text := s.src[start:s.pos]
	val, suffix, problem := digits(strings.ReplaceAll(text, "_", ""))
	if problem == "" {
		val, t.Unsigned, problem = applySuffix(val, suffix)
	}
	if strings.HasSuffix(text, "_") {
		problem = "ends in an underscore"
	}
	if problem != "" {
		s.diags.Add(t.Span, "number `%s` %s", text, problem)
	}
	t.Val = val
	return t
}

const tooLarge = "does not fit into 64 bits"

// digits reads the number in text and returns what is behind it.
func digits(text string) (val uint64, rest, problem string) {
	base := uint64(10)
	lower := strings.ToLower(text)
	switch {
	case strings.HasPrefix(lower, "0x"):
		base, text = 16, text[2:]
	case strings.HasPrefix(lower, "0b"):
		base, text = 2, text[2:]
	case len(text) > 1 && text[0] == '0' && isDigit(text[1]):
		base, text = 8, text[1:]
	}
	i := 0
	for ; i < len(text); i++ {
		d := digit(text[i])
		if d >= base {
			break
		}
		hi, lo := bits.Mul64(val, base)
		sum, carry := bits.Add64(lo, d, 0)
		if hi != 0 || carry != 0 {
			return 0, "", tooLarge
		}
		val = sum
	}
	rest = text[i:]
	switch {
	case base == 8 && rest != "" && isDigit(rest[0]):
		return 0, "", "is octal and has the digit " + rest[:1]
	case i == 0:
		return 0, "", "has no digits"
	case base == 10 && rest != "" && (rest[0] == 'e' || rest[0] == 'E'):
		return exponent(val, rest[1:])
	}
	return val, rest, ""
}

func digit(c byte) uint64 {
	switch {
	case isDigit(c):
		return uint64(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return uint64(c|0x20-'a') + 10
	}
	return 99
}

// exponent multiplies val by ten to the power that text begins with.
func exponent(val uint64, text string) (uint64, string, string) {
	i, e := 0, 0
	for ; i < len(text) && isDigit(text[i]); i++ {
		if e = e*10 + int(text[i]-'0'); e > 100 {
			return 0, "", tooLarge
		}
	}
	if i == 0 {
		return 0, "", "has an exponent without digits"
	}
	for ; e > 0; e-- {
		hi, lo := bits.Mul64(val, 10)
		if hi != 0 {
			return 0, "", tooLarge
		}
		val = lo
	}
	return val, text[i:], ""
}

// applySuffix handles u, l, ul, ll, ull, and the durations ns, us, ms, s, m, h, d in nanoseconds.
func applySuffix(val uint64, suffix string) (out uint64, unsigned bool, problem string) {
	scale := uint64(1)
	switch suffix {
	case "":
	case "ns":
	case "us":
		scale = 1e3
	case "ms":
		scale = 1e6
	case "s":
		scale = 1e9
	case "m":
		scale = 60e9
	case "h":
		scale = 3600e9
	case "d":
		scale = 86400e9
	default:
		switch strings.ToLower(suffix) {
		case "l", "ll":
		case "u", "ul", "ull":
			unsigned = true
		default:
			return 0, false, "has the unknown suffix `" + suffix + "`"
		}
	}
	hi, lo := bits.Mul64(val, scale)
	if hi != 0 {
		return 0, false, tooLarge
	}
	return lo, unsigned, ""
}

// str reads a string in double quotes.
func (s *Scanner) str() Token {
	start := s.pos
	s.pos++
	var b strings.Builder
	for s.pos < len(s.src) && s.src[s.pos] != '"' && s.src[s.pos] != '\n' {
		if s.src[s.pos] == '\\' {
			b.WriteByte(s.escape())
			continue
		}
		b.WriteByte(s.src[s.pos])
		s.pos++
	}
	if s.pos >= len(s.src) || s.src[s.pos] != '"' {
		t := s.finish(Token{Kind: String, Text: b.String()}, start)
		s.diags.Add(t.Span, "string is not closed").Hint = `end it with " on the same line; a line break within is \n`
		return t
	}
	s.pos++
	return s.finish(Token{Kind: String, Text: b.String()}, start)
}

// char reads a character in single quotes.
func (s *Scanner) char() Token {
	start := s.pos
	s.pos++
	t := Token{Kind: Char}
	if s.pos < len(s.src) && s.src[s.pos] == '\\' {
		t.Val = uint64(s.escape())
	} else if s.pos < len(s.src) && s.src[s.pos] != '\'' && s.src[s.pos] != '\n' {
		t.Val = uint64(s.src[s.pos])
		s.pos++
	}
	if s.pos >= len(s.src) || s.src[s.pos] != '\'' || s.pos == start+1 {
		for s.pos < len(s.src) && s.src[s.pos] != '\'' && s.src[s.pos] != '\n' && s.pos < start+80 {
			s.pos++
		}
		if s.pos < len(s.src) && s.src[s.pos] == '\'' {
			s.pos++
		}
		t = s.finish(t, start)
		s.diags.Add(t.Span, "not one character").Hint = `strings are written in double quotes: "…"`
		return t
	}
	s.pos++
	return s.finish(t, start)
}

// escape reads what follows a backslash: n t r a b f v e 0 \ " ', octal, xNN.
func (s *Scanner) escape() byte {
	start := s.pos
	s.pos++
	if s.pos >= len(s.src) {
		return 0
	}
	c := s.src[s.pos]
	s.pos++
	if i := strings.IndexByte(`ntrabfve\"'`, c); i >= 0 {
		return "\n\t\r\a\b\f\v\x1b\\\"'"[i]
	}
	switch {
	case c == 'x':
		v, n := 0, 0
		for ; n < 2 && s.pos < len(s.src) && digit(s.src[s.pos]) < 16; n++ {
			v = v<<4 | int(digit(s.src[s.pos]))
			s.pos++
		}
		if n > 0 {
			return byte(v)
		}
	case digit(c) < 8:
		v := int(c - '0')
		for n := 1; n < 3 && s.pos < len(s.src) && digit(s.src[s.pos]) < 8; n++ {
			v = v<<3 | int(s.src[s.pos]-'0')
			s.pos++
		}
		if v < 256 {
			return byte(v)
		}
	}
	s.diags.Add(diag.Span{Start: start, End: s.pos}, "unknown escape `%s`", s.src[start:s.pos]).Hint = `a backslash is written \\`
	return c
}

// ParseInt reads a whole number as in a script; problem says why it is none.
func ParseInt(text string) (val uint64, problem string) {
	if text == "" {
		return 0, "is empty"
	}
	val, rest, problem := digits(strings.ReplaceAll(text, "_", ""))
	if problem == "" && rest != "" {
		val, _, problem = applySuffix(val, rest)
	}
	return val, problem
}
