package object

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf/btf"
)

// This file reads BTF's wire format as far as needed before cilium/ebpf/btf
// can: compilers leave sizes and offsets of data sections to the linker, and
// cilium/ebpf refuses a .ksyms section with typed variables.
// Format: Documentation/bpf/btf.rst, include/uapi/linux/btf.h.

const (
	btfMagic     = 0xeb9f
	btfHeaderLen = 24
	btfTypeLen   = 12
)

// BTF kinds that are looked into.
const (
	btfKindFunc    = 12
	btfKindVar     = 14
	btfKindDatasec = 15
)

// btfTail is, by kind, the fixed and the per-member size of what follows a type.
var btfTail = [20]struct{ fixed, each int }{
	1: {4, 0}, 3: {12, 0}, 4: {0, 12}, 5: {0, 12}, 6: {0, 8}, 13: {0, 8}, 14: {4, 0}, 15: {0, 12}, 17: {4, 0}, 19: {0, 12},
}

// rawBTF is a .BTF section taken apart.
type rawBTF struct {
	bo      binary.ByteOrder
	types   []byte
	strings []byte
	at      []int // type id → offset in types; at[0] is not used
}

var errBTF = errors.New("malformed .BTF")

func parseRawBTF(b []byte, bo binary.ByteOrder) (*rawBTF, error) {
	if len(b) < btfHeaderLen || bo.Uint16(b) != btfMagic || b[2] != 1 {
		return nil, fmt.Errorf("%w: expected a header with magic 0xeb9f and version 1", errBTF)
	}
	hdr := uint64(bo.Uint32(b[4:]))
	part := func(at int) ([]byte, bool) {
		off, n := hdr+uint64(bo.Uint32(b[at:])), uint64(bo.Uint32(b[at+4:]))
		if off > uint64(len(b)) || n > uint64(len(b))-off {
			return nil, false
		}
		return b[off : off+n], true
	}
	types, ok1 := part(8)
	str, ok2 := part(16)
	if !ok1 || !ok2 || hdr < btfHeaderLen {
		return nil, fmt.Errorf("%w: types or strings lie outside of the section", errBTF)
	}
	if len(str) > 0 && str[len(str)-1] != 0 {
		return nil, fmt.Errorf("%w: strings do not end with a NUL", errBTF)
	}
	r := &rawBTF{bo: bo, types: bytes.Clone(types), strings: str, at: []int{-1}}
	for off := 0; off < len(types); {
		r.at = append(r.at, off)
		n, err := r.size(off)
		if err != nil {
			return nil, err
		}
		off += n
	}
	return r, nil
}

// size is the length of the type at off, checked against the section.
func (r *rawBTF) size(off int) (int, error) {
	if len(r.types)-off < btfTypeLen {
		return 0, fmt.Errorf("%w: type %d is cut off", errBTF, len(r.at)-1)
	}
	info := r.bo.Uint32(r.types[off+4:])
	kind, vlen := int(info>>24&0x1f), int(info&0xffff)
	if kind == 0 || kind >= len(btfTail) {
		return 0, fmt.Errorf("%w: type %d is of unknown kind %d", errBTF, len(r.at)-1, kind)
	}
	n := btfTypeLen + btfTail[kind].fixed + vlen*btfTail[kind].each
	if n > len(r.types)-off {
		return 0, fmt.Errorf("%w: type %d is cut off", errBTF, len(r.at)-1)
	}
	return n, nil
}

func (r *rawBTF) kind(id int) int { return int(r.bo.Uint32(r.types[r.at[id]+4:]) >> 24 & 0x1f) }
func (r *rawBTF) vlen(id int) int { return int(r.bo.Uint32(r.types[r.at[id]+4:]) & 0xffff) }

// ref is the type that type id refers to, or its size.
func (r *rawBTF) ref(id int) uint32 { return r.bo.Uint32(r.types[r.at[id]+8:]) }

func (r *rawBTF) name(id int) (string, error) { return r.str(r.bo.Uint32(r.types[r.at[id]:])) }

func (r *rawBTF) str(off uint32) (string, error) {
	if uint64(off) >= uint64(len(r.strings)) {
		return "", fmt.Errorf("%w: string at %d of %d", errBTF, off, len(r.strings))
	}
	s := r.strings[off:]
	return string(s[:bytes.IndexByte(s, 0)]), nil
}

// link fills in the sizes and offsets of data sections, and takes typed
// variables out of .ksyms. It returns the ids of the latter.
func (r *rawBTF) link(size func(section string) (uint64, bool), offset func(section, symbol string) (uint64, bool)) ([]btf.TypeID, error) {
	var typed []btf.TypeID
	for id := 1; id < len(r.at); id++ {
		if r.kind(id) != btfKindDatasec {
			continue
		}
		sec, err := r.name(id)
		if err != nil {
			return nil, err
		}
		switch {
		case sec == ".ksyms":
			more, err := r.splitKsyms(id)
			if err != nil {
				return nil, err
			}
			typed = append(typed, more...)
		case sec != ".kconfig" && r.ref(id) == 0:
			n, ok := size(sec)
			if !ok {
				continue
			}
			r.bo.PutUint32(r.types[r.at[id]+8:], uint32(n))
			if err := r.placeVars(id, sec, offset); err != nil {
				return nil, err
			}
		}
	}
	return typed, nil
}

// member is the record of variable i of data section id, and the id of the variable.
func (r *rawBTF) member(id, i int) ([]byte, int, error) {
	rec := r.types[r.at[id]+btfTypeLen+12*i:][:12]
	v := int(r.bo.Uint32(rec))
	if v <= 0 || v >= len(r.at) || r.kind(v) != btfKindVar && r.kind(v) != btfKindFunc {
		return nil, 0, fmt.Errorf("%w: member %d of data section %d is no variable or function", errBTF, i, id)
	}
	return rec, v, nil
}

func (r *rawBTF) placeVars(id int, sec string, offset func(section, symbol string) (uint64, bool)) error {
	for i := range r.vlen(id) {
		rec, v, err := r.member(id, i)
		if err != nil {
			return err
		}
		name, err := r.name(v)
		if err != nil {
			return err
		}
		off, ok := offset(sec, name)
		if !ok {
			return fmt.Errorf("%w: variable %s has no symbol in section %s", errBTF, name, sec)
		}
		r.bo.PutUint32(rec[4:], uint32(off))
	}
	return nil
}

func (r *rawBTF) splitKsyms(id int) ([]btf.TypeID, error) {
	var keep []byte
	var typed []btf.TypeID
	for i := range r.vlen(id) {
		rec, v, err := r.member(id, i)
		if err != nil {
			return nil, err
		}
		if r.kind(v) == btfKindVar && r.ref(v) != 0 {
			typed = append(typed, btf.TypeID(v))
			continue
		}
		keep = append(keep, rec...)
	}
	if len(typed) == 0 {
		return nil, nil
	}
	start := r.at[id] + btfTypeLen
	cut := 12 * len(typed)
	info := r.bo.Uint32(r.types[r.at[id]+4:])
	r.bo.PutUint32(r.types[r.at[id]+4:], info-uint32(len(typed)))
	end := start + 12*(len(typed)+len(keep)/12)
	r.types = append(append(r.types[:start:start], keep...), r.types[end:]...)
	for i := id + 1; i < len(r.at); i++ {
		r.at[i] -= cut
	}
	return typed, nil
}

// marshal puts the section together again.
func (r *rawBTF) marshal() []byte {
	b := make([]byte, btfHeaderLen, btfHeaderLen+len(r.types)+len(r.strings))
	r.bo.PutUint16(b, btfMagic)
	b[2] = 1
	r.bo.PutUint32(b[4:], btfHeaderLen)
	r.bo.PutUint32(b[12:], uint32(len(r.types)))
	r.bo.PutUint32(b[16:], uint32(len(r.types)))
	r.bo.PutUint32(b[20:], uint32(len(r.strings)))
	return append(append(b, r.types...), r.strings...)
}

// load hands the types and CO-RE relocations to cilium/ebpf/btf. It takes CO-RE
// relocations only out of an ELF file, so that one is made around them.
func (r *rawBTF) load(core []byte) (*btf.Spec, *btf.ExtInfos, error) {
	blob := r.marshal()
	if len(core) == 0 {
		core = nil
	}
	ext := make([]byte, 32, 40+len(core))
	r.bo.PutUint16(ext, btfMagic)
	ext[2] = 1
	for i, v := range []uint32{32, 0, 4, 4, 4, 8, uint32(len(core))} {
		r.bo.PutUint32(ext[4+4*i:], v)
	}
	ext = append(ext, make([]byte, 8)...)
	r.bo.PutUint32(ext[32:], 8)
	r.bo.PutUint32(ext[36:], 16)
	ext = append(ext, core...)
	sym, str := symtab(r.bo, nil, 2)
	file := layELF(r.bo, []elfSection{
		sym, str,
		{name: ".BTF", typ: elf.SHT_PROGBITS, data: blob},
		{name: ".BTF.ext", typ: elf.SHT_PROGBITS, data: ext},
	})
	return btf.LoadSpecAndExtInfosFromReader(bytes.NewReader(file))
}

// extRecord is a record of .BTF.ext; its bytes behind the offset are in rest.
type extRecord struct {
	slot int // within the section
	rest []byte
}

// extInfo is .BTF.ext: records by section. core is the raw part with CO-RE relocations.
type extInfo struct {
	funcs, lines, relos map[string][]extRecord
	core                []byte
}

var errExt = errors.New("malformed .BTF.ext")

func (r *rawBTF) parseExt(b []byte) (*extInfo, error) {
	if len(b) < 24 || r.bo.Uint16(b) != btfMagic || b[2] != 1 {
		return nil, fmt.Errorf("%w: expected a header with magic 0xeb9f and version 1", errExt)
	}
	hdr := uint64(r.bo.Uint32(b[4:]))
	x := &extInfo{}
	for i, dst := range []*map[string][]extRecord{&x.funcs, &x.lines, &x.relos} {
		at := 8 + 8*i
		if uint64(at)+8 > hdr || at+8 > len(b) {
			break
		}
		off, n := hdr+uint64(r.bo.Uint32(b[at:])), uint64(r.bo.Uint32(b[at+4:]))
		if off > uint64(len(b)) || n > uint64(len(b))-off {
			return nil, fmt.Errorf("%w: part %d lies outside of the section", errExt, i)
		}
		part := b[off : off+n]
		if i == 2 {
			x.core = part
		}
		var err error
		if *dst, err = r.parseRecords(part, []int{8, 16, 16}[i]); err != nil {
			return nil, err
		}
	}
	return x, nil
}

func (r *rawBTF) parseRecords(b []byte, least int) (map[string][]extRecord, error) {
	out := map[string][]extRecord{}
	if len(b) == 0 {
		return out, nil
	}
	if len(b) < 4 {
		return nil, fmt.Errorf("%w: no record size", errExt)
	}
	size := int(r.bo.Uint32(b))
	if size < least || size > 256 {
		return nil, fmt.Errorf("%w: records of %d bytes, expected %d", errExt, size, least)
	}
	for b = b[4:]; len(b) > 0; {
		if len(b) < 8 {
			return nil, fmt.Errorf("%w: cut off", errExt)
		}
		sec, err := r.str(r.bo.Uint32(b))
		if err != nil {
			return nil, err
		}
		n := uint64(r.bo.Uint32(b[4:]))
		if b = b[8:]; n*uint64(size) > uint64(len(b)) {
			return nil, fmt.Errorf("%w: %d records in section %s are cut off", errExt, n, sec)
		}
		for range n {
			off := r.bo.Uint32(b)
			if off%8 != 0 {
				return nil, fmt.Errorf("%w: offset %d in section %s is inside of an instruction", errExt, off, sec)
			}
			out[sec] = append(out[sec], extRecord{int(off / 8), b[4:size]})
			b = b[size:]
		}
	}
	return out, nil
}
