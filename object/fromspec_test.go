package object

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/google/go-cmp/cmp"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
)

func loadSpec(t *testing.T, b []byte) *ebpf.CollectionSpec {
	t.Helper()
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// canonical gives every relocated instruction the bits that Ref.Base has.
func canonical(f *Func) []isa.Insn {
	out := slices.Clone(f.Insns)
	for _, r := range f.Relocs {
		out[r.Insn] = isa.Ref{Kind: refKinds[r.Kind], Addend: r.Addend}.Base(out[r.Insn].Dst)
	}
	return out
}

// A spec gives the same programs as the file it was loaded from.
func TestFromSpecSameAsRead(t *testing.T) {
	b := compile(t, variants["core"]...)
	want, spec := read(t, b), loadSpec(t, b)
	got, err := FromSpec(spec)
	if err != nil {
		t.Fatal(err)
	}
	if got.License != "GPL" || len(got.Programs) != len(want.Programs) || len(got.Subprogs) != len(want.Subprogs) || len(got.Maps) != len(want.Maps) {
		t.Fatalf("%d programs, %d subprograms, %d maps", len(got.Programs), len(got.Subprogs), len(got.Maps))
	}
	for _, f := range append(want.Programs, want.Subprogs...) {
		g := got.function(f.Name)
		if g == nil {
			t.Errorf("no %s", f.Name)
			continue
		}
		d := cmp.Diff(canonical(f), canonical(g)) + cmp.Diff(f.Relocs, g.Relocs) + cmp.Diff(f.Lines, g.Lines) + cmp.Diff(f.CORE, g.CORE, sameObject)
		if f.Attach.Type != g.Attach.Type || f.Global != g.Global || f.Section != g.Section {
			t.Errorf("%+v\n%+v", f, g)
		}
		if d != "" {
			t.Error(f.Name, d)
		}
	}
	for _, m := range want.Maps {
		g := got.mapByName(m.Name)
		if g == nil || g.Type != m.Type || !bytes.Equal(g.Data, m.Data) || cmp.Diff(g.Entries, m.Entries) != "" || g.Frozen != m.Frozen {
			t.Errorf("map %+v\n%+v", m, g)
		}
	}
}

func TestFromSpecBuilt(t *testing.T) {
	cast := asm.Instruction{OpCode: asm.OpCode(0xbf), Dst: asm.R1, Src: asm.R2, Offset: 1, Constant: 1}
	spec := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"p": {
		Type: ebpf.SocketFilter, License: "MIT",
		Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R0, 1),
			asm.JEq.Imm(asm.R0, 0, "out"),
			cast,
			asm.Call.Label("sub"),
			asm.Return().WithSymbol("out"),
			asm.Mov.Imm(asm.R0, 2).WithSymbol("sub"),
			asm.Return(),
		},
	}}}
	o, err := FromSpec(spec)
	if err != nil {
		t.Fatal(err)
	}
	p := o.Programs[0]
	if p.Attach.Type != abi.SocketFilter || p.Labels["out"] != 4 || len(p.Insns) != 5 || p.Insns[1].Off != 2 || p.Insns[2].Off != 1 {
		t.Errorf("%+v", p)
	}
	if len(o.Subprogs) != 1 || o.Subprogs[0].Name != "sub" || cmp.Diff([]Reloc{{3, RelocCall, "sub", 0}}, p.Relocs) != "" {
		t.Errorf("%+v %+v", p.Relocs, o.Subprogs)
	}
}

func TestFromSpecLost(t *testing.T) {
	spec := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"p": {
		Type: ebpf.SocketFilter, Instructions: asm.Instructions{asm.LoadMapValue(asm.R1, 7, 0), asm.Return()},
	}}}
	o, err := FromSpec(spec)
	if err != nil || len(o.Programs[0].Relocs) != 1 || o.Programs[0].Relocs[0].Kind != RelocUnknown {
		t.Errorf("%+v, error %v", o, err)
	}
	spec.Programs["p"].AttachTarget = new(ebpf.Program)
	if _, err = FromSpec(spec); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "attach target") {
		t.Errorf("%v", err)
	}
}
