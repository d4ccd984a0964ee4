package interp

import (
	"fmt"
	"math/bits"
	"unsafe"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/facts"
	"github.com/gtrace-dev/gtrace/vm/helper"
	"github.com/gtrace-dev/gtrace/vm/maps"
)

// This file defines Decode: from an image's instructions to Code.

// Error is an instruction that cannot be run, or a run that had to end.
type Error struct {
	Program string
	Insn    int // slot; -1 for none
	Why     string
	Err     error // what Why comes from, when it is an error; else nil
}

func (e *Error) Error() string {
	if e.Insn < 0 {
		return fmt.Sprintf("program %q: %s", e.Program, e.Why)
	}
	return fmt.Sprintf("program %q: instruction %d: %s", e.Program, e.Insn, e.Why)
}

func (e *Error) Unwrap() error { return e.Err }

// decoder is the state of one Decode.
type decoder struct {
	img   *image.Image
	table *facts.Table // nil: every load is of plain memory
	maps  []*maps.Map  // of Image.Maps
	code  *Code
	start []int32 // index of each slot's first op; -1 for the second slot of a wide one
}

// Decode decodes img. facts may be nil; ms are the maps of img.Maps. With
// check set, the code checks every access when it runs.
func Decode(img *image.Image, table *facts.Table, ms []*maps.Map, check bool) (*Code, error) {
	d := &decoder{img: img, table: table, maps: ms, code: &Code{check: check}}
	if table != nil && len(table.Insns) != len(img.Insns) {
		return nil, d.fail(-1, fmt.Sprintf("%d rows of facts for %d instructions", len(table.Insns), len(img.Insns)))
	}
	if p := abi.ProgramFor(img.Attach); p != nil {
		d.code.ctx = p.Context.Size
		d.code.write = p.Context.CanStore
	}
	d.code.ops, d.code.slots = []op{{code: nop}}, []int32{-1} // no jump leads to op 0
	for i := 0; i < len(img.Insns); {
		n, err := d.insn(i)
		if err != nil {
			return nil, err
		}
		i += n
	}
	d.emit(len(img.Insns), op{code: fell})
	return d.code, d.link()
}

func (d *decoder) fail(insn int, why string) error {
	return &Error{Program: d.img.Program, Insn: insn, Why: why}
}

func (d *decoder) unsupported(insn int, what string) error {
	return d.fail(insn, "unsupported: "+what)
}

func (d *decoder) emit(slot int, o op) {
	for len(d.start) <= slot {
		d.start = append(d.start, -1)
	}
	if d.start[slot] < 0 {
		d.start[slot] = int32(len(d.code.ops))
	}
	d.code.ops = append(d.code.ops, o)
	d.code.slots = append(d.code.slots, int32(slot))
}

// insn decodes slot i and returns the number of slots it took.
func (d *decoder) insn(i int) (int, error) {
	in := d.img.Insns[i]
	if in.Dst > isa.R10 || in.Src > isa.R10 {
		return 0, d.fail(i, fmt.Sprintf("registers r%d, r%d: there is r0 to r10", in.Dst, in.Src))
	}
	if d.table != nil && !d.table.Insns[i].Reached {
		// What is never run may use what is not there, as in the kernel.
		d.emit(i, op{code: dead})
		if in.IsWide() && i+1 < len(d.img.Insns) {
			return 2, nil
		}
		return 1, nil
	}
	if d.code.check {
		d.emit(i, op{code: step, imm: uint64(i)})
		if in.Dst == isa.R10 && writesDst(in) || in.Src == isa.R10 && fetches(in) {
			d.emit(i, op{code: checkFrame})
		}
	}
	o := op{code: uint16(in.Op), dst: uint8(in.Dst), src: uint8(in.Src), off: int32(in.Off), imm: uint64(int64(in.Imm))}
	var err error
	switch in.Class() {
	case isa.ClassALU, isa.ClassALU64:
		err = d.alu(i, in, &o)
	case isa.ClassJMP, isa.ClassJMP32:
		return 1, d.jump(i, in, o)
	case isa.ClassLD:
		return d.wide(i, in)
	case isa.ClassLDX:
		err = d.load(i, in, &o)
	case isa.ClassST, isa.ClassSTX:
		err = d.store(i, in, &o)
	}
	if err == nil {
		d.emit(i, o)
	}
	return 1, err
}

func writesDst(in isa.Insn) bool {
	switch in.Class() {
	case isa.ClassALU, isa.ClassALU64, isa.ClassLD, isa.ClassLDX:
		return true
	}
	return false
}

func fetches(in isa.Insn) bool {
	return in.Class() == isa.ClassSTX && in.Mode() == isa.ModeATOMIC && in.Imm&isa.AtomicFetch != 0 && in.Imm != isa.AtomicCmpXchg
}

func (d *decoder) alu(i int, in isa.Insn, o *op) error {
	bad := func() error {
		return d.unsupported(i, fmt.Sprintf("opcode %#02x with offset %d, immediate %d", in.Op, in.Off, in.Imm))
	}
	wide := in.Class() == isa.ClassALU64
	pick := func(k64, x64, k32, x32 uint16) uint16 {
		switch {
		case wide && in.UsesReg():
			return x64
		case wide:
			return k64
		case in.UsesReg():
			return x32
		}
		return k32
	}
	switch in.Operation() {
	case isa.Div, isa.Mod:
		switch {
		case in.Off == 1 && in.Operation() == isa.Div:
			o.code = pick(sdiv64K, sdiv64X, sdiv32K, sdiv32X)
		case in.Off == 1:
			o.code = pick(smod64K, smod64X, smod32K, smod32X)
		case in.Off != 0:
			return bad()
		}
	case isa.Mov:
		return d.mov(in, o, bad)
	case isa.End:
		return swap(in, o, bad)
	case isa.Neg:
		if in.UsesReg() || in.Off != 0 {
			return bad()
		}
	case 0xe0, 0xf0:
		return bad()
	default:
		if in.Off != 0 {
			return bad()
		}
	}
	if !in.UsesReg() && (in.Operation() == isa.Lsh || in.Operation() == isa.Rsh || in.Operation() == isa.Arsh) {
		o.imm &= 63
		if !wide {
			o.imm &= 31
		}
	}
	return nil
}

func (d *decoder) mov(in isa.Insn, o *op, bad func() error) error {
	wide := in.Class() == isa.ClassALU64
	switch {
	case in.Off == 0:
		return nil
	case !in.UsesReg():
		return bad()
	case in.Off == 8 && wide:
		o.code = movsx64b
	case in.Off == 16 && wide:
		o.code = movsx64h
	case in.Off == 32 && wide:
		o.code = movsx64w
	case in.Off == 8:
		o.code = movsx32b
	case in.Off == 16:
		o.code = movsx32h
	default:
		return bad()
	}
	return nil
}

// bigEndian: this machine's byte order.
var bigEndian = func() bool { x := uint16(1); return *(*byte)(unsafe.Pointer(&x)) == 0 }()

func swap(in isa.Insn, o *op, bad func() error) error {
	codes := map[int32][4]uint16{ // unconditional, to the other order, to this one
		16: {swap16, be16, le16},
		32: {swap32, be32, le32},
		64: {swap64, be64, nop},
	}
	c, ok := codes[in.Imm]
	switch {
	case !ok || in.Off != 0:
		return bad()
	case in.Class() == isa.ClassALU64:
		if in.UsesReg() {
			return bad()
		}
		o.code = c[0]
	case in.UsesReg() != bigEndian: // to the byte order that this machine has not
		o.code = c[1]
	default:
		o.code = c[2]
	}
	return nil
}

func (d *decoder) jump(i int, in isa.Insn, o op) error {
	wide := in.Class() == isa.ClassJMP
	o.off = int32(i + 1 + int(in.Off)) // a slot, until link
	switch in.Operation() {
	case isa.Call:
		if !wide || in.UsesReg() {
			return d.unsupported(i, fmt.Sprintf("opcode %#02x (indirect call)", in.Op))
		}
		return d.call(i, in)
	case isa.Exit:
		if !wide || in.UsesReg() {
			return d.unsupported(i, fmt.Sprintf("opcode %#02x", in.Op))
		}
	case isa.Ja:
		if in.UsesReg() {
			return d.unsupported(i, fmt.Sprintf("opcode %#02x (indirect jump)", in.Op))
		}
		if !wide {
			o.code, o.off = gotol, int32(i+1+int(in.Imm))
		}
	case isa.Jcond:
		if !wide || in.UsesReg() || in.Src != 0 {
			return d.unsupported(i, fmt.Sprintf("opcode %#02x with source %d", in.Op, in.Src))
		}
		o.code = mayGoto
	case 0xf0:
		return d.unsupported(i, fmt.Sprintf("opcode %#02x", in.Op))
	}
	d.emit(i, o)
	return nil
}

func (d *decoder) call(i int, in isa.Insn) error {
	switch in.Src {
	case isa.CallLocal:
		d.emit(i, op{code: callLocal, off: int32(i + 1 + int(in.Imm))})
		return nil
	case isa.CallKfunc:
		switch in.Imm {
		case abi.KfuncUserCast:
			d.emit(i, op{code: callUserCast})
			return nil
		case abi.KfuncFault:
			d.emit(i, op{code: callFault})
			return nil
		}
		name := fmt.Sprintf("#%d", in.Imm)
		if fn := d.img.Kfuncs[in.Imm]; fn != nil {
			name = fn.Name
		}
		return d.unsupported(i, "kernel function "+name+" in gtrace's own engine")
	case isa.CallHelper:
		fn, err := helper.ByID(in.Imm)
		if err != nil {
			return &Error{Program: d.img.Program, Insn: i, Why: err.Error(), Err: err}
		}
		o := op{code: callHelper, imm: uint64(len(d.code.calls))}
		d.code.calls = append(d.code.calls, call{fn, in.Imm})
		if d.code.check {
			d.emit(i, op{code: checkCall, imm: o.imm})
		}
		d.emit(i, o)
		return nil
	}
	return d.unsupported(i, fmt.Sprintf("call of kind %d", in.Src))
}

func (d *decoder) wide(i int, in isa.Insn) (int, error) {
	if !in.IsWide() {
		return 0, d.unsupported(i, fmt.Sprintf("opcode %#02x (packet access)", in.Op))
	}
	if i+1 >= len(d.img.Insns) || d.img.Insns[i+1].Op != 0 {
		return 0, d.fail(i, "a 64-bit load without its second slot")
	}
	next := d.img.Insns[i+1]
	o := op{code: loadImm, dst: uint8(in.Dst), imm: isa.Imm64(in, next)}
	switch in.Src {
	case isa.PseudoNone:
	case isa.PseudoMapIdx, isa.PseudoMapIdxValue:
		if in.Imm < 0 || int(in.Imm) >= len(d.maps) {
			return 0, d.fail(i, fmt.Sprintf("map index %d, there are %d maps", in.Imm, len(d.maps)))
		}
		o.imm = helper.MapHandle(int(in.Imm))
		if in.Src == isa.PseudoMapIdxValue {
			m := d.maps[in.Imm]
			if m.Type() != abi.MapArray || m.MaxEntries() != 1 || int(uint32(next.Imm)) >= m.ValueSize() {
				return 0, d.fail(i, fmt.Sprintf("address of byte %d in map %q, which is %s of %d values of %d bytes: expected a byte in an array's only value",
					uint32(next.Imm), m.Name(), m.Type(), m.MaxEntries(), m.ValueSize()))
			}
			o.imm = uint64(uintptr(m.Values())) + uint64(uint32(next.Imm))
		}
	case isa.PseudoFunc:
		o.code, o.off = loadFunc, int32(i+1+int(in.Imm))
	default:
		return 0, d.unsupported(i, fmt.Sprintf("64-bit load of kind %d in gtrace's own engine", in.Src))
	}
	d.emit(i, o)
	return 2, nil
}

const checkWrite = 1 << 8

func (d *decoder) load(i int, in isa.Insn, o *op) error {
	mode := in.Mode()
	if mode != isa.ModeMEM && mode != isa.ModeMEMSX || mode == isa.ModeMEMSX && in.Size() == isa.SizeDW {
		return d.unsupported(i, fmt.Sprintf("opcode %#02x", in.Op))
	}
	base := uint16(0)
	if d.table != nil {
		switch d.table.Insns[i].Mem {
		case facts.UserPtr:
			base = loadUserB
		case facts.KernelPtr:
			base = loadKernelB
		}
	}
	if base == 0 {
		d.checkMem(i, o.src, in, false)
		return nil
	}
	o.code = base + uint16(bits.TrailingZeros(uint(in.Bytes())))
	if mode == isa.ModeMEMSX {
		o.code += 4
	}
	return nil
}

func (d *decoder) checkMem(i int, reg uint8, in isa.Insn, write bool) {
	if !d.code.check {
		return
	}
	o := op{code: checkMem, src: reg, off: int32(in.Off), imm: uint64(in.Bytes())}
	if write {
		o.imm |= checkWrite
	}
	d.emit(i, o)
}

func (d *decoder) store(i int, in isa.Insn, o *op) error {
	switch {
	case in.Mode() == isa.ModeMEM:
		d.checkMem(i, o.dst, in, true)
		return nil
	case in.Mode() != isa.ModeATOMIC || in.Class() != isa.ClassSTX:
		return d.unsupported(i, fmt.Sprintf("opcode %#02x", in.Op))
	}
	return d.atomic(i, in, o)
}

func (d *decoder) atomic(i int, in isa.Insn, o *op) error {
	word, double := in.Size() == isa.SizeW, in.Size() == isa.SizeDW
	switch in.Imm {
	case isa.LoadAcquire:
		o.code = acquire
		d.checkMem(i, o.src, in, false)
		o.imm = uint64(in.Bytes())
		return nil
	case isa.StoreRelease:
		o.code = release
		d.checkMem(i, o.dst, in, true)
		o.imm = uint64(in.Bytes())
		return nil
	case isa.AtomicAdd, isa.AtomicOr, isa.AtomicAnd, isa.AtomicXor:
		o.code = atomic64
		if word {
			o.code = atomic32
		}
	case isa.AtomicAdd | isa.AtomicFetch, isa.AtomicOr | isa.AtomicFetch, isa.AtomicAnd | isa.AtomicFetch,
		isa.AtomicXor | isa.AtomicFetch, isa.AtomicXchg, isa.AtomicCmpXchg:
		o.code = fetch64
		if word {
			o.code = fetch32
		}
	default:
		return d.unsupported(i, fmt.Sprintf("atomic operation %#x", in.Imm))
	}
	if !word && !double {
		return d.unsupported(i, fmt.Sprintf("atomic operation %#x of %d bytes", in.Imm, in.Bytes()))
	}
	d.checkMem(i, o.dst, in, true)
	return nil
}

// link turns the slots that jumps lead to into indexes of ops.
func (d *decoder) link() error {
	for i := range d.code.ops {
		o := &d.code.ops[i]
		class := uint8(o.code & 7)
		jump := o.code < 256 && (class == isa.ClassJMP || class == isa.ClassJMP32) && o.code != uint16(isa.ClassJMP|isa.Exit)
		if !jump && o.code != gotol && o.code != mayGoto && o.code != callLocal && o.code != loadFunc {
			continue
		}
		slot := int(o.off)
		if slot < 0 || slot >= len(d.img.Insns) || d.start[slot] < 0 {
			return d.fail(int(d.code.slots[i]), fmt.Sprintf("leads to slot %d, which is no instruction of the %d", slot, len(d.img.Insns)))
		}
		o.off = d.start[slot]
	}
	return nil
}
