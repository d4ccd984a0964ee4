package testkit

import (
	"errors"
	"strings"
	"testing"

	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/object"
	"golang.org/x/sys/unix"
)

func buildImage(t *testing.T, prog string) *image.Image {
	t.Helper()
	o, err := object.ParseAsm("test", prog)
	if err != nil {
		t.Fatal(err)
	}
	target, err := image.Running()
	if err != nil {
		t.Fatal(err)
	}
	img, err := image.Build(o, "f", target)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// TestKernelSaysNo: the oracle would be worth nothing if it always said yes.
func TestKernelSaysNo(t *testing.T) {
	RequireBPF(t)
	_, err := LoadKernel(buildImage(t, ".section raw_tp\n.func f\nr0 = r3\nexit\n"))
	var rej *KernelRejection
	if !errors.As(err, &rej) || !errors.Is(err, unix.EACCES) || !strings.Contains(rej.Log, "R3 !read_ok") {
		t.Errorf("error %v, want EACCES with the log's R3 !read_ok", err)
	}
}

// TestKernelRun sees results, maps and records as the runner compares them.
func TestKernelRun(t *testing.T) {
	RequireBPF(t)
	k, err := LoadKernel(buildImage(t, ".license GPL\n.map m type=percpu_array key=4 value=8 entries=2\n.map r type=ringbuf entries=4096\n"+
		".section raw_tp\n.func f\nr0 = *(u64 *)(r1 + 0)\nr1 = map[m] ll\nr2 = map[r] ll\nexit\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	m := kernelMachine{k}
	if r0, err := m.Run([]byte{7, 0, 0, 0, 0, 0, 0, 0}); err != nil || r0 != 7 {
		t.Errorf("r0 %d, %v", r0, err)
	}
	key := []byte{1, 0, 0, 0}
	if err := m.Update("m", key, make([]byte, 8)); err != nil {
		t.Error(err)
	}
	if err := compareEntry(m, Entry{Map: "m", Key: key, Value: make([]byte, 8)}); err != nil {
		t.Error(err)
	}
	if err := compareEntry(m, Entry{Map: "m", Key: key, Value: []byte{1, 0, 0, 0, 0, 0, 0, 0}}); err == nil {
		t.Error("a wrong value was not noticed")
	}
	if err := compareEntry(m, Entry{Map: "m", Key: []byte{2, 0, 0, 0}}); err != nil {
		t.Error(err)
	}
	if err := compareEntry(m, Entry{Map: "none", Key: key}); err == nil {
		t.Error("a missing map was not noticed")
	}
	if rec, err := m.Record("r"); rec != nil || err != nil {
		t.Errorf("an empty ring buffer has %x, %v", rec, err)
	}
}
