package object

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
)

// made is a file as an old compiler leaves it, with given sections behind the
// symbols: section 3 is code, section 4 legacy maps, section 5 its relocations.
func made(t *testing.T, bo binary.ByteOrder, code []isa.Insn, maps []uint32, syms []elf.Symbol, rels []elf.Rel64) []byte {
	t.Helper()
	text := make([]byte, len(code)*isa.Slot)
	for i, in := range code {
		in.Encode(text[i*isa.Slot:], bo)
	}
	var def, rel bytes.Buffer
	_ = binary.Write(&def, bo, maps)
	_ = binary.Write(&rel, bo, rels)
	sym, str := symtab(bo, syms, strtabIndex)
	return layELF(bo, []elfSection{
		sym, str,
		{name: "kprobe/f", typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, align: 8, data: text},
		{name: "maps", typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC, align: 4, data: def.Bytes()},
		{name: ".relkprobe/f", typ: elf.SHT_REL, link: symtabIndex, info: 3, entsize: relSize, data: rel.Bytes()},
	})
}

func global(typ elf.SymType) uint8 { return elf.ST_INFO(elf.STB_GLOBAL, typ) }

func TestLegacyMaps(t *testing.T) {
	w := isa.Wide(1, 0, 0)
	code := []isa.Insn{w[0], w[1], {Op: isa.ClassALU64 | isa.Mov}, {Op: isa.ClassJMP | isa.Exit}}
	syms := []elf.Symbol{
		{Name: "f", Info: global(elf.STT_FUNC), Section: 3, Size: 32},
		{Name: "a", Info: global(elf.STT_OBJECT), Section: 4},
		{Name: "b", Info: global(elf.STT_OBJECT), Section: 4, Value: 20},
	}
	for _, bo := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		o, err := Read("old.o", bytes.NewReader(made(t, bo, code, []uint32{1, 4, 8, 16, 0, 2, 4, 4, 1, 0x80}, syms, []elf.Rel64{{Info: 3<<32 | relBPF6464}})))
		if err != nil {
			t.Fatal(err)
		}
		want := []*Map{
			{Name: "a", Type: abi.MapHash, KeySize: 4, ValueSize: 8, MaxEntries: 16},
			{Name: "b", Type: abi.MapArray, KeySize: 4, ValueSize: 4, MaxEntries: 1, Flags: 0x80},
		}
		if d := cmp.Diff(want, o.Maps, sameObject); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]Reloc{{0, RelocMap, "b", 0}}, o.Programs[0].Relocs); d != "" {
			t.Error(d)
		}
	}
}

func TestReadErrors(t *testing.T) {
	exit := []isa.Insn{{Op: isa.ClassJMP | isa.Exit}}
	f := elf.Symbol{Name: "f", Info: global(elf.STT_FUNC), Section: 3}
	call := []isa.Insn{{Op: isa.ClassJMP | isa.Call, Src: 1, Imm: 5}, exit[0]}
	for _, c := range []struct {
		code []isa.Insn
		maps []uint32
		syms []elf.Symbol
		rels []elf.Rel64
		want string
	}{
		{exit, nil, nil, nil, "code without a function symbol"},
		{exit, []uint32{1, 2}, []elf.Symbol{f}, nil, "section maps: 8 bytes for 0 maps"},
		{exit, nil, []elf.Symbol{f, {Name: "g", Info: f.Info, Section: 3}}, nil, "two names for one place"},
		{exit, nil, []elf.Symbol{f}, []elf.Rel64{{Info: 1 << 32}}, "expected a call or a 64-bit load"},
		{exit, nil, []elf.Symbol{f}, []elf.Rel64{{Info: 9<<32 | 1}}, "relocation against symbol 9 of 1"},
		{call, nil, []elf.Symbol{f}, nil, "function f calls slot 6, where no function begins"},
		{call, nil, []elf.Symbol{f, {Name: "nowhere", Info: global(elf.STT_NOTYPE)}}, []elf.Rel64{{Info: 2<<32 | 10}}, `call of "nowhere", which is not defined`},
	} {
		_, err := Read("x.o", bytes.NewReader(made(t, binary.LittleEndian, c.code, c.maps, c.syms, c.rels)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, expected %q", err, c.want)
		}
	}
	if _, err := Read("x", strings.NewReader("no ELF")); err == nil || !strings.Contains(err.Error(), "not an ELF file") {
		t.Error(err)
	}
}

// scripted is a program as the script compiler makes one: types of its own,
// lines, and a CO-RE relocation that cilium/ebpf has not seen.
func scripted() *Object {
	u32 := &btf.Int{Name: "unsigned int", Size: 4}
	task := &btf.Struct{Name: "task_struct", Size: 8, Members: []btf.Member{{Name: "tgid", Type: u32, Offset: 32}}}
	key := &btf.Struct{Name: "key", Size: 8, Members: []btf.Member{{Name: "a", Type: u32}, {Name: "b", Type: u32, Offset: 32}}}
	w := isa.Wide(1, 0, 0)
	return &Object{
		Name: "script", ByteOrder: binary.LittleEndian, License: "GPL",
		Maps: []*Map{
			{Name: "counts", Type: abi.MapHash, KeySize: 8, ValueSize: 8, MaxEntries: 10, Key: key},
			{Name: ".rodata", Section: ".rodata", Type: abi.MapArray, KeySize: 4, ValueSize: 16, MaxEntries: 1, Flags: abi.MapRdonlyProg, Frozen: true, Data: make([]byte, 16)},
		},
		Programs: []*Func{{
			Name: "probe_0", Section: "tracepoint/syscalls/sys_enter_write",
			Insns: []isa.Insn{
				w[0], w[1],
				{Op: isa.LoadImm64, Dst: 2}, {},
				{Op: isa.ClassALU64 | isa.Mov, Dst: 3, Imm: 4},
				{Op: isa.ClassALU64 | isa.Mov},
				{Op: isa.ClassJMP | isa.Exit},
			},
			Relocs: []Reloc{{0, RelocMap, "counts", 0}, {2, RelocMapValue, ".rodata", 8}},
			CORE:   []CORERelo{{Insn: 4, Kind: 0, Type: task, Access: "0:0"}},
			Lines:  []Line{{0, "a.gt", 3, 2, "@counts[1] = 2"}},
			BTF: &btf.Func{Name: "probe_0", Linkage: btf.GlobalFunc, Type: &btf.FuncProto{
				Return: &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}, Params: []btf.FuncParam{{Name: "ctx", Type: &btf.Pointer{Target: &btf.Void{}}}},
			}},
			Attach: abi.Attach{Type: abi.Tracepoint, Target: "syscalls/sys_enter_write"},
		}},
	}
}

func TestScriptedThroughELF(t *testing.T) {
	o := scripted()
	b, err := Write(o)
	if err != nil {
		t.Fatal(err)
	}
	got := read(t, b)
	f, g := o.Programs[0], got.Programs[0]
	if d := cmp.Diff(f.Lines, g.Lines) + cmp.Diff(f.Relocs, g.Relocs) + cmp.Diff(f.Attach, g.Attach) + cmp.Diff(f.BTF, g.BTF, sameObject); d != "" {
		t.Error(d)
	}
	if len(g.CORE) != 1 || g.CORE[0].Parsed == nil || g.CORE[0].Access != "0:0" || g.CORE[0].Type.TypeName() != "task_struct" {
		t.Errorf("%+v", g.CORE)
	}
	if m := got.mapByName("counts"); m.Key == nil || m.Key.TypeName() != "key" || m.ValueSize != 8 {
		t.Errorf("%+v", m)
	}
	if len(loadSpec(t, b).Programs) != 1 {
		t.Error("cilium/ebpf sees no program")
	}
}

func TestScriptedLoadsWithLibbpf(t *testing.T) {
	if _, err := exec.LookPath("bpftool"); err != nil || os.Geteuid() != 0 {
		t.Skip("loading with libbpf needs bpftool and root")
	}
	b, err := Write(scripted())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "s.o")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("unshare", "-m", "sh", "-c", loadScript, "sh", file).CombinedOutput()
	if err != nil && strings.Contains(string(out), "ermi") && !strings.Contains(string(out), "libbpf:") {
		t.Skipf("loading into the kernel is not permitted: %s", out)
	}
	if err != nil || !strings.Contains(string(out), "probe_0") {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestWriteErrors(t *testing.T) {
	for _, c := range []struct {
		change func(*Object)
		want   string
	}{
		{func(o *Object) { o.Programs[0].Relocs[0].Symbol = "nothing" }, "no map nothing in this object"},
		{func(o *Object) { o.Programs[0].Relocs[1].Symbol = "counts" }, "which is not global data"},
		{func(o *Object) { o.Programs[0].Relocs[0].Insn = 99 }, "relocation at slot 99 of 7"},
		{func(o *Object) { o.Programs[0].Section = "" }, "expected a name of its own and a section"},
		{func(o *Object) { o.Maps[1].Section = "odd" }, "expected one named .data, .rodata or .bss"},
		{func(o *Object) { o.Programs[0].CORE[0].Type = nil }, "without a type"},
	} {
		o := scripted()
		c.change(o)
		if _, err := Write(o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, expected %q", err, c.want)
		}
	}
	o := scripted()
	o.Programs[0].Relocs[1].Symbol = "counts"
	if _, err := Write(o); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
}
