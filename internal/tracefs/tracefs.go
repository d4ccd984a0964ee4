// Package tracefs opens the kernel's tracing file system, which describes
// tracepoints, also where nobody has mounted it.
package tracefs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// places are where distributions mount it; the second one up to Linux 4.0.
var places = []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}

// WithTracefs calls f with a directory that holds events/. Where the file
// system is not mounted it is mounted for the duration of the call, detached:
// no other process sees it. dir is valid within f only.
func WithTracefs(f func(dir string) error) error {
	for _, dir := range places {
		if st, err := os.Stat(filepath.Join(dir, "events")); err == nil && st.IsDir() {
			return f(dir)
		}
	}
	fd, err := detached()
	if err != nil {
		return fmt.Errorf("tracefs is not mounted at %s and cannot be mounted: %w", places[0], err)
	}
	defer unix.Close(fd)
	return f("/proc/self/fd/" + strconv.Itoa(fd))
}

// detached mounts tracefs at no place (Linux 5.2: fsopen(2), fsmount(2)).
func detached() (int, error) {
	fs, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("fsopen: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("fsconfig: %w", err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return -1, fmt.Errorf("fsmount: %w", err)
	}
	return fd, nil
}

// ID is the number by which perf_event_open(2) knows a tracepoint.
func ID(category, event string) (uint64, error) {
	for _, n := range []string{category, event} {
		if n == "" || strings.ContainsAny(n, "/\x00") || n == "." || n == ".." {
			return 0, fmt.Errorf("tracepoint %s:%s: no such name", category, event)
		}
	}
	var id uint64
	err := WithTracefs(func(dir string) error {
		b, err := os.ReadFile(filepath.Join(dir, "events", category, event, "id"))
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("tracepoint %s:%s: the kernel has none of that name", category, event)
		} else if err != nil {
			return fmt.Errorf("tracepoint %s:%s: %w", category, event, err)
		}
		id, err = strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
		return err
	})
	return id, err
}
