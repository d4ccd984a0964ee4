package image

import (
	"bytes"
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
	"github.com/gtrace-dev/gtrace/object"
)

var (
	exit = isa.Insn{Op: isa.ClassJMP | isa.Exit}
	mov0 = isa.Insn{Op: isa.ClassALU64 | isa.Mov, Dst: 0}
	call = isa.Insn{Op: isa.ClassJMP | isa.Call, Src: isa.CallLocal, Imm: -1}
)

func wide(dst isa.Reg, tail ...isa.Insn) []isa.Insn {
	w := isa.Wide(dst, 0, 0)
	return append(w[:], tail...)
}

// noBTF is a target that must not be asked for types.
func noBTF(t *testing.T) *Target {
	return &Target{Name: "test", Version: abi.V(6, 18), Release: "6.18.44-x", Arch: "amd64", BTF: func() (*btf.Spec, error) {
		t.Error("BTF was asked for, but nothing needs it")
		return nil, errors.New("no BTF")
	}}
}

func TestLink(t *testing.T) {
	counts := &object.Map{Name: "counts", Type: abi.MapHash, KeySize: 4, ValueSize: 8, MaxEntries: 8}
	data := &object.Map{Name: ".data", Section: ".data", Type: abi.MapArray, KeySize: 4, ValueSize: 16, MaxEntries: 1}
	o := &object.Object{
		Name: "t.o", ByteOrder: binary.LittleEndian, License: "GPL", Maps: []*object.Map{data, counts},
		Programs: []*object.Func{{
			Name: "prog", Section: "raw_tp", Insns: append(append(append(wide(1), wide(2, call)...), wide(3, call)...), exit),
			Relocs: []object.Reloc{
				{Insn: 0, Kind: object.RelocMap, Symbol: "counts"}, {Insn: 2, Kind: object.RelocMapValue, Symbol: ".data", Addend: 8},
				{Insn: 4, Kind: object.RelocCall, Symbol: "second"}, {Insn: 5, Kind: object.RelocFuncAddr, Symbol: "first"},
				{Insn: 7, Kind: object.RelocCall, Symbol: "first"},
			},
			Lines: []object.Line{{Insn: 0, Line: 1}, {Insn: 4, Line: 2}},
		}},
		Subprogs: []*object.Func{
			{Name: "first", Insns: append(wide(1, call), exit), Lines: []object.Line{{Insn: 0, Line: 9}}, Global: true,
				Relocs: []object.Reloc{{Insn: 0, Kind: object.RelocMap, Symbol: "counts"}, {Insn: 2, Kind: object.RelocCall, Symbol: "second"}}},
			{Name: "second", Insns: []isa.Insn{mov0, exit}, Lines: []object.Line{{Insn: 1, Line: 20}}},
			{Name: "unused", Insns: []isa.Insn{exit}},
		},
	}
	img, err := Build(o, "prog", noBTF(t))
	if err != nil {
		t.Fatal(err)
	}
	// prog 0…8, second 9…10, first 11…14
	w := func(dst, pseudo isa.Reg, lo, hi int32) []isa.Insn {
		return []isa.Insn{{Op: isa.LoadImm64, Dst: dst, Src: pseudo, Imm: lo}, {Imm: hi}}
	}
	c := func(rel int32) isa.Insn { i := call; i.Imm = rel; return i }
	var want []isa.Insn
	want = append(want, w(1, isa.PseudoMapIdx, 0, 0)...)
	want = append(want, w(2, isa.PseudoMapIdxValue, 1, 8)...)
	want = append(want, c(9-5))
	want = append(want, w(3, isa.PseudoFunc, 11-6, 0)...)
	want = append(want, c(11-8), exit, mov0, exit)
	want = append(want, w(1, isa.PseudoMapIdx, 0, 0)...)
	want = append(want, c(9-14), exit)
	if d := cmp.Diff(want, img.Insns); d != "" {
		t.Errorf("instructions (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]Subprog{{Start: 0, Name: "prog"}, {Start: 9, Name: "second"}, {Start: 11, Name: "first", Global: true}}, img.Subprogs); d != "" {
		t.Errorf("subprograms:\n%s", d)
	}
	if d := cmp.Diff([]object.Line{{Insn: 0, Line: 1}, {Insn: 4, Line: 2}, {Insn: 10, Line: 20}, {Insn: 11, Line: 9}}, img.Lines); d != "" {
		t.Errorf("lines:\n%s", d)
	}
	if len(img.Maps) != 2 || img.Maps[0] != counts || img.Maps[1] != data || img.Attach.Type != abi.RawTracepoint || img.License != "GPL" {
		t.Errorf("image: %+v", img)
	}
	if o.Programs[0].Insns[4] != call {
		t.Error("Build changed the object")
	}
}

func one(insns []isa.Insn, relocs ...object.Reloc) *object.Object {
	return &object.Object{Name: "t.o", ByteOrder: binary.LittleEndian,
		Programs: []*object.Func{{Name: "p", Section: "raw_tp", Insns: insns, Relocs: relocs}}}
}

// config is an object whose program refers to a configuration value, behind
// another one that it does not refer to and no target has.
func config(name string, typ btf.Type, weak bool) *object.Object {
	o := one(append(wide(1), exit), object.Reloc{Kind: object.RelocMapValue, Symbol: kconfigName, Addend: 4})
	o.Externs = []object.Extern{
		{Name: "CONFIG_UNUSED", Kind: object.ExternKconfig, Type: &btf.Int{Size: 4}},
		{Name: name, Kind: object.ExternKconfig, Type: typ, Weak: weak, Offset: 4},
	}
	o.Maps = []*object.Map{{Name: kconfigName, Section: kconfigName, Type: abi.MapArray, KeySize: 4, ValueSize: 8, MaxEntries: 1}}
	return o
}

// withMap is a program that loads map m.
func withMap(m *object.Map) *object.Object {
	o := one(append(wide(1), exit), object.Reloc{Kind: object.RelocMap, Symbol: m.Name})
	o.Maps = []*object.Map{m}
	return o
}

func TestErrors(t *testing.T) {
	far := append(wide(1), exit)
	big := one([]isa.Insn{exit})
	big.ByteOrder = binary.BigEndian
	sect := one([]isa.Insn{exit})
	sect.Programs[0].Section = "nonsense/x"
	conf := config("CONFIG_NOPE", &btf.Int{Size: 4}, false)
	for _, c := range []struct {
		name        string
		o           *object.Object
		want        string
		unsupported bool
	}{
		{"map", one(far, object.Reloc{Kind: object.RelocMap, Symbol: "m"}), `map "m" is not in the object`, false},
		{"function", one([]isa.Insn{call, exit}, object.Reloc{Kind: object.RelocCall, Symbol: "f"}), `refers to function "f"`, false},
		{"not a load", one([]isa.Insn{mov0, exit}, object.Reloc{Kind: object.RelocMap, Symbol: "m"}), "no 64-bit load", false},
		{"cut load", one(wide(1)[:1], object.Reloc{Kind: object.RelocMap, Symbol: "m"}), "no 64-bit load", false},
		{"outside", one([]isa.Insn{exit}, object.Reloc{Insn: 7, Kind: object.RelocMap}), "relocation at instruction 7 of 1", false},
		{"map by number", one(append([]isa.Insn{{Op: isa.LoadImm64, Dst: 1, Src: isa.PseudoMapIdx, Imm: 3}, {}}, exit)), "loads map 3, which no relocation names", false},
		{"empty", one(nil), "no instructions", false},
		{"big-endian", big, "big-endian", true},
		{"section", sect, "names no program type", true},
		{"pseudo-kfunc", one([]isa.Insn{call, exit}, object.Reloc{Kind: object.RelocKfunc, Symbol: "gtrace_fault"}), "gtrace_fault on the kernel", true},
		{"untyped ksym", one(far, object.Reloc{Kind: object.RelocKsym, Symbol: "jiffies"}), "no type", true},
		{"config", conf, "CONFIG_NOPE", true},
		{"map definition", withMap(&object.Map{Name: "m", Type: abi.MapArray, KeySize: 8, ValueSize: 8, MaxEntries: 1}), "would not make it: keys of 8 bytes", false},
	} {
		_, err := Build(c.o, "p", noBTF(t))
		var u *Unsupported
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.As(err, &u) != c.unsupported {
			t.Errorf("%s: error %v, want %q (unsupported: %v)", c.name, err, c.want, c.unsupported)
		}
	}
	if _, err := Build(one([]isa.Insn{exit}), "q", noBTF(t)); err == nil || !strings.Contains(err.Error(), `no program "q"; it has p`) {
		t.Errorf("unknown program: %v", err)
	}
}

func TestPseudoKfunc(t *testing.T) {
	target := noBTF(t)
	target.Engine = EngineUser
	img, err := Build(one([]isa.Insn{call, exit}, object.Reloc{Kind: object.RelocKfunc, Symbol: "gtrace_fault"}), "p", target)
	if err != nil {
		t.Fatal(err)
	}
	if want := (isa.Insn{Op: isa.ClassJMP | isa.Call, Src: isa.CallKfunc, Imm: abi.KfuncFault}); img.Insns[0] != want {
		t.Errorf("call is %+v, want %+v", img.Insns[0], want)
	}
}

func TestKconfig(t *testing.T) {
	u32, char := &btf.Int{Name: "unsigned int", Size: 4}, &btf.Int{Name: "char", Size: 1, Encoding: btf.Char}
	target := noBTF(t)
	target.Config = map[string]string{"CONFIG_HZ": "250", "CONFIG_BPF": "y", "CONFIG_M": "m", "CONFIG_N": `"ab"`, "CONFIG_BIG": "0x100000000"}
	types := map[string]btf.Type{
		"CONFIG_HZ": u32, "CONFIG_BPF": &btf.Int{Name: "_Bool", Size: 1, Encoding: btf.Bool}, "CONFIG_M": char,
		"CONFIG_N": &btf.Array{Type: char, Nelems: 4}, "LINUX_KERNEL_VERSION": u32, "CONFIG_WEAK": u32, "CONFIG_BIG": u32,
	}
	want := map[string][]byte{
		"CONFIG_HZ": {250, 0, 0, 0}, "CONFIG_BPF": {1}, "CONFIG_M": {'m'}, "CONFIG_N": {'a', 'b', 0, 0},
		"LINUX_KERNEL_VERSION": {44, 18, 6, 0}, "CONFIG_WEAK": {0, 0, 0, 0}, "CONFIG_BIG": nil,
	}
	for name, typ := range types {
		img, err := Build(config(name, typ, name == "CONFIG_WEAK"), "p", target)
		if want[name] == nil {
			if err == nil || !strings.Contains(err.Error(), "does not fit 4 bytes") {
				t.Errorf("%s: error %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if m := img.Maps[0]; !bytes.Equal(m.Data[4:4+len(want[name])], want[name]) || !m.Frozen || img.Insns[0].Src != isa.PseudoMapIdxValue {
			t.Errorf("%s: data %v, want %v", name, m.Data, want[name])
		}
	}
}

func running(t *testing.T) *Target {
	t.Helper()
	target, err := Running()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := target.BTF(); err != nil {
		t.Skip("skipped: the running kernel has no BTF:", err)
	}
	return target
}

func TestTracepointContext(t *testing.T) {
	target := running(t)
	o := one([]isa.Insn{mov0, exit})
	o.Programs[0].Section = "tp_btf/sched_process_exec"
	img, err := Build(o, "p", target)
	if err != nil {
		t.Fatal(err)
	}
	if img.Ctx == nil || len(img.Ctx.Params) != 3 {
		t.Fatalf("context %+v", img.Ctx)
	}
	if p, ok := img.Ctx.Params[0].Type.(*btf.Pointer); !ok || p.Target.TypeName() != "task_struct" {
		t.Errorf("first argument is %v, want a pointer to task_struct", img.Ctx.Params[0].Type)
	}
	o.Programs[0].Section = "tp_btf/no_such_event"
	var u *Unsupported
	if _, err := Build(o, "p", target); !errors.As(err, &u) {
		t.Errorf("unknown tracepoint: %v", err)
	}
	o.Programs[0].Section = "tp_btf"
	if _, err := Build(o, "p", target); err == nil {
		t.Error("a tp_btf program without a target was built")
	}
}

const coreSource = `
struct task_struct { int tgid; int pid; int no_such_field; } __attribute__((preserve_access_index));
struct pid___small { short level; } __attribute__((preserve_access_index));
#define SEC(n) __attribute__((section(n), used))
SEC("tp_btf/sched_process_exec") int offsets(unsigned long long *ctx) {
	struct task_struct *t = (void *)ctx[0];
	return t->pid + t->tgid;
}
SEC("tp_btf/sched_process_exec") int missing(unsigned long long *ctx) {
	struct task_struct *t = (void *)ctx[0];
	return t->no_such_field;
}
SEC("tp_btf/sched_process_exec") int exists(unsigned long long *ctx) {
	struct task_struct *t = (void *)ctx[0];
	return __builtin_preserve_field_info(t->no_such_field, 2) + 16 * __builtin_preserve_field_info(t->pid, 2);
}
SEC("tp_btf/sched_process_exec") int size(unsigned long long *ctx) {
	struct pid___small *t = (void *)ctx[0];
	return t->level;
}
char _license[] SEC("license") = "GPL";
`

// compiled builds source with clang.
func compiled(t *testing.T, source string) *object.Object {
	t.Helper()
	clang, err := exec.LookPath("clang-19")
	if err != nil {
		t.Skip("skipped: no clang-19")
	}
	dir := t.TempDir()
	src, obj := filepath.Join(dir, "t.c"), filepath.Join(dir, "t.o")
	if err := os.WriteFile(src, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(clang, "-g", "-O2", "-mcpu=v3", "-target", "bpf", "-c", src, "-o", obj).CombinedOutput(); err != nil {
		t.Fatalf("clang: %v\n%s", err, out)
	}
	f, err := os.Open(obj)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	o, err := object.Read("t.o", f)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func offsetOf(t *testing.T, spec *btf.Spec, name, field string) int16 {
	t.Helper()
	var s *btf.Struct
	if err := spec.TypeByName(name, &s); err != nil {
		t.Fatal(err)
	}
	for _, m := range s.Members {
		if m.Name == field {
			return int16(m.Offset.Bytes())
		}
	}
	t.Fatalf("no %s.%s", name, field)
	return 0
}

func TestCORE(t *testing.T) {
	target := running(t)
	o := compiled(t, coreSource)
	spec, _ := target.BTF()
	build := func(p string) *Image {
		t.Helper()
		img, err := Build(o, p, target)
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	got := map[int16]bool{}
	for _, in := range build("offsets").Insns {
		if in.Class() == isa.ClassLDX && in.Bytes() == 4 {
			got[in.Off] = true
		}
	}
	want := map[int16]bool{offsetOf(t, spec, "task_struct", "pid"): true, offsetOf(t, spec, "task_struct", "tgid"): true}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("offsets:\n%s", d)
	}
	for p, relo := range map[string]string{"missing": "field_byte_offset struct task_struct.no_such_field", "size": "field_byte_offset struct pid___small.level"} {
		img := build(p)
		if len(img.Poison) != 1 {
			t.Fatalf("%s: poison %+v", p, img.Poison)
		}
		for at, poison := range img.Poison {
			if poison.Relo != relo || poison.Reason == "" {
				t.Errorf("%s: poison %+v, want %q", p, poison, relo)
			}
			if in := img.Insns[at]; !in.IsCall() || in.Imm != poisonedCall {
				t.Errorf("%s: instruction %v", p, in)
			}
		}
	}
	if img := build("exists"); len(img.Poison) != 0 {
		t.Errorf("exists: poison %+v", img.Poison)
	}
}

// Relocations without their parsed form, as the script compiler makes them,
// are left alone for the target that the offsets are of, and are applied
// through ELF for every other.
func TestCOREUnparsed(t *testing.T) {
	target := running(t)
	spec, _ := target.BTF()
	want, err := Build(compiled(t, coreSource), "offsets", target)
	if err != nil {
		t.Fatal(err)
	}
	o := compiled(t, coreSource)
	plain := find(o.Programs, "offsets").Insns
	for _, f := range o.Programs {
		for i := range f.CORE {
			f.CORE[i].Parsed = nil
		}
	}
	got, err := Build(o, "offsets", target)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want.Insns, got.Insns); d != "" {
		t.Errorf("for another target (-want +got):\n%s", d)
	}
	o.TargetBTF = spec
	if got, err = Build(o, "offsets", target); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(plain, got.Insns); d != "" {
		t.Errorf("for the very target (-want +got):\n%s", d)
	}
}
