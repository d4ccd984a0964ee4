package object

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
)

// compile builds testdata/many.c and returns the file's bytes.
func compile(t testing.TB, args ...string) []byte {
	t.Helper()
	clang, err := exec.LookPath("clang-19")
	if err != nil {
		t.Skip("clang-19 is not installed")
	}
	out := filepath.Join(t.TempDir(), "many.o")
	args = append(args, "-O2", "-mcpu=v3", "-c", "testdata/many.c", "-o", out)
	if b, err := exec.Command(clang, args...).CombinedOutput(); err != nil {
		t.Fatalf("clang: %v\n%s", err, b)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// variants are the ways in which the tests build many.c.
var variants = map[string][]string{
	"plain":   {"-g", "-target", "bpf"},
	"core":    {"-g", "-target", "bpf", "-DCORE"},
	"externs": {"-g", "-target", "bpf", "-DCORE", "-DEXTERNS"},
	"big":     {"-g", "-target", "bpfeb", "-DCORE", "-DEXTERNS"},
}

func read(t testing.TB, b []byte) *Object {
	t.Helper()
	o, err := Read("many.o", bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// typeText describes a type by its structure.
func typeText(t btf.Type, depth int) string {
	if f, ok := t.(*btf.Func); t == nil || depth > 6 || ok && f == nil {
		return ""
	}
	d := depth + 1
	s := fmt.Sprintf("%T %s", t, t.TypeName())
	switch t := t.(type) {
	case *btf.Int:
		s += fmt.Sprint(t.Size, t.Encoding)
	case *btf.Pointer:
		s += typeText(t.Target, d)
	case *btf.Array:
		s += fmt.Sprint(t.Nelems) + typeText(t.Type, d)
	case *btf.Struct:
		s += fmt.Sprint(t.Size)
		for _, m := range t.Members {
			s += fmt.Sprint("{", m.Name, m.Offset, m.BitfieldSize, typeText(m.Type, d), "}")
		}
	case *btf.Enum:
		s += fmt.Sprint(t.Size, t.Signed, t.Values)
	case *btf.Typedef:
		s += typeText(t.Type, d)
	case *btf.Const:
		s += typeText(t.Type, d)
	case *btf.Volatile:
		s += typeText(t.Type, d)
	case *btf.Func:
		s += fmt.Sprint(t.Linkage) + typeText(t.Type, d)
	case *btf.FuncProto:
		s += typeText(t.Return, d)
		for _, p := range t.Params {
			s += fmt.Sprint("(", p.Name, typeText(p.Type, d), ")")
		}
	case *btf.Var:
		s += fmt.Sprint(t.Linkage) + typeText(t.Type, d)
	case *btf.Datasec:
		s += fmt.Sprint(t.Size)
		for _, v := range t.Vars {
			s += fmt.Sprint("[", v.Offset, v.Size, typeText(v.Type, d), "]")
		}
	}
	return s
}

var sameObject = cmp.Options{
	cmp.Comparer(func(a, b btf.Type) bool { return typeText(a, 0) == typeText(b, 0) }),
	cmp.Comparer(func(a, b *btf.Spec) bool { return (a == nil) == (b == nil) }),
	// Relocations name types by number, and numbers change.
	cmp.Comparer(func(a, b *btf.CORERelocation) bool {
		x, _, _ := strings.Cut(a.String(), "local_id")
		y, _, _ := strings.Cut(b.String(), "local_id")
		return x == y
	}),
}

func TestWriteReadRoundTrip(t *testing.T) {
	for name, args := range variants {
		t.Run(name, func(t *testing.T) {
			o := read(t, compile(t, args...))
			b, err := Write(o)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(o, read(t, b), sameObject); d != "" {
				t.Error(d)
			}
			again, err := Write(read(t, b))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(o, read(t, again), sameObject); d != "" {
				t.Error("second round:", d)
			}
		})
	}
}

func TestRead(t *testing.T) {
	o := read(t, compile(t, variants["externs"]...))
	var names []string
	for _, f := range append(o.Programs[:len(o.Programs):len(o.Programs)], o.Subprogs...) {
		names = append(names, fmt.Sprintf("%s %s global=%v type=%d", f.Section, f.Name, f.Global, f.Attach.Type))
		if f.BTF == nil || f.BTF.Name != f.Name || len(f.Lines) == 0 {
			t.Errorf("%s: type %v, %d lines", f.Name, f.BTF, len(f.Lines))
		}
	}
	want := []string{
		"tracepoint/syscalls/sys_enter_write second global=false type=5", "tracepoint/syscalls/sys_enter_write first global=false type=5",
		"raw_tp/sys_enter relocated global=false type=17", "tp_btf/sys_enter externs global=false type=26",
		".text global_sub global=true type=0", ".text callback global=false type=0", ".text static_sub global=false type=0",
	}
	if d := cmp.Diff(want, names); d != "" {
		t.Error(d)
	}
	var externs []string
	for _, e := range o.Externs {
		externs = append(externs, fmt.Sprintf("%s %d weak=%v off=%d", e.Name, e.Kind, e.Weak, e.Offset))
	}
	if d := cmp.Diff([]string{
		"CONFIG_SMP 3 weak=true off=4", "LINUX_KERNEL_VERSION 3 weak=false off=0", "weak_sym 2 weak=true off=0",
		"kfunc_one 1 weak=false off=0", "untyped 2 weak=false off=0",
	}, externs); d != "" {
		t.Error(d)
	}
	m := o.mapByName("counts")
	if m == nil || m.Type != abi.MapHash || m.KeySize != 4 || m.ValueSize != 24 || m.Flags != 1 || m.Value.TypeName() != "value" {
		t.Errorf("counts: %+v", m)
	}
	if m := o.mapByName("outer"); m == nil || m.Inner == nil || m.Inner.MaxEntries != 4 || cmp.Diff(m.Entries, []MapEntry{{0, "in1"}, {1, "in2"}}) != "" {
		t.Errorf("outer: %+v", m)
	}
	if m := o.mapByName("jumps"); m == nil || m.Pinning != 1 || cmp.Diff(m.Entries, []MapEntry{{1, "second"}}) != "" {
		t.Errorf("jumps: %+v", m)
	}
	if m := o.mapByName(".rodata"); m == nil || !m.Frozen || !bytes.Equal(m.Data, []byte{100, 0, 0, 0}) {
		t.Errorf(".rodata: %+v", m)
	}
	core := o.function("relocated").CORE
	var relos []string
	for _, c := range core {
		relos = append(relos, fmt.Sprintf("%d %s %s parsed=%v", c.Kind, c.Type.TypeName(), c.Access, c.Parsed != nil))
	}
	if d := cmp.Diff([]string{
		"0 task_struct 0:1 parsed=true", "2 task_struct 0:0 parsed=true", "9 task_struct 0 parsed=true", "6 task_struct 0 parsed=true",
	}, relos); d != "" {
		t.Error(d)
	}
}

// The bits of the code are those of the file, whatever its byte order.
func TestBigEndianSame(t *testing.T) {
	a, b := read(t, compile(t, variants["externs"]...)), read(t, compile(t, variants["big"]...))
	if len(a.Programs) != len(b.Programs) || a.ByteOrder == b.ByteOrder {
		t.Fatalf("%d and %d programs, %v and %v", len(a.Programs), len(b.Programs), a.ByteOrder, b.ByteOrder)
	}
	for i := range a.Programs {
		if d := cmp.Diff(a.Programs[i].Relocs, b.Programs[i].Relocs); d != "" {
			t.Error(d)
		}
	}
	one := a.function("global_sub").Insns
	if d := cmp.Diff(one, b.function("global_sub").Insns); d != "" {
		t.Error(d)
	}
}

func TestReadWithoutBTF(t *testing.T) {
	if _, err := Read("x", bytes.NewReader(compile(t, "-target", "bpf"))); err == nil || !strings.Contains(err.Error(), "compile with -g") {
		t.Errorf("%v, expected advice to compile with -g", err)
	}
}

// What Write makes is disassembled by LLVM as the same text that isa prints.
func TestWriteDisassembles(t *testing.T) {
	objdump, err := exec.LookPath("llvm-objdump-19")
	if err != nil {
		t.Skip("llvm-objdump-19 is not installed")
	}
	b, err := Write(read(t, compile(t, variants["plain"]...)))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "x.o")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(objdump, "-d", "-r", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"<first>:", "<static_sub>:", "R_BPF_64_64\tcounts", "R_BPF_64_32\tglobal_sub", "R_BPF_64_64\t.data", "lock *(u64 *)(r0 + 0x0) += r1"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestWriteForCilium(t *testing.T) {
	b, err := Write(read(t, compile(t, variants["core"]...)))
	if err != nil {
		t.Fatal(err)
	}
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if len(spec.Programs) != 3 || len(spec.Maps) != 9 || spec.Variables["total"] == nil || spec.Programs["first"].License != "GPL" {
		t.Errorf("programs %v, maps %v", spec.Programs, spec.Maps)
	}
}

// A text written as ELF and read again is the same.
func TestAsmThroughELF(t *testing.T) {
	o := parse(t, asmSample)
	b, err := Write(o)
	if err != nil {
		t.Fatal(err)
	}
	got := read(t, b)
	for _, f := range o.Programs {
		g := got.function(f.Name)
		if g == nil || cmp.Diff(f.Relocs, g.Relocs) != "" || len(f.Insns) != len(g.Insns) || f.Attach != g.Attach {
			t.Errorf("%s: %+v\n%+v", f.Name, f, g)
		}
	}
	if g := got.mapByName(".rodata"); g == nil || string(g.Data) != "hi\x00\x01\xff\x00\x00\x00" {
		t.Errorf(".rodata: %+v", g)
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"plain", "externs", "big"} {
		f.Add(compile(f, variants[name]...))
	}
	o, err := ParseAsm("seed", asmSample)
	if err != nil {
		f.Fatal(err)
	}
	if b, err := Write(o); err == nil {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := Read("fuzz", bytes.NewReader(b))
		if err != nil {
			return
		}
		for _, p := range o.Programs {
			_ = isa.Listing(p.Insns)
		}
		_ = FormatAsm(o)
		if w, err := Write(o); err == nil {
			if _, err := Read("again", bytes.NewReader(w)); err != nil {
				t.Skip(err)
			}
		}
	})
}
