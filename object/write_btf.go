package object

import (
	"debug/elf"
	"fmt"
	"math"
	"strings"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/abi"
)

// typeWriter collects the types of an object that is written.
type typeWriter struct {
	b     btf.Builder
	err   error
	defs  map[*Map]*btf.Struct // definitions of maps
	num   map[uint32]btf.Type  // numbers in definitions of maps
	int32 *btf.Int
}

func (t *typeWriter) add(typ btf.Type) btf.TypeID {
	id, err := t.b.Add(typ)
	if err != nil && t.err == nil {
		t.err = err
	}
	return id
}

func (t *typeWriter) int() *btf.Int {
	if t.int32 == nil {
		t.int32 = &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	}
	return t.int32
}

// number codes n as libbpf's __uint does: a pointer to an array of that length.
func (t *typeWriter) number(n uint32) btf.Type {
	if t.num == nil {
		t.num = map[uint32]btf.Type{}
	}
	if t.num[n] == nil {
		t.num[n] = &btf.Pointer{Target: &btf.Array{Index: t.int(), Type: t.int(), Nelems: n}}
	}
	return t.num[n]
}

// mapStruct is the type of a map's definition.
func (t *typeWriter) mapStruct(m *Map, outer bool) (*btf.Struct, error) {
	def := &btf.Struct{}
	put := func(name string, typ btf.Type) {
		def.Members = append(def.Members, btf.Member{Name: name, Type: typ, Offset: btf.Bits(def.Size * 8)})
		def.Size += 8
	}
	put("type", t.number(uint32(m.Type)))
	for _, f := range []struct {
		name string
		v    uint32
	}{{"max_entries", m.MaxEntries}, {"map_flags", m.Flags}, {"numa_node", m.NumaNode}, {"pinning", m.Pinning}} {
		if f.v != 0 {
			put(f.name, t.number(f.v))
		}
	}
	if m.Extra > math.MaxUint32 {
		put("map_extra", &btf.Enum{Name: m.Name + "_extra", Size: 8, Values: []btf.EnumValue{{Name: m.Name + "_map_extra", Value: m.Extra}}})
	} else if m.Extra != 0 {
		put("map_extra", t.number(uint32(m.Extra)))
	}
	t.side(put, "key", m.Key, m.KeySize)
	if m.Inner == nil && m.Type != abi.MapProgArray || !outer {
		t.side(put, "value", m.Value, m.ValueSize)
		return t.define(m, def), nil
	}
	elem := &btf.Pointer{}
	if m.Inner != nil {
		if m.Inner.Inner != nil {
			return nil, unsupported("maps of maps of maps")
		}
		in, err := t.mapStruct(m.Inner, false)
		if err != nil {
			return nil, err
		}
		elem.Target = in
	} else {
		elem.Target = &btf.FuncProto{Return: t.int(), Params: []btf.FuncParam{{Type: &btf.Pointer{Target: &btf.Void{}}}}}
	}
	// The elements follow the struct; their number is that of the variable's bytes.
	def.Members = append(def.Members, btf.Member{
		Name: "values", Type: &btf.Array{Index: t.int(), Type: elem, Nelems: 0}, Offset: btf.Bits(def.Size * 8),
	})
	return t.define(m, def), nil
}

func (t *typeWriter) define(m *Map, def *btf.Struct) *btf.Struct {
	if t.defs == nil {
		t.defs = map[*Map]*btf.Struct{}
	}
	t.defs[m] = def
	return def
}

// side puts a key or value: by its type, or by its size.
func (t *typeWriter) side(put func(string, btf.Type), name string, typ btf.Type, size uint32) {
	if typ != nil {
		if n, err := btf.Sizeof(typ); err == nil && uint32(n) == size {
			put(name, &btf.Pointer{Target: typ})
			return
		}
	}
	if size != 0 {
		put(name+"_size", t.number(size))
	}
}

// layTypes writes .BTF and .BTF.ext.
func (w *writer) layTypes() error {
	for _, sec := range sortedKeys(w.vars) {
		if sec != ".kconfig" {
			w.types.add(w.vars[sec])
		}
	}
	w.externTypes()
	x := &extWriter{w: w, strings: newStrtab()}
	for _, f := range w.funcs {
		if err := x.function(f); err != nil {
			return fmt.Errorf("function %s: %w", f.Name, err)
		}
	}
	if w.types.err != nil {
		return fmt.Errorf("types: %w", w.types.err)
	}
	if w.types.b.Empty() && !x.any {
		return nil
	}
	if w.types.b.Empty() {
		w.types.add(w.types.int()) // the kernel refuses BTF without a type
	}
	blob, err := w.types.b.Marshal(nil, &btf.MarshalOptions{Order: w.bo})
	if err != nil {
		return fmt.Errorf("types: %w", err)
	}
	raw, err := parseRawBTF(blob, w.bo)
	if err != nil {
		return err
	}
	base := uint32(len(raw.strings))
	if x.any {
		raw.strings = append(raw.strings, x.strings.buf...)
	}
	w.add(elfSection{name: ".BTF", typ: elf.SHT_PROGBITS, align: 4, data: raw.marshal()})
	if x.any {
		w.add(elfSection{name: ".BTF.ext", typ: elf.SHT_PROGBITS, align: 4, data: x.marshal(base)})
	}
	return nil
}

// externTypes declares externs in the sections where libbpf looks for them.
func (w *writer) externTypes() {
	ksyms, kconfig := &btf.Datasec{Name: ".ksyms"}, &btf.Datasec{Name: ".kconfig"}
	for _, e := range w.o.Externs {
		switch e.Kind {
		case ExternKfunc:
			fn, ok := e.Type.(*btf.Func)
			if !ok {
				fn = &btf.Func{Name: e.Name, Type: &btf.FuncProto{Return: w.types.int()}}
			}
			if fn.Linkage != btf.ExternFunc || fn.Name != e.Name {
				fn = &btf.Func{Name: e.Name, Type: fn.Type, Linkage: btf.ExternFunc, Tags: fn.Tags, ParamTags: fn.ParamTags}
			}
			ksyms.Vars = append(ksyms.Vars, btf.VarSecinfo{Type: fn})
		case ExternKsym, ExternKconfig:
			v := &btf.Var{Name: e.Name, Type: e.Type, Linkage: btf.ExternVar}
			if e.Kind == ExternKsym {
				if e.Type == nil {
					v.Type = &btf.Void{}
				}
				ksyms.Vars = append(ksyms.Vars, btf.VarSecinfo{Type: v})
				continue
			}
			if e.Type == nil {
				w.types.err = unsupported("configuration value %s without a type", e.Name)
				return
			}
			size, err := btf.Sizeof(e.Type)
			if err != nil {
				w.types.err = err
			}
			kconfig.Vars = append(kconfig.Vars, btf.VarSecinfo{Type: v, Offset: e.Offset, Size: uint32(size)})
		}
	}
	w.kconfigOrder(kconfig)
	for _, ds := range []*btf.Datasec{ksyms, kconfig} {
		if len(ds.Vars) > 0 {
			w.types.add(ds)
		}
	}
}

// kconfigOrder puts variables in the order of their offsets: readers lay them
// out again in the order in which they stand.
func (w *writer) kconfigOrder(ds *btf.Datasec) {
	for i := 1; i < len(ds.Vars); i++ {
		for j := i; j > 0 && ds.Vars[j].Offset < ds.Vars[j-1].Offset; j-- {
			ds.Vars[j], ds.Vars[j-1] = ds.Vars[j-1], ds.Vars[j]
		}
	}
	for i := range ds.Vars {
		ds.Vars[i].Offset = 0
	}
}

// extWriter writes .BTF.ext. Its strings follow those of the types.
type extWriter struct {
	w       *writer
	strings *strtab
	parts   [3][]extSection
	any     bool
}

type extSection struct {
	name    uint32
	section int
	recs    [][]uint32
}

const (
	maxLine   = 1<<22 - 1
	maxColumn = 1<<10 - 1
)

func (x *extWriter) add(part int, f *located, rec ...uint32) {
	p := x.parts[part]
	if len(p) == 0 || p[len(p)-1].section != f.section {
		p = append(p, extSection{name: x.strings.add(x.w.section(f.section).name), section: f.section})
	}
	p[len(p)-1].recs = append(p[len(p)-1].recs, rec)
	x.parts[part] = p
	x.any = true
}

// offset is the byte offset of an instruction of f in its section.
func (f *located) offset(insn int) uint32 { return uint32(f.start+insn) * 8 }

func (x *extWriter) function(f *located) error {
	if f.BTF != nil {
		x.add(0, f, f.offset(0), uint32(x.w.types.add(f.BTF)))
	}
	for _, l := range f.Lines {
		if l.Insn < 0 || l.Insn >= len(f.Insns) || l.Line < 0 || l.Line > maxLine || strings.ContainsRune(l.File+l.Text, 0) {
			return fmt.Errorf("line information at slot %d, line %d: out of range, or a NUL in its text", l.Insn, l.Line)
		}
		col := l.Col
		if col < 0 || col > maxColumn {
			col = 0
		}
		x.add(1, f, f.offset(l.Insn), x.strings.add(l.File), x.strings.add(l.Text), uint32(l.Line)<<10|uint32(col))
	}
	for _, c := range f.CORE {
		if c.Insn < 0 || c.Insn >= len(f.Insns) || c.Type == nil || strings.ContainsRune(c.Access, 0) {
			return fmt.Errorf("CO-RE relocation at slot %d of %d: out of range, or without a type", c.Insn, len(f.Insns))
		}
		x.add(2, f, f.offset(c.Insn), uint32(x.w.types.add(c.Type)), x.strings.add(c.Access), c.Kind)
	}
	return nil
}

// stringFields are the places of string offsets in the records of each part.
var stringFields = [3][]int{nil, {1, 2}, {2}}

// marshal writes the section; base is added to offsets of strings.
func (x *extWriter) marshal(base uint32) []byte {
	bo := x.w.bo
	var parts [3][]byte
	u32 := func(b []byte, v uint32) []byte {
		b = append(b, 0, 0, 0, 0)
		bo.PutUint32(b[len(b)-4:], v)
		return b
	}
	for i := range parts {
		if len(x.parts[i]) == 0 {
			continue
		}
		parts[i] = u32(nil, []uint32{8, 16, 16}[i])
		for _, s := range x.parts[i] {
			parts[i] = u32(u32(parts[i], base+s.name), uint32(len(s.recs)))
			for _, rec := range s.recs {
				for _, f := range stringFields[i] {
					rec[f] += base
				}
				for _, v := range rec {
					parts[i] = u32(parts[i], v)
				}
			}
		}
	}
	out := []byte{0, 0, 1, 0}
	bo.PutUint16(out, btfMagic)
	out = u32(out, 32)
	off := uint32(0)
	for _, p := range parts {
		out = u32(u32(out, off), uint32(len(p)))
		off += uint32(len(p))
	}
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}
