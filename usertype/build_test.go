package usertype

// build_test.go compiles the programs that the tests look into.

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// variant is a way to compile a C program.
type variant struct {
	name, cc string
	flags    []string
}

var variants = []variant{
	{"gcc-O0", "gcc", []string{"-O0", "-gdwarf-5"}},
	{"gcc-O2", "gcc", []string{"-O2", "-gdwarf-5"}},
	{"gcc-O2-dwarf4", "gcc", []string{"-O2", "-gdwarf-4"}},
	{"gcc-O0-cet-zlib", "gcc", []string{"-O0", "-g", "-fcf-protection=full", "-gz"}},
	{"gcc-O0-nofp", "gcc", []string{"-O0", "-g", "-fomit-frame-pointer"}},
	{"clang-O0", "clang-19", []string{"-O0", "-g"}},
	{"clang-O2", "clang-19", []string{"-O2", "-g"}},
	{"clang-O2-dwarf4", "clang-19", []string{"-O2", "-gdwarf-4"}},
	{"clang-O0-nofp", "clang-19", []string{"-O0", "-g", "-fomit-frame-pointer"}},
}

var (
	buildMu  sync.Mutex
	built    = map[string]string{}
	buildDir string
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "usertype")
	if err != nil {
		panic(err)
	}
	buildDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// compile builds testdata/src once for a variant. The program is not position
// independent, so that its addresses are those of the file, and it does not
// know the folder it was compiled in: its bytes are the same everywhere.
func compile(t testing.TB, v variant, src string, extra ...string) string {
	t.Helper()
	if _, err := exec.LookPath(v.cc); err != nil {
		t.Skipf("%s is not installed", v.cc)
	}
	buildMu.Lock()
	defer buildMu.Unlock()
	key := v.name + " " + src + strings.Join(extra, " ")
	if p := built[key]; p != "" {
		return p
	}
	out := filepath.Join(buildDir, strings.NewReplacer(" ", "_", "/", "_").Replace(key))
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-o", out, filepath.Join("testdata", src), "-no-pie", "-Wl,--build-id", "-ffile-prefix-map=" + here + "=."}
	args = append(append(args, v.flags...), extra...)
	if msg, err := exec.Command(v.cc, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", v.cc, err, msg)
	}
	built[key] = out
	return out
}

func open(t testing.TB, path string, o Options) *Binary {
	t.Helper()
	if o.CacheDir == "" {
		o.NoCache = true
	}
	b, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}
