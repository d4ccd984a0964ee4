package usertype

// binary.go defines Binary and the conversion between its addresses and file offsets.

import (
	"bytes"
	"debug/elf"
	"fmt"

	"github.com/gtrace-dev/gtrace/internal/x86"
)

// Binary is an open executable or shared library. It is not safe for concurrent use.
type Binary struct {
	Path    string
	BuildID string // hex, "" if it has none
	PIE     bool   // position independent: an executable or a shared library
	Go      bool   // built by the Go toolchain

	o        Options
	main     *elfFile
	debug    *elfFile // may be main; nil: none
	debugErr error
	debugWhy string

	debugTried bool
	syms       []Symbol // by address, then name
	symsRead   bool
	byName     map[string][]int32
	dw         *dwarf
	types      *types
	sound      bool // the query that runs has left types whole
	ix         *index
	cache      *cache
}

// Open reads the ELF structure of the file at path. Symbols and DWARF are read
// when they are first asked for.
func Open(path string, o Options) (*Binary, error) {
	e, err := openELF(path)
	if err != nil {
		return nil, err
	}
	b, err := newBinary(e, o)
	if err != nil {
		e.close()
		return nil, err
	}
	return b, nil
}

func newBinary(e *elfFile, o Options) (*Binary, error) {
	switch e.elf.Type {
	case elf.ET_EXEC, elf.ET_DYN:
	default:
		return nil, &Malformed{e.path, fmt.Sprintf("not an executable or shared library (%s)", e.elf.Type)}
	}
	b := &Binary{Path: e.path, BuildID: e.buildID, PIE: e.elf.Type == elf.ET_DYN, o: o, main: e}
	b.Go = e.header(".gopclntab") != nil || e.header(".note.go.buildid") != nil || e.header(".data.rel.ro.gopclntab") != nil
	if !o.NoCache {
		b.cache = openCache(o.CacheDir, b)
	}
	return b, nil
}

// Close releases the files. Types that were handed out stay valid.
func (b *Binary) Close() error {
	err := b.main.close()
	if b.debug != nil && b.debug != b.main {
		b.debug.close()
	}
	return err
}

// Machine is the ELF machine, such as elf.EM_X86_64.
func (b *Binary) Machine() elf.Machine { return b.main.elf.Machine }

// Offset converts an address of the file's own terms to a file offset.
func (b *Binary) Offset(addr uint64) (uint64, error) {
	for _, p := range b.main.elf.Progs {
		if p.Type == elf.PT_LOAD && addr >= p.Vaddr && addr-p.Vaddr < p.Filesz {
			return p.Off + (addr - p.Vaddr), nil
		}
	}
	return 0, &NotFound{What: "address", Name: fmt.Sprintf("%#x", addr), In: b.Path}
}

// Addr converts a file offset to an address.
func (b *Binary) Addr(off uint64) (uint64, error) {
	for _, p := range b.main.elf.Progs {
		if p.Type == elf.PT_LOAD && off >= p.Off && off-p.Off < p.Filesz {
			return p.Vaddr + (off - p.Off), nil
		}
	}
	return 0, &NotFound{What: "file offset", Name: fmt.Sprintf("%#x", off), In: b.Path}
}

// Executable reports whether addr lies in code.
func (b *Binary) Executable(addr uint64) bool {
	for _, p := range b.main.elf.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 && addr >= p.Vaddr && addr-p.Vaddr < p.Filesz {
			return true
		}
	}
	return false
}

var endbr64 = []byte{0xf3, 0x0f, 0x1e, 0xfa}

// Landing reports whether the instruction at addr is endbr64. Probes go behind it.
func (b *Binary) Landing(addr uint64) (is bool) {
	if b.main.elf.Machine != elf.EM_X86_64 {
		return false
	}
	var err error
	defer guard(b.Path, &err)()
	off, e := b.Offset(addr)
	return e == nil && bytes.Equal(b.main.slice(off, 4), endbr64)
}

// Instruction reports whether an instruction of the function at entry begins
// at addr: a trap in the middle of one would make it another one. True if that
// can't be known.
func (b *Binary) Instruction(entry, addr uint64) bool {
	const most = 1 << 20 // what is farther away is left to the user
	n := addr - entry
	if b.main.elf.Machine != elf.EM_X86_64 || addr < entry || n > most {
		return true
	}
	var err error
	defer guard(b.Path, &err)()
	off, e := b.Offset(entry)
	if e != nil {
		return true
	}
	code := b.main.slice(off, n)
	return uint64(len(code)) < n || x86.Boundary(code, int(n))
}

// Body is the address of a function's first instruction behind an endbr64.
func (b *Binary) Body(entry uint64) uint64 {
	if b.Landing(entry) {
		return entry + 4
	}
	return entry
}

// DebugFile is the path of the file that holds the debug information, "" if there is none.
func (b *Binary) DebugFile() (path string) {
	var err error
	defer guard(b.Path, &err)()
	if e, err := b.debugFile(); err == nil && e != nil {
		path = e.path
	}
	return path
}
