package script

import "github.com/gtrace-dev/gtrace/script/env"

// The types of package env, under the names by which the compiler's users know them.
type (
	Env         = env.Env
	Pattern     = env.Pattern
	NotFound    = env.NotFound
	NoDebugInfo = env.NoDebugInfo
	Arg         = env.Arg
	Loc         = env.Loc
	Piece       = env.Piece
	PieceKind   = env.PieceKind
)

// Where a piece of a value is.
const (
	InReg   = env.InReg
	AtReg   = env.AtReg
	Const   = env.Const
	DataLoc = env.DataLoc
	InCtx   = env.InCtx
)
