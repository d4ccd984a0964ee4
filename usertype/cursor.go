package usertype

// cursor.go defines cursor, which decodes DWARF's primitive values. Reading past the end raises malformed.

import (
	"bytes"
	"encoding/binary"
)

type cursor struct {
	d    []byte
	p    int
	what string // section, for messages
}

func (c *cursor) need(n int) {
	if n < 0 || n > len(c.d)-c.p {
		bad("%s ends early at %#x", c.what, c.p)
	}
}

func (c *cursor) left() int { return len(c.d) - c.p }

func (c *cursor) seek(off uint64) {
	if off > uint64(len(c.d)) {
		bad("offset %#x is outside of %s", off, c.what)
	}
	c.p = int(off)
}

func (c *cursor) skip(n uint64) {
	if n > uint64(len(c.d)-c.p) {
		bad("%s ends early at %#x", c.what, c.p)
	}
	c.p += int(n)
}

func (c *cursor) bytes(n uint64) []byte {
	at := c.p
	c.skip(n)
	return c.d[at:c.p:c.p]
}

func (c *cursor) u8() uint8 {
	c.need(1)
	c.p++
	return c.d[c.p-1]
}

func (c *cursor) u16() uint16 {
	c.need(2)
	c.p += 2
	return binary.LittleEndian.Uint16(c.d[c.p-2:])
}

func (c *cursor) u24() uint32 {
	c.need(3)
	c.p += 3
	return uint32(c.d[c.p-3]) | uint32(c.d[c.p-2])<<8 | uint32(c.d[c.p-1])<<16
}

func (c *cursor) u32() uint32 {
	c.need(4)
	c.p += 4
	return binary.LittleEndian.Uint32(c.d[c.p-4:])
}

func (c *cursor) u64() uint64 {
	c.need(8)
	c.p += 8
	return binary.LittleEndian.Uint64(c.d[c.p-8:])
}

// uint reads an unsigned value of size bytes.
func (c *cursor) uint(size int) uint64 {
	switch size {
	case 1:
		return uint64(c.u8())
	case 2:
		return uint64(c.u16())
	case 4:
		return uint64(c.u32())
	case 8:
		return c.u64()
	}
	bad("%s has a value of %d bytes at %#x", c.what, size, c.p)
	return 0
}

func (c *cursor) uleb() uint64 {
	if c.p < len(c.d) && c.d[c.p] < 0x80 { // nearly always
		c.p++
		return uint64(c.d[c.p-1])
	}
	var v uint64
	for shift := uint(0); ; shift += 7 {
		b := c.u8()
		if shift < 64 {
			v |= uint64(b&0x7f) << shift
		}
		if b < 0x80 {
			return v
		}
		if shift > 140 {
			bad("%s has an endless LEB128 number at %#x", c.what, c.p)
		}
	}
}

func (c *cursor) sleb() int64 {
	var v int64
	for shift := uint(0); ; shift += 7 {
		b := c.u8()
		if shift < 64 {
			v |= int64(b&0x7f) << shift
		}
		if b < 0x80 {
			if b&0x40 != 0 && shift+7 < 64 {
				v |= -1 << (shift + 7)
			}
			return v
		}
		if shift > 140 {
			bad("%s has an endless LEB128 number at %#x", c.what, c.p)
		}
	}
}

func (c *cursor) cstr() []byte {
	n := bytes.IndexByte(c.d[c.p:], 0)
	if n < 0 {
		bad("%s has a string without an end at %#x", c.what, c.p)
	}
	at := c.p
	c.p += n + 1
	return c.d[at : at+n]
}

// initialLength reads a unit's length and whether the unit is 64-bit DWARF.
func (c *cursor) initialLength() (n uint64, dwarf64 bool) {
	n = uint64(c.u32())
	if n == 0xffffffff {
		return c.u64(), true
	}
	if n >= 0xfffffff0 {
		bad("%s has a reserved unit length at %#x", c.what, c.p-4)
	}
	return n, false
}
