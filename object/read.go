package object

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
)

// maxSection bounds what is read of one section, maxFile what is read of all:
// sections may overlap, and those without bytes in the file may be of any size.
const (
	maxSection = 1 << 26
	maxFile    = 1 << 28
)

// Read reads a relocatable BPF ELF file, as libbpf reads it. Instructions keep
// the bits they have in the file; what has to be put into them is in Relocs.
// Functions in .text and static ones are Subprogs, all others Programs. Static
// functions of the same name are told apart by a suffix: "name.2".
func Read(name string, r io.ReaderAt) (*Object, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, fmt.Errorf("%s: not an ELF file: %w", name, err)
	}
	rd := &reader{f: f, o: &Object{Name: name, ByteOrder: f.ByteOrder}}
	if err := rd.read(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return rd.o, nil
}

// reader holds what is known of a file while it is read.
type reader struct {
	o    *Object
	f    *elf.File
	syms []elf.Symbol // symbol 0 is not among them

	total uint64 // bytes of sections that were read

	raw   *rawBTF
	ext   *extInfo
	spec  *btf.Spec
	infos *btf.ExtInfos
	typed []btf.TypeID // variables of .ksyms with a type

	funcs   []placed
	mapAt   map[place]string // where maps are declared
	dataOf  map[int]*Map     // section → global data
	externs map[string]Extern
}

// placed is a function and its slots within its section.
type placed struct {
	*Func
	section    int
	start, end int
}

// place is an offset in a section.
type place struct {
	section int
	offset  uint64
}

func (r *reader) read() error {
	if r.f.Class != elf.ELFCLASS64 {
		return fmt.Errorf("expected a 64-bit ELF file, found %v", r.f.Class)
	}
	if r.f.Machine != elf.EM_BPF && r.f.Machine != elf.EM_NONE {
		return fmt.Errorf("expected an object file for BPF, found one for %v", r.f.Machine)
	}
	if r.f.Type != elf.ET_REL {
		return fmt.Errorf("expected a relocatable file, found %v", r.f.Type)
	}
	var err error
	if r.syms, err = r.f.Symbols(); err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return fmt.Errorf("symbols: %w", err)
	}
	r.mapAt, r.dataOf, r.externs = map[place]string{}, map[int]*Map{}, map[string]Extern{}
	for _, step := range []func() error{
		r.sections, r.readBTF, r.readExterns, r.readData, r.readMaps, r.readFuncs, r.relocations, r.localCalls, r.extInfos,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// sections reads license and version.
func (r *reader) sections() error {
	for _, s := range r.f.Sections {
		switch {
		case s.Flags&elf.SHF_COMPRESSED != 0 && s.Flags&elf.SHF_ALLOC != 0:
			return unsupported("compressed section %s", s.Name)
		case s.Name == "license":
			b, err := r.data(s)
			if err != nil {
				return err
			}
			b, _, _ = bytes.Cut(b, []byte{0})
			r.o.License = string(b)
		case s.Name == "version":
			b, err := r.data(s)
			if err != nil {
				return err
			}
			if len(b) != 4 {
				return fmt.Errorf("section version has %d bytes, expected 4", len(b))
			}
			r.o.Version = r.f.ByteOrder.Uint32(b)
		}
	}
	return nil
}

func (r *reader) data(s *elf.Section) ([]byte, error) {
	if s.Size > maxSection {
		return nil, fmt.Errorf("section %s has %d bytes: more than %d", s.Name, s.Size, maxSection)
	}
	if r.total += s.Size; r.total > maxFile {
		return nil, fmt.Errorf("sections have more than %d bytes", maxFile)
	}
	if s.Type == elf.SHT_NOBITS {
		return make([]byte, s.Size), nil
	}
	b, err := s.Data()
	if err != nil {
		return nil, fmt.Errorf("section %s: %w", s.Name, err)
	}
	return b, nil
}

// section finds a section by name; nil when there is none.
func (r *reader) section(name string) *elf.Section { return r.f.Section(name) }

func (r *reader) readBTF() error {
	s := r.section(".BTF")
	if s == nil {
		return nil
	}
	b, err := r.data(s)
	if err != nil {
		return err
	}
	if r.raw, err = parseRawBTF(b, r.f.ByteOrder); err != nil {
		return err
	}
	offsets := map[[2]string]uint64{}
	for _, y := range r.syms {
		if i := int(y.Section); i > 0 && i < len(r.f.Sections) {
			offsets[[2]string{r.f.Sections[i].Name, y.Name}] = y.Value
		}
	}
	r.typed, err = r.raw.link(func(sec string) (uint64, bool) {
		s := r.section(sec)
		if s == nil || s.Size > maxSection {
			return 0, false
		}
		return s.Size, true
	}, func(sec, sym string) (uint64, bool) {
		v, ok := offsets[[2]string{sec, sym}]
		return v, ok && v <= maxSection
	})
	if err != nil {
		return err
	}
	var core []byte
	if x := r.section(".BTF.ext"); x != nil {
		if b, err = r.data(x); err != nil {
			return err
		}
		if r.ext, err = r.raw.parseExt(b); err != nil {
			return err
		}
		core = r.ext.core
	}
	if r.spec, r.infos, err = r.raw.load(core); err != nil {
		return fmt.Errorf(".BTF: %w", err)
	}
	r.o.Types = r.spec
	return nil
}

// datasec finds a data section's type; nil without BTF.
func (r *reader) datasec(name string) (*btf.Datasec, error) {
	if r.spec == nil {
		return nil, nil
	}
	var ds *btf.Datasec
	err := r.spec.TypeByName(name, &ds)
	if errors.Is(err, btf.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf(".BTF: data section %s: %w", name, err)
	}
	return ds, nil
}

// readExterns finds the types of undefined symbols.
func (r *reader) readExterns() error {
	known := map[string]Extern{}
	ksyms, err := r.datasec(".ksyms")
	if err != nil {
		return err
	}
	if ksyms != nil {
		for _, v := range ksyms.Vars {
			switch t := v.Type.(type) {
			case *btf.Func:
				known[t.Name] = Extern{Name: t.Name, Kind: ExternKfunc, Type: t}
			case *btf.Var:
				known[t.Name] = Extern{Name: t.Name, Kind: ExternKsym}
			}
		}
	}
	for _, id := range r.typed {
		t, err := r.spec.TypeByID(id)
		if err != nil {
			return fmt.Errorf(".BTF: %w", err)
		}
		if v, ok := t.(*btf.Var); ok {
			known[v.Name] = Extern{Name: v.Name, Kind: ExternKsym, Type: v.Type}
		}
	}
	if err := r.kconfig(known); err != nil {
		return err
	}
	for _, y := range r.syms {
		e, ok := known[y.Name]
		if y.Section != elf.SHN_UNDEF || !ok {
			continue
		}
		if _, ok := r.externs[y.Name]; ok {
			continue
		}
		e.Weak = elf.ST_BIND(y.Info) == elf.STB_WEAK
		r.externs[y.Name] = e
		r.o.Externs = append(r.o.Externs, e)
	}
	return nil
}

// kconfig adds configuration values and the map that holds them.
func (r *reader) kconfig(known map[string]Extern) error {
	ds, err := r.datasec(".kconfig")
	if err != nil || ds == nil {
		return err
	}
	if ds.Size > maxSection {
		return fmt.Errorf(".kconfig has %d bytes: more than %d", ds.Size, maxSection)
	}
	for _, v := range ds.Vars {
		if t, ok := v.Type.(*btf.Var); ok {
			known[t.Name] = Extern{Name: t.Name, Kind: ExternKconfig, Type: t.Type, Offset: v.Offset}
		}
	}
	m := dataMap(".kconfig", make([]byte, ds.Size))
	m.Value = ds
	r.o.Maps = append(r.o.Maps, m)
	return nil
}

// dataMap is the map of a global data section.
func dataMap(section string, data []byte) *Map {
	m := &Map{
		Name: section, Section: section, Type: abi.MapArray, KeySize: 4, ValueSize: uint32(len(data)), MaxEntries: 1, Data: data,
	}
	if readOnlySection(section) {
		m.Frozen, m.Flags = true, abi.MapRdonlyProg
	}
	return m
}

func readOnlySection(s string) bool {
	return s == ".kconfig" || s == ".rodata" || strings.HasPrefix(s, ".rodata.")
}

func dataSection(s string) bool {
	for _, n := range []string{".data", ".rodata", ".bss"} {
		if s == n || strings.HasPrefix(s, n+".") {
			return true
		}
	}
	return false
}

func (r *reader) readData() error {
	for i, s := range r.f.Sections {
		if !dataSection(s.Name) || s.Size == 0 || s.Type != elf.SHT_PROGBITS && s.Type != elf.SHT_NOBITS {
			continue
		}
		if r.o.mapByName(s.Name) != nil {
			return fmt.Errorf("two sections %s", s.Name)
		}
		b, err := r.data(s)
		if err != nil {
			return err
		}
		m := dataMap(s.Name, b)
		ds, err := r.datasec(s.Name)
		if err != nil {
			return err
		}
		if ds != nil {
			m.Value = ds
		}
		r.dataOf[i] = m
		r.o.Maps = append(r.o.Maps, m)
	}
	return nil
}

// readFuncs cuts code sections into functions at their symbols.
func (r *reader) readFuncs() error {
	bySection := map[int][]elf.Symbol{}
	for _, y := range r.syms {
		if elf.ST_TYPE(y.Info) == elf.STT_FUNC && int(y.Section) < len(r.f.Sections) && y.Section != elf.SHN_UNDEF {
			bySection[int(y.Section)] = append(bySection[int(y.Section)], y)
		}
	}
	for i, s := range r.f.Sections {
		if s.Type != elf.SHT_PROGBITS || s.Flags&elf.SHF_EXECINSTR == 0 || s.Size == 0 {
			continue
		}
		b, err := r.data(s)
		if err != nil {
			return err
		}
		if len(b)%isa.Slot != 0 {
			return fmt.Errorf("section %s has %d bytes: not a multiple of 8", s.Name, len(b))
		}
		if err := r.cutSection(i, s.Name, b, bySection[i]); err != nil {
			return fmt.Errorf("section %s: %w", s.Name, err)
		}
	}
	return nil
}

func (r *reader) cutSection(index int, name string, code []byte, syms []elf.Symbol) error {
	sort.SliceStable(syms, func(i, j int) bool { return syms[i].Value < syms[j].Value })
	if len(syms) == 0 {
		return fmt.Errorf("code without a function symbol")
	}
	for i, y := range syms {
		end := uint64(len(code))
		if i+1 < len(syms) {
			end = syms[i+1].Value
		}
		if y.Value%isa.Slot != 0 || y.Value >= uint64(len(code)) || y.Size%isa.Slot != 0 {
			return fmt.Errorf("function %s at %d with %d bytes does not fit into %d bytes of code", y.Name, y.Value, y.Size, len(code))
		}
		if y.Size != 0 {
			if y.Size > end-y.Value {
				return fmt.Errorf("function %s overlaps what follows it", y.Name)
			}
			end = y.Value + y.Size
		}
		if end <= y.Value || end > uint64(len(code)) {
			return unsupported("function %s: two names for one place", y.Name)
		}
		if err := r.addFunc(index, name, code, y, end); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) addFunc(index int, section string, code []byte, y elf.Symbol, end uint64) error {
	f := &Func{Name: y.Name, Section: section}
	for off := y.Value; off < end; off += isa.Slot {
		f.Insns = append(f.Insns, isa.Decode(code[off:], r.f.ByteOrder))
	}
	bind, vis := elf.ST_BIND(y.Info), elf.ST_VISIBILITY(y.Other)
	global := bind != elf.STB_LOCAL && vis != elf.STV_HIDDEN && vis != elf.STV_INTERNAL
	f.Weak = bind == elf.STB_WEAK
	entry := section != textSection && bind != elf.STB_LOCAL
	if r.o.function(f.Name) != nil || f.Name == "" {
		if bind != elf.STB_LOCAL || f.Name == "" {
			return fmt.Errorf("two functions %q, or one without a name", f.Name)
		}
		base := f.Name
		for n := 2; r.o.function(f.Name) != nil; n++ {
			f.Name = fmt.Sprintf("%s.%d", base, n)
		}
	}
	if entry {
		f.Attach, _ = abi.ParseSection(section)
		r.o.Programs = append(r.o.Programs, f)
	} else {
		f.Global = global
		r.o.Subprogs = append(r.o.Subprogs, f)
	}
	r.funcs = append(r.funcs, placed{f, index, int(y.Value / isa.Slot), int(end / isa.Slot)})
	return nil
}

// funcAt finds the function that holds slot of a section. Functions of a
// section stand together in ascending order.
func (r *reader) funcAt(section, slot int) *placed {
	i := sort.Search(len(r.funcs), func(i int) bool {
		f := &r.funcs[i]
		return f.section > section || f.section == section && f.end > slot
	})
	if i < len(r.funcs) && r.funcs[i].section == section && r.funcs[i].start <= slot {
		return &r.funcs[i]
	}
	return nil
}

// extInfos gives functions their types, lines and CO-RE relocations.
func (r *reader) extInfos() error {
	if r.ext == nil {
		return nil
	}
	for i, s := range r.f.Sections {
		if s.Flags&elf.SHF_EXECINSTR == 0 {
			continue
		}
		if err := r.funcInfos(i, r.ext.funcs[s.Name]); err != nil {
			return fmt.Errorf("section %s: %w", s.Name, err)
		}
		if err := r.lineInfos(i, r.ext.lines[s.Name]); err != nil {
			return fmt.Errorf("section %s: %w", s.Name, err)
		}
		if err := r.coreRelos(i, s.Name, r.ext.relos[s.Name]); err != nil {
			return fmt.Errorf("section %s: %w", s.Name, err)
		}
	}
	return nil
}

func (r *reader) funcInfos(section int, recs []extRecord) error {
	for _, x := range recs {
		p := r.funcAt(section, x.slot)
		if p == nil || p.start != x.slot {
			return fmt.Errorf("%w: function information at slot %d, where no function begins", errExt, x.slot)
		}
		t, err := r.spec.TypeByID(btf.TypeID(r.f.ByteOrder.Uint32(x.rest)))
		if err != nil {
			return fmt.Errorf("function %s: %w", p.Name, err)
		}
		fn, ok := t.(*btf.Func)
		if !ok {
			return fmt.Errorf("%w: function %s has type %v, expected a function", errExt, p.Name, t)
		}
		p.BTF = fn
	}
	return nil
}

func (r *reader) lineInfos(section int, recs []extRecord) error {
	for _, x := range recs {
		p := r.funcAt(section, x.slot)
		if p == nil {
			return fmt.Errorf("%w: line information at slot %d outside of functions", errExt, x.slot)
		}
		file, err := r.raw.str(r.f.ByteOrder.Uint32(x.rest))
		if err != nil {
			return err
		}
		text, err := r.raw.str(r.f.ByteOrder.Uint32(x.rest[4:]))
		if err != nil {
			return err
		}
		lc := r.f.ByteOrder.Uint32(x.rest[8:])
		p.Lines = append(p.Lines, Line{x.slot - p.start, file, int(lc >> 10), int(lc & 0x3ff), text})
	}
	for i := range r.funcs {
		slices.SortStableFunc(r.funcs[i].Lines, func(a, b Line) int { return a.Insn - b.Insn })
	}
	return nil
}

func (r *reader) coreRelos(section int, name string, recs []extRecord) error {
	parsed := map[int]*btf.CORERelocation{}
	if r.infos != nil {
		for _, c := range r.infos.CORERelos[name] {
			parsed[int(c.Offset)] = c.Relo
		}
	}
	seen := map[int]bool{}
	for _, x := range recs {
		p := r.funcAt(section, x.slot)
		if p == nil || seen[x.slot] {
			return fmt.Errorf("%w: CO-RE relocation at slot %d outside of functions, or the second one there", errExt, x.slot)
		}
		seen[x.slot] = true
		bo := r.f.ByteOrder
		t, err := r.spec.TypeByID(btf.TypeID(bo.Uint32(x.rest)))
		if err != nil {
			return fmt.Errorf("CO-RE relocation: %w", err)
		}
		access, err := r.raw.str(bo.Uint32(x.rest[4:]))
		if err != nil {
			return err
		}
		p.CORE = append(p.CORE, CORERelo{x.slot - p.start, bo.Uint32(x.rest[8:]), t, access, parsed[x.slot]})
	}
	for i := range r.funcs {
		slices.SortStableFunc(r.funcs[i].CORE, func(a, b CORERelo) int { return a.Insn - b.Insn })
	}
	return nil
}
