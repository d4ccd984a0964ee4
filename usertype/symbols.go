package usertype

// symbols.go reads .symtab and .dynsym of the binary and of its debug file into one list of functions.

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"slices"
	"strings"
)

const (
	symSize    = 24
	maxSymbols = 8 << 20
	sttGNUFunc = 10 // STT_GNU_IFUNC
)

// Symbols returns the functions of the symbol tables, by address. The slice is shared: don't change it.
func (b *Binary) Symbols() (_ []Symbol, err error) {
	defer guard(b.Path, &err)()
	b.readSymbols()
	return b.syms, nil
}

// Lookup returns the functions of a name, which may have a version: name@VERSION.
// Default versions come first; names that hide behind another version only if asked for.
func (b *Binary) Lookup(name string) (_ []Symbol, err error) {
	defer guard(b.Path, &err)()
	return b.lookup(name), nil
}

func (b *Binary) lookup(name string) []Symbol {
	base, version, versioned := cutVersion(name)
	var named []Symbol
	if b.symsRead {
		for _, i := range b.byName[base] {
			named = append(named, b.syms[i])
		}
	} else { // one name is found faster by comparing than by building the list
		named = b.tables(base)
		slices.SortStableFunc(named, bySymbol)
	}
	var out []Symbol
	pick := func(hidden bool) {
		for _, s := range named {
			if versioned && s.Version != version || s.Hidden != hidden {
				continue
			}
			if !slices.ContainsFunc(out, func(o Symbol) bool { return o.Addr == s.Addr }) {
				out = append(out, s)
			}
		}
	}
	pick(false)
	if versioned || len(out) == 0 {
		pick(true)
	}
	return out
}

// SymbolAt returns the function that addr lies in.
func (b *Binary) SymbolAt(addr uint64) (s Symbol, ok bool) {
	var err error
	defer guard(b.Path, &err)()
	b.readSymbols()
	i, _ := slices.BinarySearchFunc(b.syms, addr, func(s Symbol, a uint64) int {
		if s.Addr <= a {
			return -1
		}
		return 1
	})
	for j := i - 1; j >= 0 && j > i-64; j-- {
		c := b.syms[j]
		if addr < c.Addr+c.Size || addr == c.Addr {
			if !ok || c.Addr == s.Addr && c.Global && !s.Global {
				s, ok = c, true
			}
		}
		if ok && c.Addr != s.Addr {
			break
		}
	}
	return s, ok
}

func cutVersion(name string) (base, version string, ok bool) {
	i := strings.IndexByte(name, '@')
	if i <= 0 {
		return name, "", false
	}
	return name[:i], strings.TrimPrefix(name[i+1:], "@"), true
}

// readSymbols gathers all functions.
func (b *Binary) readSymbols() {
	if b.symsRead {
		return
	}
	b.symsRead = true
	b.syms = b.tables("")
	slices.SortStableFunc(b.syms, bySymbol)
	b.syms = slices.CompactFunc(b.syms, func(x, y Symbol) bool {
		return x.Addr == y.Addr && x.Name == y.Name && (x.Version == y.Version || y.Version == "")
	})
	b.byName = make(map[string][]int32, len(b.syms))
	for i, s := range b.syms {
		b.byName[s.Name] = append(b.byName[s.Name], int32(i))
	}
}

func bySymbol(x, y Symbol) int {
	return cmp.Or(cmp.Compare(x.Addr, y.Addr), cmp.Compare(x.Name, y.Name), cmp.Compare(y.Version, x.Version))
}

// tables reads the functions of all symbol tables, or those of one name. A
// debug file's .symtab has what strip took away.
func (b *Binary) tables(only string) []Symbol {
	out := table(nil, b.main, elf.SHT_DYNSYM, only)
	if b.main.header(".symtab") != nil {
		return table(out, b.main, elf.SHT_SYMTAB, only)
	}
	if d, _ := b.debugFile(); d != nil && d != b.main {
		return table(out, d, elf.SHT_SYMTAB, only)
	}
	return out
}

func table(out []Symbol, e *elfFile, typ elf.SectionType, only string) []Symbol {
	i := slices.IndexFunc(e.elf.Sections, func(s *elf.Section) bool { return s.Type == typ })
	if i < 0 {
		return out
	}
	s := e.elf.Sections[i]
	if int(s.Link) >= len(e.elf.Sections) {
		bad("section %s has no string table", s.Name)
	}
	tab, str := e.bytes(s), e.bytes(e.elf.Sections[s.Link])
	if len(tab)/symSize > maxSymbols {
		bad("section %s has %d symbols", s.Name, len(tab)/symSize)
	}
	var versions []byte
	var names map[uint16]string
	if typ == elf.SHT_DYNSYM {
		versions, names = e.versions()
	}
	for n := 0; len(tab) >= symSize; n, tab = n+1, tab[symSize:] {
		if only != "" && !named(str, binary.LittleEndian.Uint32(tab), only) {
			continue
		}
		sym, ok := symbol(tab, str)
		if !ok {
			continue
		}
		if 2*n+2 <= len(versions) {
			v := binary.LittleEndian.Uint16(versions[2*n:])
			sym.Hidden = v&0x8000 != 0
			sym.Version = names[v&0x7fff]
		}
		if at := strings.IndexByte(sym.Name, '@'); at > 0 {
			sym.Version = strings.TrimPrefix(sym.Name[at+1:], "@")
			sym.Hidden = !strings.HasPrefix(sym.Name[at+1:], "@")
			sym.Name = sym.Name[:at]
		}
		out = append(out, sym)
	}
	return out
}

// named reports whether the string at an offset is a name, or that name with a version.
func named(str []byte, at uint32, name string) bool {
	if uint64(at)+uint64(len(name)) >= uint64(len(str)) {
		return false
	}
	s := str[at:]
	return (s[len(name)] == 0 || s[len(name)] == '@') && string(s[:len(name)]) == name
}

// symbol decodes one entry of a symbol table; false for what is not a defined function.
func symbol(d, str []byte) (Symbol, bool) {
	info, shndx := d[4], binary.LittleEndian.Uint16(d[6:])
	typ := info & 15
	if typ != uint8(elf.STT_FUNC) && typ != sttGNUFunc || shndx == 0 {
		return Symbol{}, false
	}
	name := stringAt(str, binary.LittleEndian.Uint32(d))
	if name == "" {
		return Symbol{}, false
	}
	return Symbol{
		Name: name, IFunc: typ == sttGNUFunc, Global: info>>4 != 0,
		Addr: binary.LittleEndian.Uint64(d[8:]), Size: binary.LittleEndian.Uint64(d[16:]),
	}, true
}

// stringAt gives a NUL-terminated string; it is a copy, because symbols outlive the mapping.
func stringAt(str []byte, at uint32) string {
	if uint64(at) >= uint64(len(str)) {
		return ""
	}
	n := bytes.IndexByte(str[at:], 0)
	if n < 0 {
		return ""
	}
	return string(str[at:][:n])
}

// versions reads .gnu.version and the names of .gnu.version_d.
func (e *elfFile) versions() ([]byte, map[uint16]string) {
	vs, vd := e.header(".gnu.version"), e.header(".gnu.version_d")
	if vs == nil || vd == nil || int(vd.Link) >= len(e.elf.Sections) {
		return nil, nil
	}
	d, str := e.bytes(vd), e.bytes(e.elf.Sections[vd.Link])
	names := map[uint16]string{}
	for at, n := uint64(0), 0; at+20 <= uint64(len(d)) && n < 1<<15; n++ {
		r := d[at:]
		ndx, aux, next := binary.LittleEndian.Uint16(r[4:]), binary.LittleEndian.Uint32(r[12:]), binary.LittleEndian.Uint32(r[16:])
		if uint64(aux)+8 <= uint64(len(r)) {
			names[ndx&0x7fff] = stringAt(str, binary.LittleEndian.Uint32(r[aux:]))
		}
		if next == 0 {
			break
		}
		at += uint64(next)
	}
	return e.bytes(vs), names
}
