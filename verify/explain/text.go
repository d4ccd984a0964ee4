package explain

import (
	"fmt"
	"strings"

	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/prune"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file puts events into words.

func (p *Path) name(at prune.Place) string {
	s := fmt.Sprintf("r%d", at.Index)
	if at.Slot {
		s = fmt.Sprintf("the stack at fp-%d", 8*(int(at.Index)+1))
	}
	if at.Frame != p.Frame {
		s += fmt.Sprintf(" (%d calls down)", at.Frame)
	}
	return s
}

// becomes says what is known of at before step i, with a verb before it.
func (p *Path) becomes(verb string, i int, at prune.Place) string {
	if v := p.Known(i, at); v.Text != "" {
		return verb + v.Text
	}
	return ""
}

func (p *Path) text(t *trail, e *event) string {
	in := t.insn(e.step)
	at := p.name(e.at)
	now := func(verb string) string { return p.becomes(verb, e.step+1, e.at) }
	switch e.kind {
	case isSet:
		return at + " is set" + now(" to ")
	case isResult:
		if p.Known(e.step+1, e.at).Kind == state.Uninit {
			return p.Func(t.slot(e.step)) + " is called here"
		}
		return at + " is what " + p.Func(t.slot(e.step)) + " returns" + now(": ")
	case isLost:
		return fmt.Sprintf("the call of %s leaves %s without a value: r0 to r5 do not survive a call", p.Func(t.slot(e.step)), at)
	case isVoided:
		return fmt.Sprintf("the call of %s makes %s void: it is no pointer any more", p.Func(t.slot(e.step)), at)
	case isLoaded:
		return fmt.Sprintf("%s is read at offset %d", at, in.Off) + p.becomes(" from ", e.step, register(t.steps[e.step].Frame, in.Src)) + now(": ")
	case isChanged:
		return at + p.change(t, e, in) + now(" and becomes ")
	case isCopied:
		return at + " is a copy of " + p.name(e.from) + now(": ")
	case isCut:
		return at + " gets the " + width(in) + " of " + p.name(e.from) + now(": ")
	case isStored:
		return p.name(e.from) + " is stored in " + at
	case isRestored:
		return at + " is read back from " + p.name(e.from) + now(": ")
	case isPassed:
		return fmt.Sprintf("%s is argument %d of %s", p.name(e.from), e.from.Index, p.Func(t.slot(e.step)))
	case isReturned:
		return "the function returns it" + now(": ")
	}
	return p.test(t, e, in)
}

// width says which part of a register a move takes.
func width(in isa.Insn) string {
	if in.Off != 0 {
		return fmt.Sprintf("sign-extended low %d bits", in.Off)
	}
	return "low 32 bits"
}

var operators = map[uint8]string{
	isa.Add: "+=", isa.Sub: "-=", isa.Mul: "*=", isa.Div: "/=", isa.Mod: "%=", isa.Or: "|=", isa.And: "&=", isa.Xor: "^=",
	isa.Lsh: "<<=", isa.Rsh: ">>=", isa.Arsh: "s>>=",
}

// change says which arithmetic is done.
func (p *Path) change(t *trail, e *event, in isa.Insn) string {
	op, ok := operators[in.Operation()]
	if !ok {
		return " is changed"
	}
	bits := ""
	if in.Class() == isa.ClassALU {
		bits = " in 32 bits"
	}
	if !in.UsesReg() {
		return fmt.Sprintf(" %s %d%s", op, in.Imm, bits)
	}
	src := register(t.steps[e.step].Frame, in.Src)
	return fmt.Sprintf(" %s %s%s%s", op, p.name(src), bits, p.becomes(", which is ", e.step, src))
}

var comparisons = map[uint8][2]string{
	isa.Jeq: {"==", "!="}, isa.Jne: {"!=", "=="}, isa.Jgt: {">", "<="}, isa.Jge: {">=", "<"}, isa.Jlt: {"<", ">="}, isa.Jle: {"<=", ">"},
	isa.Jsgt: {"s>", "s<="}, isa.Jsge: {"s>=", "s<"}, isa.Jslt: {"s<", "s>="}, isa.Jsle: {"s<=", "s>"}, isa.Jset: {"&", "& (none of)"},
}

// holds is the condition that holds behind a jump.
func holds(in isa.Insn, taken bool) string {
	op, ok := comparisons[in.Operation()]
	if !ok {
		return "the jump's condition"
	}
	i, letter := 0, "r"
	if !taken {
		i = 1
	}
	if in.Class() == isa.ClassJMP32 {
		letter = "w"
	}
	right := fmt.Sprint(in.Imm)
	if in.UsesReg() {
		right = fmt.Sprintf("%s%d", letter, in.Src)
	}
	return fmt.Sprintf("%s%d %s %s", letter, in.Dst, op[i], right)
}

func (p *Path) test(t *trail, e *event, in isa.Insn) string {
	s := "this path goes on where " + holds(in, e.taken)
	if e.kind == isTested {
		return s + p.becomes(": "+p.name(e.at)+" is ", e.step+1, e.at)
	}
	switch {
	case p.Known(e.step+1, e.at).Kind.InPacket(): // what it shows counts for all pointers with the same base
		return s + p.becomes(": "+p.name(e.at)+" is ", e.step+1, e.at)
	case e.narrow:
		s += fmt.Sprintf("; but %s holds the low bits of the value only: the rest of it stays unknown", p.name(e.at))
	case e.changed:
		s += fmt.Sprintf("; but %s was computed from the value: its bounds are not those of the value", p.name(e.at))
	default:
		s += fmt.Sprintf("; but that is %s, a copy, not what is used", p.name(e.at))
	}
	return s
}

// String renders r for people: the line with a caret, what led there, and the advice.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", r.Code, r.Message)
	r.At.render(&b, "  ")
	if len(r.Chain) > 0 {
		b.WriteString("  what led there:\n")
	}
	last := Place{Insn: -1}
	for _, n := range r.Chain {
		if n.File == "" || n.Line != last.Line || n.File != last.File {
			n.Place.render(&b, "    ")
		}
		last = n.Place
		fmt.Fprintf(&b, "      %s\n", n.Text)
	}
	if r.Advice != "" {
		fmt.Fprintf(&b, "  instead: %s\n", r.Advice)
	}
	return strings.TrimRight(b.String(), "\n")
}

// render prints where p is, and the source with a caret or else the instruction.
func (p Place) render(b *strings.Builder, indent string) {
	fmt.Fprintf(b, "%sat %s\n", indent, p)
	if p.Code == "" {
		fmt.Fprintf(b, "%s  %s\n", indent, p.Asm)
		return
	}
	code := strings.TrimLeft(p.Code, " \t")
	fmt.Fprintf(b, "%s  %s\n", indent, code)
	if at := p.Col - 1 - (len(p.Code) - len(code)); p.Col > 0 && at >= 0 && at < len(code) {
		fmt.Fprintf(b, "%s  %s^\n", indent, strings.Repeat(" ", at))
	}
}
