package image

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
)

// madeTarget is a kernel whose types are those of a C text.
func madeTarget(t *testing.T, types string) *Target {
	t.Helper()
	clang, err := exec.LookPath("clang-19")
	if err != nil {
		t.Skip("skipped: no clang-19")
	}
	src, obj := filepath.Join(t.TempDir(), "k.c"), filepath.Join(t.TempDir(), "k.o")
	if err := os.WriteFile(src, []byte(types), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(clang, "-g", "-O2", "-target", "bpf", "-c", src, "-o", obj).CombinedOutput(); err != nil {
		t.Fatalf("clang: %v\n%s", err, out)
	}
	target := &Target{Arch: "amd64", Release: "6.18.0", Version: abi.V(6, 18), Name: "made", Privileged: true}
	target.UseBTF(obj)
	return target
}

// kindsSource asks about a thing in every way that CO-RE knows. The field
// that moves is at 4 here, at 8 in one target and at 12 in the other.
const kindsSource = `
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;
struct inner { u32 x; u32 y[4]; };
enum small { SMALL_A = 1, SMALL_GONE = 2 };
enum large { LARGE = 0x100000000ULL };
struct thing { u32 id; u32 moves; u16 grows; short sgrows; u32 bits : 5; int sbits : 3; struct inner in[3]; struct { u32 anon; }; u32 gone; };
struct thing___flavour { u32 moves; };
struct absent { int a; };
struct half { u32 kept; };
#define SEC(n) __attribute__((section(n), used))
#define INFO(f, k) __builtin_preserve_field_info(((struct thing *)0)->f, k)
#define PROG(n, e) SEC("raw_tp/x") u64 n(void *ctx) { return e; }
PROG(offset, INFO(moves, 0))
PROG(offset_nested, INFO(in[2].y[1], 0))
PROG(offset_anonymous, INFO(anon, 0))
PROG(offset_gone, INFO(gone, 0))
PROG(offset_flavour, __builtin_preserve_field_info(((struct thing___flavour *)0)->moves, 0))
PROG(size, INFO(grows, 1))
PROG(exists, INFO(moves, 2))
PROG(exists_gone, INFO(gone, 2))
PROG(is_signed, INFO(sgrows, 3))
PROG(is_unsigned, INFO(grows, 3))
PROG(bits_left, INFO(bits, 4))
PROG(bits_right, INFO(bits, 5))
PROG(type_local, __builtin_btf_type_id(*(struct half *)0, 0) != 0)
PROG(type_target, __builtin_btf_type_id(*(struct absent *)0, 1))
PROG(type_exists, __builtin_preserve_type_info(*(struct half *)0, 0))
PROG(type_exists_gone, __builtin_preserve_type_info(*(struct absent *)0, 0))
PROG(type_size, __builtin_preserve_type_info(*(struct half *)0, 1))
PROG(type_size_gone, __builtin_preserve_type_info(*(struct absent *)0, 1))
PROG(type_matches, __builtin_preserve_type_info(*(struct half *)0, 2))
PROG(type_matches_gone, __builtin_preserve_type_info(*(struct absent *)0, 2))
PROG(enum_value, __builtin_preserve_enum_value(*(enum small *)SMALL_A, 1))
PROG(enum_value_large, __builtin_preserve_enum_value(*(enum large *)LARGE, 1))
PROG(enum_exists, __builtin_preserve_enum_value(*(enum small *)SMALL_A, 0))
PROG(enum_exists_gone, __builtin_preserve_enum_value(*(enum small *)SMALL_GONE, 0))
PROG(enum_value_gone, __builtin_preserve_enum_value(*(enum small *)SMALL_GONE, 1))
char _license[] SEC("license") = "GPL";
`

const kindsOne = `
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;
struct inner { u64 z; u32 y[4]; u32 x; };
enum small { SMALL_0, SMALL_A = 7 };
enum large { LARGE = 0x200000000ULL };
struct thing { u64 id; u32 moves; u32 grows; long long sgrows; u32 pad : 4; u32 bits : 5; struct inner in[4]; union { u8 c; struct { u32 deep; u32 anon; }; }; };
struct half { u32 kept; u32 more[3]; };
struct thing a; struct half b; enum small c; enum large d;
`

// The other kernel: a field is at 12 instead of 8, one type is gone.
const kindsTwo = `
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;
struct inner { u32 y[4]; u32 x; };
enum small { SMALL_A = 9, SMALL_GONE = 3 };
enum large { LARGE = 5ULL, LARGEST = 0x300000000ULL };
struct thing { u32 a, b, c; u32 moves; u16 grows; short sgrows; u32 bits : 9; struct inner in[3]; u32 anon; u32 gone; };
struct thing a; enum small c; enum large d;
`

func TestCOREKinds(t *testing.T) {
	o := compiled(t, kindsSource)
	const poisoned = -1
	one, two := madeTarget(t, kindsOne), madeTarget(t, kindsTwo)
	for _, c := range []struct {
		program  string
		one, two int64
	}{
		{"offset", 8, 12},
		{"offset_nested", 32 + 2*32 + 8 + 4, 24 + 2*20 + 4},
		{"offset_anonymous", 32 + 4*32 + 4, 24 + 3*20},
		{"offset_gone", poisoned, 24 + 3*20 + 4},
		{"offset_flavour", 8, 12},
		{"size", 4, 2},
		{"exists", 1, 1},
		{"exists_gone", 0, 1},
		{"is_signed", 1, 1},
		{"is_unsigned", 0, 0},
		{"bits_left", 64 - 9, 64 - 9},
		{"bits_right", 64 - 5, 64 - 9},
		{"type_target", 0, 0},
		{"type_exists", 1, 0},
		{"type_exists_gone", 0, 0},
		{"type_size", 16, 0},
		{"type_size_gone", 0, 0},
		{"type_matches", 1, 0},
		{"type_matches_gone", 0, 0},
		{"enum_value", 7, 9},
		{"enum_value_large", 0x200000000, 5},
		{"enum_exists", 1, 1},
		{"enum_exists_gone", 0, 1},
		{"enum_value_gone", poisoned, 3},
	} {
		for i, target := range []*Target{one, two} {
			want := []int64{c.one, c.two}[i]
			img, err := Build(o, c.program, target)
			if err != nil {
				t.Errorf("%s: %v", c.program, err)
				continue
			}
			if got := firstValue(img); got != want || (want == poisoned) != (len(img.Poison) > 0) {
				t.Errorf("%s on target %d: value %d, poison %v, want %d", c.program, i+1, got, img.Poison, want)
			}
		}
	}
	img, err := Build(o, "type_local", two)
	if err != nil || len(img.Poison) != 0 {
		t.Errorf("type_local: poison %v, error %v", img.Poison, err)
	}
}

// firstValue is what the program's first instruction yields, -1 where it is poisoned.
func firstValue(img *Image) int64 {
	in := img.Insns[0]
	switch {
	case len(img.Poison) > 0:
		return -1
	case in.IsWide():
		return int64(isa.Imm64(in, img.Insns[1]))
	}
	return int64(in.Imm)
}

// A direct access takes the field's size in the target where zeros in front
// change nothing, and is poisoned where they would.
func TestCOREResize(t *testing.T) {
	o := compiled(t, `
typedef unsigned short u16; typedef unsigned int u32;
struct thing { u16 grows; short sgrows; u32 same; } __attribute__((preserve_access_index));
#define SEC(n) __attribute__((section(n), used))
SEC("tp_btf/ev") int grows(unsigned long long *ctx) { return ((struct thing *)ctx[0])->grows; }
SEC("tp_btf/ev") int sgrows(unsigned long long *ctx) { return ((struct thing *)ctx[0])->sgrows; }
SEC("tp_btf/ev") int same(unsigned long long *ctx) { return ((struct thing *)ctx[0])->same; }
char _license[] SEC("license") = "GPL";
`)
	target := madeTarget(t, `
typedef unsigned int u32;
struct thing { u32 first; u32 same; u32 grows; int sgrows; };
typedef void (*btf_trace_ev)(void *, struct thing *);
btf_trace_ev keep;
`)
	for _, c := range []struct {
		program string
		off     int16
		size    int // 0: poisoned
	}{{"grows", 8, 4}, {"sgrows", 12, 0}, {"same", 4, 4}} {
		img, err := Build(o, c.program, target)
		if err != nil {
			t.Errorf("%s: %v", c.program, err)
			continue
		}
		found := false
		for _, in := range img.Insns {
			if in.Class() == isa.ClassLDX && in.Bytes() == c.size && in.Off == c.off {
				found = true
			}
		}
		if found != (c.size != 0) || (c.size == 0) != (len(img.Poison) == 1) {
			t.Errorf("%s: %v, poison %v", c.program, img.Insns, img.Poison)
		}
		for _, p := range img.Poison {
			if !strings.Contains(p.Reason, "BPF_CORE_READ") {
				t.Errorf("%s: %s", c.program, p.Reason)
			}
		}
	}
}

// Kernel variables: struct, plain memory, once a CPU; weak and absent.
func TestKsym(t *testing.T) {
	o := compiled(t, `
struct rq { int cpu; };
#define SEC(n) __attribute__((section(n), used))
#define KSYM __attribute__((section(".ksyms")))
extern const struct rq a_struct KSYM;
extern const int a_number KSYM;
extern const int wrong_type KSYM;
extern const int not_there KSYM;
extern const int weak_one KSYM __attribute__((weak));
extern const void untyped KSYM;
extern const void weak_untyped KSYM __attribute__((weak));
SEC("raw_tp/x") int structured(void *ctx) { return a_struct.cpu; }
SEC("raw_tp/x") int number(void *ctx) { return a_number; }
SEC("raw_tp/x") int wrong(void *ctx) { return wrong_type; }
SEC("raw_tp/x") int absent(void *ctx) { return not_there; }
SEC("raw_tp/x") int weak(void *ctx) { return &weak_one ? weak_one : 7; }
SEC("raw_tp/x") long address(void *ctx) { return (long)&untyped; }
SEC("raw_tp/x") long weak_address(void *ctx) { return (long)&weak_untyped; }
char _license[] SEC("license") = "GPL";
`)
	target := madeTarget(t, `
struct rq { long pad; int cpu; };
struct rq a_struct; int a_number = 1; struct rq wrong_type;
`)
	target.Config = map[string]string{"CONFIG_KALLSYMS_ALL": "y"}
	build := func(p string) (*Image, error) { return Build(o, p, target) }
	for p, want := range map[string]string{"structured": "rq", "number": "int"} {
		img, err := build(p)
		if err != nil {
			t.Errorf("%s: %v", p, err)
			continue
		}
		k, ok := img.Ksyms[0]
		if !ok || btf.UnderlyingType(k.Type).TypeName() != want || k.NoAddress || k.PerCPU || img.Insns[0].Src != isa.PseudoBTFID {
			t.Errorf("%s: %+v, %v", p, img.Ksyms, img.Insns[0])
		}
	}
	for p, want := range map[string]string{"wrong": "is declared as", "absent": "no such symbol in its BTF", "address": "no symbol table"} {
		if _, err := build(p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", p, err, want)
		}
	}
	img, err := build("weak")
	if err != nil || len(img.Ksyms) != 0 || isa.Imm64(img.Insns[1], img.Insns[2]) != 0 {
		t.Errorf("weak: %v, error %v", img.Insns, err)
	}
	target.Config = map[string]string{"CONFIG_BPF": "y"}
	if img, err := build("number"); err != nil || !img.Ksyms[0].NoAddress {
		t.Errorf("without CONFIG_KALLSYMS_ALL: %v", err)
	}
	target.Symbols = func() (map[string]uint64, error) { return map[string]uint64{"untyped": 0x123456789a}, nil }
	for p, want := range map[string]int64{"address": 0x123456789a, "weak_address": 0} {
		if img, err := build(p); err != nil || firstValue(img) != want {
			t.Errorf("%s: %v", p, err)
		}
	}
}

// Flavours of kernel functions, and prototypes that do not fit.
func TestKfuncFlavours(t *testing.T) {
	o := compiled(t, `
#define SEC(n) __attribute__((section(n), used))
#define KSYM __attribute__((section(".ksyms")))
struct task { int pid; };
extern void *acquire___one(struct task *p) KSYM __attribute__((weak));
extern void *acquire___two(struct task *p, int extra) KSYM __attribute__((weak));
extern void *release(int wrong) KSYM;
extern void *gone(int) KSYM;
SEC("raw_tp/x") int fits(void *ctx) { return acquire___one(0) != 0; }
SEC("raw_tp/x") int other(void *ctx) { if (acquire___two) return acquire___two(0, 1) != 0; return 0; }
SEC("raw_tp/x") int strong(void *ctx) { return release(3) != 0; }
SEC("raw_tp/x") int absent(void *ctx) { return gone(3) != 0; }
char _license[] SEC("license") = "GPL";
`)
	target := madeTarget(t, `
struct task { long x; int pid; };
void *acquire(struct task *t) { return t; }
void *release(struct task *t) { return t; }
`)
	target.Config = map[string]string{"CONFIG_KALLSYMS": "y"}
	img, err := Build(o, "fits", target)
	if err != nil || len(img.Kfuncs) != 1 || len(img.Poison) != 0 {
		t.Errorf("fits: %v", err)
	}
	if img, err = Build(o, "other", target); err != nil || len(img.Poison) != 1 || firstWide(img) != 0 {
		t.Errorf("other: %v", err)
	}
	for p, want := range map[string]string{"strong": "another prototype", "absent": "no such function"} {
		if _, err := Build(o, p, target); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", p, err, want)
		}
	}
}

// firstWide is what the first 64-bit load yields, -1 without one.
func firstWide(img *Image) int64 {
	for i, in := range img.Insns {
		if in.IsWide() && in.Src == isa.PseudoNone {
			return int64(isa.Imm64(in, img.Insns[i+1]))
		}
	}
	return -1
}
