// Package testkit is what gtrace's tests share: golden cases over .txtar files
// (case.go, golden.go, state.go), the running kernel as their oracle (kernel.go), what a
// test needs of the machine (require.go) and processes to trace (target.go).
//
// A golden case is a text file. Its comment says what it shows and how the
// kernel compares:
//
//	kernel: same             the kernel gives the same verdict
//	kernel: stricter: why    the kernel rejects what gtrace accepts
//	kernel: looser: why      the kernel accepts what gtrace rejects
//	since: 6.6               an older kernel is not asked
//	target: 6.1              judged for that kernel, and no other is asked
//	privileges: none         loaded without any capability
//
// gtrace's own verdict is for kernel 6.18 on every machine; without
// capabilities for 6.12, the last long-term kernel before barriers against
// speculation took the place of rejections.
//
// Its sections:
//
//	-- prog --      a program as object.ParseAsm reads it; the first .func is the entry
//	-- verdict --   accept, or: reject FAULT-CODE @label, or: unsupported [@label]
//	-- explain --   the rejection as verify/explain renders it
//	-- state @label --   what the verifier knows before that instruction; see below
//	-- run --       runs one after the other on the same maps, parted by blank lines:
//	    set NAME KEY = VALUE      updates a map before the run
//	    ctx BYTES                 the context, for a raw tracepoint up to 12 u64 arguments
//	    r0 NUMBER                 the result: 64 bits in the interpreter; the kernel tells the lower 32
//	    map NAME KEY = VALUE      what a map then holds; per-CPU values are added up as u64 words
//	    map NAME KEY absent       … or does not
//	    ring NAME BYTES           the next record in a ring buffer
//
// BYTES, KEY and VALUE are numbers and strings, each kind named once before
// them: u32 7 u64 1 0xff -1 str16 "name" hex 00 ff.
//
// A state section has a line for each register (r0 to r9) and each eight bytes
// of stack (fp-8, fp-16, …; both of the current frame) that it is about:
//
//	r2 = 0..63, bits (0x0; 0x38) = a
//	r8 = value of map table +4+(0..7) or NULL
//
// If the verifier comes there more than once, each state that differs is given,
// in the order of the walk, with a blank line between; so are those at which
// the walk then ends because one judged before covers them. Numbers are ranges
// in all views (s64, u64, s32, u32; one without a name is both 64-bit ones),
// then known bits as value and mask of those not known, each only if it says
// more than what is before it. Numbers with the same letter are tied: one is
// the other plus a constant. The offset of a pointer is a constant and
// (a range). Stack that holds no whole register has a letter for each byte from
// the lowest address on: r stored register, m some number, 0 zero, - never
// written. To add a section, write down the names only (or nothing, for all
// that is known there) and run with -update.
//
// The interpreter compares each instruction of a run with those states too: see
// package sound.
//
// A case with a run section has verdict accept when it has no verdict section.
// Any other section fails. go test ./internal/testkit -update rewrites explain
// and state, never verdict or run.
package testkit
