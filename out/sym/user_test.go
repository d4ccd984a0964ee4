package sym_test

import (
	"debug/elf"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gtrace-dev/gtrace/internal/testkit"
	"github.com/gtrace-dev/gtrace/out/sym"
)

// loadBase is where the process has mapped the start of the file at path.
func loadBase(t *testing.T, pid int, path string) uint64 {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(maps), "\n") {
		f := strings.Fields(line)
		if len(f) < 6 || f[5] != path || f[2] != "00000000" {
			continue
		}
		base, err := strconv.ParseUint(f[0][:strings.IndexByte(f[0], '-')], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		return base
	}
	t.Fatalf("%s is not mapped:\n%s", path, maps)
	return 0
}

// TestUser names addresses of a position-independent program and of libc in it.
func TestUser(t *testing.T) {
	path := testkit.Build(t, "gcc", "../../testdata/targets/server.c", "-O2", "-pie", "-fPIE", "-pthread")
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	syms, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	p := testkit.StartTarget(t, path, "-w", "1", "1")
	if _, err := p.Line(); err != nil {
		t.Fatal(err)
	}
	pid, base, size := uint32(p.PID), loadBase(t, p.PID, path), uint64(0)
	addr := base
	for _, s := range syms {
		if s.Name == "handle_request" {
			addr, size = base+s.Value, s.Size
		}
	}
	tab := sym.New()
	for a, want := range map[uint64]string{addr: "handle_request", addr + 4: "handle_request+4",
		addr + size - 1: fmt.Sprintf("handle_request+%d", size-1), 16: "", base: ""} {
		if got := tab.User(pid, a); got != want {
			t.Errorf("%#x: %q, want %q", a, got, want)
		}
	}
	fmt.Fprintln(p.Stdin)
	if _, err := p.Rest(); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(150 * time.Millisecond) // longer than mappings are taken as they were
	if got := tab.User(pid, addr); got != "handle_request" {
		t.Errorf("after its end: %q", got)
	}
	if got := sym.New().User(pid, addr); got != "" {
		t.Errorf("a table that never saw the process says %q", got)
	}
}
