// Package isa defines BPF instructions: their 64-bit encoding (RFC 9669 §3),
// the names of opcodes, and the textual assembly that LLVM and the kernel print.
//
// It knows nothing of helpers, maps, programs or types.
package isa

import "encoding/binary"

// Slot is the size of one instruction slot in bytes (RFC 9669 §3). A wide
// instruction (64-bit immediate load) takes two slots and two Insns.
const Slot = 8

// Reg is a register number, 0 to 10. Other values can be encoded and are
// rejected by the verifier.
type Reg uint8

// R0 to R10 are BPF's registers (RFC 9669 §2.2); R10 is the read-only frame pointer.
const (
	R0 Reg = iota
	R1
	R2
	R3
	R4
	R5
	R6
	R7
	R8
	R9
	R10
)

// Insn is one 8-byte instruction slot, every bit of it. The second slot of a
// wide instruction is an Insn with Op 0, whose Imm holds the upper 32 bits.
type Insn struct {
	Op  uint8
	Dst Reg // low nibble of byte 1
	Src Reg // high nibble of byte 1
	Off int16
	Imm int32
}

// Instruction classes: bits 0 to 2 of the opcode (RFC 9669 §3.1).
const (
	ClassLD    uint8 = 0x00
	ClassLDX   uint8 = 0x01
	ClassST    uint8 = 0x02
	ClassSTX   uint8 = 0x03
	ClassALU   uint8 = 0x04
	ClassJMP   uint8 = 0x05
	ClassJMP32 uint8 = 0x06
	ClassALU64 uint8 = 0x07
)

// SrcK and SrcX select the second operand of ALU and JMP classes: immediate or register.
const (
	SrcK uint8 = 0x00
	SrcX uint8 = 0x08
)

// ALU and ALU64 operations: bits 4 to 7 (RFC 9669 §4.1).
const (
	Add  uint8 = 0x00
	Sub  uint8 = 0x10
	Mul  uint8 = 0x20
	Div  uint8 = 0x30 // Off 1: signed
	Or   uint8 = 0x40
	And  uint8 = 0x50
	Lsh  uint8 = 0x60
	Rsh  uint8 = 0x70
	Neg  uint8 = 0x80
	Mod  uint8 = 0x90 // Off 1: signed
	Xor  uint8 = 0xa0
	Mov  uint8 = 0xb0 // Off 8, 16, 32: sign-extending; ALU64 Off 1: address space cast
	Arsh uint8 = 0xc0
	End  uint8 = 0xd0 // ALU: to little (SrcK) or big (SrcX) endian; ALU64: swap unconditionally
)

// JMP and JMP32 operations: bits 4 to 7 (RFC 9669 §4.3).
const (
	Ja    uint8 = 0x00 // JMP: Off; JMP32: Imm (gotol)
	Jeq   uint8 = 0x10
	Jgt   uint8 = 0x20
	Jge   uint8 = 0x30
	Jset  uint8 = 0x40
	Jne   uint8 = 0x50
	Jsgt  uint8 = 0x60
	Jsge  uint8 = 0x70
	Call  uint8 = 0x80
	Exit  uint8 = 0x90
	Jlt   uint8 = 0xa0
	Jle   uint8 = 0xb0
	Jslt  uint8 = 0xc0
	Jsle  uint8 = 0xd0
	Jcond uint8 = 0xe0 // may_goto (Src 0)
)

// Load and store modes: bits 5 to 7 (RFC 9669 §5).
const (
	ModeIMM    uint8 = 0x00
	ModeABS    uint8 = 0x20
	ModeIND    uint8 = 0x40
	ModeMEM    uint8 = 0x60
	ModeMEMSX  uint8 = 0x80
	ModeATOMIC uint8 = 0xc0
)

// Load and store sizes: bits 3 and 4 (RFC 9669 §5).
const (
	SizeW  uint8 = 0x00 // 4 bytes
	SizeH  uint8 = 0x08 // 2
	SizeB  uint8 = 0x10 // 1
	SizeDW uint8 = 0x18 // 8
)

// Atomic operations, in Imm (RFC 9669 §5.3; load-acquire and store-release: include/uapi/linux/bpf.h).
const (
	AtomicAdd     int32 = 0x00
	AtomicOr      int32 = 0x40
	AtomicAnd     int32 = 0x50
	AtomicXor     int32 = 0xa0
	AtomicFetch   int32 = 0x01
	AtomicXchg    int32 = 0xe1
	AtomicCmpXchg int32 = 0xf1
	LoadAcquire   int32 = 0x100
	StoreRelease  int32 = 0x110
)

// LoadImm64 is the opcode of the 64-bit immediate load, the only wide instruction.
const LoadImm64 = ClassLD | ModeIMM | SizeDW

// Source-register values that give a 64-bit immediate load its meaning
// (RFC 9669 §5.4; include/uapi/linux/bpf.h: BPF_PSEUDO_*).
const (
	PseudoNone        Reg = 0
	PseudoMapFD       Reg = 1
	PseudoMapValue    Reg = 2
	PseudoBTFID       Reg = 3
	PseudoFunc        Reg = 4
	PseudoMapIdx      Reg = 5
	PseudoMapIdxValue Reg = 6
)

// Source-register values of a call (include/uapi/linux/bpf.h: BPF_PSEUDO_CALL, BPF_PSEUDO_KFUNC_CALL).
const (
	CallHelper Reg = 0
	CallLocal  Reg = 1
	CallKfunc  Reg = 2
)

// Class, Operation, Mode and Size pick the opcode's fields apart.
func (i Insn) Class() uint8     { return i.Op & 0x07 }
func (i Insn) Operation() uint8 { return i.Op & 0xf0 }
func (i Insn) Mode() uint8      { return i.Op & 0xe0 }
func (i Insn) Size() uint8      { return i.Op & 0x18 }

// UsesReg reports whether the second operand of an ALU or JMP instruction is a register.
func (i Insn) UsesReg() bool { return i.Op&SrcX != 0 }

// Bytes is the width in bytes of a load's or store's access.
func (i Insn) Bytes() int {
	switch i.Size() {
	case SizeB:
		return 1
	case SizeH:
		return 2
	case SizeW:
		return 4
	}
	return 8
}

// IsWide reports whether i is the first slot of a 64-bit immediate load.
func (i Insn) IsWide() bool { return i.Op == LoadImm64 }

// IsJump reports whether i belongs to a jump class (including calls and exit).
func (i Insn) IsJump() bool { c := i.Class(); return c == ClassJMP || c == ClassJMP32 }

// IsCall reports whether i is a call of any kind.
func (i Insn) IsCall() bool { return i.Op == ClassJMP|Call || i.Op == ClassJMP|Call|SrcX }

// IsExit reports whether i is exit.
func (i Insn) IsExit() bool { return i.Op == ClassJMP|Exit }

// Encode writes i into dst[:8] in byte order bo. Every field survives.
func (i Insn) Encode(dst []byte, bo binary.ByteOrder) {
	dst[0] = i.Op
	if bo == binary.ByteOrder(binary.BigEndian) {
		dst[1] = byte(i.Dst)<<4 | byte(i.Src)&0x0f
	} else {
		dst[1] = byte(i.Src)<<4 | byte(i.Dst)&0x0f
	}
	bo.PutUint16(dst[2:], uint16(i.Off))
	bo.PutUint32(dst[4:], uint32(i.Imm))
}

// Decode reads one slot from src[:8].
func Decode(src []byte, bo binary.ByteOrder) Insn {
	lo, hi := Reg(src[1]&0x0f), Reg(src[1]>>4)
	i := Insn{Op: src[0], Dst: lo, Src: hi, Off: int16(bo.Uint16(src[2:])), Imm: int32(bo.Uint32(src[4:]))}
	if bo == binary.ByteOrder(binary.BigEndian) {
		i.Dst, i.Src = hi, lo
	}
	return i
}

// Wide returns the two slots of a 64-bit immediate load.
func Wide(dst, pseudo Reg, v uint64) [2]Insn {
	return [2]Insn{
		{Op: LoadImm64, Dst: dst, Src: pseudo, Imm: int32(uint32(v))},
		{Imm: int32(uint32(v >> 32))},
	}
}

// Imm64 joins the immediate of the wide instruction whose slots are a and b.
func Imm64(a, b Insn) uint64 { return uint64(uint32(a.Imm)) | uint64(uint32(b.Imm))<<32 }
