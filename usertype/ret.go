package usertype

// ret.go says where the x86-64 psABI (§3.2.3) returns a value.

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// class is a psABI class of an eightbyte.
type class uint8

const (
	noClass class = iota
	integer
	sse
	x87
	unknown // of a type that BTF can't describe
)

func isVoid(t btf.Type) bool {
	_, ok := btf.UnderlyingType(t).(*btf.Void)
	return ok
}

// returned is where a value of type t is when its function has returned.
func (t *types) returned(typ btf.Type) Location {
	size, err := btf.Sizeof(typ)
	if err != nil {
		return Location{Unsupported: "a type of unknown size"}
	}
	if size == 0 {
		return Location{Unsupported: "an empty type"}
	}
	var cs [2]class
	if size > 16 || !t.classify(typ, 0, &cs, 0) {
		return Location{Pieces: []Piece{{Kind: AtReg, Reg: regRAX}}}
	}
	regs := []int{regRAX, regRDX}
	var l Location
	for i := 0; i*8 < size; i++ {
		switch cs[i] {
		case integer:
			l.Pieces = append(l.Pieces, Piece{Kind: InReg, Size: min(8, size-i*8), Reg: regs[0]})
			regs = regs[1:]
		case x87:
			return Location{Unsupported: "in x87 register st0"}
		case unknown:
			return Location{Unsupported: "a type that BTF can't describe"}
		case sse:
			return Location{Unsupported: fmt.Sprintf("bytes %d to %d are in an SSE register", i*8, min(size, i*8+8)-1)}
		default:
			return Location{Unsupported: "padding that is not returned"}
		}
	}
	if len(l.Pieces) == 1 {
		l.Pieces[0].Size = 0
	}
	return l
}

// classify merges the classes of a value at offset off into cs; false if it is in memory.
func (t *types) classify(typ btf.Type, off int, cs *[2]class, depth int) bool {
	if depth > maxDepth {
		return false
	}
	typ = btf.UnderlyingType(typ)
	if t.byRef[typ] {
		return false
	}
	size, err := btf.Sizeof(typ)
	if err != nil {
		return false
	}
	switch typ := typ.(type) {
	case *btf.Int:
		return merge(cs, off, int(typ.Size), integer)
	case *btf.Enum:
		return merge(cs, off, int(typ.Size), integer)
	case *btf.Pointer:
		return merge(cs, off, 8, integer)
	case *btf.Float:
		if typ.Size > 8 && !strings.Contains(typ.Name, "128") {
			return merge(cs, off, size, x87) && depth == 0
		}
		return merge(cs, off, size, sse)
	case *btf.Array:
		if t.vectors[typ] {
			return merge(cs, off, size, sse)
		}
		elem, err := btf.Sizeof(typ.Type)
		if err != nil || elem == 0 {
			return err == nil
		}
		for i := 0; i < int(typ.Nelems); i++ {
			if !t.classify(typ.Type, off+i*elem, cs, depth+1) {
				return false
			}
		}
		return true
	case *btf.Struct:
		if len(typ.Members) == 0 {
			cs[0], cs[1] = unknown, unknown
			return true
		}
		return t.members(typ.Members, off, cs, depth)
	case *btf.Union:
		return t.members(typ.Members, off, cs, depth)
	}
	return false
}

func (t *types) members(ms []btf.Member, off int, cs *[2]class, depth int) bool {
	for _, m := range ms {
		if m.BitfieldSize > 0 {
			from, to := int(m.Offset), int(m.Offset+m.BitfieldSize)-1
			for i := from / 64; i <= to/64; i++ {
				if !merge(cs, off+i*8, 1, integer) {
					return false
				}
			}
			continue
		}
		if !t.classify(m.Type, off+int(m.Offset/8), cs, depth+1) {
			return false
		}
	}
	return true
}

// merge adds a scalar's class; false if it is not aligned or lies outside.
func merge(cs *[2]class, off, size int, c class) bool {
	if size <= 0 || off < 0 || off+size > 16 || size <= 8 && off%size != 0 || size > 8 && off != 0 {
		return false
	}
	for i := off / 8; i <= (off+size-1)/8; i++ {
		if cs[i] == noClass || c == integer && cs[i] != unknown {
			cs[i] = c
		}
	}
	return true
}
