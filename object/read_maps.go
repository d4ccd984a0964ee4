package object

import (
	"debug/elf"
	"fmt"
	"math"
	"slices"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/abi"
)

// readMaps reads maps declared in BTF (section .maps) and legacy definitions
// (section maps: type, key size, value size, entries, flags, 32 bits each).
func (r *reader) readMaps() error {
	for i, s := range r.f.Sections {
		var err error
		switch {
		case s.Name == ".maps" && s.Size > 0:
			err = r.btfMaps(i)
		case s.Name == "maps" && s.Size > 0:
			err = r.legacyMaps(i, s)
		}
		if err != nil {
			return fmt.Errorf("section %s: %w", s.Name, err)
		}
	}
	return nil
}

func (r *reader) addMap(m *Map, at place) error {
	if r.o.mapByName(m.Name) != nil {
		return fmt.Errorf("two maps %q", m.Name)
	}
	r.mapAt[at] = m.Name
	r.o.Maps = append(r.o.Maps, m)
	return nil
}

func (r *reader) btfMaps(section int) error {
	ds, err := r.datasec(".maps")
	if err != nil {
		return err
	}
	if ds == nil {
		return fmt.Errorf("no BTF for it: compile with -g")
	}
	for _, v := range ds.Vars {
		t, ok := v.Type.(*btf.Var)
		if !ok {
			return fmt.Errorf("%v is no variable", v.Type)
		}
		def, ok := btf.UnderlyingType(t.Type).(*btf.Struct)
		if !ok {
			return fmt.Errorf("map %s: declared as %v, expected a struct", t.Name, t.Type)
		}
		m, err := mapFromStruct(t.Name, def, true)
		if err != nil {
			return fmt.Errorf("map %s: %w", t.Name, err)
		}
		if err := r.addMap(m, place{section, uint64(v.Offset)}); err != nil {
			return err
		}
	}
	return nil
}

// mapFromStruct reads a map definition as libbpf's __uint, __type and __array
// macros declare it.
func mapFromStruct(name string, def *btf.Struct, outer bool) (*Map, error) {
	m := &Map{Name: name}
	numbers := map[string]*uint32{
		"type": (*uint32)(&m.Type), "max_entries": &m.MaxEntries, "map_flags": &m.Flags, "key_size": &m.KeySize,
		"value_size": &m.ValueSize, "numa_node": &m.NumaNode, "pinning": &m.Pinning,
	}
	for _, f := range def.Members {
		var err error
		switch dst := numbers[f.Name]; {
		case dst != nil:
			var n uint64
			if n, err = mapNumber(f.Type); n > math.MaxUint32 {
				err = fmt.Errorf("%d does not fit into 32 bits", n)
			}
			*dst = uint32(n)
		case f.Name == "map_extra":
			m.Extra, err = mapNumber(f.Type)
		case f.Name == "key":
			m.Key, m.KeySize, err = mapType(f.Type, m.KeySize)
		case f.Name == "value":
			m.Value, m.ValueSize, err = mapType(f.Type, m.ValueSize)
		case f.Name == "values" && outer:
			err = m.values(f.Type)
		default:
			err = unsupported("this field of a map definition")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	if m.Type == 0 {
		return nil, fmt.Errorf("its definition has no type")
	}
	return m, nil
}

// mapNumber reads a number coded as the length of an array pointed to, or as
// the only value of an enum.
func mapNumber(t btf.Type) (uint64, error) {
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Pointer:
		if a, ok := btf.UnderlyingType(t.Target).(*btf.Array); ok {
			return uint64(a.Nelems), nil
		}
	case *btf.Enum:
		if len(t.Values) == 1 {
			return t.Values[0].Value, nil
		}
	}
	return 0, fmt.Errorf("type %v, expected a number as __uint declares it", t)
}

func mapType(t btf.Type, size uint32) (btf.Type, uint32, error) {
	p, ok := btf.UnderlyingType(t).(*btf.Pointer)
	if !ok {
		return nil, 0, fmt.Errorf("type %v, expected a pointer as __type declares it", t)
	}
	n, err := btf.Sizeof(p.Target)
	if err != nil {
		return nil, 0, err
	}
	if size != 0 && uint32(n) != size {
		return nil, 0, fmt.Errorf("%d bytes by its type, %d by its size", n, size)
	}
	return p.Target, uint32(n), nil
}

// values reads the declaration of what a map of maps or program array holds.
func (m *Map) values(t btf.Type) error {
	a, ok := btf.UnderlyingType(t).(*btf.Array)
	if !ok {
		return fmt.Errorf("type %v, expected an array as __array declares it", t)
	}
	p, ok := btf.UnderlyingType(a.Type).(*btf.Pointer)
	if !ok {
		return fmt.Errorf("elements of type %v, expected pointers", a.Type)
	}
	switch e := btf.UnderlyingType(p.Target).(type) {
	case *btf.FuncProto:
		if m.Type != 0 && m.Type != abi.MapProgArray {
			return fmt.Errorf("functions in a map of type %v", m.Type)
		}
	case *btf.Struct:
		in, err := mapFromStruct(m.Name+".inner", e, false)
		if err != nil {
			return fmt.Errorf("inner map: %w", err)
		}
		m.Inner = in
	default:
		return fmt.Errorf("elements of type %v, expected maps or functions", p.Target)
	}
	if m.ValueSize == 0 {
		m.ValueSize = 4
	}
	return nil
}

// relocateMaps reads the initial elements of maps of maps and program arrays.
func (r *reader) relocateMaps(s *elf.Section) error {
	recs, err := r.relEntries(s)
	if err != nil {
		return err
	}
	ds, err := r.datasec(".maps")
	if err != nil || ds == nil {
		return err
	}
	for _, e := range recs {
		if err := r.mapElement(ds, e); err != nil {
			return fmt.Errorf("section .maps+%d: %w", e.offset, err)
		}
	}
	for _, m := range r.o.Maps {
		slices.SortStableFunc(m.Entries, func(a, b MapEntry) int { return int(int64(a.Key) - int64(b.Key)) })
	}
	return nil
}

// varAt is the variable of a section at an offset, and the offset in it; nil for none.
func varAt(ds *btf.Datasec, offset uint64) (*btf.Var, uint64) {
	for _, v := range ds.Vars {
		if t, ok := v.Type.(*btf.Var); ok && offset >= uint64(v.Offset) && offset < uint64(v.Offset)+uint64(v.Size) {
			return t, offset - uint64(v.Offset)
		}
	}
	return nil, 0
}

func (r *reader) mapElement(ds *btf.Datasec, e relEntry) error {
	outside := fmt.Errorf("relocation against %s is not in the elements of a map", e.sym.Name)
	t, at := varAt(ds, e.offset)
	if t == nil {
		return outside
	}
	def, ok := btf.UnderlyingType(t.Type).(*btf.Struct)
	m := r.o.mapByName(t.Name)
	if !ok || m == nil {
		return outside
	}
	for _, f := range def.Members {
		start := uint64(f.Offset.Bytes())
		if f.Name != "values" || at < start || (at-start)%8 != 0 {
			continue
		}
		sym, ok := r.mapAt[place{int(e.sym.Section), e.sym.Value}]
		if !ok {
			p := r.funcStart(e.sym, int64(min(e.sym.Value, 1<<31)/8))
			if p == nil {
				return fmt.Errorf("map %s: element %s is no map or program", t.Name, e.sym.Name)
			}
			sym = p.Name
		}
		m.Entries = append(m.Entries, MapEntry{uint32((at - start) / 8), sym})
		return nil
	}
	return outside
}

func (r *reader) legacyMaps(section int, s *elf.Section) error {
	b, err := r.data(s)
	if err != nil {
		return err
	}
	var syms []elf.Symbol
	for _, y := range r.syms {
		if int(y.Section) == section && elf.ST_TYPE(y.Info) != elf.STT_SECTION {
			syms = append(syms, y)
		}
	}
	slices.SortStableFunc(syms, func(a, b elf.Symbol) int { return int(int64(a.Value) - int64(b.Value)) })
	if len(syms) == 0 || len(b)%len(syms) != 0 || len(b)/len(syms) < 20 {
		return fmt.Errorf("%d bytes for %d maps: expected equal parts of at least 20", len(b), len(syms))
	}
	size := uint64(len(b) / len(syms))
	for i, y := range syms {
		if y.Value != uint64(i)*size {
			return fmt.Errorf("map %s at %d, expected %d", y.Name, y.Value, uint64(i)*size)
		}
		def := b[y.Value:][:size]
		for _, c := range def[20:] {
			if c != 0 {
				return unsupported("fields of map %s behind its flags", y.Name)
			}
		}
		bo := r.f.ByteOrder
		m := &Map{
			Name: y.Name, Type: abi.MapType(bo.Uint32(def)), KeySize: bo.Uint32(def[4:]), ValueSize: bo.Uint32(def[8:]),
			MaxEntries: bo.Uint32(def[12:]), Flags: bo.Uint32(def[16:]),
		}
		if err := r.addMap(m, place{section, y.Value}); err != nil {
			return err
		}
	}
	return nil
}
