package trap

// This file defines what depends on the processor.

import (
	"fmt"
	"runtime"
)

// registers is the kernel's struct user_regs_struct, as 64-bit words.
type registers [27]uint64

// arch holds the facts about a processor that traps depend on.
type arch struct {
	goarch     string
	breakpoint byte   // the one-byte breakpoint instruction
	syscall    []byte // the system call instruction

	// Indexes into registers.
	ip, sp, nr, orig, result int
	args                     [6]int
	contextSize              int // bytes of registers that make struct pt_regs

	sysMmap, sysMunmap uint64
	elfMachine         uint16
}

// amd64 follows arch/x86/include/asm/user_64.h (struct user_regs_struct) and
// the System V ABI.
var amd64 = arch{
	goarch:     "amd64",
	breakpoint: 0xcc,
	syscall:    []byte{0x0f, 0x05},
	ip:         16, sp: 19, nr: 10, orig: 15, result: 10,
	args:        [6]int{14, 13, 12, 7, 9, 8}, // rdi rsi rdx r10 r8 r9
	contextSize: 168,
	sysMmap:     9, sysMunmap: 11,
	elfMachine: 62,
}

func hostArch() (*arch, error) {
	if runtime.GOARCH == amd64.goarch {
		return &amd64, nil
	}
	return nil, fmt.Errorf("unsupported: user-space probes on %s (so far: %s)", runtime.GOARCH, amd64.goarch)
}
