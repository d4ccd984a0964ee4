package out

import (
	"fmt"
	"strconv"

	"github.com/gtrace-dev/gtrace/event"
)

// This file defines printf's formats: a parser and the rendering of one verb.

// format is a parsed printf format.
type format struct {
	pieces []piece
}

// piece is literal text, or a verb when verb is not 0.
type piece struct {
	text string

	verb                          byte
	minus, plus, space, zero, alt bool
	width, prec                   int // prec -1: none
	half                          int // bytes to cut an integer to: h 2, hh 1; 0: none
	long                          bool
}

// maxWidth bounds a verb's width and precision, so that a format can't ask for gigabytes.
const maxWidth = 4096

// parseFormat parses a format for nargs arguments.
func parseFormat(s string, nargs int) (*format, error) {
	f := &format{}
	verbs, lit := 0, []byte(nil)
	for i := 0; i < len(s); {
		if s[i] != '%' {
			lit = append(lit, s[i])
			i++
			continue
		}
		if i+1 < len(s) && s[i+1] == '%' {
			lit = append(lit, '%')
			i += 2
			continue
		}
		p, n, err := parseVerb(s[i:])
		if err != nil {
			return nil, err
		}
		if len(lit) > 0 {
			f.pieces = append(f.pieces, piece{text: string(lit)})
			lit = nil
		}
		f.pieces = append(f.pieces, p)
		verbs++
		i += n
	}
	if len(lit) > 0 {
		f.pieces = append(f.pieces, piece{text: string(lit)})
	}
	if verbs != nargs {
		return nil, fmt.Errorf("format %q has %d verbs for %d arguments", s, verbs, nargs)
	}
	return f, nil
}

// parseVerb parses a verb at the start of s, which is a %, and returns its length.
func parseVerb(s string) (piece, int, error) {
	p := piece{prec: -1}
	i := 1
flags:
	for ; i < len(s); i++ {
		switch s[i] {
		case '-':
			p.minus = true
		case '+':
			p.plus = true
		case ' ':
			p.space = true
		case '0':
			p.zero = true
		case '#':
			p.alt = true
		default:
			break flags
		}
	}
	number := func() int {
		n := 0
		for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
			n = min(n*10+int(s[i]-'0'), maxWidth)
		}
		return n
	}
	p.width = number()
	if i < len(s) && s[i] == '.' {
		i++
		p.prec = number()
	}
	for ; i < len(s); i++ {
		switch s[i] {
		case 'h':
			if p.half == 2 {
				p.half = 1
			} else {
				p.half = 2
			}
			continue
		case 'l', 'j', 'z', 't', 'q':
			p.long = true
			continue
		}
		break
	}
	if i == len(s) {
		return p, 0, fmt.Errorf("format ends within the verb %q", s)
	}
	switch s[i] {
	case 'd', 'i', 'u', 'x', 'X', 'o', 'c', 's', 'p', 'r':
		p.verb = s[i]
		return p, i + 1, nil
	}
	return p, 0, fmt.Errorf("unknown verb %q in a format (known: %%d %%i %%u %%x %%X %%o %%c %%s %%p %%r)", s[:i+1])
}

// appendPrintf renders record r by its format.
func (b *base) appendPrintf(dst []byte, r *record) []byte {
	n := 0
	for i := range b.prints[r.index].pieces {
		p := &b.prints[r.index].pieces[i]
		if p.verb == 0 {
			dst = append(dst, p.text...)
			continue
		}
		raw, fail := r.arg(n)
		if fail != event.OK {
			dst = p.pad(dst, []byte(failText(fail)))
		} else {
			dst = b.appendVerb(dst, p, &r.action.Args[n].Type, raw)
		}
		n++
	}
	return dst
}

// appendVerb renders one argument. A verb that does not suit the value's kind
// shows the value in its own way: the compiler has refused what makes no sense.
func (b *base) appendVerb(dst []byte, p *piece, t *event.Type, raw []byte) []byte {
	if p.verb == 's' || p.verb == 'r' || !isNumber(t.Kind) {
		if p.width == 0 && p.prec < 0 {
			return b.appendValue(dst, t, raw)
		}
		s := b.appendValue(nil, t, raw)
		if p.prec >= 0 && p.prec < len(s) {
			s = s[:p.prec]
		}
		return p.pad(dst, s)
	}
	v, _ := integer(t, raw)
	switch p.verb {
	case 'c':
		return p.pad(dst, b.appendString(nil, []byte{byte(v)}))
	case 'p':
		if v == 0 {
			return p.pad(dst, []byte("(nil)"))
		}
		return p.pad(dst, strconv.AppendUint([]byte("0x"), uint64(v), 16))
	}
	return p.number(dst, v, t.Size)
}

// number renders v, which was read from size bytes.
func (p *piece) number(dst []byte, v int64, size int) []byte {
	if p.half != 0 {
		size = p.half
		shift := 64 - 8*size
		v = v << shift >> shift
	}
	neg := false
	var u uint64
	if p.verb == 'd' || p.verb == 'i' {
		u = uint64(v)
		if neg = v < 0; neg {
			u = -u
		}
	} else {
		// An unsigned verb shows the bits that the value has, at least an int's.
		u = uint64(v)
		if p.half == 0 && !p.long {
			size = max(4, size)
		} else if p.long {
			size = 8
		}
		if size < 8 {
			u &= 1<<(8*size) - 1
		}
	}
	base := 10
	switch p.verb {
	case 'x', 'X':
		base = 16
	case 'o':
		base = 8
	}
	var room [24]byte // 2^64-1 has 22 octal digits
	digits := strconv.AppendUint(room[:0], u, base)
	if p.verb == 'X' {
		for i, c := range digits {
			if c >= 'a' {
				digits[i] = c - 'a' + 'A'
			}
		}
	}
	if p.prec == 0 && u == 0 {
		digits = digits[:0]
	}
	return p.sign(dst, digits, neg, u)
}

// sign puts sign, prefix, zeros and padding around digits, by C's rules.
func (p *piece) sign(dst, digits []byte, neg bool, u uint64) []byte {
	prefix := ""
	switch {
	case neg:
		prefix = "-"
	case p.verb != 'd' && p.verb != 'i':
		prefix = p.altPrefix(u)
	case p.plus:
		prefix = "+"
	case p.space:
		prefix = " "
	}
	zeros := max(0, p.prec-len(digits))
	if p.prec < 0 && p.zero && !p.minus {
		zeros = max(0, p.width-len(prefix)-len(digits))
	}
	blanks := p.width - len(prefix) - zeros - len(digits)
	if !p.minus {
		dst = appendSpaces(dst, blanks)
	}
	dst = append(dst, prefix...)
	for range zeros {
		dst = append(dst, '0')
	}
	dst = append(dst, digits...)
	if p.minus {
		dst = appendSpaces(dst, blanks)
	}
	return dst
}

// altPrefix is what the flag # puts before an unsigned number.
func (p *piece) altPrefix(u uint64) string {
	if !p.alt || u == 0 {
		return ""
	}
	switch p.verb {
	case 'x':
		return "0x"
	case 'X':
		return "0X"
	case 'o':
		return "0"
	}
	return ""
}

// pad appends s in a field of p's width.
func (p *piece) pad(dst, s []byte) []byte {
	if p.minus {
		return appendSpaces(append(dst, s...), p.width-len(s))
	}
	return append(appendSpaces(dst, p.width-len(s)), s...)
}
