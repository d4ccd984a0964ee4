package interp

import (
	"math/bits"
	"sync/atomic"
	"unsafe"
)

// This file defines the switch over decoded instructions.

// at is the memory at an address that a program computed. Machines keep their
// own memory outside Go's heap, as maps are: so such an address is never one
// that the garbage collector minds.
func at(addr uint64) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(nil), addr) }

// exec runs from op pc until the frame it starts in exits.
func (m *Machine) exec(pc int) (uint64, error) {
	// A pointer walks over the ops, because an index would be checked, and
	// kept in memory, at each. Decode has seen to it that it stays inside: the
	// last op is fell, the first is never a target, jumps are linked.
	first := &m.code.ops[0]
	r := &m.regs
	base := m.depth
	for o := before(first, pc); ; {
		o = (*op)(unsafe.Add(unsafe.Pointer(o), opSize))
		switch o.code {
		case alu64K | add:
			r[o.dst&15] += o.imm
			continue
		case alu64X | add:
			r[o.dst&15] += r[o.src&15]
			continue
		case alu32K | add:
			r[o.dst&15] = uint64(uint32(r[o.dst&15]) + uint32(o.imm))
			continue
		case alu32X | add:
			r[o.dst&15] = uint64(uint32(r[o.dst&15]) + uint32(r[o.src&15]))
			continue
		case alu64K | sub:
			r[o.dst&15] -= o.imm
			continue
		case alu64X | sub:
			r[o.dst&15] -= r[o.src&15]
			continue
		case alu32K | sub:
			r[o.dst&15] = uint64(uint32(r[o.dst&15]) - uint32(o.imm))
			continue
		case alu32X | sub:
			r[o.dst&15] = uint64(uint32(r[o.dst&15]) - uint32(r[o.src&15]))
			continue
		case alu64K | mul:
			r[o.dst&15] *= o.imm
			continue
		case alu64X | mul:
			r[o.dst&15] *= r[o.src&15]
			continue
		case alu32K | mul:
			r[o.dst&15] = uint64(uint32(r[o.dst&15]) * uint32(o.imm))
			continue
		case alu32X | mul:
			r[o.dst&15] = uint64(uint32(r[o.dst&15]) * uint32(r[o.src&15]))
			continue
		case alu64K | or:
			r[o.dst&15] |= o.imm
			continue
		case alu64X | or:
			r[o.dst&15] |= r[o.src&15]
			continue
		case alu32K | or:
			r[o.dst&15] = uint64(uint32(r[o.dst&15]) | uint32(o.imm))
			continue
		case alu32X | or:
			r[o.dst&15] = uint64(uint32(r[o.dst&15]) | uint32(r[o.src&15]))
			continue
		case alu64K | and:
			r[o.dst&15] &= o.imm
			continue
		case alu64X | and:
			r[o.dst&15] &= r[o.src&15]
			continue
		case alu32K | and:
			r[o.dst&15] = uint64(uint32(r[o.dst&15]) & uint32(o.imm))
			continue
		case alu32X | and:
			r[o.dst&15] = uint64(uint32(r[o.dst&15]) & uint32(r[o.src&15]))
			continue
		case alu64K | xor:
			r[o.dst&15] ^= o.imm
			continue
		case alu64X | xor:
			r[o.dst&15] ^= r[o.src&15]
			continue
		case alu32K | xor:
			r[o.dst&15] = uint64(uint32(r[o.dst&15]) ^ uint32(o.imm))
			continue
		case alu32X | xor:
			r[o.dst&15] = uint64(uint32(r[o.dst&15]) ^ uint32(r[o.src&15]))
			continue
		case alu64K | mov:
			r[o.dst&15] = o.imm
			continue
		case alu64X | mov:
			r[o.dst&15] = r[o.src&15]
			continue
		case alu32K | mov:
			r[o.dst&15] = uint64(uint32(o.imm))
			continue
		case alu32X | mov:
			r[o.dst&15] = uint64(uint32(r[o.src&15]))
			continue
		case alu64K | lsh:
			r[o.dst&15] <<= o.imm & 63
			continue
		case alu64X | lsh:
			r[o.dst&15] <<= r[o.src&15] & 63
			continue
		case alu32K | lsh:
			r[o.dst&15] = uint64(uint32(r[o.dst&15]) << (o.imm & 31))
			continue
		case alu32X | lsh:
			r[o.dst&15] = uint64(uint32(r[o.dst&15]) << (r[o.src&15] & 31))
			continue
		case alu64K | rsh:
			r[o.dst&15] >>= o.imm & 63
			continue
		case alu64X | rsh:
			r[o.dst&15] >>= r[o.src&15] & 63
			continue
		case alu32K | rsh:
			r[o.dst&15] = uint64(uint32(r[o.dst&15]) >> (o.imm & 31))
			continue
		case alu32X | rsh:
			r[o.dst&15] = uint64(uint32(r[o.dst&15]) >> (r[o.src&15] & 31))
			continue
		case alu64K | arsh:
			r[o.dst&15] = uint64(int64(r[o.dst&15]) >> (o.imm & 63))
			continue
		case alu64X | arsh:
			r[o.dst&15] = uint64(int64(r[o.dst&15]) >> (r[o.src&15] & 63))
			continue
		case alu32K | arsh:
			r[o.dst&15] = uint64(uint32(int32(r[o.dst&15]) >> (o.imm & 31)))
			continue
		case alu32X | arsh:
			r[o.dst&15] = uint64(uint32(int32(r[o.dst&15]) >> (r[o.src&15] & 31)))
			continue
		case alu64K | neg:
			r[o.dst&15] = -r[o.dst&15]
			continue
		case alu32K | neg:
			r[o.dst&15] = uint64(-uint32(r[o.dst&15]))
			continue
		case alu64K | div:
			r[o.dst&15] = div64(r[o.dst&15], o.imm)
			continue
		case alu64X | div:
			r[o.dst&15] = div64(r[o.dst&15], r[o.src&15])
			continue
		case alu32K | div:
			r[o.dst&15] = div32(r[o.dst&15], o.imm)
			continue
		case alu32X | div:
			r[o.dst&15] = div32(r[o.dst&15], r[o.src&15])
			continue
		case sdiv64K:
			r[o.dst&15] = sdiv64(r[o.dst&15], o.imm)
			continue
		case sdiv64X:
			r[o.dst&15] = sdiv64(r[o.dst&15], r[o.src&15])
			continue
		case sdiv32K:
			r[o.dst&15] = sdiv32(r[o.dst&15], o.imm)
			continue
		case sdiv32X:
			r[o.dst&15] = sdiv32(r[o.dst&15], r[o.src&15])
			continue
		case alu64K | mod:
			r[o.dst&15] = mod64(r[o.dst&15], o.imm)
			continue
		case alu64X | mod:
			r[o.dst&15] = mod64(r[o.dst&15], r[o.src&15])
			continue
		case alu32K | mod:
			r[o.dst&15] = mod32(r[o.dst&15], o.imm)
			continue
		case alu32X | mod:
			r[o.dst&15] = mod32(r[o.dst&15], r[o.src&15])
			continue
		case smod64K:
			r[o.dst&15] = smod64(r[o.dst&15], o.imm)
			continue
		case smod64X:
			r[o.dst&15] = smod64(r[o.dst&15], r[o.src&15])
			continue
		case smod32K:
			r[o.dst&15] = smod32(r[o.dst&15], o.imm)
			continue
		case smod32X:
			r[o.dst&15] = smod32(r[o.dst&15], r[o.src&15])
			continue
		case movsx64b:
			r[o.dst&15] = uint64(int64(int8(r[o.src&15])))
			continue
		case movsx64h:
			r[o.dst&15] = uint64(int64(int16(r[o.src&15])))
			continue
		case movsx64w:
			r[o.dst&15] = uint64(int64(int32(r[o.src&15])))
			continue
		case movsx32b:
			r[o.dst&15] = uint64(uint32(int32(int8(r[o.src&15]))))
			continue
		case movsx32h:
			r[o.dst&15] = uint64(uint32(int32(int16(r[o.src&15]))))
			continue
		case le16:
			r[o.dst&15] = uint64(uint16(r[o.dst&15]))
			continue
		case le32:
			r[o.dst&15] = uint64(uint32(r[o.dst&15]))
			continue
		case be16, swap16:
			r[o.dst&15] = uint64(bits.ReverseBytes16(uint16(r[o.dst&15])))
			continue
		case be32, swap32:
			r[o.dst&15] = uint64(bits.ReverseBytes32(uint32(r[o.dst&15])))
			continue
		case be64, swap64:
			r[o.dst&15] = bits.ReverseBytes64(r[o.dst&15])
			continue
		case nop:
			continue
		case loadImm:
			r[o.dst&15] = o.imm
			continue
		case loadFunc:
			r[o.dst&15] = funcHandle | uint64(uint32(o.off))
			continue

		case ldx | szB:
			r[o.dst&15] = uint64(*(*uint8)(at(r[o.src&15] + uint64(int64(o.off)))))
			continue
		case ldx | szH:
			r[o.dst&15] = uint64(*(*uint16)(at(r[o.src&15] + uint64(int64(o.off)))))
			continue
		case ldx | szW:
			r[o.dst&15] = uint64(*(*uint32)(at(r[o.src&15] + uint64(int64(o.off)))))
			continue
		case ldx | szDW:
			r[o.dst&15] = *(*uint64)(at(r[o.src&15] + uint64(int64(o.off))))
			continue
		case ldxs | szB:
			r[o.dst&15] = uint64(int64(*(*int8)(at(r[o.src&15] + uint64(int64(o.off))))))
			continue
		case ldxs | szH:
			r[o.dst&15] = uint64(int64(*(*int16)(at(r[o.src&15] + uint64(int64(o.off))))))
			continue
		case ldxs | szW:
			r[o.dst&15] = uint64(int64(*(*int32)(at(r[o.src&15] + uint64(int64(o.off))))))
			continue
		case st | szB:
			*(*uint8)(at(r[o.dst&15] + uint64(int64(o.off)))) = uint8(o.imm)
			continue
		case stx | szB:
			*(*uint8)(at(r[o.dst&15] + uint64(int64(o.off)))) = uint8(r[o.src&15])
			continue
		case st | szH:
			*(*uint16)(at(r[o.dst&15] + uint64(int64(o.off)))) = uint16(o.imm)
			continue
		case stx | szH:
			*(*uint16)(at(r[o.dst&15] + uint64(int64(o.off)))) = uint16(r[o.src&15])
			continue
		case st | szW:
			*(*uint32)(at(r[o.dst&15] + uint64(int64(o.off)))) = uint32(o.imm)
			continue
		case stx | szW:
			*(*uint32)(at(r[o.dst&15] + uint64(int64(o.off)))) = uint32(r[o.src&15])
			continue
		case st | szDW:
			*(*uint64)(at(r[o.dst&15] + uint64(int64(o.off)))) = o.imm
			continue
		case stx | szDW:
			*(*uint64)(at(r[o.dst&15] + uint64(int64(o.off)))) = r[o.src&15]
			continue
		case loadUserB, loadUserH, loadUserW, loadUserDW, loadUserSB, loadUserSH, loadUserSW:
			r[o.dst&15] = m.typed(m.env.Host.ReadUser, o.code-loadUserB, r[o.src&15]+uint64(int64(o.off)))
			continue
		case loadKernelB, loadKernelH, loadKernelW, loadKernelDW, loadKernelSB, loadKernelSH, loadKernelSW:
			r[o.dst&15] = m.typed(m.env.Host.ReadKernel, o.code-loadKernelB, r[o.src&15]+uint64(int64(o.off)))
			continue
		case atomic32, fetch32:
			old := rmw32((*uint32)(at(r[o.dst&15]+uint64(int64(o.off)))), o.imm, uint32(r[o.src&15]), uint32(r[0]))
			if o.code == fetch32 {
				m.fetched(o, uint64(old))
			}
			continue
		case atomic64:
			if o.imm == 0 {
				atomic.AddUint64((*uint64)(at(r[o.dst&15]+uint64(int64(o.off)))), r[o.src&15])
				continue
			}
			rmw64((*uint64)(at(r[o.dst&15]+uint64(int64(o.off)))), o.imm, r[o.src&15], r[0])
			continue
		case fetch64:
			m.fetched(o, rmw64((*uint64)(at(r[o.dst&15]+uint64(int64(o.off)))), o.imm, r[o.src&15], r[0]))
			continue
		case acquire:
			r[o.dst&15] = loadAcquire(r[o.src&15]+uint64(int64(o.off)), o.imm)
			continue
		case release:
			storeRelease(r[o.dst&15]+uint64(int64(o.off)), o.imm, r[o.src&15])
			continue

		// Jumps: those that are not taken go on, the others leave the switch.
		case jmp64K | ja, gotol:
		case jmp64K | jeq:
			if r[o.dst&15] != o.imm {
				continue
			}
		case jmp64X | jeq:
			if r[o.dst&15] != r[o.src&15] {
				continue
			}
		case jmp32K | jeq:
			if uint32(r[o.dst&15]) != uint32(o.imm) {
				continue
			}
		case jmp32X | jeq:
			if uint32(r[o.dst&15]) != uint32(r[o.src&15]) {
				continue
			}
		case jmp64K | jne:
			if r[o.dst&15] == o.imm {
				continue
			}
		case jmp64X | jne:
			if r[o.dst&15] == r[o.src&15] {
				continue
			}
		case jmp32K | jne:
			if uint32(r[o.dst&15]) == uint32(o.imm) {
				continue
			}
		case jmp32X | jne:
			if uint32(r[o.dst&15]) == uint32(r[o.src&15]) {
				continue
			}
		case jmp64K | jgt:
			if r[o.dst&15] <= o.imm {
				continue
			}
		case jmp64X | jgt:
			if r[o.dst&15] <= r[o.src&15] {
				continue
			}
		case jmp32K | jgt:
			if uint32(r[o.dst&15]) <= uint32(o.imm) {
				continue
			}
		case jmp32X | jgt:
			if uint32(r[o.dst&15]) <= uint32(r[o.src&15]) {
				continue
			}
		case jmp64K | jge:
			if r[o.dst&15] < o.imm {
				continue
			}
		case jmp64X | jge:
			if r[o.dst&15] < r[o.src&15] {
				continue
			}
		case jmp32K | jge:
			if uint32(r[o.dst&15]) < uint32(o.imm) {
				continue
			}
		case jmp32X | jge:
			if uint32(r[o.dst&15]) < uint32(r[o.src&15]) {
				continue
			}
		case jmp64K | jlt:
			if r[o.dst&15] >= o.imm {
				continue
			}
		case jmp64X | jlt:
			if r[o.dst&15] >= r[o.src&15] {
				continue
			}
		case jmp32K | jlt:
			if uint32(r[o.dst&15]) >= uint32(o.imm) {
				continue
			}
		case jmp32X | jlt:
			if uint32(r[o.dst&15]) >= uint32(r[o.src&15]) {
				continue
			}
		case jmp64K | jle:
			if r[o.dst&15] > o.imm {
				continue
			}
		case jmp64X | jle:
			if r[o.dst&15] > r[o.src&15] {
				continue
			}
		case jmp32K | jle:
			if uint32(r[o.dst&15]) > uint32(o.imm) {
				continue
			}
		case jmp32X | jle:
			if uint32(r[o.dst&15]) > uint32(r[o.src&15]) {
				continue
			}
		case jmp64K | jsgt:
			if int64(r[o.dst&15]) <= int64(o.imm) {
				continue
			}
		case jmp64X | jsgt:
			if int64(r[o.dst&15]) <= int64(r[o.src&15]) {
				continue
			}
		case jmp32K | jsgt:
			if int32(r[o.dst&15]) <= int32(o.imm) {
				continue
			}
		case jmp32X | jsgt:
			if int32(r[o.dst&15]) <= int32(r[o.src&15]) {
				continue
			}
		case jmp64K | jsge:
			if int64(r[o.dst&15]) < int64(o.imm) {
				continue
			}
		case jmp64X | jsge:
			if int64(r[o.dst&15]) < int64(r[o.src&15]) {
				continue
			}
		case jmp32K | jsge:
			if int32(r[o.dst&15]) < int32(o.imm) {
				continue
			}
		case jmp32X | jsge:
			if int32(r[o.dst&15]) < int32(r[o.src&15]) {
				continue
			}
		case jmp64K | jslt:
			if int64(r[o.dst&15]) >= int64(o.imm) {
				continue
			}
		case jmp64X | jslt:
			if int64(r[o.dst&15]) >= int64(r[o.src&15]) {
				continue
			}
		case jmp32K | jslt:
			if int32(r[o.dst&15]) >= int32(o.imm) {
				continue
			}
		case jmp32X | jslt:
			if int32(r[o.dst&15]) >= int32(r[o.src&15]) {
				continue
			}
		case jmp64K | jsle:
			if int64(r[o.dst&15]) > int64(o.imm) {
				continue
			}
		case jmp64X | jsle:
			if int64(r[o.dst&15]) > int64(r[o.src&15]) {
				continue
			}
		case jmp32K | jsle:
			if int32(r[o.dst&15]) > int32(o.imm) {
				continue
			}
		case jmp32X | jsle:
			if int32(r[o.dst&15]) > int32(r[o.src&15]) {
				continue
			}
		case jmp64K | jset:
			if r[o.dst&15]&o.imm == 0 {
				continue
			}
		case jmp64X | jset:
			if r[o.dst&15]&r[o.src&15] == 0 {
				continue
			}
		case jmp32K | jset:
			if uint32(r[o.dst&15])&uint32(o.imm) == 0 {
				continue
			}
		case jmp32X | jset:
			if uint32(r[o.dst&15])&uint32(r[o.src&15]) == 0 {
				continue
			}
		case mayGoto:
			f := &m.frames[m.depth]
			if f.gotos > 0 {
				f.gotos--
				continue
			}

		case callHelper:
			r[0] = m.code.calls[o.imm].fn(&m.env, r[1], r[2], r[3], r[4], r[5])
			if m.env.Err != nil {
				return 0, m.wrap(index(first, o), m.env.Err)
			}
			continue
		case callLocal:
			if m.depth == maxFrames-1 {
				return 0, m.fail(index(first, o), "more than %d nested calls", maxFrames)
			}
			if m.fuel -= int64(o.off); m.fuel < 0 {
				return 0, m.wrap(index(first, o), ErrBudget)
			}
			m.enter(index(first, o) + 1)
			o = before(first, int(o.off))
			continue
		case callUserCast:
			r[0] = r[1]
			continue
		case callFault:
			r[0], m.fault = m.fault, 0
			continue
		case jmp64K | exit:
			if m.depth == base {
				return r[0], nil
			}
			o = before(first, m.leave())
			continue

		case step:
			if err := m.step(index(first, o), o.imm); err != nil {
				return 0, err
			}
			continue
		case checkMem:
			if err := m.checkMem(index(first, o), r[o.src&15]+uint64(int64(o.off)), o.imm); err != nil {
				return 0, err
			}
			continue
		case checkCall:
			if err := m.checkCall(index(first, o), m.code.calls[o.imm].id); err != nil {
				return 0, err
			}
			continue
		case checkFrame:
			return 0, m.fail(index(first, o), "writes r10, the frame pointer")
		case fell:
			return 0, m.fail(index(first, o), "ran past the last instruction")
		case dead:
			return 0, m.fail(index(first, o), "the verifier took this instruction for unreachable")
		default:
			return 0, m.fail(index(first, o), "code %#x cannot be run", o.code)
		}
		if back := index(first, o) - int(o.off); back >= 0 {
			if m.fuel -= int64(back) + 1; m.fuel < 0 {
				return 0, m.wrap(index(first, o), ErrBudget)
			}
		}
		o = before(first, int(o.off))
	}
}

const opSize = unsafe.Sizeof(op{})

// before is the op before op i.
func before(first *op, i int) *op {
	return (*op)(unsafe.Add(unsafe.Pointer(first), uintptr(i-1)*opSize))
}

func index(first, o *op) int {
	return int((uintptr(unsafe.Pointer(o)) - uintptr(unsafe.Pointer(first))) / opSize)
}
