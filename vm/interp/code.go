// Package interp runs decoded BPF instructions: a plain switch, the reference
// that other ways of running are compared with. RFC 9669 gives the meaning of
// instructions; where it leaves room, they mean what they mean on Linux.
//
// It knows nothing of the verifier's reasoning: it takes facts for where a
// load goes through the Host, and in checking mode trusts none of them.
package interp

import (
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/vm/helper"
)

// This file defines the decoded instruction.

// op is a decoded instruction. Jumps lead to an index of Code.ops.
type op struct {
	code uint16
	dst  uint8
	src  uint8
	off  int32 // memory: offset; jumps and local calls: index of the target
	imm  uint64
}

// Codes up to 255 are opcodes as they are, with Off 0. These are the rest.
const (
	sdiv64K uint16 = 256 + iota
	sdiv64X
	sdiv32K
	sdiv32X
	smod64K
	smod64X
	smod32K
	smod32X
	movsx64b
	movsx64h
	movsx64w
	movsx32b
	movsx32h
	le16
	le32
	be16
	be32
	be64
	swap16
	swap32
	swap64
	nop
	loadImm
	loadFunc
	gotol
	mayGoto
	callHelper
	callLocal
	callUserCast
	callFault
	loadUserB // loads through the Host: B, H, W, DW, then sign-extending
	loadUserH
	loadUserW
	loadUserDW
	loadUserSB
	loadUserSH
	loadUserSW
	loadKernelB
	loadKernelH
	loadKernelW
	loadKernelDW
	loadKernelSB
	loadKernelSH
	loadKernelSW
	atomic32
	atomic64
	fetch32
	fetch64
	acquire
	release
	step     // checking mode: before each instruction
	checkMem // checking mode: before each access; imm is its size, with checkWrite
	checkCall
	checkFrame // checking mode: an instruction that writes R10
	fell       // behind the last instruction
	dead       // an instruction that the verifier found unreachable
)

// Opcodes as they are written in the switch.
const (
	alu64K = uint16(isa.ClassALU64)
	alu64X = uint16(isa.ClassALU64 | isa.SrcX)
	alu32K = uint16(isa.ClassALU)
	alu32X = uint16(isa.ClassALU | isa.SrcX)
	jmp64K = uint16(isa.ClassJMP)
	jmp64X = uint16(isa.ClassJMP | isa.SrcX)
	jmp32K = uint16(isa.ClassJMP32)
	jmp32X = uint16(isa.ClassJMP32 | isa.SrcX)
	ldx    = uint16(isa.ClassLDX | isa.ModeMEM)
	ldxs   = uint16(isa.ClassLDX | isa.ModeMEMSX)
	st     = uint16(isa.ClassST | isa.ModeMEM)
	stx    = uint16(isa.ClassSTX | isa.ModeMEM)

	add  = uint16(isa.Add)
	sub  = uint16(isa.Sub)
	mul  = uint16(isa.Mul)
	div  = uint16(isa.Div)
	or   = uint16(isa.Or)
	and  = uint16(isa.And)
	lsh  = uint16(isa.Lsh)
	rsh  = uint16(isa.Rsh)
	neg  = uint16(isa.Neg)
	mod  = uint16(isa.Mod)
	xor  = uint16(isa.Xor)
	mov  = uint16(isa.Mov)
	arsh = uint16(isa.Arsh)

	ja   = uint16(isa.Ja)
	jeq  = uint16(isa.Jeq)
	jgt  = uint16(isa.Jgt)
	jge  = uint16(isa.Jge)
	jset = uint16(isa.Jset)
	jne  = uint16(isa.Jne)
	jsgt = uint16(isa.Jsgt)
	jsge = uint16(isa.Jsge)
	exit = uint16(isa.Exit)
	jlt  = uint16(isa.Jlt)
	jle  = uint16(isa.Jle)
	jslt = uint16(isa.Jslt)
	jsle = uint16(isa.Jsle)

	szB  = uint16(isa.SizeB)
	szH  = uint16(isa.SizeH)
	szW  = uint16(isa.SizeW)
	szDW = uint16(isa.SizeDW)
)

// Code is a decoded program. It is read-only and may be run by many Machines at once.
type Code struct {
	ops   []op
	slots []int32 // of each op
	calls []call  // helpers, by the imm of callHelper
	check bool
	ctx   int // bytes of context that a program may read
	write func(off, n int) bool
}

type call struct {
	fn helper.Func
	id int32
}
