package check

import (
	"slices"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/script/ast"
	"github.com/gtrace-dev/gtrace/script/diag"
	"github.com/gtrace-dev/gtrace/script/typed"
)

// builtins are the values that a helper gives.
var builtins = map[string]struct {
	id   typed.Builtin
	size int
}{
	"pid": {typed.PID, 4}, "tid": {typed.TID, 4}, "uid": {typed.UID, 4}, "gid": {typed.GID, 4},
	"nsecs": {typed.Nsecs, 8}, "elapsed": {typed.Elapsed, 8}, "cpu": {typed.CPU, 4},
}

// otherBuiltins are builtins that are made here.
var otherBuiltins = []string{"comm", "cpid", "probe", "func", "retval", "args", "curtask", "arg0", "arg1", "arg2", "arg3", "arg4", "arg5", "arg6", "arg7", "arg8", "arg9", "true", "false"}

// lacking are builtins of the language that gtrace does not have.
var lacking = map[string]bool{
	"username": true, "cgroup": true, "rand": true, "kstack": true, "ustack": true, "ctx": true, "jiffies": true, "numaid": true,
	"usermode": true, "ppid": true, "ncpus": true, "sarg0": true, "sarg1": true, "sarg2": true, "sarg3": true, "pcomm": true,
}

func (c *checker) builtin(e *ast.Ident) typed.Expr {
	x := typed.X{Span: e.At()}
	if b, ok := builtins[e.Name]; ok {
		x.Type = &typed.Type{Kind: typed.Int, Size: b.size}
		return &typed.Call{X: x, ID: b.id}
	}
	if n := argNumber(e.Name); n >= 0 {
		return c.argN(e.At(), n)
	}
	switch e.Name {
	case "comm":
		x.Type = &typed.Type{Kind: typed.Str, Size: 16}
		return &typed.Call{X: x, ID: typed.Comm}
	case "cpid":
		if c.opts.CPID == 0 {
			b, d := c.bad(e.At(), "`cpid` is the process id of a command, and there is none")
			d.Hint = "start one: … -- COMMAND"
			return b
		}
		x.Type = uint32T
		return &typed.Const{X: x, Val: uint64(c.opts.CPID)}
	case "probe":
		return lit(x, c.prog.Probe)
	case "func":
		return c.funcName(x)
	case "retval":
		return c.retval(e.At())
	case "curtask":
		return c.curtask(x)
	case "true", "false":
		x.Type = int64T
		return &typed.Const{X: x, Val: b2u(e.Name == "true")}
	case "args":
		b, d := c.bad(e.At(), "`args` is not a value by itself")
		d.Hint = "name an argument: args.NAME"
		return b
	}
	return c.unknownName(e)
}

func isBuiltin(name string) bool {
	_, ok := builtins[name]
	return ok || lacking[name] || slices.Contains(otherBuiltins, name)
}

func (c *checker) unknownName(e *ast.Ident) typed.Expr {
	if lacking[e.Name] {
		return c.unsupported(e.At(), "builtin `%s`", e.Name)
	}
	b, d := c.bad(e.At(), "unknown name `%s`", e.Name)
	names := append([]string{}, otherBuiltins...)
	for n := range builtins {
		names = append(names, n)
	}
	switch h := diag.DidYouMean(e.Name, sorted(names)); {
	case functions[e.Name] != nil || actions[e.Name] != nil || aggregations[e.Name] != nil:
		d.Hint = "it is a function: " + e.Name + "(…)"
	case h != "":
		d.Hint = h
	case diag.Nearest(e.Name, c.varNames()) != "" || c.lookup(e.Name) != nil:
		d.Hint = "variables are written with a dollar sign: $" + e.Name
	}
	return b
}

func (c *checker) funcName(x typed.X) typed.Expr {
	p := c.inst.place
	switch {
	case p.Symbol != "":
		return lit(x, p.Symbol)
	case p.Event != "":
		return lit(x, p.Event)
	}
	b, d := c.bad(x.Span, "`%s` is in no function", p)
	d.Hint = "`probe` is the name of the probe"
	return b
}

// curtask is the kernel's own record of the running thread.
func (c *checker) curtask(x typed.X) typed.Expr {
	if !c.kernelProbe() {
		return c.unsupported(x.Span, "`curtask` in `%s`, which also runs without the kernel", c.inst.place.Kind)
	}
	t, err := c.env.Type(c.inst.place, "struct", "task_struct")
	if err != nil {
		c.envError(x.Span, err)
		return invalid(x.Span)
	}
	x.Type = &typed.Type{Kind: typed.Ptr, Size: 8, BTF: t, Space: typed.Space{Types: typed.Kernel}}
	return &typed.Call{X: x, ID: typed.Curtask}
}

// resolved is a type name that was looked up.
type resolved struct {
	t     btf.Type // nil: void
	stars int
}

func (r *resolved) size() (int, error) {
	if r.stars > 0 {
		return 8, nil
	}
	return btf.Sizeof(orVoid(r.t))
}

// baseTypes are the types that need no debug information.
var baseTypes = map[string]*btf.Int{
	"bool": {Name: "bool", Size: 1, Encoding: btf.Bool}, "_Bool": {Name: "_Bool", Size: 1, Encoding: btf.Bool},
	"char": {Name: "char", Size: 1, Encoding: btf.Char}, "signed char": {Name: "signed char", Size: 1, Encoding: btf.Signed},
	"unsigned char": {Name: "unsigned char", Size: 1}, "short": {Name: "short", Size: 2, Encoding: btf.Signed}, "unsigned short": {Name: "unsigned short", Size: 2},
	"int": {Name: "int", Size: 4, Encoding: btf.Signed}, "signed": {Name: "int", Size: 4, Encoding: btf.Signed}, "unsigned": {Name: "unsigned int", Size: 4}, "unsigned int": {Name: "unsigned int", Size: 4},
	"long": {Name: "long", Size: 8, Encoding: btf.Signed}, "unsigned long": {Name: "unsigned long", Size: 8},
	"long long": {Name: "long long", Size: 8, Encoding: btf.Signed}, "unsigned long long": {Name: "unsigned long long", Size: 8},
	"long int": {Name: "long", Size: 8, Encoding: btf.Signed}, "long unsigned int": {Name: "unsigned long", Size: 8}, "unsigned long int": {Name: "unsigned long", Size: 8},
	"size_t": {Name: "size_t", Size: 8}, "ssize_t": {Name: "ssize_t", Size: 8, Encoding: btf.Signed}, "uintptr_t": {Name: "uintptr_t", Size: 8}, "intptr_t": {Name: "intptr_t", Size: 8, Encoding: btf.Signed},
}

// sizedType reads int8 to uint64, with _t or not, and the kernel's u8 to s64.
func sizedType(name string) *btf.Int {
	bits := map[string]uint32{"8": 1, "16": 2, "32": 4, "64": 8}
	n := name
	if len(n) > 2 && n[:2] == "__" {
		n = n[2:]
	}
	if len(n) > 2 && n[len(n)-2:] == "_t" {
		n = n[:len(n)-2]
	}
	for _, p := range [...]struct {
		prefix string
		enc    btf.IntEncoding
	}{{"uint", btf.Unsigned}, {"int", btf.Signed}, {"u", btf.Unsigned}, {"s", btf.Signed}} {
		if len(n) > len(p.prefix) && n[:len(p.prefix)] == p.prefix {
			if s := bits[n[len(p.prefix):]]; s > 0 {
				return &btf.Int{Name: name, Size: s, Encoding: p.enc}
			}
		}
	}
	return nil
}

// typeName looks a written type up; nil after an error.
func (c *checker) typeName(n *ast.TypeName) *resolved {
	r := &resolved{stars: n.Stars}
	if n.Keyword == "" {
		if n.Name == "void" {
			return r
		}
		if n.Name == "float" || n.Name == "double" || n.Name == "long double" {
			c.diags.Unsupported(n.At(), "floating point: `%s`", n.Name)
			return nil
		}
		if t := baseTypes[n.Name]; t != nil {
			r.t = t
			return r
		}
		if t := sizedType(n.Name); t != nil {
			r.t = t
			return r
		}
	}
	t, err := c.env.Type(c.inst.place, n.Keyword, n.Name)
	if err != nil {
		c.envError(n.At(), err)
		return nil
	}
	r.t = t
	return r
}

// cast checks (TYPE)X.
func (c *checker) cast(e *ast.Cast) typed.Expr {
	r := c.typeName(e.Type)
	v := c.expr(e.X)
	if r == nil || isInvalid(v) {
		return invalid(e.At())
	}
	if r.stars > 0 {
		return c.castPointer(e, r, v)
	}
	if r.t == nil {
		b, _ := c.bad(e.Type.At(), "nothing can be made of a cast to void")
		return b
	}
	t := c.scalarType(r.t, c.castSpace(v))
	if t == nil {
		if why := c.opaque(r.t); why != "" {
			return c.unsupported(e.Type.At(), "%s", why)
		}
		b, d := c.bad(e.Type.At(), "can't cast to `%s`", typed.Name(r.t))
		d.Expected = "a number or a pointer"
		d.Hint = "cast to a pointer: (… *)"
		return b
	}
	v = c.scalar(v)
	if k := v.T().Kind; k != typed.Int && k != typed.Ptr {
		if k != typed.Invalid {
			_, d := c.bad(e.At(), "can't cast %s to `%s`", v.T(), typed.Name(r.t))
			d.Expected = "a number or a pointer"
		}
		return invalid(e.At())
	}
	if k, ok := v.(*typed.Const); ok {
		return &typed.Const{X: typed.X{Type: t, Span: e.At()}, Val: truncate(k.Val, t)}
	}
	return &typed.Cast{X: typed.X{Type: t, Span: e.At()}, A: v}
}

// truncate is v as a value of type t, extended to 64 bits.
func truncate(v uint64, t *typed.Type) uint64 {
	sh := 64 - 8*uint(t.Size)
	if t.Signed {
		return uint64(int64(v<<sh) >> sh)
	}
	return v << sh >> sh
}

// castSpace is where a pointer made of v points: where v points if it is one.
func (c *checker) castSpace(v typed.Expr) typed.Space {
	s := c.space()
	if t := v.T(); t.Kind == typed.Ptr {
		s.User = t.Space.User
	}
	return s
}

func (c *checker) castPointer(e *ast.Cast, r *resolved, v typed.Expr) typed.Expr {
	if ref, ok := v.(*typed.Ref); ok && ref.T().Kind == typed.Array {
		v = c.addressOf(ref)
	}
	if k := v.T().Kind; k != typed.Int && k != typed.Ptr {
		b, d := c.bad(e.At(), "can't cast %s to a pointer", v.T())
		d.Expected = "a number or a pointer"
		if v.T().Kind == typed.Composite {
			d.Hint = "take its address with `&`"
		}
		return b
	}
	target := r.t
	for range r.stars - 1 {
		target = &btf.Pointer{Target: orVoid(target)}
	}
	t := &typed.Type{Kind: typed.Ptr, Size: 8, BTF: target, Space: c.castSpace(v)}
	if ctx, ok := v.(*typed.Ctx); ok && ctx.Pointer {
		n := *ctx
		n.Type, n.Span = t, e.At()
		return &n
	}
	return &typed.Cast{X: typed.X{Type: t, Span: e.At()}, A: v}
}
