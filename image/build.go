package image

// Defines Build: one program and what it calls become one stream of instructions.

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
)

// maxInsns is the size that no kernel exceeds (include/linux/bpf.h: BPF_COMPLEXITY_LIMIT_INSNS).
const maxInsns = 1_000_000

// Build links program of o for target t. The error is *Unsupported for what
// gtrace or the target does not know, or says what is wrong with the object.
func Build(o *object.Object, program string, t *Target) (*Image, error) {
	entry := find(o.Programs, program)
	if entry == nil {
		return nil, fmt.Errorf("%s: no program %q; it has %s", o.Name, program, names(o.Programs))
	}
	if o.ByteOrder == binary.ByteOrder(binary.BigEndian) {
		return nil, &Unsupported{What: o.Name + " is big-endian", How: "compile it with -target bpfel"}
	}
	attach := entry.Attach
	if attach.Type == 0 {
		a, ok := abi.ParseSection(entry.Section)
		if !ok {
			return nil, &Unsupported{What: fmt.Sprintf("program %s: its section %q names no program type", program, entry.Section)}
		}
		attach = a
	}
	if since, what := abi.AttachSince(attach); since > t.Version && t.Engine == EngineKernel {
		return nil, younger(what, since)
	}
	o, entry, err := parsedCORE(o, entry, t)
	if err != nil {
		return nil, err
	}
	l := linker{
		o: o, t: t, starts: map[*object.Func]int{}, maps: map[string]int{},
		img: &Image{
			Object: o.Name, Program: program, Section: entry.Section, Attach: attach,
			License: o.License, Target: t, UserTypes: o.UserTypes,
		},
	}
	if err := l.link(entry); err != nil {
		return nil, fmt.Errorf("%s: %w", program, l.sooner(err))
	}
	if l.img.Ctx, err = contextTypes(attach, t); err != nil {
		return nil, fmt.Errorf("%s: %w", program, l.sooner(err))
	}
	return l.img, nil
}

func find(fs []*object.Func, name string) *object.Func {
	for _, f := range fs {
		if f.Name == name {
			return f
		}
	}
	return nil
}

func names(fs []*object.Func) string {
	if len(fs) == 0 {
		return "none"
	}
	s := ""
	for i, f := range fs {
		if i == 10 {
			return s + ", …"
		}
		if i > 0 {
			s += ", "
		}
		s += f.Name
	}
	return s
}

type linker struct {
	o       *object.Object
	t       *Target
	img     *Image
	starts  map[*object.Func]int
	pending []*object.Func  // to be laid out, in the order of first reference
	maps    map[string]int  // index in img.Maps by name
	lacking map[int64]error // by offset in .kconfig: values that the target lacks
}

// link lays out entry and everything that it reaches, then resolves what they refer to.
func (l *linker) link(entry *object.Func) error {
	l.pending = append([]*object.Func{entry}, l.exceptionCallbacks(entry)...)
	for _, f := range l.pending {
		l.starts[f] = -1
	}
	var order []*object.Func
	for len(l.pending) > 0 {
		f := l.pending[0]
		l.pending = l.pending[1:]
		if err := l.place(f); err != nil {
			return err
		}
		order = append(order, f)
	}
	if err := l.applyCORE(order); err != nil {
		return err
	}
	for _, f := range order {
		for _, r := range f.Relocs {
			if err := l.resolve(f, r); err != nil {
				return fmt.Errorf("instruction %d of %s: %w", r.Insn, f.Name, err)
			}
		}
	}
	return nil
}

// exceptionCallbacks are the functions that entry names to handle its exceptions.
func (l *linker) exceptionCallbacks(entry *object.Func) []*object.Func {
	var out []*object.Func
	if entry.BTF == nil {
		return nil
	}
	for _, tag := range entry.BTF.Tags {
		name, ok := strings.CutPrefix(tag, abi.ExceptionTag)
		if f := l.function(name); ok && f != nil && f != entry && !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}

// place appends f and queues the functions that it refers to.
func (l *linker) place(f *object.Func) error {
	base := len(l.img.Insns)
	if len(f.Insns) == 0 {
		return fmt.Errorf("function %s has no instructions", f.Name)
	}
	if base+len(f.Insns) > maxInsns {
		return fmt.Errorf("the program has more than %d instructions", maxInsns)
	}
	l.starts[f] = base
	l.img.Insns = append(l.img.Insns, f.Insns...)
	l.img.Subprogs = append(l.img.Subprogs, Subprog{Start: base, Name: f.Name, BTF: f.BTF, Global: f.Global})
	for _, n := range f.Lines {
		n.Insn += base
		l.img.Lines = append(l.img.Lines, n)
	}
	related := make(map[int]bool, len(f.Relocs))
	for _, r := range f.Relocs {
		if r.Insn < 0 || r.Insn >= len(f.Insns) {
			return fmt.Errorf("%s: relocation at instruction %d of %d", f.Name, r.Insn, len(f.Insns))
		}
		related[r.Insn] = true
		if r.Kind != object.RelocCall && r.Kind != object.RelocFuncAddr {
			continue
		}
		g := l.function(r.Symbol)
		if g == nil {
			return fmt.Errorf("instruction %d of %s refers to function %q, which is not in the object", r.Insn, f.Name, r.Symbol)
		}
		if _, seen := l.starts[g]; !seen {
			l.starts[g] = -1
			l.pending = append(l.pending, g)
		}
	}
	return l.inner(f, base, related)
}

// inner records subprograms within f that f's own relative calls reach without
// a relocation. A map's index without one would be somebody else's; a
// descriptor stays for the verifier to judge.
func (l *linker) inner(f *object.Func, base int, related map[int]bool) error {
	starts := map[int]bool{}
	for i := 0; i < len(f.Insns); i++ {
		in := f.Insns[i]
		local := in.IsCall() && in.Src == isa.CallLocal || in.IsWide() && in.Src == isa.PseudoFunc
		if to := i + 1 + int(in.Imm); local && !related[i] && to > 0 && to < len(f.Insns) {
			starts[to] = true
		}
		if !in.IsWide() {
			continue
		}
		switch in.Src {
		case isa.PseudoMapIdx, isa.PseudoMapIdxValue:
			if !related[i] {
				return fmt.Errorf("instruction %d of %s loads map %d, which no relocation names", i, f.Name, in.Imm)
			}
		}
		i++
	}
	for i := range f.Insns {
		if starts[i] {
			l.img.Subprogs = append(l.img.Subprogs, Subprog{Start: base + i, Name: fmt.Sprintf("%s+%d", f.Name, i)})
		}
	}
	return nil
}

func (l *linker) function(name string) *object.Func {
	if f := find(l.o.Subprogs, name); f != nil {
		return f
	}
	return find(l.o.Programs, name)
}

// resolve writes what relocation r of f means into its instruction.
func (l *linker) resolve(f *object.Func, r object.Reloc) error {
	at := l.starts[f] + r.Insn
	in := &l.img.Insns[at]
	switch r.Kind {
	case object.RelocUnknown:
		if r.Symbol == "" {
			return &Unsupported{What: "a configuration value (.kconfig), or a map given by its descriptor: a CollectionSpec does not say which", How: "check the object file"}
		}
		if in.IsCall() {
			return fmt.Errorf("call of %q, byte %d of its section: no function begins there", r.Symbol, r.Addend)
		}
		return &Unsupported{What: fmt.Sprintf("reference to %q: no map, global data or function", r.Symbol)}
	case object.RelocCall, object.RelocKfunc:
		if !in.IsCall() {
			return fmt.Errorf("a call relocation for %s on %q, which is no call", r.Symbol, in)
		}
	default:
		if !in.IsWide() || r.Insn+1 >= len(f.Insns) {
			return fmt.Errorf("a relocation for %s on %q, which is no 64-bit load", r.Symbol, in)
		}
	}
	switch r.Kind {
	case object.RelocMap:
		return l.mapRef(at, r.Symbol, isa.PseudoMapIdx, 0)
	case object.RelocMapValue:
		return l.mapRef(at, r.Symbol, isa.PseudoMapIdxValue, r.Addend)
	case object.RelocCall:
		in.Src, in.Imm = isa.CallLocal, int32(l.starts[l.function(r.Symbol)]-at-1)
	case object.RelocFuncAddr:
		in.Src, in.Imm = isa.PseudoFunc, int32(l.starts[l.function(r.Symbol)]-at-1)
		l.img.Insns[at+1].Imm = 0
	case object.RelocKfunc:
		return l.kfunc(at, r.Symbol)
	case object.RelocKsym:
		return l.ksym(at, r.Symbol)
	default:
		return &Unsupported{What: fmt.Sprintf("relocation kind %d for %s", r.Kind, r.Symbol)}
	}
	return nil
}

// mapRef makes the wide load at slot at refer to a map, or to byte off of its only value.
func (l *linker) mapRef(at int, name string, pseudo isa.Reg, off int64) error {
	i, ok := l.maps[name]
	if !ok {
		m := l.findMap(name)
		if m == nil {
			return fmt.Errorf("map %q is not in the object", name)
		}
		m, err := l.filled(m)
		if err != nil {
			return err
		}
		if since := abi.MapSince(m.Type); since > l.t.Version && l.t.Engine == EngineKernel {
			return younger(fmt.Sprintf("map %s of type %v", m.Name, m.Type), since)
		}
		if why := abi.MapDefinition(m.Type, m.KeySize, m.ValueSize, m.MaxEntries, m.Flags); why != "" && m.Section == "" {
			return fmt.Errorf("map %s: the kernel would not make it: %s", m.Name, why)
		}
		i = len(l.img.Maps)
		l.maps[name] = i
		l.img.Maps = append(l.img.Maps, m)
	}
	if err := l.lacking[off]; err != nil && name == kconfigName {
		return err
	}
	if off < 0 || off > math.MaxUint32 {
		return fmt.Errorf("byte %d of the value of map %s", off, name)
	}
	in := &l.img.Insns[at]
	in.Src, in.Imm = pseudo, int32(i)
	l.img.Insns[at+1].Imm = int32(uint32(off))
	return nil
}

func (l *linker) findMap(name string) *object.Map {
	for _, m := range l.o.Maps {
		if m.Name == name {
			return m
		}
	}
	return nil
}
