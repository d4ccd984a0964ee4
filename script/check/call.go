package check

import (
	"strconv"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/event"
	"github.com/gtrace-dev/gtrace/script/ast"
	"github.com/gtrace-dev/gtrace/script/diag"
	"github.com/gtrace-dev/gtrace/script/typed"
)

// functions give values.
var functions map[string]func(*checker, *ast.Call) typed.Expr

// actions are functions that are statements.
var actions map[string]func(*checker, *ast.Call) typed.Stmt

func init() {
	functions = map[string]func(*checker, *ast.Call) typed.Expr{
		"str": (*checker).str, "ksym": (*checker).sym, "usym": (*checker).sym, "kptr": (*checker).spacePtr, "uptr": (*checker).spacePtr,
		"strncmp": (*checker).strncmp,
	}
	actions = map[string]func(*checker, *ast.Call) typed.Stmt{
		"printf": (*checker).printf, "print": (*checker).print, "clear": (*checker).wholeMap, "zero": (*checker).wholeMap,
		"delete": (*checker).delete, "exit": (*checker).exit,
	}
}

// otherFunctions are functions of the language that gtrace does not have.
var otherFunctions = map[string]bool{
	"buf": true, "cat": true, "cgroupid": true, "cgroup_path": true, "join": true, "kaddr": true, "uaddr": true, "kstack": true, "ustack": true, "ntop": true, "pton": true,
	"override": true, "path": true, "reg": true, "signal": true, "sizeof": true, "skboutput": true, "strftime": true, "strerror": true, "strcontains": true, "strcap": true,
	"system": true, "time": true, "unwatch": true, "macaddr": true, "bswap": true, "nsecs": true, "len": true, "has_key": true, "offsetof": true, "errorf": true, "warnf": true,
	"debugf": true, "fail": true, "assert": true, "jiffies": true, "pid": true, "tid": true, "percpu_kaddr": true, "socket_cookie": true, "tseries": true, "find": true, "cpu": true, "is_err": true,
}

func (c *checker) arity(e *ast.Call, least, most int) bool {
	if n := len(e.Args); n < least || n > most {
		d := c.diags.Add(e.Span, "`%s` has %s", e.Name, plural(n, "argument"))
		d.Expected = plural(least, "argument")
		if most != least {
			d.Expected = strconv.Itoa(least) + " to " + strconv.Itoa(most)
		}
		return false
	}
	return true
}

// call checks a function in an expression.
func (c *checker) call(e *ast.Call) typed.Expr {
	if f := functions[e.Name]; f != nil {
		return f(c, e)
	}
	switch {
	case aggregations[e.Name] != nil:
		b, d := c.bad(e.Span, "`%s` gathers values in a map and has no value itself", e.Name)
		d.Hint = "write `@x = " + e.Name + "(…);`"
		return b
	case actions[e.Name] != nil:
		b, _ := c.bad(e.Span, "`%s` is a statement and has no value", e.Name)
		return b
	case otherFunctions[e.Name]:
		return c.unsupported(e.NameAt, "function `%s`", e.Name)
	}
	b, d := c.bad(e.NameAt, "unknown function `%s`", e.Name)
	var names []string
	for n := range functions {
		names = append(names, n)
	}
	for n := range actions {
		names = append(names, n)
	}
	for n := range aggregations {
		names = append(names, n)
	}
	d.Hint = diag.DidYouMean(e.Name, sorted(names))
	return b
}

// str checks str(p [, n]) and str($1).
func (c *checker) str(e *ast.Call) typed.Expr {
	if !c.arity(e, 1, 2) {
		return invalid(e.Span)
	}
	if p, ok := e.Args[0].(*ast.Param); ok {
		s := ""
		if p.N > 0 && p.N <= len(c.opts.Params) {
			s = c.opts.Params[p.N-1]
		}
		if len(s) >= MaxStr {
			return c.unsupported(e.Span, "strings of more than %d bytes", MaxStr-1)
		}
		return lit(typed.X{Span: e.Span}, s)
	}
	size := c.opts.StrSize
	if len(e.Args) == 2 {
		k, ok := c.scalar(c.expr(e.Args[1])).(*typed.Const)
		if !ok {
			return c.unsupported(e.Args[1].At(), "a length of `str` that is not constant")
		}
		if k.Val < 1 || k.Val >= MaxStr {
			b, d := c.bad(e.Args[1].At(), "length %d of `str`", int64(k.Val))
			d.Expected = "1 to " + strconv.Itoa(MaxStr-1)
			return b
		}
		size = int(k.Val) + 1
	}
	return c.strOf(e, c.expr(e.Args[0]), size)
}

// strOf reads the string that v is the address of, or holds.
func (c *checker) strOf(e *ast.Call, v typed.Expr, size int) typed.Expr {
	if r, ok := v.(*typed.Ref); ok && r.Type.Kind == typed.Array && typed.IsByte(typed.Bare(r.Type.BTF).(*btf.Array).Type) {
		if n := int(typed.Bare(r.Type.BTF).(*btf.Array).Nelems); len(e.Args) == 1 && n > 0 {
			size = min(n+1, MaxStr)
		}
		return c.strRead(c.addressOf(r), size, r.Mem.Space.User, e.Span)
	}
	v = c.scalar(v)
	t := v.T()
	switch t.Kind {
	case typed.Str, typed.Invalid:
		return v
	case typed.Int:
		return c.strRead(v, size, !c.kernelProbe(), e.Span)
	case typed.Ptr:
		if b := typed.Bare(t.BTF); b == nil || typed.IsByte(b) {
			return c.strRead(v, size, t.Space.User, e.Span)
		}
	}
	b, d := c.bad(e.Args[0].At(), "`str` reads a string")
	d.Expected, d.Found = "`char *`", t.String()
	d.Hint = "if there is a string at this address, cast it: str((char *)…)"
	return b
}

// sym checks ksym(address) and usym(address).
func (c *checker) sym(e *ast.Call) typed.Expr {
	if !c.arity(e, 1, 1) {
		return invalid(e.Span)
	}
	v := c.integer(c.expr(e.Args[0]), "`"+e.Name+"`")
	if isInvalid(v) {
		return v
	}
	t := &typed.Type{Kind: typed.KSym, Size: 8}
	if e.Name == "usym" {
		t = &typed.Type{Kind: typed.USym, Size: 16}
	}
	return &typed.Sym{X: typed.X{Type: t, Span: e.Span}, Addr: v, User: e.Name == "usym"}
}

// spacePtr checks kptr(p) and uptr(p), which say where a pointer points.
func (c *checker) spacePtr(e *ast.Call) typed.Expr {
	if !c.arity(e, 1, 1) {
		return invalid(e.Span)
	}
	v := c.scalar(c.expr(e.Args[0]))
	t := &typed.Type{Kind: typed.Ptr, Size: 8, Space: c.space()}
	switch v.T().Kind {
	case typed.Invalid:
		return v
	case typed.Ptr:
		t.BTF, t.Space = v.T().BTF, v.T().Space
	case typed.Int:
	default:
		b, d := c.bad(e.Span, "`%s` needs an address", e.Name)
		d.Found = v.T().String()
		return b
	}
	t.Space.User = e.Name == "uptr"
	if !t.Space.User && !c.kernelProbe() && c.userProbe() {
		return c.unsupported(e.Span, "kernel memory in `%s`, which also runs without the kernel", c.inst.place.Kind)
	}
	return &typed.Cast{X: typed.X{Type: t, Span: e.Span}, A: v}
}

// strncmp checks strncmp(a, b, n): 0 when the first n bytes are the same.
func (c *checker) strncmp(e *ast.Call) typed.Expr {
	return c.unsupported(e.NameAt, "function `strncmp`; compare with == and !=")
}

// newAction adds an action to the script.
func (c *checker) newAction(a *typed.Action) *typed.Action {
	a.Index = len(c.script.Actions)
	a.Probe = len(c.script.Programs)
	c.script.Actions = append(c.script.Actions, a)
	return a
}

func (c *checker) send(e *ast.Call, a *typed.Action) typed.Stmt {
	return &typed.Send{S: typed.S{Span: e.Span}, Action: c.newAction(a)}
}

// print checks print(@m [, top [, div]]) and print(expr).
func (c *checker) print(e *ast.Call) typed.Stmt {
	if !c.arity(e, 1, 3) {
		return nil
	}
	if m, ok := e.Args[0].(*ast.MapRef); ok && len(m.Keys) == 0 {
		return c.printMap(e, m)
	}
	if len(e.Args) > 1 {
		c.diags.Add(e.Args[1].At(), "only `print` of a map has more arguments")
		return nil
	}
	if m, ok := e.Args[0].(*ast.MapRef); ok && c.maps[m.Name] != nil && c.maps[m.Name].valued && c.maps[m.Name].Agg != event.Plain {
		c.mapUse(m, false)
		c.diags.Unsupported(e.Args[0].At(), "print of one entry of `@%s`, which holds %s", m.Name, aggText(c.maps[m.Name].Agg, c.maps[m.Name].aggName)).Hint = "print(@" + m.Name + ") shows the whole map"
		return nil
	}
	v := c.decay(c.expr(e.Args[0]))
	if r, ok := v.(*typed.Ref); ok {
		if why := typed.Printable(r.Type.BTF); why != "" || r.Type.Size > MaxStr*4 || r.Type.Size == 0 {
			c.diags.Unsupported(v.At(), "print of %s", r.Type).Hint = "name the fields that you need"
			return nil
		}
	}
	return c.send(e, &typed.Action{Kind: event.PrintValue, Args: []typed.Expr{v}})
}

// printMap checks print of a whole map.
func (c *checker) printMap(e *ast.Call, m *ast.MapRef) typed.Stmt {
	info, _ := c.mapUse(m, true)
	if !info.valued {
		c.unset(info, m)
		return nil
	}
	a := &typed.Action{Kind: event.PrintMap, Map: info.Map}
	for i, arg := range e.Args[1:] {
		k, ok := c.scalar(c.expr(arg)).(*typed.Const)
		if !ok || int64(k.Val) < 0 {
			c.diags.Add(arg.At(), "argument %d of `print` is not a constant from 0 on", i+2)
			return nil
		}
		if i == 0 {
			a.Top = int64(k.Val)
		} else {
			a.Div = int64(k.Val)
		}
	}
	return c.send(e, a)
}

// wholeMap checks clear(@m) and zero(@m).
func (c *checker) wholeMap(e *ast.Call) typed.Stmt {
	if !c.arity(e, 1, 1) {
		return nil
	}
	m, ok := e.Args[0].(*ast.MapRef)
	if !ok || len(m.Keys) > 0 {
		d := c.diags.Add(e.Args[0].At(), "`%s` works on a whole map", e.Name)
		d.Expected = "`@name` without keys"
		if ok {
			d.Hint = "delete(@" + m.Name + "[…]) removes one entry"
		}
		return nil
	}
	info, _ := c.mapUse(m, true)
	if !info.valued {
		c.unset(info, m)
		return nil
	}
	kind := event.ClearMap
	if e.Name == "zero" {
		kind = event.ZeroMap
	}
	return c.send(e, &typed.Action{Kind: kind, Map: info.Map})
}

// delete checks delete(@m[k]), delete(@m, k) and delete(@m) of a scalar.
func (c *checker) delete(e *ast.Call) typed.Stmt {
	if len(e.Args) == 0 {
		c.arity(e, 1, 2)
		return nil
	}
	m, ok := e.Args[0].(*ast.MapRef)
	if !ok {
		c.diags.Add(e.Args[0].At(), "`delete` removes an entry of a map").Expected = "`@name[key]`"
		return nil
	}
	if len(e.Args) > 1 {
		if len(m.Keys) > 0 {
			c.diags.Add(e.Args[1].At(), "the key is given twice")
			return nil
		}
		m = &ast.MapRef{Pos: m.Pos, Name: m.Name, Keys: e.Args[1:]}
	}
	info, keys := c.mapUse(m, false)
	if !info.valued {
		c.unset(info, m)
		return nil
	}
	if len(keys) == 0 && info.Agg != event.Plain {
		c.diags.Unsupported(e.Span, "delete of `@%s`, which has no keys and holds %s", m.Name, aggText(info.Agg, info.aggName)).Hint = "clear(@" + m.Name + ")"
		return nil
	}
	return &typed.Delete{S: typed.S{Span: e.Span}, Map: info.Map, Keys: keys}
}

// exit checks exit([code]).
func (c *checker) exit(e *ast.Call) typed.Stmt {
	if !c.arity(e, 0, 1) {
		return nil
	}
	a := &typed.Action{Kind: event.Exit}
	if len(e.Args) == 1 {
		a.Args = []typed.Expr{c.integer(c.expr(e.Args[0]), "`exit`")}
	}
	return c.send(e, a)
}
