package object

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// This file lays out ELF files: 64 bits, relocatable, EM_BPF.

// elfSection is a section to be written.
type elfSection struct {
	name    string
	typ     elf.SectionType
	flags   elf.SectionFlag
	link    uint32
	info    uint32
	align   uint64
	entsize uint64
	data    []byte
	size    uint64 // of a section without bytes in the file
}

// strtab collects strings and their offsets.
type strtab struct {
	buf []byte
	at  map[string]uint32
}

func newStrtab() *strtab { return &strtab{buf: []byte{0}, at: map[string]uint32{"": 0}} }

func (t *strtab) add(s string) uint32 {
	if off, ok := t.at[s]; ok {
		return off
	}
	off := uint32(len(t.buf))
	t.at[s] = off
	t.buf = append(append(t.buf, s...), 0)
	return off
}

const (
	ehSize  = 64
	shSize  = 64
	symSize = 24
	relSize = 16
)

// layELF writes sections (the null section is added as number 0, the section
// of names as the last).
func layELF(bo binary.ByteOrder, sections []elfSection) []byte {
	names := newStrtab()
	all := append([]elfSection{{}}, sections...)
	names.add(".shstrtab")
	for _, s := range sections {
		names.add(s.name)
	}
	all = append(all, elfSection{name: ".shstrtab", typ: elf.SHT_STRTAB, align: 1, data: names.buf})
	body := make([]byte, ehSize)
	heads := make([]elf.Section64, len(all))
	for i, s := range all {
		if i == 0 {
			continue
		}
		for s.align > 1 && uint64(len(body))%s.align != 0 {
			body = append(body, 0)
		}
		heads[i] = elf.Section64{
			Name: names.add(s.name), Type: uint32(s.typ), Flags: uint64(s.flags), Off: uint64(len(body)),
			Size: uint64(len(s.data)), Link: s.link, Info: s.info, Addralign: max(s.align, 1), Entsize: s.entsize,
		}
		if s.typ == elf.SHT_NOBITS {
			heads[i].Size = s.size
		}
		body = append(body, s.data...)
	}
	for len(body)%8 != 0 {
		body = append(body, 0)
	}
	h := elf.Header64{
		Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_BPF), Version: 1, Shoff: uint64(len(body)),
		Ehsize: ehSize, Shentsize: shSize, Shnum: uint16(len(all)), Shstrndx: uint16(len(all) - 1),
	}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), 1
	h.Ident[elf.EI_DATA] = byte(elf.ELFDATA2LSB)
	if bo == binary.ByteOrder(binary.BigEndian) {
		h.Ident[elf.EI_DATA] = byte(elf.ELFDATA2MSB)
	}
	var head, tail bytes.Buffer
	_ = binary.Write(&head, bo, &h)
	_ = binary.Write(&tail, bo, heads)
	copy(body, head.Bytes())
	return append(body, tail.Bytes()...)
}

// symtab encodes symbols; local ones must come first. It returns the section
// and the section of its names, which must become number strtabIndex.
func symtab(bo binary.ByteOrder, syms []elf.Symbol, strtabIndex uint32) (elfSection, elfSection) {
	str := newStrtab()
	var buf bytes.Buffer
	local := uint32(1)
	_ = binary.Write(&buf, bo, elf.Sym64{})
	for i, s := range syms {
		_ = binary.Write(&buf, bo, elf.Sym64{
			Name: str.add(s.Name), Info: s.Info, Other: s.Other, Shndx: uint16(s.Section), Value: s.Value, Size: s.Size,
		})
		if elf.ST_BIND(s.Info) == elf.STB_LOCAL {
			local = uint32(i) + 2
		}
	}
	return elfSection{
			name: ".symtab", typ: elf.SHT_SYMTAB, link: strtabIndex, info: local, align: 8, entsize: symSize, data: buf.Bytes(),
		}, elfSection{
			name: ".strtab", typ: elf.SHT_STRTAB, align: 1, data: str.buf,
		}
}
