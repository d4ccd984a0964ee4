// Package explain turns a fault and the path that led to it into a report at
// source level: what was required, what was known, how it came to that, the
// cause first, and what to write instead.
package explain

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify/cfg"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/prune"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// Report explains a rejection. Its JSON form is stable.
type Report struct {
	Code    string `json:"code"`
	Message string `json:"message"` // one line: what was required, what was known
	At      Place  `json:"at"`
	Chain   []Note `json:"chain"`            // what led there, in the order in which it happened
	Advice  string `json:"advice,omitempty"` // what to write instead
}

// Place is an instruction and the source line that it belongs to.
type Place struct {
	Insn int    `json:"insn"` // slot in Image.Insns
	Asm  string `json:"asm"`  // the instruction
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"` // from 1; 0 when unknown
	Col  int    `json:"col,omitempty"`  // from 1; 0 when unknown
	Code string `json:"source,omitempty"`
}

// Note says what happened at a place.
type Note struct {
	Place
	Text string `json:"note"`
}

// Line is the source line that slot insn belongs to, nil when unknown.
func Line(lines []object.Line, insn int) *object.Line {
	i := sort.Search(len(lines), func(i int) bool { return lines[i].Insn > insn })
	if i == 0 {
		return nil
	}
	l := lines[i-1]
	return &l
}

// Detail is something to say of an instruction.
type Detail struct {
	Insn int
	Text string
}

// Value is what is known of a register or a stack slot.
type Value struct {
	Text string
	Kind state.Kind
	// Const: it is one number.
	Const bool
}

// Path is the path that was rejected, and what is known along it.
type Path struct {
	Insns []isa.Insn
	Lines []object.Line
	Steps []prune.Step
	// Insn and Frame are where the fault is.
	Insn  int
	Frame uint8
	// Known says what is known of a register or slot before step i; the zero
	// Value when that was not kept. i may be len(Steps): before the instruction at fault.
	Known func(i int, p prune.Place) Value
	// Details are notes that need more than the path.
	Details []Detail
	// Func names what the call at a slot calls, or the function that begins there.
	Func func(slot int) string
}

// Explain reports fault f at the end of path p.
func Explain(f fault.Fault, p *Path) *Report {
	r := &Report{Code: f.Code(), Message: f.String(), At: p.place(p.Insn)}
	t := &trail{p.Insns, p.Steps, p.Insn}
	var chain []event
	if reg, ok := fault.Subject(f); ok {
		chain = t.history(register(p.Frame, reg), len(p.Steps))
		chain = p.voided(t, register(p.Frame, reg), chain)
		chain = p.variable(t, f, chain)
	}
	switch f := f.(type) {
	case fault.LeakedReference:
		chain = t.since(f.Acquired)
	case fault.InRegion:
		if f.Since > 0 {
			chain = t.since(f.Since)
		}
	}
	for _, e := range shorten(chain) {
		r.Chain = append(r.Chain, Note{p.place(t.slot(e.step)), p.text(t, &e)})
	}
	for _, d := range p.Details {
		r.Chain = append(r.Chain, Note{p.place(d.Insn), d.Text})
	}
	r.Advice = advice(f, p, t, chain)
	return r
}

// bounded are the faults of values that are out of bounds: what was compared instead matters.
var bounded = map[string]bool{
	"map-value-bounds": true, "mem-bounds": true, "stack-bounds": true, "unbounded-access": true,
	"packet-bounds": true, "pointer-arithmetic": true, "wrong-size": true, "return-range": true,
}

// variable follows, where a bound is missing, the number that was added to a
// pointer instead of the pointer, and finds what was compared in its place.
func (p *Path) variable(t *trail, f fault.Fault, chain []event) []event {
	if !bounded[f.Code()] {
		return chain
	}
	if in := t.insn(len(t.steps)); f.Code() == "pointer-arithmetic" && in.UsesReg() {
		if added := p.number(t, in.Src, len(p.Steps)); added != nil {
			return added
		}
	}
	for i := len(chain) - 1; i >= 0; i-- {
		e := chain[i]
		if in := t.insn(e.step); e.kind == isChanged && in.Operation() == isa.Add && in.UsesReg() {
			if added := p.number(t, in.Src, e.step); added != nil {
				return append(added, chain[i:]...)
			}
		}
	}
	return merge(chain, t.others(chain, len(p.Steps)))
}

// number is the history of a number in a register before a step, and what was
// compared in its place; nil when the register holds a constant or a pointer.
func (p *Path) number(t *trail, r isa.Reg, step int) []event {
	frame := p.Frame
	if step < len(p.Steps) {
		frame = p.Steps[step].Frame
	}
	at := register(frame, r)
	if v := p.Known(step, at); v.Const || v.Kind.Pointer() {
		return nil
	}
	added := t.history(at, step)
	return merge(added, t.others(added, step))
}

// voided adds the step that took from the register at fault what was known of
// it without writing to it: the release of a reference, a change of the packet.
func (p *Path) voided(t *trail, at prune.Place, chain []event) []event {
	from := 0
	if len(chain) > 0 {
		from = chain[len(chain)-1].step + 1
	}
	for i := from; i < len(p.Steps); i++ {
		if v := p.Known(i+1, at); p.Known(i, at).Kind.Pointer() && !v.Kind.Pointer() && v.Text != "" {
			return append(chain, event{kind: isVoided, step: i, at: at, from: at})
		}
	}
	return chain
}

func merge(a, b []event) []event {
	out := append(append([]event(nil), a...), b...)
	sort.SliceStable(out, func(i, j int) bool { return out[i].step < out[j].step })
	return out
}

// since lists the acquisition at slot insn and the jumps since.
func (t *trail) since(insn int) []event {
	var out []event
	for i := len(t.steps) - 1; i >= 0; i-- {
		if t.slot(i) == insn {
			out = append(out, event{kind: isResult, step: i, at: register(t.steps[i].Frame, isa.R0)})
			break
		}
		if in := t.insn(i); cfg.Conditional(in) {
			at := register(t.steps[i].Frame, in.Dst)
			out = append(out, event{kind: isTested, step: i, at: at, from: at, taken: t.taken(i)})
		}
	}
	slices.Reverse(out)
	return out
}

// most is how many notes a report has; of more, those in the middle are left out.
const most = 12

func shorten(chain []event) []event {
	if len(chain) <= most {
		return chain
	}
	out := append([]event(nil), chain[:most/3]...)
	return append(out, chain[len(chain)-most+most/3:]...)
}

// place describes slot insn.
func (p *Path) place(insn int) Place {
	out := Place{Insn: insn}
	if insn >= 0 && insn < len(p.Insns) {
		out.Asm, _ = isa.Format(p.Insns, insn, &isa.Style{})
	}
	if l := Line(p.Lines, insn); l != nil {
		out.File, out.Line, out.Col, out.Code = l.File, l.Line, l.Col, strings.TrimRight(l.Text, " \t\r\n")
	}
	return out
}

func (p Place) String() string {
	switch {
	case p.File == "":
		return fmt.Sprintf("instruction %d", p.Insn)
	case p.Col == 0:
		return fmt.Sprintf("%s:%d (instruction %d)", p.File, p.Line, p.Insn)
	}
	return fmt.Sprintf("%s:%d:%d (instruction %d)", p.File, p.Line, p.Col, p.Insn)
}
