package verify_test

// Damaged and hostile objects and kernel types: every door from a file to a
// verdict ends with a verdict or a clear error, in bounded time and memory.

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify"
)

// richBPF has something of everything that is read from an object.
const richBPF = `
typedef unsigned int u32; typedef unsigned long long u64; typedef _Bool bool;
#define SEC(n) __attribute__((section(n), used))
#define KSYM __attribute__((section(".ksyms"), weak))
static void *(*lookup)(void *map, const void *key) = (void *)1;
static long (*loop)(u32 n, void *fn, void *ctx, u64 flags) = (void *)181;
struct node { struct node *next; union { u32 a; struct { u32 b; u64 c[2]; } d; }; } __attribute__((preserve_access_index));
struct in { int (*type)[2]; u32 *key; struct node *value; int (*max_entries)[4]; } inner1 SEC(".maps");
struct { int (*type)[12]; u32 *key; int (*max_entries)[2]; struct in *values[]; } outer SEC(".maps") = {.values = {&inner1}};
struct { int (*type)[1]; u32 *key; u64 *value; int (*max_entries)[16]; } counts SEC(".maps");
extern int CONFIG_HZ __attribute__((section(".kconfig"), weak));
extern const struct node variable KSYM;
extern void *function(struct node *n) KSYM;
char _license[] SEC("license") = "GPL";
const volatile u32 limit = 3;
u32 total[4];
static long each(u32 i, void *ctx) { total[i & 3] += i; return 0; }
static __attribute__((noinline)) u64 sub(u64 x) { return x * limit; }
__attribute__((noinline)) int global(u32 x) { return sub(x) + CONFIG_HZ; }
SEC("tp_btf/ev") int typed(u64 *ctx) { struct node *n = (void *)ctx[0]; return n->next->d.c[1] + n->a; }
SEC("socket") int maps(void *ctx)
{
	u32 key = 0;
	void *m = lookup(&outer, &key);
	if (!m)
		return 0;
	struct node *n = lookup(m, &key);
	loop(4, each, 0, 0);
	return n ? global(n->a) : 0;
}
SEC("raw_tp/x") int externs(void *ctx) { if (&variable) return variable.a; if (function) return function(0) != 0; return 1; }
`

const richKernel = `
typedef unsigned int u32; typedef unsigned long long u64;
struct node { u64 pad; struct node *next; u32 a; struct { u64 c[3]; u32 b; } d; };
typedef void (*btf_trace_ev)(void *, struct node *);
btf_trace_ev keep; struct node variable;
void *function(struct node *n) { return n; }
`

// richFiles are the object and the kernel, as clang writes them.
func richFiles(tb testing.TB) (prog, kernel []byte) {
	tb.Helper()
	if _, err := exec.LookPath("clang-19"); err != nil {
		tb.Skip("skipped: no clang-19")
	}
	var out [2][]byte
	for i, text := range []string{richBPF, richKernel} {
		src, obj := filepath.Join(tb.TempDir(), "a.c"), filepath.Join(tb.TempDir(), "a.o")
		if err := os.WriteFile(src, []byte(text), 0o666); err != nil {
			tb.Fatal(err)
		}
		if msg, err := exec.Command("clang-19", "-g", "-O2", "-target", "bpf", "-mcpu=v3", "-c", src, "-o", obj).CombinedOutput(); err != nil {
			tb.Fatalf("clang-19: %v\n%s", err, msg)
		}
		var err error
		if out[i], err = os.ReadFile(obj); err != nil {
			tb.Fatal(err)
		}
	}
	return out[0], out[1]
}

// judgeBytes takes files all the way and returns how many programs got a verdict.
func judgeBytes(prog, kernel []byte) int {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	t := &image.Target{Arch: "amd64", Release: "6.18.1", Version: abi.V(6, 18), Name: "made", Privileged: true}
	t.Config = map[string]string{"CONFIG_HZ": "250", "CONFIG_KALLSYMS_ALL": "y"}
	t.BTF = func() (*btf.Spec, error) { return btf.LoadSpecFromReader(bytes.NewReader(kernel)) }
	n := 0
	judge := func(o *object.Object) {
		for _, f := range o.Programs {
			img, err := image.Build(o, f.Name, t)
			if err == nil {
				_, err = verify.Verify(ctx, img, verify.Options{MaxProcessed: 20000})
			}
			var r *verify.Rejection
			if err == nil || errors.As(err, &r) {
				n++
			}
		}
	}
	if o, err := object.Read("damaged", bytes.NewReader(prog)); err == nil {
		judge(o)
	}
	return n
}

// section finds where the bytes of a section lie in a file.
func section(tb testing.TB, file []byte, name string) (from, to int) {
	tb.Helper()
	f, err := elf.NewFile(bytes.NewReader(file))
	if err != nil {
		tb.Fatal(err)
	}
	s := f.Section(name)
	return int(s.Offset), int(s.Offset + s.Size)
}

// hurt changes a few bytes of a section: in BTF that makes loops of types,
// huge counts and members that lie elsewhere.
func hurt(r *rand.Rand, b []byte, from, to int) []byte {
	b = bytes.Clone(b)
	for range 1 + r.IntN(3) {
		at := from + r.IntN(to-from-4)&^3
		switch r.IntN(4) {
		case 0:
			b[at+r.IntN(4)] = byte(r.Uint32())
		case 1:
			binary.LittleEndian.PutUint32(b[at:], r.Uint32N(40))
		case 2:
			binary.LittleEndian.PutUint32(b[at:], []uint32{0xffffffff, 0x7fffffff, 0x80000000, 0xffff}[r.IntN(4)])
		default:
			copy(b[at:at+4], b[from+r.IntN(to-from-4)&^3:])
		}
	}
	return b
}

func TestDamagedTypes(t *testing.T) {
	prog, kernel := richFiles(t)
	if n := judgeBytes(prog, kernel); n < 2 {
		t.Fatalf("%d verdicts on the files as they are", n)
	}
	r := rand.New(rand.NewPCG(1, 2))
	verdicts := 0
	var before, after runtime.MemStats
	for i := range 3000 {
		p, k := prog, kernel
		switch i % 4 {
		case 0:
			from, to := section(t, k, ".BTF")
			k = hurt(r, k, from, to)
		default:
			from, to := section(t, p, []string{".BTF", ".BTF.ext", ".BTF"}[i%4-1])
			p = hurt(r, p, from, to)
		}
		runtime.ReadMemStats(&before)
		start := time.Now()
		verdicts += judgeBytes(p, k)
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<30 || took > 5*time.Second {
			t.Fatalf("round %d: %d bytes allocated in %v", i, n, took)
		}
	}
	if verdicts == 0 {
		t.Error("no damaged file came to a verdict")
	}
}

// FuzzObject is everything behind `gtrace check x.bpf.o --btf kernel`.
func FuzzObject(f *testing.F) {
	prog, kernel := richFiles(f)
	f.Add(prog, kernel)
	f.Fuzz(func(_ *testing.T, prog, kernel []byte) {
		if len(prog) < 1<<20 && len(kernel) < 1<<20 {
			judgeBytes(prog, kernel)
		}
	})
}

// FuzzSpec: whatever cilium/ebpf makes of a file is taken as well.
func FuzzSpec(f *testing.F) {
	prog, _ := richFiles(f)
	f.Add(prog)
	f.Fuzz(func(_ *testing.T, prog []byte) {
		if len(prog) > 1<<20 {
			return
		}
		spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(prog))
		if err != nil {
			return
		}
		if o, err := object.FromSpec(spec); err == nil {
			for _, p := range o.Programs {
				_, _ = image.Build(o, p.Name, &image.Target{Name: "made", Version: abi.V(6, 1), Privileged: true})
			}
		}
	})
}
