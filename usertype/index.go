package usertype

// index.go defines index: the names of the types that a binary defines, and
// where. It is built by one walk over the outermost entries of all units and
// kept on disk.

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sort"
)

// kinds of names; C has separate name spaces for tags and other names.
const (
	kindStruct = 's' // struct, class
	kindUnion  = 'u'
	kindEnum   = 'e'
	kindName   = 't' // typedef, base type
)

func kindOf(tag uint32) byte {
	switch tag {
	case tagStruct, tagClass, tagInterface:
		return kindStruct
	case tagUnion:
		return kindUnion
	case tagEnum:
		return kindEnum
	case tagTypedef, tagBase, tagTemplateAlias, tagUnspecified:
		return kindName
	}
	return 0
}

// index is the encoded form: a u32 count; count times a u64 (bits 0–62: offset
// of the entry, bit 63: other definitions have another size) and a u32 offset
// of the name's end; the names, each with its kind in front, in order.
type index struct {
	n     int
	rows  []byte
	names []byte
}

const (
	indexRow  = 12
	maxIndex  = 8 << 20
	ambiguous = 1 << 63
)

func loadIndex(d []byte) *index {
	if len(d) < 4 {
		return nil
	}
	n := int(binary.LittleEndian.Uint32(d))
	if n > maxIndex || 4+n*indexRow > len(d) {
		return nil
	}
	return &index{n, d[4 : 4+n*indexRow], d[4+n*indexRow:]}
}

// key is the i-th name with its kind.
func (ix *index) key(i int) []byte {
	var from uint32
	if i > 0 {
		from = binary.LittleEndian.Uint32(ix.rows[(i-1)*indexRow+8:])
	}
	to := binary.LittleEndian.Uint32(ix.rows[i*indexRow+8:])
	if from > to || uint64(to) > uint64(len(ix.names)) {
		return nil
	}
	return ix.names[from:to]
}

// find looks a name up. several says that there are definitions of different sizes.
func (ix *index) find(kind byte, name string) (off uint64, several, ok bool) {
	want := append([]byte{kind}, name...)
	i := sort.Search(ix.n, func(i int) bool { return bytes.Compare(ix.key(i), want) >= 0 })
	if i == ix.n || !bytes.Equal(ix.key(i), want) {
		return 0, false, false
	}
	v := binary.LittleEndian.Uint64(ix.rows[i*indexRow:])
	return v &^ ambiguous, v&ambiguous != 0, true
}

// index returns the binary's index: from memory, the disk, or by building it.
func (b *Binary) index() *index {
	if b.ix != nil {
		return b.ix
	}
	if b.dw == nil {
		return nil
	}
	const key = "index"
	if d := b.cache.get(key); d != nil {
		if b.ix = loadIndex(d); b.ix != nil {
			return b.ix
		}
	}
	d := buildIndex(b.dw)
	b.cache.put(key, d)
	b.ix = loadIndex(d)
	return b.ix
}

// definition is a type in the index that is being built.
type definition struct {
	off, size uint64
	ambiguous bool
}

func buildIndex(dw *dwarf) []byte {
	found := map[string]*definition{}
	var key []byte
	dw.eachUnit(func(u *unit) bool {
		u.open()
		if d, ok := u.root(); ok {
			u.indexScope(d, key[:0], 0, found)
		}
		return len(found) < maxIndex
	})
	keys := make([]string, 0, len(found))
	for k := range found {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	out := binary.LittleEndian.AppendUint32(nil, uint32(len(keys)))
	end := 0
	for _, k := range keys {
		v := found[k].off
		if found[k].ambiguous {
			v |= ambiguous
		}
		end += len(k)
		out = binary.LittleEndian.AppendUint64(out, v)
		out = binary.LittleEndian.AppendUint32(out, uint32(end))
	}
	for _, k := range keys {
		out = append(out, k...)
	}
	return out
}

// scoped reports whether the unit's language nests types in namespaces and classes.
func (u *unit) scoped() bool {
	switch u.lang {
	case 0x04, 0x1a, 0x21, 0x2b, 0x3a, // C++
		0x1c, 0x13, 0x17, 0x1e: // Rust, D, Swift
		return true
	}
	return false
}

// indexScope enters the types of d's children. scope is what goes before their names.
func (u *unit) indexScope(d die, scope []byte, depth int, found map[string]*definition) {
	if depth > maxDepth {
		return
	}
	var key []byte
	d.each(func(k die) bool {
		kind := kindOf(k.ab.tag)
		nested := k.ab.tag == tagNamespace || k.ab.tag == tagModule || u.scoped() && (kind == kindStruct || kind == kindUnion)
		if kind == 0 && !nested {
			return true
		}
		v, ok := k.attr(atName)
		if kind != 0 && ok && !k.flag(atDeclaration) && !k.has(atSignature) {
			key = append(append(append(key[:0], kind), scope...), v.bytes()...)
			enter(found, key, k)
		}
		if nested && k.ab.children {
			in := append([]byte(nil), scope...)
			if ok {
				in = append(append(in, v.bytes()...), "::"...)
			}
			u.indexScope(k, in, depth+1, found)
		}
		return true
	})
}

func enter(found map[string]*definition, key []byte, k die) {
	size, _ := k.uint(atByteSize)
	if old := found[string(key)]; old != nil {
		if old.size != size {
			old.ambiguous = true
		}
		return
	}
	found[string(key)] = &definition{off: k.off, size: size}
}

// local finds a type of a name among the outermost entries of one unit.
func (u *unit) local(kind byte, name string) (die, bool) {
	u.open()
	root, ok := u.root()
	if !ok {
		return die{}, false
	}
	var found die
	root.each(func(k die) bool {
		if kindOf(k.ab.tag) != kind || k.flag(atDeclaration) {
			return true
		}
		if v, ok := k.attr(atName); ok && string(v.bytes()) == name {
			found = k
			return false
		}
		return true
	})
	return found, found.ok()
}
