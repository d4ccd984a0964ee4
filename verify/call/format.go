package call

import (
	"bytes"

	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/fault"
)

// This file judges the format of bpf_snprintf, which the kernel reads when the program is loaded.

// format requires that the format in argument 3 fits the values in argument 4, as many as the size in argument 5 says.
func (c *checker) format() fault.Fault {
	size := c.s.Reg(isa.R5)
	bytesOfValues := size.Val.Bits.Value
	if bytesOfValues%8 != 0 {
		return fault.WrongSize{Func: c.p.Name, Arg: 5, Value: fault.Span{Lo: size.Val.SMin, Hi: size.Val.SMax}, Reason: fault.SizeWords}
	}
	v := c.s.Reg(isa.R3)
	off, _ := v.ConstOff()
	text := c.l.Maps[v.Map].Data[off:]
	text = text[:bytes.IndexByte(text, 0)]
	if at := parseFormat(text, int(bytesOfValues/8)); at >= 0 {
		return fault.BadFormat{Func: c.p.Name, Format: string(text), At: at, Values: int(bytesOfValues / 8)}
	}
	return nil
}

// parseFormat is where f is wrong for so many values, or -1.
func parseFormat(f []byte, values int) int {
	for i := 0; i < len(f); i++ {
		switch {
		case f[i] < 0x80 && !printable(f[i]) && !space(f[i]):
			return i
		case f[i] != '%':
			continue
		case peek(f, i+1) == '%':
			i++
			continue
		case values == 0:
			return i
		}
		values--
		n := conversion(f[i+1:])
		if n < 0 {
			return i
		}
		i += n
	}
	return -1
}

// conversion is the length of what f has behind a '%', or -1.
func conversion(f []byte) int {
	i := 0
	for i < len(f) && bytes.IndexByte([]byte("0+- "), f[i]) >= 0 {
		i++
	}
	if c := peek(f, i); c >= '1' && c <= '9' {
		for c := peek(f, i); c >= '0' && c <= '9'; c = peek(f, i) {
			i++
		}
	}
	switch peek(f, i) {
	case 's':
		return text(f, i)
	case 'c':
		return i + 1
	case 'p':
		return pointer(f, i)
	}
	for range 2 {
		if peek(f, i) == 'l' {
			i++
		}
	}
	switch peek(f, i) {
	case 'i', 'd', 'u', 'x', 'X':
		return i + 1
	}
	return -1
}

// text is i+1 when what is behind the 's' at i can't be taken for a part of the conversion, else -1.
func text(f []byte, i int) int {
	if next := peek(f, i+1); next != 0 && !space(next) && !punct(next) {
		return -1
	}
	return i + 1
}

// pointer is the length of f up to the end of a conversion whose 'p' is at i, or -1.
func pointer(f []byte, i int) int {
	next, after := peek(f, i+1), peek(f, i+2)
	switch {
	case (next == 'k' || next == 'u') && after == 's': // a string of the kernel or of the process
		return text(f, i+2)
	case next == 0, space(next), punct(next):
		return i + 1
	case next == 'K', next == 'x', next == 's', next == 'S', next == 'B':
		return i + 2
	case (next == 'i' || next == 'I') && (after == '4' || after == '6'):
		return i + 3
	}
	return -1
}

// peek is f[i], 0 behind the end.
func peek(f []byte, i int) byte {
	if i < len(f) {
		return f[i]
	}
	return 0
}

func space(c byte) bool     { return c == ' ' || c >= '\t' && c <= '\r' }
func printable(c byte) bool { return c >= ' ' && c < 0x7f }
func punct(c byte) bool {
	return printable(c) && c != ' ' && !(c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z')
}
