package abi

// Defines the fields of map values that programs may not access like others:
// which types they are, how they are called, and where they are allowed
// (Documentation/bpf/graph_ds_impl.rst, map_*.rst; asked of Linux 6.18).

// SpecialKind is the kind of a special field.
type SpecialKind uint8

const (
	SpinLock SpecialKind = 1 + iota
	ResSpinLock
	Timer
	WorkQueue
	TaskWork
	ListHead
	ListNode
	RBRoot
	RBNode
	Refcount
	KptrUntrusted // pointers, known by the type tag of what they point to
	KptrRef
	KptrPerCPU
	Uptr
)

// Special says what is true of one kind of special field.
type Special struct {
	Kind  SpecialKind
	Name  string // of the struct, or the type tag
	Size  int    // bytes
	Since Version
	// NoTracing: programs of types that IsProbe knows can't use maps that have one; NoSocketFilter: nor socket filters.
	NoTracing, NoSocketFilter bool
}

// SpecialStructs are the structs that are special fields.
var SpecialStructs = []Special{
	{Kind: SpinLock, Name: "bpf_spin_lock", Size: 4, Since: V(5, 1), NoTracing: true, NoSocketFilter: true},
	{Kind: ResSpinLock, Name: "bpf_res_spin_lock", Size: 4, Since: V(6, 15), NoTracing: true, NoSocketFilter: true},
	{Kind: Timer, Name: "bpf_timer", Size: 16, Since: V(5, 15), NoTracing: true},
	{Kind: WorkQueue, Name: "bpf_wq", Size: 16, Since: V(6, 10), NoTracing: true},
	{Kind: TaskWork, Name: "bpf_task_work", Size: 8, Since: V(6, 18)},
	{Kind: ListHead, Name: "bpf_list_head", Size: 16, Since: V(6, 2), NoTracing: true},
	{Kind: ListNode, Name: "bpf_list_node", Size: 24, Since: V(6, 2)},
	{Kind: RBRoot, Name: "bpf_rb_root", Size: 16, Since: V(6, 3), NoTracing: true},
	{Kind: RBNode, Name: "bpf_rb_node", Size: 32, Since: V(6, 3)},
	{Kind: Refcount, Name: "bpf_refcount", Size: 4, Since: V(6, 4)},
}

// SpecialPointers are the type tags that make a pointer a special field.
var SpecialPointers = []Special{
	{Kind: KptrUntrusted, Name: "kptr_untrusted", Size: 8, Since: V(6, 4)},
	{Kind: KptrRef, Name: "kptr", Size: 8, Since: V(6, 4)},
	{Kind: KptrRef, Name: "kptr_ref", Size: 8, Since: V(5, 19)},
	{Kind: KptrPerCPU, Name: "percpu_kptr", Size: 8, Since: V(6, 7)},
	{Kind: Uptr, Name: "uptr", Size: 8, Since: V(6, 13)},
}

// Pointer reports whether fields of the kind are pointers that programs load and store.
func (k SpecialKind) Pointer() bool { return k >= KptrUntrusted }

// IsProbe reports whether programs of type t run wherever a probe sits, so
// that the kernel keeps locks and timers of maps from them.
func (t ProgType) IsProbe() bool {
	switch t {
	case Kprobe, Tracepoint, PerfEvent, RawTracepoint, RawTracepointWrit:
		return true
	}
	return false
}

// rcuTypes are the structs of which RCU keeps an object that a map's value
// holds alive while it is looked at.
var rcuTypes = map[string]Version{"task_struct": V(6, 4), "cgroup": V(6, 4), "bpf_cpumask": V(6, 4), "bpf_crypto_ctx": V(6, 10)}

// RCUType reports whether struct name is one of these in kernels of version v.
func RCUType(name string, v Version) bool {
	since, ok := rcuTypes[name]
	return ok && since <= v
}
