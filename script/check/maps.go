package check

import (
	"github.com/gtrace-dev/gtrace/event"
	"github.com/gtrace-dev/gtrace/script/ast"
	"github.com/gtrace-dev/gtrace/script/diag"
	"github.com/gtrace-dev/gtrace/script/typed"
)

// mapInfo is a map with the places that gave it its types.
type mapInfo struct {
	*typed.Map
	shaped  bool // the keys are known
	keysAt  diag.Span
	valued  bool // Agg, and for Plain the Value, are known
	aggName string
	valueAt diag.Span
}

// mapUse finds the map that m names and checks its keys. Keys are nil when the
// use is as a whole (print(@m)).
func (c *checker) mapUse(m *ast.MapRef, whole bool) (*mapInfo, []typed.Expr) {
	info := c.maps[m.Name]
	if info == nil {
		info = &mapInfo{Map: &typed.Map{Name: m.Name, First: m.At()}}
		c.maps[m.Name] = info
		c.order = append(c.order, info)
		c.changed = true
		if m.Name == event.RingMap || m.Name == event.StatsMap {
			c.diags.Add(m.At(), "`@%s` is a name that gtrace itself uses", m.Name)
		}
	}
	if whole {
		return info, nil
	}
	var keys []typed.Expr
	for _, k := range m.Keys {
		keys = append(keys, c.storable(c.expr(k), "a key"))
	}
	if !info.shaped {
		info.shaped, info.keysAt = true, m.At()
		for _, k := range keys {
			info.Keys = append(info.Keys, kept(k.T()))
		}
		c.changed = true
		return info, keys
	}
	if len(keys) != len(info.Keys) {
		d := c.diags.Add(m.At(), "map `@%s` is used with another number of keys", m.Name)
		d.Expected, d.Found = plural(len(info.Keys), "key"), plural(len(keys), "key")
		c.diags.Note(d, info.keysAt, "used with %s here", plural(len(info.Keys), "key"))
		return info, nil
	}
	for i, k := range keys {
		keys[i] = c.unify(&info.Keys[i], k, "key of map `@"+m.Name+"`", info.keysAt)
	}
	return info, keys
}

func plural(n int, what string) string {
	switch n {
	case 0:
		return "no " + what + "s"
	case 1:
		return "one " + what
	}
	return string(appendInt(nil, n)) + " " + what + "s"
}

func appendInt(b []byte, n int) []byte {
	if n >= 10 {
		b = appendInt(b, n/10)
	}
	return append(b, byte('0'+n%10))
}

// kept is the type of t's values in a map.
func kept(t *typed.Type) *typed.Type {
	k := widen(t)
	if t.Kind == typed.Int && isBool(t) {
		k.BTF = t.BTF
	}
	return k
}

// unify fits e into the type that a key or value already has, or widens that.
func (c *checker) unify(have **typed.Type, e typed.Expr, what string, at diag.Span) typed.Expr {
	t, w := e.T(), *have
	if t.Kind == typed.Invalid {
		return e
	}
	if w.Kind == typed.Invalid {
		*have = kept(t)
		c.changed = true
		return e
	}
	if !c.fits(w, e) {
		d := c.diags.Add(e.At(), "%s has another type", what)
		d.Expected, d.Found = w.String(), t.String()
		if w.Kind == typed.Int && t.Kind == typed.Ptr {
			d.Hint = "cast the pointer: (uint64)…"
		}
		c.diags.Note(d, at, "used with %s here", w)
		return invalid(e.At())
	}
	switch {
	case w.Kind == typed.Str && t.Size > w.Size:
		n := *w
		n.Size = t.Size
		*have, c.changed = &n, true
	case w.Kind == typed.Int && w.BTF != nil && (t.BTF == nil || typed.Name(t.BTF) != typed.Name(w.BTF)):
		n := *w
		n.BTF = nil
		*have, c.changed = &n, true
	}
	return e
}

// setAgg says what the map gathers, or reports that it gathers something else.
func (c *checker) setAgg(info *mapInfo, agg event.Agg, name string, at diag.Span) bool {
	if !info.valued {
		info.valued, info.Agg, info.aggName, info.valueAt = true, agg, name, at
		c.changed = true
		return true
	}
	if info.Agg == agg && (agg != event.Plain || info.aggName == name) {
		return true
	}
	d := c.diags.Add(at, "map `@%s` holds something else", info.Name)
	d.Expected, d.Found = aggText(info.Agg, info.aggName), aggText(agg, name)
	c.diags.Note(d, info.valueAt, "%s here", aggText(info.Agg, info.aggName))
	return false
}

func aggText(a event.Agg, name string) string {
	if a == event.Plain {
		return "a plain value"
	}
	return "`" + name + "()`"
}

func (c *checker) assignMap(s *ast.Assign, m *ast.MapRef, value ast.Expr) typed.Stmt {
	info, keys := c.mapUse(m, false)
	e := c.storable(c.expr(value), "a map's value")
	if !c.setAgg(info, event.Plain, "", s.At()) {
		return nil
	}
	if info.Value == nil {
		info.Value, info.valueAt, c.changed = kept(e.T()), s.At(), true
	} else {
		e = c.unify(&info.Value, e, "value of map `@"+m.Name+"`", info.valueAt)
	}
	return &typed.SetMap{S: typed.S{Span: s.At()}, Map: info.Map, Keys: keys, Val: e}
}

// aggregations are the functions that gather values in a map.
var aggregations = map[string]*struct {
	agg  event.Agg
	args int
}{
	"count": {event.Count, 0}, "sum": {event.Sum, 1}, "avg": {event.Avg, 1}, "stats": {event.Stat, 1},
	"min": {event.Min, 1}, "max": {event.Max, 1}, "hist": {event.Hist, 1}, "lhist": {event.LHist, 4},
}

// aggregate checks @x = count() and the like.
func (c *checker) aggregate(s *ast.Assign, m *ast.MapRef, call *ast.Call) typed.Stmt {
	f := aggregations[call.Name]
	info, keys := c.mapUse(m, false)
	if s.Op != "=" {
		c.diags.Add(s.At(), "`%s` stands behind `=`, not `%s`", call.Name, s.Op)
		return nil
	}
	if len(call.Args) == 2 && call.Name == "hist" {
		c.diags.Unsupported(call.Args[1].At(), "hist with a resolution")
		return nil
	}
	if fits := c.setAgg(info, f.agg, call.Name, s.At()); !c.arity(call, f.args, f.args) || !fits {
		return nil
	}
	out := &typed.Aggregate{S: typed.S{Span: s.At()}, Map: info.Map, Keys: keys}
	if f.args == 0 {
		return out
	}
	out.Val = c.integer(c.expr(call.Args[0]), "`"+call.Name+"`")
	if out.Val.T().Kind == typed.Int && out.Val.T().Signed && !info.Signed {
		info.Signed, c.changed = true, true
	}
	if f.agg == event.LHist && !c.lhist(info, call) {
		return nil
	}
	return out
}

// lhist checks the bounds of a linear histogram.
func (c *checker) lhist(info *mapInfo, call *ast.Call) bool {
	var v [3]int64
	for i := range v {
		k, ok := c.scalar(c.expr(call.Args[i+1])).(*typed.Const)
		if !ok {
			c.diags.Add(call.Args[i+1].At(), "bounds of `lhist` must be constants")
			return false
		}
		v[i] = int64(k.Val)
	}
	lo, hi, step := v[0], v[1], v[2]
	switch {
	case step <= 0:
		c.diags.Add(call.Args[3].At(), "step of `lhist` is %d", step).Expected = "more than zero"
	case lo >= hi:
		c.diags.Add(call.Args[1].At(), "`lhist` goes from %d to %d", lo, hi).Expected = "a minimum below the maximum"
	case uint64(hi-lo)/uint64(step) > 1000:
		c.diags.Add(call.Span, "`lhist` has %d buckets", uint64(hi-lo)/uint64(step)).Expected = "at most 1000; use a larger step"
	case uint64(hi-lo)%uint64(step) != 0:
		c.diags.Add(call.Args[3].At(), "step %d does not divide the range from %d to %d", step, lo, hi)
	case info.Step != 0 && (info.Lo != lo || info.Hi != hi || info.Step != step):
		d := c.diags.Add(call.Span, "`lhist` has other bounds for map `@%s`", info.Name)
		c.diags.Note(d, info.valueAt, "first bounds here")
	default:
		info.Lo, info.Hi, info.Step = lo, hi, step
		return true
	}
	return false
}

// mapGet checks @x[k] as a value.
func (c *checker) mapGet(m *ast.MapRef) typed.Expr {
	info, keys := c.mapUse(m, false)
	if len(keys) != len(info.Keys) {
		return invalid(m.At()) // reported
	}
	if !info.valued {
		return c.unset(info, m)
	}
	if info.Agg != event.Plain {
		return c.unsupported(m.At(), "the value of `@%s`, which holds %s, in an expression", m.Name, aggText(info.Agg, info.aggName))
	}
	return &typed.MapGet{X: typed.X{Type: info.Value, Span: m.At()}, Map: info.Map, Keys: keys}
}

// unset reports the use of a map that no statement gives a value.
func (c *checker) unset(info *mapInfo, m *ast.MapRef) typed.Expr {
	if !c.final {
		return invalid(m.At())
	}
	e, d := c.bad(m.At(), "map `@%s` is never given a value", m.Name)
	var names []string
	for _, o := range c.order {
		if o.valued {
			names = append(names, o.Name)
		}
	}
	if n := diag.Nearest(m.Name, names); n != "" {
		d.Hint = "did you mean `@" + n + "`?"
	}
	return e
}

// incMap checks @x++ and the like, which also give a map its type.
func (c *checker) incMap(x *ast.IncDec, m *ast.MapRef, delta int64) typed.Expr {
	info, keys := c.mapUse(m, false)
	if !c.setAgg(info, event.Plain, "", x.At()) {
		return invalid(x.At())
	}
	if info.Value == nil {
		info.Value, info.valueAt, c.changed = int64T, x.At(), true
	}
	if k := info.Value.Kind; k != typed.Int && k != typed.Invalid {
		e, d := c.bad(x.At(), "`%s` needs a number", x.Op)
		d.Found = info.Value.String()
		return e
	}
	if info.Value.BTF != nil { // counted: no true or false, no name
		n := *info.Value
		n.BTF, info.Value, c.changed = nil, &n, true
	}
	return &typed.IncMap{X: typed.X{Type: info.Value, Span: x.At()}, Map: info.Map, Keys: keys, Delta: delta, Post: x.Post}
}

func (c *checker) kernelProbe() bool { return c.inst.place.Kind.Kernel() }

func (c *checker) userProbe() bool { return c.inst.place.Kind.User() }
