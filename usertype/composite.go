package usertype

// composite.go converts structs, unions and classes.

import (
	"bytes"
	"strings"

	"github.com/cilium/ebpf/btf"
)

const (
	atVirtuality      = 0x4c
	atSignature       = 0x69
	atDefaulted       = 0x8b
	ccPassByReference = 4 // DW_CC_pass_by_reference
)

func (t *types) composite(d die, name string) btf.Type {
	if v, ok := d.attr(atSignature); ok {
		full := t.dw.die(v.ref())
		if full.off != d.off {
			return t.get(full)
		}
	}
	if d.flag(atDeclaration) {
		if full, ok := t.complete(d, name); ok {
			return t.get(full)
		}
		kind := btf.FwdStruct
		if d.ab.tag == tagUnion {
			kind = btf.FwdUnion
		}
		return &btf.Fwd{Name: name, Kind: kind}
	}
	size, _ := d.uint(atByteSize)
	var typ btf.Type
	var members *[]btf.Member
	if d.ab.tag == tagUnion {
		u := &btf.Union{Name: name, Size: size32(d, size)}
		typ, members = u, &u.Members
	} else {
		s := &btf.Struct{Name: name, Size: size32(d, size)}
		typ, members = s, &s.Members
	}
	cc, marked := d.uint(atCallingConvention)
	if marked && cc == ccPassByReference {
		t.byRef[typ] = true
	}
	d.each(func(k die) bool {
		if !marked && nonTrivial(k, name) {
			t.byRef[typ] = true
		}
		if k.ab.tag == tagMember || k.ab.tag == tagInheritance {
			if m, ok := t.member(k); ok && uint64(m.Offset) <= size*8 {
				*members = append(*members, m)
			}
		}
		return len(*members) < maxMembers-1
	})
	return typ
}

// nonTrivial reports whether a child of a C++ class makes it one that can't be
// copied byte by byte, and so is returned through memory (Itanium C++ ABI,
// §3.1.3): a destructor, a constructor that copies or moves, virtual functions.
func nonTrivial(k die, class string) bool {
	switch k.ab.tag {
	case tagMember:
		v, ok := k.attr(atName)
		return ok && bytes.HasPrefix(v.bytes(), []byte("_vptr"))
	case tagInheritance:
		virtual, _ := k.uint(atVirtuality)
		return virtual != 0
	case tagSubprogram:
	default:
		return false
	}
	v, ok := k.attr(atName)
	if !ok || k.flag(atDefaulted) {
		return false
	}
	name := string(v.bytes())
	if strings.HasPrefix(name, "~") {
		return true
	}
	if base, _, _ := strings.Cut(class, "<"); name != class && name != base {
		return false
	}
	ps := params(formals(k))
	if len(ps) < 2 { // this, and what is copied
		return false
	}
	r, ok := ps[1].typ()
	return ok && (r.ab.tag == tagReference || r.ab.tag == tagRvalueRef)
}

// member converts a data member or a base class; false for what is not stored in the object.
func (t *types) member(k die) (btf.Member, bool) {
	if k.flag(atExternal) || k.flag(atDeclaration) {
		return btf.Member{}, false
	}
	m := btf.Member{}
	if k.ab.tag == tagMember {
		m.Name = k.name()
	}
	var loc uint64
	if v, ok := k.attr(atMemberLocation); ok {
		if loc, ok = memberOffset(v); !ok {
			return m, false
		}
	}
	if loc > 1<<28 {
		panic(unsupported("a member more than 256 MiB behind its struct's begin"))
	}
	m.Type = t.target(k)
	m.Offset = btf.Bits(loc * 8)
	bits, isBits := k.uint(atBitSize)
	if !isBits || bits > 128 {
		return m, true
	}
	m.BitfieldSize = btf.Bits(bits)
	if off, ok := k.uint(atDataBitOffset); ok {
		if off > 1<<31 {
			bad("a bit field at bit %d", off)
		}
		m.Offset += btf.Bits(off)
		return m, true
	}
	if off, ok := k.uint(atBitOffset); ok { // DWARF 2 and 3: counted from the storage's most significant bit
		store, ok := k.uint(atByteSize)
		if !ok {
			n, err := btf.Sizeof(m.Type)
			if err != nil {
				return m, false
			}
			store = uint64(n)
		}
		at := int64(loc*8) + int64(store*8) - int64(off) - int64(bits)
		if at < 0 || store > 16 {
			bad("a bit field at bit %d", at)
		}
		m.Offset = btf.Bits(at)
	}
	return m, true
}

// memberOffset reads DW_AT_data_member_location: a constant, or an expression that adds one.
func memberOffset(v value) (uint64, bool) {
	if v.block == nil {
		return v.uint, v.form != formSecOffset && v.form != formLoclistx
	}
	c := cursor{d: v.block, what: "a member's location"}
	if c.left() > 1 && c.u8() == opPlusUconst {
		n := c.uleb()
		return n, c.left() == 0
	}
	return 0, false // a virtual base class
}

// complete finds the definition of a type that is only declared at d.
func (t *types) complete(d die, name string) (die, bool) {
	if name == "" {
		return die{}, false
	}
	kind := kindOf(d.ab.tag)
	if kind == 0 {
		return die{}, false
	}
	ix := t.b.index()
	if ix == nil {
		return die{}, false
	}
	off, ambiguous, ok := ix.find(kind, scopeOf(d)+name)
	if !ok || ambiguous || off == d.off {
		return die{}, false
	}
	full := t.dw.die(off)
	if kindOf(full.ab.tag) != kind || full.flag(atDeclaration) || t.open[full.off] {
		return die{}, false
	}
	return full, true
}

// scopeOf is the C++ scope of d with "::" behind it.
func scopeOf(d die) string {
	root, ok := d.u.root()
	if !ok || !d.u.scoped() {
		return ""
	}
	scope := ""
	for range maxDepth {
		var in die
		root.each(func(k die) bool {
			if k.off <= d.off {
				in = k
			}
			return k.off < d.off
		})
		if !in.ok() || in.off == d.off {
			break
		}
		if s := scopeName(in); s != "" {
			scope += s + "::"
		}
		root = in
	}
	return scope
}

func scopeName(d die) string {
	switch d.ab.tag {
	case tagNamespace, tagStruct, tagClass, tagUnion, tagModule:
		return d.name()
	}
	return ""
}
