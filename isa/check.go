package isa

import "fmt"

// Field names a field of an instruction slot.
type Field uint8

// The fields of a slot (RFC 9669 §3.1).
const (
	FieldOp Field = iota
	FieldDst
	FieldSrc
	FieldOff
	FieldImm
	FieldSecond // the second slot of a wide instruction
)

var fieldNames = [...]string{"opcode", "destination register", "source register", "offset", "immediate", "second slot"}

func (f Field) String() string { return fieldNames[f] }

// EncodingError says which field of an instruction is malformed.
type EncodingError struct {
	Insn  Insn
	Field Field
	Value int64
	Want  string // what would be right
}

func (e *EncodingError) Error() string {
	if e.Field == FieldSecond {
		return fmt.Sprintf("malformed 64-bit load: %s", e.Want)
	}
	return fmt.Sprintf("malformed instruction: %s is %#x, expected %s", e.Field, e.Value, e.Want)
}

// Validate says whether i is a well-formed instruction by its own bits:
// a known opcode, existing registers, zero in fields it does not use. For a
// wide instruction next is its second slot, nil where there is none. The error
// is an *EncodingError. It does not judge what an instruction does: targets of
// jumps, writes to r10 and which pseudo sources a program may use are the verifier's.
func Validate(i Insn, next *Insn) error {
	if i.Dst > R10 {
		return bad(i, FieldDst, "r0 to r10")
	}
	if i.Src > R10 {
		return bad(i, FieldSrc, "r0 to r10")
	}
	switch i.Class() {
	case ClassALU, ClassALU64:
		return checkALU(i)
	case ClassJMP, ClassJMP32:
		return checkJump(i)
	case ClassLD:
		return checkLD(i, next)
	case ClassSTX:
		if i.Mode() == ModeATOMIC {
			return checkAtomic(i)
		}
	}
	return checkMem(i)
}

func bad(i Insn, f Field, want string) error {
	v := map[Field]int64{
		FieldOp: int64(i.Op), FieldDst: int64(i.Dst), FieldSrc: int64(i.Src),
		FieldOff: int64(i.Off), FieldImm: int64(i.Imm),
	}[f]
	return &EncodingError{i, f, v, want}
}

// zero demands that unused fields are zero.
func zero(i Insn, fields ...Field) error {
	for _, f := range fields {
		v := map[Field]int64{FieldDst: int64(i.Dst), FieldSrc: int64(i.Src), FieldOff: int64(i.Off), FieldImm: int64(i.Imm)}[f]
		if v != 0 {
			return bad(i, f, "0 (the field is not used)")
		}
	}
	return nil
}

func checkALU(i Insn) error {
	switch i.Operation() {
	case End:
		if i.Op == ClassALU64|End|SrcX {
			return bad(i, FieldOp, "a byte swap without register source")
		}
		if i.Imm != 16 && i.Imm != 32 && i.Imm != 64 {
			return bad(i, FieldImm, "16, 32 or 64")
		}
		return zero(i, FieldSrc, FieldOff)
	case Neg:
		if i.UsesReg() {
			return bad(i, FieldOp, "a negation without register source")
		}
		return zero(i, FieldSrc, FieldOff, FieldImm)
	case 0xe0, 0xf0:
		return bad(i, FieldOp, "an arithmetic operation (RFC 9669 §4.1)")
	}
	if err := checkALUOffset(i); err != nil {
		return err
	}
	if !i.UsesReg() {
		return zero(i, FieldSrc)
	}
	if i.Operation() == Mov && i.Class() == ClassALU64 && i.Off == 1 {
		if i.Imm != 1 && i.Imm != 1<<16 {
			return bad(i, FieldImm, "address spaces 0 to 1 or 1 to 0")
		}
		return nil
	}
	return zero(i, FieldImm)
}

// checkALUOffset checks the field that selects signed division, sign
// extension and address space casts.
func checkALUOffset(i Insn) error {
	switch i.Operation() {
	case Div, Mod:
		if i.Off != 0 && i.Off != 1 {
			return bad(i, FieldOff, "0, or 1 for a signed operation")
		}
	case Mov:
		ok := i.Off == 0
		if i.UsesReg() {
			ok = ok || i.Off == 8 || i.Off == 16 || i.Class() == ClassALU64 && (i.Off == 32 || i.Off == 1)
		}
		if !ok {
			return bad(i, FieldOff, "0, or from a register 8, 16, 32 (sign extension), 1 (address space cast; both only in 64-bit moves)")
		}
	default:
		return zero(i, FieldOff)
	}
	return nil
}

func checkJump(i Insn) error {
	switch i.Op {
	case ClassJMP | Ja:
		return zero(i, FieldDst, FieldSrc, FieldImm)
	case ClassJMP32 | Ja:
		return zero(i, FieldDst, FieldSrc, FieldOff)
	case ClassJMP | Jcond:
		return zero(i, FieldDst, FieldSrc, FieldImm)
	case ClassJMP | Exit:
		return zero(i, FieldDst, FieldSrc, FieldOff, FieldImm)
	case ClassJMP | Call:
		if i.Src > CallKfunc {
			return bad(i, FieldSrc, "0 (helper), 1 (function) or 2 (kfunc)")
		}
		if i.Src == CallKfunc {
			return zero(i, FieldDst)
		}
		return zero(i, FieldDst, FieldOff)
	case ClassJMP | Call | SrcX:
		return bad(i, FieldOp, "a call by number: compilers can write calls through registers, no kernel takes them")
	}
	switch i.Operation() {
	case Ja, Call, Exit, Jcond, 0xf0:
		return bad(i, FieldOp, "a jump operation (RFC 9669 §4.3)")
	}
	if i.UsesReg() {
		return zero(i, FieldImm)
	}
	return zero(i, FieldSrc)
}

func checkLD(i Insn, next *Insn) error {
	switch {
	case i.IsWide():
		return checkWide(i, next)
	case i.Mode() == ModeABS && i.Size() != SizeDW:
		return zero(i, FieldDst, FieldSrc, FieldOff)
	case i.Mode() == ModeIND && i.Size() != SizeDW:
		return zero(i, FieldDst, FieldOff)
	}
	return bad(i, FieldOp, "a 64-bit immediate load (0x18) or a legacy packet load")
}

func checkWide(i Insn, next *Insn) error {
	if i.Src > PseudoMapIdxValue {
		return bad(i, FieldSrc, "0 to 6 (RFC 9669 §5.4)")
	}
	if i.Off != 0 {
		return zero(i, FieldOff)
	}
	if next == nil {
		return &EncodingError{i, FieldSecond, 0, "its second slot is missing"}
	}
	if next.Op != 0 || next.Dst != 0 || next.Src != 0 || next.Off != 0 {
		return &EncodingError{i, FieldSecond, 0, "only the immediate of its second slot may be set"}
	}
	if next.Imm != 0 && (i.Src == PseudoMapFD || i.Src == PseudoMapIdx || i.Src == PseudoFunc) {
		return &EncodingError{i, FieldSecond, int64(next.Imm), "the second immediate must be 0 here"}
	}
	return nil
}

func checkMem(i Insn) error {
	switch {
	case i.Mode() == ModeMEM && i.Class() == ClassST:
		return zero(i, FieldSrc)
	case i.Mode() == ModeMEM:
		return zero(i, FieldImm)
	case i.Mode() == ModeMEMSX && i.Class() == ClassLDX && i.Size() != SizeDW:
		return zero(i, FieldImm)
	}
	return bad(i, FieldOp, "a load or store (RFC 9669 §5)")
}

func checkAtomic(i Insn) error {
	if i.Imm == LoadAcquire || i.Imm == StoreRelease {
		return nil
	}
	if i.Size() != SizeW && i.Size() != SizeDW {
		return bad(i, FieldOp, "an atomic operation of 4 or 8 bytes")
	}
	switch i.Imm &^ AtomicFetch {
	case AtomicAdd, AtomicOr, AtomicAnd, AtomicXor:
		return nil
	}
	if i.Imm == AtomicXchg || i.Imm == AtomicCmpXchg {
		return nil
	}
	return bad(i, FieldImm, "an atomic operation (RFC 9669 §5.3)")
}
