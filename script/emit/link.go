package emit

import (
	"math"

	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
)

// link drops instructions that nothing leads to, which the kernel refuses, and
// writes the jumps' offsets; false when one is too far.
func (f *fn) link() bool {
	target := make(map[int]int, len(f.jumps))
	for _, j := range f.jumps {
		target[j.insn] = f.labels[j.to]
	}
	live := f.reach(target)
	index := make([]int, len(f.insns)+1) // new index of each old instruction, or of the next live one
	n := 0
	for i := range f.insns {
		index[i] = n
		if live[i] {
			n++
		}
	}
	index[len(f.insns)] = n
	out := make([]isa.Insn, 0, n)
	for i, in := range f.insns {
		if !live[i] {
			continue
		}
		if to, ok := target[i]; ok {
			d := index[to] - index[i] - 1
			if d > math.MaxInt16 || d < math.MinInt16 {
				return false
			}
			in.Off = int16(d)
		}
		out = append(out, in)
	}
	f.insns = out
	f.renumber(live, index)
	return true
}

// reach marks the instructions that can run.
func (f *fn) reach(target map[int]int) []bool {
	live := make([]bool, len(f.insns))
	work := []int{0}
	for len(work) > 0 {
		i := work[len(work)-1]
		work = work[:len(work)-1]
		for i < len(f.insns) && !live[i] {
			live[i] = true
			in := f.insns[i]
			if in.IsWide() {
				live[i+1] = true
				i++
			}
			to, isJump := target[i]
			if isJump {
				work = append(work, to)
			}
			if in.IsExit() || isJump && in.Op == isa.ClassJMP|isa.Ja {
				break
			}
			i++
		}
	}
	return live
}

// renumber moves what belongs to instructions along with them.
func (f *fn) renumber(live []bool, index []int) {
	relocs, core := f.relocs[:0], f.core[:0]
	for _, r := range f.relocs {
		if live[r.Insn] {
			r.Insn = index[r.Insn]
			relocs = append(relocs, r)
		}
	}
	for _, r := range f.core {
		if live[r.Insn] {
			r.Insn = index[r.Insn]
			core = append(core, r)
		}
	}
	var lines []object.Line
	for _, l := range f.lines {
		l.Insn = index[min(l.Insn, len(index)-1)]
		if k := len(lines); k > 0 && lines[k-1].Insn == l.Insn {
			lines[k-1] = l
			continue
		}
		if l.Insn < len(f.insns) {
			lines = append(lines, l)
		}
	}
	f.relocs, f.core, f.lines = relocs, core, lines
}
