package probe

// list.go lists probes for `gtrace list`.

import (
	"fmt"
	"strings"

	"github.com/gtrace-dev/gtrace/place"
	"github.com/gtrace-dev/gtrace/script/env"
)

// Listed is a probe that a pattern names.
type Listed struct {
	Place     place.Place
	Signature string // see Resolver.Signature; filled in if Options.Signatures is set
}

// listKinds are the probe types that can be listed, with their short names.
var listKinds = []struct {
	kind  place.Kind
	names []string
	parts int
}{
	{place.Uprobe, []string{"uprobe", "u"}, 2},
	{place.Uretprobe, []string{"uretprobe", "ur"}, 2},
	{place.Tracepoint, []string{"tracepoint", "t"}, 2},
	{place.RawTracepoint, []string{"rawtracepoint", "rt"}, 1},
}

// List returns the probes that a pattern such as uprobe:/bin/bash:read*,
// rawtracepoint:sched_* or tracepoint:sched:* names. Parts that are left out
// stand for *. A pattern without a type lists tracepoints of both types.
func (r *Resolver) List(pattern string) ([]Listed, error) {
	kind, rest, _ := strings.Cut(pattern, ":")
	for _, k := range listKinds {
		for _, n := range k.names {
			if n == kind {
				return r.list(k.kind, fields(rest, k.parts))
			}
		}
	}
	if strings.Contains(pattern, ":") && !wild(kind) {
		return nil, &env.NotFound{What: "probe type", Name: kind, Candidates: []string{"uprobe", "uretprobe", "tracepoint", "rawtracepoint"}}
	}
	event := pattern
	if wild(kind) && rest != "" {
		event = rest
	}
	if event == "" {
		event = "*"
	}
	out, err1 := r.list(place.Tracepoint, []string{"*", event})
	raw, err2 := r.list(place.RawTracepoint, []string{event})
	if err1 != nil && err2 != nil {
		return nil, err2
	}
	return append(out, raw...), nil
}

func (r *Resolver) list(k place.Kind, f []string) ([]Listed, error) {
	if k.User() && wild(f[0]) {
		return nil, fmt.Errorf("%s: name the binary: %s:PATH:FUNCTION", k, k)
	}
	ps, err := r.Match(env.Pattern{Kind: k, Fields: f})
	if err != nil {
		return nil, err
	}
	out := make([]Listed, len(ps))
	for i, p := range ps {
		out[i].Place = p
		if r.o.Signatures {
			out[i].Signature = r.Signature(p)
		}
	}
	return out, nil
}

// fields splits at colons; the last field takes what is left, missing ones are
// *. A first field in double quotes keeps its colons.
func fields(s string, n int) []string {
	var f []string
	if path, rest, ok := strings.Cut(strings.TrimPrefix(s, `"`), `"`); ok && s[0] == '"' {
		f, s = append(f, path), strings.TrimPrefix(rest, ":")
	}
	if s != "" {
		f = append(f, strings.SplitN(s, ":", n-len(f))...)
	}
	for len(f) < n {
		f = append(f, "*")
	}
	for i := range f {
		if f[i] == "" {
			f[i] = "*"
		}
	}
	return f
}

// Signature writes the typed arguments, and for functions the return type, of a
// place in C, such as "void *(size_t bytes)"; "" where they are not known.
func (r *Resolver) Signature(p place.Place) string {
	args, _, err := r.Args(p)
	if err != nil {
		return ""
	}
	var as []string
	for _, a := range args {
		as = append(as, CType(a.Type, a.Name))
	}
	list := "(" + strings.Join(as, ", ") + ")"
	if p.Kind.User() {
		if ret, err := r.Ret(p); err == nil {
			return CType(ret.Type, list)
		}
	}
	return list
}
