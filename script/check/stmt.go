package check

import (
	"sort"

	"github.com/gtrace-dev/gtrace/script/ast"
	"github.com/gtrace-dev/gtrace/script/diag"
	"github.com/gtrace-dev/gtrace/script/typed"
)

func sorted(s []string) []string { sort.Strings(s); return s }

// block checks statements in a scope of their own.
func (c *checker) block(body []ast.Stmt) []typed.Stmt {
	c.scopes = append(c.scopes, map[string]*typed.Variable{})
	var out []typed.Stmt
	for _, s := range body {
		if c.diags.Full() {
			break
		}
		if c.stmts++; c.stmts > MaxStmts {
			c.diags.Add(s.At(), "clause has more than %d statements, with loops unrolled", MaxStmts)
			break
		}
		if t := c.stmt(s); t != nil {
			out = append(out, t)
		}
	}
	for n, v := range c.scopes[len(c.scopes)-1] {
		c.hidden[n] = v.Decl
	}
	c.scopes = c.scopes[:len(c.scopes)-1]
	return out
}

func (c *checker) stmt(s ast.Stmt) typed.Stmt {
	at := typed.S{Span: s.At()}
	switch s := s.(type) {
	case *ast.ExprStmt:
		return c.exprStmt(s)
	case *ast.Assign:
		return c.assign(s)
	case *ast.If:
		return &typed.If{S: at, Cond: c.condition(s.Cond), Then: c.block(s.Then), Else: c.block(s.Else)}
	case *ast.Unroll:
		return c.unroll(s)
	case *ast.Block:
		return &typed.Block{S: at, Body: c.block(s.Body)}
	case *ast.Return:
		return &typed.Return{S: at}
	}
	return nil
}

func (c *checker) unroll(s *ast.Unroll) typed.Stmt {
	n, ok := c.scalar(c.expr(s.Count)).(*typed.Const)
	if !ok || n.Val < 1 || n.Val > MaxUnroll {
		d := c.diags.Add(s.Count.At(), "unroll needs a number of times that is known beforehand")
		d.Expected = "a constant from 1 to 100"
		return nil
	}
	b := &typed.Block{S: typed.S{Span: s.At()}}
	for range n.Val {
		b.Body = append(b.Body, c.block(s.Body)...)
		if c.stmts > MaxStmts || c.diags.Full() {
			break
		}
	}
	return b
}

// exprStmt checks an expression that stands alone: a call of a function that does something, ++ or --.
func (c *checker) exprStmt(s *ast.ExprStmt) typed.Stmt {
	switch x := s.X.(type) {
	case *ast.Call:
		if f := actions[x.Name]; f != nil {
			return f(c, x)
		}
		if aggregations[x.Name] != nil {
			c.diags.Add(x.Span, "`%s` has no map to gather into", x.Name).Hint = "write `@ = " + x.Name + "(…);`"
			return nil
		}
	}
	e := c.expr(s.X)
	return &typed.Eval{S: typed.S{Span: s.At()}, E: e}
}

// assign checks $x = e and @x = e with all their operators.
func (c *checker) assign(s *ast.Assign) typed.Stmt {
	value := s.Value
	if s.Op != "=" {
		op := s.Op[:len(s.Op)-1]
		value = &ast.Binary{Pos: ast.Pos{Span: s.At()}, Op: op, OpAt: s.At(), X: s.Target, Y: s.Value}
	}
	switch t := s.Target.(type) {
	case *ast.Var:
		return c.assignVar(s, t, value)
	case *ast.MapRef:
		if call, ok := value.(*ast.Call); ok && aggregations[call.Name] != nil {
			return c.aggregate(s, t, call)
		}
		return c.assignMap(s, t, value)
	}
	d := c.diags.Add(s.Target.At(), "can't assign to this")
	d.Expected, d.Hint = "a variable `$x` or a map `@x`", "a script only reads the memory that it traces"
	return nil
}

// storable makes a value that can be kept: a number, pointer or string.
func (c *checker) storable(e typed.Expr, where string) typed.Expr {
	e = c.decay(e)
	switch e.T().Kind {
	case typed.Composite, typed.Array:
		c.diags.Unsupported(e.At(), "%s of type %s", where, e.T()).Hint = "keep the fields that you need, or a pointer to it with `&`"
		return invalid(e.At())
	}
	return e
}

func (c *checker) assignVar(s *ast.Assign, t *ast.Var, value ast.Expr) typed.Stmt {
	e := c.storable(c.expr(value), "a variable")
	v := c.lookup(t.Name)
	if v == nil || s.Let {
		v = c.declare(t, e)
	} else if !c.fits(v.Type, e) {
		d := c.diags.Add(s.Value.At(), "`$%s` has another type", t.Name)
		d.Expected, d.Found = v.Type.String(), e.T().String()
		c.diags.Note(d, v.Decl, "assigned %s here", v.Type)
		return nil
	}
	if e.T().Kind == typed.Str {
		if n := e.T().Size; n > c.varSizes[v.Decl.Start] {
			c.varSizes[v.Decl.Start] = n
			c.changed = true
		}
		v.Type.Size = max(v.Type.Size, c.varSizes[v.Decl.Start])
	}
	return &typed.SetVar{S: typed.S{Span: s.At()}, Var: v, Val: e}
}

// declare makes a variable of e's type in the innermost scope. Integers are
// kept in 64 bits.
func (c *checker) declare(t *ast.Var, e typed.Expr) *typed.Variable {
	v := &typed.Variable{Name: t.Name, Type: widen(e.T()), Decl: t.At()}
	if v.Type.Kind == typed.Str {
		v.Type.Size = max(v.Type.Size, c.varSizes[v.Decl.Start])
	}
	c.scopes[len(c.scopes)-1][t.Name] = v
	c.prog.Vars = append(c.prog.Vars, v)
	return v
}

// widen is t as variables and maps keep it: integers in 64 bits.
func widen(t *typed.Type) *typed.Type {
	w := *t
	if w.Kind == typed.Int {
		w.Size = 8
		if !isEnum(t) {
			w.BTF = nil
		}
	}
	return &w
}

func (c *checker) lookup(name string) *typed.Variable {
	for i := len(c.scopes) - 1; i >= 0; i-- {
		if v := c.scopes[i][name]; v != nil {
			return v
		}
	}
	return nil
}

func (c *checker) varNames() []string {
	var out []string
	for _, s := range c.scopes {
		for n := range s {
			out = append(out, n)
		}
	}
	return sorted(out)
}

// fits reports whether e can be put where want is kept.
func (c *checker) fits(want *typed.Type, e typed.Expr) bool {
	t := e.T()
	if want.Kind == typed.Invalid || t.Kind == typed.Invalid {
		return true
	}
	if want.Kind == typed.Ptr && isZero(e) {
		return true
	}
	if want.Kind != t.Kind {
		return false
	}
	if want.Kind == typed.Ptr {
		return samePointee(want, t)
	}
	return true
}

func samePointee(a, b *typed.Type) bool {
	if a.Space != b.Space {
		return false
	}
	x, y := typed.Bare(a.BTF), typed.Bare(b.BTF)
	if x == nil || y == nil {
		return x == nil && y == nil
	}
	return x == y || typed.Name(x) == typed.Name(y)
}

func isZero(e typed.Expr) bool {
	k, ok := e.(*typed.Const)
	return ok && k.Val == 0 && k.Type.Kind == typed.Int
}

// undefinedVar reports the use of a variable that has no value.
func (c *checker) undefinedVar(v *ast.Var) typed.Expr {
	e, d := c.bad(v.At(), "variable `$%s` has no value here", v.Name)
	if decl, ok := c.hidden[v.Name]; ok {
		c.diags.Note(d, decl, "assigned in a block that has ended")
		d.Hint = "assign it before the block"
	} else if h := diag.Nearest(v.Name, c.varNames()); h != "" {
		d.Hint = "did you mean `$" + h + "`?"
	}
	return e
}
