package usertype

// elf.go defines elfFile, one mapped ELF file, and its sections, which are
// decompressed only as far as they are read.

import (
	"bytes"
	"compress/zlib"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// Limits on what a file may claim.
const (
	maxFileSize     = 64 << 30
	maxInflatedSize = 4 << 30
	maxSections     = 1 << 20
	inflateChunk    = 256 << 10
)

// elfFile is an ELF file mapped into memory.
type elfFile struct {
	path     string
	size     int64
	data     []byte
	mapped   bool
	elf      *elf.File
	buildID  string
	sections map[string]*section
}

// section is the content of an ELF section.
type section struct {
	name   string
	size   uint64 // decompressed
	data   []byte // all of a plain section; what was inflated so far of a compressed one
	stream io.Reader
}

func openELF(path string) (*elfFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, &Malformed{path, "not a regular file"}
	}
	if st.Size() < 64 || st.Size() > maxFileSize {
		return nil, &Malformed{path, "not an ELF file: its size is " + fmt.Sprint(st.Size()) + " bytes"}
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("%s: mmap: %w", path, err)
	}
	e, err := parseELF(path, data)
	if err != nil {
		unix.Munmap(data)
		return nil, err
	}
	e.mapped = true
	return e, nil
}

// parseELF reads the headers of an ELF image.
func parseELF(path string, data []byte) (e *elfFile, err error) {
	defer guard(path, &err)()
	if !bytes.HasPrefix(data, []byte(elf.ELFMAG)) {
		return nil, &Malformed{path, "not an ELF file"}
	}
	if len(data) < 64 || elf.Class(data[elf.EI_CLASS]) != elf.ELFCLASS64 {
		return nil, &Unsupported{path, "ELF file that is not 64-bit"}
	}
	if elf.Data(data[elf.EI_DATA]) != elf.ELFDATA2LSB {
		return nil, &Unsupported{path, "big-endian ELF file"}
	}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, &Malformed{path, err.Error()}
	}
	if len(f.Sections) > maxSections {
		return nil, &Malformed{path, "too many sections"}
	}
	e = &elfFile{path: path, size: int64(len(data)), data: data, elf: f, sections: map[string]*section{}}
	e.buildID = e.readBuildID()
	return e, nil
}

func (e *elfFile) close() error {
	if e == nil || !e.mapped {
		return nil
	}
	e.mapped = false
	return unix.Munmap(e.data)
}

// guard turns our own panics of malformed and a memory fault (the file shrank
// while it was mapped) into errors. Other panics are bugs and go on.
func guard(path string, err *error) func() {
	old := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(old)
		switch r := recover().(type) {
		case nil:
		case malformed:
			*err = &Malformed{path, string(r)}
		case unsupported:
			*err = &Unsupported{path, string(r)}
		case interface {
			error
			Addr() uintptr
		}:
			*err = fmt.Errorf("%s: the file changed while it was read", path)
		default:
			panic(r)
		}
	}
}

// malformed and unsupported are raised inside the room and end at guard.
type (
	malformed   string
	unsupported string
)

func bad(format string, args ...any) { panic(malformed(fmt.Sprintf(format, args...))) }

// header finds a section that has content.
func (e *elfFile) header(name string) *elf.Section {
	for _, s := range e.elf.Sections {
		if s.Name == name && s.Type != elf.SHT_NOBITS && s.Type != elf.SHT_NULL {
			return s
		}
	}
	return nil
}

// bytes gives a section's bytes in the file, within the file's bounds.
func (e *elfFile) bytes(s *elf.Section) []byte {
	if s.Offset > uint64(len(e.data)) || s.FileSize > uint64(len(e.data))-s.Offset {
		bad("section %s ends behind the file's end", s.Name)
	}
	return e.data[s.Offset : s.Offset+s.FileSize]
}

// section finds a section by name, also by its old compressed name; nil if there is none.
func (e *elfFile) section(name string) *section {
	if s, ok := e.sections[name]; ok {
		return s
	}
	s := e.openSection(name)
	e.sections[name] = s
	return s
}

func (e *elfFile) openSection(name string) *section {
	h := e.header(name)
	if h == nil {
		if len(name) > 7 && name[:7] == ".debug_" {
			if z := e.header(".zdebug_" + name[7:]); z != nil {
				return e.openZdebug(name, z)
			}
		}
		return nil
	}
	raw := e.bytes(h)
	if h.Flags&elf.SHF_COMPRESSED == 0 {
		return &section{name: name, size: uint64(len(raw)), data: raw}
	}
	checkInflated(name, h.Size)
	return &section{name: name, size: h.Size, stream: h.Open()}
}

func (e *elfFile) openZdebug(name string, h *elf.Section) *section {
	raw := e.bytes(h)
	if len(raw) < 12 || string(raw[:4]) != "ZLIB" {
		return &section{name: name, size: uint64(len(raw)), data: raw}
	}
	size := binary.BigEndian.Uint64(raw[4:])
	checkInflated(name, size)
	z, err := zlib.NewReader(bytes.NewReader(raw[12:]))
	if err != nil {
		bad("section %s: %v", name, err)
	}
	return &section{name: name, size: size, stream: z}
}

func checkInflated(name string, size uint64) {
	if size > maxInflatedSize {
		bad("section %s claims %d bytes when decompressed", name, size)
	}
}

// upto returns the section's first n bytes, or more, or all if there are fewer.
func (s *section) upto(n uint64) []byte {
	if s == nil {
		return nil
	}
	if s.stream == nil || uint64(len(s.data)) >= n {
		return s.data
	}
	n = min(n+inflateChunk, s.size)
	if s.data == nil {
		s.data = make([]byte, 0, min(s.size, 64<<20))
	}
	for uint64(len(s.data)) < n {
		room := min(n-uint64(len(s.data)), inflateChunk)
		at := len(s.data)
		s.data = append(s.data, make([]byte, room)...)
		got, err := io.ReadFull(s.stream, s.data[at:])
		s.data = s.data[:at+got]
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = errors.New("the compressed data ends early")
			}
			bad("section %s: %v", s.name, err)
		}
	}
	return s.data
}

// all returns the whole section.
func (s *section) all() []byte {
	if s == nil {
		return nil
	}
	return s.upto(s.size)
}

// readBuildID finds the GNU build-id in sections or, where these were stripped, in segments.
func (e *elfFile) readBuildID() string {
	for _, s := range e.elf.Sections {
		if s.Type == elf.SHT_NOTE && s.FileSize < 1<<20 {
			if id := buildIDNote(e.slice(s.Offset, s.FileSize)); id != "" {
				return id
			}
		}
	}
	for _, p := range e.elf.Progs {
		if p.Type == elf.PT_NOTE && p.Filesz < 1<<20 {
			if id := buildIDNote(e.slice(p.Off, p.Filesz)); id != "" {
				return id
			}
		}
	}
	return ""
}

// slice gives n bytes at a file offset, or as many as there are.
func (e *elfFile) slice(off, n uint64) []byte {
	if off >= uint64(len(e.data)) {
		return nil
	}
	return e.data[off:][:min(n, uint64(len(e.data))-off)]
}

func buildIDNote(d []byte) string {
	for len(d) >= 12 {
		name, desc, typ := binary.LittleEndian.Uint32(d), binary.LittleEndian.Uint32(d[4:]), binary.LittleEndian.Uint32(d[8:])
		descAt := 12 + (uint64(name)+3)&^3
		next := descAt + (uint64(desc)+3)&^3
		if descAt+uint64(desc) > uint64(len(d)) {
			return ""
		}
		if typ == 3 && name == 4 && string(d[12:16]) == "GNU\x00" && desc >= 2 && desc <= 64 {
			return hex.EncodeToString(d[descAt : descAt+uint64(desc)])
		}
		if next >= uint64(len(d)) {
			return ""
		}
		d = d[next:]
	}
	return ""
}
