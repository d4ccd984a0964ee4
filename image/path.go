package image

// Defines the walk along a CO-RE access string, for what cilium/ebpf's fixups do not tell.

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/isa"
)

// Kinds of relocations (enum bpf_core_relo_kind).
const (
	fieldByteOffset = 0
	typeIDTarget    = 7
	typeSize        = 9
)

// accessIndex is the first index of an access string, a large number when it is malformed.
func accessIndex(access string) int {
	first, _, _ := strings.Cut(access, ":")
	n, err := strconv.ParseUint(first, 10, 31)
	if err != nil {
		return 1<<31 - 1
	}
	return int(n)
}

// memberPath follows access through t: the names of the members (array
// elements as "[3]"), and the type at its end, nil when it leads nowhere.
func memberPath(t btf.Type, access string) ([]string, btf.Type) {
	parts := strings.Split(access, ":")
	var path []string
	for _, p := range parts[1:] {
		n, err := strconv.ParseUint(p, 10, 31)
		if err != nil || t == nil {
			return path, nil
		}
		if a, ok := btf.UnderlyingType(t).(*btf.Array); ok {
			path, t = append(path, fmt.Sprintf("[%d]", n)), a.Type
			continue
		}
		ms := members(t)
		if int(n) >= len(ms) {
			return path, nil
		}
		if ms[n].BitfieldSize != 0 {
			return append(path, ms[n].Name), nil
		}
		if ms[n].Name != "" {
			path = append(path, ms[n].Name)
		}
		t = ms[n].Type
	}
	return path, t
}

func members(t btf.Type) []btf.Member {
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		return t.Members
	case *btf.Union:
		return t.Members
	}
	return nil
}

// named follows member names through t, looking into unnamed members.
func named(t btf.Type, path []string) btf.Type {
	for _, name := range path {
		if strings.HasPrefix(name, "[") {
			a, ok := btf.UnderlyingType(t).(*btf.Array)
			if !ok {
				return nil
			}
			t = a.Type
			continue
		}
		if t = member(t, name, 0); t == nil {
			return nil
		}
	}
	return t
}

func member(t btf.Type, name string, depth int) btf.Type {
	if depth > 16 {
		return nil
	}
	for _, m := range members(t) {
		if m.Name == name {
			return m.Type
		}
		if m.Name == "" {
			if found := member(m.Type, name, depth+1); found != nil {
				return found
			}
		}
	}
	return nil
}

// resize makes a direct access as wide as the field is in the target, as
// libbpf does for pointers and unsigned integers. It returns why the access
// would be wrong, or "".
func (l *linker) resize(spec *btf.Spec, g relocation) string {
	in := &l.img.Insns[g.at]
	if c := in.Class(); g.r.Kind != fieldByteOffset || c != isa.ClassLDX && c != isa.ClassST && c != isa.ClassSTX {
		return ""
	}
	path, leaf := memberPath(g.r.Type, g.r.Access)
	if leaf == nil || !scalar(leaf) {
		return ""
	}
	want, err := btf.Sizeof(leaf)
	if err != nil || want != in.Bytes() {
		return ""
	}
	essential, _, _ := strings.Cut(g.r.Type.TypeName(), "___")
	types, err := spec.AnyTypesByName(essential)
	if err != nil {
		return ""
	}
	var other btf.Type
	for _, t := range types {
		f := named(t, path)
		if f == nil || !scalar(f) {
			continue
		}
		size, err := btf.Sizeof(f)
		if err == nil && size == want {
			return ""
		}
		other = f
	}
	if other == nil {
		return ""
	}
	size, err := btf.Sizeof(other)
	code, ok := sizeCodes[size]
	if err != nil || !ok || !zeroExtends(leaf, other) {
		return fmt.Sprintf("the field is a %s of %d bytes in the target, the access one of %d bytes of a %s; read it with BPF_CORE_READ", kindOf(other), size, want, kindOf(leaf))
	}
	in.Op = in.Op&^isa.SizeDW | code
	return ""
}

// sizeCodes are the size bits of loads and stores.
var sizeCodes = map[int]uint8{1: isa.SizeB, 2: isa.SizeH, 4: isa.SizeW, 8: isa.SizeDW}

// zeroExtends reports whether a value of either type means the same when it is
// made wider with zeros.
func zeroExtends(a, b btf.Type) bool {
	switch x := btf.UnderlyingType(a).(type) {
	case *btf.Pointer:
		_, ok := btf.UnderlyingType(b).(*btf.Pointer)
		return ok
	case *btf.Int:
		y, ok := btf.UnderlyingType(b).(*btf.Int)
		return ok && x.Encoding&btf.Signed == 0 && y.Encoding&btf.Signed == 0
	}
	return false
}

func kindOf(t btf.Type) string {
	switch x := btf.UnderlyingType(t).(type) {
	case *btf.Pointer:
		return "pointer"
	case *btf.Enum:
		return "enum"
	case *btf.Int:
		if x.Encoding&btf.Signed != 0 {
			return "signed integer"
		}
	}
	return "unsigned integer"
}

func scalar(t btf.Type) bool {
	switch btf.UnderlyingType(t).(type) {
	case *btf.Int, *btf.Enum, *btf.Pointer:
		return true
	}
	return false
}
