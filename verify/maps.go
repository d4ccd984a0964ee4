package verify

import (
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file defines what of maps and attach targets is not judged yet, and what is known of arguments.

var specialTypes = []string{
	"bpf_spin_lock", "bpf_res_spin_lock", "bpf_timer", "bpf_wq", "bpf_list_head", "bpf_list_node",
	"bpf_rb_root", "bpf_rb_node", "bpf_refcount", "bpf_task_work",
}

// specialField names a field of t that programs may not access like others, or "".
func specialField(t btf.Type) string { return special(t, 0) }

func special(t btf.Type, depth int) string {
	if depth > 16 || t == nil {
		return ""
	}
	var members []btf.Member
	switch v := state.Strip(t).(type) {
	case *btf.Struct:
		for _, n := range specialTypes {
			if v.Name == n {
				return "struct " + n
			}
		}
		members = v.Members
	case *btf.Union:
		members = v.Members
	case *btf.Array:
		return special(v.Type, depth+1)
	case *btf.Pointer:
		if tag, ok := v.Target.(*btf.TypeTag); ok && (strings.Contains(tag.Value, "kptr") || tag.Value == "uptr") {
			return "kernel pointers"
		}
	}
	for _, m := range members {
		if s := special(m.Type, depth+1); s != "" {
			return s
		}
	}
	return ""
}

// nullArgs are the arguments of an attach target that may be NULL, as bits.
func nullArgs(a abi.Attach, v abi.Version) uint64 {
	if a.Type != abi.Tracing || a.Expected != abi.AttachTraceRawTp || v < abi.V(6, 14) {
		return 0
	}
	return nullableArgs[a.Target]
}
