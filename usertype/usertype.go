// Package usertype reads a user-space binary: where its functions are, and
// from its DWARF which types their parameters have (as BTF types) and where
// the values are when a probe fires. It knows nothing of scripts or engines.
package usertype

import (
	"fmt"

	"github.com/cilium/ebpf/btf"
)

// Options say where to look for what belongs to a binary.
type Options struct {
	// Root is put in front of absolute paths, such as /proc/PID/root for a
	// process in another mount namespace.
	Root string
	// DebugDirs are the directories of separate debug files; nil: /usr/lib/debug.
	DebugDirs []string
	// CacheDir holds what was read from DWARF for the next start. Empty:
	// $XDG_CACHE_HOME/gtrace or ~/.cache/gtrace. A directory that can't be
	// written means no cache.
	CacheDir string
	// NoCache turns the cache off.
	NoCache bool
}

// Symbol is a function in a symbol table.
type Symbol struct {
	Name    string // without version
	Version string // symbol version, "" if it has none
	Hidden  bool   // not the default version of its name
	Addr    uint64 // virtual address in the file's own terms
	Size    uint64 // bytes; 0 if not known
	IFunc   bool   // the symbol is a resolver that picks the function at run time
	Global  bool   // global or weak binding
}

// Function is a function of a binary with its locations at one address.
type Function struct {
	Name     string // as DWARF has it, with C++ and Go scopes
	Entry    uint64
	Ranges   []Range // its code; the first holds the entry
	PC       uint64  // the address where the locations below hold
	Params   []Param
	Variadic bool
	Ret      Param // Type *btf.Void if it returns nothing; its location holds when the function has returned
}

// Range is a half-open range of addresses.
type Range struct{ Low, High uint64 }

// Param is a parameter or a return value.
type Param struct {
	Name string
	Type btf.Type
	Loc  Location
}

// Location says where a value is.
type Location struct {
	// Pieces in order of the value's bytes. One piece of Size 0 is the whole value.
	Pieces []Piece
	// Unsupported, when not empty, says why the value can't be had.
	Unsupported string
}

// Piece is a part of a value.
type Piece struct {
	Kind PieceKind
	Size int    // bytes; 0: all of the value
	Reg  int    // InReg, AtReg: DWARF register number
	Off  int64  // AtReg: the value is in memory at Reg+Off
	Val  uint64 // Const
}

// PieceKind is where a piece is.
type PieceKind uint8

const (
	InReg PieceKind = iota + 1
	AtReg
	Const
)

// NotFound is the error for a name that is not there.
type NotFound struct {
	What, Name, In string
	Candidates     []string // near names, best first
}

func (e *NotFound) Error() string {
	return fmt.Sprintf("%s %q not found in %s", e.What, e.Name, e.In)
}

// NoDebugInfo is the error for a binary without DWARF.
type NoDebugInfo struct {
	Path, BuildID string
	Why           string // a debug file that was found and could not be used
}

func (e *NoDebugInfo) Error() string {
	s := e.Path + " has no debug information"
	if e.Why != "" {
		s += " (" + e.Why + ")"
	}
	return s
}

// Unsupported is the error for what a binary has and this package can't read.
type Unsupported struct{ Path, What string }

func (e *Unsupported) Error() string { return e.Path + ": unsupported: " + e.What }

// Malformed is the error for ELF or DWARF that contradicts itself.
type Malformed struct{ Path, What string }

func (e *Malformed) Error() string { return e.Path + ": malformed: " + e.What }
