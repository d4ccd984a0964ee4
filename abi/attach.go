package abi

import "slices"

// Defines what is known of attach targets beyond their types: arguments of
// iterators, kernel structs whose members programs implement, and which maps
// sleepable programs may use. Asked of Linux 6.1, 6.12 and 6.18.

// ArgNote says of an argument of an attach target what its type does not.
type ArgNote uint8

const (
	ArgAsTyped          ArgNote = iota
	ArgMayBeNull                // a trusted pointer, or NULL
	ArgLegacyOrNull             // a pointer of which nothing is guaranteed, or NULL
	ArgBufferOrNull             // a buffer whose size is known when the program is attached, or NULL
	ArgReadBufferOrNull         // the same, read-only
	ArgReference                // a reference that the program owns
)

// Iterator is a kind of object that a program can be run for each of.
type Iterator struct {
	Name  string
	Notes []ArgNote // on the arguments behind the first, which is the same for all
}

var iterators = [...]Iterator{
	{Name: "bpf_link", Notes: []ArgNote{ArgLegacyOrNull}},
	{Name: "bpf_map", Notes: []ArgNote{ArgMayBeNull}},
	{Name: "bpf_map_elem", Notes: []ArgNote{ArgAsTyped, ArgReadBufferOrNull, ArgBufferOrNull}},
	{Name: "bpf_prog", Notes: []ArgNote{ArgLegacyOrNull}},
	{Name: "bpf_sk_storage_map", Notes: []ArgNote{ArgAsTyped, ArgLegacyOrNull, ArgBufferOrNull}},
	{Name: "cgroup", Notes: []ArgNote{ArgMayBeNull}},
	{Name: "dmabuf", Notes: []ArgNote{ArgLegacyOrNull}},
	{Name: "ipv6_route", Notes: []ArgNote{ArgLegacyOrNull}},
	{Name: "kmem_cache", Notes: []ArgNote{ArgMayBeNull}},
	{Name: "ksym", Notes: []ArgNote{ArgLegacyOrNull}},
	{Name: "netlink", Notes: []ArgNote{ArgLegacyOrNull}},
	{Name: "sockmap", Notes: []ArgNote{ArgAsTyped, ArgReadBufferOrNull, ArgLegacyOrNull}},
	{Name: "task", Notes: []ArgNote{ArgMayBeNull}},
	{Name: "task_file", Notes: []ArgNote{ArgLegacyOrNull, ArgAsTyped, ArgLegacyOrNull}},
	{Name: "task_vma", Notes: []ArgNote{ArgLegacyOrNull, ArgLegacyOrNull}},
	{Name: "tcp", Notes: []ArgNote{ArgMayBeNull}},
	{Name: "udp", Notes: []ArgNote{ArgMayBeNull}},
	{Name: "unix", Notes: []ArgNote{ArgLegacyOrNull}},
}

// IteratorByName finds an iterator; nil when it is not known.
func IteratorByName(name string) *Iterator {
	for i := range iterators {
		if iterators[i].Name == name {
			return &iterators[i]
		}
	}
	return nil
}

// StructOp is a kernel struct whose members programs may implement.
type StructOp struct {
	Name string
	// Narrowed: arguments that are pointers to struct From are pointers to To.
	From, To string
	// Writable are the members that programs may write, by struct and path.
	Writable []WritableMember
	// Sleepable are the members that sleepable programs may implement (nil: all), Forbidden those that no program may.
	Sleepable, Forbidden []string
	// Helpers are those that its programs have beyond what every type has; Without has those of NotHelpers not.
	Helpers, NotHelpers []int32
	Without             string
	// None: its programs have no helpers at all.
	None bool
}

// has reports whether programs for member have h.
func (o *StructOp) has(member string, h *Helper) bool {
	if o == nil || o.None {
		return false
	}
	if member == o.Without && slices.Contains(o.NotHelpers, h.ID) {
		return false
	}
	return h.Progs == nil || slices.Contains(o.Helpers, h.ID)
}

// WritableMember is a member of a kernel struct, at the end of Path, or with no Path the whole struct.
type WritableMember struct {
	Struct string
	Path   []string
	Since  Version // 0: as long as there are such programs
}

var structOps = [...]StructOp{
	{
		Name: "tcp_congestion_ops", From: "sock", To: "tcp_sock",
		Writable: []WritableMember{
			{"tcp_sock", []string{"inet_conn", "icsk_inet", "sk", "sk_pacing_rate"}, 0},
			{"tcp_sock", []string{"inet_conn", "icsk_inet", "sk", "sk_pacing_status"}, 0},
			{"tcp_sock", []string{"inet_conn", "icsk_ca_priv"}, 0},
			{"tcp_sock", []string{"inet_conn", "icsk_ack", "pending"}, 0},
			{"tcp_sock", []string{"snd_cwnd"}, 0},
			{"tcp_sock", []string{"snd_cwnd_cnt"}, 0},
			{"tcp_sock", []string{"snd_cwnd_stamp"}, 0},
			{"tcp_sock", []string{"snd_ssthresh"}, 0},
			{"tcp_sock", []string{"ecn_flags"}, 0},
			{"tcp_sock", []string{"app_limited"}, V(6, 9)},
		},
		Forbidden: []string{"get_info"},
		Helpers:   []int32{49, 57, 107, 108, 116, 160}, NotHelpers: []int32{49, 57},
		Without: "release",
	},
	{
		Name:      "bpf_dummy_ops",
		Writable:  []WritableMember{{"bpf_dummy_ops_state", nil, 0}},
		Sleepable: []string{"test_sleepable"},
		None:      true,
	},
}

// StructOpByName finds the row of a kernel struct; nil when nothing is known of it.
func StructOpByName(name string) *StructOp {
	for i := range structOps {
		if structOps[i].Name == name {
			return &structOps[i]
		}
	}
	return nil
}

// sleepableMaps are the map types that sleepable programs may use, with the release from which on.
var sleepableMaps = map[MapType]Version{
	MapHash: V(5, 10), MapLRUHash: V(5, 10), MapArray: V(5, 10), MapPerCPUHash: V(5, 12), MapPerCPUArray: V(5, 12), MapLRUPerCPUHash: V(5, 12),
	MapArrayOfMaps: V(5, 12), MapHashOfMaps: V(5, 12), MapRingBuf: V(5, 12), MapUserRingBuf: V(6, 1),
	MapInodeStorage: V(5, 17), MapSKStorage: V(5, 17), MapTaskStorage: V(5, 17), MapCgrpStorage: V(6, 2),
	MapQueue: V(6, 4), MapStack: V(6, 4), MapArena: V(6, 9),
}

// Sleepable reports whether sleepable programs of kernels of version v may use maps of type t.
func (t MapType) Sleepable(v Version) bool {
	since, ok := sleepableMaps[t]
	return ok && since <= v
}

// Functions of the kernel that programs can't be at, and those that have no end to be at (Linux 6.16).
var (
	untraceable = []string{
		"migrate_disable", "migrate_enable", "rcu_read_unlock_strict", "preempt_count_add", "preempt_count_sub",
		"__rcu_read_lock", "__rcu_read_unlock",
	}
	endless = []string{
		"__x64_sys_exit", "__x64_sys_exit_group", "do_exit", "do_group_exit", "kthread_complete_and_exit", "kthread_exit", "make_task_dead",
	}
)

// Untraceable reports whether programs with attach type a can't be at function name.
func Untraceable(name string, a AttachType, v Version) bool {
	if slices.Contains(untraceable, name) {
		return true
	}
	return a != AttachFEntry && v >= V(6, 16) && slices.Contains(endless, name)
}

// ModifiableSince is the first release that has functions made for programs
// to change what they return.
var ModifiableSince = V(6, 3)

// modifiable are functions of the kernel made for programs to change what they return.
var modifiable = []string{
	"bpf_modify_return_test", "bpf_modify_return_test2", "bpf_modify_return_test_tp", "bpf_fentry_test1", "update_socket_protocol",
}

// Modifiable reports whether fmod_ret programs may be at a function that is
// made for it; sleepable: whether they may sleep there. Before Linux 6.3
// errors may be injected into these functions, if the kernel has that.
func Modifiable(name string, sleepable bool) bool {
	return slices.Contains(modifiable, name) && (!sleepable || name == "bpf_fentry_test1")
}
