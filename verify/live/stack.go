package live

import (
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/cfg"
)

// This file follows the frame pointer through registers, to tell which stack
// slots an instruction reads and overwrites.

// where says what a register has to do with the frame pointer.
type where struct {
	kind whereKind
	off  int // kind at: offset from the frame pointer
}

type whereKind uint8

const (
	unseen    whereKind = iota
	elsewhere           // not derived from the frame pointer
	at                  // the frame pointer plus off
	somewhere           // derived from the frame pointer, offset not known
)

func (w where) join(o where) where {
	switch {
	case w == o, o.kind == unseen:
		return w
	case w.kind == unseen:
		return o
	}
	return where{kind: somewhere}
}

func (w where) derived() bool { return w.kind == at || w.kind == somewhere }

type pointers [11]where

// framePointers computes, for every instruction of f, where the registers
// point before it. escapes: a frame pointer is stored in memory or passed to a
// subprogram, so that slots may be read through pointers that are not followed.
func framePointers(insns []isa.Insn, f cfg.Func) (table map[int]pointers, escapes bool) {
	table = make(map[int]pointers, f.End-f.Start)
	var entry pointers
	for r := range entry {
		entry[r].kind = elsewhere
	}
	entry[isa.R10] = where{kind: at}
	table[f.Start] = entry
	work := []int{f.Start}
	for len(work) > 0 {
		i := work[len(work)-1]
		work = work[:len(work)-1]
		out := table[i]
		if !move(insns[i], &out) {
			return nil, true
		}
		succ, n := cfg.Succ(insns, i)
		for _, j := range succ[:n] {
			old, seen := table[j]
			joined := out
			for r := range joined {
				joined[r] = old[r].join(out[r])
			}
			if !seen || joined != old {
				table[j] = joined
				work = append(work, j)
			}
		}
	}
	return table, false
}

// move updates p by instruction in; false when a frame pointer escapes.
func move(in isa.Insn, p *pointers) bool {
	switch in.Class() {
	case isa.ClassALU, isa.ClassALU64:
		p[in.Dst] = moveALU(in, p)
	case isa.ClassLD:
		if in.IsWide() {
			p[in.Dst] = where{kind: elsewhere}
		} else {
			clobber(p)
		}
	case isa.ClassLDX:
		p[in.Dst] = where{kind: elsewhere}
	case isa.ClassSTX:
		if in.Mode() == isa.ModeATOMIC && in.Imm == isa.LoadAcquire {
			p[in.Dst] = where{kind: elsewhere}
			return true
		}
		if p[in.Src].derived() {
			return false
		}
		if in.Mode() == isa.ModeATOMIC && in.Imm == isa.AtomicCmpXchg {
			p[isa.R0] = where{kind: elsewhere}
		}
	default:
		if in.IsCall() {
			if in.Src == isa.CallLocal {
				for r := isa.R1; r <= isa.R5; r++ {
					if p[r].derived() {
						return false
					}
				}
			}
			clobber(p)
		}
	}
	return true
}

func moveALU(in isa.Insn, p *pointers) where {
	var src where
	src.kind = elsewhere
	if in.UsesReg() {
		src = p[in.Src]
	}
	wide := in.Class() == isa.ClassALU64
	dst := p[in.Dst]
	switch {
	case in.Operation() == isa.Mov && wide && in.Off == 0:
		return src
	case in.Operation() == isa.Mov:
		dst = where{kind: elsewhere}
	case in.Operation() == isa.Add && wide && !in.UsesReg() && dst.kind == at:
		return where{at, dst.off + int(in.Imm)}
	}
	if dst.derived() || src.derived() {
		return where{kind: somewhere}
	}
	return where{kind: elsewhere}
}

func clobber(p *pointers) {
	for r := isa.R0; r <= isa.R5; r++ {
		p[r] = where{kind: elsewhere}
	}
}

// slots adds to e what in reads and overwrites of the stack.
func slots(in isa.Insn, p *pointers, e *effect) {
	switch in.Class() {
	case isa.ClassLDX:
		e.useSlots |= reads(p[in.Src], int(in.Off), in.Bytes())
	case isa.ClassST:
		e.defSlots |= overwrites(p[in.Dst], int(in.Off), in.Bytes())
	case isa.ClassSTX:
		switch {
		case in.Mode() != isa.ModeATOMIC:
			e.defSlots |= overwrites(p[in.Dst], int(in.Off), in.Bytes())
		case in.Imm == isa.LoadAcquire:
			e.useSlots |= reads(p[in.Src], int(in.Off), in.Bytes())
		default:
			e.useSlots |= reads(p[in.Dst], int(in.Off), in.Bytes())
		}
	case isa.ClassJMP:
		if !in.IsCall() {
			return
		}
		for r := isa.R1; r <= isa.R5; r++ { // a callee may read from there up to the frame pointer
			if w := p[r]; w.derived() && e.use.Has(r) {
				e.useSlots |= reads(w, 0, max(-w.off, 0))
			}
		}
	}
}

// reads are the slots that an access touches.
func reads(w where, off, size int) Slots {
	switch w.kind {
	case somewhere:
		return allSlots
	case at:
		return between(w.off+off, w.off+off+size)
	}
	return 0
}

// overwrites are the slots that an access replaces whole.
func overwrites(w where, off, size int) Slots {
	if w.kind != at || size != 8 || (w.off+off)%8 != 0 {
		return 0
	}
	return between(w.off+off, w.off+off+size)
}

// between are the slots with a byte in lo to hi-1, offsets from the frame pointer.
func between(lo, hi int) Slots {
	lo, hi = max(lo, -512), min(hi, 0)
	var s Slots
	for o := lo; o < hi; o++ {
		s |= 1 << uint((-o-1)/8)
	}
	return s
}
