package usertype

// arch.go has what depends on the machine: register numbers and the frame at a function's entry.

import (
	"debug/elf"
	"fmt"
)

// Expression operations of DWARF 5 §7.7.1.
const (
	opAddr          = 0x03
	opConst1u       = 0x08
	opConst1s       = 0x09
	opConst2u       = 0x0a
	opConst2s       = 0x0b
	opConst4u       = 0x0c
	opConst4s       = 0x0d
	opConst8u       = 0x0e
	opConst8s       = 0x0f
	opConstu        = 0x10
	opConsts        = 0x11
	opAnd           = 0x1a
	opMinus         = 0x1c
	opPlus          = 0x22
	opPlusUconst    = 0x23
	opLit0          = 0x30
	opLit31         = 0x4f
	opReg0          = 0x50
	opReg31         = 0x6f
	opBreg0         = 0x70
	opBreg31        = 0x8f
	opRegx          = 0x90
	opFbreg         = 0x91
	opBregx         = 0x92
	opPiece         = 0x93
	opNop           = 0x96
	opCallFrameCFA  = 0x9c
	opImplicitValue = 0x9e
	opStackValue    = 0x9f
	opEntryValue    = 0xa3
	opConvert       = 0xa8
	opGNUEntryValue = 0xf3
	opGNUConvert    = 0xf7

	opGNUParameterRef = 0xfa
)

var opNames = map[uint8]string{
	0x06: "DW_OP_deref", 0x12: "DW_OP_dup", 0x13: "DW_OP_drop", 0x14: "DW_OP_over", 0x15: "DW_OP_pick", 0x16: "DW_OP_swap",
	0x17: "DW_OP_rot", 0x18: "DW_OP_xderef", 0x19: "DW_OP_abs", 0x1b: "DW_OP_div", 0x1d: "DW_OP_mod",
	0x1e: "DW_OP_mul", 0x1f: "DW_OP_neg", 0x20: "DW_OP_not", 0x21: "DW_OP_or", 0x24: "DW_OP_shl", 0x25: "DW_OP_shr",
	0x26: "DW_OP_shra", 0x27: "DW_OP_xor", 0x28: "DW_OP_bra", 0x29: "DW_OP_eq", 0x2a: "DW_OP_ge", 0x2b: "DW_OP_gt",
	0x2c: "DW_OP_le", 0x2d: "DW_OP_lt", 0x2e: "DW_OP_ne", 0x2f: "DW_OP_skip", 0x94: "DW_OP_deref_size",
	0x97: "DW_OP_push_object_address", 0x9b: "DW_OP_form_tls_address", 0x9d: "DW_OP_bit_piece", 0xa0: "DW_OP_implicit_pointer",
	0xa1: "DW_OP_addrx", 0xa2: "DW_OP_constx", 0xa4: "DW_OP_const_type", 0xa5: "DW_OP_regval_type", 0xa6: "DW_OP_deref_type",
	0xa9: "DW_OP_reinterpret", 0xe0: "DW_OP_GNU_push_tls_address", 0xf2: "DW_OP_GNU_implicit_pointer",
	0xf4: "DW_OP_GNU_const_type", 0xf5: "DW_OP_GNU_regval_type", 0xf6: "DW_OP_GNU_deref_type",
	0xfd: "DW_OP_GNU_variable_value",
}

func opName(op uint8) string {
	if n := opNames[op]; n != "" {
		return n
	}
	return fmt.Sprintf("DW_OP %#x", op)
}

// DWARF register numbers of x86-64 (psABI, figure 3.36).
const (
	regRAX = 0
	regRDX = 1
	regRBP = 6
	regRSP = 7
)

func (b *Binary) stackPointer() int {
	if b.Machine() == elf.EM_AARCH64 {
		return 31
	}
	return regRSP
}

func (b *Binary) framePointer() int {
	if b.Machine() == elf.EM_AARCH64 {
		return 29
	}
	return regRBP
}

// entryCFA is the distance of the CFA from the stack pointer at a function's entry.
func (b *Binary) entryCFA() (int64, bool) {
	switch b.Machine() {
	case elf.EM_X86_64:
		return 8, true
	case elf.EM_AARCH64:
		return 0, true
	}
	return 0, false
}

// registerClass says why a value in register n can't be had, "" if it can.
func registerClass(b *Binary, n int) string {
	switch b.Machine() {
	case elf.EM_X86_64:
		switch {
		case n >= 0 && n <= 16:
			return ""
		case n >= 17 && n <= 32:
			return fmt.Sprintf("in SSE register xmm%d", n-17)
		case n >= 33 && n <= 40:
			return fmt.Sprintf("in x87 register st%d", n-33)
		}
	case elf.EM_AARCH64:
		switch {
		case n >= 0 && n <= 31:
			return ""
		case n >= 64 && n <= 95:
			return fmt.Sprintf("in vector register v%d", n-64)
		}
	}
	return fmt.Sprintf("in DWARF register %d", n)
}
