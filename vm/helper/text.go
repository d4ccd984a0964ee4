package helper

import (
	"bytes"
	"strconv"
	"syscall"
)

// This file defines the helpers on text: bpf_strncmp, bpf_strtol, bpf_strtoul,
// bpf_trace_printk and bpf_snprintf.

func strncmp(_ *Env, s1, n, s2, _, _ uint64) uint64 {
	a := memory(s1, size(n))
	for i := range a {
		c := *(*byte)(pointer(s2 + uint64(i)))
		if a[i] != c {
			return uint64(int64(int(a[i]) - int(c)))
		}
		if c == 0 {
			break
		}
	}
	return 0
}

// number cuts a number as strtol(3) would and returns the bytes it took.
func number(b []byte, base uint64, signed bool) (v uint64, neg bool, n int, err syscall.Errno) {
	if base != 0 && base != 8 && base != 10 && base != 16 {
		return 0, false, 0, syscall.EINVAL
	}
	for n < len(b) && (b[n] == ' ' || b[n] >= '\t' && b[n] <= '\r') {
		n++
	}
	if n < len(b) && b[n] == '-' && signed {
		neg, n = true, n+1
	}
	hex := n+2 < len(b) && b[n] == '0' && b[n+1]|0x20 == 'x'
	switch {
	case base == 0 && hex, base == 16 && hex:
		base, n = 16, n+2
	case base == 0 && n < len(b) && b[n] == '0':
		base = 8
	case base == 0:
		base = 10
	}
	start := n
	for n < len(b) && digit(b[n]) < base {
		n++
	}
	if n == start {
		return 0, neg, 0, syscall.EINVAL
	}
	v, perr := strconv.ParseUint(string(b[start:n]), int(base), 64)
	if perr != nil {
		return 0, neg, 0, syscall.ERANGE
	}
	return v, neg, n, 0
}

func digit(c byte) uint64 {
	switch {
	case c >= '0' && c <= '9':
		return uint64(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'z':
		return uint64(c|0x20-'a') + 10
	}
	return 255
}

func strtol(_ *Env, s, n, flags, res, _ uint64) uint64 {
	v, neg, used, err := number(memory(s, size(n)), flags, true)
	limit := uint64(1)<<63 - 1
	if neg {
		limit++
	}
	if err == 0 && v > limit {
		err = syscall.ERANGE
	}
	if err != 0 {
		return errno(err)
	}
	if neg {
		v = -v
	}
	*(*uint64)(pointer(res)) = v
	return uint64(used)
}

func strtoul(_ *Env, s, n, flags, res, _ uint64) uint64 {
	v, _, used, err := number(memory(s, size(n)), flags, false)
	if err != 0 {
		return errno(err)
	}
	*(*uint64)(pointer(res)) = v
	return uint64(used)
}

func tracePrintk(e *Env, format, n, a, b, c uint64) uint64 {
	args := [3]uint64{a, b, c}
	out, err := e.format(memory(format, size(n)), args[:])
	if err != 0 {
		return errno(err)
	}
	e.Host.Printk(string(out))
	return uint64(len(out))
}

func snprintf(e *Env, dst, n, format, data, dataLen uint64) uint64 {
	if size(dataLen)%8 != 0 || size(dataLen) > 12*8 {
		return errno(syscall.EINVAL)
	}
	var args [12]uint64
	count := int(size(dataLen) / 8)
	for i := range count {
		args[i] = *(*uint64)(pointer(data + uint64(i)*8))
	}
	var text []byte
	for p := format; ; p++ { // the verifier has seen its NUL
		c := *(*byte)(pointer(p))
		text = append(text, c)
		if c == 0 {
			break
		}
	}
	out, err := e.format(text, args[:count])
	if err != 0 {
		return errno(err)
	}
	if b := memory(dst, size(n)); len(b) > 0 {
		b[copy(b[:len(b)-1], out)] = 0
	}
	return uint64(len(out) + 1)
}

// format writes the conversions that bpf-helpers(7) lists for
// bpf_trace_printk: d i u x X p c s with l and ll, a width, 0 and -.
func (e *Env) format(f []byte, args []uint64) ([]byte, syscall.Errno) {
	end := bytes.IndexByte(f, 0)
	if end < 0 {
		return nil, syscall.EINVAL
	}
	f = f[:end]
	var out []byte
	for i := 0; i < len(f); i++ {
		if f[i] != '%' {
			out = append(out, f[i])
			continue
		}
		if i++; i < len(f) && f[i] == '%' {
			out = append(out, '%')
			continue
		}
		v, used := parseVerb(f[i:])
		if used == 0 || len(args) == 0 {
			return nil, syscall.EINVAL
		}
		i += used - 1
		out = e.conversion(out, v, args[0])
		args = args[1:]
	}
	return out, 0
}

// verb is one conversion of a format.
type verb struct {
	letter     byte
	width      int
	zero, left bool
	wide, alt  bool
	user       bool // %s of user memory
}

func parseVerb(f []byte) (v verb, used int) {
	i := 0
	for ; i < len(f) && (f[i] == '0' || f[i] == '-' || f[i] == '+' || f[i] == ' ' || f[i] == '#'); i++ {
		v.zero = v.zero || f[i] == '0'
		v.left = v.left || f[i] == '-'
		v.alt = v.alt || f[i] == '#'
	}
	for ; i < len(f) && f[i] >= '0' && f[i] <= '9' && v.width < 1000; i++ {
		v.width = v.width*10 + int(f[i]-'0')
	}
	for ; i < len(f) && f[i] == 'l'; i++ {
		v.wide = true
	}
	if i == len(f) || bytes.IndexByte([]byte("diuxXpcs"), f[i]) < 0 {
		return v, 0
	}
	v.letter = f[i]
	i++
	if (v.letter == 'p') && i < len(f) && (f[i] == 'x' || f[i] == 'K') {
		i++
	}
	if v.letter == 'p' && i+1 < len(f) && (f[i] == 'u' || f[i] == 'k') && f[i+1] == 's' {
		v.letter, v.user = 's', f[i] == 'u'
		i += 2
	}
	return v, i
}

func (e *Env) conversion(out []byte, v verb, arg uint64) []byte {
	signed := int64(arg)
	if !v.wide {
		signed, arg = int64(int32(arg)), arg&0xffffffff|arg&^0xffffffff*b2u(v.letter == 'p' || v.letter == 's')
	}
	start := len(out)
	switch v.letter {
	case 'd', 'i':
		out = strconv.AppendInt(out, signed, 10)
	case 'u':
		out = strconv.AppendUint(out, arg, 10)
	case 'x', 'X', 'p':
		if v.alt || v.letter == 'p' {
			out = append(out, "0x"...)
		}
		out = strconv.AppendUint(out, arg, 16)
		if v.letter == 'X' {
			copy(out[start:], bytes.ToUpper(out[start:]))
		}
	case 'c':
		out = append(out, byte(arg))
	case 's':
		s := make([]byte, 128)
		from := e.Host.ReadKernel
		if v.user {
			from = e.Host.ReadUser
		}
		if int64(e.readString(from, s, arg, 1)) < 0 {
			out = append(out, "(fault)"...)
			break
		}
		out = append(out, s[:bytes.IndexByte(s, 0)]...)
	}
	return pad(out, start, v)
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// pad brings what was written since start to the verb's width.
func pad(out []byte, start int, v verb) []byte {
	n := v.width - (len(out) - start)
	if n <= 0 {
		return out
	}
	if v.left {
		return append(out, bytes.Repeat([]byte{' '}, n)...)
	}
	fill, at := byte(' '), start
	if v.zero && v.letter != 's' && v.letter != 'c' {
		fill = '0'
		if out[at] == '-' {
			at++
		}
	}
	out = append(out, bytes.Repeat([]byte{fill}, n)...)
	copy(out[at+n:], out[at:])
	for i := range n {
		out[at+i] = fill
	}
	return out
}
