// Package ast defines the tree of a parsed script: what was written, with its
// places in the text, and nothing of types.
package ast

import "github.com/gtrace-dev/gtrace/script/diag"

// File is a whole script.
type File struct{ Clauses []*Clause }

// Clause is attach points, a predicate and statements.
type Clause struct {
	Attach []*AttachPoint
	Pred   Expr // nil without
	Body   []Stmt
	Span   diag.Span
}

// AttachPoint is TYPE:FIELD:FIELD+OFFSET as written.
type AttachPoint struct {
	Type   string
	Fields []string
	Offset uint64
	Span   diag.Span
	At     []diag.Span // of Type, then of each field
}

// Stmt is a statement.
type Stmt interface {
	Node
	stmt()
}

// Expr is an expression.
type Expr interface {
	Node
	expr()
}

// Node is anything with a place in the text.
type Node interface{ At() diag.Span }

// Pos is a node's place; nodes embed it.
type Pos struct{ Span diag.Span }

// At is the node's place.
func (p Pos) At() diag.Span { return p.Span }

type (
	// ExprStmt is an expression for its effect.
	ExprStmt struct {
		Pos
		X Expr
	}
	// Assign is Target Op Value, Op being = or a compound such as +=.
	Assign struct {
		Pos
		Target Expr // Var or MapRef
		Op     string
		Value  Expr
		Let    bool
	}
	// If is if (Cond) Then else Else.
	If struct {
		Pos
		Cond       Expr
		Then, Else []Stmt
	}
	// Unroll repeats Body Count times.
	Unroll struct {
		Pos
		Count Expr
		Body  []Stmt
	}
	// Block is { … } as a statement.
	Block struct {
		Pos
		Body []Stmt
	}
	// Return ends the clause.
	Return struct{ Pos }
)

func (*ExprStmt) stmt() {}
func (*Assign) stmt()   {}
func (*If) stmt()       {}
func (*Unroll) stmt()   {}
func (*Block) stmt()    {}
func (*Return) stmt()   {}

type (
	// Int is a number or a character.
	Int struct {
		Pos
		Val      uint64
		Unsigned bool
	}
	// Str is a string literal.
	Str struct {
		Pos
		Val string
	}
	// Ident is a builtin or another bare name.
	Ident struct {
		Pos
		Name string
	}
	// Var is $Name.
	Var struct {
		Pos
		Name string
	}
	// MapRef is @Name or @Name[Keys].
	MapRef struct {
		Pos
		Name string
		Keys []Expr // nil without brackets
	}
	// Param is the positional parameter $N.
	Param struct {
		Pos
		N int
	}
	// ParamCount is $#.
	ParamCount struct{ Pos }
	// Unary is Op X, Op one of ! ~ - * &.
	Unary struct {
		Pos
		Op string
		X  Expr
	}
	// IncDec is ++ or --, before or behind X.
	IncDec struct {
		Pos
		Op   string
		X    Expr
		Post bool
	}
	// Binary is X Op Y; OpAt is the operator's place.
	Binary struct {
		Pos
		Op   string
		OpAt diag.Span
		X, Y Expr
	}
	// Ternary is Cond ? X : Y.
	Ternary struct {
		Pos
		Cond, X, Y Expr
	}
	// Call is Name(Args).
	Call struct {
		Pos
		Name   string
		NameAt diag.Span
		Args   []Expr
	}
	// Member is X.Name or X->Name.
	Member struct {
		Pos
		X      Expr
		Name   string
		NameAt diag.Span
		Arrow  bool
	}
	// Index is X[I].
	Index struct {
		Pos
		X, I Expr
	}
	// Cast is (Type)X.
	Cast struct {
		Pos
		Type *TypeName
		X    Expr
	}
	// Sizeof is sizeof(Type) or sizeof(X).
	Sizeof struct {
		Pos
		Type *TypeName // nil with X
		X    Expr
	}
)

func (*Int) expr()        {}
func (*Str) expr()        {}
func (*Ident) expr()      {}
func (*Var) expr()        {}
func (*MapRef) expr()     {}
func (*Param) expr()      {}
func (*ParamCount) expr() {}
func (*Unary) expr()      {}
func (*IncDec) expr()     {}
func (*Binary) expr()     {}
func (*Ternary) expr()    {}
func (*Call) expr()       {}
func (*Member) expr()     {}
func (*Index) expr()      {}
func (*Cast) expr()       {}
func (*Sizeof) expr()     {}

// TypeName is a type as written: struct foo *.
type TypeName struct {
	Pos
	Keyword string // "struct", "union", "enum", ""
	Name    string
	Stars   int
}
