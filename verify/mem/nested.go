package mem

import (
	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file finds the structs that lie within a struct.

// StructAt reports whether a struct of this name begins at off of t: t itself, or the first of its members there, and so on.
func StructAt(t btf.Type, off int, name string) bool {
	for range 16 {
		var members []btf.Member
		switch v := state.Strip(t).(type) {
		case *btf.Struct:
			if off == 0 && v.Name == name {
				return true
			}
			members = v.Members
		case *btf.Union:
			members = v.Members
		case *btf.Array:
			n, err := btf.Sizeof(v.Type)
			if err != nil || n == 0 {
				return false
			}
			t, off = v.Type, off%n
			continue
		default:
			return false
		}
		m := memberOver(members, off)
		if m == nil {
			return false
		}
		t, off = m.Type, off-int(m.Offset)/8
	}
	return false
}

// memberOver is the first member that has byte off.
func memberOver(members []btf.Member, off int) *btf.Member {
	for i := range members {
		m := &members[i]
		at := int(m.Offset) / 8
		size, err := btf.Sizeof(m.Type)
		if err == nil && off >= at && off < at+size {
			return m
		}
	}
	return nil
}
