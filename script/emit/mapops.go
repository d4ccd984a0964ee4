package emit

import (
	"github.com/gtrace-dev/gtrace/event"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/script/diag"
	"github.com/gtrace-dev/gtrace/script/typed"
)

// bpfNoExist creates an entry only (include/uapi/linux/bpf.h: BPF_NOEXIST).
const bpfNoExist = 1

// eexist is what an update that only creates gives for an entry that is there.
const eexist = -17

// schemaOf finds a map's description by its name.
func (f *fn) schemaOf(m *typed.Map) event.Map {
	for _, s := range f.e.schema.Maps {
		if s.Name == m.Name {
			return s
		}
	}
	return event.Map{}
}

func bpfName(m *typed.Map) string { return event.Map{Name: m.Name}.BPFName() }

// key writes the keys to the stack and returns where.
func (f *fn) key(m *typed.Map, keys []typed.Expr, at diag.Span) loc {
	if len(m.Keys) == 0 {
		l := onStack(f.alloc(8, at))
		f.storeImm(8, l, 0)
		return l
	}
	size := 0
	for _, k := range m.Keys {
		size += round8(k.Size)
	}
	l := onStack(f.alloc(size, at))
	to := l
	for i, k := range keys {
		n := round8(m.Keys[i].Size)
		f.bytes(k, to, n)
		to = to.plus(n)
	}
	return l
}

// find looks an entry up: its address in R0, or 0.
func (f *fn) find(m *typed.Map, key loc) {
	f.loadMap(isa.R1, bpfName(m))
	f.addr(isa.R2, key)
	f.call(mapLookup)
}

// mapValue reads a number from a map; a missing entry is 0.
func (f *fn) mapValue(e *typed.MapGet) {
	mark := f.stack
	key := f.key(e.Map, e.Keys, e.Span)
	f.find(e.Map, key)
	missing := f.newLabel()
	f.jumpImm(isa.Jeq, isa.R0, 0, missing)
	off := f.checkEntry(e.Map)
	f.load(8, isa.R0, loc{isa.R0, off})
	f.place(missing)
	f.stack = mark
}

// checkEntry fails when the entry at R0 holds a value that could not be read,
// and returns where in the entry the value is.
func (f *fn) checkEntry(m *typed.Map) int {
	if !m.CanFail {
		return 0
	}
	good := f.newLabel()
	f.load(8, isa.R1, loc{isa.R0, 0})
	f.jumpImm(isa.Jeq, isa.R1, 0, good)
	f.mov(isa.R0, isa.R1)
	f.jumpTo(f.fail.code)
	f.place(good)
	return 8
}

// mapBytes copies a string or symbol from a map; a missing entry is zeros.
func (f *fn) mapBytes(e *typed.MapGet, to loc, pad int) {
	mark := f.stack
	key := f.key(e.Map, e.Keys, e.Span)
	f.find(e.Map, key)
	missing, end := f.newLabel(), f.newLabel()
	f.jumpImm(isa.Jeq, isa.R0, 0, missing)
	off := f.checkEntry(e.Map)
	n := round8(e.Map.Value.Size)
	f.copyWords(loc{isa.R0, off}, to, n)
	f.zero(to.plus(n), pad-n)
	f.jumpTo(end)
	f.place(missing)
	f.zero(to, max(n, pad))
	f.place(end)
	f.stack = mark
}

// setMap stores a value; one that can't be read is stored as its fail word.
func (f *fn) setMap(s *typed.SetMap) {
	n := round8(s.Map.Value.Size)
	var val, fail loc
	if s.Map.CanFail {
		fail = onStack(f.alloc(n+8, s.Span))
		val = fail.plus(8)
	} else {
		val = onStack(f.alloc(n, s.Span))
	}
	f.keep(s.Val, s.Map.Value, val, fail, s.Map.CanFail)
	key := f.key(s.Map, s.Keys, s.Span)
	from := val
	if s.Map.CanFail {
		from = fail
	}
	f.loadMap(isa.R1, bpfName(s.Map))
	f.addr(isa.R2, key)
	f.addr(isa.R3, from)
	f.imm(isa.R4, 0)
	f.call(mapUpdate)
	f.checkFull()
}

// checkFull counts an update that failed for another reason than that the
// entry is there already.
func (f *fn) checkFull() {
	good := f.newLabel()
	f.jumpImm(isa.Jeq, isa.R0, 0, good)
	f.jumpImm(isa.Jeq, isa.R0, eexist, good)
	f.count(statFull)
	f.place(good)
}

// entry puts the address of an entry into R0, made of zeros if it was not
// there; jumps to none when that is not possible.
func (f *fn) entry(m *typed.Map, key loc, none label, at diag.Span) {
	f.find(m, key)
	s := f.schemaOf(m)
	if s.PerCPU && s.KeySize == 0 {
		f.jumpImm(isa.Jeq, isa.R0, 0, none)
		return
	}
	have := f.newLabel()
	f.jumpImm(isa.Jne, isa.R0, 0, have)
	mark := f.stack
	if n := s.ValueSize(); n <= 16 {
		zeros := onStack(f.alloc(n, at))
		f.zero(zeros, n)
		f.addr(isa.R3, zeros)
	} else {
		f.loadZeros(isa.R3, n)
	}
	f.loadMap(isa.R1, bpfName(m))
	f.addr(isa.R2, key)
	f.imm(isa.R4, bpfNoExist)
	f.call(mapUpdate)
	f.checkFull()
	f.stack = mark
	f.find(m, key)
	f.jumpImm(isa.Jeq, isa.R0, 0, none)
	f.place(have)
}

// incMap adds to a map's number; the result is the old or the new value, 0 when the map is full.
func (f *fn) incMap(e *typed.IncMap) {
	mark := f.stack
	key := f.key(e.Map, e.Keys, e.Span)
	none := f.newLabel()
	f.entry(e.Map, key, none, e.Span)
	off := f.checkEntry(e.Map)
	f.imm(isa.R1, uint64(e.Delta))
	f.atomicAdd(loc{isa.R0, off}, isa.R1, true)
	f.mov(isa.R0, isa.R1)
	if !e.Post {
		f.addConst(isa.R0, e.Delta)
	}
	f.place(none)
	f.stack = mark
}

func (f *fn) deleteKey(s *typed.Delete) {
	key := f.key(s.Map, s.Keys, s.Span)
	f.loadMap(isa.R1, bpfName(s.Map))
	f.addr(isa.R2, key)
	f.call(mapDelete)
}

// aggregate gathers a value: first the value, then the entry, then the change.
func (f *fn) aggregate(s *typed.Aggregate) {
	m := s.Map
	var v temp
	if s.Val != nil {
		f.value(s.Val)
		switch m.Agg {
		case event.Hist:
			f.log2Bucket(s.Val.T().Signed)
		case event.LHist:
			f.linearBucket(m, s.Val.T().Signed)
		}
		v = f.hold(s.Span)
	}
	key := f.key(m, s.Keys, s.Span)
	none := f.newLabel()
	f.entry(m, key, none, s.Span)
	if s.Val != nil {
		f.peek(isa.R1, v)
	}
	f.gather(m, none)
	f.place(none)
	if s.Val != nil {
		f.drop(v)
	}
}

// gather changes the entry at R0 by the value in R1.
func (f *fn) gather(m *typed.Map, none label) {
	switch m.Agg {
	case event.Count:
		f.imm(isa.R1, 1)
		f.atomicAdd(loc{isa.R0, 0}, isa.R1, false)
	case event.Sum:
		f.atomicAdd(loc{isa.R0, 0}, isa.R1, false)
	case event.Avg, event.Stat:
		f.imm(isa.R2, 1)
		f.atomicAdd(loc{isa.R0, 0}, isa.R2, false)
		f.atomicAdd(loc{isa.R0, 8}, isa.R1, false)
	case event.Min, event.Max:
		f.extreme(m)
	case event.Hist, event.LHist:
		n := event.HistBuckets
		if m.Agg == event.LHist {
			n = f.schemaOf(m).LHistBuckets()
		}
		f.jumpImm(isa.Jgt, isa.R1, int32(n-1), none)
		f.aluImm(isa.Lsh, isa.R1, 3)
		f.alu(isa.Add, isa.R0, isa.R1)
		f.imm(isa.R2, 1)
		f.atomicAdd(loc{isa.R0, 0}, isa.R2, false)
	}
}

// extreme keeps the least or the greatest value.
func (f *fn) extreme(m *typed.Map) {
	op := "<"
	if m.Agg == event.Min {
		op = ">"
	}
	set, end := f.newLabel(), f.newLabel()
	f.load(8, isa.R2, loc{isa.R0, 0})
	f.jumpImm(isa.Jeq, isa.R2, 0, set)
	f.load(8, isa.R2, loc{isa.R0, 8})
	f.jumpReg(jumpOp(op, m.Signed), isa.R2, isa.R1, set)
	f.jumpTo(end)
	f.place(set)
	f.store(8, loc{isa.R0, 8}, isa.R1)
	f.storeImm(8, loc{isa.R0, 0}, 1)
	f.place(end)
}

// log2Bucket turns the value in R0 into its bucket (event.HistBuckets),
// without branches: the verifier would follow each both ways.
func (f *fn) log2Bucket(signed bool) {
	small, negative, end := f.newLabel(), f.newLabel(), f.newLabel()
	if signed {
		f.jumpImm(isa.Jslt, isa.R0, 0, negative)
	}
	f.jumpImm(isa.Jeq, isa.R0, 0, small)
	f.imm(isa.R1, 2)
	for sh := int32(32); sh > 0; sh /= 2 {
		// R2 = sh if anything is left above the low sh bits, else 0.
		f.mov(isa.R2, isa.R0)
		f.aluImm(isa.Rsh, isa.R2, sh)
		f.mov(isa.R3, isa.R2)
		f.put(isa.Insn{Op: isa.ClassALU64 | isa.Neg, Dst: isa.R3})
		f.alu(isa.Or, isa.R2, isa.R3)
		f.aluImm(isa.Rsh, isa.R2, 63)
		f.aluImm(isa.Mul, isa.R2, sh)
		f.alu(isa.Rsh, isa.R0, isa.R2)
		f.alu(isa.Add, isa.R1, isa.R2)
	}
	f.mov(isa.R0, isa.R1)
	f.jumpTo(end)
	f.place(small)
	f.imm(isa.R0, 1)
	if signed {
		f.jumpTo(end)
		f.place(negative)
		f.imm(isa.R0, 0)
	}
	f.place(end)
}

// linearBucket turns the value in R0 into its bucket of a linear histogram.
func (f *fn) linearBucket(m *typed.Map, signed bool) {
	below, above, end := f.newLabel(), f.newLabel(), f.newLabel()
	if signed || m.Lo > 0 {
		f.imm(isa.R1, uint64(m.Lo))
		f.jumpReg(jumpOp("<", signed), isa.R0, isa.R1, below)
	}
	if !signed && m.Hi <= 0 {
		f.jumpTo(above)
	} else {
		f.imm(isa.R1, uint64(m.Hi))
		f.jumpReg(jumpOp(">=", signed), isa.R0, isa.R1, above)
	}
	f.imm(isa.R1, uint64(m.Lo))
	f.alu(isa.Sub, isa.R0, isa.R1)
	f.imm(isa.R1, uint64(m.Step))
	f.alu(isa.Div, isa.R0, isa.R1)
	f.aluImm(isa.Add, isa.R0, 1)
	f.jumpTo(end)
	f.place(above)
	f.imm(isa.R0, uint64((m.Hi-m.Lo)/m.Step)+1)
	f.jumpTo(end)
	f.place(below)
	f.imm(isa.R0, 0)
	f.place(end)
}
