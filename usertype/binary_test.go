package usertype

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	d, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	os.MkdirAll(filepath.Dir(to), 0o755)
	if err := os.WriteFile(to, d, 0o755); err != nil {
		t.Fatal(err)
	}
}

// separate makes a stripped program and its debug file in a new directory.
func separate(t *testing.T) (prog, debug string) {
	t.Helper()
	dir := t.TempDir()
	prog, debug = filepath.Join(dir, "prog"), filepath.Join(dir, "prog.debug")
	copyFile(t, compile(t, variants[1], "args.c"), prog)
	run(t, "objcopy", "--only-keep-debug", prog, debug)
	run(t, "objcopy", "--strip-all", prog)
	return prog, debug
}

func TestDebugFileByBuildID(t *testing.T) {
	prog, debug := separate(t)
	root := t.TempDir()
	b := open(t, prog, Options{Root: root})
	if _, err := b.Func("scalars"); err == nil {
		t.Fatal("a stripped program has a function scalars")
	}
	copyFile(t, debug, filepath.Join(root, "usr/lib/debug/.build-id", b.BuildID[:2], b.BuildID[2:]+".debug"))
	b = open(t, prog, Options{Root: root})
	f, err := b.Func("scalars")
	if err != nil || len(f.Params) != 6 {
		t.Fatalf("%+v, %v", f, err)
	}
}

func TestDebugLink(t *testing.T) {
	for _, sub := range []string{".", ".debug"} {
		prog, debug := separate(t)
		run(t, "objcopy", "--remove-section=.note.gnu.build-id", prog)
		run(t, "objcopy", "--add-gnu-debuglink="+debug, prog)
		to := filepath.Join(filepath.Dir(prog), sub, "prog.debug")
		if sub != "." {
			copyFile(t, debug, to)
			os.Remove(debug)
		}
		if f, err := open(t, prog, Options{}).Func("many"); err != nil || len(f.Params) != 8 {
			t.Fatalf("%s: %+v, %v", sub, f, err)
		}
		d, err := os.ReadFile(to)
		if err != nil {
			t.Fatal(err)
		}
		d[len(d)-1] ^= 1
		os.WriteFile(to, d, 0o644)
		b := open(t, prog, Options{})
		if got := b.DebugFile(); got != "" {
			t.Errorf("took %s, whose checksum is wrong", got)
		}
		var nd *NoDebugInfo
		if _, err := b.FuncAt(b.main.elf.Entry); !errors.As(err, &nd) || !strings.Contains(nd.Why, "checksum") {
			t.Errorf("got %v", err)
		}
	}
}

func TestAddresses(t *testing.T) {
	b := open(t, compile(t, variants[3], "args.c"), Options{}) // with endbr64
	s, err := b.Lookup("many")
	if err != nil || len(s) != 1 {
		t.Fatalf("%v, %v", s, err)
	}
	if !b.Landing(s[0].Addr) || b.Body(s[0].Addr) != s[0].Addr+4 {
		t.Errorf("no endbr64 at %#x", s[0].Addr)
	}
	off, err := b.Offset(s[0].Addr)
	if err != nil || off == s[0].Addr {
		t.Errorf("offset %#x, %v", off, err)
	}
	if a, err := b.Addr(off); err != nil || a != s[0].Addr {
		t.Errorf("address %#x, %v", a, err)
	}
	if _, err := b.Offset(1 << 60); err == nil {
		t.Error("an address outside of the file has an offset")
	}
	if at, ok := b.SymbolAt(s[0].Addr + 5); !ok || at.Name != "many" {
		t.Errorf("%#x is in %v", s[0].Addr+5, at)
	}
}

// The second start must find the same in the cache, also by pointers that lead in circles.
func TestCache(t *testing.T) {
	path, dir := compile(t, variants[1], "args.c"), t.TempDir()
	first, err := open(t, path, Options{CacheDir: dir}).Func("pointers")
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, path, Options{CacheDir: dir})
	second, err := b.Func("pointers")
	if err != nil {
		t.Fatal(err)
	}
	if b.dw != nil {
		t.Error("the second start read DWARF")
	}
	for i := range first.Params {
		x, y := first.Params[i], second.Params[i]
		if x.Name != y.Name || !reflect.DeepEqual(x.Loc, y.Loc) {
			t.Errorf("%+v became %+v", x, y)
		}
	}
	node := second.Params[1].Type.(*btf.Pointer).Target.(*btf.Struct)
	if next := node.Members[0].Type.(*btf.Pointer).Target; next != btf.Type(node) || layout(node) != layouts["struct node"] {
		t.Errorf("node became %s", layout(node))
	}
	files, _ := filepath.Glob(filepath.Join(dir, "usertype-*", "*", "*"))
	if len(files) == 0 {
		t.Fatal("nothing was kept")
	}
	for _, f := range files { // a bit that flipped
		d, _ := os.ReadFile(f)
		d[len(d)-1] ^= 0x40
		os.WriteFile(f, d, 0o600)
	}
	b = open(t, path, Options{CacheDir: dir})
	if f, err := b.Func("pointers"); err != nil || len(f.Params) != 3 || b.dw == nil {
		t.Errorf("with a damaged cache: %+v, %v", f, err)
	}
}

func TestUnwritableCache(t *testing.T) {
	if _, err := open(t, compile(t, variants[1], "args.c"), Options{CacheDir: "/dev/null/x"}).Func("many"); err != nil {
		t.Error(err)
	}
}

const (
	libc = "/lib/x86_64-linux-gnu/libc.so.6"
)

func openLibc(t testing.TB, o Options) *Binary {
	t.Helper()
	if _, err := os.Stat(libc); err != nil {
		t.Skip(libc + " is not here")
	}
	b := open(t, libc, o)
	if b.DebugFile() == "" {
		t.Skip("libc6-dbg is not installed")
	}
	return b
}

func TestLibc(t *testing.T) {
	b := openLibc(t, Options{})
	for name, want := range map[string]string{
		"malloc":      "bytes:rdi",
		"getaddrinfo": "name:rdi service:rsi hints:rdx pai:rcx",
		"qsort":       "b:rdi n:rsi s:rdx cmp:rcx",
		"fwrite":      "buf:rdi size:rsi count:rdx fp:rcx",
	} {
		f, err := b.Func(name)
		if err != nil {
			t.Error(err)
			continue
		}
		var got []string
		for _, p := range f.Params {
			at := p.Loc.Unsupported
			if len(p.Loc.Pieces) == 1 {
				at = gdbRegs[p.Loc.Pieces[0].Reg]
			}
			got = append(got, p.Name+":"+at)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s(%s), want %s", name, s, want)
		}
	}
	f, err := b.Func("fwrite")
	if err != nil {
		t.Fatal(err)
	}
	file := btf.UnderlyingType(f.Params[3].Type.(*btf.Pointer).Target).(*btf.Struct)
	for _, m := range file.Members { // only declared where fwrite is
		if m.Name == "_codecvt" {
			if _, ok := m.Type.(*btf.Pointer).Target.(*btf.Struct); !ok {
				t.Errorf("struct _IO_codecvt was not completed: %v", m.Type.(*btf.Pointer).Target)
			}
		}
	}
	var u *Unsupported
	if _, err := b.Func("memcpy"); !errors.As(err, &u) || !strings.Contains(u.What, "IFUNC") {
		t.Errorf("memcpy: %v", err)
	}
}

func TestStripped(t *testing.T) {
	if _, err := os.Stat("/bin/bash"); err != nil {
		t.Skip("no bash")
	}
	b := open(t, "/bin/bash", Options{})
	if b.DebugFile() != "" {
		t.Skip("bash has debug information here")
	}
	var nd *NoDebugInfo
	if _, err := b.Func("readline"); !errors.As(err, &nd) {
		t.Errorf("got %v", err)
	}
	if _, err := b.Func("redline"); err == nil || len(err.(*NotFound).Candidates) == 0 || err.(*NotFound).Candidates[0] != "readline" {
		t.Errorf("got %v", err)
	}
}

func TestNoELF(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	os.WriteFile(text, []byte(strings.Repeat("#!/bin/sh\n", 20)), 0o644)
	var m *Malformed
	for _, p := range []string{text, dir} {
		if _, err := Open(p, Options{}); !errors.As(err, &m) {
			t.Errorf("%s: %v", p, err)
		}
	}
	if _, err := Open(filepath.Join(dir, "none"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestSplitDWARF(t *testing.T) {
	b := open(t, compile(t, variant{"gcc-split", "gcc", []string{"-O2", "-g", "-gsplit-dwarf"}}, "args.c"), Options{})
	var u *Unsupported
	if _, err := b.Func("many"); !errors.As(err, &u) || !strings.Contains(u.What, "split DWARF") {
		t.Errorf("got %v", err)
	}
}

// A Go program: register arguments by DWARF, strings and slices in pieces.
func TestGo(t *testing.T) {
	dir := t.TempDir()
	copyFile(t, "testdata/hello.go.txt", filepath.Join(dir, "main.go"))
	os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module hello\n\ngo 1.24\n"), 0o644)
	for _, flags := range []string{"", "-N -l"} {
		out := filepath.Join(dir, "hello")
		cmd := exec.Command("go", "build", "-gcflags="+flags, "-o", out, ".")
		cmd.Dir = dir
		if msg, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, msg)
		}
		b := open(t, out, Options{})
		f, err := b.Func("main.handle")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range f.Params {
			s := p.Name + ":"
			for _, x := range p.Loc.Pieces {
				s += gdbRegs[x.Reg] + ","
			}
			got = append(got, s+p.Loc.Unsupported)
		}
		if s := strings.Join(got, " "); !b.Go || s != "r:rax, name:rbx,rcx, n:rdi, bs:rsi,r8,r9, ok:r10," {
			t.Errorf("%q: %s", flags, s)
		}
		b.Close()
	}
}

func BenchmarkLibcFirstStart(b *testing.B) {
	openLibc(b, Options{})
	for b.Loop() {
		start(b, b.TempDir())
	}
}

func BenchmarkLibcNextStart(b *testing.B) {
	openLibc(b, Options{})
	dir := b.TempDir()
	start(b, dir)
	for b.Loop() {
		start(b, dir)
	}
}

func start(b *testing.B, dir string) {
	x, err := Open(libc, Options{CacheDir: dir})
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	if _, err := x.Func("getaddrinfo"); err != nil {
		b.Fatal(err)
	}
}
