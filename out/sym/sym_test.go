package sym

import (
	"os"
	"path/filepath"
	"testing"
)

func TestKernel(t *testing.T) {
	dir := t.TempDir()
	text := `ffffffff81000000 T _text
ffffffff81000000 T startup
ffffffff81000100 t first
ffffffff81000200 D data
ffffffff81000300 T second
ffffffffc0000000 t mod_fn	[mod]
0000000000000000 T hidden
nonsense
`
	if err := os.WriteFile(filepath.Join(dir, "kallsyms"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tab := &Table{Proc: dir}
	for addr, want := range map[uint64]string{
		0:                  "",
		0xffffffff80ffffff: "",
		0xffffffff81000000: "_text",
		0xffffffff81000010: "_text+16",
		0xffffffff81000250: "first+336",
		0xffffffff81000300: "second",
		0xffffffffc0000001: "mod_fn+1",
		0xffffffffd0000000: "",
	} {
		if got := tab.Kernel(addr); got != want {
			t.Errorf("%#x: %q, want %q", addr, got, want)
		}
	}
}

func TestKernelHidden(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "kallsyms"), []byte("0000000000000000 T a\n0000000000000000 T b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := (&Table{Proc: dir}).Kernel(0x1000); got != "" {
		t.Errorf("a table of zeroes names %q", got)
	}
	if got := (&Table{Proc: filepath.Join(dir, "none")}).Kernel(0x1000); got != "" {
		t.Errorf("no table names %q", got)
	}
}

func TestParseMapping(t *testing.T) {
	m, ok := parseMapping("7f00-7fff r-xp 00001000 fe:01 77                  /lib/with blank/libx.so.1 (deleted)")
	want := mapping{start: 0x7f00, end: 0x7fff, offset: 0x1000, file: fileID{"fe:01", 77}, path: "/lib/with blank/libx.so.1 (deleted)"}
	if !ok || m != want {
		t.Errorf("%+v, %v", m, ok)
	}
	for _, line := range []string{"", "7f00-7fff r--p 0 fe:01 77 /x", "7f00 r-xp 0 fe:01 77 /x", "7f00-7fff r-xp 0 00:00 0 [vdso]", "zz-7fff r-xp 0 fe:01 77 /x"} {
		if _, ok := parseMapping(line); ok {
			t.Errorf("%q was accepted", line)
		}
	}
}
