package typed

// CanFail reports whether evaluating e may find memory that can't be read.
func CanFail(e Expr) bool {
	switch e := e.(type) {
	case *Load:
		return true
	case *Ref:
		return true
	case *Bound:
		return true
	case *Addr:
		return e.Mem.Null || CanFail(e.Mem.Base)
	case *StrRead:
		return true
	case *Get:
		return e.Var.CanFail
	case *IncVar:
		return e.Var.CanFail
	case *MapGet:
		return e.Map.CanFail || anyFails(e.Keys)
	case *IncMap:
		return e.Map.CanFail || anyFails(e.Keys)
	case *Unary:
		return CanFail(e.A)
	case *Binary:
		return CanFail(e.A) || CanFail(e.B)
	case *Logic:
		return CanFail(e.A) || CanFail(e.B)
	case *Cond:
		return CanFail(e.C) || CanFail(e.A) || CanFail(e.B)
	case *StrCmp:
		return CanFail(e.A) || CanFail(e.B)
	case *Cast:
		return CanFail(e.A)
	case *Sym:
		return CanFail(e.Addr)
	}
	return false
}

func anyFails(es []Expr) bool {
	for _, e := range es {
		if CanFail(e) {
			return true
		}
	}
	return false
}

// Solve finds which variables and maps can hold a value that could not be read.
func Solve(s *Script) {
	for changed := true; changed; {
		changed = false
		for _, p := range s.Programs {
			if solve(p.Body) {
				changed = true
			}
		}
	}
}

func solve(body []Stmt) (changed bool) {
	for _, st := range body {
		switch st := st.(type) {
		case *SetVar:
			if !st.Var.CanFail && CanFail(st.Val) {
				st.Var.CanFail, changed = true, true
			}
		case *SetMap:
			if !st.Map.CanFail && CanFail(st.Val) {
				st.Map.CanFail, changed = true, true
			}
		case *If:
			a, b := solve(st.Then), solve(st.Else)
			changed = changed || a || b
		case *Block:
			if solve(st.Body) {
				changed = true
			}
		}
	}
	return changed
}
