// Package kernel runs verified programs on the Linux kernel's own BPF: it
// loads them by bpf(2), attaches them, and hands out what they send.
package kernel

// Defines Engine, and what a place is attached by.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/engine"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/place"
	"golang.org/x/sys/unix"
)

// Options of the engine. The zero value is what gtrace uses.
type Options struct {
	// PerfUprobes attaches uprobes by perf events, as on kernels before 6.10,
	// also where there are uprobe_multi links, which fire and detach faster.
	PerfUprobes bool
}

// Engine implements engine.Engine.
type Engine struct{ opts Options }

// New makes an engine. Nothing is asked of the kernel before Attach.
func New(opts Options) *Engine { return &Engine{opts} }

// Name is "kernel".
func (*Engine) Name() string { return "kernel" }

// Attach implements engine.Engine. ctx bounds attaching only. A probe of the
// kernel fires for every process, whatever the target is; the session ends
// when the target does.
func (e *Engine) Attach(ctx context.Context, bound []engine.Bound, t engine.Target) (engine.Session, error) {
	bs := make([]bind, len(bound))
	for i, b := range bound {
		bs[i] = bind{b.Program.Image(), b.Place}
	}
	s, err := attach(ctx, bs, t, e.opts)
	if err != nil {
		return nil, err // not s: an interface that holds a nil *session is not nil
	}
	return s, nil
}

// bind is a program and its place.
type bind struct {
	img   *image.Image
	place place.Place
}

// multiSince is the kernel from which a uprobe_multi link with a PID fires in
// every thread of the process; before, in its first one only.
var multiSince = abi.V(6, 10)

// multiUprobes reports whether uprobes are attached by uprobe_multi links.
func multiUprobes(o Options) (bool, error) {
	if o.PerfUprobes {
		return false, nil
	}
	t, err := image.Running()
	return err == nil && t.Version >= multiSince, err
}

// pmuDir describes the kernel's uprobe event source.
const pmuDir = "/sys/bus/event_source/devices/uprobe"

// uprobePMU reads the type number that perf_event_open(2) wants for uprobes,
// and the bit of its config that makes a uretprobe.
func uprobePMU() (typ uint32, ret uint64, err error) {
	b, err := os.ReadFile(pmuDir + "/type")
	if err != nil {
		return 0, 0, fmt.Errorf("the kernel has no uprobes (CONFIG_UPROBE_EVENTS): %w", err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	if err != nil {
		return 0, 0, fmt.Errorf("%s/type: %w", pmuDir, err)
	}
	b, err = os.ReadFile(pmuDir + "/format/retprobe")
	if err != nil {
		return 0, 0, fmt.Errorf("the kernel has no uretprobes: %w", err)
	}
	field, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "config:")
	bit, err := strconv.ParseUint(field, 10, 6)
	if !ok || err != nil {
		return 0, 0, fmt.Errorf("%s/format/retprobe: %q: expected config:BIT", pmuDir, b)
	}
	return uint32(n), 1 << bit, nil
}

// Permitted says whether this process may use the engine: nil, or why not.
func Permitted() error {
	insns := []isa.Insn{{Op: isa.ClassALU64 | isa.Mov}, {Op: isa.ClassJMP | isa.Exit}}
	fd, _, err := progLoad(&loadAttr{progType: uint32(abi.Kprobe)}, insns, "GPL", 0)
	switch {
	case errors.Is(err, unix.ENOSYS):
		return errors.New("this kernel has no bpf(2) (CONFIG_BPF_SYSCALL)")
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return errors.New("bpf(2) is not permitted: it needs root, or CAP_BPF and CAP_PERFMON, and no policy (seccomp, lockdown) against it")
	case err != nil:
		return fmt.Errorf("bpf(2) does not load even an empty program: %w", err)
	}
	unix.Close(fd)
	_, _, err = uprobePMU()
	return err
}
