package object

import (
	"debug/elf"
	"fmt"
	"slices"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
)

// Relocation types of BPF (Documentation/bpf/llvm_reloc.rst).
const (
	relBPF6464 = 1  // 64-bit load
	relBPF6432 = 10 // call
)

// relEntry is a record of a relocation section.
type relEntry struct {
	offset uint64
	typ    uint32
	sym    elf.Symbol
}

// relEntries reads a section of type SHT_REL.
func (r *reader) relEntries(s *elf.Section) ([]relEntry, error) {
	b, err := r.data(s)
	if err != nil {
		return nil, err
	}
	if len(b)%relSize != 0 {
		return nil, fmt.Errorf("section %s has %d bytes: not a multiple of %d", s.Name, len(b), relSize)
	}
	out := make([]relEntry, 0, len(b)/relSize)
	for ; len(b) > 0; b = b[relSize:] {
		info := r.f.ByteOrder.Uint64(b[8:])
		n := info >> 32
		if n == 0 || n > uint64(len(r.syms)) {
			return nil, fmt.Errorf("section %s: relocation against symbol %d of %d", s.Name, n, len(r.syms))
		}
		out = append(out, relEntry{r.f.ByteOrder.Uint64(b), uint32(info), r.syms[n-1]})
	}
	return out, nil
}

func (r *reader) relocations() error {
	for _, s := range r.f.Sections {
		if s.Type != elf.SHT_REL && s.Type != elf.SHT_RELA || int(s.Info) >= len(r.f.Sections) {
			continue
		}
		target := r.f.Sections[s.Info]
		code := target.Flags&elf.SHF_EXECINSTR != 0
		switch {
		case s.Type == elf.SHT_RELA && (code || r.dataOf[int(s.Info)] != nil || target.Name == ".maps"):
			return unsupported("relocations with addends (section %s)", s.Name)
		case code:
			recs, err := r.relEntries(s)
			if err != nil {
				return err
			}
			for _, e := range recs {
				if err := r.relocate(int(s.Info), e); err != nil {
					return fmt.Errorf("section %s+%d: %w", target.Name, e.offset, err)
				}
			}
		case target.Name == ".maps":
			if err := r.relocateMaps(s); err != nil {
				return err
			}
		case structOpsSection(target.Name):
			if err := r.relocateStructOps(s, target.Name); err != nil {
				return fmt.Errorf("section %s: %w", target.Name, err)
			}
		}
		// As in libbpf, addresses in global data stay as they are in the file.
	}
	return nil
}

func (r *reader) relocate(section int, e relEntry) error {
	p := r.funcAt(section, int(min(e.offset/isa.Slot, 1<<31)))
	if p == nil || e.offset%isa.Slot != 0 {
		return fmt.Errorf("relocation outside of functions")
	}
	slot := int(e.offset/isa.Slot) - p.start
	in := p.Insns[slot]
	var rel Reloc
	var err error
	switch {
	case in.Op == isa.ClassJMP|isa.Call && e.typ == relBPF6432:
		rel, err = r.callReloc(in, e)
	case in.IsWide() && e.typ == relBPF6464 && slot+1 < len(p.Insns):
		rel, err = r.wideReloc(in, e)
	default:
		return fmt.Errorf("relocation of type %d against %s at %q: expected a call or a 64-bit load", e.typ, e.sym.Name, in)
	}
	if err != nil {
		return fmt.Errorf("function %s: %w", p.Name, err)
	}
	rel.Insn = slot
	i, found := slices.BinarySearchFunc(p.Relocs, slot, func(r Reloc, s int) int { return r.Insn - s })
	if found {
		return fmt.Errorf("function %s: two relocations at slot %d", p.Name, slot)
	}
	p.Relocs = slices.Insert(p.Relocs, i, rel)
	return nil
}

func (r *reader) callReloc(in isa.Insn, e relEntry) (Reloc, error) {
	if e.sym.Section == elf.SHN_UNDEF {
		x, ok := r.externs[e.sym.Name]
		if !ok || x.Kind != ExternKfunc {
			return Reloc{}, fmt.Errorf("call of %q, which is not defined and not declared as a kfunc (__ksym, with BTF)", e.sym.Name)
		}
		return Reloc{Kind: RelocKfunc, Symbol: e.sym.Name}, nil
	}
	slot := int64(e.sym.Value/isa.Slot) + int64(in.Imm) + 1
	p := r.funcStart(e.sym, slot)
	if p == nil {
		return Reloc{Kind: RelocUnknown, Symbol: e.sym.Name, Addend: slot * isa.Slot}, nil
	}
	return Reloc{Kind: RelocCall, Symbol: p.Name}, nil
}

// funcStart finds the function that begins at slot of the symbol's section.
func (r *reader) funcStart(y elf.Symbol, slot int64) *placed {
	if slot < 0 || slot > 1<<31 || int(y.Section) >= len(r.f.Sections) {
		return nil
	}
	p := r.funcAt(int(y.Section), int(slot))
	if p == nil || p.start != int(slot) {
		return nil
	}
	return p
}

func (r *reader) wideReloc(in isa.Insn, e relEntry) (Reloc, error) {
	y := e.sym
	if y.Section == elf.SHN_UNDEF {
		return r.externReloc(y)
	}
	if int(y.Section) >= len(r.f.Sections) {
		return Reloc{}, fmt.Errorf("symbol %s lies in no section", y.Name)
	}
	s := r.f.Sections[y.Section]
	off := y.Value + uint64(uint32(in.Imm))
	if m := r.dataOf[int(y.Section)]; m != nil {
		if y.Value > uint64(len(m.Data)) {
			return Reloc{}, fmt.Errorf("symbol %s lies outside of %s", y.Name, s.Name)
		}
		return Reloc{Kind: RelocMapValue, Symbol: m.Name, Addend: int64(y.Value) + int64(in.Imm)}, nil
	}
	if s.Flags&elf.SHF_EXECINSTR != 0 {
		p := r.funcStart(y, int64(off/isa.Slot))
		if p == nil || off%isa.Slot != 0 {
			return Reloc{}, fmt.Errorf("address of %q+%d: no function begins there", y.Name, in.Imm)
		}
		return Reloc{Kind: RelocFuncAddr, Symbol: p.Name}, nil
	}
	if m, ok := r.mapAt[place{int(y.Section), off}]; ok {
		return Reloc{Kind: RelocMap, Symbol: m}, nil
	}
	if s.Name == arenaSection {
		for _, m := range r.o.Maps {
			if m.Type == abi.MapArena {
				return Reloc{Kind: RelocMapValue, Symbol: m.Name, Addend: int64(off)}, nil
			}
		}
	}
	return Reloc{Kind: RelocUnknown, Symbol: y.Name, Addend: int64(off)}, nil
}

func (r *reader) externReloc(y elf.Symbol) (Reloc, error) {
	x, ok := r.externs[y.Name]
	switch {
	case !ok:
		return Reloc{}, fmt.Errorf("%q is not defined and not declared in BTF (__ksym or __kconfig)", y.Name)
	case x.Kind == ExternKconfig:
		return Reloc{Kind: RelocMapValue, Symbol: ".kconfig", Addend: int64(x.Offset)}, nil
	}
	return Reloc{Kind: RelocKsym, Symbol: y.Name}, nil
}

// localCalls finds the calls within a section that need no relocation.
func (r *reader) localCalls() error {
	for i := range r.funcs {
		p := &r.funcs[i]
		for slot := 0; slot < len(p.Insns); slot++ {
			in := p.Insns[slot]
			if in.IsWide() {
				slot++
				continue
			}
			if in.Op != isa.ClassJMP|isa.Call || in.Src != isa.CallLocal {
				continue
			}
			at, found := slices.BinarySearchFunc(p.Relocs, slot, func(r Reloc, s int) int { return r.Insn - s })
			if found {
				continue
			}
			to := int64(p.start) + int64(slot) + 1 + int64(in.Imm)
			q := r.funcStart(elf.Symbol{Section: elf.SectionIndex(p.section)}, to)
			if q == nil {
				return fmt.Errorf("section %s: function %s calls slot %d, where no function begins", p.Section, p.Name, to)
			}
			p.Relocs = slices.Insert(p.Relocs, at, Reloc{Insn: slot, Kind: RelocCall, Symbol: q.Name})
		}
	}
	return nil
}
