package vm

import (
	"encoding/binary"
	"errors"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/vm/helper"
	"github.com/gtrace-dev/gtrace/vm/maps"
	"golang.org/x/sys/unix"
)

// This file defines what tests of programs share: a short way to write them,
// and the running kernel as the oracle (BPF_PROG_TEST_RUN of raw tracepoint programs).

func alu64(op uint8, dst, src isa.Reg) isa.Insn {
	return isa.Insn{Op: isa.ClassALU64 | op | isa.SrcX, Dst: dst, Src: src}
}

func alu64K(op uint8, dst isa.Reg, imm int32) isa.Insn {
	return isa.Insn{Op: isa.ClassALU64 | op, Dst: dst, Imm: imm}
}

func movR(dst, src isa.Reg) isa.Insn     { return alu64(isa.Mov, dst, src) }
func movK(dst isa.Reg, v int32) isa.Insn { return alu64K(isa.Mov, dst, v) }
func call(id int32) isa.Insn             { return isa.Insn{Op: isa.ClassJMP | isa.Call, Imm: id} }
func callLocal(slots int32) isa.Insn {
	return isa.Insn{Op: isa.ClassJMP | isa.Call, Src: isa.CallLocal, Imm: slots}
}
func exit() isa.Insn        { return isa.Insn{Op: isa.ClassJMP | isa.Exit} }
func ja(off int16) isa.Insn { return isa.Insn{Op: isa.ClassJMP | isa.Ja, Off: off} }
func jmpK(op uint8, dst isa.Reg, imm int32, off int16) isa.Insn {
	return isa.Insn{Op: isa.ClassJMP | op, Dst: dst, Imm: imm, Off: off}
}
func ldx(size uint8, dst, src isa.Reg, off int16) isa.Insn {
	return isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | size, Dst: dst, Src: src, Off: off}
}
func ldxs(size uint8, dst, src isa.Reg, off int16) isa.Insn {
	return isa.Insn{Op: isa.ClassLDX | isa.ModeMEMSX | size, Dst: dst, Src: src, Off: off}
}
func stx(size uint8, dst isa.Reg, off int16, src isa.Reg) isa.Insn {
	return isa.Insn{Op: isa.ClassSTX | isa.ModeMEM | size, Dst: dst, Src: src, Off: off}
}
func st(size uint8, dst isa.Reg, off int16, imm int32) isa.Insn {
	return isa.Insn{Op: isa.ClassST | isa.ModeMEM | size, Dst: dst, Off: off, Imm: imm}
}
func atomicOp(size uint8, dst isa.Reg, off int16, src isa.Reg, op int32) isa.Insn {
	return isa.Insn{Op: isa.ClassSTX | isa.ModeATOMIC | size, Dst: dst, Src: src, Off: off, Imm: op}
}
func wide(dst, pseudo isa.Reg, v uint64) []isa.Insn {
	w := isa.Wide(dst, pseudo, v)
	return w[:]
}
func mapIdx(dst isa.Reg, i int) []isa.Insn { return wide(dst, isa.PseudoMapIdx, uint64(i)) }

// prog joins instructions and slices of them.
func prog(parts ...any) (out []isa.Insn) {
	for _, p := range parts {
		switch p := p.(type) {
		case isa.Insn:
			out = append(out, p)
		case []isa.Insn:
			out = append(out, p...)
		default:
			panic("not instructions")
		}
	}
	return out
}

// self is a Host that looks into the test's own process.
type self struct{ printed []string }

func (*self) ReadUser(addr uint64, dst []byte) error {
	local := []unix.Iovec{{Base: &dst[0], Len: uint64(len(dst))}}
	remote := []unix.RemoteIovec{{Base: uintptr(addr), Len: len(dst)}}
	n, err := unix.ProcessVMReadv(unix.Getpid(), local, remote, 0)
	if err == nil && n != len(dst) {
		err = syscall.EFAULT
	}
	return err
}
func (*self) ReadKernel(uint64, []byte) error { return syscall.EFAULT }
func (*self) Task() (t helper.Task) {
	t.TGID, t.TID = uint32(unix.Getpid()), uint32(unix.Gettid())
	t.UID, t.GID = uint32(unix.Getuid()), uint32(unix.Getgid())
	unix.Prctl(unix.PR_GET_NAME, uintptr(unsafe.Pointer(&t.Comm)), 0, 0, 0)
	return t
}
func (*self) CPU() int             { return 0 }
func (*self) Monotonic() uint64    { return clock(unix.CLOCK_MONOTONIC) }
func (*self) Boottime() uint64     { return clock(unix.CLOCK_BOOTTIME) }
func (s *self) Printk(text string) { s.printed = append(s.printed, text) }

func clock(id int32) uint64 {
	var ts unix.Timespec
	unix.ClockGettime(id, &ts)
	return uint64(ts.Nano())
}

func imageOf(insns []isa.Insn, defs ...*object.Map) *image.Image {
	return &image.Image{Program: "test", License: "GPL", Attach: abi.Attach{Type: abi.RawTracepoint},
		Insns: insns, Subprogs: []image.Subprog{{Name: "test"}}, Maps: defs}
}

// memory makes the maps of defs, by name.
func memory(t testing.TB, defs ...*object.Map) map[string]*maps.Map {
	t.Helper()
	mem, err := maps.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mem.Close() })
	byName := map[string]*maps.Map{}
	for _, d := range defs {
		if byName[d.Name], err = mem.Create(d); err != nil {
			t.Fatal(err)
		}
	}
	return byName
}

// start loads insns without facts.
func start(t testing.TB, opts Options, insns []isa.Insn, defs ...*object.Map) (*Program, map[string]*maps.Map) {
	t.Helper()
	byName := memory(t, defs...)
	p, err := load(imageOf(insns, defs...), nil, byName, opts)
	if err != nil {
		t.Fatal(err)
	}
	return p, byName
}

func words(v ...uint64) []byte {
	b := make([]byte, 8*len(v))
	for i, x := range v {
		binary.NativeEndian.PutUint64(b[8*i:], x)
	}
	return b
}

// kernelProgram is a program in the running kernel.
type kernelProgram struct {
	fd   int
	maps []*ebpf.Map
}

var bpfPermitted = sync.OnceValue(func() error {
	fd, err := loadKernel([]isa.Insn{movK(0, 0), exit()})
	if err != nil {
		return err
	}
	return unix.Close(fd)
})

func needKernel(t testing.TB) {
	t.Helper()
	if err := bpfPermitted(); err != nil {
		t.Skipf("bpf(2) is not permitted here: %v", err)
	}
}

type progLoad struct {
	Type, Count    uint32
	Insns, License uint64
	LogLevel, Size uint32
	Log            uint64
	KernVersion    uint32
	Flags          uint32
	Name           [16]byte
}

type verifierError struct {
	error
	log string
}

func loadKernel(insns []isa.Insn) (int, error) {
	code := make([]byte, 8*len(insns))
	for i, in := range insns {
		in.Encode(code[8*i:], binary.NativeEndian)
	}
	license := []byte("GPL\x00")
	log := make([]byte, 1<<16)
	a := progLoad{Type: uint32(abi.RawTracepoint), Count: uint32(len(insns)), LogLevel: 1, Size: uint32(len(log))}
	a.Insns, a.License, a.Log = addr(code), addr(license), addr(log)
	fd, _, e := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&a)), unsafe.Sizeof(a))
	for e == unix.EAGAIN { // a signal came, as Go's scheduler sends them
		fd, _, e = unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&a)), unsafe.Sizeof(a))
	}
	runtime.KeepAlive(code)
	runtime.KeepAlive(license)
	if e != 0 {
		return -1, &verifierError{e, unix.ByteSliceToString(log)}
	}
	return int(fd), nil
}

func addr(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }

// tryKernel loads insns into the kernel, with maps for defs.
func tryKernel(t testing.TB, insns []isa.Insn, defs ...*object.Map) (*kernelProgram, error) {
	t.Helper()
	k := &kernelProgram{}
	for _, d := range defs {
		m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.MapType(d.Type), KeySize: d.KeySize, ValueSize: d.ValueSize, MaxEntries: d.MaxEntries, Flags: d.Flags})
		if err != nil {
			t.Fatalf("map %s: %v", d.Name, err)
		}
		t.Cleanup(func() { m.Close() })
		k.maps = append(k.maps, m)
	}
	linked := append([]isa.Insn(nil), insns...)
	for i := range linked {
		switch {
		case linked[i].IsWide() && linked[i].Src == isa.PseudoMapIdx:
			linked[i].Src, linked[i].Imm = isa.PseudoMapFD, int32(k.maps[linked[i].Imm].FD())
		case linked[i].IsWide() && linked[i].Src == isa.PseudoMapIdxValue:
			linked[i].Src, linked[i].Imm = isa.PseudoMapValue, int32(k.maps[linked[i].Imm].FD())
		}
	}
	var err error
	if k.fd, err = loadKernel(linked); err != nil {
		return nil, err
	}
	t.Cleanup(func() { unix.Close(k.fd) })
	return k, nil
}

func kernel(t testing.TB, insns []isa.Insn, defs ...*object.Map) *kernelProgram {
	t.Helper()
	k, err := tryKernel(t, insns, defs...)
	if err != nil {
		var v *verifierError
		errors.As(err, &v)
		t.Fatalf("kernel: %v\n%s", err, v.log)
	}
	return k
}

type testRun struct {
	FD, Retval              uint32
	InSize, OutSize         uint32
	In, Out                 uint64
	Repeat, Duration        uint32
	CtxInSize, CtxOutSize   uint32
	CtxIn, CtxOut           uint64
	Flags, CPU, Batch, _pad uint32
}

// run runs the program on ctx and returns the lower half of R0.
func (k *kernelProgram) run(t testing.TB, ctx []byte) uint32 {
	t.Helper()
	a := testRun{FD: uint32(k.fd), CtxInSize: uint32(len(ctx)), CtxIn: addr(ctx)}
	_, _, e := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_TEST_RUN, uintptr(unsafe.Pointer(&a)), unsafe.Sizeof(a))
	runtime.KeepAlive(ctx)
	if e != 0 {
		t.Fatalf("BPF_PROG_TEST_RUN: %v", e)
	}
	return a.Retval
}
