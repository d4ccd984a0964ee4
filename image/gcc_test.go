package image

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
)

// What GNU as 2.40 and gcc 12 write for BPF: no line information, relocations
// against sections with the addend in the instruction, CO-RE offsets that a
// relocation section names again.
const gccSource = `
typedef unsigned int u32; typedef unsigned long long u64;
#define SEC(n) __attribute__((section(n), used))
u64 get_pid_tgid(void) __attribute__((kernel_helper(14)));
void *lookup(void *map, const void *key) __attribute__((kernel_helper(1)));
struct { int (*type)[1]; u32 *key; u64 *value; int (*max_entries)[16]; } first SEC(".maps");
struct { int (*type)[2]; u32 *key; u64 *value; int (*max_entries)[4]; } second SEC(".maps");
char _license[] SEC("license") = "GPL";
static u32 zeros[8], ones[4] = {1, 1, 1, 1};
static __attribute__((noinline)) u64 f1(u64 x) { return x * 3 + get_pid_tgid(); }
static __attribute__((noinline)) u64 f2(u64 x) { return f1(x) + f1(x + 1); }
SEC("raw_tp/x") int globals(void *ctx)
{
	u32 key = get_pid_tgid();
	u64 *n = lookup(&second, &key);
	if (n)
		*n += f2(key);
	zeros[5] += ones[2];
	ones[3]++;
	return f1(2);
}
struct task_struct { int pid; } __attribute__((preserve_access_index));
SEC("tp_btf/sched_process_exec") int core(u64 *ctx) { struct task_struct *t = (void *)ctx[0]; return t->pid; }
`

func TestGCC(t *testing.T) {
	gcc, err := exec.LookPath("bpf-gcc")
	if err != nil {
		t.Skip("skipped: no bpf-gcc (Debian package gcc-bpf)")
	}
	src, obj := filepath.Join(t.TempDir(), "t.c"), filepath.Join(t.TempDir(), "t.o")
	if err := os.WriteFile(src, []byte(gccSource), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(gcc, "-O2", "-gbtf", "-mco-re", "-c", src, "-o", obj).CombinedOutput(); err != nil {
		t.Fatalf("bpf-gcc: %v\n%s", err, out)
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
	img, err := Build(o, "globals", noBTF(t))
	if err != nil {
		t.Fatal(err)
	}
	refs := map[string]bool{}
	for i, in := range img.Insns {
		if !in.IsWide() {
			continue
		}
		m := img.Maps[in.Imm]
		refs[m.Name] = true
		if off := img.Insns[i+1].Imm; m.Section != "" && off >= int32(m.ValueSize) {
			t.Errorf("instruction %d refers to byte %d of %s", i, off, m.Name)
		}
	}
	if len(img.Subprogs) != 3 || !refs["second"] || !refs[".bss"] || !refs[".data"] || refs["first"] {
		t.Errorf("%d functions, maps %v", len(img.Subprogs), refs)
	}
	target := running(t)
	spec, _ := target.BTF()
	if img, err = Build(o, "core", target); err != nil {
		t.Fatal(err)
	}
	want, found := offsetOf(t, spec, "task_struct", "pid"), false
	for _, in := range img.Insns {
		found = found || in.Class() == isa.ClassLDX && in.Bytes() == 4 && in.Off == want
	}
	if !found {
		t.Errorf("no load at %d: %v", want, img.Insns)
	}
}
