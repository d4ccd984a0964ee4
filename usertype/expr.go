package usertype

// expr.go evaluates location expressions (DWARF 5 §2.5, §2.6) as far as a
// location is a register, memory at register+constant, or a constant.

import (
	"fmt"
	"math/bits"
)

// frame is what an expression is evaluated in.
type frame struct {
	b     *Binary
	u     *unit
	fn    die
	pc    uint64
	entry bool // pc is the function's entry: nothing was executed yet
	early bool // pc is in the prologue: the function's own frame is not filled yet
	size  int  // bytes of the value

	slot bool // set: the location is in the function's own frame, which the prologue fills
}

// term is a symbolic value on the expression's stack: a constant, or register+constant.
type term struct {
	hasReg bool
	reg    int
	k      int64
	bits   int // not 0: only so many low bits of the register
}

// kinds of what an expression has computed so far
const (
	locNone  = iota
	locMem   // the value's address is on the stack
	locReg   // the value is in a register
	locValue // the value is on the stack
	locBytes // the value is a constant
)

// evaluator is the state of one expression.
type evaluator struct {
	f      *frame
	c      cursor
	stack  []term
	kind   int
	reg    int
	bytes  uint64
	pieces []Piece
	depth  int
}

// stop ends an evaluation: the location is not supported.
type stop string

// location evaluates expr. It never fails: what can't be had says why.
func (f *frame) location(expr []byte) (l Location) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case stop:
			l = Location{Unsupported: string(r)}
		default:
			panic(r)
		}
	}()
	if len(expr) == 0 {
		return Location{Unsupported: "optimized out"}
	}
	e := &evaluator{f: f, c: cursor{d: expr, what: "a location expression"}}
	for e.c.left() > 0 {
		e.step()
	}
	if e.pieces == nil {
		return Location{Pieces: []Piece{e.piece(0)}}
	}
	if e.kind != locNone || len(e.stack) > 0 {
		panic(stop("a location expression that mixes pieces and a whole"))
	}
	return Location{Pieces: e.pieces}
}

// piece makes a piece of what was computed.
func (e *evaluator) piece(size int) Piece {
	defer func() { e.kind, e.stack = locNone, e.stack[:0] }()
	switch e.kind {
	case locReg:
		if why := registerClass(e.f.b, e.reg); why != "" {
			panic(stop(why))
		}
		return Piece{Kind: InReg, Size: size, Reg: e.reg}
	case locBytes:
		return Piece{Kind: Const, Size: size, Val: e.bytes}
	case locValue:
		t := e.pop()
		switch {
		case !t.hasReg:
			return Piece{Kind: Const, Size: size, Val: uint64(t.k)}
		case t.k == 0 && e.whole(t.bits):
			return Piece{Kind: InReg, Size: size, Reg: t.reg}
		}
		panic(stop("the value is computed (register + constant, DW_OP_stack_value)"))
	}
	if len(e.stack) == 0 {
		panic(stop("a part of the value is optimized out"))
	}
	t := e.pop()
	if t.bits != 0 {
		panic(stop("a location computed with DW_OP_and"))
	}
	if !t.hasReg {
		panic(stop("the value is at a static address (DW_OP_addr)"))
	}
	return Piece{Kind: AtReg, Size: size, Reg: t.reg, Off: t.k}
}

// whole reports whether the low bits of a register are all of the value: as many
// as it has, or a bool's only one.
func (e *evaluator) whole(bits int) bool {
	return bits == 0 || bits >= 8*e.f.size || bits == 1 && e.f.size == 1
}

// mask handles DW_OP_and with a constant that keeps low bits.
func (e *evaluator) mask() {
	m, t := e.pop(), e.pop()
	if !m.hasReg && t.hasReg && t.k == 0 && m.k > 0 && m.k&(m.k+1) == 0 {
		if n := bits.Len64(uint64(m.k)); t.bits == 0 || n < t.bits {
			t.bits = n
		}
		e.push(t)
		return
	}
	panic(stop("location operation DW_OP_and"))
}

// convert cuts a register's value to the size of a base type; 0 is the generic type.
func (e *evaluator) convert(off uint64) {
	t := e.pop()
	if off != 0 {
		if off >= e.f.u.end-e.f.u.off {
			bad("DW_OP_convert names a type outside of its unit")
		}
		d := e.f.u.dw.die(e.f.u.off + off)
		size, ok := d.uint(atByteSize)
		enc, _ := d.uint(atEncoding)
		if !ok || size > 8 || size == 0 || enc == ateFloat || !t.hasReg || t.k != 0 {
			panic(stop("location operation DW_OP_convert"))
		}
		if n := int(size) * 8; n < 64 && (t.bits == 0 || n < t.bits) {
			t.bits = n
		}
	}
	e.push(t)
}

func (e *evaluator) push(t term) {
	if len(e.stack) > 64 {
		panic(stop("a location expression that is too deep"))
	}
	e.stack = append(e.stack, t)
}

func (e *evaluator) pop() term {
	if len(e.stack) == 0 {
		bad("a location expression takes more from its stack than there is")
	}
	t := e.stack[len(e.stack)-1]
	e.stack = e.stack[:len(e.stack)-1]
	return t
}

// step executes one operation.
func (e *evaluator) step() {
	c := &e.c
	op := c.u8()
	switch {
	case op >= opLit0 && op <= opLit31:
		e.push(term{k: int64(op - opLit0)})
		return
	case op >= opReg0 && op <= opReg31:
		e.register(int(op - opReg0))
		return
	case op >= opBreg0 && op <= opBreg31:
		e.based(int(op-opBreg0), c.sleb())
		return
	}
	switch op {
	case opRegx:
		e.register(int(c.uleb()))
	case opBregx:
		reg := int(c.uleb())
		e.based(reg, c.sleb())
	case opFbreg:
		e.frameBase(c.sleb())
	case opCallFrameCFA:
		e.push(e.cfa())
	case opPiece:
		n := c.uleb()
		if n == 0 || n > 1<<20 || len(e.pieces) > 64 {
			panic(stop(fmt.Sprintf("a piece of %d bytes", n)))
		}
		e.pieces = append(e.pieces, e.piece(int(n)))
	case opStackValue:
		e.kind = locValue
	case opImplicitValue:
		e.implicit(c.bytes(c.uleb()))
	case opEntryValue, opGNUEntryValue:
		e.entryValue(c.bytes(c.uleb()))
	case opPlusUconst:
		t := e.pop()
		t.k += int64(c.uleb())
		e.push(t)
	case opGNUParameterRef:
		panic(stop("optimized out: only the callers have it (DW_OP_GNU_parameter_ref)"))
	case opConvert, opGNUConvert:
		e.convert(c.uleb())
	case opAnd:
		e.mask()
	case opPlus, opMinus:
		e.add(op)
	case opNop:
	default:
		if !e.constant(op) {
			panic(stop("location operation " + opName(op)))
		}
	}
}

// constant executes an operation that pushes a constant.
func (e *evaluator) constant(op uint8) bool {
	c := &e.c
	switch op {
	case opAddr:
		c.u64()
		panic(stop("the value is at a static address (DW_OP_addr)"))
	case opConst1u:
		e.push(term{k: int64(c.u8())})
	case opConst1s:
		e.push(term{k: int64(int8(c.u8()))})
	case opConst2u:
		e.push(term{k: int64(c.u16())})
	case opConst2s:
		e.push(term{k: int64(int16(c.u16()))})
	case opConst4u:
		e.push(term{k: int64(c.u32())})
	case opConst4s:
		e.push(term{k: int64(int32(c.u32()))})
	case opConst8u, opConst8s:
		e.push(term{k: int64(c.u64())})
	case opConstu:
		e.push(term{k: int64(c.uleb())})
	case opConsts:
		e.push(term{k: c.sleb()})
	default:
		return false
	}
	return true
}

func (e *evaluator) register(n int) {
	if e.kind != locNone || len(e.stack) > 0 {
		bad("a location expression names a register behind something else")
	}
	e.kind, e.reg = locReg, n
}

// based pushes register+off. Frame and stack pointer are not set up at the entry.
func (e *evaluator) based(reg int, off int64) {
	if e.depth == 0 && e.f.early && (reg == e.f.b.framePointer() || reg == e.f.b.stackPointer()) {
		e.f.slot = true
	}
	e.push(term{hasReg: true, reg: reg, k: off})
}

func (e *evaluator) add(op uint8) {
	b, a := e.pop(), e.pop()
	switch {
	case a.bits != 0 || b.bits != 0:
		panic(stop("a location computed with DW_OP_and"))
	case op == opMinus && !b.hasReg:
		a.k -= b.k
	case op == opPlus && !b.hasReg:
		a.k += b.k
	case op == opPlus && !a.hasReg:
		b.k += a.k
		a = b
	default:
		panic(stop("a location computed from two registers"))
	}
	e.push(a)
}

func (e *evaluator) implicit(d []byte) {
	if len(d) > 8 {
		panic(stop("a constant of more than 8 bytes (DW_OP_implicit_value)"))
	}
	e.bytes = 0
	for i, x := range d {
		e.bytes |= uint64(x) << (8 * i)
	}
	e.kind = locBytes
}

// entryValue is a register as it was at the entry of the function.
func (e *evaluator) entryValue(d []byte) {
	if !e.f.entry {
		panic(stop("the value at the function's entry is gone (DW_OP_entry_value)"))
	}
	c := cursor{d: d, what: "a location expression"}
	op := c.u8()
	switch {
	case op >= opReg0 && op <= opReg31:
		e.push(term{hasReg: true, reg: int(op - opReg0)})
	case op == opRegx:
		e.push(term{hasReg: true, reg: int(c.uleb())})
	default:
		panic(stop("location operation " + opName(op) + " in DW_OP_entry_value"))
	}
}

// frameBase pushes the frame base plus off.
func (e *evaluator) frameBase(off int64) {
	v, ok := e.f.fn.inherited(atFrameBase)
	if !ok {
		panic(stop("no frame base (DW_OP_fbreg)"))
	}
	expr, _, why := v.expression(e.f.pc)
	if why != "" {
		panic(stop("no frame base at this address (DW_OP_fbreg)"))
	}
	if len(expr) == 1 && expr[0] == opCallFrameCFA {
		if e.f.early && (off < 0 || e.f.b.Go) {
			e.f.slot = true
		}
		t := e.cfa()
		t.k += off
		e.push(t)
		return
	}
	if e.depth > 0 {
		panic(stop("a frame base that needs a frame base"))
	}
	in := &evaluator{f: e.f, c: cursor{d: expr, what: "a frame base"}, depth: 1}
	for in.c.left() > 0 {
		in.step()
	}
	switch {
	case in.kind == locReg && e.f.early:
		if t, ok := e.f.incoming(in.reg, off); ok && e.f.entry {
			e.push(t)
			return
		}
		e.f.slot = true
		e.push(term{hasReg: true, reg: in.reg, k: off})
	case in.kind == locReg:
		e.push(term{hasReg: true, reg: in.reg, k: off})
	case in.kind == locNone && len(in.stack) == 1:
		t := in.pop()
		t.k += off
		e.push(t)
	default:
		panic(stop("a frame base that is not a register or an address"))
	}
}

// incoming says where at the entry a value is that the body of the function has
// at reg+off, if the caller stored it: above the CFA.
func (f *frame) incoming(reg int, off int64) (term, bool) {
	at, ok := f.b.entryCFA()
	if !ok || f.b.Go {
		return term{}, false
	}
	low, high := f.pc, f.pc
	f.fn.eachRange(func(l, h uint64) bool {
		low, high = l, h
		return false
	})
	body, ok := f.u.prologueEnd(low, high)
	if !ok {
		return term{}, false
	}
	r := f.b.cfaAt(body)
	if r.why != "" || r.reg != reg || reg == f.b.stackPointer() && r.off != r.most || off < r.off {
		return term{}, false
	}
	return term{hasReg: true, reg: f.b.stackPointer(), k: at + off - r.off}, true
}

// cfa is the canonical frame address.
func (e *evaluator) cfa() term {
	if e.f.entry {
		if off, ok := e.f.b.entryCFA(); ok {
			return term{hasReg: true, reg: e.f.b.stackPointer(), k: off}
		}
	}
	r := e.f.b.cfaAt(e.f.pc)
	if r.why != "" {
		panic(stop(r.why))
	}
	return term{hasReg: true, reg: r.reg, k: r.off}
}
