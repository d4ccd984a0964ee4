package object

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
)

// This file reads and writes the special fields of map values:
//
//	.field NAME bpf_spin_lock 8          a struct that kernels know, at byte 8 of the value of the map before
//	.field NAME kptr_untrusted:task_struct 16    a pointer to a struct, with a type tag

// field adds a field to the type of the last map's value.
func (p *asmParser) field(f []string) error {
	if p.last == nil || len(f) != 3 {
		return fmt.Errorf("expected .field NAME TYPE OFFSET behind .map or .data")
	}
	off, err := number(f[2], 32)
	if err != nil {
		return err
	}
	t, size, err := specialType(f[1])
	if err != nil {
		return err
	}
	if p.last.Section != "" {
		ds, _ := p.last.Value.(*btf.Datasec)
		if ds == nil {
			ds = &btf.Datasec{Name: p.last.Section, Size: p.last.ValueSize}
			p.last.Key, p.last.Value = &btf.Void{}, ds
		}
		v := &btf.Var{Name: f[0], Type: t, Linkage: btf.GlobalVar}
		ds.Vars = append(ds.Vars, btf.VarSecinfo{Type: v, Offset: uint32(off), Size: uint32(size)})
		return nil
	}
	s, _ := p.last.Value.(*btf.Struct)
	if s == nil {
		s = &btf.Struct{Name: p.last.Name + "_value", Size: p.last.ValueSize}
		p.last.Key, p.last.Value = &btf.Int{Name: "int", Size: p.last.KeySize}, s
	}
	s.Members = append(s.Members, btf.Member{Name: f[0], Type: t, Offset: btf.Bits(off * 8)})
	return nil
}

// specialType is the type that a word of .field names, and its size.
func specialType(word string) (btf.Type, int, error) {
	if tag, name, ok := strings.Cut(word, ":"); ok {
		for _, s := range abi.SpecialPointers {
			if s.Name == tag {
				return &btf.Pointer{Target: &btf.TypeTag{Type: &btf.Struct{Name: name}, Value: tag}}, s.Size, nil
			}
		}
	}
	for _, s := range abi.SpecialStructs {
		if s.Name == word {
			return &btf.Struct{Name: word, Size: uint32(s.Size)}, s.Size, nil
		}
	}
	return nil, 0, fmt.Errorf("expected bpf_spin_lock or another special struct, or TAG:STRUCT, found %q", word)
}

// formatFields writes the special fields of m's values.
func formatFields(b *strings.Builder, m *Map) {
	line := func(name string, t btf.Type, off uint32) {
		switch t := t.(type) {
		case *btf.Struct:
			if _, _, err := specialType(t.Name); err == nil {
				fmt.Fprintf(b, ".field %s %s %d\n", asmWord(name), t.Name, off)
			}
		case *btf.Pointer:
			tag, ok := t.Target.(*btf.TypeTag)
			if !ok {
				return
			}
			if s, ok := tag.Type.(*btf.Struct); ok {
				fmt.Fprintf(b, ".field %s %s:%s %d\n", asmWord(name), tag.Value, s.Name, off)
			}
		}
	}
	switch v := m.Value.(type) {
	case *btf.Struct:
		for _, f := range v.Members {
			line(f.Name, f.Type, f.Offset.Bytes())
		}
	case *btf.Datasec:
		for _, s := range v.Vars {
			if x, ok := s.Type.(*btf.Var); ok {
				line(x.Name, x.Type, s.Offset)
			}
		}
	}
}
