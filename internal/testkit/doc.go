// Package testkit is what gtrace's tests share: golden cases over .txtar files
// (case.go, golden.go), the running kernel as their oracle (kernel.go), what a
// test needs of the machine (require.go) and processes to trace (target.go).
//
// A golden case is a text file. Its comment says what it shows and how the
// kernel compares:
//
//	kernel: same             the kernel gives the same verdict
//	kernel: stricter: why    the kernel rejects what gtrace accepts
//	kernel: looser: why      the kernel accepts what gtrace rejects
//	since: 6.6               an older kernel is not asked
//
// gtrace's own verdict is for kernel 6.18 on every machine.
//
// Its sections:
//
//	-- prog --      a program as object.ParseAsm reads it; the first .func is the entry
//	-- verdict --   accept, or: reject FAULT-CODE @label, or: unsupported [@label]
//	-- explain --   the rejection as verify/explain renders it
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
// A case with a run section has verdict accept when it has no verdict section.
// Any other section fails. go test ./internal/testkit -update rewrites explain,
// never verdict or run.
package testkit
