package x86

// This file moves one instruction to another address.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// MaxMoved is the most bytes that Relocate returns.
const MaxMoved = 64

// Moved is an instruction made to run at another address with the effect it
// has at its own.
type Moved struct {
	Code []byte
	// Body is where the jump back begins: a thread that is there has executed
	// the instruction and has nothing left to do in the copy.
	Body int
	// Len is the length of the instruction at its own address.
	Len int
}

// ErrUnmovable: the instruction cannot be executed at another address.
var ErrUnmovable = errors.New("instruction cannot be moved")

// Relocate makes the instruction at the start of b, which lies at address
// from, runnable at address to. The code ends in a jump to the instruction
// behind the original one. It changes no register and no flag that the
// instruction does not change, with one exception: syscall leaves its own
// next address in RCX.
func Relocate(b []byte, from, to uint64) (Moved, error) {
	in, err := Decode(b)
	if err != nil {
		return Moved{}, err
	}
	m := mover{in: in, src: b[:in.Len], from: from, to: to, next: from + uint64(in.Len)}
	if err := m.body(); err != nil {
		return Moved{}, err
	}
	out := Moved{Body: len(m.out), Len: in.Len}
	m.jump(m.next)
	if m.err != nil {
		return Moved{}, m.err
	}
	out.Code = m.out
	return out, nil
}

type mover struct {
	in             Inst
	src            []byte
	from, to, next uint64
	out            []byte
	err            error
}

func (m *mover) unmovable(why string) error {
	return fmt.Errorf("%w: % x: %s", ErrUnmovable, m.src, why)
}

// body emits the instruction without the jump back.
func (m *mover) body() error {
	in := m.in
	switch {
	case in.Vector || in.Map == Map38 || in.Map == Map3A:
		return m.plain(m.src)
	case in.Rel != 0:
		return m.branch()
	case in.Map == TwoByte && in.Opcode == 0x34:
		return m.unmovable("sysenter")
	case in.Map == TwoByte:
		return m.plain(m.src)
	}
	switch in.Opcode {
	case 0xcc:
		return m.unmovable("a breakpoint (int3) is there already; is a debugger attached, or did a tracer leave it behind?")
	case 0xf1:
		return m.unmovable("int1")
	case 0xcd:
		if m.src[in.Imm] != 0x80 {
			return m.unmovable("software interrupt")
		}
	case 0xff:
		switch m.src[in.ModRM] >> 3 & 7 {
		case 2:
			return m.indirectCall()
		case 3:
			return m.unmovable("far call")
		}
	}
	return m.plain(m.src)
}

// plain copies src, correcting a RIP-relative operand.
func (m *mover) plain(src []byte) error {
	at := m.to + uint64(len(m.out))
	m.out = append(m.out, src...)
	if !m.in.RIPRel {
		return nil
	}
	if m.in.AddrSz {
		return m.unmovable("EIP-relative operand")
	}
	field := m.out[len(m.out)-len(src)+m.in.Disp:]
	target := m.next + uint64(int64(int32(binary.LittleEndian.Uint32(field))))
	d := int64(target - (at + uint64(len(src))))
	if d != int64(int32(d)) {
		return m.unmovable("its operand is out of reach from the copy")
	}
	binary.LittleEndian.PutUint32(field, uint32(int32(d)))
	return nil
}

// branch emits a branch with a relative target.
func (m *mover) branch() error {
	in := m.in
	if in.OpSize && in.Rex&8 == 0 {
		return m.unmovable("branch with a 16-bit operand size prefix, which processors disagree on")
	}
	var rel int64
	switch in.Rel {
	case 1:
		rel = int64(int8(m.src[in.Imm]))
	case 4:
		rel = int64(int32(binary.LittleEndian.Uint32(m.src[in.Imm:])))
	}
	target := m.next + uint64(rel)
	if in.Map == TwoByte { // jcc rel32
		m.conditional(in.Opcode&0xf, target)
		return nil
	}
	switch op := in.Opcode; {
	case op == 0xe8:
		m.pushReturn()
		m.jump(target)
	case op == 0xe9 || op == 0xeb:
		m.jump(target)
	case op >= 0x70 && op <= 0x7f:
		m.conditional(op&0xf, target)
	case op >= 0xe0 && op <= 0xe3: // loopne, loope, loop, jrcxz: only short forms exist
		if in.AddrSz {
			m.out = append(m.out, 0x67)
		}
		m.out = append(m.out, op, 2, 0xeb, 0)
		skip := len(m.out)
		m.jump(target)
		m.out[skip-1] = byte(len(m.out) - skip)
	default:
		return m.unmovable("transaction")
	}
	return m.err
}

// conditional jumps to target under condition cc and falls through otherwise.
func (m *mover) conditional(cc byte, target uint64) {
	if d := int64(target - (m.to + uint64(len(m.out)) + 6)); d == int64(int32(d)) {
		m.out = append(m.out, 0x0f, 0x80|cc)
		m.out = binary.LittleEndian.AppendUint32(m.out, uint32(int32(d)))
		return
	}
	m.out = append(m.out, 0x70|cc^1, 0)
	skip := len(m.out)
	m.jump(target)
	m.out[skip-1] = byte(len(m.out) - skip)
}

// jump jumps to target, near or through an address behind it.
func (m *mover) jump(target uint64) {
	if d := int64(target - (m.to + uint64(len(m.out)) + 5)); d >= math.MinInt32 && d <= math.MaxInt32 {
		m.out = append(m.out, 0xe9)
		m.out = binary.LittleEndian.AppendUint32(m.out, uint32(int32(d)))
		return
	}
	m.out = append(m.out, 0xff, 0x25, 0, 0, 0, 0)
	m.out = binary.LittleEndian.AppendUint64(m.out, target)
}

// pushReturn pushes the address behind the original call: unwinders find
// frames by return addresses, so a copy's address must never be one.
func (m *mover) pushReturn() {
	m.out = append(m.out, 0x68)
	m.out = binary.LittleEndian.AppendUint32(m.out, uint32(m.next))
	m.out = append(m.out, 0xc7, 0x44, 0x24, 0x04)
	m.out = binary.LittleEndian.AppendUint32(m.out, uint32(m.next>>32))
}

// indirectCall turns call r/m64 into a push of the return address and jmp r/m64.
func (m *mover) indirectCall() error {
	in := m.in
	if in.OpSize {
		return m.unmovable("call with a 16-bit operand size prefix")
	}
	modrm := m.src[in.ModRM]
	mod, rm := modrm>>6, modrm&7
	src := append([]byte(nil), m.src...)
	src[in.ModRM] = modrm&^0x38 | 4<<3
	low := in.Rex&1 == 0 // base or register is one of the first eight
	switch {
	case mod == 3 && rm == 4 && low:
		return m.unmovable("call through the stack pointer")
	case mod != 3 && rm == 4 && m.src[in.ModRM+1]&7 == 4 && low: // [rsp+…]: the push moves it
		if in.AddrSz {
			return m.unmovable("call through a 32-bit stack pointer")
		}
		disp := int64(8)
		switch in.DispSize {
		case 1:
			disp += int64(int8(src[in.Disp]))
		case 4:
			disp += int64(int32(binary.LittleEndian.Uint32(src[in.Disp:])))
		}
		if disp != int64(int32(disp)) {
			return m.unmovable("displacement overflows")
		}
		src = src[:in.ModRM+2]
		src[in.ModRM] = src[in.ModRM]&0x3f | 0x80 // disp32
		src = binary.LittleEndian.AppendUint32(src, uint32(int32(disp)))
	}
	m.pushReturn()
	return m.plain(src)
}
