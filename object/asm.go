package object

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
)

// Programs and maps as text. Instructions are those of package isa; around
// them stand directives, one a line, with comments from ';':
//
//	.license GPL
//	.version 4
//	.section kprobe/do_sys_open       the section of the functions that follow
//	.func name [static|global|weak]   global unless in .text or said otherwise
//	.proto int mem8*:nonnull          its prototype, .tag a decl tag: asm_proto.go
//	.attach type=kprobe expected=0 target="x" sleepable    where the section's name does not say it
//	.map counts type=hash key=4 value=8 entries=16 flags=0 pinning=0 extra=0
//	.inner type=array key=4 value=8 entries=1              the inner map of the map before
//	.entry 0 other                    initial element of the map before: a map or program
//	.field lock bpf_spin_lock 8       special field in the value of the map before (asm_field.go)
//	.data .rodata size=8 frozen flags=0x80                 global data, zero unless
//	.bytes 01 02 ff                   …bytes, appended
//	.string "text"                    …a string with its NUL, appended
//	.extern name kfunc|ksym|kconfig [weak] [offset=8]
//
// "call NAME" calls a label in the function, a function of the object, or a
// helper, in this order. Other types, line information and CO-RE relocations have no text.

// maxData bounds the global data that one text can ask for.
const maxData = 1 << 26

// ParseAsm reads text. Errors are *isa.SyntaxError below the name.
func ParseAsm(name, text string) (*Object, error) {
	p := &asmParser{o: &Object{Name: name, ByteOrder: binary.LittleEndian}}
	for n, line := range strings.Split(text, "\n") {
		p.line = n + 1
		if err := p.take(line); err != nil {
			return nil, p.fail(err)
		}
	}
	if err := p.endFunc(); err != nil {
		return nil, p.fail(err)
	}
	if err := p.resolve(); err != nil {
		return nil, p.fail(err)
	}
	return p.o, nil
}

type asmParser struct {
	o       *Object
	line    int
	section string
	fn      *Func
	body    *isa.Assembler
	last    *Map
	data    int // bytes of last's data that were given
	total   int // bytes of data of all maps
	refs    []asmRef
}

// asmRef is a symbol to be resolved when all functions are known.
type asmRef struct {
	fn   *Func
	ref  isa.Ref
	line int
}

func (p *asmParser) fail(err error) error {
	if _, ok := err.(*isa.SyntaxError); !ok {
		err = &isa.SyntaxError{Line: p.line, Msg: err.Error()}
	}
	return fmt.Errorf("%s: %w", p.o.Name, err)
}

func (p *asmParser) take(line string) error {
	word := strings.TrimLeft(line, " \t")
	if !strings.HasPrefix(word, ".") || strings.HasPrefix(word, ".insn") {
		return p.code(line)
	}
	f, err := words(word)
	if err != nil {
		return err
	}
	if strings.HasSuffix(f[0], ":") {
		return p.code(line)
	}
	d, ok := directives[f[0]]
	if !ok {
		return fmt.Errorf("unknown directive %s", f[0])
	}
	return d(p, f[1:])
}

// directives are the words that begin with a dot.
var directives = map[string]func(*asmParser, []string) error{
	".license": (*asmParser).license,
	".version": (*asmParser).version,
	".section": (*asmParser).setSection,
	".func":    (*asmParser).startFunc,
	".attach":  (*asmParser).attach,
	".proto":   (*asmParser).proto,
	".tag":     (*asmParser).tag,
	".map":     (*asmParser).addMap,
	".inner":   (*asmParser).inner,
	".entry":   (*asmParser).entry,
	".field":   (*asmParser).field,
	".data":    (*asmParser).addData,
	".bytes":   (*asmParser).bytes,
	".string":  (*asmParser).str,
	".extern":  (*asmParser).extern,
}

// code takes a line with an instruction, a label or nothing.
func (p *asmParser) code(line string) error {
	if p.body == nil {
		if t := strings.TrimSpace(line); t == "" || t[0] == ';' {
			return nil
		}
		if err := p.startFunc([]string{"prog"}); err != nil {
			return fmt.Errorf("an instruction outside of a function: expected .func NAME before it")
		}
	}
	return p.body.Line(p.line, line)
}

// words splits a directive at blanks; values may be quoted Go strings.
func words(s string) ([]string, error) {
	var out []string
	for {
		s = strings.TrimLeft(s, " \t\r")
		if s == "" || s[0] == ';' {
			return out, nil
		}
		var w strings.Builder
		for s != "" && !strings.ContainsRune(" \t\r;", rune(s[0])) {
			if s[0] != '"' {
				w.WriteByte(s[0])
				s = s[1:]
				continue
			}
			q, err := strconv.QuotedPrefix(s)
			if err != nil {
				return nil, fmt.Errorf("a quoted string does not end")
			}
			v, err := strconv.Unquote(q)
			if err != nil {
				return nil, fmt.Errorf("%s is not a quoted string", q)
			}
			w.WriteString(v)
			s = s[len(q):]
		}
		out = append(out, w.String())
	}
}

func one(f []string, what string) (string, error) {
	if len(f) != 1 || f[0] == "" {
		return "", fmt.Errorf("expected one %s, found %d words", what, len(f))
	}
	return f[0], nil
}

func (p *asmParser) license(f []string) (err error) {
	p.o.License, err = one(f, "license")
	return err
}

func (p *asmParser) version(f []string) error {
	s, err := one(f, "number")
	if err != nil {
		return err
	}
	v, err := number(s, 32)
	p.o.Version = uint32(v)
	return err
}

func (p *asmParser) setSection(f []string) (err error) {
	if err := p.endFunc(); err != nil {
		return err
	}
	p.section, err = one(f, "section name")
	return err
}

func (p *asmParser) startFunc(f []string) error {
	if err := p.endFunc(); err != nil {
		return err
	}
	if len(f) == 0 || len(f) > 2 || f[0] == "" {
		return fmt.Errorf("expected .func NAME [static|global|weak]")
	}
	if p.section == "" {
		return fmt.Errorf("expected .section before .func: it says what kind of program this is (.text for subprograms)")
	}
	if p.o.function(f[0]) != nil {
		return fmt.Errorf("function %q is already defined", f[0])
	}
	p.fn = &Func{Name: f[0], Section: p.section, Global: p.section != textSection}
	if len(f) == 2 {
		switch f[1] {
		case "static":
			p.fn.Global = false
		case "global":
			p.fn.Global = true
		case "weak":
			p.fn.Global, p.fn.Weak = true, true
		default:
			return fmt.Errorf("expected static, global or weak, found %q", f[1])
		}
	}
	p.body = &isa.Assembler{}
	if p.section == textSection || !p.fn.Global {
		p.o.Subprogs = append(p.o.Subprogs, p.fn)
		return nil
	}
	p.fn.Global = false
	p.fn.Attach, _ = abi.ParseSection(p.section)
	p.o.Programs = append(p.o.Programs, p.fn)
	return nil
}

func (p *asmParser) attach(f []string) error {
	if p.fn == nil {
		return fmt.Errorf(".attach belongs behind .func")
	}
	a := abi.Attach{}
	for _, w := range f {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "type":
			t, ok := abi.ProgTypeByName(v)
			if !ok {
				n, err := number(v, 32)
				if err != nil {
					return fmt.Errorf("unknown program type %q", v)
				}
				t = abi.ProgType(n)
			}
			a.Type = t
		case "expected":
			n, err := number(v, 32)
			if err != nil {
				return err
			}
			a.Expected = abi.AttachType(n)
		case "target":
			a.Target = v
		case "sleepable":
			a.Sleepable = true
		default:
			return fmt.Errorf("expected type=, expected=, target= or sleepable, found %q", w)
		}
	}
	p.fn.Attach = a
	return nil
}

// endFunc closes the function that is being read.
func (p *asmParser) endFunc() error {
	if p.body == nil {
		return nil
	}
	t, err := p.body.Finish()
	if err != nil {
		return err
	}
	if len(t.Insns) == 0 {
		return fmt.Errorf("function %q has no instructions", p.fn.Name)
	}
	p.fn.Insns, p.fn.Labels = t.Insns, t.Labels
	for _, r := range t.Refs {
		p.refs = append(p.refs, asmRef{p.fn, r, t.Lines[r.Slot]})
	}
	p.fn, p.body = nil, nil
	return nil
}

// resolve turns symbols into helper numbers and relocations.
func (p *asmParser) resolve() error {
	for _, r := range p.refs {
		p.line = r.line
		if err := p.resolveRef(r.fn, r.ref); err != nil {
			return err
		}
	}
	for _, m := range p.o.Maps {
		for _, e := range m.Entries {
			if p.o.mapByName(e.Symbol) == nil && p.o.function(e.Symbol) == nil {
				return fmt.Errorf("map %s: element %d: no map or program %q", m.Name, e.Key, e.Symbol)
			}
		}
	}
	return nil
}

func (p *asmParser) resolveRef(fn *Func, r isa.Ref) error {
	rel := Reloc{Insn: r.Slot, Symbol: r.Name, Addend: r.Addend}
	switch r.Kind {
	case isa.RefCall:
		if p.o.function(r.Name) == nil {
			h := abi.HelperByName(r.Name)
			if h == nil {
				return fmt.Errorf("no function or helper %q", r.Name)
			}
			fn.Insns[r.Slot] = isa.Insn{Op: isa.ClassJMP | isa.Call, Imm: h.ID}
			return nil
		}
		rel.Kind = RelocCall
	case isa.RefFunc:
		if p.o.function(r.Name) == nil {
			return fmt.Errorf("no function %q", r.Name)
		}
		rel.Kind = RelocFuncAddr
	case isa.RefMap, isa.RefMapValue:
		rel.Kind = RelocMap
		if r.Kind == isa.RefMapValue {
			rel.Kind = RelocMapValue
		}
		if p.o.mapByName(r.Name) == nil {
			return fmt.Errorf("no map %q: expected a .map or .data of this name", r.Name)
		}
	case isa.RefKfunc:
		rel.Kind = RelocKfunc
		p.o.addExtern(Extern{Name: r.Name, Kind: ExternKfunc})
	case isa.RefKsym:
		rel.Kind = RelocKsym
		p.o.addExtern(Extern{Name: r.Name, Kind: ExternKsym})
	}
	fn.Relocs = append(fn.Relocs, rel)
	return nil
}

// function finds an entry program or subprogram.
func (o *Object) function(name string) *Func {
	for _, f := range o.Programs {
		if f.Name == name {
			return f
		}
	}
	for _, f := range o.Subprogs {
		if f.Name == name {
			return f
		}
	}
	return nil
}

func (o *Object) mapByName(name string) *Map {
	for _, m := range o.Maps {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// addExtern declares e unless its name is declared already.
func (o *Object) addExtern(e Extern) {
	for _, x := range o.Externs {
		if x.Name == e.Name {
			return
		}
	}
	o.Externs = append(o.Externs, e)
}

func number(s string, bits int) (uint64, error) {
	v, err := strconv.ParseUint(s, 0, bits)
	if err != nil {
		return 0, fmt.Errorf("expected a number of at most %d bits, found %q", bits, s)
	}
	return v, nil
}

func (p *asmParser) newMap(name string) (*Map, error) {
	if err := p.endFunc(); err != nil {
		return nil, err
	}
	if name == "" || p.o.mapByName(name) != nil {
		return nil, fmt.Errorf("map %q is already defined or has no name", name)
	}
	p.last, p.data = &Map{Name: name}, 0
	p.o.Maps = append(p.o.Maps, p.last)
	return p.last, nil
}

func (p *asmParser) addMap(f []string) error {
	if len(f) == 0 {
		return fmt.Errorf("expected .map NAME type=… key=… value=… entries=…")
	}
	m, err := p.newMap(f[0])
	if err != nil {
		return err
	}
	return m.attributes(f[1:])
}

func (p *asmParser) inner(f []string) error {
	if p.last == nil || p.last.Section != "" {
		return fmt.Errorf(".inner belongs behind .map")
	}
	p.last.Inner = &Map{Name: p.last.Name + ".inner"}
	return p.last.Inner.attributes(f)
}

// attributes reads type= and numbers.
func (m *Map) attributes(f []string) error {
	for _, w := range f {
		k, v, _ := strings.Cut(w, "=")
		fields := map[string]*uint32{
			"key": &m.KeySize, "value": &m.ValueSize, "entries": &m.MaxEntries, "flags": &m.Flags, "pinning": &m.Pinning,
		}
		var err error
		switch dst := fields[k]; {
		case dst != nil:
			var n uint64
			n, err = number(v, 32)
			*dst = uint32(n)
		case k == "extra":
			m.Extra, err = number(v, 64)
		case k == "type":
			t, ok := abi.MapTypeByName(v)
			if !ok {
				var n uint64
				if n, err = number(v, 32); err != nil {
					return fmt.Errorf("unknown map type %q", v)
				}
				t = abi.MapType(n)
			}
			m.Type = t
		default:
			return fmt.Errorf("expected type=, key=, value=, entries=, flags=, pinning= or extra=, found %q", w)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", k, err)
		}
	}
	if m.Type == 0 {
		return fmt.Errorf("map %s has no type=", m.Name)
	}
	return nil
}

func (p *asmParser) entry(f []string) error {
	if p.last == nil || len(f) != 2 {
		return fmt.Errorf("expected .entry KEY NAME behind .map")
	}
	k, err := number(f[0], 32)
	p.last.Entries = append(p.last.Entries, MapEntry{Key: uint32(k), Symbol: f[1]})
	return err
}

func (p *asmParser) addData(f []string) error {
	if len(f) == 0 {
		return fmt.Errorf("expected .data NAME [size=…] [frozen] [flags=…]")
	}
	m, err := p.newMap(f[0])
	if err != nil {
		return err
	}
	m.Type, m.KeySize, m.MaxEntries, m.Section = abi.MapArray, 4, 1, f[0]
	for _, w := range f[1:] {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "size":
			n, err := number(v, 32)
			if err != nil {
				return err
			}
			if err := p.grow(int(n)); err != nil {
				return err
			}
		case "flags":
			n, err := number(v, 32)
			if err != nil {
				return err
			}
			m.Flags = uint32(n)
		case "frozen":
			m.Frozen = true
		default:
			return fmt.Errorf("expected size=, flags= or frozen, found %q", w)
		}
	}
	return nil
}

// grow makes the data of the last map at least n bytes long.
func (p *asmParser) grow(n int) error {
	more := n - len(p.last.Data)
	if more <= 0 {
		return nil
	}
	if p.total += more; p.total > maxData {
		return fmt.Errorf("more than %d bytes of data", maxData)
	}
	p.last.Data = append(p.last.Data, make([]byte, more)...)
	p.last.ValueSize = uint32(n)
	return nil
}

func (p *asmParser) put(b []byte) error {
	if p.last == nil || p.last.Section == "" {
		return fmt.Errorf("data belongs behind .data")
	}
	if err := p.grow(p.data + len(b)); err != nil {
		return err
	}
	copy(p.last.Data[p.data:], b)
	p.data += len(b)
	return nil
}

func (p *asmParser) bytes(f []string) error {
	b, err := hex.DecodeString(strings.Join(f, ""))
	if err != nil {
		return fmt.Errorf("expected bytes in hexadecimal such as 01 ff: %v", err)
	}
	return p.put(b)
}

func (p *asmParser) str(f []string) error {
	if len(f) != 1 {
		return fmt.Errorf("expected one quoted string")
	}
	return p.put(append([]byte(f[0]), 0))
}

var externWords = map[string]ExternKind{"kfunc": ExternKfunc, "ksym": ExternKsym, "kconfig": ExternKconfig}

func (p *asmParser) extern(f []string) error {
	if len(f) < 2 || externWords[f[1]] == 0 {
		return fmt.Errorf("expected .extern NAME kfunc|ksym|kconfig [weak] [offset=N]")
	}
	e := Extern{Name: f[0], Kind: externWords[f[1]]}
	for _, w := range f[2:] {
		if v, ok := strings.CutPrefix(w, "offset="); ok {
			n, err := number(v, 32)
			if err != nil {
				return err
			}
			e.Offset = uint32(n)
		} else if w == "weak" {
			e.Weak = true
		} else {
			return fmt.Errorf("expected weak or offset=, found %q", w)
		}
	}
	p.o.addExtern(e)
	return nil
}
