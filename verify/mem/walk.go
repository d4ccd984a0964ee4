package mem

import (
	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file finds what lies at an offset of a type.

// field is what an access finds.
type field struct {
	pointer *btf.Pointer // a whole pointer; nil for a number
	name    string       // of the member
	in      btf.Type     // the struct or union that has it
	union   bool         // a union was passed on the way
	crosses bool         // a number within a union, read beyond its end
}

// tags are the type tags of a pointed-to type.
type tags struct {
	space state.Tag
	rcu   bool
}

// pointee is the type that p points to, stripped, and its tags.
func pointee(p *btf.Pointer) (btf.Type, tags) {
	var t tags
	typ := p.Target
	for range 64 {
		switch v := typ.(type) {
		case *btf.TypeTag:
			switch v.Value {
			case "user":
				t.space = state.UserTag
			case "percpu":
				t.space = state.PerCPUTag
			case "rcu":
				t.rcu = true
			}
			typ = v.Type
		case *btf.Typedef:
			typ = v.Type
		case *btf.Const:
			typ = v.Type
		case *btf.Volatile:
			typ = v.Type
		case *btf.Restrict:
			typ = v.Type
		default:
			return typ, t
		}
	}
	return &btf.Void{}, t
}

// find descends from typ, a struct or union, to the field at off.
func find(typ btf.Type, off, size int) (field, fault.FieldReason) {
	var out field
	for range 64 {
		var members []btf.Member
		var have int
		switch v := state.Strip(typ).(type) {
		case *btf.Struct:
			members, have = v.Members, int(v.Size)
		case *btf.Union:
			members, have = v.Members, int(v.Size)
			out.union = out.union || len(v.Members) > 1
		default:
			return out, fault.FieldNoStruct
		}
		if off+size > have {
			flex, ok := flexible(members, off)
			if !ok {
				return out, fault.FieldBeyond
			}
			if flex == nil {
				return out, fault.FieldNone
			}
			elem := flexElem(flex)
			n, err := btf.Sizeof(elem)
			if err != nil || n == 0 {
				return out, fault.FieldBeyond
			}
			off = (off - int(flex.Offset.Bytes())) % n
			if aggregate(elem) == nil {
				if off+size > n {
					return out, fault.FieldPartial
				}
				out.in, out.name = typ, flex.Name
				if p, ok := state.Strip(elem).(*btf.Pointer); ok {
					return whole(out, p, off == 0 && size == n)
				}
				return out, 0
			}
			typ = elem
			continue
		}
		out.in = state.Strip(typ)
		next, reason, done := step(members, &off, size, &out)
		if done {
			return out, reason
		}
		typ = next
	}
	return out, fault.FieldNone
}

// step finds the member at off. done: out is final, or reason says what is
// wrong; otherwise the walk goes on at off of the nested type.
func step(members []btf.Member, off *int, size int, out *field) (next btf.Type, reason fault.FieldReason, done bool) {
	for i := range members {
		m := &members[i]
		start := int(m.Offset) / 8
		if *off+size <= start {
			break
		}
		if m.BitfieldSize != 0 {
			end := (int(m.Offset) + int(m.BitfieldSize) + 7) / 8
			if *off <= start && end <= *off+size {
				out.name = m.Name
				return nil, 0, true
			}
			continue
		}
		if *off < start {
			break
		}
		n, err := btf.Sizeof(m.Type)
		if err != nil || *off >= start+n {
			continue
		}
		out.name = m.Name
		return inside(m.Type, start, n, off, size, out)
	}
	return nil, fault.FieldNone, true
}

// inside descends into a member of n bytes at start: arrays to their element first.
func inside(typ btf.Type, start, n int, off *int, size int, out *field) (btf.Type, fault.FieldReason, bool) {
	end := start + n
	elem := state.Strip(typ)
	for range 16 {
		a, ok := elem.(*btf.Array)
		if !ok {
			break
		}
		elem = state.Strip(a.Type)
		en, err := btf.Sizeof(elem)
		if err != nil || en == 0 {
			return nil, fault.FieldNone, true
		}
		start += (*off - start) / en * en
		n = en
	}
	if aggregate(elem) != nil {
		*off -= start
		return elem, 0, false
	}
	if p, ok := elem.(*btf.Pointer); ok {
		f, reason := whole(*out, p, *off == start && size == n)
		*out = f
		return nil, reason, true
	}
	if *off+size > end {
		if !out.union {
			return nil, fault.FieldPartial, true
		}
		out.crosses = true
	}
	return nil, 0, true
}

// whole demands that a pointer is accessed as one.
func whole(f field, p *btf.Pointer, ok bool) (field, fault.FieldReason) {
	if !ok {
		return f, fault.FieldPartial
	}
	f.pointer = p
	return f, 0
}

// aggregate is t if it has members.
func aggregate(t btf.Type) btf.Type {
	switch v := state.Strip(t).(type) {
	case *btf.Struct:
		return v
	case *btf.Union:
		return v
	}
	return nil
}

// flexible finds a last member that is an array without a length, if off lies in it.
func flexible(members []btf.Member, off int) (*btf.Member, bool) {
	if len(members) == 0 {
		return nil, false
	}
	m := &members[len(members)-1]
	a, ok := state.Strip(m.Type).(*btf.Array)
	if !ok || a.Nelems != 0 || off < int(m.Offset)/8 {
		return nil, false
	}
	return m, true
}

func flexElem(m *btf.Member) btf.Type { return state.Strip(m.Type).(*btf.Array).Type }

// Member finds the member called name of typ, also in members without a name: its offset and type; nil for none.
func Member(typ btf.Type, name string) (off int64, t btf.Type) {
	return memberAt(typ, name, 0)
}

func memberAt(typ btf.Type, name string, depth int) (int64, btf.Type) {
	var members []btf.Member
	switch v := state.Strip(typ).(type) {
	case *btf.Struct:
		members = v.Members
	case *btf.Union:
		members = v.Members
	}
	for i := range members {
		m := &members[i]
		if m.Name == name && m.BitfieldSize == 0 {
			return int64(m.Offset.Bytes()), m.Type
		}
		if m.Name == "" && depth < 16 {
			if off, t := memberAt(m.Type, name, depth+1); t != nil {
				return int64(m.Offset.Bytes()) + off, t
			}
		}
	}
	return 0, nil
}
