package kernel

// Defines how programs get to their places.

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/internal/tracefs"
	"github.com/gtrace-dev/gtrace/place"
	"golang.org/x/sys/unix"
)

// wants are the program types that fit a kind of place.
var wants = map[place.Kind]abi.ProgType{
	place.Begin: abi.RawTracepoint, place.End: abi.RawTracepoint, place.Interval: abi.RawTracepoint,
	place.Uprobe: abi.Kprobe, place.Uretprobe: abi.Kprobe,
	place.Tracepoint: abi.Tracepoint, place.RawTracepoint: abi.Tracing,
}

// ways are how Site names them.
var ways = map[place.Kind]string{
	place.Begin: "test run", place.End: "test run", place.Interval: "test run",
	place.Uprobe: "uprobe_multi", place.Uretprobe: "uretprobe_multi",
	place.Tracepoint: "perf tracepoint", place.RawTracepoint: "tp_btf",
}

// openEvent opens the perf event of a place; its program does not run before
// setProgram. -1 without error for places that need none.
func openEvent(p place.Place, pid int, multi bool) (int, error) {
	var fd int
	var err error
	switch {
	case p.Kind.User() && !multi:
		fd, err = openUprobe(p, pid)
	case p.Kind == place.Tracepoint:
		fd, err = openTracepoint(p)
	default:
		return -1, nil
	}
	if err != nil {
		return -1, fmt.Errorf("%s: %w", p, err)
	}
	return fd, nil
}

// openUprobe opens an event of the perf source "uprobe": path and offset say
// where, and with a pid it exists in the memory of that process alone.
func openUprobe(p place.Place, pid int) (int, error) {
	typ, ret, err := uprobePMU()
	if err != nil {
		return -1, err
	}
	path, err := unix.BytePtrFromString(p.Path)
	if err != nil {
		return -1, err
	}
	attr := &unix.PerfEventAttr{
		Type: typ, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})), Sample: 1, Wakeup: 1,
		Ext1: uint64(uintptr(unsafe.Pointer(path))), Ext2: p.Offset,
	}
	if p.Kind == place.Uretprobe {
		attr.Config = ret
	}
	cpu := -1
	if pid <= 0 {
		pid, cpu = -1, 0 // a perf event needs one of both; the program runs on every CPU
	}
	fd, err := unix.PerfEventOpen(attr, pid, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
	runtime.KeepAlive(path)
	if err != nil {
		return -1, uprobeError(p, pid, err)
	}
	return fd, nil
}

// uprobeError says what a failure of attaching a uprobe means.
func uprobeError(p place.Place, pid int, err error) error {
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("the kernel does not permit the uprobe: it needs root or CAP_PERFMON (and CAP_SYS_PTRACE for other users' processes): %w", err)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EIO), errors.Is(err, enotsupp):
		return fmt.Errorf("the kernel cannot put a uprobe on offset %#x of %s (no code there, or an instruction that it does not emulate): %w", p.Offset, p.Path, err)
	case errors.Is(err, unix.ESRCH):
		return fmt.Errorf("process %d has ended", pid)
	}
	return fmt.Errorf("a uprobe on offset %#x of %s: %w", p.Offset, p.Path, err)
}

// enotsupp is the kernel's internal ENOTSUPP, which it lets out here.
const enotsupp = syscall.Errno(524)

func openTracepoint(p place.Place) (int, error) {
	id, err := tracefs.ID(p.Category, p.Event)
	if err != nil {
		return -1, err
	}
	attr := &unix.PerfEventAttr{
		Type: unix.PERF_TYPE_TRACEPOINT, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})), Config: id, Sample: 1, Wakeup: 1,
	}
	fd, err := unix.PerfEventOpen(attr, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("perf_event_open(2): %w", err)
	}
	return fd, nil
}

// setProgram makes prog run at the event's place, from now on until the event is closed.
func setProgram(event, prog int) error {
	if err := unix.IoctlSetInt(event, unix.PERF_EVENT_IOC_SET_BPF, prog); err != nil {
		return fmt.Errorf("attaching the program: %w", err)
	}
	if err := unix.IoctlSetInt(event, unix.PERF_EVENT_IOC_ENABLE, 0); err != nil {
		return fmt.Errorf("enabling the event: %w", err)
	}
	return nil
}

// openLink attaches prog to a place that takes a link, not a perf event; -1
// without error for the others.
func openLink(p place.Place, prog, pid int, multi bool) (int, error) {
	switch {
	case p.Kind == place.RawTracepoint:
		return rawTracepointOpen(prog)
	case p.Kind.User() && multi:
		fd, err := uprobeMulti(prog, p.Path, p.Offset, p.Kind == place.Uretprobe, pid)
		if err != nil {
			return -1, uprobeError(p, pid, err)
		}
		return fd, nil
	}
	return -1, nil
}
