package probe

import (
	stdelf "debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gtrace-dev/gtrace/place"
	"github.com/gtrace-dev/gtrace/script/env"
)

// TestMain lets the test program be the traced one, in a root of its own.
func TestMain(m *testing.M) {
	if os.Getenv("PROBE_TEST_SLEEP") != "" {
		time.Sleep(time.Minute)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func compile(t testing.TB, flags ...string) string {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("gcc is not installed")
	}
	out := filepath.Join(t.TempDir(), "prog")
	args := append([]string{"-o", out, "testdata/prog.c", "-fcf-protection=full"}, flags...)
	if msg, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, msg)
	}
	return out
}

func resolver(t testing.TB, o Options) *Resolver {
	t.Helper()
	if o.CacheDir == "" {
		o.NoCache = true
	}
	r := New(o)
	t.Cleanup(func() { r.Close() })
	return r
}

func uprobe(path, fn string, off uint64) env.Pattern {
	return env.Pattern{Kind: place.Uprobe, Fields: []string{path, fn}, Offset: off}
}

func TestMatchFunction(t *testing.T) {
	path := compile(t, "-O2", "-g")
	r := resolver(t, Options{})
	ps, err := r.Match(uprobe(path, "handle", 0))
	if err != nil || len(ps) != 1 {
		t.Fatalf("%v, %v", ps, err)
	}
	p := ps[0]
	b := r.binaries[path]
	syms, _ := b.Lookup("handle")
	if p.Addr != syms[0].Addr+4 || p.Symbol != "handle" || p.Size != syms[0].Size {
		t.Errorf("%+v for %+v: not behind the endbr64", p, syms[0])
	}
	if off, _ := b.Offset(p.Addr); off != p.Offset {
		t.Errorf("offset %#x, want %#x", p.Offset, off)
	}
	if ps, err = r.Match(uprobe(path, "handle*", 0)); err != nil || len(ps) != 2 || ps[1].Symbol != "handle_more" {
		t.Errorf("handle*: %v, %v", ps, err)
	}
	if ps, err = r.Match(uprobe(path, "hidd?n", 0)); err != nil || len(ps) != 1 {
		t.Errorf("hidd?n: %v, %v", ps, err)
	}
	if ps, err = r.Match(uprobe(path, "handle", 4)); err != nil || ps[0].Addr != p.Addr {
		t.Errorf("handle+4: %v, %v", ps, err)
	}
	for _, off := range []uint64{2, p.Size, ^uint64(0)} {
		if ps, err := r.Match(uprobe(path, "handle", off)); err == nil {
			t.Errorf("handle+%#x is %v", off, ps)
		}
	}
	if _, err := r.Match(env.Pattern{Kind: place.Uretprobe, Fields: []string{path, "handle"}, Offset: 1}); err == nil {
		t.Error("a uretprobe has an offset")
	}
}

func TestMatchAddress(t *testing.T) {
	path := compile(t, "-O2", "-g", "-no-pie")
	r := resolver(t, Options{})
	ps, err := r.Match(uprobe(path, "handle", 0))
	if err != nil {
		t.Fatal(err)
	}
	at, err := r.Match(uprobe(path, fmt.Sprintf("%#x", ps[0].Addr-4), 0))
	if err != nil || at[0].Addr != ps[0].Addr || at[0].Symbol != "handle" {
		t.Errorf("%+v, %v", at, err)
	}
	for _, bad := range []string{"0x10", "0xzz", "0x"} {
		if at, err := r.Match(uprobe(path, bad, 0)); err == nil {
			t.Errorf("%s is %v", bad, at)
		}
	}
}

func TestArgsMoveBehindThePrologue(t *testing.T) {
	for opt, moves := range map[string]bool{"-O0": true, "-O2": false} {
		path := compile(t, opt, "-g")
		r := resolver(t, Options{})
		ps, err := r.Match(uprobe(path, "handle", 0))
		if err != nil {
			t.Fatal(err)
		}
		args, at, err := r.Args(ps[0])
		if err != nil || len(args) != 3 {
			t.Fatalf("%+v, %v", args, err)
		}
		if moved := at.Addr != ps[0].Addr; moved != moves || moved && at.Offset == ps[0].Offset {
			t.Errorf("%s: from %#x to %#x", opt, ps[0].Addr, at.Addr)
		}
		if args[0].Name != "r" || len(args[0].Loc.Pieces) != 1 || args[1].Loc.Unsupported != "" {
			t.Errorf("%s: %+v", opt, args)
		}
		if opt == "-O2" && !strings.Contains(args[2].Loc.Unsupported, "SSE") {
			t.Errorf("a double is at %+v", args[2].Loc)
		}
		ret, err := r.Ret(ps[0])
		if err != nil || ret.Type.TypeName() != "long int" {
			t.Errorf("%+v, %v", ret, err)
		}
		if got := r.Signature(ps[0]); got != "long int (struct req *r, int n, double d)" {
			t.Errorf("signature %q", got)
		}
		typ, err := r.Type(ps[0], "struct", "req")
		if err != nil || typ.TypeName() != "req" {
			t.Errorf("%v, %v", typ, err)
		}
		if s := r.Space(ps[0]); s == "" || s == "kernel" {
			t.Errorf("space %q", s)
		}
		if r.KernelBTF() != nil {
			t.Error("kernel BTF was read for a program's types")
		}
	}
}

func TestUserErrors(t *testing.T) {
	path := compile(t, "-O2")
	r := resolver(t, Options{})
	var nf *env.NotFound
	_, err := r.Match(uprobe(path, "handel", 0))
	if !errors.As(err, &nf) || nf.What != "function" || len(nf.Candidates) == 0 || nf.Candidates[0] != "handle" {
		t.Errorf("%v, %+v", err, nf)
	}
	_, err = r.Match(uprobe(filepath.Dir(path)+"/porg", "handle", 0))
	if !errors.As(err, &nf) || nf.What != "file" || len(nf.Candidates) != 1 || nf.Candidates[0] != path {
		t.Errorf("%v, %+v", err, nf)
	}
	if _, err = r.Match(uprobe("no-such-program", "main", 0)); !errors.As(err, &nf) || nf.What != "binary" {
		t.Errorf("%v", err)
	}
	ps, err := r.Match(uprobe(path, "handle", 0))
	if err != nil {
		t.Fatal(err)
	}
	var nd *env.NoDebugInfo
	if _, _, err := r.Args(ps[0]); !errors.As(err, &nd) || !strings.Contains(nd.Hint, "-g") {
		t.Errorf("%v", err)
	}
	if err := exec.Command("strip", path).Run(); err != nil {
		t.Skip("strip is not installed")
	}
	if _, err := resolver(t, Options{}).Match(uprobe(path, "handle", 0)); err == nil || !strings.Contains(err.Error(), "stripped") && !errors.As(err, &nf) {
		t.Errorf("%v", err)
	}
	if _, err := r.Match(uprobe("/etc/passwd", "x", 0)); err == nil || !strings.Contains(err.Error(), "ELF") {
		t.Errorf("%v", err)
	}
}

func TestFindBinary(t *testing.T) {
	r := resolver(t, Options{})
	for _, name := range []string{"libc", "libc.so.6", "sh", "/bin/sh"} {
		p, err := r.findBinary(name)
		if err != nil || !filepath.IsAbs(p) {
			t.Errorf("%s: %s, %v", name, p, err)
		}
	}
	dir := filepath.Dir(compile(t, "-O0"))
	t.Chdir(dir)
	if p, err := r.findBinary("./prog"); err != nil || filepath.Base(p) != "prog" || !filepath.IsAbs(p) {
		t.Errorf("%s, %v", p, err)
	}
	var nf *env.NotFound
	if _, err := r.findBinary("prog"); !errors.As(err, &nf) || len(nf.Candidates) != 1 || nf.Candidates[0] != "./prog" {
		t.Errorf("%v", err)
	}
	for _, c := range []struct {
		name, file string
		want       bool
	}{{"libc", "libc.so.6", true}, {"libc", "libcap.so.2", false}, {"libc", "libc-2.31.so", true}, {"libc.so", "libc.so.6", true}, {"libc.so.6", "libc.so.6", true}, {"sh", "sh.so", false}, {"libm", "libm-tools", false}} {
		if names(c.name, c.file) != c.want {
			t.Errorf("%s for %s: %v", c.name, c.file, !c.want)
		}
	}
}

// A process in another root sees other files: its paths are looked up there.
func TestOtherRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("chroot needs root")
	}
	root := t.TempDir()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	os.MkdirAll(root+"/opt/real", 0o755)
	if err := os.WriteFile(root+"/opt/real/prog", self, 0o755); err != nil {
		t.Fatal(err)
	}
	os.Symlink("/opt/real", root+"/opt/link") // absolute: it must not lead out of the root
	cmd := exec.Command("/opt/real/prog")
	cmd.Env = []string{"PROBE_TEST_SLEEP=1"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Skipf("chroot: %v", err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	r := resolver(t, Options{PID: cmd.Process.Pid})
	want := r.targetRoot() + "/opt/real/prog"
	for _, name := range []string{"/opt/real/prog", "/opt/link/prog", "prog"} {
		p, err := r.findBinary(name)
		if err != nil || r.targetRoot() == "" || p != want && name != "prog" || !sameFile(p, want) {
			t.Errorf("%s is %s, want %s: %v", name, p, want, err)
			continue
		}
		if ps, err := r.Match(uprobe(name, fmt.Sprintf("%#x", entry(t, p)), 0)); err != nil || ps[0].Path != p {
			t.Errorf("%s: %v, %v", name, ps, err)
		}
	}
}

func entry(t *testing.T, path string) uint64 {
	t.Helper()
	f, err := stdelf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return f.Entry
}

func TestMappedLibrary(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	time.Sleep(50 * time.Millisecond)
	r := resolver(t, Options{PID: cmd.Process.Pid})
	if p := r.mapped("libc"); !strings.Contains(p, "libc") {
		t.Skipf("sleep maps no libc (%q)", p)
	}
	if p := r.mapped("sleep"); p == "" {
		t.Error("sleep does not map itself")
	}
}

func TestIndirectFunction(t *testing.T) {
	r := resolver(t, Options{})
	_, err := r.Match(uprobe("libc", "memcpy", 0))
	if err == nil || !strings.Contains(err.Error(), "IFUNC") {
		t.Errorf("%v", err)
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{{"*", "", true}, {"a*c", "abc", true}, {"a*c", "abcd", false}, {"a?c", "abc", true}, {"?", "", false}, {"*a*b*", "xxaxxbxx", true}, {"a**", "a", true}, {"", "a", false}, {"*ab", "aab", true}} {
		if glob(c.pattern, c.name) != c.want {
			t.Errorf("%q for %q: %v", c.pattern, c.name, !c.want)
		}
	}
}
