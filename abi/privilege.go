package abi

import "slices"

// Defines Privileges: what a program may do that one of an unprivileged user
// may not; and what the unprivileged have at all (capabilities(7),
// /proc/sys/kernel/unprivileged_bpf_disabled; asked of Linux 6.1 and 6.12).

// Privileges are what the loader's capabilities allow a program. The verifier
// asks for these, never for who loads. (CAP_PERFMON also leaves out barriers
// against speculative stores, which no verdict depends on.)
type Privileges struct {
	BPF          bool // CAP_BPF: functions, loops, every program type, map type and helper
	PointerLeaks bool // CAP_PERFMON: pointers may be stored, compared, returned and taken apart
	UninitStack  bool // CAP_PERFMON and Linux 6.3 (6.1 has it as a fix): stack that was never written may be read
	Speculation  bool // CAP_PERFMON: what the processor may do ahead of a check is no concern
}

// PrivilegesOf are a loader's with all capabilities or with none.
func PrivilegesOf(privileged bool, v Version) Privileges {
	if !privileged {
		return Privileges{}
	}
	return Privileges{BPF: true, PointerLeaks: true, UninitStack: v >= V(6, 3) || v >= V(6, 1) && v < V(6, 2), Speculation: true}
}

// SpeculationBarriers is the release from which on the kernel puts a barrier
// where it rejected what is only unsafe on a path that is speculated.
var SpeculationBarriers = V(6, 16)

// ForAll reports whether unprivileged users may load programs of this type.
func (t ProgType) ForAll() bool { return t == SocketFilter || t == CGroupSKB }

// mapsForAll are the map types that unprivileged users may make.
var mapsForAll = []MapType{
	MapHash, MapPerCPUHash, MapHashOfMaps, MapArray, MapPerCPUArray, MapArrayOfMaps, MapProgArray, MapPerfEvent,
	MapCgroupArray, MapCgroupStor, MapPerCPUCgStor, MapRingBuf, MapUserRingBuf,
}

// ForAll reports whether unprivileged users may make maps of this type.
func (t MapType) ForAll() bool { return slices.Contains(mapsForAll, t) }

// helpersWithBPF are the numbers of the helpers that program types for all
// have with CAP_BPF or CAP_PERFMON only.
var helpersWithBPF = []int32{
	6, 35, 80, 93, 94, 112, 113, 114, 115, 118, 123, 136, 137, 138, 139, 140, 149, 153, 154, 158, 164, 165, 169, 170, 171, 172,
	175, 177, 178, 181, 194, 196, 197, 198, 199, 200, 201, 202, 203, 209, 210, 211,
}

// ForAll reports whether programs of unprivileged users have the helper, if their type does.
func (h *Helper) ForAll() bool { return !slices.Contains(helpersWithBPF, h.ID) }

// ForAll reports whether programs of unprivileged users may access a field of
// the context, if their type may: cgroup_skb's packet pointers and, to write, its time stamp.
func (f *CtxField) ForAll(write bool) bool {
	switch f.Kind {
	case CtxPacket, CtxPacketEnd, CtxPacketMeta:
		return false
	}
	return !write || f.Name != "tstamp"
}
