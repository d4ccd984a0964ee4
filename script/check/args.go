package check

import (
	"errors"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/place"
	"github.com/gtrace-dev/gtrace/script/ast"
	"github.com/gtrace-dev/gtrace/script/diag"
	"github.com/gtrace-dev/gtrace/script/env"
	"github.com/gtrace-dev/gtrace/script/typed"
)

// pieces is a struct or array that is not in one place in memory: passed in
// registers, or partly so. Only its fields become values.
type pieces struct {
	typed.X
	loc []env.Piece
	off int64 // of bt within the whole value, in bytes
	bt  btf.Type
}

// arg checks args.NAME.
func (c *checker) arg(e *ast.Member) typed.Expr {
	in := c.inst
	switch in.place.Kind {
	case place.Begin, place.End, place.Interval:
		b, d := c.bad(e.X.At(), "`%s` has no arguments", in.place)
		d.Hint = "args is for uprobe, tracepoint and rawtracepoint"
		return b
	case place.Uretprobe:
		b, d := c.bad(e.X.At(), "the arguments of a function are gone when it returns")
		d.Hint = "keep them in a map in a uprobe: @x[tid] = args." + e.Name
		return b
	}
	l := c.argsAt(in.place)
	if l.err != nil {
		c.envError(e.X.At(), l.err)
		return invalid(e.At())
	}
	if in.offset != 0 && l.at.Addr != in.place.Addr {
		d := c.diags.Unsupported(e.At(), "named arguments at `+%d`; it is not known where they are there", in.offset)
		d.Hint = "probe the function's entry, or use the registers: arg0, arg1, …"
		return invalid(e.At())
	}
	if l.at != in.place && l.at.Kind == in.place.Kind {
		in.moved = l.at
		if l.at.Addr != in.place.Addr && !in.isMove {
			in.isMove, in.usesAt = true, e.At()
		}
	}
	var names []string
	for _, a := range l.args {
		if a.Name == e.Name {
			return c.located(e.At(), a)
		}
		names = append(names, a.Name)
	}
	b, d := c.bad(e.NameAt, "`%s` has no argument `%s`", in.place, e.Name)
	if d.Hint = diag.DidYouMean(e.Name, names); d.Hint == "" {
		d.Hint = argsHint(names)
	}
	return b
}

// argsHint lists the first few arguments.
func argsHint(names []string) string {
	if len(names) == 0 {
		return "it has none"
	}
	s := "it has "
	for i, n := range names {
		if i == 8 {
			return s + ", …"
		}
		if i > 0 {
			s += ", "
		}
		s += "args." + n
	}
	return s
}

// space is whose types and memory the arguments at this place have.
func (c *checker) space() typed.Space {
	p := c.inst.place
	if p.Kind.Kernel() {
		return typed.Space{Types: typed.Kernel}
	}
	return typed.Space{Types: c.env.Space(p), User: true}
}

// located is the value of a where it lies when the probe fires.
func (c *checker) located(at spanT, a env.Arg) typed.Expr {
	if a.Loc.Unsupported != "" {
		d := c.diags.Unsupported(at, "argument `%s` is %s", a.Name, a.Loc.Unsupported)
		d.Found = "type `" + typed.Name(a.Type) + "`"
		return invalid(at)
	}
	if len(a.Loc.Pieces) == 0 {
		return c.unsupported(at, "argument `%s` is nowhere", a.Name)
	}
	first := a.Loc.Pieces[0]
	whole := len(a.Loc.Pieces) == 1
	if whole && first.Kind == env.DataLoc {
		return c.dataLoc(at, a, first)
	}
	s := c.space()
	if t := c.scalarType(a.Type, s); t != nil {
		if c.inst.place.Kind == place.Tracepoint && t.Kind == typed.Ptr {
			t.Space.User = t.Space.User || c.inst.place.Category == "syscalls"
		}
		return c.scalarArg(at, a, t)
	}
	if why := c.opaque(a.Type); why != "" {
		return c.unsupported(at, "%s", why)
	}
	size, err := btf.Sizeof(a.Type)
	if err != nil {
		return c.unsupported(at, "argument `%s` of type %s", a.Name, typed.Name(a.Type))
	}
	kind := typed.Composite
	if _, ok := typed.Bare(a.Type).(*btf.Array); ok {
		kind = typed.Array
	}
	x := typed.X{Type: &typed.Type{Kind: kind, Size: size, BTF: a.Type, Space: s}, Span: at}
	if mem, ok := c.pieceMem(at, first, s); ok && whole {
		mem.Root, mem.At = a.Type, mem.Off
		return &typed.Ref{X: x, Mem: mem}
	}
	return &pieces{X: x, loc: a.Loc.Pieces, bt: a.Type}
}

// pieceMem is the memory that a piece lies in; ok is false for registers and constants.
func (c *checker) pieceMem(at spanT, p env.Piece, s typed.Space) (typed.Mem, bool) {
	switch p.Kind {
	case env.AtReg:
		base := c.register(at, p.Reg)
		return typed.Mem{Base: base, Off: p.Off, Space: s}, true
	case env.InCtx:
		t := &typed.Type{Kind: typed.Ptr, Size: 8, Space: typed.Space{Types: typed.Kernel}}
		s.User = false
		return typed.Mem{Base: &typed.CtxAddr{X: typed.X{Type: t, Span: at}, Off: p.Off}, Space: s}, true
	}
	return typed.Mem{}, false
}

// register is the whole of a register, by its DWARF number.
func (c *checker) register(at spanT, reg int) typed.Expr {
	if reg < 0 || reg >= len(c.opts.Arch.DWARF) {
		return c.unsupported(at, "a value by DWARF register %d of %s", reg, c.opts.Arch.Name)
	}
	return &typed.Ctx{X: typed.X{Type: uint64T, Span: at}, Off: c.opts.Arch.DWARF[reg], Size: 8}
}

// dataLoc is a field of a tracepoint's record whose place is in the record.
func (c *checker) dataLoc(at spanT, a env.Arg, p env.Piece) typed.Expr {
	k := typed.Space{Types: typed.Kernel}
	addr := &typed.CtxAddr{X: typed.X{Type: &typed.Type{Kind: typed.Ptr, Size: 8, Space: k}, Span: at}, Off: p.Off, Data: true}
	elem := a.Type
	switch u := typed.Bare(a.Type).(type) {
	case *btf.Array:
		elem = u.Type
	case *btf.Pointer:
		elem = u.Target
	}
	if typed.IsChar(elem) {
		return c.strRead(addr, c.opts.StrSize, false, at)
	}
	addr.Type.BTF = elem
	return &typed.Addr{X: typed.X{Type: addr.Type, Span: at}, Mem: typed.Mem{Base: addr, Space: k}}
}

// scalarArg is a number or pointer in one piece.
func (c *checker) scalarArg(at spanT, a env.Arg, t *typed.Type) typed.Expr {
	p := a.Loc.Pieces[0]
	if len(a.Loc.Pieces) > 1 && p.Size < t.Size {
		return c.unsupported(at, "argument `%s`, a number in several pieces", a.Name)
	}
	return c.fromPiece(at, p, 0, t)
}

// fromPiece reads t at byte off of the piece.
func (c *checker) fromPiece(at spanT, p env.Piece, off int64, t *typed.Type) typed.Expr {
	x := typed.X{Type: t, Span: at}
	switch p.Kind {
	case env.InReg:
		r := c.register(at, p.Reg)
		ctx, ok := r.(*typed.Ctx)
		if !ok {
			return r
		}
		if off%int64(t.Size) != 0 || off+int64(t.Size) > 8 {
			return c.unsupported(at, "a field across the end of a register")
		}
		return &typed.Ctx{X: x, Off: ctx.Off + off, Size: t.Size}
	case env.AtReg:
		mem, _ := c.pieceMem(at, p, t.Space)
		mem.Off += off
		mem.Space.User = true
		if isInvalid(mem.Base) {
			return mem.Base
		}
		return &typed.Load{X: x, Mem: mem}
	case env.Const:
		return &typed.Cast{X: x, A: &typed.Const{X: typed.X{Type: uint64T, Span: at}, Val: p.Val >> (8 * min(off, 7))}}
	case env.InCtx:
		return c.fromCtx(x, p.Off+off)
	}
	return c.unsupported(at, "a value that is nowhere")
}

// fromCtx reads a number or pointer in the program's context.
func (c *checker) fromCtx(x typed.X, off int64) typed.Expr {
	if c.inst.place.Kind == place.RawTracepoint {
		// Arguments of a typed tracepoint are slots of eight bytes.
		if x.Type.Kind == typed.Ptr {
			return &typed.Ctx{X: x, Off: off, Size: 8, Pointer: true}
		}
		return &typed.Cast{X: x, A: &typed.Ctx{X: typed.X{Type: uint64T, Span: x.Span}, Off: off, Size: 8}}
	}
	if off < 8 {
		return c.unsupported(x.Span, "the first eight bytes of a tracepoint's record, which the kernel does not give to programs")
	}
	if off%int64(x.Type.Size) != 0 {
		mem, _ := c.pieceMem(x.Span, env.Piece{Kind: env.InCtx, Off: off}, typed.Space{Types: typed.Kernel})
		return &typed.Load{X: x, Mem: mem}
	}
	return &typed.Ctx{X: x, Off: off, Size: x.Type.Size}
}

// pieceAt finds the piece that has byte off of the value.
func pieceAt(ps []env.Piece, off int64) (p env.Piece, within int64, ok bool) {
	var start int64
	for _, p := range ps {
		if p.Size == 0 || off < start+int64(p.Size) {
			return p, off - start, true
		}
		start += int64(p.Size)
	}
	return env.Piece{}, 0, false
}

// pieceField is field m of a struct in pieces.
func (c *checker) pieceField(e *ast.Member, p *pieces, m btf.Member) typed.Expr {
	if m.BitfieldSize > 0 {
		b := typed.FieldBits(m)
		v := c.pieceValue(e.At(), p, b.At, &btf.Int{Size: uint32(b.Bytes)})
		if isInvalid(v) {
			return v
		}
		t := c.scalarType(m.Type, typed.Space{})
		if t == nil {
			return c.unsupported(e.At(), "bit-field of type %s", typed.Name(m.Type))
		}
		return extract(v, b.Bits, t, e.At())
	}
	return c.pieceValue(e.At(), p, int64(m.Offset/8), m.Type)
}

// extract takes a bit-field out of a number.
func extract(v typed.Expr, b typed.Bits, t *typed.Type, at spanT) typed.Expr {
	k := func(n int) typed.Expr {
		return &typed.Const{X: typed.X{Type: int64T, Span: at}, Val: uint64(n)}
	}
	wide := &typed.Type{Kind: typed.Int, Size: 8, Signed: t.Signed}
	up := &typed.Binary{X: typed.X{Type: wide, Span: at}, Op: "<<", A: v, B: k(64 - b.Off - b.Size)}
	return &typed.Binary{X: typed.X{Type: &typed.Type{Kind: typed.Int, Size: 8, Signed: t.Signed, BTF: t.BTF}, Span: at}, Op: ">>", Signed: t.Signed, A: up, B: k(64 - b.Size)}
}

// pieceValue is what lies at byte off of p.
func (c *checker) pieceValue(at spanT, p *pieces, off int64, t btf.Type) typed.Expr {
	s := p.Type.Space
	if st := c.scalarType(t, s); st != nil {
		piece, within, ok := pieceAt(p.loc, p.off+off)
		if !ok || piece.Size > 0 && within+int64(st.Size) > int64(piece.Size) {
			return c.unsupported(at, "a field that is spread over several places, or optimized away")
		}
		return c.fromPiece(at, piece, within, st)
	}
	if why := c.opaque(t); why != "" {
		return c.unsupported(at, "%s", why)
	}
	size, _ := btf.Sizeof(t)
	kind := typed.Composite
	if _, ok := typed.Bare(t).(*btf.Array); ok {
		kind = typed.Array
	}
	return &pieces{X: typed.X{Type: &typed.Type{Kind: kind, Size: size, BTF: t, Space: s}, Span: at}, loc: p.loc, off: p.off + off, bt: t}
}

func (c *checker) pieceElement(at spanT, p *pieces, a *btf.Array, i typed.Expr) typed.Expr {
	k, ok := i.(*typed.Const)
	if !ok {
		return c.unsupported(at, "an index that is not constant, in an array that is passed in registers")
	}
	n, err := btf.Sizeof(a.Type)
	if err != nil {
		return c.unsupported(at, "elements of type %s", typed.Name(a.Type))
	}
	return c.pieceValue(at, p, int64(k.Val)*int64(n), a.Type)
}

// retval is the return value of a function.
func (c *checker) retval(at spanT) typed.Expr {
	if c.inst.place.Kind != place.Uretprobe {
		b, d := c.bad(at, "`%s` has no return value", c.inst.place)
		d.Hint = "retval is for uretprobe"
		return b
	}
	a, err := c.env.Ret(c.inst.place)
	if err == nil && a.Type != nil {
		if _, void := typed.Bare(a.Type).(*btf.Void); void {
			b, _ := c.bad(at, "`%s` returns nothing", c.inst.place.Symbol)
			return b
		}
		if a.Name == "" {
			a.Name = "retval"
		}
		return c.located(at, a)
	}
	// Without types the register is what there is, as for argN.
	var nd *env.NoDebugInfo
	var nf *env.NotFound
	if err != nil && !errors.As(err, &nd) && !errors.As(err, &nf) {
		c.envError(at, err)
		return invalid(at)
	}
	return &typed.Ctx{X: typed.X{Type: uint64T, Span: at}, Off: c.opts.Arch.Ret, Size: 8}
}

// argNumber is the N of argN; -1 for other names.
func argNumber(name string) int {
	if len(name) == 4 && name[:3] == "arg" && name[3] >= '0' && name[3] <= '9' {
		return int(name[3] - '0')
	}
	return -1
}

// argN is argument n as the bare content of its register.
func (c *checker) argN(at spanT, n int) typed.Expr {
	x := typed.X{Type: uint64T, Span: at}
	switch c.inst.place.Kind {
	case place.Uprobe:
		if !c.inst.isReg {
			c.inst.isReg, c.inst.regAt = true, at
		}
		arch := c.opts.Arch
		if n < len(arch.Args) {
			return &typed.Ctx{X: x, Off: arch.Args[n], Size: 8}
		}
		sp := &typed.Ctx{X: x, Off: arch.SP, Size: 8}
		off := arch.StackArg + 8*int64(n-len(arch.Args))
		return &typed.Load{X: x, Mem: typed.Mem{Base: sp, Off: off, Space: typed.Space{User: true}}}
	case place.RawTracepoint:
		l := c.argsAt(c.inst.place)
		if l.err != nil {
			c.envError(at, l.err)
			return invalid(at)
		}
		if n >= len(l.args) {
			b, d := c.bad(at, "`%s` has no argument %d", c.inst.place, n)
			d.Found = plural(len(l.args), "argument")
			return b
		}
		return &typed.Cast{X: x, A: c.scalar(c.located(at, l.args[n]))}
	case place.Uretprobe:
		b, d := c.bad(at, "the arguments of a function are gone when it returns")
		d.Hint = "keep them in a map in a uprobe: @x[tid] = arg0"
		return b
	}
	b, d := c.bad(at, "`%s` has no arguments in registers", c.inst.place)
	if c.inst.place.Kind == place.Tracepoint {
		d.Hint = "use args.NAME"
	}
	return b
}
