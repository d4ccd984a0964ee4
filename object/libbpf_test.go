package object

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// loadScript mounts a bpffs in its own mount namespace, at the place where
// libbpf pins maps, and loads an object into the kernel.
const loadScript = `set -e
mount --make-rprivate /
mount -t bpf bpf /sys/fs/bpf
bpftool prog loadall "$1" /sys/fs/bpf/progs
ls /sys/fs/bpf/progs`

// What Write makes loads with libbpf, into the kernel where that is permitted.
func TestWriteLoadsWithLibbpf(t *testing.T) {
	bpftool, err := exec.LookPath("bpftool")
	if err != nil {
		t.Skip("bpftool is not installed")
	}
	for _, name := range []string{"plain", "core", "externs"} {
		t.Run(name, func(t *testing.T) {
			b, err := Write(read(t, compile(t, variants[name]...)))
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			file := filepath.Join(dir, "x.o")
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(bpftool, "gen", "skeleton", file).CombinedOutput(); err != nil || !strings.Contains(string(out), "*first") {
				t.Fatalf("gen skeleton: %v\n%s", err, out)
			}
			if out, err := exec.Command(bpftool, "btf", "dump", "file", file).CombinedOutput(); err != nil || !strings.Contains(string(out), "'global_sub'") {
				t.Fatalf("btf dump: %v\n%s", err, out)
			}
			if name == "externs" {
				return // its kernel symbols are invented
			}
			if os.Geteuid() != 0 {
				t.Skip("loading into the kernel needs root")
			}
			out, err := exec.Command("unshare", "-m", "sh", "-c", loadScript, "sh", file).CombinedOutput()
			if err != nil && strings.Contains(string(out), "ermi") && !strings.Contains(string(out), "libbpf:") {
				t.Skipf("loading into the kernel is not permitted: %s", out)
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if !strings.Contains(string(out), "first") {
				t.Errorf("%s", out)
			}
		})
	}
}
