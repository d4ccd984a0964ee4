package verify_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/internal/testkit"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify"
)

// TestExplain compares how the mistakes in testdata/mistakes.bpf.c are
// explained with testdata/mistakes.txt. Each has to name the source line.
func TestExplain(t *testing.T) {
	clang, err := exec.LookPath("clang-19")
	if err != nil {
		t.Skip("clang-19 is not installed")
	}
	out := filepath.Join(t.TempDir(), "mistakes.o")
	cmd := exec.Command(clang, "-O2", "-g", "-target", "bpfel", "-mcpu=v3", "-c", "testdata/mistakes.bpf.c", "-o", out)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	o, err := object.Read("mistakes.o", f)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(o.Programs, func(a, b *object.Func) int { return strings.Compare(a.Name, b.Name) })
	var b strings.Builder
	for _, p := range o.Programs {
		for i := range p.Lines {
			p.Lines[i].File = filepath.Base(p.Lines[i].File) // the folder it was compiled in
		}
		fmt.Fprintf(&b, "== %s\n%s\n\n", p.Name, explanation(t, o, p.Name))
	}
	const golden = "testdata/mistakes.txt"
	if testkit.Updating() {
		if err := os.WriteFile(golden, []byte(b.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != string(want) {
		t.Errorf("explained:\n%s\nwant:\n%s", got, want)
	}
}

func explanation(t *testing.T, o *object.Object, name string) string {
	running, err := image.Running()
	if err != nil {
		t.Fatal(err)
	}
	target := *running
	target.Version = abi.V(6, 18)
	if name == "uninitialised_key" {
		target.Version = abi.V(6, 2) // later kernels, and 6.1 with its fixes, let privileged programs read it
	}
	img, err := image.Build(o, name, &target)
	if err != nil {
		t.Fatal(err)
	}
	var rej *verify.Rejection
	if _, err := verify.Verify(context.Background(), img, verify.Options{MaxProcessed: 20_000}); !errors.As(err, &rej) {
		t.Errorf("%s: %v, want a rejection", name, err)
		return fmt.Sprint(err)
	}
	r := rej.Explain()
	if r.At.File == "" || r.At.Line == 0 || r.Advice == "" && len(r.Chain) == 0 {
		t.Errorf("%s: no line, or neither what led there nor what to do:\n%s", name, r)
	}
	return r.String()
}
