// Package typed defines a script after checking: programs whose every
// expression has a type and whose every read of memory says where it reads.
// The checker makes it, the emitter turns it into code; it knows neither.
package typed

import (
	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/event"
	"github.com/gtrace-dev/gtrace/place"
	"github.com/gtrace-dev/gtrace/script/diag"
)

// Kind is the kind of a type.
type Kind uint8

const (
	Invalid   Kind = iota // not known, or an error was reported: fits everything
	Int                   // Size 1, 2, 4, 8; in a register always extended to 64 bits
	Ptr                   // BTF is what it points to, nil for void
	Composite             // a struct or union in memory
	Array                 // an array in memory
	Str                   // a string in a buffer of Size bytes, NUL included
	KSym                  // a kernel address to be shown as a symbol
	USym                  // a user address and its process, 16 bytes
)

// Space says whose memory something is in and whose types describe it.
type Space struct {
	Types string // "kernel", a build-id or path of a binary; "" for none
	User  bool   // in user memory
}

// Kernel is the kernel's memory with the kernel's types.
const Kernel = "kernel"

// Type is the type of an expression.
type Type struct {
	Kind   Kind
	Size   int // bytes
	Signed bool
	BTF    btf.Type // as declared; Ptr: of what it points to; nil when there is none
	Space  Space    // Ptr: where it points; Composite, Array: where it is
}

// Program is one clause at one place.
type Program struct {
	Place  place.Place
	Probe  string // full name
	Inside bool   // not at the function's entry
	Pred   Expr   // nil without
	Body   []Stmt
	Vars   []*Variable
	Span   diag.Span // of the clause
	PredAt diag.Span
}

// Script is all of it.
type Script struct {
	Programs []*Program
	Maps     []*Map
	Actions  []*Action
}

// Variable is a $name.
type Variable struct {
	Name    string
	Type    *Type
	CanFail bool // holds a fail word; set by Solve
	Decl    diag.Span
}

// Map is an @name.
type Map struct {
	Name         string
	Keys         []*Type // empty: scalar
	Value        *Type   // Plain
	Agg          event.Agg
	Signed       bool // of the values aggregated
	CanFail      bool // Plain: holds a fail word; set by Solve
	Lo, Hi, Step int64
	First        diag.Span // first use
}

// Action is a statement that sends a record.
type Action struct {
	Kind     event.ActionKind
	Probe    int
	Format   string
	Args     []Expr
	Map      *Map
	Top, Div int64
	Index    int
}

// Expr is an expression.
type Expr interface {
	T() *Type
	At() diag.Span
}

// X is what all expressions have; nodes embed it.
type X struct {
	Type *Type
	Span diag.Span
}

// T is the expression's type.
func (x X) T() *Type { return x.Type }

// At is the expression's place.
func (x X) At() diag.Span { return x.Span }

// Mem is a place in memory: Base plus Off.
type Mem struct {
	Base  Expr // an address
	Null  bool // Base may be NULL: tested before it is used
	Root  btf.Type
	At    int64 // bytes from Base to the start of Root: an argument that lies in the frame
	Off   int64 // bytes from Base to what is read
	Path  []int // CO-RE access from Root to what is read, without the leading 0; nil: no relocation
	Space Space
	Bits  *Bits
}

// Bits is a bit-field within the Size bytes at Mem.Off.
type Bits struct{ Off, Size, Bytes int }

// Builtin is a value that a helper gives.
type Builtin uint8

const (
	PID Builtin = iota + 1
	TID
	UID
	GID
	Nsecs
	Elapsed
	CPU
	Curtask
	Comm
)

type (
	// Const is a number.
	Const struct {
		X
		Val uint64
	}
	// Lit is a constant string.
	Lit struct {
		X
		Val string
	}
	// Ctx is a load from the program's context. Pointer: the kernel gives it a
	// pointer type, with which there is no arithmetic.
	Ctx struct {
		X
		Off     int64
		Size    int
		Pointer bool
	}
	// CtxAddr is the address of the context plus Off; with Data, plus the low
	// half of the u32 at Off.
	CtxAddr struct {
		X
		Off  int64
		Data bool
	}
	// Load reads a number or pointer.
	Load struct {
		X
		Mem Mem
	}
	// Ref is a struct or array in memory, not read.
	Ref struct {
		X
		Mem Mem
	}
	// Addr is the address of Mem.
	Addr struct {
		X
		Mem Mem
	}
	// Get reads a variable.
	Get struct {
		X
		Var *Variable
	}
	// MapGet reads a map; a missing entry reads as 0 or "".
	MapGet struct {
		X
		Map  *Map
		Keys []Expr
	}
	// Call is a builtin.
	Call struct {
		X
		ID Builtin
	}
	// Unary is ! ~ or -.
	Unary struct {
		X
		Op string
		A  Expr
	}
	// Binary is arithmetic, bits, or a comparison of numbers by Signed.
	Binary struct {
		X
		Op     string
		Signed bool
		A, B   Expr
	}
	// Logic is && or ||.
	Logic struct {
		X
		Op   string
		A, B Expr
	}
	// Cond is C ? A : B.
	Cond struct {
		X
		C, A, B Expr
	}
	// StrCmp is A == B, or A != B with Not, of strings.
	StrCmp struct {
		X
		A, B Expr
		Not  bool
	}
	// Cast extends or truncates to Type.
	Cast struct {
		X
		A Expr
	}
	// Bound is A, an index below N; another is a failed read.
	Bound struct {
		X
		A Expr
		N int32
	}
	// StrRead reads a string of at most Type.Size bytes.
	StrRead struct {
		X
		Addr Expr
		Null bool // Addr may be NULL: tested
		User bool
	}
	// Sym is an address to be shown as a symbol.
	Sym struct {
		X
		Addr Expr
		User bool
	}
	// IncVar adds Delta to a variable.
	IncVar struct {
		X
		Var   *Variable
		Delta int64
		Post  bool
	}
	// IncMap adds Delta to a map's value.
	IncMap struct {
		X
		Map   *Map
		Keys  []Expr
		Delta int64
		Post  bool
	}
)

// Stmt is a statement.
type Stmt interface{ At() diag.Span }

// S is what all statements have.
type S struct{ Span diag.Span }

// At is the statement's place.
func (s S) At() diag.Span { return s.Span }

type (
	// Eval is an expression for its effect.
	Eval struct {
		S
		E Expr
	}
	// SetVar is $x = Val.
	SetVar struct {
		S
		Var *Variable
		Val Expr
	}
	// SetMap is @x[Keys] = Val.
	SetMap struct {
		S
		Map  *Map
		Keys []Expr
		Val  Expr
	}
	// Aggregate is @x[Keys] = count() and the like; Val is nil for count.
	Aggregate struct {
		S
		Map  *Map
		Keys []Expr
		Val  Expr
	}
	// Send sends a record.
	Send struct {
		S
		Action *Action
	}
	// Delete removes an entry.
	Delete struct {
		S
		Map  *Map
		Keys []Expr
	}
	// If is a branch.
	If struct {
		S
		Cond       Expr
		Then, Else []Stmt
	}
	// Block is statements with a scope of their own.
	Block struct {
		S
		Body []Stmt
	}
	// Return ends the program.
	Return struct{ S }
)
