package user

// This file defines the hosts that programs run on: a stopped thread of the
// target, and gtrace itself.

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"github.com/gtrace-dev/gtrace/vm/helper"
	"golang.org/x/sys/unix"
)

// host implements helper.Host for the task pid/tid.
type host struct {
	pid, tid int
	needs    needs
	printk   func(string)
	path     []byte
	buf      [4096]byte
}

// ReadUser reads the task's memory.
func (h *host) ReadUser(addr uint64, dst []byte) error {
	if len(dst) == 0 {
		return nil
	}
	local := [1]unix.Iovec{{Base: &dst[0], Len: uint64(len(dst))}}
	remote := [1]unix.RemoteIovec{{Base: uintptr(addr), Len: len(dst)}}
	n, err := unix.ProcessVMReadv(h.tid, local[:], remote[:], 0)
	if err == nil && n != len(dst) {
		err = syscall.EFAULT
	}
	return err
}

// ReadKernel fails: a user-space engine sees no kernel memory.
func (h *host) ReadKernel(uint64, []byte) error { return syscall.EFAULT }

// Task reads from /proc what the program asks for; ids come for free.
func (h *host) Task() helper.Task {
	t := helper.Task{TGID: uint32(h.pid), TID: uint32(h.tid)}
	if h.needs.comm {
		name := h.read("comm")
		n := copy(t.Comm[:len(t.Comm)-1], bytes.TrimSuffix(name, []byte("\n")))
		clear(t.Comm[n:])
	}
	if h.needs.ids {
		t.UID, t.GID = ids(h.read("status"))
	}
	return t
}

// ids finds the real user and group in /proc/PID/status, as bpf_get_current_uid_gid gives them.
func ids(status []byte) (uid, gid uint32) {
	for l := range bytes.Lines(status) {
		for _, f := range [...]struct {
			name string
			v    *uint32
		}{{"Uid:", &uid}, {"Gid:", &gid}} {
			if v, ok := bytes.CutPrefix(l, []byte(f.name)); ok {
				if f0 := bytes.Fields(v); len(f0) > 0 {
					n, _ := strconv.ParseUint(string(f0[0]), 10, 32)
					*f.v = uint32(n)
				}
			}
		}
	}
	return uid, gid
}

// CPU is where the task last ran, for a program that asks for it. For one that
// does not it only chooses among the values of a per-CPU map; runs exclude
// each other, so that one will do.
func (h *host) CPU() int {
	if !h.needs.cpu {
		return 0
	}
	// proc_pid_stat(5): processor is field 39; the name, field 2, may hold anything up to the last ")".
	stat := h.read("stat")
	if i := bytes.LastIndexByte(stat, ')'); i >= 0 {
		if f := bytes.Fields(stat[i+1:]); len(f) > 36 {
			if n, err := strconv.Atoi(string(f[36])); err == nil {
				return n
			}
		}
	}
	return 0
}

// read reads a small file of /proc/PID/task/TID.
func (h *host) read(name string) []byte {
	h.path = fmt.Appendf(h.path[:0], "/proc/%d/task/%d/%s", h.pid, h.tid, name)
	fd, err := unix.Open(string(h.path), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, h.buf[:])
	if err != nil || n < 0 {
		return nil
	}
	return h.buf[:n]
}

func clock(id int32) uint64 {
	var ts unix.Timespec
	if unix.ClockGettime(id, &ts) != nil {
		return 0
	}
	return uint64(ts.Nano())
}

// Monotonic is CLOCK_MONOTONIC.
func (h *host) Monotonic() uint64 { return clock(unix.CLOCK_MONOTONIC) }

// Boottime is CLOCK_BOOTTIME.
func (h *host) Boottime() uint64 { return clock(unix.CLOCK_BOOTTIME) }

// Printk hands the text on.
func (h *host) Printk(text string) {
	if h.printk != nil {
		h.printk(text)
	}
}

// own makes h the host of a program that runs for gtrace itself.
func (h *host) own() {
	h.pid, h.tid = os.Getpid(), unix.Gettid()
}
