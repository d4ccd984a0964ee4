package check

import (
	"math/bits"

	"github.com/gtrace-dev/gtrace/place"
	"github.com/gtrace-dev/gtrace/script/ast"
	"github.com/gtrace-dev/gtrace/script/diag"
	"github.com/gtrace-dev/gtrace/script/env"
	"github.com/gtrace-dev/gtrace/script/scan"
)

// probeType is a type of probe by one of its names.
type probeType struct {
	kind   place.Kind
	fields int
	form   string
}

var probeTypes = map[string]probeType{
	"BEGIN": {place.Begin, 0, "BEGIN"}, "begin": {place.Begin, 0, "BEGIN"},
	"END": {place.End, 0, "END"}, "end": {place.End, 0, "END"},
	"interval": {place.Interval, 2, "interval:UNIT:N"}, "i": {place.Interval, 2, "interval:UNIT:N"},
	"uprobe": {place.Uprobe, 2, "uprobe:PATH:FUNCTION"}, "u": {place.Uprobe, 2, "uprobe:PATH:FUNCTION"},
	"uretprobe": {place.Uretprobe, 2, "uretprobe:PATH:FUNCTION"}, "ur": {place.Uretprobe, 2, "uretprobe:PATH:FUNCTION"},
	"tracepoint": {place.Tracepoint, 2, "tracepoint:CATEGORY:EVENT"}, "t": {place.Tracepoint, 2, "tracepoint:CATEGORY:EVENT"},
	"rawtracepoint": {place.RawTracepoint, 1, "rawtracepoint:EVENT"}, "rt": {place.RawTracepoint, 1, "rawtracepoint:EVENT"},
}

// otherProbes are probe types of the language that gtrace does not have.
var otherProbes = map[string]bool{
	"kprobe": true, "k": true, "kretprobe": true, "kr": true, "fentry": true, "f": true, "fexit": true, "fr": true, "kfunc": true, "kretfunc": true,
	"usdt": true, "U": true, "profile": true, "p": true, "software": true, "s": true, "hardware": true, "h": true, "watchpoint": true, "w": true,
	"asyncwatchpoint": true, "aw": true, "iter": true, "it": true, "self": true, "bench": true, "test": true,
}

// resolve finds the places of every clause.
func (c *checker) resolve(f *ast.File) {
	for _, cl := range f.Clauses {
		for _, a := range cl.Attach {
			for _, p := range c.places(a) {
				c.instances = append(c.instances, &instance{clause: cl, offset: a.Offset, place: p})
			}
			if len(c.instances) > MaxPrograms {
				return
			}
		}
	}
}

func (c *checker) places(a *ast.AttachPoint) []place.Place {
	t, ok := probeTypes[a.Type]
	if !ok {
		if otherProbes[a.Type] {
			c.diags.Unsupported(a.At[0], "probe type `%s`", a.Type)
			return nil
		}
		d := c.diags.Add(a.At[0], "unknown probe type `%s`", a.Type)
		var names []string
		for n := range probeTypes {
			if len(n) > 2 {
				names = append(names, n)
			}
		}
		d.Hint = diag.DidYouMean(a.Type, sorted(names))
		return nil
	}
	if len(a.Fields) == 3 && t.kind == place.RawTracepoint || len(a.Fields) == 2 && t.kind == place.RawTracepoint {
		// rawtracepoint:MODULE:EVENT names the module that the event is from.
		c.diags.Unsupported(a.At[1], "the name of a module in a raw tracepoint").Hint = "write rawtracepoint:" + a.Fields[len(a.Fields)-1]
		return nil
	}
	if len(a.Fields) != t.fields {
		d := c.diags.Add(a.Span, "probe `%s` has %s behind its type", a.Type, plural(len(a.Fields), "part"))
		d.Expected = "`" + t.form + "`"
		return nil
	}
	for i, f := range a.Fields {
		if f == "" {
			c.diags.Add(a.Span, "part %d of the probe is empty", i+2).Expected = "`" + t.form + "`"
			return nil
		}
	}
	switch t.kind {
	case place.Begin, place.End:
		return []place.Place{{Kind: t.kind}}
	case place.Interval:
		return c.interval(a)
	}
	ps, err := c.env.Match(env.Pattern{Kind: t.kind, Fields: a.Fields, Offset: a.Offset})
	if err != nil {
		at := a.Span
		if len(a.At) > t.fields {
			at = a.At[len(a.At)-1]
		}
		if nf, ok := err.(*env.NotFound); ok && (nf.What == "binary" || nf.What == "file") {
			at = a.At[1]
		}
		c.envError(at, err)
		return nil
	}
	if len(ps) == 0 {
		c.diags.Add(a.Span, "nothing matches this probe")
	}
	return ps
}

// interval checks UNIT:N.
func (c *checker) interval(a *ast.AttachPoint) []place.Place {
	units := map[string]uint64{"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1}
	unit, ok := units[a.Fields[0]]
	if !ok {
		if a.Fields[0] == "hz" {
			c.diags.Unsupported(a.At[1], "intervals in hz").Hint = "give the period: interval:ms:10 is 100 times a second"
			return nil
		}
		d := c.diags.Add(a.At[1], "unknown unit `%s`", a.Fields[0])
		d.Expected = "s, ms or us"
		return nil
	}
	n, problem := scan.ParseInt(a.Fields[1])
	if problem != "" {
		c.diags.Add(a.At[2], "`%s` %s", a.Fields[1], problem).Expected = "a whole number"
		return nil
	}
	hi, period := bits.Mul64(n, unit)
	if hi != 0 || period == 0 || period > 1<<62 {
		c.diags.Add(a.At[2], "interval of %s %s", a.Fields[1], a.Fields[0]).Expected = "more than zero and less than a century"
		return nil
	}
	return []place.Place{{Kind: place.Interval, PeriodNS: period}}
}
