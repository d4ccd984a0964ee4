package gtrace_test

// check for kernels that are not the running one.

import (
	bin "encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	gt "github.com/gtrace-dev/gtrace"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/internal/testkit"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify"
)

// versionedBPF has programs that not every kernel takes, and one that the
// kernel's configuration decides about.
const versionedBPF = `
typedef unsigned int u32; typedef unsigned long long u64; typedef _Bool bool;
#define SEC(n) __attribute__((section(n), used))
static u64 (*tai)(void) = (void *)208;
static u64 (*current_task)(void) = (void *)35;
static void *(*lookup)(void *map, const void *key) = (void *)1;
struct { int (*type)[1]; u32 *key; u64 *value; int (*max_entries)[16]; } counts SEC(".maps");
char _license[] SEC("license") = "GPL";
extern bool CONFIG_BPF_JIT __attribute__((section(".kconfig"), weak));

SEC("socket") int any(void *ctx) { return 0; }
SEC("socket") int late(void *ctx) { return tai(); }
SEC("raw_tp/x") int task(void *ctx) { char b[8]; b[0] = current_task(); return b[0]; }
SEC("netfilter") int newtype(void *ctx) { return 1; }
SEC("socket") int configured(void *ctx)
{
	u32 key = 0;
	u64 *n = lookup(&counts, &key);
	if (CONFIG_BPF_JIT)
		return *n;
	return 0;
}
`

func compileVersioned(t *testing.T) string {
	t.Helper()
	testkit.RequireTool(t, "clang-19")
	dir := t.TempDir()
	src, obj := filepath.Join(dir, "v.bpf.c"), filepath.Join(dir, "v.bpf.o")
	write(t, src, versionedBPF)
	if out, err := exec.Command("clang-19", "-g", "-O2", "-target", "bpf", "-mcpu=v3", "-c", src, "-o", obj).CombinedOutput(); err != nil {
		t.Fatalf("clang-19: %v\n%s", err, out)
	}
	return obj
}

func TestCheckMatrix(t *testing.T) {
	obj := compileVersioned(t)
	r := gtrace(t, "check", "--target", "5.10,6.1,6.18", obj)
	r.want(t, 2, "helper bpf_ktime_get_tai_ns came with Linux 6.1", "--config FILE")
	cells := map[string]string{}
	for line := range strings.Lines(r.stdout) {
		if w := strings.Fields(line); len(w) > 1 && w[1] != "on" {
			cells[w[0]] = strings.Join(w[1:], " ")
		}
	}
	for program, want := range map[string]string{
		"5.10": "6.1 6.18", "any": "accept accept accept", "late": "since 6.1 accept accept", "task": "accept accept accept",
		"newtype": "since 6.4 since 6.4 accept", "configured": "unsupported unsupported unsupported",
	} {
		if cells[program] != want {
			t.Errorf("%s: %q, want %q", program, cells[program], want)
		}
	}
	lines := strings.Split(strings.TrimSpace(gtrace(t, "check", "-f", "json", "--target", "5.10,6.18", obj).stdout), "\n")
	if len(lines) != 10 {
		t.Fatalf("%d lines, want one a program and target", len(lines))
	}
	for _, line := range lines {
		var v gt.Verdict
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		if v.License != "GPL" {
			t.Errorf("license %q", v.License)
		}
		switch {
		case v.Program == "late" && v.Target == "5.10" && (v.Verdict != gt.Unsupported || v.Since != "6.1"):
			t.Errorf("late: %s", line)
		case v.Program == "task" && (len(v.GPLOnlyCalls) != 1 || v.GPLOnlyCalls[0] != "bpf_get_current_task"):
			t.Errorf("task: %s", line)
		}
	}
	gtrace(t, "check", "--target", "4.9", obj).want(t, 2, "5.4 to 6.18")
	gtrace(t, "check", "--target", "x", obj).want(t, 2, "kernel release")
}

// One object, two configurations: another branch is verified, the dead one not looked at.
func TestCheckConfig(t *testing.T) {
	obj := compileVersioned(t)
	on, off := filepath.Join(t.TempDir(), "on"), filepath.Join(t.TempDir(), "off")
	title := "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 6.1.112 Kernel Configuration\n#\n"
	write(t, on, title+"CONFIG_BPF_JIT=y\n")
	write(t, off, title+"# CONFIG_BPF_JIT is not set\nCONFIG_BPF=y\n")
	spec := func(file string, want string) {
		t.Helper()
		r := gtrace(t, "check", "-f", "json", "--config", file, obj)
		for line := range strings.Lines(r.stdout) {
			var v gt.Verdict
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Fatal(err)
			}
			if v.Program != "configured" {
				continue
			}
			if got := v.Verdict + " " + v.Code; got != want || !strings.HasPrefix(v.Target, "6.1.112 (configuration of ") {
				t.Errorf("%s on %s: %s, want %s", got, v.Target, v.Message, want)
			}
		}
	}
	spec(on, "reject nullable-deref")
	spec(off, "accept ")
	gtrace(t, "check", "--target", "6.1,6.6", "--config", on, obj).want(t, 2, "belong to one target")
	gtrace(t, "check", "--config", obj, obj).want(t, 2, "no CONFIG_ values")
}

// What a Go user gets: verdicts with errors that errors.As takes apart.
func TestCheckErrors(t *testing.T) {
	spec, err := ebpf.LoadCollectionSpec(compileBPF(t))
	if err != nil {
		t.Fatal(err)
	}
	o := gt.CheckOptions{Targets: []string{"5.15", "6.12"}, Programs: []string{"bad"}}
	verdicts, err := gt.Check(t.Context(), spec, o)
	if err != nil || len(verdicts) != 2 {
		t.Fatalf("%d verdicts, error %v", len(verdicts), err)
	}
	for _, v := range verdicts {
		var r *verify.Rejection
		if !errors.As(v.Err, &r) || r.Fault.Code() != v.Code {
			t.Errorf("%s: error %v", v.Target, v.Err)
		}
	}
	if _, err := gt.Check(t.Context(), spec, gt.CheckOptions{Programs: []string{"nope"}}); err == nil || !strings.Contains(err.Error(), "nope") {
		t.Errorf("unknown program: error %v", err)
	}
	spec.Programs = map[string]*ebpf.ProgramSpec{"good": spec.Programs["good"]}
	spec.Programs["good"].Type, spec.Programs["good"].AttachType = ebpf.Netfilter, ebpf.AttachNetfilter
	verdicts, err = gt.Check(t.Context(), spec, gt.CheckOptions{Targets: []string{"5.15"}})
	var u *image.Unsupported
	if err != nil || len(verdicts) != 1 || !errors.As(verdicts[0].Err, &u) || verdicts[0].Since != "6.4" {
		t.Errorf("verdicts %+v, error %v", verdicts, err)
	}
}

// Debian's gcc for BPF: its objects are judged as clang's are.
func TestCheckGCC(t *testing.T) {
	testkit.RequireTool(t, "bpf-gcc")
	src, obj := filepath.Join(t.TempDir(), "a.c"), filepath.Join(t.TempDir(), "a.bpf.o")
	text := strings.NewReplacer(
		"static u64 (*get_pid_tgid)(void) = (void *)14;", "u64 get_pid_tgid(void) __attribute__((kernel_helper(14)));",
		"static void *(*lookup)(void *map, const void *key) = (void *)1;", "void *lookup(void *map, const void *key) __attribute__((kernel_helper(1)));",
	).Replace(plainBPF)
	write(t, src, text)
	if out, err := exec.Command("bpf-gcc", "-O2", "-gbtf", "-c", src, "-o", obj).CombinedOutput(); err != nil {
		t.Fatalf("bpf-gcc: %v\n%s", err, out)
	}
	gtrace(t, "check", obj).want(t, 1, "good: accept", "bad: reject", "nullable-deref")
}

// A program of more instructions than any kernel takes is told so, in time.
func TestMillionInstructions(t *testing.T) {
	for n, want := range map[int]string{1_100_000: "more than 1000000 instructions", 999_999: ""} {
		f := &object.Func{Name: "p", Section: "socket", Attach: abi.Attach{Type: abi.SocketFilter}}
		f.Insns = make([]isa.Insn, n)
		for i := range f.Insns {
			f.Insns[i] = isa.Insn{Op: isa.ClassALU64 | isa.Mov}
		}
		f.Insns[n-1] = isa.Insn{Op: isa.ClassJMP | isa.Exit}
		raw, err := object.Write(&object.Object{Name: "m.o", ByteOrder: bin.LittleEndian, License: "GPL", Programs: []*object.Func{f}})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "m.o")
		if err := os.WriteFile(file, raw, 0o666); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		r := gtrace(t, "check", file)
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%d instructions: %v", n, took)
		}
		if want == "" {
			r.want(t, 0, "accept")
		} else if r.want(t, 2); !strings.Contains(r.stdout, want) {
			t.Errorf("%d instructions: %s", n, r.stdout)
		}
	}
}

// One object, two kernels' types: the field sits at 12 in one and at 8 in the
// other, where another field is no pointer to be followed.
func TestCheckTypes(t *testing.T) {
	testkit.RequireTool(t, "clang-19")
	dir := t.TempDir()
	compile := func(name, text string) string {
		src, obj := filepath.Join(dir, name+".c"), filepath.Join(dir, name+".o")
		write(t, src, text)
		if out, err := exec.Command("clang-19", "-g", "-O2", "-target", "bpf", "-mcpu=v3", "-c", src, "-o", obj).CombinedOutput(); err != nil {
			t.Fatalf("clang-19: %v\n%s", err, out)
		}
		return obj
	}
	prog := compile("p", `
struct thing { struct thing *next; int id; } __attribute__((preserve_access_index));
#define SEC(n) __attribute__((section(n), used))
SEC("tp_btf/ev") int follow(unsigned long long *ctx) { return ((struct thing *)ctx[0])->next->id; }
char _license[] SEC("license") = "GPL";
`)
	const event = "typedef void (*btf_trace_ev)(void *, struct thing *); btf_trace_ev keep;\n"
	at8 := compile("k8", "struct thing { long a; struct thing *next; int id; };\n"+event)
	at16 := compile("k16", "struct thing { long a, b; struct thing *next; int c, id; };\n"+event)
	gone := compile("gone", "struct thing { long a, b; struct thing *other; int id; };\n"+event)
	r := gtrace(t, "check", "--target", "6.1="+at8+",6.6="+at16+",6.12="+gone, prog)
	r.want(t, 1, "accept  accept  reject core-poison", "next")
}
