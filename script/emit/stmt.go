package emit

import (
	"github.com/gtrace-dev/gtrace/event"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/script/typed"
)

// stmts emits statements; their variables go out of use behind them.
func (f *fn) stmts(body []typed.Stmt) {
	mark := f.stack
	for _, s := range body {
		if sv, ok := s.(*typed.SetVar); ok {
			f.variable(sv.Var)
		}
		before := f.stack
		f.line(s.At())
		f.stmt(s)
		f.stack = before
	}
	f.stack = mark
}

func (f *fn) stmt(s typed.Stmt) {
	none := func() {}
	switch s := s.(type) {
	case *typed.Eval:
		f.guarded(func() { f.eval(s.E) }, none)
	case *typed.SetVar:
		f.setVar(s)
	case *typed.SetMap:
		f.guarded(func() { f.setMap(s) }, none)
	case *typed.Aggregate:
		f.guarded(func() { f.aggregate(s) }, none)
	case *typed.Delete:
		f.guarded(func() { f.deleteKey(s) }, none)
	case *typed.Send:
		f.send(s.Action)
	case *typed.If:
		f.ifStmt(s)
	case *typed.Block:
		f.stmts(s.Body)
	case *typed.Return:
		f.jumpTo(f.done)
	}
}

// eval emits an expression for its effect.
func (f *fn) eval(e typed.Expr) {
	switch e.T().Kind {
	case typed.Str, typed.USym, typed.Composite, typed.Array:
		n := round8(e.T().Size)
		f.bytes(e, onStack(f.alloc(n, e.At())), n)
	default:
		f.value(e)
	}
}

// ifStmt emits a branch. When its condition can't be read neither side runs.
func (f *fn) ifStmt(s *typed.If) {
	no, end := f.newLabel(), f.newLabel()
	f.guarded(func() { f.branch(s.Cond, false, no) }, func() { f.jumpTo(end) })
	f.stmts(s.Then)
	if len(s.Else) > 0 {
		f.jumpTo(end)
	}
	f.place(no)
	f.stmts(s.Else)
	f.place(end)
}

// setVar keeps a value and its fail word.
func (f *fn) setVar(s *typed.SetVar) {
	v := f.variable(s.Var)
	f.keep(s.Val, s.Var.Type, onStack(v.val), onStack(v.fail), s.Var.CanFail)
}

// keep writes a value, and the fail word if there is one.
func (f *fn) keep(e typed.Expr, t *typed.Type, val, fail loc, hasFail bool) {
	n := round8(max(t.Size, 8))
	f.guarded(func() {
		f.bytes(e, val, n)
		if hasFail {
			f.storeImm(8, fail, 0)
		}
	}, func() {
		if hasFail {
			f.store(8, fail, isa.R0)
		}
		f.zero(val, n)
	})
}

// send reserves a record, fills it and submits it. A value that can't be read
// sets its fail bits and leaves zeros.
func (f *fn) send(a *typed.Action) {
	s := f.e.schema.Actions[a.Index]
	lost, end := f.newLabel(), f.newLabel()
	f.loadMap(isa.R1, event.RingMap)
	f.imm(isa.R2, uint64(s.Size))
	f.imm(isa.R3, 0)
	f.call(ringReserve)
	f.jumpImm(isa.Jeq, isa.R0, 0, lost)
	f.mov(regRecord, isa.R0)
	f.storeImm(8, loc{regRecord, event.RecordAction}, int32(a.Index))
	f.storeImm(8, loc{regRecord, event.RecordFail}, 0)
	for i, x := range a.Args {
		at := loc{regRecord, s.Args[i].Offset}
		f.guarded(func() { f.bytes(x, at, 0) }, func() {
			if i > 0 {
				f.aluImm(isa.Lsh, isa.R0, int32(2*i))
			}
			f.load(8, isa.R1, loc{regRecord, event.RecordFail})
			f.alu(isa.Or, isa.R1, isa.R0)
			f.store(8, loc{regRecord, event.RecordFail}, isa.R1)
			f.zero(at, round8(s.Args[i].Type.Size))
		})
	}
	f.mov(isa.R1, regRecord)
	f.imm(isa.R2, 0)
	f.call(ringSubmit)
	f.jumpTo(end)
	f.place(lost)
	f.count(statLost)
	f.place(end)
	if a.Kind == event.Exit {
		f.jumpTo(f.done)
	}
}
