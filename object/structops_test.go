package object

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gtrace-dev/gtrace/abi"
)

// Sections that one program needs refuse no other: kernel structs of
// programs, globals of an arena, addresses in global data, variables nobody knows.
const sectionsSource = `
typedef unsigned int u32; typedef unsigned long long u64;
#define SEC(n) __attribute__((section(n), used))
#define __arena __attribute__((address_space(1)))
struct kernel_ops___mine { int (*init)(void *sk); int number; int (*second)(u64 *ctx); };
struct { int (*type)[33]; int (*map_flags)[1024]; int (*max_entries)[10]; } arena SEC(".maps");
int __arena in_arena = 7;
char text[] = "hello"; char *pointer = text;
int odd SEC("unknown") = 3;
char _license[] SEC("license") = "GPL";
SEC("struct_ops/any_name") int the_init(u64 *ctx) { return 0; }
SEC("struct_ops") int the_second(u64 *ctx) { return 1; }
SEC(".struct_ops.link") struct kernel_ops___mine ops = { .init = (void *)the_init, .number = 5, .second = the_second };
SEC("socket") int plain(void *ctx) { return pointer[0]; }
SEC("syscall") int arenas(void *ctx) { in_arena++; return 0; }
SEC("socket") int strange(void *ctx) { return *(volatile int *)&odd; }
`

func TestReadSections(t *testing.T) {
	if _, err := exec.LookPath("clang-19"); err != nil {
		t.Skip("skipped: no clang-19")
	}
	src, obj := filepath.Join(t.TempDir(), "t.c"), filepath.Join(t.TempDir(), "t.o")
	if err := os.WriteFile(src, []byte(sectionsSource), 0o666); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("clang-19", "-g", "-O2", "-target", "bpf", "-mcpu=v3", "-c", src, "-o", obj).CombinedOutput(); err != nil {
		t.Fatalf("clang-19: %v\n%s", err, out)
	}
	b, err := os.ReadFile(obj)
	if err != nil {
		t.Fatal(err)
	}
	o, err := Read("t.o", bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"the_init": "kernel_ops.init", "the_second": "kernel_ops.second"} {
		if f := o.function(name); f == nil || f.Attach.Type != abi.StructOps || f.Attach.Target != want {
			t.Errorf("%s: %+v, want target %s", name, f, want)
		}
	}
	for name, want := range map[string]Reloc{
		"plain": {Kind: RelocMapValue, Symbol: ".data"}, "arenas": {Kind: RelocMapValue, Symbol: "arena"},
		"strange": {Kind: RelocUnknown, Symbol: "odd"},
	} {
		f := o.function(name)
		if f == nil || len(f.Relocs) == 0 || f.Relocs[0].Kind != want.Kind || f.Relocs[0].Symbol != want.Symbol {
			t.Errorf("%s: %+v, want %+v", name, f, want)
		}
	}
}
