package object

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
)

// Write makes a relocatable ELF file that libbpf, cilium/ebpf and Read load:
// code, relocations, maps declared in BTF, global data, license, types, line
// information and CO-RE relocations. UserTypes have no place in it.
//
// Instructions keep their bits, but where a relocation needs others: a call or
// address of a function whose offset within its section changed, and kfuncs.
func Write(o *Object) ([]byte, error) {
	w := &writer{
		o: o, bo: o.ByteOrder, sectionAt: map[string]int{}, symAt: map[string]uint32{}, funcAt: map[string]*located{},
		types: &typeWriter{},
	}
	if w.bo == nil {
		w.bo = binary.LittleEndian
	}
	for _, step := range []func() error{w.layCode, w.layData, w.layMaps, w.layMeta, w.symbols, w.encode, w.mapElements, w.layTypes} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("%s: %w", o.Name, err)
		}
	}
	return w.finish(), nil
}

// Numbers of the first sections.
const (
	symtabIndex   = 1
	strtabIndex   = 2
	firstSection  = 3
	maxELFSection = 0xff00 // SHN_LORESERVE
)

type writer struct {
	o  *Object
	bo binary.ByteOrder

	sections  []elfSection   // sections[i] is number firstSection+i
	sectionAt map[string]int // name → number
	funcs     []*located     // by section, in order
	funcAt    map[string]*located
	mapAt     map[string]btf.VarSecinfo // in .maps
	syms      []elf.Symbol
	symAt     map[string]uint32       // name → number of a named symbol; "section name" → of a section
	rels      map[int][]elf.Rel64     // section → relocations
	vars      map[string]*btf.Datasec // global data with types
	types     *typeWriter
	externVar map[uint32]string // offset in .kconfig → name
}

// located is a function and its place.
type located struct {
	*Func
	section int
	start   int // slot
	entry   bool
}

// static functions are referred to through their section, as clang does.
func (l *located) static() bool { return !l.entry && !l.Global && !l.Weak }

func (w *writer) add(s elfSection) int {
	w.sections = append(w.sections, s)
	n := firstSection + len(w.sections) - 1
	w.sectionAt[s.name] = n
	return n
}

func (w *writer) section(n int) *elfSection { return &w.sections[n-firstSection] }

func (w *writer) layCode() error {
	used := map[int]int{}
	for i, fs := range [][]*Func{w.o.Programs, w.o.Subprogs} {
		for _, f := range fs {
			name := f.Section
			if name == "" && i == 1 {
				name = textSection
			}
			if name == "" || f.Name == "" || w.funcAt[f.Name] != nil || strings.ContainsRune(f.Name+name, 0) {
				return fmt.Errorf("function %q in section %q: expected a name of its own and a section", f.Name, name)
			}
			if len(f.Insns) == 0 {
				return fmt.Errorf("function %s has no instructions", f.Name)
			}
			n, ok := w.sectionAt[name]
			if !ok {
				n = w.add(elfSection{name: name, typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, align: 8})
			}
			l := &located{f, n, used[n], i == 0}
			used[n] += len(f.Insns)
			w.funcAt[f.Name] = l
			w.funcs = append(w.funcs, l)
		}
	}
	slices.SortStableFunc(w.funcs, func(a, b *located) int { return a.section - b.section })
	return nil
}

func (w *writer) layData() error {
	w.vars = map[string]*btf.Datasec{}
	for _, m := range w.o.Maps {
		ds, typed := m.Value.(*btf.Datasec)
		if m.Section == "" {
			continue
		}
		if typed {
			w.vars[m.Section] = ds
		}
		if m.Section == ".kconfig" {
			continue
		}
		if !dataSection(m.Section) || w.sectionAt[m.Section] != 0 {
			return fmt.Errorf("map %s: section %q, expected one named .data, .rodata or .bss, or with a suffix such as .data.x", m.Name, m.Section)
		}
		s := elfSection{name: m.Section, typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC, align: 8, data: m.Data}
		if !readOnlySection(m.Section) {
			s.flags |= elf.SHF_WRITE
		}
		if strings.HasPrefix(m.Section, ".bss") {
			s.typ, s.data, s.size = elf.SHT_NOBITS, nil, uint64(len(m.Data))
			if slices.ContainsFunc(m.Data, func(b byte) bool { return b != 0 }) {
				return fmt.Errorf("map %s: section .bss with bytes that are not zero", m.Name)
			}
		}
		w.add(s)
	}
	return nil
}

// layMaps lays out variables with the definitions of maps.
func (w *writer) layMaps() error {
	w.mapAt = map[string]btf.VarSecinfo{}
	ds := &btf.Datasec{Name: ".maps"}
	for _, m := range w.o.Maps {
		if m.Section != "" {
			continue
		}
		if _, ok := w.mapAt[m.Name]; ok || m.Name == "" {
			return fmt.Errorf("map %q: expected a name of its own", m.Name)
		}
		def, err := w.types.mapStruct(m, true)
		if err != nil {
			return fmt.Errorf("map %s: %w", m.Name, err)
		}
		size := def.Size
		for _, e := range m.Entries {
			if e.Key >= 1<<20 {
				return fmt.Errorf("map %s: initial element %d is out of range", m.Name, e.Key)
			}
			size = max(size, def.Size+8*(e.Key+1))
		}
		w.mapAt[m.Name] = btf.VarSecinfo{
			Type: &btf.Var{Name: m.Name, Type: def, Linkage: btf.GlobalVar}, Offset: ds.Size, Size: size,
		}
		ds.Vars = append(ds.Vars, w.mapAt[m.Name])
		ds.Size += size
	}
	if len(ds.Vars) > 0 {
		w.types.add(ds)
		w.add(elfSection{name: ".maps", typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC | elf.SHF_WRITE, align: 8, data: make([]byte, ds.Size)})
	}
	return nil
}

func (w *writer) layMeta() error {
	if w.o.License != "" {
		w.add(elfSection{name: "license", typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC | elf.SHF_WRITE, align: 1, data: append([]byte(w.o.License), 0)})
	}
	if w.o.Version != 0 {
		b := make([]byte, 4)
		w.bo.PutUint32(b, w.o.Version)
		w.add(elfSection{name: "version", typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC | elf.SHF_WRITE, align: 4, data: b})
	}
	return nil
}

// symbols makes the symbol table: local symbols first.
func (w *writer) symbols() error {
	put := func(key string, bind elf.SymBind, typ elf.SymType, y elf.Symbol) {
		y.Info = elf.ST_INFO(bind, typ)
		w.syms = append(w.syms, y)
		if _, ok := w.symAt[key]; !ok {
			w.symAt[key] = uint32(len(w.syms))
		}
	}
	for i := range w.sections {
		put("section "+w.sections[i].name, elf.STB_LOCAL, elf.STT_SECTION, elf.Symbol{Section: elf.SectionIndex(firstSection + i)})
	}
	for _, local := range []bool{true, false} {
		bind := elf.STB_GLOBAL
		if local {
			bind = elf.STB_LOCAL
		}
		for _, f := range w.funcs {
			if f.static() != local {
				continue
			}
			b := bind
			if f.Weak {
				b = elf.STB_WEAK
			}
			put("func "+f.Name, b, elf.STT_FUNC, elf.Symbol{
				Name: f.Name, Section: elf.SectionIndex(f.section), Value: uint64(f.start) * isa.Slot, Size: uint64(len(f.Insns)) * isa.Slot,
			})
		}
		w.varSymbols(local, func(y elf.Symbol) { put("var "+y.Name, bind, elf.STT_OBJECT, y) })
	}
	for _, m := range w.o.Maps {
		if v, ok := w.mapAt[m.Name]; ok && m.Section == "" {
			put("map "+m.Name, elf.STB_GLOBAL, elf.STT_OBJECT, elf.Symbol{Name: m.Name, Section: elf.SectionIndex(w.sectionAt[".maps"]), Value: uint64(v.Offset), Size: uint64(v.Size)})
		}
	}
	if n := w.sectionAt["license"]; n != 0 {
		put("license", elf.STB_GLOBAL, elf.STT_OBJECT, elf.Symbol{Name: "_license", Section: elf.SectionIndex(n), Size: uint64(len(w.o.License) + 1)})
	}
	w.externVar = map[uint32]string{}
	for _, e := range w.o.Externs {
		b := elf.STB_GLOBAL
		if e.Weak {
			b = elf.STB_WEAK
		}
		put("extern "+e.Name, b, elf.STT_NOTYPE, elf.Symbol{Name: e.Name})
		if e.Kind == ExternKconfig {
			w.externVar[e.Offset] = e.Name
		}
	}
	return nil
}

// varSymbols yields the variables of global data, as their types name them.
func (w *writer) varSymbols(local bool, put func(elf.Symbol)) {
	for _, sec := range sortedKeys(w.vars) {
		n := w.sectionAt[sec]
		if n == 0 {
			continue
		}
		for _, v := range w.vars[sec].Vars {
			if t, ok := v.Type.(*btf.Var); ok && (t.Linkage == btf.StaticVar) == local {
				put(elf.Symbol{Name: t.Name, Section: elf.SectionIndex(n), Value: uint64(v.Offset), Size: uint64(v.Size)})
			}
		}
	}
}

// encode writes instructions and their relocations.
func (w *writer) encode() error {
	w.rels = map[int][]elf.Rel64{}
	for _, f := range w.funcs {
		insns := slices.Clone(f.Insns)
		for _, r := range f.Relocs {
			if r.Insn < 0 || r.Insn >= len(insns) {
				return fmt.Errorf("function %s: relocation at slot %d of %d", f.Name, r.Insn, len(insns))
			}
			in := &insns[r.Insn]
			sym, err := w.relocate(f, in, r)
			if err != nil {
				return fmt.Errorf("function %s, slot %d: %w", f.Name, r.Insn, err)
			}
			if sym == 0 {
				continue
			}
			typ := uint32(relBPF6464)
			if !in.IsWide() {
				typ = relBPF6432
			}
			w.rels[f.section] = append(w.rels[f.section], elf.Rel64{Off: uint64(f.start+r.Insn) * isa.Slot, Info: uint64(sym)<<32 | uint64(typ)})
		}
		s := w.section(f.section)
		for _, in := range insns {
			var b [isa.Slot]byte
			in.Encode(b[:], w.bo)
			s.data = append(s.data, b[:]...)
		}
	}
	return nil
}

// relocate finds the symbol of a relocation, 0 where none is needed, and
// changes the bits of the instruction that the choice of the symbol demands.
func (w *writer) relocate(f *located, in *isa.Insn, r Reloc) (uint32, error) {
	isCall := r.Kind == RelocCall || r.Kind == RelocKfunc
	if isCall && in.Op != isa.ClassJMP|isa.Call || !isCall && !in.IsWide() {
		return 0, fmt.Errorf("relocation against %q at %q: expected a call for functions, a 64-bit load for addresses", r.Symbol, in)
	}
	switch r.Kind {
	case RelocMap:
		in.Imm = 0
		return w.symbol("map " + r.Symbol)
	case RelocMapValue:
		return w.valueReloc(in, r)
	case RelocCall, RelocFuncAddr:
		to := w.funcAt[r.Symbol]
		if to == nil {
			return 0, fmt.Errorf("no function %q", r.Symbol)
		}
		if r.Kind == RelocCall {
			return w.callReloc(f, in, to, r)
		}
		if to.static() {
			in.Imm = int32(to.start * isa.Slot)
			return w.symbol("section " + w.section(to.section).name)
		}
		in.Imm = 0
		return w.symbol("func " + to.Name)
	case RelocKfunc:
		in.Src, in.Off, in.Imm = isa.CallLocal, 0, -1
		return w.symbol("extern " + r.Symbol)
	case RelocKsym:
		return w.symbol("extern " + r.Symbol)
	}
	return 0, unsupported("relocation of kind %d", r.Kind)
}

func (w *writer) symbol(key string) (uint32, error) {
	n, ok := w.symAt[key]
	if !ok {
		return 0, fmt.Errorf("no %s in this object", key)
	}
	return n, nil
}

func (w *writer) callReloc(f *located, in *isa.Insn, to *located, r Reloc) (uint32, error) {
	in.Src, in.Off = isa.CallLocal, 0
	rel := to.start - (f.start + r.Insn + 1)
	switch {
	case !to.static() && in.Imm == -1:
		return w.symbol("func " + to.Name)
	case f.section == to.section && int(in.Imm) == rel:
		return 0, nil
	case to.static():
		in.Imm = int32(to.start - 1)
		return w.symbol("section " + w.section(to.section).name)
	}
	in.Imm = -1
	return w.symbol("func " + to.Name)
}

func (w *writer) valueReloc(in *isa.Insn, r Reloc) (uint32, error) {
	m := w.o.mapByName(r.Symbol)
	if m == nil || m.Section == "" {
		return 0, unsupported("address of the value of map %q, which is not global data, in an ELF file", r.Symbol)
	}
	if m.Section == ".kconfig" {
		name, ok := w.externVar[uint32(r.Addend)]
		if !ok {
			return 0, fmt.Errorf("no configuration value at byte %d", r.Addend)
		}
		return w.symbol("extern " + name)
	}
	if ds := w.vars[m.Section]; ds != nil && r.Addend != int64(in.Imm) {
		for _, v := range ds.Vars {
			if t, ok := v.Type.(*btf.Var); ok && int64(v.Offset)+int64(in.Imm) == r.Addend {
				return w.symbol("var " + t.Name)
			}
		}
	}
	if r.Addend < 0 || r.Addend > maxSection {
		return 0, fmt.Errorf("byte %d of %s is out of range", r.Addend, m.Name)
	}
	in.Imm = int32(r.Addend)
	return w.symbol("section " + m.Section)
}

// mapElements writes the relocations of maps with initial elements.
func (w *writer) mapElements() error {
	for _, m := range w.o.Maps {
		def := w.types.defs[m]
		for _, e := range m.Entries {
			key := "map " + e.Symbol
			if m.Type == abi.MapProgArray {
				key = "func " + e.Symbol
			}
			sym, err := w.symbol(key)
			if err != nil || def == nil {
				return fmt.Errorf("map %s, element %d: %w", m.Name, e.Key, err)
			}
			n := w.sectionAt[".maps"]
			off := uint64(w.mapAt[m.Name].Offset) + uint64(def.Size) + 8*uint64(e.Key)
			w.rels[n] = append(w.rels[n], elf.Rel64{Off: off, Info: uint64(sym)<<32 | 2}) // R_BPF_64_ABS64
		}
	}
	return nil
}

// finish adds relocation sections and the symbol table.
func (w *writer) finish() []byte {
	for _, n := range sortedKeys(w.rels) {
		var b []byte
		for _, r := range w.rels[n] {
			b = append(b, make([]byte, relSize)...)
			w.bo.PutUint64(b[len(b)-16:], r.Off)
			w.bo.PutUint64(b[len(b)-8:], r.Info)
		}
		w.add(elfSection{
			name: ".rel" + w.section(n).name, typ: elf.SHT_REL, link: symtabIndex, info: uint32(n), align: 8, entsize: relSize, data: b,
		})
	}
	sym, str := symtab(w.bo, w.syms, strtabIndex)
	return layELF(w.bo, append([]elfSection{sym, str}, w.sections...))
}
