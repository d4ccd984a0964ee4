package explain

import (
	"fmt"

	"github.com/gtrace-dev/gtrace/verify/fault"
)

// This file says what to write instead.

func advice(f fault.Fault, p *Path, t *trail, chain []event) string {
	switch f := f.(type) {
	case fault.NullableDeref:
		return fmt.Sprintf("test the pointer before this line, and leave where it is NULL: if (!ptr) return 0;%s", p.origin(t, chain))
	case fault.ScalarDeref:
		return p.notPointer(t, chain)
	case fault.UninitRegister:
		return p.noValue(t, chain)
	case fault.MapValueBounds:
		return p.within(f.Off, f.ValueSize, chain)
	case fault.MemBounds:
		return p.within(f.Off, f.MemSize, chain)
	case fault.StackBounds, fault.UnboundedAccess:
		return p.bound(chain)
	case fault.PointerArithmetic:
		switch f.Reason {
		case fault.ArithNullable:
			return "test the pointer for NULL first, then move it"
		case fault.ArithUnboundedMin, fault.ArithRange:
			return p.bound(chain)
		case fault.Arith32:
			return "keep pointers in 64-bit variables: no (u32) or (int) on the way"
		}
	case fault.WrongSize:
		return p.size(f, chain)
	case fault.UninitStack:
		return "set the variable to zero before its fields are set (= {}, or memset for the padding between fields too)"
	case fault.LeakedReference:
		return fmt.Sprintf("release what %s gave on every path, also on those that return early", f.Func)
	case fault.ReturnRange:
		return fmt.Sprintf("return a number from %s on every path", f.Allowed)
	case fault.CtxAccess:
		return "read fields of the context by their names and with their own sizes; other kernel data is reached through helpers"
	case fault.CtxModified:
		return "use the context as the program got it: keep the offset constant, or copy what is behind it to the stack first"
	case fault.StackTooDeep:
		return "move large local variables to a per-CPU array map, or split the chain of calls"
	case fault.TooComplex:
		return "give loops a small constant bound, or use bpf_loop (Linux 5.17), which is verified once"
	case fault.InfiniteLoop:
		return "change a variable on every turn that ends the loop at a constant bound"
	case fault.InRegion:
		return "leave the region first, on every path: unlock, or end the read-side or atomic section"
	case fault.WrongArgument:
		return fmt.Sprintf("give %s as argument %d", f.Want, f.Arg)
	case fault.GPLHelper:
		return `declare a license that is compatible: char LICENSE[] SEC("license") = "GPL";`
	case fault.StackObject:
		return "touch the object only through the functions made for it, and leave its bytes alone until it is given up"
	case fault.KsymAddress:
		return "declare the symbol __weak and test its address before use, or verify for a kernel that has it"
	case fault.MapHelper:
		return "use a map of a type that the function works on, or the function for this type of map"
	case fault.DivByZero:
		return "divide by a variable, which may be 0 (the result is then 0), or by another constant"
	case fault.LockState:
		return "take one lock, give back the same one, in this order, on every path"
	case fault.Recursion, fault.TooManyFrames:
		return "make the chain of calls shorter: a loop with a constant bound in place of a call of itself, functions inlined"
	case fault.MixedAccess:
		return "access each kind of memory in its own branch: compilers merge like loads behind a branch (barrier: asm volatile(\"\"))"
	case fault.CorePoison:
		return "guard the access: if (bpf_core_field_exists(…)), or name the type as the target has it (type___flavour)"
	case fault.ReleaseUnowned:
		return "release a reference once, through the pointer that was acquired, and not after it was given away"
	}
	return ""
}

// origin names the call that a pointer came from.
func (p *Path) origin(t *trail, chain []event) string {
	if len(chain) == 0 || chain[0].kind != isResult {
		return ""
	}
	return fmt.Sprintf(" (%s may return NULL)", p.Func(t.slot(chain[0].step)))
}

// notPointer says how a number came to be used as a pointer.
func (p *Path) notPointer(t *trail, chain []event) string {
	if len(chain) == 0 {
		return "keep the pointer in a variable of pointer type that the verifier can follow"
	}
	for i := len(chain) - 1; i >= 0; i-- {
		e := chain[i]
		switch e.kind {
		case isVoided:
			return fmt.Sprintf("use the pointer before the call of %s, or get it again behind it", p.Func(t.slot(e.step)))
		case isTested:
			if chain[0].kind == isResult {
				return "on this path the pointer is NULL: the test is the wrong way round, or the access belongs to the other branch"
			}
		case isCut:
			return "keep pointers in 64-bit variables: no (u32) or (int) on the way"
		}
	}
	switch chain[0].kind {
	case isLoaded, isRestored:
		return "memory whose type is not known holds numbers: read what it points to with bpf_probe_read_kernel or bpf_probe_read_user (BPF_CORE_READ), or get the pointer by its type"
	case isResult:
		return fmt.Sprintf("%s returns a number: read what it points to with bpf_probe_read_kernel or bpf_probe_read_user", p.Func(t.slot(chain[0].step)))
	}
	return "only pointers that the kernel gave to the program can be followed"
}

func (p *Path) noValue(t *trail, chain []event) string {
	if len(chain) > 0 && chain[0].kind == isLost {
		return "keep the value in r6 to r9 or on the stack over the call; in C: assign the variable on every path"
	}
	if len(t.steps) == 0 || len(chain) == 0 {
		return "assign it on every path that leads here; at the start only r1 (the context) and r10 (the stack) have values"
	}
	return ""
}

// within says how to stay within size bytes.
func (p *Path) within(off fault.Span, size int64, chain []event) string {
	if off.Lo == off.Hi {
		return fmt.Sprintf("the offset is the same on every run: it must be 0 to %d, less the bytes accessed; or declare the memory larger", size)
	}
	return p.bound(chain)
}

func (p *Path) bound(chain []event) string {
	for _, e := range chain {
		if e.kind != otherTested {
			continue
		}
		if e.narrow {
			return "compare the variable itself, in its full width: declare it as u32 or u64 once and use it for the test and for the access"
		}
		return "use the variable that was compared for the access: compilers may test one copy and use another (an empty asm volatile(\"\" : \"+r\"(i)) before the test ties them)"
	}
	return "bound the index just before the access: if (i >= SIZE) return 0; with i unsigned, or i &= SIZE - 1 where SIZE is a power of two"
}

func (p *Path) size(f fault.WrongSize, chain []event) string {
	switch f.Reason {
	case fault.SizeNegative:
		return "make the size unsigned, or leave where it is negative: if (n < 0) return 0;"
	case fault.SizeZero:
		return "leave where the size is 0"
	case fault.SizeVariable:
		return "give a number that is known when the program is compiled"
	}
	return p.bound(chain)
}
