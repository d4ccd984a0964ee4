package testkit

import (
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file says what a test needs of the machine. What is missing skips the
// test with one line; in CI, where it must be there, it fails the test. Only
// bpf(2) may be missing in CI too.

// missing skips the test, or fails it in CI.
func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// permitted asks once whether a program may be loaded and run.
var permitted = sync.OnceValue(func() error {
	insns := [...]uint64{0x00000000000000b7, 0x0000000000000095} // r0 = 0; exit
	fd, _, err := loadProgram(&progLoad{
		typ: 17, insns: unsafe.Pointer(&insns), count: uint32(len(insns)), license: "GPL"})
	if err != nil {
		return err
	}
	return unix.Close(fd)
})

// BPFPermitted reports whether bpf(2) is permitted.
func BPFPermitted() bool { return permitted() == nil }

// RequireBPF skips the test where bpf(2) is not permitted.
func RequireBPF(t testing.TB) {
	t.Helper()
	if err := permitted(); err != nil {
		t.Skipf("bpf(2) is not permitted here: %v", err)
	}
}

// traceable asks once whether a child may be traced.
var traceable = sync.OnceValue(func() error {
	// The thread that traces has to be the one that waits.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe", "-test.run=^$")
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return nil
})

// RequirePtrace skips the test where ptrace(2) is not permitted.
func RequirePtrace(t testing.TB) {
	t.Helper()
	if err := traceable(); err != nil {
		missing(t, "ptrace(2) is not permitted here: %v", err)
	}
}

// RequireTool skips the test where a program is not installed, and returns its path.
func RequireTool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, "%s is not installed", name)
	}
	return path
}
