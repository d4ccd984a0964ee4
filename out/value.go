package out

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/gtrace-dev/gtrace/event"
)

// This file decodes values by their event.Type and renders them as text.

// maxDepth bounds nested types: a schema deeper than that is refused.
const maxDepth = 16

// checkType makes sure that rendering a value of t stays inside of t.Size bytes.
func checkType(t *event.Type, depth int) error {
	if t.Size < 0 || depth > maxDepth {
		return fmt.Errorf("type %s of %d bytes nested %d deep", t.Name, t.Size, depth)
	}
	switch t.Kind {
	case event.Int, event.Bool, event.Enum:
		if t.Size != 1 && t.Size != 2 && t.Size != 4 && t.Size != 8 {
			return fmt.Errorf("integer type of %d bytes", t.Size)
		}
	case event.Ptr, event.KSym:
		if t.Size != 8 {
			return fmt.Errorf("address of %d bytes", t.Size)
		}
	case event.USym:
		if t.Size != 16 {
			return fmt.Errorf("user symbol of %d bytes", t.Size)
		}
	case event.String, event.Bytes:
	case event.Struct, event.Tuple:
		for i := range t.Fields {
			f := &t.Fields[i]
			if err := checkType(&f.Type, depth+1); err != nil {
				return fmt.Errorf("field %s: %w", f.Name, err)
			}
			if f.Offset < 0 || f.Offset+f.Type.Size > t.Size {
				return fmt.Errorf("field %s ends at byte %d of %d", f.Name, f.Offset+f.Type.Size, t.Size)
			}
			if f.BitSize != 0 && (f.BitSize < 0 || f.BitOffset < 0 || f.BitOffset+f.BitSize > 8*f.Type.Size) {
				return fmt.Errorf("bitfield %s: bits %d+%d of %d bytes", f.Name, f.BitOffset, f.BitSize, f.Type.Size)
			}
		}
	case event.Array:
		if t.Elem == nil || t.Len < 0 {
			return fmt.Errorf("array without elements")
		}
		if err := checkType(t.Elem, depth+1); err != nil {
			return err
		}
		if t.Elem.Size == 0 && t.Len != 0 || t.Len*t.Elem.Size > t.Size {
			return fmt.Errorf("array of %d×%d bytes in %d bytes", t.Len, t.Elem.Size, t.Size)
		}
	default:
		return fmt.Errorf("unknown kind of value %d", t.Kind)
	}
	return nil
}

// integer reads a value that is one number: sign-extended, and whether to show it as signed.
func integer(t *event.Type, raw []byte) (v int64, signed bool) {
	switch t.Size {
	case 1:
		v = int64(raw[0])
	case 2:
		v = int64(native.Uint16(raw))
	case 4:
		v = int64(native.Uint32(raw))
	case 8, 16:
		v = int64(native.Uint64(raw))
	}
	if t.Signed {
		shift := max(0, 64-8*t.Size)
		v = v << shift >> shift
	}
	return v, t.Signed
}

// isNumber reports whether values of kind k are one number.
func isNumber(k event.Kind) bool {
	switch k {
	case event.Int, event.Bool, event.Enum, event.Ptr, event.KSym, event.USym:
		return true
	}
	return false
}

// bitfield cuts field f's bits out of raw and returns them as a value of f's own type.
func bitfield(f *event.Field, raw []byte) []byte {
	if f.BitSize == 0 {
		return raw
	}
	u := f.Type
	u.Signed = false
	v, _ := integer(&u, raw)
	x := uint64(v) >> f.BitOffset << (64 - f.BitSize)
	if f.Type.Signed {
		x = uint64(int64(x) >> (64 - f.BitSize))
	} else {
		x >>= 64 - f.BitSize
	}
	b := make([]byte, 8)
	switch f.Type.Size {
	case 1:
		b[0] = byte(x)
	case 2:
		native.PutUint16(b, uint16(x))
	case 4:
		native.PutUint32(b, uint32(x))
	default:
		native.PutUint64(b, x)
	}
	return b[:f.Type.Size]
}

// cString cuts b at its first NUL.
func cString(b []byte) []byte {
	for i, c := range b {
		if c == 0 {
			return b[:i]
		}
	}
	return b
}

const hexDigits = "0123456789abcdef"

// appendString appends a string from the target.
func (b *base) appendString(dst, s []byte) []byte {
	if !b.opt.Escape {
		return append(dst, s...)
	}
	for i, c := range s {
		switch {
		case c == '\n', c == '\t':
			dst = append(dst, c)
		case c < 0x20, c == 0x7f, c >= 0x80 && c < 0xa0 && !continues(s, i):
			// 0x80 to 0x9f are control characters too, unless they are part of a UTF-8 sequence.
			dst = append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// appendBytes appends raw bytes: printable ASCII as it is, all else as \xNN.
func appendBytes(dst, raw []byte) []byte {
	for _, c := range raw {
		if c >= 0x20 && c < 0x7f {
			dst = append(dst, c)
			continue
		}
		dst = append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
	}
	return dst
}

// failText is how a value that could not be read is shown.
func failText(f event.Fail) string {
	switch f {
	case event.Null:
		return "<null>"
	case event.Fault:
		return "<fault>"
	}
	return "<failed>"
}

// symbol names the address in a KSym or USym.
func (b *base) symbol(t *event.Type, raw []byte) string {
	addr, s := native.Uint64(raw), ""
	if b.opt.Symbols != nil {
		if t.Kind == event.KSym {
			s = b.opt.Symbols.Kernel(addr)
		} else {
			s = b.opt.Symbols.User(uint32(native.Uint64(raw[8:])), addr)
		}
	}
	if s == "" {
		s = "0x" + strconv.FormatUint(addr, 16)
	}
	return s
}

// appendInt appends v in decimal.
func appendInt(dst []byte, v int64, signed bool) []byte {
	if signed {
		return strconv.AppendInt(dst, v, 10)
	}
	return strconv.AppendUint(dst, uint64(v), 10)
}

// appendValue appends a value as bpftrace's print shows it.
func (b *base) appendValue(dst []byte, t *event.Type, raw []byte) []byte {
	switch t.Kind {
	case event.Int:
		v, signed := integer(t, raw)
		return appendInt(dst, v, signed)
	case event.Bool:
		v, _ := integer(t, raw)
		return strconv.AppendBool(dst, v != 0)
	case event.Enum:
		v, signed := integer(t, raw)
		if name, ok := t.Names[v]; ok {
			return append(dst, name...)
		}
		return appendInt(dst, v, signed)
	case event.Ptr:
		return strconv.AppendUint(append(dst, "0x"...), native.Uint64(raw), 16)
	case event.KSym, event.USym:
		return b.appendString(dst, []byte(b.symbol(t, raw)))
	case event.String:
		return b.appendString(dst, cString(raw[:t.Size]))
	case event.Bytes:
		return appendBytes(dst, raw[:t.Size])
	}
	return b.appendComposite(dst, t, raw)
}

// appendComposite appends a struct, an array or a tuple.
func (b *base) appendComposite(dst []byte, t *event.Type, raw []byte) []byte {
	switch t.Kind {
	case event.Struct:
		dst = append(dst, "{ "...)
		for i := range t.Fields {
			f := &t.Fields[i]
			if i > 0 {
				dst = append(dst, ", "...)
			}
			if f.Name != "" {
				dst = append(append(append(dst, '.'), f.Name...), " = "...)
			}
			dst = b.appendValue(dst, &f.Type, bitfield(f, raw[f.Offset:f.Offset+f.Type.Size]))
		}
		return append(dst, " }"...)
	case event.Array:
		dst = append(dst, '[')
		for i := range t.Len {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = b.appendValue(dst, t.Elem, raw[i*t.Elem.Size:(i+1)*t.Elem.Size])
		}
		return append(dst, ']')
	case event.Tuple:
		dst = append(dst, '(')
		for i := range t.Fields {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			f := &t.Fields[i]
			dst = b.appendValue(dst, &f.Type, bitfield(f, raw[f.Offset:f.Offset+f.Type.Size]))
		}
		return append(dst, ')')
	}
	return dst
}

// continues reports whether s[i] is a continuation byte of a valid UTF-8 sequence
// whose character is no control character.
func continues(s []byte, i int) bool {
	for start := i - 1; start >= 0 && start >= i-3; start-- {
		if s[start]&0xc0 == 0x80 {
			continue
		}
		r, n := utf8.DecodeRune(s[start:])
		return n > 1 && start+n > i && r >= 0xa0
	}
	return false
}
