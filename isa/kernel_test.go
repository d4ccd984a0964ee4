//go:build linux

package isa

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"regexp"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// progLoad is the part of union bpf_attr that loading needs
// (include/uapi/linux/bpf.h: BPF_PROG_LOAD).
type progLoad struct {
	progType, count   uint32
	insns, license    uint64
	logLevel, logSize uint32
	log               uint64
	_                 [80]byte
}

// kernelLoad offers a program to the kernel and returns what it says.
func kernelLoad(insns []Insn) (string, error) {
	code := make([]byte, Slot*len(insns))
	for i, in := range insns {
		in.Encode(code[i*Slot:], binary.NativeEndian)
	}
	log, license := make([]byte, 1<<14), []byte("GPL\x00")
	attr := progLoad{
		progType: 1, count: uint32(len(insns)), logLevel: 1, logSize: uint32(len(log)),
		insns:   uint64(uintptr(unsafe.Pointer(&code[0]))),
		license: uint64(uintptr(unsafe.Pointer(&license[0]))),
		log:     uint64(uintptr(unsafe.Pointer(&log[0]))),
	}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	runtime.KeepAlive(code)
	runtime.KeepAlive(license)
	log, _, _ = bytes.Cut(log, []byte{0})
	if errno != 0 {
		return string(log), errno
	}
	return string(log), unix.Close(int(fd))
}

// malformed matches what the kernel says of an encoding, not of what it does.
var malformed = regexp.MustCompile(`reserved field|unknown opcode|invalid (BPF|bpf)_|invalid atomic|R1[1-5] is invalid|invalid may_goto imm`)

// Where the kernel calls an encoding malformed, so do we; and it takes nothing
// that we call malformed.
func TestValidateAgainstKernel(t *testing.T) {
	exit := []Insn{{Op: ClassALU64 | Mov}, {Op: ClassJMP | Exit}}
	if log, err := kernelLoad(exit); err != nil {
		if errors.Is(err, unix.EPERM) {
			t.Skip("bpf(2) is not permitted")
		}
		t.Fatalf("%v\n%s", err, log)
	}
	r := rand.New(rand.NewPCG(7, 8))
	accepted := 0
	for op := range 256 {
		for range 40 {
			var prog []Insn
			for reg := R0; reg < R10; reg++ {
				prog = append(prog, Insn{Op: ClassALU64 | Mov, Dst: reg, Imm: 1})
			}
			prog[R6] = Insn{Op: ClassALU64 | Mov | SrcX, Dst: R6, Src: R1}
			in, next := randomInsn(r, uint8(op)), Insn{}
			if prog = append(prog, in); in.IsWide() {
				next.Imm = int32(r.IntN(2))
				prog = append(prog, next)
			}
			for range 33 { // for the offsets of randomInsn
				prog = append(prog, exit[0])
			}
			log, err := kernelLoad(append(prog, exit[1]))
			ours := Validate(in, &next)
			if err == nil {
				accepted++
			}
			if malformed.MatchString(log) && ours == nil || err == nil && ours != nil {
				t.Errorf("%s: ours %v, kernel %v\n%s", in, ours, err, log)
			}
		}
	}
	if accepted < 500 {
		t.Errorf("the kernel took %d programs only", accepted)
	}
}
