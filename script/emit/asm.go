package emit

import (
	"math"

	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/script/diag"
	"github.com/gtrace-dev/gtrace/script/typed"
)

// Helper numbers (include/uapi/linux/bpf.h: enum bpf_func_id).
const (
	mapLookup     = 1
	mapUpdate     = 2
	mapDelete     = 3
	ktimeGetNS    = 5
	getCPU        = 8
	getPidTgid    = 14
	getUidGid     = 15
	getComm       = 16
	getTask       = 35
	probeReadUser = 112
	probeReadKern = 113
	readUserStr   = 114
	readKernStr   = 115
	ringReserve   = 131
	ringSubmit    = 132
)

// Registers with a fixed meaning. R7 and R8 hold temporaries.
const (
	regCtx    = isa.R6
	regRecord = isa.R9
)

// MaxStack is the size of a program's stack.
const MaxStack = 512

// fn is a program being emitted.
type fn struct {
	e      *emitter
	p      *typed.Program
	row    int // of the statistics
	insns  []isa.Insn
	relocs []object.Reloc
	core   []object.CORERelo
	lines  []object.Line
	labels []int // instruction of each label, -1 while unknown
	uses   []int // jumps to each label
	jumps  []jump
	stack  int // bytes in use
	deep   int // most bytes that were in use
	big    []bigSlot
	busy   [2]bool // R7, R8
	fail   *failure
	done   label // the program's end
	vars   map[*typed.Variable]varSlot
}

type label int

type jump struct {
	insn int
	to   label
}

// bigSlot remembers what used much stack, for the message when it runs out.
type bigSlot struct {
	size int
	at   diag.Span
}

// varSlot is where a variable lives: its value, and its fail word if it has one.
type varSlot struct{ val, fail int }

// loc is a place for bytes: a register that holds an address, and an offset.
type loc struct {
	reg isa.Reg
	off int
}

func (l loc) plus(n int) loc { return loc{l.reg, l.off + n} }

func onStack(off int) loc { return loc{isa.R10, off} }

func (f *fn) put(i isa.Insn) { f.insns = append(f.insns, i) }

func (f *fn) mov(dst, src isa.Reg) {
	if dst != src {
		f.put(isa.Insn{Op: isa.ClassALU64 | isa.Mov | isa.SrcX, Dst: dst, Src: src})
	}
}

// zext32 clears the upper half of r.
func (f *fn) zext32(r isa.Reg) {
	f.put(isa.Insn{Op: isa.ClassALU | isa.Mov | isa.SrcX, Dst: r, Src: r})
}

func fits32(v uint64) bool { s := int64(v); return s >= math.MinInt32 && s <= math.MaxInt32 }

// imm puts a constant into dst.
func (f *fn) imm(dst isa.Reg, v uint64) {
	if fits32(v) {
		f.put(isa.Insn{Op: isa.ClassALU64 | isa.Mov | isa.SrcK, Dst: dst, Imm: int32(v)})
		return
	}
	w := isa.Wide(dst, isa.PseudoNone, v)
	f.insns = append(f.insns, w[0], w[1])
}

func (f *fn) alu(op uint8, dst, src isa.Reg) {
	f.put(isa.Insn{Op: isa.ClassALU64 | op | isa.SrcX, Dst: dst, Src: src})
}

func (f *fn) aluImm(op uint8, dst isa.Reg, v int32) {
	f.put(isa.Insn{Op: isa.ClassALU64 | op | isa.SrcK, Dst: dst, Imm: v})
}

func sizeBits(n int) uint8 {
	switch n {
	case 1:
		return isa.SizeB
	case 2:
		return isa.SizeH
	case 4:
		return isa.SizeW
	}
	return isa.SizeDW
}

func (f *fn) load(n int, dst isa.Reg, from loc) {
	f.put(isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | sizeBits(n), Dst: dst, Src: from.reg, Off: int16(from.off)})
}

func (f *fn) store(n int, to loc, src isa.Reg) {
	f.put(isa.Insn{Op: isa.ClassSTX | isa.ModeMEM | sizeBits(n), Dst: to.reg, Src: src, Off: int16(to.off)})
}

func (f *fn) storeImm(n int, to loc, v int32) {
	f.put(isa.Insn{Op: isa.ClassST | isa.ModeMEM | sizeBits(n), Dst: to.reg, Off: int16(to.off), Imm: v})
}

// atomicAdd adds src to the eight bytes at to; with fetch src gets the old value.
func (f *fn) atomicAdd(to loc, src isa.Reg, fetch bool) {
	op := isa.AtomicAdd
	if fetch {
		op |= isa.AtomicFetch
	}
	f.put(isa.Insn{Op: isa.ClassSTX | isa.ModeATOMIC | isa.SizeDW, Dst: to.reg, Src: src, Off: int16(to.off), Imm: op})
}

func (f *fn) call(helper int32) {
	f.put(isa.Insn{Op: isa.ClassJMP | isa.Call, Imm: helper})
}

// address puts the address of l into dst.
func (f *fn) addr(dst isa.Reg, l loc) {
	f.mov(dst, l.reg)
	if l.off != 0 {
		f.aluImm(isa.Add, dst, int32(l.off))
	}
}

// loadMap puts a map into dst.
func (f *fn) loadMap(dst isa.Reg, name string) {
	f.relocs = append(f.relocs, object.Reloc{Insn: len(f.insns), Kind: object.RelocMap, Symbol: name})
	w := isa.Wide(dst, isa.PseudoMapFD, 0)
	f.insns = append(f.insns, w[0], w[1])
}

// loadZeros puts the address of the read-only zeros into dst.
func (f *fn) loadZeros(dst isa.Reg, n int) {
	f.e.zeros = max(f.e.zeros, n)
	f.relocs = append(f.relocs, object.Reloc{Insn: len(f.insns), Kind: object.RelocMapValue, Symbol: rodata})
	w := isa.Wide(dst, isa.PseudoMapValue, 0)
	f.insns = append(f.insns, w[0], w[1])
}

func (f *fn) newLabel() label {
	f.labels = append(f.labels, -1)
	f.uses = append(f.uses, 0)
	return label(len(f.labels) - 1)
}

func (f *fn) place(l label) { f.labels[l] = len(f.insns) }

func (f *fn) jumpTo(l label) {
	f.jumps = append(f.jumps, jump{len(f.insns), l})
	f.uses[l]++
	f.put(isa.Insn{Op: isa.ClassJMP | isa.Ja})
}

// jumpReg jumps when dst op src.
func (f *fn) jumpReg(op uint8, dst, src isa.Reg, l label) {
	f.jumps = append(f.jumps, jump{len(f.insns), l})
	f.uses[l]++
	f.put(isa.Insn{Op: isa.ClassJMP | op | isa.SrcX, Dst: dst, Src: src})
}

// jumpImm jumps when dst op v.
func (f *fn) jumpImm(op uint8, dst isa.Reg, v int32, l label) {
	f.jumps = append(f.jumps, jump{len(f.insns), l})
	f.uses[l]++
	f.put(isa.Insn{Op: isa.ClassJMP | op | isa.SrcK, Dst: dst, Imm: v})
}

// alloc takes n bytes of stack, eight-byte aligned, and returns their place.
func (f *fn) alloc(n int, at diag.Span) int {
	n = round8(n)
	f.stack += n
	f.deep = max(f.deep, f.stack)
	if n >= 32 {
		f.big = append(f.big, bigSlot{n, at})
	}
	// Past the end the offset is not used: Emit reports it.
	return -min(f.stack, 32000)
}

func round8(n int) int { return (n + 7) &^ 7 }

// temp is a value kept across other code.
type temp struct {
	reg isa.Reg
	off int // on the stack when reg is R10
}

// hold keeps R0.
func (f *fn) hold(at diag.Span) temp {
	for i := range f.busy {
		if !f.busy[i] {
			f.busy[i] = true
			t := temp{reg: isa.R7 + isa.Reg(i)}
			f.mov(t.reg, isa.R0)
			return t
		}
	}
	t := temp{isa.R10, f.alloc(8, at)}
	f.store(8, onStack(t.off), isa.R0)
	return t
}

// take puts a kept value into dst and gives its place up. Temporaries are
// taken in the reverse order of holding them.
func (f *fn) take(dst isa.Reg, t temp) {
	f.peek(dst, t)
	f.drop(t)
}

func (f *fn) peek(dst isa.Reg, t temp) {
	if t.reg == isa.R10 {
		f.load(8, dst, onStack(t.off))
		return
	}
	f.mov(dst, t.reg)
}

func (f *fn) drop(t temp) {
	if t.reg != isa.R10 {
		f.busy[t.reg-isa.R7] = false
	}
}

// line ties what follows to a place in the script.
func (f *fn) line(at diag.Span) {
	src := f.e.opts.Source
	n, col := src.Position(at.Start)
	l := object.Line{Insn: len(f.insns), File: src.File, Line: n, Col: col, Text: src.Line(n)}
	if k := len(f.lines); k > 0 && f.lines[k-1].Insn == l.Insn {
		f.lines[k-1] = l
		return
	}
	f.lines = append(f.lines, l)
}

// failure is where code goes that found a value unreadable. Its handler finds
// the event.Fail in R0.
type failure struct{ fault, null, code label }

func (f *fn) newFailure() *failure {
	return &failure{f.newLabel(), f.newLabel(), f.newLabel()}
}

// used reports whether any jump goes to l.
func (f *fn) used(l label) bool { return f.uses[l] > 0 }

func (f *fn) failureUsed(x *failure) bool { return f.used(x.fault) || f.used(x.null) || f.used(x.code) }

// placeFailure emits the start of a handler.
func (f *fn) placeFailure(x *failure) {
	null, fault := f.used(x.null), f.used(x.fault)
	if null {
		f.place(x.null)
		f.imm(isa.R0, 2)
		if fault {
			f.jumpTo(x.code)
		}
	}
	if fault {
		f.place(x.fault)
		f.imm(isa.R0, 1)
	}
	f.place(x.code)
	f.count(statFailed)
}

// guarded emits body; when a value in it can't be read, handler runs instead of
// what is left of it.
func (f *fn) guarded(body, handler func()) {
	outer := f.fail
	f.fail = f.newFailure()
	body()
	if f.failureUsed(f.fail) {
		end := f.newLabel()
		f.jumpTo(end)
		f.placeFailure(f.fail)
		handler()
		f.place(end)
	}
	f.fail = outer
}

// Offsets in event.Stats.
const (
	statHits   = 0
	statLost   = 8
	statFailed = 16
	statFull   = 24
)

// statsSlot is where the stack holds the address of the probe's statistics.
const statsSlot = -8

// count adds one to a statistic; R0 stays.
func (f *fn) count(off int) {
	f.load(8, isa.R1, onStack(statsSlot))
	f.imm(isa.R2, 1)
	f.atomicAdd(loc{isa.R1, off}, isa.R2, false)
}
