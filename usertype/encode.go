package usertype

// encode.go writes and reads functions and types for the cache: numbers and
// strings, then the types as BTF.

import (
	"bytes"
	"encoding/binary"

	"github.com/cilium/ebpf/btf"
)

type encoder struct {
	d     []byte
	types btf.Builder
	err   error
}

func (e *encoder) uint(v uint64) { e.d = binary.AppendUvarint(e.d, v) }
func (e *encoder) int(v int64)   { e.d = binary.AppendVarint(e.d, v) }

func (e *encoder) str(s string) {
	e.uint(uint64(len(s)))
	e.d = append(e.d, s...)
}

func (e *encoder) typ(t btf.Type) {
	if isNilVoid(t) {
		e.uint(0)
		return
	}
	id, err := e.types.Add(t)
	if err != nil {
		e.err = err
	}
	e.uint(uint64(id))
}

func isNilVoid(t btf.Type) bool {
	_, ok := t.(*btf.Void)
	return ok
}

func (e *encoder) param(p Param) {
	e.str(p.Name)
	e.typ(p.Type)
	e.str(p.Loc.Unsupported)
	e.uint(uint64(len(p.Loc.Pieces)))
	for _, x := range p.Loc.Pieces {
		e.uint(uint64(x.Kind))
		e.uint(uint64(x.Size))
		e.uint(uint64(x.Reg))
		e.int(x.Off)
		e.uint(x.Val)
	}
}

// finish puts the BTF in front; nil if the types can't be written.
func (e *encoder) finish() []byte {
	var raw []byte
	if !e.types.Empty() {
		var err error
		if raw, err = e.types.Marshal(nil, nil); err != nil {
			return nil
		}
	}
	if e.err != nil {
		return nil
	}
	out := binary.AppendUvarint(nil, uint64(len(raw)))
	return append(append(out, raw...), e.d...)
}

func encodeFunction(f *Function) []byte {
	e := &encoder{}
	e.str(f.Name)
	e.uint(f.Entry)
	e.uint(f.PC)
	e.uint(uint64(len(f.Ranges)))
	for _, r := range f.Ranges {
		e.uint(r.Low)
		e.uint(r.High)
	}
	v := uint64(0)
	if f.Variadic {
		v = 1
	}
	e.uint(v)
	e.uint(uint64(len(f.Params)))
	for _, p := range f.Params {
		e.param(p)
	}
	e.param(f.Ret)
	return e.finish()
}

func encodeType(t btf.Type) []byte {
	e := &encoder{}
	e.typ(t)
	return e.finish()
}

// decoder reads what encoder wrote. Its bytes passed a checksum; what is wrong
// nevertheless makes fail true and ends as "not cached".
type decoder struct {
	d    []byte
	spec *btf.Spec
	fail bool
}

func newDecoder(d []byte) *decoder {
	c := &decoder{d: d}
	raw := c.take(c.uint())
	if len(raw) > 0 && !c.fail {
		spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
		if err != nil {
			c.fail = true
		}
		c.spec = spec
	}
	return c
}

func (c *decoder) uint() uint64 {
	v, n := binary.Uvarint(c.d)
	if n <= 0 {
		c.fail = true
		return 0
	}
	c.d = c.d[n:]
	return v
}

func (c *decoder) int() int64 {
	v, n := binary.Varint(c.d)
	if n <= 0 {
		c.fail = true
		return 0
	}
	c.d = c.d[n:]
	return v
}

func (c *decoder) take(n uint64) []byte {
	if c.fail || n > uint64(len(c.d)) {
		c.fail = true
		return nil
	}
	d := c.d[:n]
	c.d = c.d[n:]
	return d
}

func (c *decoder) str() string { return string(c.take(c.uint())) }

// count is a number of things that take at least a byte each.
func (c *decoder) count() int {
	n := c.uint()
	if n > uint64(len(c.d)) {
		c.fail = true
		return 0
	}
	return int(n)
}

func (c *decoder) typ() btf.Type {
	id := c.uint()
	if id == 0 || c.fail {
		return void
	}
	if c.spec == nil {
		c.fail = true
		return void
	}
	t, err := c.spec.TypeByID(btf.TypeID(id))
	if err != nil {
		c.fail = true
		return void
	}
	return t
}

func (c *decoder) param() Param {
	p := Param{Name: c.str(), Type: c.typ()}
	p.Loc.Unsupported = c.str()
	for n := c.count(); n > 0 && !c.fail; n-- {
		p.Loc.Pieces = append(p.Loc.Pieces, Piece{PieceKind(c.uint()), int(c.uint()), int(c.uint()), c.int(), c.uint()})
	}
	return p
}

func decodeFunction(d []byte) *Function {
	c := newDecoder(d)
	f := &Function{Name: c.str(), Entry: c.uint(), PC: c.uint()}
	for n := c.count(); n > 0 && !c.fail; n-- {
		f.Ranges = append(f.Ranges, Range{c.uint(), c.uint()})
	}
	f.Variadic = c.uint() != 0
	for n := c.count(); n > 0 && !c.fail; n-- {
		f.Params = append(f.Params, c.param())
	}
	f.Ret = c.param()
	if c.fail || len(c.d) != 0 {
		return nil
	}
	return f
}

func decodeType(d []byte) btf.Type {
	c := newDecoder(d)
	t := c.typ()
	if c.fail || len(c.d) != 0 {
		return nil
	}
	return t
}
