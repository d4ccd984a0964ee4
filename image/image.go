// Package image turns a program of an Object into an Image: subprograms
// linked, CO-RE relocations applied against a target, maps, globals and
// externs resolved; ready to be judged. Deterministic and offline: a Target
// is a value, never "whatever this machine runs".
package image

import (
	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
)

// EngineKind says who will run the image: pseudo-kfuncs exist only on EngineUser.
type EngineKind uint8

const (
	EngineKernel EngineKind = iota
	EngineUser
)

// Target is what an Image is built and judged for.
type Target struct {
	Arch    string // GOARCH
	Release string // "6.18.44-…", "5.10", …
	Exact   string // "6.1.129" where Release hides the last part (Debian's "6.1.0-32-amd64"); else ""
	Version abi.Version
	Name    string            // how verdicts name it: "6.18 (running kernel's BTF)"
	Config  map[string]string // CONFIG_X → y, m, a number or a quoted string; nil: see LoadConfig
	// LoadConfig yields Config when something needs it and Config is nil; nil: there is none.
	LoadConfig func() (map[string]string, error)
	// CPUs is how many CPUs the kernel numbers; nil or 0: not known.
	CPUs func() int
	// LoadLockdown yields the lockdown in force; nil: what Config says.
	LoadLockdown func() abi.Lockdown
	// Symbols yields the kernel's symbol table (/proc/kallsyms): addresses by name; nil: there is none.
	Symbols    func() (map[string]uint64, error)
	KfuncSets  map[string][]string
	Privileged bool
	Features   map[string]bool
	Engine     EngineKind

	// BTF yields the target's types. It is called only when something needs
	// them, and returns an error that says how to give them where there are none.
	BTF func() (*btf.Spec, error)
}

// Image is one program with its subprograms, fully linked.
type Image struct {
	Object  string // file
	Program string
	Section string
	Attach  abi.Attach
	License string
	Target  *Target

	// Insns: maps are 64-bit loads whose Src is PseudoMapIdx or
	// PseudoMapIdxValue and whose first Imm indexes Maps (second Imm: byte
	// offset of the value); local calls and PseudoFunc are relative, in slots;
	// kfunc calls have the target's BTF id, or a negative abi.Kfunc ID.
	Insns     []isa.Insn
	Subprogs  []Subprog // ascending; the first is the program itself, at 0
	Maps      []*object.Map
	Lines     []object.Line // ascending
	Poison    map[int]Poison
	Ksyms     map[int]Ksym // by slot of a 64-bit load whose Src is PseudoBTFID
	UserTypes []object.UserType
	// Kfuncs are the kernel functions that calls in Insns name, by the target's
	// BTF id; gtrace's own are not among them.
	Kfuncs map[int32]*btf.Func

	// Ctx types the context of programs with abi.Context.BTFArgs: the attach
	// target's prototype without the first argument of tp_btf; nil otherwise.
	Ctx *btf.FuncProto
}

// Subprog is a function within Insns.
type Subprog struct {
	Start  int
	Name   string
	BTF    *btf.Func // nil without
	Global bool
}

// Poison records a CO-RE relocation that could not be applied: a rejection only where reachable.
type Poison struct {
	Relo   string // as written: "field_byte_offset struct task_struct.foo"
	Reason string
}
