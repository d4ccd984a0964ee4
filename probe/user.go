package probe

// user.go resolves uprobes and uretprobes: symbols and addresses of binaries.

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/gtrace-dev/gtrace/place"
	"github.com/gtrace-dev/gtrace/script/env"
	"github.com/gtrace-dev/gtrace/usertype"
)

// open opens a binary once.
func (r *Resolver) open(path string) (*usertype.Binary, error) {
	if b := r.binaries[path]; b != nil {
		return b, nil
	}
	root := r.targetRoot()
	if root != "" && !strings.HasPrefix(path, root+"/") {
		root = ""
	}
	b, err := usertype.Open(path, usertype.Options{Root: root, CacheDir: r.o.CacheDir, NoCache: r.o.NoCache})
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &env.NotFound{What: "file", Name: path}
		}
		return nil, err
	}
	r.binaries[path] = b
	return b, nil
}

func (r *Resolver) matchUser(p env.Pattern) ([]place.Place, error) {
	path, err := r.findBinary(p.Fields[0])
	if err != nil {
		return nil, err
	}
	b, err := r.open(path)
	if err != nil {
		return nil, err
	}
	if p.Kind == place.Uretprobe && p.Offset != 0 {
		return nil, env.BadPlace("a return probe has no offset: it fires when the function returns")
	}
	if p.Kind == place.Uretprobe && b.Go {
		// The kernel would replace return addresses, and the program crash when
		// its runtime moves the stack that they are on.
		return nil, errors.New("unsupported: return probes in Go programs: goroutines change threads and stacks while a call is open")
	}
	name := p.Fields[1]
	if strings.HasPrefix(name, "0x") {
		return r.matchAddress(b, p)
	}
	var syms []usertype.Symbol
	if wild(name) {
		syms, err = wildSymbols(b, name)
	} else {
		syms, err = b.Lookup(name)
	}
	if err != nil {
		return nil, err
	}
	if len(syms) == 0 {
		return nil, r.noFunction(b, name)
	}
	return places(b, p, syms)
}

// places turns symbols into places.
func places(b *usertype.Binary, p env.Pattern, syms []usertype.Symbol) ([]place.Place, error) {
	var out []place.Place
	for _, s := range syms {
		if s.IFunc {
			return nil, indirect(b, s)
		}
		addr := b.Body(s.Addr)
		if p.Offset != 0 {
			if s.Size != 0 && p.Offset >= s.Size {
				if wild(p.Fields[1]) {
					continue
				}
				return nil, env.BadPlace(fmt.Sprintf("%s+%#x is outside of the function, which has %d bytes", s.Name, p.Offset, s.Size))
			}
			at := s.Addr + p.Offset
			if at < s.Addr {
				return nil, fmt.Errorf("%s+%#x is not an address", s.Name, p.Offset)
			}
			if !b.Instruction(s.Addr, at) {
				return nil, middle(s, at)
			}
			addr = at
		}
		off, err := b.Offset(addr)
		if err != nil {
			return nil, fmt.Errorf("%s is at %#x, which is no address of %s", s.Name, addr, b.Path)
		}
		out = append(out, place.Place{Kind: p.Kind, Path: b.Path, Symbol: s.Name, Addr: addr, Offset: off, Size: s.Size})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no function of %s that matches %s has %d bytes", b.Path, p.Fields[1], p.Offset+1)
	}
	return out, nil
}

// middle is the error for an address in the middle of an instruction of s.
func middle(s usertype.Symbol, addr uint64) error {
	return env.BadPlace(fmt.Sprintf("%s+%#x is in the middle of an instruction", s.Name, addr-s.Addr))
}

func (r *Resolver) matchAddress(b *usertype.Binary, p env.Pattern) ([]place.Place, error) {
	addr, err := strconv.ParseUint(p.Fields[1][2:], 16, 64)
	if err != nil {
		return nil, fmt.Errorf("%s is not an address", p.Fields[1])
	}
	if addr += p.Offset; !b.Executable(addr) {
		return nil, &env.NotFound{What: "code", Name: fmt.Sprintf("%#x", addr), In: b.Path}
	}
	addr = b.Body(addr)
	off, err := b.Offset(addr)
	if err != nil {
		return nil, err
	}
	pl := place.Place{Kind: p.Kind, Path: b.Path, Addr: addr, Offset: off}
	if s, ok := b.SymbolAt(addr); ok {
		if !b.Instruction(s.Addr, addr) {
			return nil, middle(s, addr)
		}
		pl.Size = s.Size
		if b.Body(s.Addr) == addr {
			pl.Symbol = s.Name
		}
	}
	return []place.Place{pl}, nil
}

// wildSymbols gives the functions that a pattern matches, one for each address.
// Indirect functions have no address of their own and are left out.
func wildSymbols(b *usertype.Binary, pattern string) ([]usertype.Symbol, error) {
	all, err := b.Symbols()
	if err != nil {
		return nil, err
	}
	var out []usertype.Symbol
	for _, s := range all {
		if s.IFunc || s.Hidden || !glob(pattern, s.Name) || !b.Executable(s.Addr) {
			continue
		}
		if n := len(out); n > 0 && out[n-1].Addr == s.Addr {
			if better(s, out[n-1]) {
				out[n-1] = s
			}
			continue
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(x, y usertype.Symbol) int { return strings.Compare(x.Name, y.Name) })
	return out, nil
}

// better reports whether a is the more usual name of the address that both have.
func better(a, b usertype.Symbol) bool {
	hidden := func(s usertype.Symbol) int { return len(s.Name) - len(strings.TrimLeft(s.Name, "_")) }
	if a.Global != b.Global {
		return a.Global
	}
	return cmp.Or(cmp.Compare(hidden(a), hidden(b)), cmp.Compare(len(a.Name), len(b.Name))) < 0
}

// indirect says which implementations an IFUNC may pick.
func indirect(b *usertype.Binary, s usertype.Symbol) error {
	all, err := b.Symbols()
	if err != nil {
		return err
	}
	var names []string
	for _, o := range all {
		if !o.IFunc && strings.HasPrefix(o.Name, "__"+s.Name+"_") && !strings.Contains(o.Name, "chk") && !slices.Contains(names, o.Name) {
			names = append(names, o.Name)
		}
	}
	e := &usertype.Unsupported{Path: b.Path, What: s.Name + " is an indirect function (IFUNC): its code is picked at run time"}
	if len(names) > 0 {
		e.What += "; probe " + strings.Join(names[:min(len(names), 6)], ", ") + ", or __" + s.Name + "_*"
	}
	return e
}

func (r *Resolver) noFunction(b *usertype.Binary, name string) error {
	all, err := b.Symbols()
	if err != nil {
		return err
	}
	e := &env.NotFound{What: "function", Name: name, In: b.Path}
	if len(all) == 0 {
		e.In += " (it is stripped: no symbols; " + r.hint(b) + ")"
		return e
	}
	e.Candidates = usertype.Near(name, func(yield func(string) bool) {
		for _, s := range all {
			if !yield(s.Name) {
				return
			}
		}
	}, 3)
	return e
}

func (r *Resolver) function(p place.Place) (*usertype.Function, error) {
	b, err := r.open(p.Path)
	if err != nil {
		return nil, err
	}
	f, err := b.FuncAt(p.Addr)
	return f, r.explain(b, err)
}

func (r *Resolver) userArgs(p place.Place) ([]env.Arg, place.Place, error) {
	f, err := r.function(p)
	if err != nil {
		return nil, p, err
	}
	if p.Kind == place.Uprobe && f.PC != p.Addr {
		b, _ := r.open(p.Path)
		off, err := b.Offset(f.PC)
		if err != nil {
			return nil, p, err
		}
		p.Addr, p.Offset = f.PC, off
	}
	var args []env.Arg
	for _, a := range f.Params {
		arg := argument(a)
		if p.Kind == place.Uretprobe {
			arg.Loc = env.Loc{Unsupported: "an argument is not kept until the function returns; save it in a uprobe of the function"}
		}
		args = append(args, arg)
	}
	return args, p, nil
}

func argument(a usertype.Param) env.Arg {
	out := env.Arg{Name: a.Name, Type: a.Type, Loc: env.Loc{Unsupported: a.Loc.Unsupported}}
	for _, x := range a.Loc.Pieces {
		out.Loc.Pieces = append(out.Loc.Pieces, env.Piece{Kind: pieceKinds[x.Kind], Size: x.Size, Reg: x.Reg, Off: x.Off, Val: x.Val})
	}
	return out
}

var pieceKinds = map[usertype.PieceKind]env.PieceKind{usertype.InReg: env.InReg, usertype.AtReg: env.AtReg, usertype.Const: env.Const}

// explain turns errors of usertype into those of env.
func (r *Resolver) explain(b *usertype.Binary, err error) error {
	var nf *usertype.NotFound
	var nd *usertype.NoDebugInfo
	switch {
	case errors.As(err, &nf):
		return &env.NotFound{What: nf.What, Name: nf.Name, In: nf.In, Candidates: nf.Candidates}
	case errors.As(err, &nd):
		h := r.hint(b)
		if nd.Why != "" {
			h = nd.Why + "; " + h
		}
		return &env.NoDebugInfo{Path: nd.Path, BuildID: nd.BuildID, Hint: h}
	}
	return err
}

// wild reports whether a name holds wildcards.
func wild(s string) bool { return strings.ContainsAny(s, "*?") }

// glob matches a name against a pattern with * and ?.
func glob(pattern, name string) bool {
	p, n, star, from := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			from++
			p, n = star+1, from
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
