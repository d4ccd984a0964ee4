// Package object defines Object, a set of BPF programs as they were written,
// and reads and writes it: ELF with BTF and .BTF.ext, assembly text, and
// cilium/ebpf's CollectionSpec. Nothing here touches the host.
package object

import (
	"encoding/binary"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
)

// Object is a set of programs with the maps, globals, externs, types and line
// information they came with. Instructions are unrelocated.
type Object struct {
	Name      string // file name, for messages
	ByteOrder binary.ByteOrder
	License   string // "" when there is none
	Version   uint32 // from section "version"; 0 when there is none

	Programs []*Func // entry points, in the order of the file
	Subprogs []*Func // functions that programs may call (.text and other static functions)
	Maps     []*Map  // incl. one per global data section (.data, .rodata, .bss, .kconfig)
	Externs  []Extern

	Types     *btf.Spec  // the object's own BTF; nil without one, or when it is not marshalled yet
	UserTypes []UserType // types that gtrace_user_cast names by index

	// TargetBTF is the kernel BTF that offsets in the instructions were
	// computed from, for a script compiled for a given target; nil when unknown.
	// CO-RE relocations against this very Spec are already applied.
	TargetBTF *btf.Spec
}

// UserType is a type of user-space memory: types are equal only within one space.
type UserType struct {
	Space string // build-id of the binary, or its path where it has none
	Type  btf.Type
}

// Func is a function: an entry program or a subprogram.
type Func struct {
	Name    string
	Section string
	Insns   []isa.Insn
	Relocs  []Reloc    // ascending by Insn
	CORE    []CORERelo // ascending by Insn
	Lines   []Line     // ascending by Insn
	BTF     *btf.Func  // nil without BTF
	Global  bool       // visible outside of its file: a subprogram verified on its own; false for entry programs
	Weak    bool       // may be replaced by a function of the same name when files are linked

	// Labels maps names of places in Insns to slots; from assembly text, else nil.
	Labels map[string]int

	// Entry programs only; from the section's name (abi.ParseSection) or set by the maker.
	Attach abi.Attach
}

// RelocKind says what a relocation puts into an instruction.
type RelocKind uint8

const (
	RelocMap      RelocKind = iota + 1 // 64-bit load: the map Symbol
	RelocMapValue                      // 64-bit load: address of byte Addend in the only value of map Symbol
	RelocCall                          // call: the function Symbol
	RelocFuncAddr                      // 64-bit load: address of the function Symbol (a callback)
	RelocKfunc                         // call: the kfunc Symbol
	RelocKsym                          // 64-bit load: address of the kernel variable Symbol
	RelocUnknown                       // call or 64-bit load: byte Addend of Symbol's section, where there is nothing that either could mean
)

// Reloc is a relocation at slot Insn.
type Reloc struct {
	Insn   int
	Kind   RelocKind
	Symbol string
	Addend int64
}

// CORERelo is a CO-RE relocation at slot Insn (include/uapi/linux/bpf.h: struct bpf_core_relo).
type CORERelo struct {
	Insn   int
	Kind   uint32   // enum bpf_core_relo_kind
	Type   btf.Type // local type
	Access string   // "0:1:2"

	// Parsed is what cilium/ebpf read from .BTF.ext, nil for a relocation made
	// by the script compiler: round-trip through Write and Read to get it.
	Parsed *btf.CORERelocation
}

// Line ties instruction Insn and those behind it to a place in the source.
type Line struct {
	Insn      int
	File      string
	Line, Col int    // from 1; Col 0 when unknown
	Text      string // the source line
}

// Extern is a symbol that the target must provide.
type Extern struct {
	Name string
	Kind ExternKind
	Weak bool
	Type btf.Type // nil for untyped

	// Offset is where a kconfig extern lives in the value of map ".kconfig".
	// Instructions refer to it by RelocMapValue with this addend.
	Offset uint32
}

// ExternKind is the kind of an extern.
type ExternKind uint8

const (
	ExternKfunc   ExternKind = iota + 1
	ExternKsym               // a kernel variable
	ExternKconfig            // a configuration value
)

// Map declares a map.
type Map struct {
	Name       string
	Type       abi.MapType
	KeySize    uint32 // bytes
	ValueSize  uint32 // bytes
	MaxEntries uint32
	Flags      uint32
	Key, Value btf.Type // nil when unknown
	Pinning    uint32   // LIBBPF_PIN_*
	Inner      *Map     // array and hash of maps
	Extra      uint64   // map_extra
	NumaNode   uint32   // of its memory, when Flags says so

	// Section is the ELF section of a global data map (".rodata", ".data.x", …), else "".
	Section string
	// Data is the initial content of the only value of a global data map.
	Data []byte
	// Frozen: read-only from the program and after loading (.rodata).
	Frozen bool

	// Entries are the initial contents of a map of maps or a program array.
	Entries []MapEntry
}

// MapEntry puts a map or program of the same object into an element of a map.
type MapEntry struct {
	Key    uint32
	Symbol string // name of a map, or of an entry program for a program array
}
