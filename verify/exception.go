package verify

import (
	"strings"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/call"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file walks exceptions: they end all functions of a program at once, and
// its exception callback says what the program returns.

var lateExceptions = fault.Unsupported{What: "exceptions: the target is older than Linux " + abi.ExceptionsSince.String(), Since: abi.ExceptionsSince.String()}

// throwing reports whether a kfunc call throws an exception.
func (w *walk) throwing(in isa.Insn) bool {
	fn := w.img.Kfuncs[in.Imm]
	return fn != nil && fn.Name == abi.KfuncThrow
}

// throw ends the path: what is owned or held would never be given up.
func (w *walk) throw() (int, fault.Fault) {
	if w.img.Target.Version < abi.ExceptionsSince {
		return 0, lateExceptions
	}
	if k := abi.KernelFuncByName(abi.KfuncThrow); !k.Allowed(w.img.Attach, w.img.Target.Version) {
		return 0, fault.ForbiddenKfunc{Func: k.Name, Program: w.row.Name, Reason: fault.KfuncProgram}
	}
	if _, f := call.KernelFunc(w.insns[w.pc].Imm, w.s, &w.rules); f != nil {
		return 0, f
	}
	cookie, f := w.read(isa.R1)
	if f != nil {
		return 0, f
	}
	if cookie.Kind != state.Scalar {
		return 0, fault.WrongArgument{Func: abi.KfuncThrow, Arg: 1, Want: "a number", Got: cookie.Describe()}
	}
	if n := len(w.s.Locks); n > 0 {
		return 0, fault.InRegion{What: "a call of " + abi.KfuncThrow, Region: fault.RegionLock, Since: w.s.Locks[n-1].Insn}
	}
	if f := w.leave("a call of " + abi.KfuncThrow); f != nil {
		return 0, f
	}
	if w.exception == 0 {
		if f := w.result(isa.R1, cookie); f != nil {
			return 0, f
		}
	}
	return end, nil
}

// findException finds the program's exception callback; 0: it has none.
func (w *walk) findException() fault.Fault {
	if len(w.img.Subprogs) == 0 || w.img.Subprogs[0].BTF == nil {
		return nil
	}
	for _, tag := range w.img.Subprogs[0].BTF.Tags {
		name, ok := strings.CutPrefix(tag, abi.ExceptionTag)
		if !ok {
			continue
		}
		if w.img.Target.Version < abi.ExceptionsSince {
			return lateExceptions
		}
		if w.exception != 0 {
			return fault.BadException{Func: name, Reason: fault.ExceptionTwice}
		}
		for f := range w.img.Subprogs {
			if f > 0 && w.img.Subprogs[f].Name == name {
				w.exception = f
			}
		}
		switch {
		case w.exception == 0:
			return fault.BadException{Func: name, Reason: fault.ExceptionMissing}
		case !w.global(w.exception):
			return fault.BadException{Func: name, Reason: fault.ExceptionStatic}
		}
	}
	return nil
}

// exceptionShape judges how the exception callback is used.
func (w *walk) exceptionShape() (int, fault.Fault) {
	if w.exception == 0 {
		return 0, nil
	}
	name := w.graph.Funcs[w.exception].Name
	for f := range w.graph.Funcs {
		for _, c := range w.graph.Funcs[f].Calls {
			if c.Func == w.exception {
				return c.Insn, fault.BadException{Func: name, Reason: fault.ExceptionCalled}
			}
		}
	}
	if w.funcs[w.exception].tailCall {
		return w.graph.Funcs[w.exception].Start, fault.BadException{Func: name, Reason: fault.ExceptionTail}
	}
	return 0, nil
}

// exceptionSignature judges the prototype of the exception callback.
func exceptionSignature(sig *call.Signature) fault.Fault {
	if len(sig.Params) != 1 || sig.Params[0].Kind != call.ParamNumber {
		return fault.BadException{Func: sig.Func, Reason: fault.ExceptionArgs}
	}
	return nil
}
