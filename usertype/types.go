package usertype

// types.go converts entries of DWARF types to BTF types. Each entry is
// converted once; what a pointer leads to waits in a queue, so that cycles
// and long chains are no recursion.

import (
	"math"

	"github.com/cilium/ebpf/btf"
)

const (
	maxTypes   = 1 << 20
	maxMembers = 1 << 16
)

// types converts the types of one binary.
type types struct {
	b     *Binary
	dw    *dwarf
	memo  map[uint64]btf.Type
	open  map[uint64]bool // being converted: they can't contain themselves
	queue []func()
	byRef map[btf.Type]bool // returned through memory whatever their size (DW_CC_pass_by_reference)
	// vectors are arrays with DW_AT_GNU_vector, which live in SSE registers.
	vectors map[btf.Type]bool
	arrIdx  *btf.Int
	depth   int
}

func newTypes(b *Binary, dw *dwarf) *types {
	return &types{
		b: b, dw: dw, memo: map[uint64]btf.Type{}, open: map[uint64]bool{}, byRef: map[btf.Type]bool{}, vectors: map[btf.Type]bool{},
		arrIdx: &btf.Int{Name: "__ARRAY_SIZE_TYPE__", Size: 4},
	}
}

var void = (*btf.Void)(nil)

// of converts the type of an entry that has DW_AT_type, and all it leads to.
func (t *types) of(d die) btf.Type {
	typ := t.target(d)
	t.drain()
	return typ
}

// entry converts a type entry and all it leads to.
func (t *types) entry(d die) btf.Type {
	typ := t.get(d)
	t.drain()
	return typ
}

func (t *types) drain() {
	for len(t.queue) > 0 {
		f := t.queue[len(t.queue)-1]
		t.queue = t.queue[:len(t.queue)-1]
		f()
	}
}

func (t *types) later(f func()) { t.queue = append(t.queue, f) }

// target converts what d's DW_AT_type names.
func (t *types) target(d die) btf.Type {
	k, ok := d.typ()
	if !ok {
		return void
	}
	return t.get(k)
}

func (t *types) get(d die) btf.Type {
	if typ, ok := t.memo[d.off]; ok {
		if t.open[d.off] {
			bad("the type at %#x contains itself", d.off)
		}
		return typ
	}
	if len(t.memo) >= maxTypes {
		panic(unsupported("more than " + itoa(maxTypes) + " types"))
	}
	if t.depth++; t.depth > 8*maxDepth {
		bad("the type at %#x is nested too deep", d.off)
	}
	t.open[d.off] = true
	t.memo[d.off] = void
	typ := t.convert(d)
	t.memo[d.off] = typ
	delete(t.open, d.off)
	t.depth--
	return typ
}

func (t *types) convert(d die) btf.Type {
	name := func() string {
		if v, ok := d.attr(atName); ok {
			return v.str()
		}
		return ""
	}
	switch d.ab.tag {
	case tagBase:
		return t.base(d, name())
	case tagPointer, tagReference, tagRvalueRef:
		p := &btf.Pointer{Target: void}
		t.later(func() { p.Target = t.target(d) })
		return p
	case tagStruct, tagClass, tagInterface, tagUnion:
		return t.composite(d, name())
	case tagEnum:
		return t.enum(d, name())
	case tagArray:
		return t.array(d)
	case tagTypedef, tagTemplateAlias:
		return &btf.Typedef{Name: name(), Type: t.target(d)}
	case tagConst:
		return &btf.Const{Type: t.target(d)}
	case tagVolatile:
		return &btf.Volatile{Type: t.target(d)}
	case tagRestrict:
		return &btf.Restrict{Type: t.target(d)}
	case tagAtomic, tagPacked, tagImmutable, tagSubrange:
		return t.target(d)
	case tagSubroutineType:
		return t.prototype(d)
	case tagUnspecified:
		return void
	case tagPtrToMember:
		return t.pointerToMember(d, name())
	}
	return t.opaque(d, name())
}

// opaque stands for what BTF can't describe: bytes of the right number.
func (t *types) opaque(d die, name string) btf.Type {
	size, _ := d.uint(atByteSize)
	return &btf.Struct{Name: name, Size: size32(d, size)}
}

func size32(d die, n uint64) uint32 {
	if n > math.MaxUint32 {
		panic(unsupported("a type of more than 4 GiB"))
	}
	return uint32(n)
}

func (t *types) pointerToMember(d die, name string) btf.Type {
	if k, ok := d.typ(); ok && k.ab.tag == tagSubroutineType {
		return &btf.Struct{Name: name, Size: 16}
	}
	return &btf.Int{Name: "ptrdiff_t", Size: 8, Encoding: btf.Signed}
}

// Encodings of base types (DWARF 5 §7.8).
const (
	ateAddress      = 0x01
	ateBoolean      = 0x02
	ateFloat        = 0x04
	ateSigned       = 0x05
	ateSignedChar   = 0x06
	ateUnsigned     = 0x07
	ateUnsignedChar = 0x08
	ateUTF          = 0x10
	ateASCII        = 0x12
)

func (t *types) base(d die, name string) btf.Type {
	size, _ := d.uint(atByteSize)
	enc, _ := d.uint(atEncoding)
	whole := size == 1 || size == 2 || size == 4 || size == 8 || size == 16
	switch enc {
	case ateFloat:
		if whole && size > 1 || size == 12 {
			return &btf.Float{Name: name, Size: uint32(size)}
		}
	case ateBoolean:
		if whole {
			return &btf.Int{Name: name, Size: uint32(size), Encoding: btf.Bool}
		}
	case ateSigned, ateSignedChar:
		if whole {
			return &btf.Int{Name: name, Size: uint32(size), Encoding: btf.Signed}
		}
	case ateUnsigned, ateUnsignedChar, ateUTF, ateASCII, ateAddress:
		if whole {
			return &btf.Int{Name: name, Size: uint32(size)}
		}
	}
	return t.opaque(d, name)
}

func (t *types) enum(d die, name string) btf.Type {
	if d.flag(atDeclaration) {
		if full, ok := t.complete(d, name); ok {
			return t.get(full)
		}
	}
	size, ok := d.uint(atByteSize)
	e := &btf.Enum{Name: name, Size: 4}
	under := t.target(d)
	if i, is := btf.UnderlyingType(under).(*btf.Int); is {
		e.Signed = i.Encoding == btf.Signed
		if !ok {
			size, ok = uint64(i.Size), true
		}
	}
	if ok {
		if size != 1 && size != 2 && size != 4 && size != 8 {
			return t.opaque(d, name)
		}
		e.Size = uint32(size)
	}
	d.each(func(k die) bool {
		if k.ab.tag != tagEnumerator {
			return true
		}
		v, ok := k.attr(atConstValue)
		if !ok {
			return true
		}
		val := v.uint
		if v.form == formSdata || v.form == formImplicitConst {
			e.Signed = e.Signed || int64(val) < 0
		}
		e.Values = append(e.Values, btf.EnumValue{Name: k.name(), Value: val})
		return len(e.Values) < maxMembers-1
	})
	if e.Signed { // values of a fixed size come without their sign
		shift := 64 - 8*e.Size
		for i, v := range e.Values {
			e.Values[i].Value = uint64(int64(v.Value<<shift) >> shift)
		}
	}
	return e
}

func (t *types) array(d die) btf.Type {
	elem := t.target(d)
	var dims []uint64
	d.each(func(k die) bool {
		if k.ab.tag == tagSubrange || k.ab.tag == tagEnum {
			dims = append(dims, dimension(k))
		}
		return len(dims) < maxDepth
	})
	if len(dims) == 0 {
		dims = []uint64{0}
	}
	for i := len(dims) - 1; i >= 0; i-- {
		if dims[i] > math.MaxUint32 {
			return t.opaque(d, "")
		}
		elem = &btf.Array{Index: t.arrIdx, Type: elem, Nelems: uint32(dims[i])}
	}
	if d.flag(atGNUVector) {
		t.vectors[elem] = true
	}
	return elem
}

// dimension is an array's number of elements, 0 where it is open or known only at run time.
func dimension(k die) uint64 {
	if v, ok := k.attr(atCount); ok && v.constant() {
		return v.uint
	}
	if v, ok := k.attr(atUpperBound); ok && v.constant() {
		n := v.uint + 1
		switch { // the highest value of its form is -1
		case v.form == formData4 && v.uint == math.MaxUint32, v.form == formData8 && v.uint == math.MaxUint64:
			return 0
		}
		return n
	}
	return 0
}

func (t *types) prototype(d die) btf.Type {
	fp := &btf.FuncProto{Return: void}
	t.later(func() { fp.Return = t.target(d) })
	d.each(func(k die) bool {
		switch k.ab.tag {
		case tagParam:
			i := len(fp.Params)
			fp.Params = append(fp.Params, btf.FuncParam{Name: k.name(), Type: void})
			t.later(func() { fp.Params[i].Type = t.target(k) })
		case tagUnspecParams:
			fp.Params = append(fp.Params, btf.FuncParam{Type: void})
		}
		return len(fp.Params) < maxMembers-1
	})
	return fp
}
