package object

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
)

// textSection is the section of subprograms.
const textSection = ".text"

// FormatAsm prints o as text that ParseAsm reads back: all but types, line
// information and CO-RE relocations.
func FormatAsm(o *Object) string {
	var b strings.Builder
	if o.License != "" {
		fmt.Fprintf(&b, ".license %s\n", asmWord(o.License))
	}
	if o.Version != 0 {
		fmt.Fprintf(&b, ".version %d\n", o.Version)
	}
	for _, m := range o.Maps {
		formatMap(&b, m)
	}
	for _, e := range o.Externs {
		formatExtern(&b, e)
	}
	section := ""
	for i, fs := range [][]*Func{o.Programs, o.Subprogs} {
		for _, f := range fs {
			if f.Section != section {
				section = f.Section
				fmt.Fprintf(&b, ".section %s\n", asmWord(section))
			}
			formatFunc(&b, f, i == 0)
		}
	}
	return b.String()
}

// asmWord quotes a word of a directive where it has to be.
func asmWord(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == ';' {
			return strconv.Quote(s)
		}
	}
	if s == "" {
		return `""`
	}
	return s
}

func formatMap(b *strings.Builder, m *Map) {
	if m.Section != "" {
		fmt.Fprintf(b, ".data %s size=%d flags=%#x", asmWord(m.Name), len(m.Data), m.Flags)
		if m.Frozen {
			b.WriteString(" frozen")
		}
		b.WriteByte('\n')
		end := len(m.Data)
		for end > 0 && m.Data[end-1] == 0 {
			end--
		}
		for i := 0; i < end; i += 16 {
			fmt.Fprintf(b, ".bytes % x\n", m.Data[i:min(i+16, end)])
		}
		formatFields(b, m)
		return
	}
	fmt.Fprintf(b, ".map %s %s\n", asmWord(m.Name), m.attributeText())
	formatFields(b, m)
	if m.Inner != nil {
		fmt.Fprintf(b, ".inner %s\n", m.Inner.attributeText())
	}
	for _, e := range m.Entries {
		fmt.Fprintf(b, ".entry %d %s\n", e.Key, asmWord(e.Symbol))
	}
}

func (m *Map) attributeText() string {
	name := m.Type.String()
	if _, ok := abi.MapTypeByName(name); !ok {
		name = strconv.Itoa(int(m.Type))
	}
	s := fmt.Sprintf("type=%s key=%d value=%d entries=%d", name, m.KeySize, m.ValueSize, m.MaxEntries)
	if m.Flags != 0 {
		s += fmt.Sprintf(" flags=%#x", m.Flags)
	}
	if m.Pinning != 0 {
		s += fmt.Sprintf(" pinning=%d", m.Pinning)
	}
	if m.Extra != 0 {
		s += fmt.Sprintf(" extra=%d", m.Extra)
	}
	return s
}

func formatExtern(b *strings.Builder, e Extern) {
	fmt.Fprintf(b, ".extern %s", asmWord(e.Name))
	for w, k := range externWords {
		if k == e.Kind {
			b.WriteString(" " + w)
		}
	}
	if e.Weak {
		b.WriteString(" weak")
	}
	if e.Offset != 0 {
		fmt.Fprintf(b, " offset=%d", e.Offset)
	}
	b.WriteByte('\n')
}

func formatFunc(b *strings.Builder, f *Func, entry bool) {
	fmt.Fprintf(b, ".func %s", asmWord(f.Name))
	switch {
	case f.Weak:
		b.WriteString(" weak")
	case f.Global && !entry:
		b.WriteString(" global")
	case !entry && f.Section != textSection:
		b.WriteString(" static")
	}
	b.WriteByte('\n')
	if implied, _ := abi.ParseSection(f.Section); entry && implied != f.Attach {
		fmt.Fprintf(b, ".attach type=%d expected=%d", f.Attach.Type, f.Attach.Expected)
		if f.Attach.Target != "" {
			fmt.Fprintf(b, " target=%s", strconv.Quote(f.Attach.Target))
		}
		if f.Attach.Sleepable {
			b.WriteString(" sleepable")
		}
		b.WriteByte('\n')
	}
	formatProto(b, f)
	formatBody(b, f)
}

func formatBody(b *strings.Builder, f *Func) {
	refs := map[int]isa.Ref{}
	called := map[string]bool{}
	for _, r := range f.Relocs {
		if refKinds[r.Kind] == 0 {
			continue
		}
		refs[r.Insn] = isa.Ref{Slot: r.Insn, Kind: refKinds[r.Kind], Name: r.Symbol, Addend: r.Addend}
		called[r.Symbol] = true
	}
	st := &isa.Style{Ref: func(slot int) (isa.Ref, bool) { r, ok := refs[slot]; return r, ok }}
	starts := map[int]bool{}
	for i := 0; i < len(f.Insns); {
		starts[i] = true
		_, n := isa.Format(f.Insns, i, st)
		i += n
	}
	starts[len(f.Insns)] = true
	names, at := map[int][]string{}, map[int]string{}
	for _, l := range sortedKeys(f.Labels) {
		// A call of a function with a label's name would find the label.
		if s := f.Labels[l]; starts[s] && !called[l] {
			names[s] = append(names[s], isa.QuoteName(l))
			at[s] = isa.QuoteName(l)
		}
	}
	st.Label = func(slot int) string { return at[slot] }
	for i := 0; ; {
		for _, l := range names[i] {
			fmt.Fprintf(b, "%s:\n", l)
		}
		if i >= len(f.Insns) {
			return
		}
		s, n := isa.Format(f.Insns, i, st)
		fmt.Fprintf(b, "\t%s\n", s)
		i += n
	}
}

var refKinds = map[RelocKind]isa.RefKind{
	RelocMap: isa.RefMap, RelocMapValue: isa.RefMapValue, RelocCall: isa.RefCall,
	RelocFuncAddr: isa.RefFunc, RelocKfunc: isa.RefKfunc, RelocKsym: isa.RefKsym,
}
