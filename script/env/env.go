// Package env declares what the script compiler asks about the world it compiles
// for. It knows types and places, and nothing of syntax or code.
package env

import (
	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/place"
)

// Env is what the compiler asks about the world. Package probe answers from
// DWARF, symbol tables and kernel BTF; golden cases answer from text.
type Env interface {
	// Match returns the places that an attach point names, in a stable order:
	// several for a wildcard. An error names what was not found, with candidates
	// as *NotFound.
	Match(p Pattern) ([]place.Place, error)
	// Args returns the named arguments of the function or tracepoint at p and
	// the place where their locations hold: p itself, or for code that stores
	// its arguments first (gcc -O0) the first instruction behind the prologue.
	Args(p place.Place) ([]Arg, place.Place, error)
	// Ret returns the return value of the function at p (Uretprobe).
	Ret(p place.Place) (Arg, error)
	// Type finds a named type as the code at p sees it. Keyword is "struct",
	// "union", "enum" or "" (typedef, base type). Errors as for Match.
	Type(p place.Place, keyword, name string) (btf.Type, error)
	// Space says whose types p's are: "kernel", or a build-id or path of a binary.
	Space(p place.Place) string
	// KernelBTF is the BTF that kernel types come from; nil unless one was used.
	KernelBTF() *btf.Spec
}

// Pattern is an attach point as written, split at its colons: uprobe:PATH:FUNC,
// rawtracepoint:EVENT, tracepoint:CATEGORY:EVENT, interval:UNIT:N, BEGIN, END.
type Pattern struct {
	Kind   place.Kind
	Fields []string // behind the probe type; may hold * and ? wildcards
	Offset uint64   // FUNC+OFFSET
}

// NotFound is the error for a name that is not there.
type NotFound struct {
	What       string // "function", "tracepoint", "type", "binary", …
	Name       string
	In         string   // where it was looked for
	Candidates []string // near names, best first
}

// BadPlace is the error for a place that a script names but no probe can be at.
type BadPlace string

func (b BadPlace) Error() string { return string(b) }

// NoDebugInfo is the error for a binary without the types a script needs.
type NoDebugInfo struct {
	Path    string
	BuildID string
	Hint    string // how to get it
}

// Arg is a named value at a probe.
type Arg struct {
	Name string
	Type btf.Type
	Loc  Loc
}

// Loc says where a value is when the probe fires.
type Loc struct {
	// Pieces in order of the value's bytes. One piece of Size 0 is the whole value.
	Pieces []Piece
	// Unsupported, when not empty, says why the value can't be had ("in SSE
	// register xmm0", "optimized out at this address", …).
	Unsupported string
}

// Piece is a part of a value.
type Piece struct {
	Kind PieceKind
	Size int    // bytes; 0: all of the value
	Reg  int    // InReg, AtReg: DWARF register number of the binary's architecture
	Off  int64  // AtReg: value at address Reg+Off (user memory). InCtx: byte offset in the program's context
	Val  uint64 // Const
}

// PieceKind is where a piece is.
type PieceKind uint8

const (
	InReg   PieceKind = iota + 1 // in the register itself
	AtReg                        // in user memory at register + Off
	Const                        // the constant Val
	DataLoc                      // in the context's record: the u32 at Off holds where (low 16 bits: byte offset in the record; high: length), as tracefs's __data_loc
	InCtx                        // in the program's context at Off (tracepoint record fields, raw tracepoint arguments)
)

// Error names what was not found and where.
func (e *NotFound) Error() string {
	s := "no " + e.What + " `" + e.Name + "`"
	if e.In != "" {
		s += " in " + e.In
	}
	return s
}

// Error says which binary has no types.
func (e *NoDebugInfo) Error() string {
	s := e.Path + " has no debug information"
	if e.BuildID != "" {
		s += " (build-id " + e.BuildID + ")"
	}
	return s
}
