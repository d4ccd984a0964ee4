package emit

import (
	"encoding/binary"

	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/script/typed"
)

// bytes writes any value to memory, eight-byte aligned. Bytes of a string
// behind its end are zeroed up to pad bytes, where they can be compared or be
// part of a key; a record has pad 0.
func (f *fn) bytes(e typed.Expr, to loc, pad int) {
	switch e.T().Kind {
	case typed.Str:
		f.str(e, to, pad)
	case typed.USym:
		f.usym(e, to)
	case typed.Composite, typed.Array:
		if r, ok := e.(*typed.Ref); ok {
			f.memAddr(r.Mem)
			f.read(to, r.Type.Size, r.Mem.Space.User)
		}
	default:
		f.value(e)
		f.store(8, to, isa.R0)
	}
}

// zero clears n bytes.
func (f *fn) zero(to loc, n int) {
	for i := 0; i < n; i += 8 {
		f.storeImm(8, to.plus(i), 0)
	}
}

// usym writes an address and the process it belongs to.
func (f *fn) usym(e typed.Expr, to loc) {
	switch e := e.(type) {
	case *typed.Sym:
		f.value(e.Addr)
		f.store(8, to, isa.R0)
		f.call(getPidTgid)
		f.aluImm(isa.Rsh, isa.R0, 32)
		f.store(8, to.plus(8), isa.R0)
	default:
		f.kept(e, to, 16, 16)
	}
}

// str writes a string.
func (f *fn) str(e typed.Expr, to loc, pad int) {
	switch e := e.(type) {
	case *typed.Lit:
		f.literal(e.Val, to, pad)
	case *typed.StrRead:
		f.zero(to, pad)
		f.strRead(e, to)
	case *typed.Call:
		f.zero(to.plus(16), max(pad-16, 0))
		f.addr(isa.R1, to)
		f.imm(isa.R2, 16)
		f.call(getComm)
	default:
		f.kept(e, to, e.T().Size, pad)
	}
}

// literal writes constant bytes, with at least one zero behind.
func (f *fn) literal(s string, to loc, pad int) {
	b := make([]byte, max(round8(len(s)+1), pad))
	copy(b, s)
	for i := 0; i < len(b); i += 8 {
		v := binary.LittleEndian.Uint64(b[i:])
		if fits32(v) {
			f.storeImm(8, to.plus(i), int32(v))
			continue
		}
		f.imm(isa.R1, v)
		f.store(8, to.plus(i), isa.R1)
	}
}

// strRead reads a string from memory.
func (f *fn) strRead(e *typed.StrRead, to loc) {
	f.base(e.Addr)
	if e.Null {
		f.jumpImm(isa.Jeq, isa.R0, 0, f.fail.null)
	}
	f.mov(isa.R3, isa.R0)
	f.imm(isa.R2, uint64(e.Type.Size))
	f.addr(isa.R1, to)
	if e.User {
		f.call(readUserStr)
	} else {
		f.call(readKernStr)
	}
	f.jumpImm(isa.Jslt, isa.R0, 0, f.fail.fault)
}

// kept copies a value of n bytes that a variable or map holds, or the chosen one of two.
func (f *fn) kept(e typed.Expr, to loc, n, pad int) {
	switch e := e.(type) {
	case *typed.Get:
		s := f.variable(e.Var)
		f.checkVar(e.Var, s)
		n := round8(e.Var.Type.Size)
		f.copyWords(onStack(s.val), to, n)
		f.zero(to.plus(n), pad-n)
	case *typed.MapGet:
		f.mapBytes(e, to, pad)
	case *typed.Cond:
		f.cond(e, func(x typed.Expr) { f.bytes(x, to, max(pad, round8(min(n, x.T().Size)))) })
	}
}

// copyWords copies n bytes through R1.
func (f *fn) copyWords(from, to loc, n int) {
	for i := 0; i < n; i += 8 {
		f.load(8, isa.R1, from.plus(i))
		f.store(8, to.plus(i), isa.R1)
	}
}

// compareStrings jumps to l when the strings are the same, or differ, by want.
func (f *fn) compareStrings(e *typed.StrCmp, want bool, l label) {
	same := want != e.Not // jump when they are the same
	a, b := e.A, e.B
	if _, ok := a.(*typed.Lit); ok {
		a, b = b, a
	}
	mark := f.stack
	n := round8(max(a.T().Size, b.T().Size))
	differ, out := f.newLabel(), f.newLabel()
	if lit, ok := b.(*typed.Lit); ok {
		n = round8(a.T().Size)
		buf := onStack(f.alloc(n, e.Span))
		f.str(a, buf, n)
		f.differsFrom(buf, lit.Val, differ)
	} else {
		x, y := onStack(f.alloc(n, a.At())), onStack(f.alloc(n, b.At()))
		f.str(a, x, n)
		f.str(b, y, n)
		for i := 0; i < n; i += 8 {
			f.load(8, isa.R0, x.plus(i))
			f.load(8, isa.R1, y.plus(i))
			f.jumpReg(isa.Jne, isa.R0, isa.R1, differ)
		}
	}
	f.stack = mark
	if same {
		f.jumpTo(l)
		f.place(differ)
		return
	}
	f.jumpTo(out)
	f.place(differ)
	f.jumpTo(l)
	f.place(out)
}

// differsFrom jumps when the string at buf is not s.
func (f *fn) differsFrom(buf loc, s string, differ label) {
	b := append([]byte(s), 0)
	for i := 0; i < len(b); {
		n := 8
		for n > len(b)-i {
			n /= 2
		}
		var w [8]byte
		copy(w[:], b[i:i+n])
		v := binary.LittleEndian.Uint64(w[:])
		f.load(n, isa.R0, buf.plus(i))
		if fits32(v) {
			f.jumpImm(isa.Jne, isa.R0, int32(v), differ)
		} else {
			f.imm(isa.R1, v)
			f.jumpReg(isa.Jne, isa.R0, isa.R1, differ)
		}
		i += n
	}
}
