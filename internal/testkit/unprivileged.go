package testkit

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/gtrace-dev/gtrace/abi"
	"golang.org/x/sys/unix"
)

// This file asks the kernel without privilege.

// RequireUnprivileged skips the test where the kernel takes no programs from
// unprivileged users, or judges them by newer rules than the cases are for.
func RequireUnprivileged(t testing.TB, running abi.Version) {
	t.Helper()
	const file = "/proc/sys/kernel/unprivileged_bpf_disabled"
	b, err := os.ReadFile(file)
	if err != nil || strings.TrimSpace(string(b)) != "0" {
		t.Skipf("%s is not 0", file)
	}
	if running >= abi.SpeculationBarriers {
		t.Skipf("kernel %s puts barriers where older ones reject", running)
	}
}

// dropCapabilities gives up every capability of this thread, which then ends with the test.
func dropCapabilities(t testing.TB) {
	t.Helper()
	runtime.LockOSThread()
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&head, &none[0]); err != nil {
		t.Fatal(err)
	}
}
