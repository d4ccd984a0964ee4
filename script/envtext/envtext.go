// Package envtext makes an env.Env from text, for golden cases: the types in
// the words of C, and the probes with the places of their arguments.
//
//	struct req { int len; const char *path; unsigned a : 3; struct { int x, y; }; };
//	enum color { RED, GREEN = 5 };
//	typedef unsigned int u32x;
//	uprobe /bin/app:handle { struct req *req = reg 5; double d = unsupported "in xmm0"; }
//	uprobe /bin/app:slow moved 16 { int n = mem 6 -20; }
//	uretprobe /bin/app:handle { struct req *retval = reg 0; }
//	rawtracepoint netif_receive_skb { struct sk_buff *skb = ctx 0; }
//	tracepoint syscalls:sys_enter_openat { const char *filename = ctx 24; char name[] = dataloc 8; }
//	nodebug /bin/stripped:main;
//
// Places are: reg DWARF-REGISTER, mem DWARF-REGISTER OFFSET, const VALUE, ctx
// OFFSET, dataloc OFFSET, several joined by + with `size N` behind each, or
// unsupported "WHY". A pointer target marked __user is in user memory.
package envtext

import (
	"fmt"
	"path"
	"sort"
	"strings"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/place"
	"github.com/gtrace-dev/gtrace/script/diag"
	"github.com/gtrace-dev/gtrace/script/env"
)

// Env is what the text declares.
type Env struct {
	types  map[string]btf.Type // by "struct foo", "foo"
	probes []*probe
}

type probe struct {
	place   place.Place
	moved   uint64
	args    []env.Arg
	noDebug bool
}

// Parse reads text.
func Parse(text string) (*Env, error) {
	p := &parser{toks: tokens(text), env: &Env{types: map[string]btf.Type{}}}
	for p.err == nil && p.peek() != "" {
		p.decl()
	}
	return p.env, p.err
}

// Match implements env.Env.
func (e *Env) Match(p env.Pattern) ([]place.Place, error) {
	want := strings.Join(p.Fields, ":")
	var out []place.Place
	var names []string
	for _, pr := range e.probes {
		if pr.place.Kind != p.Kind {
			continue
		}
		name := strings.TrimPrefix(pr.place.String(), p.Kind.String()+":")
		names = append(names, name)
		if ok, _ := path.Match(strings.ReplaceAll(want, "/", "\x00"), strings.ReplaceAll(name, "/", "\x00")); ok {
			pl := pr.place
			pl.Addr += p.Offset
			pl.Offset += p.Offset
			out = append(out, pl)
		}
	}
	if len(out) == 0 {
		nf := &env.NotFound{What: "function", Name: want}
		if !p.Kind.User() {
			nf.What = "tracepoint"
		}
		if n := diag.Nearest(want, names); n != "" {
			nf.Candidates = []string{n}
		}
		return nil, nf
	}
	return out, nil
}

func (e *Env) find(p place.Place) *probe {
	for _, pr := range e.probes {
		if pr.place.Kind == p.Kind && pr.place.String() == p.String() {
			return pr
		}
	}
	return nil
}

// Args implements env.Env.
func (e *Env) Args(p place.Place) ([]env.Arg, place.Place, error) {
	pr := e.find(p)
	if pr == nil {
		return nil, p, &env.NotFound{What: "probe", Name: p.String()}
	}
	if pr.noDebug {
		return nil, p, &env.NoDebugInfo{Path: p.Path, BuildID: "00ff"}
	}
	p.Addr += pr.moved
	p.Offset += pr.moved
	return pr.args, p, nil
}

// Ret implements env.Env.
func (e *Env) Ret(p place.Place) (env.Arg, error) {
	pr := e.find(p)
	if pr == nil || pr.noDebug || len(pr.args) == 0 {
		return env.Arg{}, &env.NoDebugInfo{Path: p.Path}
	}
	return pr.args[0], nil
}

// Type implements env.Env.
func (e *Env) Type(_ place.Place, keyword, name string) (btf.Type, error) {
	key := strings.TrimSpace(keyword + " " + name)
	if t := e.types[key]; t != nil {
		return t, nil
	}
	var names []string
	for n := range e.types {
		names = append(names, n)
	}
	sort.Strings(names)
	nf := &env.NotFound{What: "type", Name: key}
	if n := diag.Nearest(key, names); n != "" {
		nf.Candidates = []string{n}
	}
	return nil, nf
}

// Space implements env.Env.
func (e *Env) Space(p place.Place) string {
	if p.Kind.User() {
		return "build-id of " + p.Path
	}
	return "kernel"
}

// KernelBTF implements env.Env.
func (e *Env) KernelBTF() *btf.Spec { return nil }

// tokens splits text into words, numbers, strings and signs.
func tokens(text string) []string {
	var out []string
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n':
			i++
		case strings.HasPrefix(text[i:], "//"):
			for i < len(text) && text[i] != '\n' {
				i++
			}
		case c == '"':
			j := i + 1
			for j < len(text) && text[j] != '"' {
				j++
			}
			out = append(out, text[i:min(j+1, len(text))])
			i = j + 1
		case strings.IndexByte("{}[]();,*=:+", c) >= 0:
			out = append(out, text[i:i+1])
			i++
		default:
			j := i
			for j < len(text) && strings.IndexByte(" \t\n{}[]();,*=:+\"", text[j]) < 0 {
				j++
			}
			out = append(out, text[i:j])
			i = j
		}
	}
	return out
}

type parser struct {
	toks []string
	pos  int
	env  *Env
	err  error
}

func (p *parser) peek() string {
	if p.pos < len(p.toks) && p.err == nil {
		return p.toks[p.pos]
	}
	return ""
}

func (p *parser) next() string { t := p.peek(); p.pos++; return t }

func (p *parser) accept(t string) bool {
	if p.peek() == t {
		p.pos++
		return true
	}
	return false
}

func (p *parser) expect(t string) {
	if got := p.next(); got != t && p.err == nil {
		p.err = fmt.Errorf("expected %q, found %q (token %d)", t, got, p.pos)
	}
}

func (p *parser) number() int64 {
	var n int64
	t := p.next()
	if _, err := fmt.Sscan(t, &n); err != nil && p.err == nil {
		p.err = fmt.Errorf("expected a number, found %q", t)
	}
	return n
}

func (p *parser) decl() {
	switch t := p.peek(); t {
	case "uprobe", "uretprobe", "rawtracepoint", "tracepoint", "nodebug":
		p.probe(p.next())
	case "typedef":
		p.next()
		base := p.base()
		name, t := p.declarator(base)
		p.env.types[name] = &btf.Typedef{Name: name, Type: t}
		p.expect(";")
	default:
		p.base()
		p.expect(";")
	}
}

func (p *parser) probe(kind string) {
	pr := &probe{noDebug: kind == "nodebug"}
	var name string
	for p.peek() != "{" && p.peek() != ";" && p.peek() != "moved" && p.peek() != "" {
		name += p.next()
	}
	switch kind {
	case "rawtracepoint":
		pr.place = place.Place{Kind: place.RawTracepoint, Event: name}
	case "tracepoint":
		cat, ev, _ := strings.Cut(name, ":")
		pr.place = place.Place{Kind: place.Tracepoint, Category: cat, Event: ev}
	default:
		file, sym, _ := strings.Cut(name, ":")
		addr := uint64(0x1000 * (len(p.env.probes) + 1))
		pr.place = place.Place{Kind: place.Uprobe, Path: file, Symbol: sym, Addr: addr, Offset: addr, Size: 256}
		if kind == "uretprobe" {
			pr.place.Kind = place.Uretprobe
		}
	}
	if p.accept("moved") {
		pr.moved = uint64(p.number())
	}
	p.env.probes = append(p.env.probes, pr)
	if p.accept(";") {
		return
	}
	p.expect("{")
	for p.err == nil && !p.accept("}") {
		a := env.Arg{}
		a.Name, a.Type = p.declarator(p.base())
		p.expect("=")
		a.Loc = p.loc()
		pr.args = append(pr.args, a)
		p.expect(";")
	}
}

func (p *parser) loc() env.Loc {
	var l env.Loc
	if p.accept("unsupported") {
		l.Unsupported = strings.Trim(p.next(), `"`)
		return l
	}
	for p.err == nil {
		var pc env.Piece
		switch k := p.next(); k {
		case "reg":
			pc = env.Piece{Kind: env.InReg, Reg: int(p.number())}
		case "mem":
			pc = env.Piece{Kind: env.AtReg, Reg: int(p.number()), Off: p.number()}
		case "const":
			pc = env.Piece{Kind: env.Const, Val: uint64(p.number())}
		case "ctx":
			pc = env.Piece{Kind: env.InCtx, Off: p.number()}
		case "dataloc":
			pc = env.Piece{Kind: env.DataLoc, Off: p.number()}
		default:
			p.err = fmt.Errorf("unknown place %q", k)
		}
		if p.accept("size") {
			pc.Size = int(p.number())
		}
		l.Pieces = append(l.Pieces, pc)
		if !p.accept("+") {
			break
		}
	}
	return l
}
