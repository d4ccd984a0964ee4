package mem

import (
	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file finds the special fields of map values and fences them off.

// Special is a special field of a map's value.
type Special struct {
	*abi.Special
	Off    int
	Target btf.Type // what a pointer points to
}

// maxSpecial is the most fields that kernels take in one value (BTF_FIELDS_MAX).
// For a type with more, loaders create the map without it, and no field is special.
const maxSpecial = 11

// SpecialFields finds the special fields of a value of type t that kernels of version v know, by ascending offset.
func SpecialFields(t btf.Type, v abi.Version) []Special {
	f := fieldFinder{version: v}
	if ds, ok := t.(*btf.Datasec); ok {
		for _, s := range ds.Vars {
			if vr, ok := s.Type.(*btf.Var); ok {
				f.add(vr.Type, int(s.Offset), 0)
			}
		}
	} else {
		f.add(t, 0, 0)
	}
	if len(f.out) > maxSpecial {
		return nil
	}
	return f.out
}

type fieldFinder struct {
	version abi.Version
	out     []Special
}

// arraysOfFields is the release that looks for special fields in arrays.
var arraysOfFields = abi.V(6, 11)

// add finds what is special in t at off. Kernels do not look into unions.
func (f *fieldFinder) add(t btf.Type, off, depth int) {
	if t == nil || depth > 16 || len(f.out) > maxSpecial {
		return
	}
	switch v := state.Strip(t).(type) {
	case *btf.Struct:
		if s := f.known(abi.SpecialStructs, v.Name); s != nil {
			f.out = append(f.out, Special{s, off, nil})
			return
		}
		for _, m := range v.Members {
			if m.BitfieldSize == 0 {
				f.add(m.Type, off+int(m.Offset.Bytes()), depth+1)
			}
		}
	case *btf.Array:
		n, err := btf.Sizeof(v.Type)
		if err != nil || n == 0 || f.version < arraysOfFields {
			return
		}
		before := len(f.out)
		for i := range int(v.Nelems) {
			f.add(v.Type, off+i*n, depth+1)
			if len(f.out) == before || len(f.out) > maxSpecial {
				return
			}
		}
	case *btf.Pointer:
		for target := v.Target; ; {
			tag, ok := target.(*btf.TypeTag)
			if !ok {
				return
			}
			if s := f.known(abi.SpecialPointers, tag.Value); s != nil {
				f.out = append(f.out, Special{s, off, state.Strip(tag.Type)})
				return
			}
			target = tag.Type
		}
	}
}

func (f *fieldFinder) known(table []abi.Special, name string) *abi.Special {
	for i := range table {
		if s := &table[i]; s.Name == name && s.Since <= f.version {
			return s
		}
	}
	return nil
}

// Field is the first field of the kind in values of map m, or nil.
func (l *Layout) Field(m int, kind abi.SpecialKind) *Special {
	for i := range l.Special[m] {
		if s := &l.Special[m][i]; s.Kind == kind {
			return s
		}
	}
	return nil
}

// Within reports whether map m is the template of those within a map of maps.
func (l *Layout) Within(m int) bool {
	for _, i := range l.Inner {
		if int(i) == m {
			return true
		}
	}
	return false
}

// touched is the special field that an access of size bytes at base+off may touch, or nil.
func (l *Layout) touched(base *state.Reg, off, size int) *Special {
	lo := int64(base.Off) + base.Val.SMin + int64(off)
	hi := int64(base.Off) + int64(base.Val.UMax) + int64(off) + int64(size)
	for i := range l.Special[base.Map] {
		if s := &l.Special[base.Map][i]; lo < int64(s.Off+s.Size) && int64(s.Off) < hi {
			return s
		}
	}
	return nil
}

// fenced judges an access to a map's value that may touch a special field. The
// field it gives is a pointer that the access reaches as it may.
func (l *Layout) fenced(base *state.Reg, reg isa.Reg, off, size int, direct bool) (*Special, fault.Fault) {
	s := l.touched(base, off, size)
	if s == nil {
		return nil, nil
	}
	bad := fault.SpecialField{Reg: reg, Map: l.Maps[base.Map].Name, Field: s.Name, Off: int64(s.Off), Pointer: s.Kind.Pointer()}
	at, exact := base.ConstOff()
	switch {
	case !s.Kind.Pointer():
		bad.Reason = fault.SpecialOpaque
	case !direct:
		bad.Reason = fault.SpecialByCall
	case !exact:
		bad.Reason = fault.SpecialVariable
	case at+int64(off) != int64(s.Off):
		bad.Reason = fault.SpecialMisaligned
	case size != s.Size:
		bad.Reason = fault.SpecialPart
	default:
		return s, nil
	}
	return nil, bad
}

// kptr judges a load or store of a pointer to a kernel object that a map's value holds.
func (l *Layout) kptr(s *state.State, base *state.Reg, p *Special, q Query, r *Result) fault.Fault {
	bad := fault.SpecialField{Reg: q.Base, Map: l.Maps[base.Map].Name, Field: p.Name, Off: int64(p.Off), Pointer: true}
	if q.Atomic || q.Signed {
		bad.Reason = fault.SpecialMode
		return bad
	}
	if q.Write {
		if p.Kind != abi.KptrUntrusted {
			bad.Reason = fault.SpecialOwned
			return bad
		}
		if q.Value != nil && q.Value.IsNull() {
			return nil
		}
		if q.Value != nil && q.Value.Kind == state.Scalar {
			bad.Reason = fault.SpecialNumber
			return bad
		}
		if q.Value == nil {
			bad.Reason = fault.SpecialNumber
			return bad
		}
		return l.storeKptr(p, q.Value, bad)
	}
	st, ok := p.Target.(*btf.Struct)
	if !ok {
		return fault.Unsupported{What: "load of a kernel pointer to " + state.TypeName(p.Target)}
	}
	t, err := l.KernelStruct(st.Name)
	if err != nil || p.Kind != abi.KptrUntrusted && p.Kind != abi.KptrRef {
		return fault.Unsupported{What: "load of a " + p.Name + " to struct " + st.Name}
	}
	v := state.Pointer(state.BTF)
	v.Type, v.Nullable = l.Types.ID(state.Kernel, t), true
	v.Trust = state.Untrusted
	if p.Kind == abi.KptrRef && l.RCUType(st.Name) && s.InRCU(l.Sleepable) {
		v.Trust = state.RCU
	}
	v.ID = s.NewID()
	r.Value = v
	return nil
}

// storeKptr judges the store of a pointer that is not NULL into a field that owns nothing.
func (l *Layout) storeKptr(p *Special, v *state.Reg, bad fault.SpecialField) fault.Fault {
	st, ok := p.Target.(*btf.Struct)
	if !ok {
		return fault.Unsupported{What: "store of a pointer to " + state.TypeName(p.Target) + " into a map's value"}
	}
	if _, err := l.KernelStruct(st.Name); err != nil {
		return fault.Unsupported{What: "store of a pointer to struct " + st.Name + " into a map's value"}
	}
	off, exact := v.ConstOff()
	if v.Kind != state.BTF || v.Tagged != state.NoTag || !exact || off < 0 || v.Val.Value() != 0 || !StructAt(l.Types.At(v.Type).Type, int(off), st.Name) {
		return fault.KptrType{Reg: bad.Reg, Map: bad.Map, Off: bad.Off, Want: st.Name, Got: l.describe(v), Reason: fault.KptrMismatch}
	}
	return nil
}

// describe names a pointer, and the type of what it points to where there is one.
func (l *Layout) describe(v *state.Reg) string {
	if v.Kind == state.BTF {
		return "pointer to " + l.Types.Name(v.Type)
	}
	return v.Describe()
}
