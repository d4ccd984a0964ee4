package isa

import (
	"fmt"
	"strconv"
	"strings"
)

// RefKind says what a symbol in assembly text stands for.
type RefKind uint8

// What a Ref can name. isa knows no names: the caller resolves them.
const (
	RefCall     RefKind = iota + 1 // call NAME: a helper, or a function of the same object
	RefKfunc                       // call kfunc NAME
	RefMap                         // r1 = map[NAME] ll
	RefMapValue                    // r1 = mapvalue[NAME]+8 ll
	RefFunc                        // r1 = func[NAME] ll
	RefKsym                        // r1 = ksym[NAME] ll
)

// refWords are the words before the bracket in text.
var refWords = map[RefKind]string{
	RefCall: "call", RefKfunc: "kfunc", RefMap: "map",
	RefMapValue: "mapvalue", RefFunc: "func", RefKsym: "ksym",
}

// Ref is a symbol that the instruction at Slot refers to.
type Ref struct {
	Slot   int
	Kind   RefKind
	Name   string
	Addend int64
}

// Base is the instruction that text with r stands for before r is resolved:
// what a compiler leaves in an object file. Wide instructions have a zero second slot.
func (r Ref) Base(dst Reg) Insn {
	switch r.Kind {
	case RefCall, RefKfunc:
		return Insn{Op: ClassJMP | Call, Src: CallLocal, Imm: -1}
	case RefMapValue:
		return Insn{Op: LoadImm64, Dst: dst, Imm: int32(r.Addend)}
	}
	return Insn{Op: LoadImm64, Dst: dst}
}

func (r Ref) bracket() string {
	s := refWords[r.Kind] + "[" + quoteName(r.Name) + "]"
	if r.Addend != 0 {
		s += fmt.Sprintf("%+d", r.Addend)
	}
	return s
}

// Style gives names to what instructions refer to. The zero Style has none.
type Style struct {
	// Ref returns the symbol that the instruction at slot refers to.
	Ref func(slot int) (Ref, bool)
	// Label returns the name of the label at slot; "" for none.
	Label func(slot int) string
}

// Format prints the instruction at slot and returns how many slots it takes:
// 2 for a wide instruction, else 1. The text parses back to the same bits: an
// instruction with bits that the syntax cannot carry is printed as .insn.
func Format(insns []Insn, slot int, st *Style) (string, int) {
	if st == nil {
		st = &Style{}
	}
	p := printer{slot: slot, style: st, in: insns[slot]}
	if st.Ref != nil {
		if r, ok := st.Ref(slot); ok {
			return p.symbolic(r, insns)
		}
	}
	if p.in.IsWide() && slot+1 < len(insns) {
		if s, ok := wideText(p.in, insns[slot+1]); ok {
			return s, 2
		}
	}
	text, carried := p.print()
	if text == "" || carried != p.in {
		return rawText(p.in), 1
	}
	return text, 1
}

// Listing prints instructions one on a line, without names.
func Listing(insns []Insn) string {
	var b strings.Builder
	for i := 0; i < len(insns); {
		s, n := Format(insns, i, nil)
		b.WriteString(s)
		b.WriteByte('\n')
		i += n
	}
	return b.String()
}

// String prints i alone. A wide instruction prints as .insn, since its value
// is not complete.
func (i Insn) String() string {
	s, _ := Format([]Insn{i}, 0, nil)
	return s
}

func rawText(i Insn) string {
	return fmt.Sprintf(".insn op=%#02x dst=%d src=%d off=%d imm=%d", i.Op, i.Dst, i.Src, i.Off, i.Imm)
}

// printer prints one instruction. Its methods return the text and the
// instruction that this text carries; where they differ, the text must not be used.
type printer struct {
	slot  int
	style *Style
	in    Insn
}

func (p *printer) symbolic(r Ref, insns []Insn) (string, int) {
	base := r.Base(p.in.Dst)
	if p.in == base && base.Dst <= R10 {
		switch {
		case r.Kind == RefCall && r.Addend == 0:
			return "call " + quoteName(r.Name), 1
		case r.Kind == RefKfunc && r.Addend == 0:
			return "call kfunc " + quoteName(r.Name), 1
		case p.in.IsWide() && p.slot+1 < len(insns) && insns[p.slot+1] == (Insn{}):
			return fmt.Sprintf("%s = %s ll", reg(p.in.Dst), r.bracket()), 2
		}
	}
	return rawText(p.in) + " " + r.bracket(), 1
}

func wideText(a, b Insn) (string, bool) {
	if a.Dst > R10 || a.Off != 0 || b.Op != 0 || b.Dst != 0 || b.Src != 0 || b.Off != 0 {
		return "", false
	}
	if a.Src == PseudoNone {
		return fmt.Sprintf("r%d = %#x ll", a.Dst, Imm64(a, b)), true
	}
	for _, w := range wideWords {
		if w.src == a.Src && (w.second || b.Imm == 0) {
			s := fmt.Sprintf("r%d = %s[%d]", a.Dst, w.word, a.Imm)
			if b.Imm != 0 {
				s += fmt.Sprintf("%+d", b.Imm)
			}
			return s + " ll", true
		}
	}
	return "", false
}

// wideWords name the numeric forms of 64-bit immediate loads with a meaning.
var wideWords = []struct {
	word   string
	src    Reg
	second bool // the second immediate has a meaning
}{
	{"map_fd", PseudoMapFD, false},
	{"map_fd_value", PseudoMapValue, true},
	{"btf_id", PseudoBTFID, true},
	{"func_pc", PseudoFunc, false},
	{"map_idx", PseudoMapIdx, false},
	{"map_idx_value", PseudoMapIdxValue, true},
}

func (p *printer) print() (string, Insn) {
	if p.in.Dst > R10 || p.in.Src > R10 {
		return "", Insn{}
	}
	switch p.in.Class() {
	case ClassALU, ClassALU64:
		return p.alu()
	case ClassJMP, ClassJMP32:
		return p.jump()
	case ClassLD:
		return p.legacy()
	}
	return p.memory()
}

// aluOps are the two-operand operators.
var aluOps = []struct {
	op   uint8
	text string
}{
	{Add, "+="}, {Sub, "-="}, {Mul, "*="}, {Div, "/="}, {Or, "|="}, {And, "&="},
	{Lsh, "<<="}, {Rsh, ">>="}, {Mod, "%="}, {Xor, "^="}, {Arsh, "s>>="}, {Mov, "="},
}

func (p *printer) alu() (string, Insn) {
	in := p.in
	name := reg
	if in.Class() == ClassALU {
		name = sub
	}
	switch in.Operation() {
	case End:
		word := "le"
		if in.UsesReg() {
			word = "be"
		}
		if in.Class() == ClassALU64 {
			word = "bswap"
		}
		if in.Imm != 16 && in.Imm != 32 && in.Imm != 64 || in.Op == ClassALU64|End|SrcX {
			return "", Insn{}
		}
		return fmt.Sprintf("%s = %s%d %s", reg(in.Dst), word, in.Imm, reg(in.Dst)), Insn{Op: in.Op, Dst: in.Dst, Imm: in.Imm}
	case Neg:
		return fmt.Sprintf("%s = -%s", name(in.Dst), name(in.Dst)), Insn{Op: in.Class() | Neg, Dst: in.Dst}
	}
	op := ""
	for _, o := range aluOps {
		if o.op == in.Operation() {
			op = o.text
		}
	}
	if op == "" {
		return "", Insn{}
	}
	carried := Insn{Op: in.Op, Dst: in.Dst}
	if in.Off == 1 && (in.Operation() == Div || in.Operation() == Mod) {
		op, carried.Off = "s"+op, 1
	}
	if !in.UsesReg() {
		carried.Imm = in.Imm
		return fmt.Sprintf("%s %s %d", name(in.Dst), op, in.Imm), carried
	}
	carried.Src = in.Src
	if in.Operation() == Mov && in.Off != 0 {
		return p.move(name, carried)
	}
	return fmt.Sprintf("%s %s %s", name(in.Dst), op, name(in.Src)), carried
}

// move prints moves whose offset gives them another meaning.
func (p *printer) move(name func(Reg) string, carried Insn) (string, Insn) {
	in := p.in
	carried.Off = in.Off
	if in.Off == 1 && in.Class() == ClassALU64 {
		carried.Imm = in.Imm
		return fmt.Sprintf("%s = addr_space_cast(%s, %d, %d)", reg(in.Dst), reg(in.Src), uint32(in.Imm)>>16, in.Imm&0xffff), carried
	}
	if in.Off == 8 || in.Off == 16 || in.Off == 32 && in.Class() == ClassALU64 {
		return fmt.Sprintf("%s = (s%d)%s", name(in.Dst), in.Off, name(in.Src)), carried
	}
	return "", Insn{}
}

// jumpOps are the comparisons.
var jumpOps = []struct {
	op   uint8
	text string
}{
	{Jeq, "=="}, {Jgt, ">"}, {Jge, ">="}, {Jset, "&"}, {Jne, "!="}, {Jsgt, "s>"},
	{Jsge, "s>="}, {Jlt, "<"}, {Jle, "<="}, {Jslt, "s<"}, {Jsle, "s<="},
}

func (p *printer) jump() (string, Insn) {
	in := p.in
	switch in.Op {
	case ClassJMP | Ja:
		return "goto " + p.target(int64(in.Off)), Insn{Op: in.Op, Off: in.Off}
	case ClassJMP32 | Ja:
		return "gotol " + p.target(int64(in.Imm)), Insn{Op: in.Op, Imm: in.Imm}
	case ClassJMP | Jcond:
		return "may_goto " + p.target(int64(in.Off)), Insn{Op: in.Op, Off: in.Off}
	case ClassJMP | Exit:
		return "exit", Insn{Op: in.Op}
	case ClassJMP | Call | SrcX:
		return "callx " + reg(in.Dst), Insn{Op: in.Op, Dst: in.Dst}
	case ClassJMP | Call:
		return p.call()
	}
	name := reg
	if in.Class() == ClassJMP32 {
		name = sub
	}
	for _, o := range jumpOps {
		if o.op != in.Operation() {
			continue
		}
		c := Insn{Op: in.Op, Dst: in.Dst, Off: in.Off}
		second := strconv.Itoa(int(in.Imm))
		if in.UsesReg() {
			c.Src, second = in.Src, name(in.Src)
		} else {
			c.Imm = in.Imm
		}
		return fmt.Sprintf("if %s %s %s goto %s", name(in.Dst), o.text, second, p.target(int64(in.Off))), c
	}
	return "", Insn{}
}

func (p *printer) call() (string, Insn) {
	in := p.in
	c := Insn{Op: in.Op, Src: in.Src, Imm: in.Imm}
	switch in.Src {
	case CallHelper:
		return fmt.Sprintf("call %d", in.Imm), c
	case CallLocal:
		if l := p.label(int64(in.Imm)); l != "" {
			return "call " + l, c
		}
		return fmt.Sprintf("call pc%+d", in.Imm), c
	case CallKfunc:
		c.Off = in.Off
		s := fmt.Sprintf("call kfunc#%d", in.Imm)
		if in.Off != 0 {
			s += fmt.Sprintf("@%d", in.Off)
		}
		return s, c
	}
	return "", Insn{}
}

func (p *printer) label(rel int64) string {
	t := int64(p.slot) + 1 + rel
	if p.style.Label == nil || t < 0 {
		return ""
	}
	return p.style.Label(int(t))
}

func (p *printer) target(rel int64) string {
	if l := p.label(rel); l != "" {
		return l
	}
	return fmt.Sprintf("%+d", rel)
}

func (p *printer) legacy() (string, Insn) {
	in := p.in
	c := Insn{Op: in.Op, Imm: in.Imm}
	bits := in.Bytes() * 8
	switch {
	case in.Size() == SizeDW:
		return "", Insn{}
	case in.Mode() == ModeABS:
		return fmt.Sprintf("r0 = *(u%d *)skb[%d]", bits, in.Imm), c
	case in.Mode() == ModeIND:
		c.Src = in.Src
		return fmt.Sprintf("r0 = *(u%d *)skb[%s%s]", bits, reg(in.Src), disp(int64(in.Imm))), c
	}
	return "", Insn{}
}

func (p *printer) memory() (string, Insn) {
	in := p.in
	bits := in.Bytes() * 8
	c := Insn{Op: in.Op, Dst: in.Dst, Src: in.Src, Off: in.Off}
	switch {
	case in.Class() == ClassLDX && in.Mode() == ModeMEM:
		return fmt.Sprintf("%s = *(u%d *)%s", reg(in.Dst), bits, addr(in.Src, in.Off)), c
	case in.Class() == ClassLDX && in.Mode() == ModeMEMSX && bits < 64:
		return fmt.Sprintf("%s = *(s%d *)%s", reg(in.Dst), bits, addr(in.Src, in.Off)), c
	case in.Class() == ClassSTX && in.Mode() == ModeMEM:
		return fmt.Sprintf("*(u%d *)%s = %s", bits, addr(in.Dst, in.Off), reg(in.Src)), c
	case in.Class() == ClassST && in.Mode() == ModeMEM:
		c.Src, c.Imm = 0, in.Imm
		return fmt.Sprintf("*(u%d *)%s = %d", bits, addr(in.Dst, in.Off), in.Imm), c
	case in.Class() == ClassSTX && in.Mode() == ModeATOMIC:
		return p.atomic()
	}
	return "", Insn{}
}

// atomicOps are the read-modify-write operations with and without fetch.
var atomicOps = []struct {
	imm  int32
	text string
	name string
}{
	{AtomicAdd, "+=", "add"}, {AtomicOr, "|=", "or"}, {AtomicAnd, "&=", "and"}, {AtomicXor, "^=", "xor"},
}

func (p *printer) atomic() (string, Insn) {
	in := p.in
	bits := in.Bytes() * 8
	v := sub(in.Src)
	if bits == 64 {
		v = reg(in.Src)
	}
	switch in.Imm {
	case LoadAcquire:
		d := sub(in.Dst)
		if bits == 64 {
			d = reg(in.Dst)
		}
		return fmt.Sprintf("%s = load_acquire((u%d *)%s)", d, bits, addr(in.Src, in.Off)), in
	case StoreRelease:
		return fmt.Sprintf("store_release((u%d *)%s, %s)", bits, addr(in.Dst, in.Off), v), in
	}
	if bits < 32 {
		return "", Insn{}
	}
	where := fmt.Sprintf("%s%s", reg(in.Dst), disp1(in.Off))
	switch {
	case in.Imm == AtomicXchg && bits == 64:
		return fmt.Sprintf("%s = xchg_64(%s, %s)", v, where, v), in
	case in.Imm == AtomicXchg:
		return fmt.Sprintf("%s = xchg32_32(%s, %s)", v, where, v), in
	case in.Imm == AtomicCmpXchg && bits == 64:
		return fmt.Sprintf("r0 = cmpxchg_64(%s, r0, %s)", where, v), in
	case in.Imm == AtomicCmpXchg:
		return fmt.Sprintf("w0 = cmpxchg32_32(%s, w0, %s)", where, v), in
	}
	for _, o := range atomicOps {
		if in.Imm == o.imm {
			return fmt.Sprintf("lock *(u%d *)%s %s %s", bits, addr(in.Dst, in.Off), o.text, v), in
		}
		if in.Imm == o.imm|AtomicFetch {
			return fmt.Sprintf("%s = atomic_fetch_%s((u%d *)%s, %s)", v, o.name, bits, addr(in.Dst, in.Off), v), in
		}
	}
	return "", Insn{}
}

func reg(r Reg) string { return "r" + strconv.Itoa(int(r)) }
func sub(r Reg) string { return "w" + strconv.Itoa(int(r)) }

func addr(base Reg, off int16) string { return "(" + reg(base) + disp1(off) + ")" }

func disp1(off int16) string {
	if off < 0 {
		return fmt.Sprintf(" - %d", -int(off))
	}
	return fmt.Sprintf(" + %d", off)
}

func disp(v int64) string {
	switch {
	case v == 0:
		return ""
	case v < 0:
		return fmt.Sprintf(" - %d", -v)
	}
	return fmt.Sprintf(" + %d", v)
}

// quoteName quotes a name that is not a plain word of the syntax.
func quoteName(s string) string {
	if s == "" || isRegister(s) || reserved[s] {
		return strconv.Quote(s)
	}
	for i := 0; i < len(s); i++ {
		if !wordByte(s[i], i == 0) {
			return strconv.Quote(s)
		}
	}
	return s
}

// QuoteName prints a name for assembly text: quoted where it is not a plain word.
func QuoteName(s string) string { return quoteName(s) }
