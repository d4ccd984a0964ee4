package main

// This file lists the mutants.

var (
	scalars = test{"./verify/scalar", "Test", ""}
	chains  = test{"./verify", "TestChains", "-chains 4000"}
	joins   = test{"./verify", "TestPruning", "-pruning 6000"}
	sound   = test{"./verify", "TestRandomSound", "-sound 20000"}
)

// golden is a golden case of the verifier.
func golden(name string) test {
	return test{"./internal/testkit", "TestVerify/^" + name + "$", ""}
}

var mutants = []mutant{
	// Numbers.
	{"OR's 32-bit bounds", "verify/scalar/alu.go",
		"max(a.UMin32, b.UMin32), uint32(r.Bits.Max())", "max(a.UMin32, b.UMin32), max(a.UMax32, b.UMax32)", scalars},
	{"JMP32 narrows all 64 bits", "verify/scalar/cond.go",
		"a, b = less(code, is32, a, b)", "a, b = less(code, false, a, b)", scalars},
	{"JMP32 by known bits of all 64", "verify/scalar/cond.go",
		"a.Bits, b.Bits = a.Bits.WithLow32(low), b.Bits.WithLow32(low)", "a.Bits, b.Bits = low, low", scalars},
	{"32-bit shift keeps the upper half", "verify/scalar/alu.go",
		"r.Bits = low.Arsh(n, 32)", "r.Bits = a.Bits.Arsh(n, 64)", scalars},
	{"32-bit shift by 32 and more", "verify/scalar/alu.go",
		"return b.Const32() && b.UMax32 < 32 && b.UMax < 32", "return b.Const32() && b.UMax32 < 64 && b.UMax < 64", scalars},
	{"sign of a 64-bit shift", "verify/scalar/alu.go",
		"r.SMin, r.SMax = math.MinInt64, math.MaxInt64\n\t\tr.UMin, r.UMax = a.UMin>>n, a.UMax>>n", "r.UMin, r.UMax = a.UMin>>n, a.UMax>>n", scalars},
	{"signs of the low half", "verify/scalar/bounds.go",
		"case s.UMax32 < uint32(s.SMin32):", "case s.UMax32 <= uint32(s.SMin32):", scalars},
	{"constants of 32 bits are not sign-extended", "verify/alu.go",
		"src := state.Constant(uint64(int64(in.Imm)))", "src := state.Constant(uint64(uint32(in.Imm)))", sound},
	{"compared constants are not sign-extended", "verify/jump.go",
		"src := state.Constant(uint64(int64(in.Imm)))", "src := state.Constant(uint64(uint32(in.Imm)))", sound},
	{"more copies are narrowed than the kernel does", "verify/jump.go",
		"maxLinked = 6", "maxLinked = 60", golden("fault_pointer_arithmetic_copies")},
	{"a sum of 32 bits is tied to a number of more", "verify/alu.go",
		"op.Is32 && !dst.Val.Fits32(),", "false,", chains},

	// Pointers.
	{"arithmetic on pointers that may be NULL", "verify/alu.go",
		"if ptr.Nullable {", "if false {", golden("fault_pointer_arithmetic_nullable")},
	{"helpers write to read-only maps", "verify/mem/mapvalue.go",
		"if write && (m.Frozen || m.Flags&abi.MapRdonlyProg != 0) {", "if write && m.Flags&abi.MapRdonlyProg != m.Flags {", golden("fault_read_only_helper")},
	{"functions leave packets as they are", "verify/summary.go",
		"if callee.changesPacket && !fn.changesPacket || ", "if ", golden("fault_scalar_deref_packet_moved_by_function")},

	// Precision.
	{"pruning without precision", "verify/prune/equal.go",
		"case !precise && m == covers:\n\t\t\treturn true", "case m == covers:\n\t\t\treturn true", chains},
	{"precision ends at loads from the stack", "verify/prune/precise.go",
		"need[s.SlotFrame].slots |= s.slots()\n", "", chains},
	{"precision ends at stores to the stack", "verify/prune/precise.go",
		"need[s.Frame].regs |= src\n}", "}", chains},
	{"precision ends at stores of half a slot", "verify/prune/precise.go",
		"in.Bytes() == 8 && s.SlotLo == s.SlotHi", "true", chains},
	{"precision forgets the second operand", "verify/prune/precise.go",
		"in.Operation() != isa.End {\n\t\t\tf.regs |= src", "in.Operation() != isa.End {\n\t\t\tf.regs |= 0", chains},
	{"precision forgets the other side of a jump", "verify/prune/precise.go",
		"f.regs&(dst|src) != 0:\n\t\tf.regs |= dst | src", "false:", chains},
	{"precision forgets copies narrowed by a jump", "verify/prune/precise.go",
		"need.add(q)\n\t\t\t}\n\t\t\tbreak", "_ = q\n\t\t\t}\n\t\t\tbreak", chains},
	{"precision ends at arguments", "verify/prune/precise.go",
		"f.regs |= callee.regs & args\n", "", chains},
	{"precision ends at results of functions", "verify/prune/precise.go",
		"f.regs |= caller.regs & 1\n", "", chains},
	{"precision ends at fetching atomics", "verify/prune/precise.go",
		"case in.Imm&isa.AtomicFetch != 0:\n\t\tundoFetch(s, need, src)", "case false:", chains},
	{"precision ends at a join", "verify/prune/prune.go",
		"copy(t.fresh(), c.precise)", "t.fresh()", chains},
	{"precision ends at the last state", "verify/prune/precise.go",
		"log = c.log\n\t}\n}\n\n// take", "log = nil\n\t}\n}\n\n// take", chains},
	{"decided jumps need no precision", "verify/jump.go",
		"w.exact(in.Dst)\n\t\tif in.UsesReg() {\n\t\t\tw.exact(in.Src)\n\t\t}\n", "", joins},
	{"offsets need no precision", "verify/alu.go",
		"} else if in.UsesReg() {\n\t\tw.exact(in.Src)\n", "} else if in.UsesReg() {\n", chains},
	{"numbers of the same id need not be the same", "verify/prune/equal.go",
		"a.Off == b.Off && t.ids.match(a.ID, id)", "a.Off == b.Off", chains},
	{"ties to others are not compared", "verify/prune/equal.go",
		"a.Linked == b.Linked && a.Low == b.Low && a.Off == b.Off &&", "", chains},

	// What is live.
	{"half a slot is overwritten", "verify/stack.go",
		"r.Hi-r.Lo == 7 && r.Lo%8 == 0 && in.Bytes() == 8", "true", chains},
	{"calls read no stack", "verify/stack.go",
		"if b.Read {", "if false {", joins},
	{"a function's reads of its caller's stack", "verify/live/stack.go",
		"t.Reads(c.up, c.callSite, int(p.level), m.live[0])", "_ = c.up", chains},
	{"slots of callers", "verify/live/stack.go",
		"live |= m.live[cfg.Next(t.g.Insns, at)-c.start]\n", "", chains},
	{"registers of callers", "verify/prune/equal.go",
		"behind := t.live.RegsAt(at+1) &^ 0b111111\n", "behind := t.live.RegsAt(at+1) & 0\n", chains},
}
