package isa

import (
	"fmt"
	"strconv"
)

// The syntax of assembly text, one instruction or label a line; a comment
// starts with ';' and ends with the line:
//
//	r1 += r2    w1 += 5    r1 s/= r2    r1 s>>= 3          operators: + - * / % & | ^ << >> s>> s/ s%
//	r1 = r2     w1 = -7    r1 = (s8)r2  r1 = -r1           moves, sign-extending moves, negation
//	r1 = be16 r1    r1 = le32 r1    r1 = bswap64 r1        byte order
//	r1 = addr_space_cast(r2, 0, 1)                         destination and source space
//	r1 = 0x1234 ll                                         64-bit immediate
//	r1 = map_fd[3] ll    map_fd_value[3]+8    map_idx[3]    map_idx_value[3]+8    btf_id[3]+4    func_pc[12]
//	r1 = map[NAME] ll    mapvalue[NAME]+8     func[NAME]    ksym[NAME]            symbols, for the caller
//	r1 = *(u64 *)(r2 + 8)    r1 = *(s16 *)(r2 - 2)         loads
//	*(u32 *)(r10 - 4) = 7    *(u32 *)(r10 - 4) = r1        stores
//	lock *(u64 *)(r1 + 0) += r2                            atomics: += |= &= ^=
//	r2 = atomic_fetch_add((u64 *)(r1 + 0), r2)             add or and xor
//	r2 = xchg_64(r1 + 0, r2)    w2 = xchg32_32(r1 + 0, w2)
//	r0 = cmpxchg_64(r1 + 0, r0, r2)    w0 = cmpxchg32_32(r1 + 0, w0, w2)
//	w1 = load_acquire((u32 *)(r2 + 0))    store_release((u64 *)(r1 + 0), r2)
//	r0 = *(u8 *)skb[4]    r0 = *(u16 *)skb[r6 + 2]         legacy packet loads
//	if r1 s> 5 goto label    if w1 & w2 goto +3            == != > >= < <= & s> s>= s< s<=
//	goto label    gotol label    may_goto label            or a distance in slots: +3, -2
//	call 12    call NAME    call kfunc NAME    call pc+3    call kfunc#77@1    callx r1    exit
//	.insn op=0x07 dst=1 src=0 off=0 imm=5                  one slot, any bits; may end in kind[NAME]+8
//
// Names that are not plain words are written as quoted Go strings.

// Text is parsed assembly.
type Text struct {
	Insns  []Insn
	Refs   []Ref          // ascending by slot
	Labels map[string]int // name → slot
	Lines  []int          // for each slot, the line it came from
}

// SyntaxError says what is wrong in which line of assembly text.
type SyntaxError struct {
	Line int // from 1
	Msg  string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Msg) }

// Parse reads a whole text.
func Parse(text string) (*Text, error) {
	var a Assembler
	for n, start := 1, 0; start <= len(text); n++ {
		end := start
		for end < len(text) && text[end] != '\n' {
			end++
		}
		if err := a.Line(n, text[start:end]); err != nil {
			return nil, err
		}
		start = end + 1
	}
	return a.Finish()
}

// Assembler takes assembly text line by line.
type Assembler struct {
	text  Text
	jumps []pending
}

// pending is a jump or call whose label is not known yet.
type pending struct {
	slot, line int
	label      string
	call       bool
}

// maxSlots bounds memory: the kernel takes at most a million instructions.
const maxSlots = 1 << 20

// Line takes line n: an instruction, a label, both, or nothing.
func (a *Assembler) Line(n int, s string) error {
	toks, err := scan(s)
	if err != nil {
		return &SyntaxError{n, err.Error()}
	}
	p := parser{toks: toks, slot: len(a.text.Insns), line: n}
	for len(p.toks) >= 2 && p.toks[1].is(":") && (p.toks[0].kind == tokWord || p.toks[0].kind == tokString) {
		if err := a.label(p.toks[0].text); err != nil {
			return &SyntaxError{n, err.Error()}
		}
		p.toks = p.toks[2:]
	}
	if len(p.toks) == 0 {
		return nil
	}
	if err := p.instruction(); err != nil {
		return &SyntaxError{n, err.Error()}
	}
	if len(p.toks) > 0 {
		return &SyntaxError{n, fmt.Sprintf("unexpected %q after the instruction", p.toks[0].text)}
	}
	if len(a.text.Insns)+len(p.out) > maxSlots {
		return &SyntaxError{n, fmt.Sprintf("more than %d instructions", maxSlots)}
	}
	for range p.out {
		a.text.Lines = append(a.text.Lines, n)
	}
	a.text.Insns = append(a.text.Insns, p.out...)
	if p.ref != nil {
		a.text.Refs = append(a.text.Refs, *p.ref)
	}
	if p.jump != nil {
		a.jumps = append(a.jumps, *p.jump)
	}
	return nil
}

func (a *Assembler) label(name string) error {
	if a.text.Labels == nil {
		a.text.Labels = map[string]int{}
	}
	if isRegister(name) || reserved[name] {
		return fmt.Errorf("%q is a word of the syntax and cannot be a label", name)
	}
	if _, ok := a.text.Labels[name]; ok {
		return fmt.Errorf("label %q is already defined", name)
	}
	a.text.Labels[name] = len(a.text.Insns)
	return nil
}

// Finish puts labels into jumps and returns the result. A call of a name that
// is no label becomes a Ref.
func (a *Assembler) Finish() (*Text, error) {
	t := &a.text
	for _, j := range a.jumps {
		to, ok := t.Labels[j.label]
		if !ok && j.call {
			t.Refs = append(t.Refs, Ref{Slot: j.slot, Kind: RefCall, Name: j.label})
			t.Insns[j.slot] = t.Refs[len(t.Refs)-1].Base(0)
			continue
		}
		if !ok {
			return nil, &SyntaxError{j.line, fmt.Sprintf("no label %q in this function", j.label)}
		}
		in := &t.Insns[j.slot]
		rel := to - j.slot - 1
		switch {
		case in.Op == ClassJMP32|Ja || j.call:
			in.Imm = int32(rel)
		case rel < -1<<15 || rel >= 1<<15:
			return nil, &SyntaxError{j.line, fmt.Sprintf("label %q is %d slots away: the offset has 16 bits; use gotol", j.label, rel)}
		default:
			in.Off = int16(rel)
		}
	}
	a.jumps = nil
	sortRefs(t.Refs)
	return t, nil
}

func sortRefs(r []Ref) {
	for i := 1; i < len(r); i++ {
		for j := i; j > 0 && r[j].Slot < r[j-1].Slot; j-- {
			r[j], r[j-1] = r[j-1], r[j]
		}
	}
}

// parser reads the tokens of one line.
type parser struct {
	toks []token
	slot int
	line int
	out  []Insn
	ref  *Ref
	jump *pending
}

func (p *parser) emit(i Insn) error { p.out = append(p.out, i); return nil }

func (p *parser) instruction() error {
	t := p.toks[0]
	switch {
	case t.isWord(".insn"):
		return p.raw()
	case t.isWord("exit"):
		p.next()
		return p.emit(Insn{Op: ClassJMP | Exit})
	case t.isWord("goto"), t.isWord("gotol"), t.isWord("may_goto"):
		return p.branch()
	case t.isWord("if"):
		return p.conditional()
	case t.isWord("call"):
		return p.call()
	case t.isWord("callx"):
		p.next()
		r, err := p.reg('r')
		if err != nil {
			return err
		}
		return p.emit(Insn{Op: ClassJMP | Call | SrcX, Dst: r})
	case t.isWord("lock"):
		return p.lock()
	case t.isWord("store_release"):
		return p.storeRelease()
	case t.is("*"):
		return p.store()
	case t.kind == tokWord && isRegister(t.text):
		return p.assign()
	}
	return fmt.Errorf("expected an instruction, found %q", t.text)
}

func (p *parser) next() token {
	if len(p.toks) == 0 {
		return token{kind: tokEnd, text: "end of line"}
	}
	t := p.toks[0]
	p.toks = p.toks[1:]
	return t
}

func (p *parser) peek() token {
	if len(p.toks) == 0 {
		return token{kind: tokEnd, text: "end of line"}
	}
	return p.toks[0]
}

func (p *parser) accept(s string) bool {
	if t := p.peek(); t.is(s) || t.isWord(s) {
		p.next()
		return true
	}
	return false
}

func (p *parser) expect(ss ...string) error {
	for _, s := range ss {
		if !p.accept(s) {
			return fmt.Errorf("expected %q, found %q", s, p.peek().text)
		}
	}
	return nil
}

// reg reads a register: kind 'r' or 'w', or 0 for both.
func (p *parser) reg(kind byte) (Reg, error) {
	t := p.next()
	if t.kind != tokWord || !isRegister(t.text) || kind != 0 && t.text[0] != kind {
		want := "a register"
		if kind != 0 {
			want = fmt.Sprintf("a register %c0 to %c10", kind, kind)
		}
		return 0, fmt.Errorf("expected %s, found %q", want, t.text)
	}
	n, _ := strconv.Atoi(t.text[1:])
	return Reg(n), nil
}

// number reads an optionally signed number in [lo, hi].
func (p *parser) number(lo, hi int64) (int64, error) {
	neg := false
	if p.accept("-") {
		neg = true
	} else {
		p.accept("+")
	}
	t := p.next()
	if t.kind != tokNumber {
		return 0, fmt.Errorf("expected a number, found %q", t.text)
	}
	u, err := strconv.ParseUint(t.text, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of at most 64 bits", t.text)
	}
	v := int64(u)
	if neg {
		v = -v
	}
	if u > 1<<63 || u == 1<<63 && !neg || v < lo || v > hi {
		return 0, fmt.Errorf("%s is out of range: expected %d to %d", signText(neg)+t.text, lo, hi)
	}
	return v, nil
}

func signText(neg bool) string {
	if neg {
		return "-"
	}
	return ""
}

// imm reads a 32-bit immediate, signed or unsigned.
func (p *parser) imm() (int32, error) {
	v, err := p.number(-1<<31, 1<<32-1)
	return int32(uint32(v)), err
}

// target reads a jump's target into a pending label, or returns its distance.
func (p *parser) target(lo, hi int64) (int64, error) {
	if t := p.peek(); t.is("+") || t.is("-") || t.kind == tokNumber {
		return p.number(lo, hi)
	}
	t := p.next()
	if t.kind != tokWord && t.kind != tokString {
		return 0, fmt.Errorf("expected a label or a distance such as +3, found %q", t.text)
	}
	p.jump = &pending{slot: p.slot, line: p.line, label: t.text}
	return 0, nil
}

func (p *parser) branch() error {
	switch p.next().text {
	case "gotol":
		v, err := p.target(-1<<31, 1<<31-1)
		p.emit(Insn{Op: ClassJMP32 | Ja, Imm: int32(v)})
		return err
	case "may_goto":
		v, err := p.target(-1<<15, 1<<15-1)
		p.emit(Insn{Op: ClassJMP | Jcond, Off: int16(v)})
		return err
	}
	v, err := p.target(-1<<15, 1<<15-1)
	p.emit(Insn{Op: ClassJMP | Ja, Off: int16(v)})
	return err
}

func (p *parser) conditional() error {
	p.next()
	kind := p.regKind()
	dst, err := p.reg(0)
	if err != nil {
		return err
	}
	in := Insn{Op: ClassJMP, Dst: dst}
	if kind == 'w' {
		in.Op = ClassJMP32
	}
	t, found := p.next(), false
	for _, o := range jumpOps {
		if t.is(o.text) {
			in.Op |= o.op
			found = true
		}
	}
	if !found {
		return fmt.Errorf("expected a comparison, found %q", t.text)
	}
	if p.regKind() != 0 {
		in.Op |= SrcX
		in.Src, err = p.reg(kind)
	} else {
		in.Imm, err = p.imm()
	}
	if err != nil {
		return err
	}
	if err := p.expect("goto"); err != nil {
		return err
	}
	v, err := p.target(-1<<15, 1<<15-1)
	in.Off = int16(v)
	p.emit(in)
	return err
}

// regKind is 'r' or 'w' when a register is next, else 0.
func (p *parser) regKind() byte {
	if t := p.peek(); t.kind == tokWord && isRegister(t.text) {
		return t.text[0]
	}
	return 0
}

func (p *parser) call() error {
	p.next()
	in := Insn{Op: ClassJMP | Call}
	t := p.peek()
	switch {
	case t.kind == tokNumber || t.is("-"):
		v, err := p.imm()
		in.Imm = v
		p.emit(in)
		return err
	case t.isWord("pc"):
		p.next()
		v, err := p.number(-1<<31, 1<<31-1)
		in.Src, in.Imm = CallLocal, int32(v)
		p.emit(in)
		return err
	case t.isWord("kfunc"):
		p.next()
		return p.kfunc(in)
	case t.kind == tokWord || t.kind == tokString:
		p.next()
		in.Src = CallLocal
		p.jump = &pending{slot: p.slot, line: p.line, label: t.text, call: true}
		return p.emit(in)
	}
	return fmt.Errorf("expected a function's name or a helper's number, found %q", t.text)
}

func (p *parser) kfunc(in Insn) error {
	if p.accept("#") {
		v, err := p.number(-1<<31, 1<<31-1)
		if err != nil {
			return err
		}
		in.Src, in.Imm = CallKfunc, int32(v)
		if p.accept("@") {
			off, err := p.number(-1<<15, 1<<15-1)
			if err != nil {
				return err
			}
			in.Off = int16(off)
		}
		return p.emit(in)
	}
	t := p.next()
	if t.kind != tokWord && t.kind != tokString {
		return fmt.Errorf("expected a kfunc's name, found %q", t.text)
	}
	p.ref = &Ref{Slot: p.slot, Kind: RefKfunc, Name: t.text}
	return p.emit(p.ref.Base(0))
}

// raw reads ".insn op=… dst=… src=… off=… imm=… [kind[NAME]+n]".
func (p *parser) raw() error {
	p.next()
	var v [5]int64
	fields := []struct {
		name   string
		lo, hi int64
	}{{"op", 0, 255}, {"dst", 0, 15}, {"src", 0, 15}, {"off", -1 << 15, 1<<15 - 1}, {"imm", -1 << 31, 1<<32 - 1}}
	for i, f := range fields {
		if err := p.expect(f.name, "="); err != nil {
			return err
		}
		var err error
		if v[i], err = p.number(f.lo, f.hi); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	if len(p.toks) > 0 {
		r, err := p.bracket()
		if err != nil {
			return err
		}
		p.ref = &r
	}
	return p.emit(Insn{Op: uint8(v[0]), Dst: Reg(v[1]), Src: Reg(v[2]), Off: int16(v[3]), Imm: int32(uint32(v[4]))})
}

// bracket reads "kind[NAME]" with an optional addend.
func (p *parser) bracket() (Ref, error) {
	t := p.next()
	for k, w := range refWords {
		if !t.isWord(w) {
			continue
		}
		if err := p.expect("["); err != nil {
			return Ref{}, err
		}
		n := p.next()
		if n.kind != tokWord && n.kind != tokString {
			return Ref{}, fmt.Errorf("expected a name, found %q", n.text)
		}
		if err := p.expect("]"); err != nil {
			return Ref{}, err
		}
		r := Ref{Slot: p.slot, Kind: k, Name: n.text}
		if s := p.peek(); s.is("+") || s.is("-") {
			v, err := p.number(-1<<31, 1<<32-1)
			if err != nil {
				return Ref{}, err
			}
			r.Addend = v
		}
		return r, nil
	}
	return Ref{}, fmt.Errorf("expected map[…], mapvalue[…], func[…], ksym[…], call[…] or kfunc[…], found %q", t.text)
}
