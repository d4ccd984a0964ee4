package call

import (
	"fmt"

	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/mem"
	"github.com/gtrace-dev/gtrace/verify/scalar"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file judges calls of global functions by their signature.

// Global judges a call of the global function sig in state s.
func Global(s *state.State, l *mem.Layout, sig *Signature) (*Effects, fault.Fault) {
	out := &Effects{Map: -1, Ret: state.Number(scalar.Unknown)}
	for i, p := range sig.Params {
		f := passes(s, l, sig, i, p, out)
		if _, unknown := f.(fault.Unsupported); unknown {
			return nil, f
		}
		if f != nil {
			return nil, fault.GlobalArgument{Func: sig.Func, Arg: i + 1, Why: f}
		}
	}
	return out, nil
}

// passes judges argument i, counted from 0.
func passes(s *state.State, l *mem.Layout, sig *Signature, i int, p Param, out *Effects) fault.Fault {
	r := isa.Reg(i + 1)
	v := s.Reg(r)
	wrong := func(want string) fault.Fault {
		return fault.WrongArgument{Func: sig.Func, Arg: i + 1, Want: want, Got: v.Describe()}
	}
	switch p.Kind {
	case ParamNumber:
		if v.Kind != state.Scalar {
			return wrong("a number")
		}
	case ParamCtx:
		if v.Kind != state.Ctx {
			return wrong("the context")
		}
		return unmoved(r, v)
	case ParamMem:
		return passesMem(s, l, r, p, wrong, out)
	case ParamDynptr:
		c := &checker{s: s, l: l, p: &Proto{Name: sig.Func}, out: out}
		return c.dynptr(r, v, true)
	case ParamBTF:
		return passesBTF(l, r, v, p, wrong)
	}
	return nil
}

// passesMem judges memory, which the function may read and write.
func passesMem(s *state.State, l *mem.Layout, r isa.Reg, p Param, wrong func(string) fault.Fault, out *Effects) fault.Fault {
	v := *s.Reg(r)
	if v.IsNull() {
		return nil
	}
	if v.Nullable && !p.Nullable {
		return wrong("a pointer that is not NULL")
	}
	if v.Nullable { // what matters is what it points to when it is not NULL
		w := v
		w.Nullable = false
		s.Set(r, w)
		defer s.Set(r, v)
	}
	for _, write := range [...]bool{false, true} {
		stack, f := l.Block(s, mem.Block{Base: r, Size: int(p.Size), Write: write})
		if f != nil {
			return f
		}
		out.Stack = append(out.Stack, stack...)
	}
	return nil
}

func passesBTF(l *mem.Layout, r isa.Reg, v *state.Reg, p Param, wrong func(string) fault.Fault) fault.Fault {
	want := fmt.Sprintf("a trusted pointer to %s", l.Types.Name(p.Type))
	switch {
	case v.IsNull() && p.Nullable:
		return nil
	case v.Kind != state.BTF, v.Nullable && !p.Nullable, v.Trust == state.Untrusted, v.Tagged != state.NoTag:
		return wrong(want)
	case v.Type != p.Type:
		return fault.Unsupported{What: "a pointer of another type as an argument of a global function"}
	}
	return unmoved(r, v)
}
