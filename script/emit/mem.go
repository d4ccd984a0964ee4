package emit

import (
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/script/typed"
)

// CO-RE relocation kinds (include/uapi/linux/bpf.h: enum bpf_core_relo_kind).
const (
	fieldByteOffset = 0
	fieldLshift     = 4
	fieldRshift     = 5
)

// memAddr puts the address of m into R0, tested for NULL where it may be that.
func (f *fn) memAddr(m typed.Mem) {
	f.base(m.Base)
	if m.Null {
		f.jumpImm(isa.Jeq, isa.R0, 0, f.fail.null)
	}
	if relocated(m) {
		f.relocate(m, fieldByteOffset)
		f.aluImm(isa.Add, isa.R0, int32(m.Off))
		return
	}
	if m.Off != 0 {
		f.addConst(isa.R0, m.Off)
	}
}

// base puts an address that is only read through into R0. A pointer that the
// kernel types stays one.
func (f *fn) base(e typed.Expr) {
	if c, ok := e.(*typed.Ctx); ok && c.Pointer {
		f.load(8, isa.R0, loc{regCtx, int(c.Off)})
		return
	}
	f.value(e)
}

// relocated reports whether the offset is one that another kernel may have
// elsewhere: a field of a named kernel type.
func relocated(m typed.Mem) bool {
	if m.Space.Types != typed.Kernel || len(m.Path) == 0 || m.Root == nil {
		return false
	}
	_, ok := typed.Members(m.Root)
	t := typed.Bare(m.Root)
	return ok && t.TypeName() != ""
}

// relocate marks the next instruction's constant.
func (f *fn) relocate(m typed.Mem, kind uint32) {
	var b strings.Builder
	b.WriteByte('0')
	for _, i := range m.Path {
		b.WriteString(":" + strconv.Itoa(i))
	}
	f.core = append(f.core, object.CORERelo{Insn: len(f.insns), Kind: kind, Type: typed.Bare(m.Root), Access: b.String()})
}

// loadValue reads a number or pointer into R0.
func (f *fn) loadValue(e *typed.Load) {
	m := e.Mem
	size := e.Type.Size
	if m.Bits != nil {
		size = m.Bits.Bytes
	}
	if f.native(m) {
		f.nativeLoad(m, size)
	} else {
		mark := f.stack
		buf := onStack(f.alloc(8, e.Span))
		f.memAddr(m)
		f.read(buf, size, m.Space.User)
		f.load(size, isa.R0, buf)
		f.stack = mark
	}
	if m.Bits != nil {
		f.bits(m, e.Type.Signed)
		return
	}
	if e.Type.Signed {
		f.extend(isa.R0, e.Type)
	}
}

// read copies size bytes from the address in R0.
func (f *fn) read(to loc, size int, user bool) {
	f.mov(isa.R3, isa.R0)
	f.imm(isa.R2, uint64(size))
	f.addr(isa.R1, to)
	if user {
		f.call(probeReadUser)
	} else {
		f.call(probeReadKern)
	}
	f.jumpImm(isa.Jne, isa.R0, 0, f.fail.fault)
}

// bits takes the bit-field m out of R0.
func (f *fn) bits(m typed.Mem, signed bool) {
	up := int32(64 - m.Bits.Off - m.Bits.Size)
	if relocated(m) {
		f.relocate(m, fieldLshift)
	}
	f.aluImm(isa.Lsh, isa.R0, up)
	op := isa.Rsh
	if signed {
		op = isa.Arsh
	}
	if relocated(m) {
		f.relocate(m, fieldRshift)
	}
	f.aluImm(op, isa.R0, int32(64-m.Bits.Size))
}

// native reports whether m is read by a typed load: a field of a user-space struct.
func (f *fn) native(m typed.Mem) bool {
	if !f.e.opts.Native || !m.Space.User || m.Space.Types == typed.Kernel || m.Root == nil {
		return false
	}
	_, ok := typed.Members(m.Root)
	off := m.Off - m.At
	return ok && off >= 0 && off < 1<<15
}

// nativeLoad reads through a typed pointer and asks whether that worked.
func (f *fn) nativeLoad(m typed.Mem, size int) {
	f.base(m.Base)
	if m.Null {
		f.jumpImm(isa.Jeq, isa.R0, 0, f.fail.null)
	}
	if m.At != 0 {
		f.addConst(isa.R0, m.At)
	}
	f.mov(isa.R1, isa.R0)
	f.imm(isa.R2, uint64(f.e.userType(m.Space.Types, m.Root)))
	f.kfunc("gtrace_user_cast", abi.KfuncUserCast)
	f.load(size, isa.R0, loc{isa.R0, int(m.Off - m.At)})
	mark := f.stack
	t := f.hold(m.Base.At())
	f.kfunc("gtrace_fault", abi.KfuncFault)
	f.jumpImm(isa.Jne, isa.R0, 0, f.fail.code)
	f.take(isa.R0, t)
	f.stack = mark
}

func (f *fn) kfunc(name string, id int32) {
	f.e.kfuncs[name] = true
	f.relocs = append(f.relocs, object.Reloc{Insn: len(f.insns), Kind: object.RelocKfunc, Symbol: name})
	f.put(isa.Insn{Op: isa.ClassJMP | isa.Call, Src: isa.CallKfunc, Imm: id})
}

// userType is the index of a user-space type in the object.
func (e *emitter) userType(space string, t btf.Type) int {
	t = typed.Bare(t)
	for i, u := range e.obj.UserTypes {
		if u.Space == space && u.Type == t {
			return i
		}
	}
	e.obj.UserTypes = append(e.obj.UserTypes, object.UserType{Space: space, Type: t})
	return len(e.obj.UserTypes) - 1
}
