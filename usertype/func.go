package usertype

// func.go answers for functions: parameters, locations, return values.

import (
	"bytes"
	"debug/elf"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// Func finds a function by its symbol, with locations at its entry (behind an
// endbr64), or behind its prologue where its parameters are stored first.
func (b *Binary) Func(name string) (*Function, error) {
	syms, err := b.Lookup(name)
	if err != nil {
		return nil, err
	}
	if len(syms) == 0 {
		return nil, &NotFound{What: "function", Name: name, In: b.Path, Candidates: b.near(name)}
	}
	if syms[0].IFunc {
		return nil, b.ifunc(syms[0])
	}
	return b.FuncAt(b.Body(syms[0].Addr))
}

func (b *Binary) ifunc(s Symbol) error {
	return &Unsupported{b.Path, fmt.Sprintf("%s is an indirect function (IFUNC): the symbol is a resolver that picks the real function at run time; name the implementation", s.Name)}
}

// FuncAt returns the function that pc lies in, with locations at pc. For the
// function's entry they may hold behind the prologue only: Function.PC says where.
func (b *Binary) FuncAt(pc uint64) (f *Function, err error) {
	defer guard(b.Path, &err)()
	key := fmt.Sprintf("func:%x", pc)
	if d := b.cache.get(key); d != nil {
		if f := decodeFunction(d); f != nil {
			return f, nil
		}
	}
	defer b.dropTypes()
	f, err = b.funcAt(pc)
	b.sound = true
	if err == nil && b.cache != nil {
		if d := encodeFunction(f); d != nil {
			b.cache.put(key, d)
		}
	}
	return f, err
}

// dropTypes, deferred, forgets types that were left half converted by an error on the way.
func (b *Binary) dropTypes() {
	if !b.sound {
		b.types = nil
	}
	b.sound = false
}

func (b *Binary) funcAt(pc uint64) (*Function, error) {
	fn, err := b.subprogram(pc)
	if err != nil {
		return nil, err
	}
	f := &Function{Name: fn.name()}
	fn.eachRange(func(low, high uint64) bool {
		f.Ranges = append(f.Ranges, Range{low, high})
		return len(f.Ranges) < maxDepth
	})
	f.Entry = f.Ranges[0].Low
	if v, ok := fn.attr(atEntryPC); ok && !v.constant() {
		f.Entry = v.address()
	}
	if b.types == nil {
		b.types = newTypes(b, b.dw)
	}
	f.PC = pc
	entry := pc == f.Entry || pc == b.Body(f.Entry)
	early := entry || b.inPrologue(f, fn)
	if b.parameters(f, fn, entry, early) && entry {
		b.behindPrologue(f, fn)
	}
	b.returns(f, fn)
	return f, nil
}

// subprogram finds the entry of the function that pc lies in.
func (b *Binary) subprogram(pc uint64) (die, error) {
	dw, err := b.dwarfData()
	if err != nil {
		return die{}, err
	}
	u := dw.unitFor(pc)
	if u == nil {
		return die{}, b.noDebugAt(pc)
	}
	u.open()
	root, ok := u.root()
	if !ok {
		return die{}, b.noDebugAt(pc)
	}
	fn := findSubprogram(root, pc, 0, false)
	if !fn.ok() {
		fn = findSubprogram(root, pc, 0, true)
	}
	if !fn.ok() {
		if name := u.split(); name != "" {
			return die{}, &Unsupported{b.Path, "split DWARF (" + name + "): compile without -gsplit-dwarf"}
		}
		return die{}, b.noDebugAt(pc)
	}
	return fn, nil
}

func (b *Binary) noDebugAt(pc uint64) error {
	why := fmt.Sprintf("none for the code at %#x", pc)
	if s, ok := b.SymbolAt(pc); ok {
		why = "none for " + s.Name
	}
	return &NoDebugInfo{Path: b.Path, BuildID: b.BuildID, Why: why}
}

// findSubprogram looks for the function that holds pc below d: in scopes, and if all is set, everywhere.
func findSubprogram(d die, pc uint64, depth int, all bool) (found die) {
	if depth > maxDepth {
		return die{}
	}
	d.each(func(k die) bool {
		switch {
		case k.ab.tag == tagSubprogram && (k.has(atLowPC) || k.has(atRanges)) && k.contains(pc):
			found = k
		case k.ab.children && (all || k.ab.tag == tagNamespace || k.ab.tag == tagModule):
			found = findSubprogram(k, pc, depth+1, all)
		}
		return !found.ok()
	})
	return found
}

// parameters fills in f.Params at f.PC; true if one of them is in a frame slot
// that is not written yet.
func (b *Binary) parameters(f *Function, fn die, entry, early bool) (slots bool) {
	f.Params, f.Variadic = nil, false
	fr := &frame{b: b, u: fn.u, fn: fn, pc: f.PC, entry: entry, early: early}
	for _, p := range parameterList(fn) {
		if p.ab.tag == tagUnspecParams {
			f.Variadic = true
			continue
		}
		if p.flag(atVariableParameter) && b.Go {
			continue // a result
		}
		loc := Location{Unsupported: "optimized out"}
		typ := b.types.of(p)
		fr.slot = false
		fr.size, _ = btf.Sizeof(typ)
		if expr, whole, why, ok := where(p, fn, f.PC); ok {
			if why != "" {
				loc.Unsupported = why
			} else if loc = fr.location(expr); whole && fr.slot {
				slots = true
				loc = Location{Unsupported: "kept in the function's frame, which is not filled yet at this address"}
			}
		} else if v, ok := p.attr(atConstValue); ok {
			loc = constLocation(v)
		}
		loc.check(fr.size)
		f.Params = append(f.Params, Param{Name: p.name(), Type: typ, Loc: loc})
		if len(f.Params) > 255 {
			break
		}
	}
	return slots
}

// check turns a location that does not hold all of a value of size bytes into one that says so.
func (l *Location) check(size int) {
	if l.Unsupported != "" || size == 0 {
		return
	}
	held := 0
	for _, p := range l.Pieces {
		switch {
		case p.Size == 0 && p.Kind == AtReg:
			return
		case p.Size == 0:
			held += 8
		case p.Kind != AtReg && p.Size > 8:
			held -= 1 << 20
		default:
			held += p.Size
		}
	}
	if held < size {
		*l = Location{Unsupported: fmt.Sprintf("its location does not hold all %d bytes", size)}
	}
}

func constLocation(v value) Location {
	if v.block != nil && v.form != formData16 || v.form == formData16 || !v.constant() {
		return Location{Unsupported: "a constant that is not a number"}
	}
	return Location{Pieces: []Piece{{Kind: Const, Val: v.uint}}}
}

// where finds a parameter's location expression at pc, in the function's own copy of the parameter only.
func where(p, fn die, pc uint64) (expr []byte, whole bool, why string, ok bool) {
	if p.u != fn.u || p.off < fn.off {
		return nil, false, "", false // of the abstract function: it has no code
	}
	v, ok := p.attr(atLocation)
	if !ok {
		return nil, false, "", false
	}
	expr, whole, why = v.expression(pc)
	return expr, whole, why, true
}

// parameterList gives the parameters in the order of the source. A clone of a function
// (.isra, .constprop, out-of-line copy) may lack some: these come from its origin.
func parameterList(fn die) []die {
	own := formals(fn)
	origin, ok := fn.origin()
	if !ok {
		return own
	}
	abstract := formals(origin)
	if len(abstract) == 0 {
		return own
	}
	copies := map[uint64]die{}
	var extra []die
	for _, p := range own {
		if v, ok := p.attr(atAbstractOrigin); ok {
			copies[v.ref()] = p
		} else if p.ab.tag == tagParam {
			extra = append(extra, p)
		}
	}
	if len(copies) == 0 && len(extra) >= len(params(abstract)) { // a definition that repeats its declaration
		return own
	}
	var out []die
	for _, a := range abstract {
		if p, ok := copies[a.off]; ok {
			a = p
		}
		out = append(out, a)
	}
	return append(out, extra...)
}

func formals(fn die) []die {
	var out []die
	fn.each(func(k die) bool {
		if k.ab.tag == tagParam || k.ab.tag == tagUnspecParams {
			out = append(out, k)
		}
		return len(out) < 1024
	})
	return out
}

func params(ds []die) []die {
	var out []die
	for _, d := range ds {
		if d.ab.tag == tagParam {
			out = append(out, d)
		}
	}
	return out
}

// behindPrologue moves f.PC behind the prologue if the code is not optimized:
// then, and only then, all parameters are in their slots there.
func (b *Binary) behindPrologue(f *Function, fn die) {
	if b.Go || fn.optimized() {
		return
	}
	high := f.Ranges[0].High
	pc, ok := fn.u.prologueEnd(f.Entry, high)
	if !ok || pc >= high || pc-f.Entry > 4096 {
		return
	}
	f.PC = pc
	b.parameters(f, fn, false, false)
}

// inPrologue reports whether f.PC is behind the entry but before the end of the prologue.
func (b *Binary) inPrologue(f *Function, fn die) bool {
	r := f.Ranges[0]
	if f.PC <= r.Low || f.PC >= r.High || f.PC-r.Low > 4096 {
		return false
	}
	end, ok := fn.u.prologueEnd(r.Low, r.High)
	return ok && f.PC < end
}

// optimized reports whether the compiler was free to fill frame slots whenever
// it liked. GCC writes its switches down; others mark the functions.
func (d die) optimized() bool {
	if root, ok := d.u.root(); ok {
		if v, ok := root.attr(atProducer); ok && bytes.HasPrefix(v.bytes(), []byte("GNU ")) {
			level := ""
			for _, f := range strings.Fields(v.str()) {
				if strings.HasPrefix(f, "-O") {
					level = f
				}
			}
			return level != "" && level != "-O0"
		}
	}
	return d.has(atCallAllCalls) || d.has(atGNUAllCalls)
}

// returns fills in f.Ret.
func (b *Binary) returns(f *Function, fn die) {
	f.Ret = Param{Name: "retval", Type: void}
	if b.Go {
		b.goResults(f, fn)
		return
	}
	f.Ret.Type = b.types.of(fn)
	switch {
	case isVoid(f.Ret.Type):
		f.Ret.Loc.Unsupported = "the function returns nothing"
	case b.Machine() != elf.EM_X86_64:
		f.Ret.Loc.Unsupported = "return values on " + b.Machine().String()
	default:
		f.Ret.Loc = b.types.returned(f.Ret.Type)
	}
}

// goResults gives the only result its type. Where Go returns values has no DWARF location at the return.
func (b *Binary) goResults(f *Function, fn die) {
	n := 0
	for _, p := range parameterList(fn) {
		if p.ab.tag == tagParam && p.flag(atVariableParameter) {
			if n++; n == 1 {
				f.Ret.Type = b.types.of(p)
			}
		}
	}
	switch n {
	case 0:
		f.Ret.Loc.Unsupported = "the function returns nothing"
	default:
		f.Ret.Loc.Unsupported = "results of a Go function"
	}
	if n > 1 {
		f.Ret.Type = void
	}
}
