package tracefs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestID(t *testing.T) {
	id, err := ID("sched", "sched_process_exec")
	if errors.Is(err, os.ErrPermission) {
		t.Skip("skipped: tracefs is not permitted here:", err)
	}
	if err != nil || id == 0 {
		t.Fatalf("ID = %d, %v", id, err)
	}
	before, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	err = WithTracefs(func(dir string) error {
		b, err := os.ReadFile(filepath.Join(dir, "events/sched/sched_process_exec/format"))
		if err == nil && !strings.Contains(string(b), "__data_loc char[] filename") {
			t.Errorf("format: %s", b)
		}
		during, err2 := os.ReadFile("/proc/self/mounts")
		if string(during) != string(before) {
			t.Errorf("the mount is visible:\n%s", during)
		}
		return errors.Join(err, err2)
	})
	if err != nil {
		t.Error(err)
	}
	for _, n := range [][2]string{{"sched", "no_such"}, {"..", "sched"}, {"", ""}, {"sched/x", "y"}} {
		if id, err := ID(n[0], n[1]); err == nil {
			t.Errorf("ID(%q, %q) = %d", n[0], n[1], id)
		}
	}
}
