package emit

import (
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/script/typed"
)

// value puts a number or pointer into R0, extended to 64 bits. R1 to R5 are lost.
func (f *fn) value(e typed.Expr) {
	switch e := e.(type) {
	case *typed.Const:
		f.imm(isa.R0, e.Val)
	case *typed.Ctx:
		f.ctxValue(e)
	case *typed.CtxAddr:
		f.ctxAddr(e)
	case *typed.Load:
		f.loadValue(e)
	case *typed.Addr:
		f.memAddr(e.Mem)
	case *typed.Get:
		s := f.variable(e.Var)
		f.checkVar(e.Var, s)
		f.load(8, isa.R0, onStack(s.val))
	case *typed.MapGet:
		f.mapValue(e)
	case *typed.Call:
		f.builtin(e.ID)
	case *typed.Unary:
		f.unary(e)
	case *typed.Binary:
		f.binary(e)
	case *typed.Logic, *typed.StrCmp:
		f.truth(e)
	case *typed.Cond:
		f.cond(e, func(x typed.Expr) { f.value(x) })
	case *typed.Cast:
		f.value(e.A)
		f.extend(isa.R0, e.Type)
	case *typed.Bound:
		f.value(e.A)
		f.jumpImm(isa.Jge, isa.R0, e.N, f.fail.fault)
	case *typed.Sym:
		f.value(e.Addr)
	case *typed.IncVar:
		f.incVar(e)
	case *typed.IncMap:
		f.incMap(e)
	}
}

// extend makes r a value of type t: its low bytes, extended.
func (f *fn) extend(r isa.Reg, t *typed.Type) {
	switch {
	case t.Size >= 8 || t.Size == 0:
	case t.Signed:
		f.aluImm(isa.Lsh, r, int32(64-8*t.Size))
		f.aluImm(isa.Arsh, r, int32(64-8*t.Size))
	case t.Size == 4:
		f.zext32(r)
	default:
		f.aluImm(isa.And, r, int32(1)<<(8*t.Size)-1)
	}
}

// ctxValue loads from the context. A pointer that the kernel types is read as
// plain memory instead, so that it can be computed with.
func (f *fn) ctxValue(e *typed.Ctx) {
	if !e.Pointer {
		f.load(e.Size, isa.R0, loc{regCtx, int(e.Off)})
		if e.Type.Signed && e.Size < 8 {
			f.extend(isa.R0, &typed.Type{Size: e.Size, Signed: true})
		}
		return
	}
	mark := f.stack
	buf := onStack(f.alloc(8, e.Span))
	f.addr(isa.R3, loc{regCtx, int(e.Off)})
	f.imm(isa.R2, 8)
	f.addr(isa.R1, buf)
	f.call(probeReadKern) // the context is always there
	f.load(8, isa.R0, buf)
	f.stack = mark
}

func (f *fn) ctxAddr(e *typed.CtxAddr) {
	if !e.Data {
		f.addr(isa.R0, loc{regCtx, int(e.Off)})
		return
	}
	f.load(4, isa.R1, loc{regCtx, int(e.Off)})
	f.aluImm(isa.And, isa.R1, 0xffff)
	f.mov(isa.R0, regCtx)
	f.alu(isa.Add, isa.R0, isa.R1)
}

func (f *fn) builtin(id typed.Builtin) {
	switch id {
	case typed.PID:
		f.call(getPidTgid)
		f.aluImm(isa.Rsh, isa.R0, 32)
	case typed.TID:
		f.call(getPidTgid)
		f.zext32(isa.R0)
	case typed.UID:
		f.call(getUidGid)
		f.zext32(isa.R0)
	case typed.GID:
		f.call(getUidGid)
		f.aluImm(isa.Rsh, isa.R0, 32)
	case typed.Nsecs:
		f.call(ktimeGetNS)
	case typed.Elapsed:
		f.call(ktimeGetNS)
		f.imm(isa.R1, f.e.opts.StartNS)
		f.alu(isa.Sub, isa.R0, isa.R1)
	case typed.CPU:
		f.call(getCPU)
		f.zext32(isa.R0)
	case typed.Curtask:
		f.call(getTask)
	}
}

func (f *fn) unary(e *typed.Unary) {
	if e.Op == "!" {
		f.truth(e)
		return
	}
	f.value(e.A)
	if e.Op == "-" {
		f.put(isa.Insn{Op: isa.ClassALU64 | isa.Neg, Dst: isa.R0})
		return
	}
	f.aluImm(isa.Xor, isa.R0, -1)
}

// aluOps are the operators that are one instruction for both signednesses.
var aluOps = map[string]uint8{"+": isa.Add, "-": isa.Sub, "*": isa.Mul, "&": isa.And, "|": isa.Or, "^": isa.Xor, "<<": isa.Lsh}

// operands puts a into R0 and b into R1.
func (f *fn) operands(a, b typed.Expr) {
	if k, ok := b.(*typed.Const); ok {
		f.value(a)
		f.imm(isa.R1, k.Val)
		return
	}
	f.value(a)
	mark := f.stack
	t := f.hold(a.At())
	f.value(b)
	f.mov(isa.R1, isa.R0)
	f.take(isa.R0, t)
	f.stack = mark
}

func (f *fn) binary(e *typed.Binary) {
	if _, ok := compareOps[e.Op]; ok {
		f.truth(e)
		return
	}
	op, one := aluOps[e.Op]
	switch {
	case e.Op == ">>" && e.Signed:
		op, one = isa.Arsh, true
	case e.Op == ">>":
		op, one = isa.Rsh, true
	case e.Op == "/" && !e.Signed:
		op, one = isa.Div, true
	case e.Op == "%" && !e.Signed:
		op, one = isa.Mod, true
	}
	if k, ok := e.B.(*typed.Const); ok && one && fits32(k.Val) {
		f.value(e.A)
		f.aluImm(op, isa.R0, int32(k.Val))
		return
	}
	f.operands(e.A, e.B)
	if one {
		f.alu(op, isa.R0, isa.R1)
		return
	}
	f.signedDiv(e.Op == "%")
}

// signedDiv divides R0 by R1 as signed numbers. The instruction for that is
// newer than the kernels that scripts run on: divide the absolute values and
// give the result its sign, that of the dividend for the rest.
func (f *fn) signedDiv(rest bool) {
	f.mov(isa.R2, isa.R0)
	op := isa.Mod
	if !rest {
		op = isa.Div
		f.alu(isa.Xor, isa.R2, isa.R1)
	}
	for _, r := range [2]isa.Reg{isa.R0, isa.R1} {
		pos := f.newLabel()
		f.jumpImm(isa.Jsge, r, 0, pos)
		f.put(isa.Insn{Op: isa.ClassALU64 | isa.Neg, Dst: r})
		f.place(pos)
	}
	f.alu(op, isa.R0, isa.R1)
	pos := f.newLabel()
	f.jumpImm(isa.Jsge, isa.R2, 0, pos)
	f.put(isa.Insn{Op: isa.ClassALU64 | isa.Neg, Dst: isa.R0})
	f.place(pos)
}

// truth puts 1 or 0 into R0.
func (f *fn) truth(e typed.Expr) {
	no, end := f.newLabel(), f.newLabel()
	f.branch(e, false, no)
	f.imm(isa.R0, 1)
	f.jumpTo(end)
	f.place(no)
	f.imm(isa.R0, 0)
	f.place(end)
}

// cond emits C ? A : B; each side by emit.
func (f *fn) cond(e *typed.Cond, emit func(typed.Expr)) {
	no, end := f.newLabel(), f.newLabel()
	f.branch(e.C, false, no)
	emit(e.A)
	f.jumpTo(end)
	f.place(no)
	emit(e.B)
	f.place(end)
}

// compareOps are the comparisons and their opposites.
var compareOps = map[string]string{"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}

func jumpOp(op string, signed bool) uint8 {
	switch op {
	case "==":
		return isa.Jeq
	case "!=":
		return isa.Jne
	}
	ops := map[string][2]uint8{"<": {isa.Jlt, isa.Jslt}, "<=": {isa.Jle, isa.Jsle}, ">": {isa.Jgt, isa.Jsgt}, ">=": {isa.Jge, isa.Jsge}}[op]
	if signed {
		return ops[1]
	}
	return ops[0]
}

// branch jumps to l when e is true, or when it is false, by want; else it falls through.
func (f *fn) branch(e typed.Expr, want bool, l label) {
	switch e := e.(type) {
	case *typed.Const:
		if (e.Val != 0) == want {
			f.jumpTo(l)
		}
		return
	case *typed.Unary:
		if e.Op == "!" {
			f.branch(e.A, !want, l)
			return
		}
	case *typed.Logic:
		f.logic(e, want, l)
		return
	case *typed.StrCmp:
		f.compareStrings(e, want, l)
		return
	case *typed.Binary:
		if inverse, ok := compareOps[e.Op]; ok {
			op := e.Op
			if !want {
				op = inverse
			}
			f.compare(e, jumpOp(op, e.Signed), l)
			return
		}
	}
	f.base(e)
	if want {
		f.jumpImm(isa.Jne, isa.R0, 0, l)
	} else {
		f.jumpImm(isa.Jeq, isa.R0, 0, l)
	}
}

func (f *fn) compare(e *typed.Binary, op uint8, l label) {
	if k, ok := e.B.(*typed.Const); ok && fits32(k.Val) {
		if k.Val == 0 && (op == isa.Jeq || op == isa.Jne) {
			f.base(e.A) // a test for NULL
		} else {
			f.value(e.A)
		}
		f.jumpImm(op, isa.R0, int32(k.Val), l)
		return
	}
	f.operands(e.A, e.B)
	f.jumpReg(op, isa.R0, isa.R1, l)
}

// logic emits && and ||: the second side only where the first does not decide.
func (f *fn) logic(e *typed.Logic, want bool, l label) {
	if (e.Op == "||") == want {
		f.branch(e.A, want, l)
		f.branch(e.B, want, l)
		return
	}
	skip := f.newLabel()
	f.branch(e.A, !want, skip)
	f.branch(e.B, want, l)
	f.place(skip)
}

// variable is where v lives; it gets its place where it is first assigned.
func (f *fn) variable(v *typed.Variable) varSlot {
	s, ok := f.vars[v]
	if !ok {
		s.val = f.alloc(max(v.Type.Size, 8), v.Decl)
		if v.CanFail {
			s.fail = f.alloc(8, v.Decl)
		}
		f.vars[v] = s
	}
	return s
}

// checkVar fails when v holds a value that could not be read.
func (f *fn) checkVar(v *typed.Variable, s varSlot) {
	if v.CanFail {
		f.load(8, isa.R0, onStack(s.fail))
		f.jumpImm(isa.Jne, isa.R0, 0, f.fail.code)
	}
}

func (f *fn) incVar(e *typed.IncVar) {
	s := f.variable(e.Var)
	f.checkVar(e.Var, s)
	f.load(8, isa.R0, onStack(s.val))
	if e.Post {
		f.mov(isa.R1, isa.R0)
		f.addConst(isa.R1, e.Delta)
		f.store(8, onStack(s.val), isa.R1)
		return
	}
	f.addConst(isa.R0, e.Delta)
	f.store(8, onStack(s.val), isa.R0)
}

// addConst adds a constant; R2 is lost when it is large.
func (f *fn) addConst(r isa.Reg, v int64) {
	if fits32(uint64(v)) {
		f.aluImm(isa.Add, r, int32(v))
		return
	}
	f.imm(isa.R2, uint64(v))
	f.alu(isa.Add, r, isa.R2)
}
