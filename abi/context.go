package abi

import "strings"

// Defines Context, the layout of a program type's context, and what may be
// loaded from and stored to it.

// Context is the layout of a program type's context.
type Context struct {
	Name   string // struct name, as in "struct pt_regs"
	Size   int    // bytes
	First  int    // bytes before it are out of bounds (tracepoint records: the header)
	Fields []CtxField
	// AnyAligned: every aligned load of 1, 2, 4 or 8 bytes inside Size is a
	// scalar, but for what is in Fields (pt_regs, raw tracepoint arguments,
	// tracepoint records).
	AnyAligned bool
	// Memory: every aligned load and store inside Size (syscall programs).
	Memory bool
	// BTFArgs: eight-byte slots with the arguments of the attach target, typed
	// by the target's BTF (tp_btf, fentry, fexit).
	BTFArgs bool
}

// CtxField is a field of a context with its own rules. Fields that allow some
// narrower or wider accesses only have a row for each of them, the smaller ones first.
type CtxField struct {
	Name     string
	Off      int
	Size     int
	Narrow   bool // aligned loads narrower than Size are allowed
	Any      bool // aligned accesses of every size are allowed, also across neighbours with Any (cb[])
	Writable bool
	Kind     CtxKind
	Nullable bool    // the pointer that it yields may be NULL
	Struct   string  // CtxKernel: the kernel's type
	Since    Version // the field came with this release
}

// CtxKind is what a load of a context field yields.
type CtxKind uint8

const (
	CtxScalar CtxKind = iota
	CtxPacket
	CtxPacketEnd
	CtxPacketMeta
	CtxSock       // a full socket: struct bpf_sock
	CtxSockCommon // a socket of any kind: struct bpf_sock with fewer fields
	CtxFlowKeys   // struct bpf_flow_keys
	CtxTPBuffer   // the buffer of a writable tracepoint
	CtxKernel     // a trusted pointer to Struct of the kernel's types
)

// Field finds the field that holds bytes [off, off+size); nil when there is none.
func (c *Context) Field(off, size int) *CtxField {
	for i := range c.Fields {
		f := &c.Fields[i]
		if off >= f.Off && off+size <= f.Off+f.Size {
			return f
		}
	}
	return nil
}

// CanLoad reports whether a load of size bytes at off is allowed (contexts with BTFArgs: never here, types decide).
func (c *Context) CanLoad(off, size int) bool {
	if c.BTFArgs || off < c.First || off+size > c.Size || off%size != 0 {
		return false
	}
	if c.Memory {
		return true
	}
	f := c.Field(off, size)
	if f == nil {
		return c.AnyAligned
	}
	return f.Any || f.Size == size || f.Narrow || c.AnyAligned && f.Kind == CtxScalar
}

// CanStore reports whether a store of size bytes at off is allowed.
func (c *Context) CanStore(off, size int) bool {
	if c.BTFArgs || off < 0 || off%size != 0 {
		return false
	}
	if c.Memory {
		return off+size <= c.Size
	}
	f := c.Field(off, size)
	return f != nil && f.Writable && (f.Any || f.Size == size)
}

// The functions below make fields, as lists, so that layouts can be put together with slices.Concat.

// words are fields of four bytes one behind the other, each read whole.
func words(off int, names ...string) []CtxField {
	out := make([]CtxField, len(names))
	for i, n := range names {
		out[i] = CtxField{Name: n, Off: off + 4*i, Size: 4}
	}
	return out
}

// narrow are such fields of which parts can be read.
func narrow(off int, names ...string) []CtxField {
	out := words(off, names...)
	for i := range out {
		out[i].Narrow = true
	}
	return out
}

// head is a field of four bytes that is read whole, or by its first one or two bytes.
func head(off int, name string) []CtxField {
	return []CtxField{{Name: name, Off: off, Size: 1}, {Name: name, Off: off, Size: 2}, {Name: name, Off: off, Size: 4}}
}

// ip6 names the four words of an IPv6 address.
func ip6(name string) []string {
	return []string{name + "[0]", name + "[1]", name + "[2]", name + "[3]"}
}

// pointer is a field of eight bytes that yields a pointer.
func pointer(off int, name string, kind CtxKind) []CtxField {
	return []CtxField{{Name: name, Off: off, Size: 8, Kind: kind}}
}

func pointerOrNull(off int, name string, kind CtxKind) []CtxField {
	return []CtxField{{Name: name, Off: off, Size: 8, Kind: kind, Nullable: true}}
}

// double is a number of eight bytes.
func double(off int, name string) []CtxField { return []CtxField{{Name: name, Off: off, Size: 8}} }

// writable opens fields to stores of their whole size.
func writable(fields []CtxField) []CtxField {
	for i := range fields {
		fields[i].Writable = true
	}
	return fields
}

// without leaves out the fields whose names are in hidden.
func without(hidden string, fields []CtxField) []CtxField {
	var out []CtxField
	for _, f := range fields {
		if !hasWord(hidden, f.Name) {
			out = append(out, f)
		}
	}
	return out
}

func hasWord(list, w string) bool {
	for f := range strings.FieldsSeq(list) {
		if f == w {
			return true
		}
	}
	return false
}
