package check

import (
	"strconv"
	"strings"

	"github.com/gtrace-dev/gtrace/event"
	"github.com/gtrace-dev/gtrace/script/ast"
	"github.com/gtrace-dev/gtrace/script/typed"
)

// verb is one % of a format.
type verb struct {
	text string
	conv byte
}

// verbs takes a format apart; problem says what is wrong with the verb last given.
func verbs(format string) (out []verb, problem string) {
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		start := i
		i++
		for i < len(format) && strings.IndexByte("-+ #0", format[i]) >= 0 {
			i++
		}
		width := i
		for i < len(format) && (format[i] >= '0' && format[i] <= '9' || format[i] == '.') {
			i++
		}
		if len(format[width:i]) > 8 || strings.Count(format[width:i], ".") > 1 {
			return append(out, verb{text: format[start:i]}), "has a width that can't be"
		}
		for i < len(format) && strings.IndexByte("hlzjt", format[i]) >= 0 {
			i++
		}
		if i >= len(format) {
			return append(out, verb{text: format[start:]}), "is not complete"
		}
		v := verb{text: format[start : i+1], conv: format[i]}
		if v.conv == '%' {
			if len(v.text) != 2 {
				return append(out, v), "is no verb"
			}
			continue
		}
		out = append(out, v)
		if strings.IndexByte("diuxXocsp", v.conv) < 0 {
			return out, "is no verb"
		}
	}
	return out, ""
}

// printf checks the format against the arguments.
func (c *checker) printf(e *ast.Call) typed.Stmt {
	if len(e.Args) == 0 {
		c.diags.Add(e.Span, "`printf` has no format")
		return nil
	}
	f, ok := e.Args[0].(*ast.Str)
	if !ok {
		c.diags.Add(e.Args[0].At(), "the format of `printf` must be a string in quotes")
		return nil
	}
	a := &typed.Action{Kind: event.Printf, Format: f.Val}
	vs, problem := verbs(f.Val)
	if problem != "" {
		v := vs[len(vs)-1]
		switch v.conv {
		case 'f', 'g', 'e', 'a':
			c.diags.Unsupported(f.At(), "floating point: `%s`", v.text)
		case 'r', '*', 'n':
			c.diags.Unsupported(f.At(), "`%s` in a format", v.text)
		default:
			c.diags.Add(f.At(), "`%s` in the format %s", v.text, problem).Expected = "one of %d %i %u %x %X %o %c %s %p %%"
		}
		return nil
	}
	args := e.Args[1:]
	if len(args) != len(vs) {
		d := c.diags.Add(e.Span, "%s in the format, but %s behind it", plural(len(vs), "verb"), plural(len(args), "argument"))
		if len(args) > len(vs) {
			d.Hint = "every value needs a verb such as %d or %s in the format"
		}
		return nil
	}
	if len(args) > event.MaxArgs {
		c.diags.Unsupported(e.Span, "more than %d arguments", event.MaxArgs)
		return nil
	}
	for i, arg := range args {
		a.Args = append(a.Args, c.verbArg(vs[i], c.scalar(c.expr(arg)), i))
	}
	return c.send(e, a)
}

// verbArg checks one argument against its verb.
func (c *checker) verbArg(v verb, x typed.Expr, i int) typed.Expr {
	t := x.T()
	ok, expected, hint := false, "a number", ""
	switch t.Kind {
	case typed.Invalid:
		return x
	case typed.Int:
		ok = v.conv != 's' || isEnum(t) || isBool(t)
		expected = "a string or symbol"
		hint = "print it with %d, or read the string at this address: str(…)"
	case typed.Ptr:
		ok = v.conv != 's' && v.conv != 'c'
		expected = "a string or symbol"
		hint = "print it with %p, or read the string that it points to: str(…)"
	case typed.Str:
		ok, hint = v.conv == 's', "print it with %s"
	case typed.KSym, typed.USym:
		ok, hint = v.conv == 's', "print it with %s"
	}
	if !ok {
		d := c.diags.Add(x.At(), "argument %s does not fit `%s`", strconv.Itoa(i+1), v.text)
		d.Expected, d.Found, d.Hint = expected, t.String(), hint
	}
	return x
}

func isBool(t *typed.Type) bool {
	return t.BTF != nil && t.Event().Kind == event.Bool
}
