package testkit

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/internal/testkit/sound"
	"github.com/gtrace-dev/gtrace/verify"
	"github.com/gtrace-dev/gtrace/vm"
	"github.com/gtrace-dev/gtrace/vm/helper"
	"github.com/gtrace-dev/gtrace/vm/maps"
	"golang.org/x/sys/unix"
)

// This file runs a case's program in this process, every access checked,
// and every instruction that runs held against what the verifier has seen.

// maxStates bounds how many states of a program are kept to compare runs with.
const maxStates = 20_000

// interpreter is a machine of the vm's.
type interpreter struct {
	mem  *maps.Memory
	maps map[string]*maps.Map
	prog *vm.Program
	run  *sound.Run // nil: not every path can be walked to its end
}

func newInterpreter(v *verify.Verified) (*interpreter, error) {
	mem, err := maps.NewMemory()
	if err != nil {
		return nil, err
	}
	in := &interpreter{mem: mem, maps: map[string]*maps.Map{}}
	for _, def := range v.Image().Maps {
		if in.maps[def.Name], err = mem.Create(def); err != nil {
			in.Close()
			return nil, err
		}
	}
	step := func(insn int, _ []uint64) error {
		if rows := v.Facts().Insns; insn >= len(rows) || !rows[insn].Reached {
			return fmt.Errorf("instruction %d runs, but the verifier never came there", insn)
		}
		return nil
	}
	seen, err := sound.Walk(v.Image(), maxStates)
	switch {
	case err == nil:
		in.run = seen.Run(in.maps)
		step = in.run.Step
	case !errors.Is(err, sound.ErrIncomplete):
		in.Close()
		return nil, fmt.Errorf("accepted, but not when every path is walked to its end: %w", err)
	}
	if in.prog, err = vm.Load(v, in.maps, vm.Options{Check: true, Step: step}); err != nil {
		in.Close()
		return nil, err
	}
	return in, nil
}

func (in *interpreter) Run(ctx []byte) (uint64, error) {
	if in.run != nil {
		in.run.Begin()
	}
	return in.prog.Run(self{}, ctx)
}

func (in *interpreter) Close() { _ = in.mem.Close() }

func (in *interpreter) find(name string) (*maps.Map, error) {
	if m := in.maps[name]; m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("no map %q", name)
}

func (in *interpreter) Update(name string, key, value []byte) error {
	m, err := in.find(name)
	if err != nil {
		return err
	}
	return m.Update(key, value, 0)
}

func (in *interpreter) Lookup(name string, key []byte) ([][]byte, error) {
	m, err := in.find(name)
	if err != nil {
		return nil, err
	}
	return m.Lookup(key)
}

// errOne stops Consume behind one record.
var errOne = errors.New("one record")

func (in *interpreter) Record(name string) (rec []byte, err error) {
	m, err := in.find(name)
	if err != nil {
		return nil, err
	}
	if m.Type() != abi.MapRingBuf {
		return nil, fmt.Errorf("map %s is no ring buffer", name)
	}
	_, err = m.Consume(func(r []byte) error {
		rec = append([]byte{}, r...)
		return errOne
	})
	if errors.Is(err, errOne) {
		err = nil
	}
	return rec, err
}

// self is this process as a helper.Host.
type self struct{}

func (self) ReadUser(addr uint64, dst []byte) error {
	if len(dst) == 0 {
		return nil
	}
	n, err := unix.ProcessVMReadv(os.Getpid(), []unix.Iovec{{Base: &dst[0], Len: uint64(len(dst))}},
		[]unix.RemoteIovec{{Base: uintptr(addr), Len: len(dst)}}, 0)
	if err == nil && n != len(dst) {
		err = unix.EFAULT
	}
	return err
}

func (self) ReadKernel(uint64, []byte) error { return unix.EFAULT }

func (self) Task() helper.Task {
	t := helper.Task{TGID: uint32(os.Getpid()), TID: uint32(unix.Gettid()), UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	copy(t.Comm[:15], "testkit")
	return t
}

func (self) CPU() int { return 0 }

func (self) Monotonic() uint64 { return uint64(time.Since(start)) + 1 }

func (self) Boottime() uint64 { return uint64(time.Since(start)) + 1 }

func (self) Printk(string) {}

var start = time.Now()

var _ helper.Host = self{}
