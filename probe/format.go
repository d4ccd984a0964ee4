package probe

// format.go resolves tracepoints by the format files of tracefs (Linux
// Documentation/trace/events.rst, "Event formats").

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/internal/tracefs"
	"github.com/gtrace-dev/gtrace/place"
	"github.com/gtrace-dev/gtrace/script/env"
	"github.com/gtrace-dev/gtrace/usertype"
)

const (
	maxFormat = 256 << 10
	maxFields = 256
)

func (r *Resolver) matchTracepoint(category, event string) ([]place.Place, error) {
	for _, n := range []string{category, event} {
		if n == "" || n == "." || n == ".." || strings.ContainsAny(n, "/\x00") {
			return nil, &env.NotFound{What: "tracepoint", Name: category + ":" + event, In: "tracefs"}
		}
	}
	var out []place.Place
	err := tracefs.WithTracefs(func(dir string) error {
		cats, err := entries(filepath.Join(dir, "events"), category)
		if err != nil {
			return err
		}
		for _, c := range cats {
			evs, err := entries(filepath.Join(dir, "events", c), event)
			if err != nil {
				return err
			}
			for _, e := range evs {
				d, err := readFormat(filepath.Join(dir, "events", c, e, "format"))
				if err != nil {
					continue // a control file, or an event of ftrace's own
				}
				r.formats[c+"/"+e] = d
				out = append(out, place.Place{Kind: place.Tracepoint, Category: c, Event: e})
			}
		}
		if len(out) == 0 {
			return nearTracepoints(filepath.Join(dir, "events"), category, event)
		}
		return nil
	})
	return out, err
}

// entries gives the directories in dir that a pattern matches.
func entries(dir, pattern string) ([]string, error) {
	if !wild(pattern) {
		if st, err := os.Stat(filepath.Join(dir, pattern)); err != nil || !st.IsDir() {
			return nil, nil
		}
		return []string{pattern}, nil
	}
	es, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range es {
		if e.IsDir() && glob(pattern, e.Name()) {
			out = append(out, e.Name())
		}
	}
	slices.Sort(out)
	return out, nil
}

func nearTracepoints(dir, category, event string) error {
	e := &env.NotFound{What: "tracepoint", Name: category + ":" + event, In: "tracefs"}
	var all []string
	cats, err := entries(dir, "*")
	if err != nil {
		return err
	}
	for _, c := range cats {
		evs, _ := entries(filepath.Join(dir, c), "*")
		for _, ev := range evs {
			if ev == event { // the right event of another category
				e.Candidates = append(e.Candidates, c+":"+ev)
			}
			all = append(all, c+":"+ev)
		}
	}
	if len(e.Candidates) == 0 {
		e.Candidates = usertype.Near(e.Name, slices.Values(all), 3)
	}
	return e
}

func readFormat(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFormat))
}

func (r *Resolver) formatArgs(category, event string) ([]env.Arg, error) {
	key := category + "/" + event
	if r.formats[key] == nil {
		if _, err := r.matchTracepoint(category, event); err != nil {
			return nil, err
		}
	}
	fields, err := parseFormat(string(r.formats[key]))
	if err != nil {
		return nil, fmt.Errorf("tracepoint %s:%s: %w", category, event, err)
	}
	user := category == "syscalls"
	var args []env.Arg
	for _, f := range fields {
		if strings.HasPrefix(f.name, "common_") {
			continue
		}
		args = append(args, r.fieldArg(f, user))
	}
	return args, nil
}

// field is a line of a format file.
type field struct {
	ctype        string // without array dimensions and __data_loc
	name         string
	dims         []uint32
	isArray      bool
	dataLoc      bool
	relLoc       bool
	offset, size int
	signed       bool
}

// parseFormat reads the fields of a format file.
func parseFormat(text string) ([]field, error) {
	var out []field
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "print fmt:") {
			break
		}
		decl, ok := strings.CutPrefix(line, "field:")
		if !ok {
			continue
		}
		f, err := parseField(decl)
		if err != nil {
			return nil, fmt.Errorf("the format's line %q: %w", line, err)
		}
		if out = append(out, f); len(out) > maxFields {
			return nil, fmt.Errorf("the format has more than %d fields", maxFields)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("the format has no fields")
	}
	return out, nil
}

func parseField(line string) (f field, err error) {
	decl, rest, _ := strings.Cut(line, ";")
	seen := 0
	for _, attr := range strings.Split(rest, ";") {
		k, v, ok := strings.Cut(strings.TrimSpace(attr), ":")
		if !ok {
			continue
		}
		n, err := strconv.Atoi(strings.TrimSpace(v))
		if err != nil || n < 0 || n > 1<<20 {
			return f, fmt.Errorf("%s is %q", k, v)
		}
		switch k {
		case "offset":
			f.offset = n
			seen++
		case "size":
			f.size = n
			seen++
		case "signed":
			f.signed = n != 0
		}
	}
	if seen != 2 {
		return f, fmt.Errorf("it lacks an offset or a size")
	}
	return f, f.declaration(strings.TrimSpace(decl))
}

// declaration reads "const char * name", "char name[16]", "__data_loc char[] name".
func (f *field) declaration(decl string) error {
	if rest, ok := strings.CutPrefix(decl, "__data_loc "); ok {
		decl, f.dataLoc = rest, true
	} else if rest, ok := strings.CutPrefix(decl, "__rel_loc "); ok {
		decl, f.relLoc = rest, true
	}
	at := strings.LastIndexAny(strings.TrimRight(decl, "]0123456789["), " *")
	if i := strings.IndexByte(decl, '['); i >= 0 && !strings.HasSuffix(decl, "]") {
		at = strings.LastIndexAny(decl, " ]") // __data_loc type[] name
	}
	if at < 0 || at+1 >= len(decl) {
		return fmt.Errorf("%q is no declaration", decl)
	}
	typ, name := strings.TrimSpace(decl[:at+1]), strings.TrimSpace(decl[at+1:])
	name, dims, _ := strings.Cut(name, "[")
	base, more, arr := strings.Cut(typ, "[")
	if arr && !f.dataLoc && !f.relLoc {
		dims = more
	}
	f.isArray = strings.HasSuffix(decl, "]") || arr
	for _, d := range strings.Split(strings.TrimSuffix(dims, "]"), "][") {
		if n, err := strconv.ParseUint(strings.TrimSpace(d), 10, 32); err == nil {
			f.dims = append(f.dims, uint32(n))
		}
	}
	f.ctype, f.name = strings.TrimSpace(base), name
	if f.name == "" || f.ctype == "" {
		return fmt.Errorf("%q is no declaration", decl)
	}
	return nil
}

func (r *Resolver) fieldArg(f field, user bool) env.Arg {
	a := env.Arg{Name: f.name, Loc: env.Loc{Pieces: []env.Piece{{Kind: env.InCtx, Off: int64(f.offset)}}}}
	switch {
	case f.dataLoc, f.relLoc:
		a.Type = &btf.Array{Index: arrayIndex, Type: r.elemType(f, 0, user), Nelems: 0}
		a.Loc.Pieces[0].Kind = env.DataLoc
		if f.relLoc {
			a.Loc = env.Loc{Unsupported: "a field with a relative place (__rel_loc)"}
		}
	case f.isArray:
		n := 1
		for _, d := range f.dims {
			n *= int(max(d, 1))
		}
		if len(f.dims) == 0 {
			n = 0
		}
		size := 0
		if n > 0 {
			size = f.size / n
		}
		elem := r.elemType(f, size, user)
		if s, err := btf.Sizeof(elem); err == nil && s > 0 && size == 0 {
			n = f.size / s
		}
		a.Type = &btf.Array{Index: arrayIndex, Type: elem, Nelems: uint32(n)}
	default:
		a.Type = r.elemType(f, f.size, user)
	}
	return a
}

var arrayIndex = &btf.Int{Name: "__ARRAY_SIZE_TYPE__", Size: 4}
