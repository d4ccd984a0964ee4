// Package x86 finds the length of x86-64 instructions and moves single
// instructions to another address. It knows encodings, not meanings: what it
// tells apart is only what depends on where an instruction lies.
//
// Source of the encodings: Intel SDM volume 2, chapter 2 (prefixes, ModRM,
// SIB, VEX, EVEX) and appendix A (opcode maps); AMD APM volume 3 for XOP.
package x86

import (
	"errors"
	"fmt"
)

// MaxLen is the longest instruction the processor accepts, in bytes.
const MaxLen = 15

// Map is the opcode map an instruction is from.
type Map uint8

const (
	OneByte Map = iota // opcode alone
	TwoByte            // 0F
	Map38              // 0F 38
	Map3A              // 0F 3A
	Map5               // EVEX map 5
	Map6               // EVEX map 6
	XOP8
	XOP9
	XOPA
)

// Inst is a decoded instruction: where its parts lie, in bytes from its start.
type Inst struct {
	Len    int
	Map    Map
	Opcode byte
	OpOff  int // offset of the opcode byte

	Vector bool // VEX, EVEX or XOP encoding
	OpSize bool // prefix 66
	AddrSz bool // prefix 67
	Lock   bool // prefix F0
	Rep    byte // last of F2, F3; 0 for none
	Rex    byte // 0 for none

	ModRM    int // offset of the ModRM byte; 0 for none
	Disp     int // offset of the displacement; 0 for none
	DispSize int // 1 or 4
	RIPRel   bool
	Imm      int // offset of the immediate; 0 for none
	ImmSize  int // bytes of all immediates together
	Rel      int // size of a relative branch target, which is the immediate: 1, 4; 0 for others
}

var (
	// ErrTruncated: the bytes end within the instruction.
	ErrTruncated = errors.New("instruction is cut off")
	// ErrInvalid: no instruction of 64-bit mode that this package knows.
	ErrInvalid = errors.New("not a known x86-64 instruction")
)

// Immediate sizes as the opcode tables name them.
const (
	imm0   = iota
	imm8   // ib
	imm16  // iw
	immZ   // 2 bytes with prefix 66, else 4
	immV   // 2, 4, or 8 with REX.W
	imm24  // enter: iw ib
	immOff // address: 8 bytes, 4 with prefix 67
	rel8
	rel32
	immGrp3 // F6: ib for /0 and /1
	immGrpZ // F7: iz for /0 and /1
	immTwo8 // ib ib
	imm32
)

const (
	bad    = 1 << 6 // not in 64-bit mode
	hasMod = 1 << 7 // ModRM follows
)

// oneByte and twoByte give, per opcode, hasMod, bad and the kind of immediate.
var oneByte, twoByte = oneByteTable(), twoByteTable()

func oneByteTable() (t [256]byte) {
	set := func(v byte, from, to int) {
		for i := from; i <= to; i++ {
			t[i] = v
		}
	}
	for i := 0; i < 0x40; i += 8 { // add, or, adc, sbb, and, sub, xor, cmp
		set(hasMod, i, i+3)
		t[i+4], t[i+5], t[i+6], t[i+7] = imm8, immZ, bad, bad
	}
	set(bad, 0x60, 0x62)
	t[0x63] = hasMod
	t[0x68], t[0x69], t[0x6a], t[0x6b] = immZ, hasMod|immZ, imm8, hasMod|imm8
	set(rel8, 0x70, 0x7f)
	t[0x80], t[0x81], t[0x82], t[0x83] = hasMod|imm8, hasMod|immZ, bad, hasMod|imm8
	set(hasMod, 0x84, 0x8f)
	t[0x9a] = bad
	set(immOff, 0xa0, 0xa3)
	t[0xa8], t[0xa9] = imm8, immZ
	set(imm8, 0xb0, 0xb7)
	set(immV, 0xb8, 0xbf)
	t[0xc0], t[0xc1], t[0xc2] = hasMod|imm8, hasMod|imm8, imm16
	t[0xc6], t[0xc7], t[0xc8], t[0xca] = hasMod|imm8, hasMod|immZ, imm24, imm16
	t[0xcd], t[0xce] = imm8, bad
	set(hasMod, 0xd0, 0xd3)
	set(bad, 0xd4, 0xd6)
	set(hasMod, 0xd8, 0xdf)
	set(rel8, 0xe0, 0xe3)
	set(imm8, 0xe4, 0xe7)
	t[0xe8], t[0xe9], t[0xea], t[0xeb] = rel32, rel32, bad, rel8
	t[0xf6], t[0xf7] = hasMod|immGrp3, hasMod|immGrpZ
	t[0xfe], t[0xff] = hasMod, hasMod
	return t
}

func twoByteTable() (t [256]byte) {
	for i := range t {
		t[i] = hasMod
	}
	set := func(v byte, from, to int) {
		for i := from; i <= to; i++ {
			t[i] = v
		}
	}
	set(bad, 0x04, 0x04)
	set(imm0, 0x05, 0x09)
	t[0x0a], t[0x0b], t[0x0c], t[0x0e], t[0x0f] = bad, imm0, bad, imm0, hasMod|imm8
	set(bad, 0x24, 0x27)
	set(imm0, 0x30, 0x35)
	t[0x36], t[0x37] = bad, imm0
	set(bad, 0x39, 0x3f)
	set(hasMod|imm8, 0x70, 0x73)
	t[0x77] = imm0
	t[0x7a], t[0x7b] = bad, bad
	set(rel32, 0x80, 0x8f)
	set(imm0, 0xa0, 0xa2)
	set(imm0, 0xa8, 0xaa)
	t[0xa4], t[0xac], t[0xba] = hasMod|imm8, hasMod|imm8, hasMod|imm8
	t[0xc2], t[0xc4], t[0xc5], t[0xc6] = hasMod|imm8, hasMod|imm8, hasMod|imm8, hasMod|imm8
	set(imm0, 0xc8, 0xcf)
	return t
}

// decoder walks over the bytes of one instruction.
type decoder struct {
	b   []byte
	pos int
	in  Inst
}

func (d *decoder) next() (byte, error) {
	if d.pos >= MaxLen {
		return 0, ErrInvalid
	}
	if d.pos >= len(d.b) {
		return 0, ErrTruncated
	}
	d.pos++
	return d.b[d.pos-1], nil
}

// Decode decodes the instruction at the start of b. The error is
// ErrTruncated when more bytes could make it one, else ErrInvalid.
func Decode(b []byte) (Inst, error) {
	d := decoder{b: b}
	attr, err := d.opcode()
	if err != nil {
		return Inst{}, err
	}
	if attr&bad != 0 {
		return Inst{}, fmt.Errorf("%w: opcode %#02x", ErrInvalid, d.in.Opcode)
	}
	if attr&hasMod != 0 {
		if err := d.modRM(); err != nil {
			return Inst{}, err
		}
	}
	if err := d.immediate(attr &^ (hasMod | bad)); err != nil {
		return Inst{}, err
	}
	d.in.Len = d.pos
	return d.in, nil
}

// opcode reads prefixes and opcode, and returns the opcode's table entry.
func (d *decoder) opcode() (byte, error) {
	for {
		c, err := d.next()
		if err != nil {
			return 0, err
		}
		switch c {
		case 0x66:
			d.in.OpSize = true
		case 0x67:
			d.in.AddrSz = true
		case 0xf0:
			d.in.Lock = true
		case 0xf2, 0xf3:
			d.in.Rep = c
		case 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65:
		case 0xc4, 0xc5, 0x62:
			return d.vector(c)
		default:
			if c&0xf0 == 0x40 { // counts only right before the opcode
				d.in.Rex = c
				continue
			}
			return d.plainOpcode(c)
		}
		d.in.Rex = 0
	}
}

func (d *decoder) plainOpcode(c byte) (byte, error) {
	if c == 0x8f && d.pos < len(d.b) && d.b[d.pos]&0x1f >= 8 {
		return d.xop()
	}
	if c != 0x0f {
		d.in.Map, d.in.Opcode, d.in.OpOff = OneByte, c, d.pos-1
		return oneByte[c], nil
	}
	c, err := d.next()
	if err != nil {
		return 0, err
	}
	switch c {
	case 0x38, 0x3a:
		m, attr := Map38, byte(hasMod)
		if c == 0x3a {
			m, attr = Map3A, hasMod|imm8
		}
		if c, err = d.next(); err != nil {
			return 0, err
		}
		d.in.Map, d.in.Opcode, d.in.OpOff = m, c, d.pos-1
		return attr, nil
	}
	d.in.Map, d.in.Opcode, d.in.OpOff = TwoByte, c, d.pos-1
	if c == 0x78 && (d.in.OpSize || d.in.Rep == 0xf2) { // SSE4a extrq, insertq
		return hasMod | immTwo8, nil
	}
	return twoByte[c], nil
}

// vector reads the rest of a VEX (C4, C5) or EVEX (62) prefix and the opcode.
func (d *decoder) vector(first byte) (byte, error) {
	d.in.Vector = true
	sel, evex := byte(1), first == 0x62
	n := map[byte]int{0xc5: 1, 0xc4: 2, 0x62: 3}[first]
	for i := range n {
		c, err := d.next()
		if err != nil {
			return 0, err
		}
		switch {
		case i == 0 && first == 0xc4:
			sel = c & 0x1f
		case i == 0 && evex:
			sel = c & 7
		}
	}
	c, err := d.next()
	if err != nil {
		return 0, err
	}
	d.in.Opcode, d.in.OpOff = c, d.pos-1
	switch {
	case sel == 1:
		d.in.Map = TwoByte
		if c == 0x77 && !evex { // vzeroupper, vzeroall
			return imm0, nil
		}
		attr := twoByte[c]
		if attr&hasMod == 0 { // none of the legacy forms without ModRM exists with VEX; AVX-512 mask moves do
			attr = hasMod
		}
		if c == 0x78 || c == 0x79 || c == 0x7a || c == 0x7b {
			attr = hasMod
		}
		return attr &^ bad, nil
	case sel == 2:
		d.in.Map = Map38
		return hasMod, nil
	case sel == 3:
		d.in.Map = Map3A
		return hasMod | imm8, nil
	case sel == 5 && evex:
		d.in.Map = Map5
		return hasMod, nil
	case sel == 6 && evex:
		d.in.Map = Map6
		return hasMod, nil
	}
	return 0, fmt.Errorf("%w: vector opcode map %d", ErrInvalid, sel)
}

func (d *decoder) xop() (byte, error) {
	d.in.Vector = true
	sel, err := d.next()
	if err != nil {
		return 0, err
	}
	if _, err = d.next(); err != nil {
		return 0, err
	}
	c, err := d.next()
	if err != nil {
		return 0, err
	}
	d.in.Opcode, d.in.OpOff = c, d.pos-1
	switch sel & 0x1f {
	case 8:
		d.in.Map = XOP8
		return hasMod | imm8, nil
	case 9:
		d.in.Map = XOP9
		return hasMod, nil
	case 10:
		d.in.Map = XOPA
		return hasMod | imm32, nil
	}
	return 0, fmt.Errorf("%w: XOP map %d", ErrInvalid, sel&0x1f)
}

// modRM reads ModRM, SIB and displacement.
func (d *decoder) modRM() error {
	d.in.ModRM = d.pos
	m, err := d.next()
	if err != nil {
		return err
	}
	if d.in.Map == TwoByte && !d.in.Vector && d.in.Opcode >= 0x20 && d.in.Opcode <= 0x23 {
		return nil // mov to and from control and debug registers: mod is ignored
	}
	mod, rm := m>>6, m&7
	if mod == 3 {
		return nil
	}
	size := 0
	if rm == 4 {
		sib, err := d.next()
		if err != nil {
			return err
		}
		if mod == 0 && sib&7 == 5 {
			size = 4
		}
	}
	switch {
	case mod == 0 && rm == 5:
		size, d.in.RIPRel = 4, true
	case mod == 1:
		size = 1
	case mod == 2:
		size = 4
	}
	if size > 0 {
		d.in.Disp, d.in.DispSize = d.pos, size
		return d.skip(size)
	}
	return nil
}

func (d *decoder) skip(n int) error {
	for range n {
		if _, err := d.next(); err != nil {
			return err
		}
	}
	return nil
}

// immediate reads the immediate operands.
func (d *decoder) immediate(kind byte) error {
	n := 0
	operand := 4
	if d.in.OpSize && d.in.Rex&8 == 0 {
		operand = 2
	}
	group := func() bool { return d.b[d.in.ModRM]>>3&7 <= 1 }
	switch kind {
	case imm8:
		n = 1
	case imm16, immTwo8:
		n = 2
	case immZ:
		n = operand
	case immV:
		if n = operand; d.in.Rex&8 != 0 {
			n = 8
		}
	case imm24:
		n = 3
	case immOff:
		if n = 8; d.in.AddrSz {
			n = 4
		}
	case rel8:
		n, d.in.Rel = 1, 1
	case rel32:
		n, d.in.Rel = 4, 4
	case imm32:
		n = 4
	case immGrp3:
		if group() {
			n = 1
		}
	case immGrpZ:
		if group() {
			n = operand
		}
	}
	if kind == immZ && d.in.Map == OneByte && d.in.Opcode == 0xc7 && d.b[d.in.ModRM] == 0xf8 {
		n, d.in.Rel = 4, 4 // xbegin
		if operand == 2 {
			n, d.in.Rel = 2, 2
		}
	}
	if n > 0 {
		d.in.Imm, d.in.ImmSize = d.pos, n
	}
	return d.skip(n)
}

// Boundary reports whether an instruction begins at off of code, which begins
// with one and has at least off bytes; true if that can't be known.
func Boundary(code []byte, off int) bool {
	at := 0
	for at < off {
		in, err := Decode(code[at:])
		if err != nil {
			return !errors.Is(err, ErrTruncated)
		}
		at += in.Len
	}
	return at == off
}
