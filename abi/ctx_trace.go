package abi

// Defines the contexts of programs that trace: registers, tracepoints, perf
// events (bpf_perf_event.h; asm/ptrace.h of x86-64), and of syscall programs.

// PtRegsSize is the size of x86-64's struct pt_regs in bytes.
const PtRegsSize = 168

// Registers of struct pt_regs on x86-64, in order, eight bytes each.
var ptRegs = [...]string{
	"r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10", "r9", "r8", "ax",
	"cx", "dx", "si", "di", "orig_ax", "ip", "cs", "flags", "sp", "ss",
}

var (
	ctxPtRegs = Context{Name: "struct pt_regs", Size: PtRegsSize, AnyAligned: true, Fields: regFields(true)}

	// Records of tracepoints start with eight bytes that programs may not see
	// and end at the kernel's PERF_MAX_TRACE_SIZE.
	ctxTracepoint = Context{Name: "tracepoint record", Size: 8192, First: 8, AnyAligned: true}

	ctxRawTracepoint = Context{Name: "struct bpf_raw_tracepoint_args", Size: 96, AnyAligned: true}
	ctxBTFArgs       = Context{Name: "arguments", Size: 96, BTFArgs: true}

	ctxPerfEvent = Context{Name: "struct bpf_perf_event_data", Size: PtRegsSize + 16, Fields: append(regFields(false),
		CtxField{Name: "sample_period", Off: PtRegsSize, Size: 8, Narrow: true},
		CtxField{Name: "addr", Off: PtRegsSize + 8, Size: 8, Narrow: true})}

	// The first argument of a writable tracepoint is a buffer; the others are numbers.
	ctxRawTracepointWritable = Context{Name: "struct bpf_raw_tracepoint_args", Size: 96, AnyAligned: true, Fields: []CtxField{
		{Name: "args[0]", Off: 1, Size: 1}, {Name: "args[0]", Off: 2, Size: 2, Narrow: true}, {Name: "args[0]", Off: 4, Size: 4, Narrow: true},
		{Name: "args[0]", Off: 0, Size: 8, Kind: CtxTPBuffer},
	}}

	// What a syscall program gets is memory of its caller's; its size is known when it runs.
	ctxSyscall = Context{Name: "syscall arguments", Size: 65535, Memory: true}

	ctxLIRC = Context{Name: "u32", Size: 4, Fields: words(0, "sample")}
)

func regFields(narrow bool) []CtxField {
	f := make([]CtxField, len(ptRegs), len(ptRegs)+2)
	for i, n := range ptRegs {
		f[i] = CtxField{Name: n, Off: 8 * i, Size: 8, Narrow: narrow}
	}
	return f
}
