package abi

import "strings"

// Defines which pointers in a global function's prototype mean the context, and
// the words of decl tags on its arguments (tools/lib/bpf/bpf_helpers.h: __arg_*).

// Decl tags of arguments of global functions.
const (
	ArgTagPrefix    = "arg:"
	ArgTagCtx       = "ctx"
	ArgTagNonnull   = "nonnull"
	ArgTagNullable  = "nullable"
	ArgTagTrusted   = "trusted"
	ArgTagUntrusted = "untrusted"
	ArgTagArena     = "arena"
)

// ArgTagsSince is the release that brought tags; what older ones find they do not read.
var ArgTagsSince = V(6, 8)

// ArgTags says since when kernels know a tag.
var ArgTags = map[string]Version{
	ArgTagCtx: V(6, 8), ArgTagNonnull: V(6, 8), ArgTagNullable: V(6, 9), ArgTagTrusted: V(6, 9), ArgTagArena: V(6, 9), ArgTagUntrusted: V(6, 17),
}

// ArgMemSince is the release since which global functions may take pointers to memory.
var ArgMemSince = V(5, 12)

// ptRegsNames are the names that struct pt_regs goes by in prototypes.
var ptRegsNames = []string{"bpf_user_pt_regs_t", "pt_regs"}

// CtxArg says which types the context may have in the prototype of a function.
type CtxArg struct {
	// Names are structs and typedefs that mean the context, tagged or not.
	Names []string
	// Tagged are the names that mean it only where the argument is tagged.
	Tagged []string
	U64    bool   // tagged: a pointer to 64-bit numbers
	Prefix string // tagged: structs whose name begins so
	Any    bool   // tagged: any type
}

// CtxArg says which types the context of p may have in prototypes.
func (p *Program) CtxArg() CtxArg {
	switch p.Type {
	case Kprobe:
		return CtxArg{Names: ptRegsNames}
	case PerfEvent:
		return CtxArg{Names: []string{"bpf_perf_event_data"}, Tagged: ptRegsNames}
	case RawTracepoint, RawTracepointWrit:
		return CtxArg{Names: []string{"bpf_raw_tracepoint_args"}, U64: true}
	case Tracing:
		switch p.Expected {
		case AttachTraceRawTp:
			return CtxArg{Tagged: []string{"bpf_raw_tracepoint_args"}, U64: true}
		case AttachTraceIter:
			return CtxArg{Prefix: "bpf_iter__"}
		}
		return CtxArg{U64: true}
	case LSM, StructOps:
		return CtxArg{U64: true}
	case Tracepoint, Syscall, Ext:
		return CtxArg{Any: true}
	}
	if name, ok := strings.CutPrefix(p.Context.Name, "struct "); ok {
		return CtxArg{Names: []string{name}}
	}
	return CtxArg{}
}
