package probe

// kernel.go resolves raw tracepoints and named types by the kernel's BTF.

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/place"
	"github.com/gtrace-dev/gtrace/script/env"
	"github.com/gtrace-dev/gtrace/usertype"
)

const rawPrefix = "btf_trace_"

func (r *Resolver) matchRaw(event string) ([]place.Place, error) {
	spec, err := r.spec()
	if err != nil {
		return nil, err
	}
	if !wild(event) {
		if _, err := rawProto(spec, event); err == nil {
			return []place.Place{{Kind: place.RawTracepoint, Event: event}}, nil
		}
	}
	all := rawEvents(spec)
	var out []place.Place
	for _, e := range all {
		if glob(event, e) {
			out = append(out, place.Place{Kind: place.RawTracepoint, Event: e})
		}
	}
	if len(out) == 0 {
		return nil, &env.NotFound{What: "raw tracepoint", Name: event, In: "the kernel's BTF", Candidates: usertype.Near(event, slices.Values(all), 3)}
	}
	return out, nil
}

// rawEvents are the names of all raw tracepoints.
func rawEvents(spec *btf.Spec) []string {
	var out []string
	for t, err := range spec.All() {
		if err != nil {
			break
		}
		if td, ok := t.(*btf.Typedef); ok && strings.HasPrefix(td.Name, rawPrefix) {
			out = append(out, td.Name[len(rawPrefix):])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// rawProto is the prototype of an event's handler. Its first parameter is the handler's own.
func rawProto(spec *btf.Spec, event string) (*btf.FuncProto, error) {
	var td *btf.Typedef
	if err := spec.TypeByName(rawPrefix+event, &td); err != nil {
		return nil, err
	}
	if p, ok := td.Type.(*btf.Pointer); ok {
		if fp, ok := p.Target.(*btf.FuncProto); ok && len(fp.Params) > 0 {
			return fp, nil
		}
	}
	return nil, fmt.Errorf("%s%s is not a pointer to a function", rawPrefix, event)
}

func (r *Resolver) rawArgs(event string) ([]env.Arg, error) {
	spec, err := r.spec()
	if err != nil {
		return nil, err
	}
	fp, err := rawProto(spec, event)
	if err != nil {
		return nil, fmt.Errorf("raw tracepoint %s: %w", event, err)
	}
	names := rawNames(spec, event, fp)
	var args []env.Arg
	for i, p := range fp.Params[1:] {
		a := env.Arg{Name: fmt.Sprintf("arg%d", i), Type: p.Type, Loc: env.Loc{Pieces: []env.Piece{{Kind: env.InCtx, Off: int64(8 * i)}}}}
		if names != nil {
			a.Name = names[i]
		}
		if n, err := btf.Sizeof(p.Type); err == nil && n > 8 {
			a.Loc = env.Loc{Unsupported: "a struct that is passed by value"}
		}
		args = append(args, a)
	}
	return args, nil
}

// rawNames finds the names of an event's arguments: the kernel's own functions for
// the event have them. nil if none agrees with the prototype.
func rawNames(spec *btf.Spec, event string, want *btf.FuncProto) []string {
	for _, prefix := range []string{"__bpf_trace_", "__traceiter_"} {
		var f *btf.Func
		if spec.TypeByName(prefix+event, &f) != nil {
			continue
		}
		fp, ok := f.Type.(*btf.FuncProto)
		if !ok || len(fp.Params) != len(want.Params) {
			continue
		}
		var names []string
		for i, p := range fp.Params[1:] {
			if p.Name == "" || slices.Contains(names, p.Name) || CType(p.Type, "") != CType(want.Params[i+1].Type, "") {
				break
			}
			names = append(names, p.Name)
		}
		if len(names) == len(want.Params)-1 {
			return names
		}
	}
	return nil
}

func (r *Resolver) kernelType(keyword, name string) (btf.Type, error) {
	spec, err := r.spec()
	if err != nil {
		return nil, err
	}
	ts, err := spec.AnyTypesByName(name)
	if err != nil && !errors.Is(err, btf.ErrNotFound) {
		return nil, err
	}
	for _, t := range ts {
		if keywordOf(t) == keyword {
			return t, nil
		}
	}
	e := &env.NotFound{What: "type", Name: strings.TrimSpace(keyword + " " + name), In: "the kernel's BTF"}
	e.Candidates = usertype.Near(name, func(yield func(string) bool) {
		for t, err := range spec.All() {
			if err != nil || keywordOf(t) == keyword && !yield(t.TypeName()) {
				return
			}
		}
	}, 3)
	return nil, e
}

// keywordOf is the keyword before a type's name in C; "-" for what is no named type.
func keywordOf(t btf.Type) string {
	switch t.(type) {
	case *btf.Struct:
		return "struct"
	case *btf.Union:
		return "union"
	case *btf.Enum:
		return "enum"
	case *btf.Typedef, *btf.Int, *btf.Float:
		return ""
	}
	return "-"
}
