package verify

import (
	"context"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/explain"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file finds what explains a fault beside the path that led to it.

// details are notes about fault f, given what is known at the end of the path.
func (w *walk) details(f fault.Fault, insn int, views []View) []explain.Detail {
	switch f := f.(type) {
	case fault.UninitStack:
		if len(views) > 0 {
			return []explain.Detail{{Insn: insn, Text: w.unwritten(f, insn, views[len(views)-1])}}
		}
	case fault.TooComplex:
		return w.hottest()
	case fault.ForbiddenHelper:
		if s := programsWith(f.Func); s != "" {
			return []explain.Detail{{Insn: insn, Text: s}}
		}
	}
	return nil
}

// programsWith lists the program types that have a helper.
func programsWith(name string) string {
	h := abi.HelperByName(name)
	if h == nil || len(h.Progs) == 0 {
		return ""
	}
	var list []string
	for _, t := range h.Progs {
		if p := abi.ProgramByType(t); p != nil {
			list = append(list, p.Name)
		}
	}
	return "programs of these types have it: " + strings.Join(list, ", ")
}

// unwritten says which bytes of the stack were not written, and what they are of a map's key or value.
func (w *walk) unwritten(f fault.UninitStack, insn int, v View) string {
	frame := v.s.Top()
	off := int(f.Off)
	var r *state.Reg
	for i := isa.R1; i <= isa.R5 && w.insns[insn].IsCall(); i++ {
		p := v.s.Reg(i)
		if at, ok := p.ConstOff(); p.Kind == state.Stack && ok && int(at) <= off && (r == nil || at > int64(r.Off)) {
			frame, r = v.s.Frame(int(p.Frame)), p
		}
	}
	n := 0
	for off+n < 0 && frame.ByteAt(off+n) == state.Invalid {
		n++
	}
	s := fmt.Sprintf("never written: %s at fp%+d", plural(n), off)
	if r == nil {
		return s
	}
	base := int(r.Off)
	s += fmt.Sprintf(", %d behind the pointer", off-base)
	m := v.s.Reg(isa.R1)
	if m.Kind != state.MapPtr {
		return s
	}
	typ := w.layout.Maps[m.Map].Key
	if r == v.s.Reg(isa.R3) {
		typ = w.layout.Maps[m.Map].Value
	}
	if where := member(typ, off-base); where != "" {
		s += ": " + where
	}
	return s
}

func plural(n int) string {
	if n == 1 {
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", n)
}

// member names what is at byte off of a struct.
func member(typ btf.Type, off int) string {
	s, ok := btf.UnderlyingType(typ).(*btf.Struct)
	if !ok {
		return ""
	}
	before := ""
	for _, m := range s.Members {
		size, err := btf.Sizeof(m.Type)
		at := int(m.Offset.Bytes())
		switch {
		case err != nil:
			return ""
		case at <= off && off < at+size:
			return fmt.Sprintf("member %s of struct %s", m.Name, s.Name)
		case at > off:
			return fmt.Sprintf("padding between the members %s and %s of struct %s", before, m.Name, s.Name)
		}
		before = m.Name
	}
	return fmt.Sprintf("padding behind the member %s of struct %s", before, s.Name)
}

// hottest finds the loop that was walked most often, and what kept its turns apart.
func (w *walk) hottest() []explain.Detail {
	count := make([]int, len(w.insns))
	last := make([][2]View, len(w.insns))
	opts := w.opts
	opts.Trace = func(pc int, v View) {
		if count[pc]++; w.graph.Head[pc] {
			last[pc] = [2]View{last[pc][1], v.Keep()}
		}
	}
	if _, err := Verify(context.Background(), w.img, opts); err == nil {
		return nil
	}
	at := 0
	for pc, n := range count {
		if w.graph.Head[pc] && n > count[at] {
			at = pc
		}
	}
	if count[at] < 2 || last[at][0].s == nil {
		return nil
	}
	s := fmt.Sprintf("walked most often: %d times", count[at])
	if d := w.differences(at, last[at][0], last[at][1]); d != "" {
		s += "; what keeps one time from counting for the next: " + d
	}
	return []explain.Detail{{Insn: at, Text: s}}
}

// differences lists the registers that matter and the stack slots that are not the same.
func (w *walk) differences(pc int, a, b View) string {
	var out []string
	add := func(name, x, y string) {
		if x != y && len(out) < 4 {
			out = append(out, fmt.Sprintf("%s (%s, then %s)", name, x, y))
		}
	}
	if a.Depth() != b.Depth() {
		return ""
	}
	for r := range isa.R10 {
		if w.live.RegsAt(pc).Has(r) {
			add(register(r), a.text(a.s.Reg(r)), b.text(b.s.Reg(r)))
		}
	}
	for i := range min(a.Slots(a.Depth()-1), b.Slots(b.Depth()-1)) {
		name := fmt.Sprintf("fp-%d", 8*(i+1))
		x, _ := a.Text(name)
		y, _ := b.Text(name)
		add(name, x, y)
	}
	return strings.Join(out, ", ")
}
