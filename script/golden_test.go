package script

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gtrace-dev/gtrace/event"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/script/envtext"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the listing and schema sections of golden cases")

// TestGolden runs the cases in testdata/script. Sections: script, env, and
// either error, which is never rewritten, or listing and schema. A comment
// line `native` lowers for gtrace's own engine.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("../testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden cases: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txtar"), func(t *testing.T) { goldenCase(t, f) })
	}
}

func goldenCase(t *testing.T, file string) {
	ar, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]*txtar.File{}
	for i := range ar.Files {
		f := &ar.Files[i]
		switch f.Name {
		case "script", "env", "error", "listing", "schema":
			sections[f.Name] = f
		default:
			t.Fatalf("unknown section %q", f.Name)
		}
	}
	text := func(n string) string {
		if s := sections[n]; s != nil {
			return string(s.Data)
		}
		return ""
	}
	e, err := envtext.Parse(text("env"))
	if err != nil {
		t.Fatal(err)
	}
	var opts Options
	if strings.Contains(string(ar.Comment), "native\n") {
		opts.Lower = Native
	}
	c, err := Compile("case.bt", text("script"), e, opts)
	if err != nil || sections["error"] != nil {
		var got strings.Builder
		if ds, ok := err.(Diagnostics); ok {
			ds.Render(&got)
		}
		if d := cmp.Diff(text("error"), got.String()); d != "" {
			t.Errorf("errors (-want +got):\n%s\n%s", d, got.String())
		}
		return
	}
	wellFormed(t, c)
	got := map[string]string{"listing": listing(c.Object), "schema": schemaText(c.Schema)}
	for name, s := range got {
		f := sections[name]
		if f == nil || string(f.Data) == s {
			continue
		}
		if !*update {
			t.Errorf("%s (-want +got):\n%s", name, cmp.Diff(string(f.Data), s))
			continue
		}
		f.Data = []byte(s)
		if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if sections["listing"] == nil && sections["schema"] == nil {
		t.Error("the case states nothing: give it an empty section listing or schema and run with -update")
	}
}

// wellFormed checks what all objects have in common.
func wellFormed(t *testing.T, c *Compiled) {
	t.Helper()
	if len(c.Probes) != len(c.Schema.Probes) || len(c.Probes) != len(c.Object.Programs) {
		t.Errorf("%d probes, %d in the schema, %d programs", len(c.Probes), len(c.Schema.Probes), len(c.Object.Programs))
	}
	for _, f := range c.Object.Programs {
		last := -1
		for _, l := range f.Lines {
			if l.Insn <= last || l.Insn >= len(f.Insns) || f.Insns[l.Insn].Op == 0 {
				t.Errorf("%s: line information at slot %d behind %d of %d", f.Name, l.Insn, last, len(f.Insns))
			}
			last = l.Insn
		}
		if len(f.Lines) == 0 || f.Lines[0].Insn != 0 {
			t.Errorf("%s: no line information for the first instruction", f.Name)
		}
		for i := 0; i < len(f.Insns); i++ {
			var next *isa.Insn
			if i+1 < len(f.Insns) {
				next = &f.Insns[i+1]
			}
			if err := isa.Validate(f.Insns[i], next); err != nil {
				t.Errorf("%s: slot %d: %v", f.Name, i, err)
			}
			if f.Insns[i].IsWide() {
				i++
			}
		}
	}
	for _, a := range c.Schema.Actions {
		end := event.RecordArgs
		for _, x := range a.Args {
			if x.Offset < end || x.Offset%8 != 0 {
				t.Errorf("argument at %d before %d", x.Offset, end)
			}
			end = x.Offset + x.Type.Size
		}
		if a.Size < end || a.Size%8 != 0 {
			t.Errorf("record of %d bytes with values up to %d", a.Size, end)
		}
	}
}

// listing shows the programs with their relocations and source lines.
func listing(o *object.Object) string {
	var b strings.Builder
	for _, f := range o.Programs {
		fmt.Fprintf(&b, "%s %s\n", f.Section, f.Name)
		notes := map[int]string{}
		for _, r := range f.Relocs {
			notes[r.Insn] += fmt.Sprintf("  // %s", r.Symbol)
		}
		for _, r := range f.CORE {
			notes[r.Insn] += fmt.Sprintf("  // relo %d %s %s", r.Kind, r.Type.TypeName(), r.Access)
		}
		lines := map[int]object.Line{}
		for _, l := range f.Lines {
			lines[l.Insn] = l
		}
		for i := 0; i < len(f.Insns); {
			if l, ok := lines[i]; ok {
				fmt.Fprintf(&b, "; %d:%d %s\n", l.Line, l.Col, strings.TrimSpace(l.Text))
			}
			s, n := isa.Format(f.Insns[i:], 0, &isa.Style{})
			fmt.Fprintf(&b, "%4d  %s%s\n", i, s, notes[i])
			i += n
		}
	}
	return b.String()
}

// schemaText shows what the script sends and keeps.
func schemaText(s *event.Schema) string {
	var b strings.Builder
	for i, p := range s.Probes {
		fmt.Fprintf(&b, "probe %d %s\n", i, p)
	}
	for i, a := range s.Actions {
		fmt.Fprintf(&b, "action %d kind %d probe %d size %d %q map %q top %d div %d\n", i, a.Kind, a.Probe, a.Size, a.Format, a.Map, a.Top, a.Div)
		for _, x := range a.Args {
			fmt.Fprintf(&b, "\t%d: %s\n", x.Offset, typeText(x.Type))
		}
	}
	for _, m := range s.Maps {
		fmt.Fprintf(&b, "map @%s key %d value %d agg %d signed %v percpu %v fail %v", m.Name, m.KeySize, m.ValueSize(), m.Agg, m.Signed, m.PerCPU, m.HasFail)
		if m.Agg == event.LHist {
			fmt.Fprintf(&b, " %d to %d by %d", m.Lo, m.Hi, m.Step)
		}
		b.WriteString("\n")
		for _, k := range m.Keys {
			fmt.Fprintf(&b, "\tkey %d: %s\n", k.Offset, typeText(k.Type))
		}
		if m.Agg == event.Plain {
			fmt.Fprintf(&b, "\tvalue: %s\n", typeText(m.Value))
		}
	}
	return b.String()
}

func typeText(t event.Type) string {
	s := fmt.Sprintf("kind %d size %d signed %v %s", t.Kind, t.Size, t.Signed, t.Name)
	for _, f := range t.Fields {
		s += fmt.Sprintf("\n\t\t%s %d:%d:%d %s", f.Name, f.Offset, f.BitOffset, f.BitSize, typeText(f.Type))
	}
	if t.Elem != nil {
		s += fmt.Sprintf(" [%d]{%s}", t.Len, typeText(*t.Elem))
	}
	return strings.TrimRight(s, " ")
}
