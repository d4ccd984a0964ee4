package isa

import (
	"fmt"
	"strconv"
	"strings"
)

// This file parses assignments to registers and memory.

// assign reads an instruction that begins with a register.
func (p *parser) assign() error {
	kind := p.regKind()
	dst, err := p.reg(0)
	if err != nil {
		return err
	}
	in := Insn{Op: ClassALU64, Dst: dst}
	if kind == 'w' {
		in.Op = ClassALU
	}
	t := p.next()
	if t.is("=") {
		return p.value(in, kind)
	}
	for _, o := range aluOps {
		if t.is(o.text) || t.is("s"+o.text) && (o.op == Div || o.op == Mod) {
			in.Op |= o.op
			if t.text != o.text {
				in.Off = 1
			}
			return p.operand(in, kind)
		}
	}
	return fmt.Errorf("expected \"=\" or an operator such as \"+=\", found %q", t.text)
}

func (p *parser) operand(in Insn, kind byte) (err error) {
	if p.regKind() != 0 {
		in.Op |= SrcX
		in.Src, err = p.reg(kind)
	} else {
		in.Imm, err = p.imm()
	}
	p.emit(in)
	return err
}

// value reads what is on the right of "=".
func (p *parser) value(in Insn, kind byte) error {
	t := p.peek()
	switch {
	case t.is("*"):
		return p.load(in.Dst, kind)
	case t.is("("):
		return p.extend(in, kind)
	case t.is("-") && len(p.toks) > 1 && p.toks[1].kind == tokWord:
		p.next()
		r, err := p.reg(kind)
		if err == nil && r != in.Dst {
			err = fmt.Errorf("negation works in place: expected %c%d, found %c%d", kind, in.Dst, kind, r)
		}
		in.Op |= Neg
		p.emit(in)
		return err
	case t.kind == tokNumber || t.is("-") || t.is("+"):
		return p.constant(in, kind)
	case t.kind != tokWord:
		return fmt.Errorf("expected a value, found %q", t.text)
	case isRegister(t.text):
		in.Op |= Mov
		return p.operand(in, kind)
	}
	if w, n, ok := swapWord(t.text); ok {
		return p.swap(in, w, n)
	}
	switch {
	case t.text == "addr_space_cast":
		return p.spaceCast(in, kind)
	case t.text == "load_acquire":
		return p.loadAcquire(in.Dst)
	case strings.HasPrefix(t.text, "atomic_fetch_"), strings.HasPrefix(t.text, "xchg"), strings.HasPrefix(t.text, "cmpxchg"):
		return p.fetch(in.Dst, kind)
	}
	return p.wide(in.Dst, kind)
}

// constant reads a 32-bit immediate, or a 64-bit one that ends in "ll".
func (p *parser) constant(in Insn, kind byte) error {
	last := p.toks[len(p.toks)-1]
	if !last.isWord("ll") {
		in.Op |= Mov
		return p.operand(in, kind)
	}
	if kind != 'r' {
		return fmt.Errorf("a 64-bit immediate needs a register r0 to r10")
	}
	v, err := p.unsigned64()
	if err != nil {
		return err
	}
	w := Wide(in.Dst, PseudoNone, v)
	p.out = append(p.out, w[:]...)
	return p.expect("ll")
}

// unsigned64 reads any 64-bit value, signed or unsigned.
func (p *parser) unsigned64() (uint64, error) {
	neg := p.accept("-")
	if !neg {
		p.accept("+")
	}
	t := p.next()
	if t.kind != tokNumber {
		return 0, fmt.Errorf("expected a number, found %q", t.text)
	}
	u, err := strconv.ParseUint(t.text, 0, 64)
	if err != nil || neg && u > 1<<63 {
		return 0, fmt.Errorf("%q is not a number of at most 64 bits", t.text)
	}
	if neg {
		u = -u
	}
	return u, nil
}

// wide reads "map[x]+8 ll" and its numeric relatives.
func (p *parser) wide(dst Reg, kind byte) error {
	if kind != 'r' {
		return fmt.Errorf("a 64-bit immediate needs a register r0 to r10")
	}
	for _, w := range wideWords {
		if !p.peek().isWord(w.word) {
			continue
		}
		p.next()
		if err := p.expect("["); err != nil {
			return err
		}
		first, err := p.imm()
		if err != nil {
			return err
		}
		if err := p.expect("]"); err != nil {
			return err
		}
		var second int32
		if s := p.peek(); w.second && (s.is("+") || s.is("-")) {
			if second, err = p.imm(); err != nil {
				return err
			}
		}
		p.out = append(p.out, Insn{Op: LoadImm64, Dst: dst, Src: w.src, Imm: first}, Insn{Imm: second})
		return p.expect("ll")
	}
	r, err := p.bracket()
	if err != nil {
		return err
	}
	if r.Kind == RefCall || r.Kind == RefKfunc {
		return fmt.Errorf("%s[…] has no address: expected map[…], mapvalue[…], func[…] or ksym[…]", refWords[r.Kind])
	}
	p.ref = &r
	p.out = append(p.out, r.Base(dst), Insn{})
	return p.expect("ll")
}

// extend reads "(s8)r2".
func (p *parser) extend(in Insn, kind byte) error {
	p.next()
	t := p.next()
	switch {
	case t.isWord("s8"):
		in.Off = 8
	case t.isWord("s16"):
		in.Off = 16
	case t.isWord("s32") && kind == 'r':
		in.Off = 32
	default:
		return fmt.Errorf("expected s8, s16 or (for r0 to r10) s32, found %q", t.text)
	}
	if err := p.expect(")"); err != nil {
		return err
	}
	in.Op |= Mov | SrcX
	var err error
	in.Src, err = p.reg(kind)
	p.emit(in)
	return err
}

// swapWord splits be16, le32, bswap64.
func swapWord(s string) (word string, bits int32, ok bool) {
	for _, w := range []string{"be", "le", "bswap"} {
		for _, n := range []int32{16, 32, 64} {
			if s == fmt.Sprintf("%s%d", w, n) {
				return w, n, true
			}
		}
	}
	return "", 0, false
}

func (p *parser) swap(in Insn, word string, bits int32) error {
	p.next()
	r, err := p.reg(0)
	if err != nil {
		return err
	}
	if r != in.Dst {
		return fmt.Errorf("%s%d works in place: expected r%d, found r%d", word, bits, in.Dst, r)
	}
	op := map[string]uint8{"le": ClassALU | End, "be": ClassALU | End | SrcX, "bswap": ClassALU64 | End}[word]
	return p.emit(Insn{Op: op, Dst: in.Dst, Imm: bits})
}

func (p *parser) spaceCast(in Insn, kind byte) error {
	p.next()
	if err := p.expect("("); err != nil {
		return err
	}
	src, err := p.reg('r')
	if err != nil {
		return err
	}
	var space [2]int64
	for i := range space {
		if err := p.expect(","); err != nil {
			return err
		}
		if space[i], err = p.number(0, 0xffff); err != nil {
			return err
		}
	}
	if kind != 'r' {
		return fmt.Errorf("addr_space_cast needs a register r0 to r10")
	}
	p.emit(Insn{Op: ClassALU64 | Mov | SrcX, Dst: in.Dst, Src: src, Off: 1, Imm: int32(uint32(space[0]<<16 | space[1]))})
	return p.expect(")")
}

// width is an access's size bits, and whether it is signed.
func (p *parser) width() (size uint8, signed bool, err error) {
	t := p.next()
	sizes := map[string]uint8{"8": SizeB, "16": SizeH, "32": SizeW, "64": SizeDW}
	if t.kind == tokWord && len(t.text) > 1 && (t.text[0] == 'u' || t.text[0] == 's') {
		if s, ok := sizes[t.text[1:]]; ok {
			return s, t.text[0] == 's', nil
		}
	}
	return 0, false, fmt.Errorf("expected u8, u16, u32, u64, s8, s16 or s32, found %q", t.text)
}

// pointer reads "(u64 *)", after an optional "*" that the caller has read.
func (p *parser) pointer() (size uint8, signed bool, err error) {
	if err = p.expect("("); err != nil {
		return
	}
	if size, signed, err = p.width(); err != nil {
		return
	}
	return size, signed, p.expect("*", ")")
}

// address reads "(r2 + 8)".
func (p *parser) address() (Reg, int16, error) {
	if err := p.expect("("); err != nil {
		return 0, 0, err
	}
	r, off, err := p.sum()
	if err != nil {
		return 0, 0, err
	}
	return r, off, p.expect(")")
}

// sum reads "r2", "r2 + 8" or "r2 - 8".
func (p *parser) sum() (Reg, int16, error) {
	r, err := p.reg('r')
	if err != nil {
		return 0, 0, err
	}
	if t := p.peek(); !t.is("+") && !t.is("-") {
		return r, 0, nil
	}
	v, err := p.number(-1<<15, 1<<15-1)
	return r, int16(v), err
}

func (p *parser) load(dst Reg, kind byte) error {
	p.next()
	size, signed, err := p.pointer()
	if err != nil {
		return err
	}
	if p.peek().isWord("skb") {
		return p.legacy(dst, size, signed)
	}
	in := Insn{Op: ClassLDX | ModeMEM | size, Dst: dst}
	if signed {
		in.Op = ClassLDX | ModeMEMSX | size
	}
	if size == SizeDW && (signed || kind == 'w') {
		return fmt.Errorf("a load of 64 bits is *(u64 *) into r0 to r10")
	}
	if signed && kind == 'w' {
		return fmt.Errorf("a sign-extending load fills r0 to r10")
	}
	in.Src, in.Off, err = p.address()
	p.emit(in)
	return err
}

func (p *parser) legacy(dst Reg, size uint8, signed bool) (err error) {
	p.next()
	if dst != 0 || signed || size == SizeDW {
		return fmt.Errorf("legacy packet loads go to r0, from u8, u16 or u32")
	}
	if err = p.expect("["); err != nil {
		return err
	}
	in := Insn{Op: ClassLD | ModeABS | size}
	if p.regKind() != 0 {
		in.Op = ClassLD | ModeIND | size
		if in.Src, err = p.reg('r'); err != nil {
			return err
		}
		if t := p.peek(); t.is("+") || t.is("-") {
			in.Imm, err = p.imm()
		}
	} else {
		in.Imm, err = p.imm()
	}
	if err != nil {
		return err
	}
	p.emit(in)
	return p.expect("]")
}

// store reads "*(u32 *)(r10 - 4) = 7" or "= r1".
func (p *parser) store() error {
	p.next()
	size, signed, err := p.pointer()
	if err != nil {
		return err
	}
	if signed {
		return fmt.Errorf("stores have no sign: expected u8, u16, u32 or u64")
	}
	in := Insn{Op: ClassST | ModeMEM | size}
	if in.Dst, in.Off, err = p.address(); err != nil {
		return err
	}
	if err = p.expect("="); err != nil {
		return err
	}
	if p.regKind() != 0 {
		in.Op = ClassSTX | ModeMEM | size
		in.Src, err = p.source(size)
	} else {
		in.Imm, err = p.imm()
	}
	p.emit(in)
	return err
}

// source reads the register that is stored: w0 to w10 for at most 32 bits.
func (p *parser) source(size uint8) (Reg, error) {
	if size == SizeDW {
		return p.reg('r')
	}
	return p.reg(0)
}

// lock reads "lock *(u64 *)(r1 + 0) += r2".
func (p *parser) lock() error {
	p.next()
	if err := p.expect("*"); err != nil {
		return err
	}
	in, err := p.atomicAddress()
	if err != nil {
		return err
	}
	t := p.next()
	for _, o := range atomicOps {
		if t.is(o.text) {
			in.Imm = o.imm
			in.Src, err = p.source(in.Size())
			p.emit(in)
			return err
		}
	}
	return fmt.Errorf("expected +=, |=, &= or ^=, found %q", t.text)
}

// atomicAddress reads "(u64 *)(r1 + 0)".
func (p *parser) atomicAddress() (Insn, error) {
	size, signed, err := p.pointer()
	if err != nil {
		return Insn{}, err
	}
	if signed || size == SizeB || size == SizeH {
		return Insn{}, fmt.Errorf("expected u32 or u64 for an atomic operation")
	}
	in := Insn{Op: ClassSTX | ModeATOMIC | size}
	in.Dst, in.Off, err = p.address()
	return in, err
}

// fetch reads atomic_fetch_*, xchg* and cmpxchg*; dst is the register on the left.
func (p *parser) fetch(dst Reg, kind byte) error {
	word := p.next().text
	if err := p.expect("("); err != nil {
		return err
	}
	in := Insn{Op: ClassSTX | ModeATOMIC | SizeDW}
	var err error
	want := byte('r')
	switch word {
	case "xchg_64", "cmpxchg_64":
		in.Dst, in.Off, err = p.sum()
	case "xchg32_32", "cmpxchg32_32":
		in.Op, want = ClassSTX|ModeATOMIC|SizeW, 'w'
		in.Dst, in.Off, err = p.sum()
	default:
		found := false
		for _, o := range atomicOps {
			if word == "atomic_fetch_"+o.name {
				in.Imm, found = o.imm|AtomicFetch, true
			}
		}
		if !found {
			return fmt.Errorf("unknown operation %q", word)
		}
		imm := in.Imm
		in, err = p.atomicAddress()
		in.Imm = imm
		if in.Size() == SizeW {
			want = 0
		}
	}
	if err != nil {
		return err
	}
	if want != 0 && kind != want {
		return fmt.Errorf("%s returns a register %c0 to %c10", word, want, want)
	}
	if word == "xchg_64" || word == "xchg32_32" {
		in.Imm = AtomicXchg
	}
	return p.fetchEnd(in, dst, want, word)
}

// fetchEnd reads ", [r0,] r2)".
func (p *parser) fetchEnd(in Insn, dst Reg, want byte, word string) error {
	left := "the last operand"
	if word == "cmpxchg_64" || word == "cmpxchg32_32" {
		in.Imm = AtomicCmpXchg
		if err := p.expect(",", fmt.Sprintf("%c0", want)); err != nil {
			return err
		}
		left = "r0"
	}
	err := p.expect(",")
	if err != nil {
		return err
	}
	if in.Src, err = p.reg(want); err != nil {
		return err
	}
	if left == "r0" && dst != 0 || left != "r0" && dst != in.Src {
		return fmt.Errorf("%s returns its value in %s", word, left)
	}
	p.emit(in)
	return p.expect(")")
}

func (p *parser) loadAcquire(dst Reg) error {
	p.next()
	if err := p.expect("("); err != nil {
		return err
	}
	size, signed, err := p.pointer()
	if err != nil {
		return err
	}
	if signed {
		return fmt.Errorf("expected u8, u16, u32 or u64")
	}
	in := Insn{Op: ClassSTX | ModeATOMIC | size, Dst: dst, Imm: LoadAcquire}
	if in.Src, in.Off, err = p.address(); err != nil {
		return err
	}
	p.emit(in)
	return p.expect(")")
}

func (p *parser) storeRelease() error {
	p.next()
	if err := p.expect("("); err != nil {
		return err
	}
	size, signed, err := p.pointer()
	if err != nil {
		return err
	}
	if signed {
		return fmt.Errorf("expected u8, u16, u32 or u64")
	}
	in := Insn{Op: ClassSTX | ModeATOMIC | size, Imm: StoreRelease}
	if in.Dst, in.Off, err = p.address(); err != nil {
		return err
	}
	if err = p.expect(","); err != nil {
		return err
	}
	if in.Src, err = p.source(size); err != nil {
		return err
	}
	p.emit(in)
	return p.expect(")")
}
