package kernel

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gtrace-dev/gtrace/engine"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/place"
)

// What clang emits for globals, subprograms, callbacks, externs, kfuncs and CO-RE.
const clangSource = `
#define SEC(n) __attribute__((section(n), used))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name
typedef unsigned int u32;
typedef unsigned long long u64;
static void *(*lookup)(void *, const void *) = (void *)1;
static u64 (*pid_tgid)(void) = (void *)14;
static long (*output)(void *, void *, u64, u64) = (void *)130;
static long (*loop)(u32, void *, void *, u64) = (void *)181;
struct task_struct { int tgid; } __attribute__((preserve_access_index));
struct rq;
extern u32 LINUX_KERNEL_VERSION SEC(".kconfig");
extern int CONFIG_NOT_THERE SEC(".kconfig") __attribute__((weak));
extern const struct rq no_such_variable SEC(".ksyms") __attribute__((weak));
extern void bpf_rcu_read_lock(void) SEC(".ksyms") __attribute__((weak));
extern void bpf_rcu_read_unlock(void) SEC(".ksyms") __attribute__((weak));
extern void no_such_kfunc(void) SEC(".ksyms") __attribute__((weak));
struct { __uint(type, 27); __uint(max_entries, 4096); } gtrace_events SEC(".maps");
struct { __uint(type, 1); __uint(max_entries, 8); __type(key, u64); __type(value, u64); } h SEC(".maps");
u64 counter = 100;
const volatile u64 want = 0;
static long add(u32 i, u64 *sum) { *sum += i; return 0; }
__attribute__((noinline)) u64 global_twice(u64 x) { return x * 2 + counter; }
SEC("tp_btf/sched_process_exec") int prog(u64 *ctx) {
	struct task_struct *t = (void *)ctx[0];
	u64 rec[4] = {0}, sum = 0, key = 5;
	if (t->tgid != pid_tgid() >> 32 || t->tgid != want)
		return 0;
	loop(5, add, &sum, 0);
	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	if (no_such_kfunc)
		no_such_kfunc();
	if (CONFIG_NOT_THERE)
		return 0;
	if (&no_such_variable || lookup(&h, &key))
		return 0;
	counter++;
	rec[0] = sum; rec[1] = global_twice(sum); rec[2] = LINUX_KERNEL_VERSION >> 8;
	output(&gtrace_events, rec, sizeof rec, 0);
	return 0;
}
char _license[] SEC("license") = "GPL";
`

// An object of clang's goes all the way, and computes what it should.
func TestClangObject(t *testing.T) {
	permitted(t)
	clang, err := exec.LookPath("clang-19")
	if err != nil {
		t.Skip("skipped: no clang-19")
	}
	dir := t.TempDir()
	src, obj := filepath.Join(dir, "t.c"), filepath.Join(dir, "t.o")
	if err := os.WriteFile(src, []byte(clangSource), 0o644); err != nil {
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
	cmd := child(t, "/bin/sh", "-c", "exec /bin/true")
	for _, m := range o.Maps {
		if m.Name == ".rodata" {
			pid := uint64(cmd.PID())
			for i := range 8 {
				m.Data[i] = byte(pid >> (8 * i))
			}
		}
	}
	target, err := image.Running()
	if err != nil {
		t.Fatal(err)
	}
	img, err := image.Build(o, "prog", target)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, []bind{{img, place.Place{Kind: place.RawTracepoint, Event: "sched_process_exec"}}}, engine.Target{Command: cmd}, Options{})
	got := collect(t, s)
	if len(got) != 1 {
		t.Fatalf("records %v, want one", got)
	}
	if r := got[0]; r[0] != 10 || r[1] != 20+101 || r[2] != uint64(target.Version>>8) {
		t.Errorf("record %v, want sum 10, 121, version %d", r, target.Version>>8)
	}
	if info, err := debugInfo(img); err != nil {
		t.Errorf("debug information: %v", err)
	} else {
		if len(info.lines) == 0 || len(info.funcs) != len(img.Subprogs)*funcRecord {
			t.Errorf("%d bytes of lines, %d of functions", len(info.lines), len(info.funcs))
		}
		info.Close()
	}
}
