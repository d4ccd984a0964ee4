package verify_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/internal/testkit"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify"
)

// TestClang verifies what clang makes of tracing programs, at each level of
// the instruction set, and asks the kernel.
func TestClang(t *testing.T) {
	clang, err := exec.LookPath("clang-19")
	if err != nil {
		t.Skip("clang-19 is not installed")
	}
	target, err := image.Running()
	if err != nil {
		t.Fatal(err)
	}
	for _, cpu := range []string{"v2", "v3", "v4"} {
		out := filepath.Join(t.TempDir(), cpu+".o")
		cmd := exec.Command(clang, "-O2", "-g", "-target", "bpfel", "-mcpu="+cpu, "-c", "testdata/tracing.bpf.c", "-o", out)
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		o, err := object.Read("tracing.bpf.o", bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if len(o.Programs) != 5 {
			t.Errorf("%s: %d programs, want 5", cpu, len(o.Programs))
		}
		for _, p := range o.Programs {
			t.Run(cpu+"/"+p.Name, func(t *testing.T) { clangProgram(t, o, p.Name, target) })
		}
	}
}

func clangProgram(t *testing.T, o *object.Object, name string, target *image.Target) {
	img, err := image.Build(o, name, target)
	if err != nil {
		t.Fatal(err)
	}
	v, err := verify.Verify(context.Background(), img, verify.Options{})
	if err != nil {
		t.Errorf("not accepted: %v", err)
	} else {
		t.Logf("%d instructions, %+v", len(img.Insns), v.Stats())
	}
	testkit.RequireBPF(t)
	k, err := testkit.LoadKernel(img)
	var rej *testkit.KernelRejection
	switch {
	case errors.As(err, &rej):
		t.Errorf("the kernel does not accept it: %v", err)
	case err != nil:
		t.Skip(err)
	default:
		k.Close()
	}
}
