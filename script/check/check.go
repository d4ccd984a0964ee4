// Package check gives a parsed script its types: it resolves attach points
// through the Env, and checks every clause at every place against the types
// that are there. It reads nothing but the tree and the Env, and emits no code.
package check

import (
	"errors"
	"fmt"

	"github.com/gtrace-dev/gtrace/place"
	"github.com/gtrace-dev/gtrace/script/ast"
	"github.com/gtrace-dev/gtrace/script/diag"
	"github.com/gtrace-dev/gtrace/script/env"
	"github.com/gtrace-dev/gtrace/script/typed"
)

// Limits of a script.
const (
	MaxPrograms = 1024
	MaxStmts    = 4096 // statements of a clause, with loops unrolled
	MaxUnroll   = 100
	MaxStr      = 1024
	maxPasses   = 32
)

// Options are what checking depends on beside the script and its Env.
type Options struct {
	Params  []string
	StrSize int
	CPID    int
	Arch    *typed.Arch
}

// Check checks f. The result is only usable when diags got nothing.
func Check(f *ast.File, e env.Env, diags *diag.List, opts Options) *typed.Script {
	c := &checker{env: e, opts: opts, diags: diags, maps: map[string]*mapInfo{}, varSizes: map[int]int{}, args: map[string]*argList{}}
	c.resolve(f)
	if len(c.instances) > MaxPrograms {
		diags.Add(c.instances[0].clause.Span, "script matches %d places, more than %d", len(c.instances), MaxPrograms).Hint = "use a narrower wildcard"
		return nil
	}
	// Maps are typed by all clauses together: go over them until nothing
	// changes, and report in the last pass.
	c.diags = &diag.List{Source: diags.Source}
	for range maxPasses {
		c.changed = false
		c.pass()
		if !c.changed {
			break
		}
		c.diags = &diag.List{Source: diags.Source}
	}
	c.diags, c.final = diags, true
	s := c.pass()
	if diags.Len() > 0 {
		return nil
	}
	for _, m := range c.order {
		s.Maps = append(s.Maps, m.Map)
	}
	typed.Solve(s)
	return s
}

type checker struct {
	env       env.Env
	opts      Options
	diags     *diag.List
	final     bool
	changed   bool
	instances []*instance
	maps      map[string]*mapInfo
	order     []*mapInfo
	varSizes  map[int]int // string variables by place of declaration: the largest size assigned
	args      map[string]*argList
	script    *typed.Script
	inst      *instance
	prog      *typed.Program
	scopes    []map[string]*typed.Variable
	hidden    map[string]diag.Span // variables whose scope is closed
	stmts     int
}

// instance is a clause at a place.
type instance struct {
	clause *ast.Clause
	offset uint64 // as written: FUNC+OFFSET
	place  place.Place
	moved  place.Place // where the typed arguments hold
	usesAt diag.Span   // of the first use of a typed argument at a place that moved
	isMove bool
	regAt  diag.Span // of the first use of a bare register
	isReg  bool
}

// argList is what the Env says about the arguments at a place.
type argList struct {
	args []env.Arg
	at   place.Place
	err  error
}

// pass checks every clause at every place.
func (c *checker) pass() *typed.Script {
	c.script = &typed.Script{}
	for _, in := range c.instances {
		if c.diags.Full() {
			break
		}
		c.inst, c.stmts = in, 0
		in.isMove, in.isReg, in.moved = false, false, in.place
		c.prog = &typed.Program{Place: in.place, Probe: in.place.String(), Span: in.clause.Span}
		c.scopes, c.hidden = []map[string]*typed.Variable{{}}, map[string]diag.Span{}
		if in.clause.Pred != nil {
			c.prog.Pred, c.prog.PredAt = c.condition(in.clause.Pred), in.clause.Pred.At()
		}
		c.prog.Body = c.block(in.clause.Body)
		c.prog.Place = in.moved
		c.prog.Inside = in.isMove || in.offset != 0
		if in.isMove && in.isReg {
			d := c.diags.Add(in.regAt, "registers and named arguments can't be used together in `%s`", in.place)
			c.diags.Note(d, in.usesAt, "named argument, which is in memory only behind the function's prologue")
			d.Hint = "use args.NAME for all of them; this function keeps its arguments in memory, and registers change while it stores them there"
		}
		c.script.Programs = append(c.script.Programs, c.prog)
	}
	return c.script
}

// bad reports and gives an expression that fits everywhere.
func (c *checker) bad(at diag.Span, format string, args ...any) (typed.Expr, *diag.Diagnostic) {
	return invalid(at), c.diags.Add(at, format, args...)
}

func (c *checker) unsupported(at diag.Span, format string, args ...any) typed.Expr {
	c.diags.Unsupported(at, format, args...)
	return invalid(at)
}

func invalid(at diag.Span) typed.Expr {
	return &typed.Const{X: typed.X{Type: &typed.Type{Kind: typed.Invalid, Size: 8}, Span: at}}
}

func isInvalid(e typed.Expr) bool { return e.T().Kind == typed.Invalid }

var (
	int64T  = &typed.Type{Kind: typed.Int, Size: 8, Signed: true}
	uint64T = &typed.Type{Kind: typed.Int, Size: 8}
	uint32T = &typed.Type{Kind: typed.Int, Size: 4}
)

// envError reports what the Env said, with its candidates as a hint.
func (c *checker) envError(at diag.Span, err error) {
	var nf *env.NotFound
	var nd *env.NoDebugInfo
	var bp env.BadPlace
	d := c.diags.Add(at, "%v", err)
	switch {
	case errors.As(err, &nf):
		d.Message = nf.Error()
		if len(nf.Candidates) > 0 {
			d.Hint = "did you mean `" + nf.Candidates[0] + "`?"
		}
	case errors.As(err, &bp):
	case !errors.As(err, &nd):
		d.Unsupported = true // unreadable, not permitted, …: not the script's fault
	default:
		d.Unsupported = true
		d.Hint = nd.Hint
		if d.Hint == "" {
			d.Hint = "install its debug information, or use the untyped arg0, arg1, …"
		}
	}
}

// argsAt asks the Env once a place.
func (c *checker) argsAt(p place.Place) *argList {
	key := fmt.Sprint(p.Kind, p.String(), p.Addr)
	if l := c.args[key]; l != nil {
		return l
	}
	l := &argList{}
	l.args, l.at, l.err = c.env.Args(p)
	c.args[key] = l
	return l
}
