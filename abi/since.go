package abi

import (
	"fmt"
	"slices"
)

// Defines since when kernels have what: program types, attach types, map
// types, helpers by program type, instructions, limits. Every profile
// (--target 5.10, 6.1, …) comes from these tables. Sources:
// include/uapi/linux/bpf.h by release, docs.kernel.org/bpf, bpf-helpers(7);
// which program types have a helper was asked of Linux 6.1, 6.12 and 6.18, so
// that a change in between is given as the release where it was first seen.

// Oldest and Newest are the releases that the tables describe.
var Oldest, Newest = V(5, 4), V(6, 18)

// Profiles are the long-term releases in between.
var Profiles = []Version{V(5, 4), V(5, 10), V(5, 15), V(6, 1), V(6, 6), V(6, 12), V(6, 18)}

// progSince: types that are not here are older than Oldest.
var progSince = map[ProgType]Version{
	Tracing: V(5, 5), StructOps: V(5, 6), Ext: V(5, 6), LSM: V(5, 7), SKLookup: V(5, 9), Syscall: V(5, 14), Netfilter: V(6, 4),
}

// attachSince narrows progSince by the expected attach type.
var attachSince = []struct {
	typ  ProgType
	at   []AttachType
	what string
	v    Version
}{
	{Tracing, []AttachType{AttachModifyRet}, "fmod_ret", V(5, 7)},
	{Tracing, []AttachType{AttachTraceIter}, "iter", V(5, 8)},
	{XDP, []AttachType{AttachXDPDevmap}, "xdp/devmap", V(5, 8)},
	{CGroupSockAddr, []AttachType{29, 30, 31, 32}, "getpeername, getsockname", V(5, 8)},
	{XDP, []AttachType{AttachXDPCpumap}, "xdp/cpumap", V(5, 9)},
	{CGroupSock, []AttachType{34}, "sock_release", V(5, 9)},
	{SKSKB, []AttachType{38}, "sk_skb/verdict", V(5, 13)},
	{SKReuseport, []AttachType{40}, "sk_reuseport/migrate", V(5, 14)},
	{Kprobe, []AttachType{42}, "kprobe.multi", V(5, 18)},
	{LSM, []AttachType{AttachLSMCgroup}, "lsm_cgroup", V(6, 0)},
	{Kprobe, []AttachType{48}, "uprobe.multi", V(6, 6)},
	{CGroupSockAddr, []AttachType{49, 50, 51, 52, 53}, "UNIX socket addresses", V(6, 7)},
	{Kprobe, []AttachType{56}, "kprobe.session", V(6, 10)},
	{Kprobe, []AttachType{57}, "uprobe.session", V(6, 13)},
}

// sleepSince: since when programs of a type may sleep.
var sleepSince = map[ProgType]Version{Tracing: V(5, 10), LSM: V(5, 10), Syscall: V(5, 14), Kprobe: V(6, 0), StructOps: V(6, 0), Ext: V(5, 10)}

// AttachSince is the first release with programs like a, and what it is that
// came then.
func AttachSince(a Attach) (Version, string) {
	v, what := progSince[a.Type], "program type "+a.Type.String()
	for _, s := range attachSince {
		if s.typ == a.Type && slices.Contains(s.at, a.Expected) && s.v > v {
			v, what = s.v, fmt.Sprintf("%s (%s)", what, s.what)
		}
	}
	if s := sleepSince[a.Type]; a.Sleepable && s > v {
		v, what = s, "sleepable "+a.Type.String()+" programs"
	}
	if a.Type == Tracing && a.Expected == AttachTraceIter && a.Sleepable && v < V(6, 0) {
		v, what = V(6, 0), "sleepable iter programs"
	}
	return v, what
}

// mapSince: types that are not here are older than Oldest.
var mapSince = map[MapType]Version{
	MapStructOps: V(5, 6), MapRingBuf: V(5, 8), MapInodeStorage: V(5, 10), MapTaskStorage: V(5, 11), MapBloom: V(5, 16),
	MapUserRingBuf: V(6, 1), MapCgrpStorage: V(6, 2), MapArena: V(6, 9),
}

// MapSince is the first release with maps of type t; 0: before Oldest.
func MapSince(t MapType) Version { return mapSince[t] }

// lateHelpers are helpers that program types got after the helper itself had
// come: in v at the latest, and not in the profile before.
var lateHelpers = []struct {
	v   Version
	ids []int32
	to  []ProgType
	// expected narrows to programs of this attach type; 0: all.
	expected AttachType
}{
	{V(6, 12), []int32{14, 80, 123}, lateNetwork, 0},
	{V(6, 12), []int32{37}, lateCgroup, 0},
	{V(6, 12), []int32{120}, append(append([]ProgType{SKMsg}, lateNetwork...), lateCgroup...), 0},
	{V(6, 12), []int32{174}, []ProgType{RawTracepoint, RawTracepointWrit}, 0},
	{V(6, 12), []int32{174}, []ProgType{Tracing}, AttachTraceRawTp},
	{V(6, 18), []int32{15}, append([]ProgType{Netfilter}, lateNetwork...), 0},
	{V(6, 18), []int32{16, 37}, append([]ProgType{Netfilter, SKMsg}, lateNetwork...), 0},
	{V(6, 18), []int32{17}, []ProgType{
		SocketFilter, Kprobe, Tracepoint, XDP, PerfEvent, CGroupSKB, SockOps, SKSKB, RawTracepoint, SKReuseport, FlowDissector,
		RawTracepointWrit, Tracing, SKLookup, Syscall, Netfilter, LSM,
	}, 0},
	{V(6, 18), []int32{22, 55, 109, 117, 141, 148, 156, 157, 176, 180, 191}, append(append([]ProgType{Netfilter, SKMsg}, lateNetwork...), lateCgroup...), 0},
	{V(6, 18), []int32{39}, []ProgType{LWTSeg6Local}, 0},
	{V(6, 18), []int32{122}, []ProgType{SocketFilter, SchedCLS, SchedACT, CGroupSKB}, 0},
	{V(5, 11), []int32{107, 108}, []ProgType{Tracing}, 0},
	{V(5, 12), []int32{46}, []ProgType{Tracing}, 0},
	{V(5, 14), []int32{46}, []ProgType{SKReuseport}, 0},
}

var (
	lateNetwork = []ProgType{
		SocketFilter, SchedCLS, SchedACT, XDP, CGroupSKB, LWTIn, LWTOut, LWTXmit, SockOps, SKSKB, LWTSeg6Local, SKReuseport, FlowDissector, SKLookup,
	}
	lateCgroup = []ProgType{CGroupSock, CGroupDevice, CGroupSockAddr, CGroupSysctl, CGroupSockopt}
)

// HelperSince is the first release in which programs of row p have h; it does
// not say whether they have it at all (see Helper.Has).
func HelperSince(h *Helper, p *Program) Version {
	v := h.Since
	if h.Perfmon && !p.Tracing && !h.PerfmonAlways && v < V(6, 1) {
		v = V(6, 1) // how much earlier is not known
	}
	for _, l := range lateHelpers {
		if l.v > v && slices.Contains(l.ids, h.ID) && slices.Contains(l.to, p.Type) && (l.expected == 0 || l.expected == p.Expected) {
			v = l.v
		}
	}
	return v
}

// Feature is something of the instruction set or the verifier that came with a release.
type Feature uint8

const (
	FeatureBoundedLoops Feature = iota
	FeatureGlobalFuncs
	FeatureKsyms      // addresses of typed kernel variables
	FeatureAtomics    // atomics other than a plain addition
	FeatureFuncPtr    // addresses of functions, for callbacks
	FeatureKfuncs     // calls of kernel functions
	FeatureCPUv4      // sign-extending loads and moves, signed division, byte swaps, 32-bit jump offsets
	FeatureMayGoto    // conditional jumps that end by themselves
	FeatureAddrSpaces // address-space casts
	FeatureOrdered    // load-acquire, store-release
	numFeatures
)

var features = [numFeatures]struct {
	what  string
	since Version
}{
	FeatureBoundedLoops: {"loops", V(5, 3)},
	FeatureGlobalFuncs:  {"global functions that are verified once", V(5, 6)},
	FeatureKsyms:        {"addresses of typed kernel symbols", V(5, 10)},
	FeatureAtomics:      {"atomic instructions beyond addition (-mcpu=v3)", V(5, 12)},
	FeatureFuncPtr:      {"addresses of functions (callbacks)", V(5, 13)},
	FeatureKfuncs:       {"calls of kernel functions", V(5, 13)},
	FeatureCPUv4:        {"instructions of -mcpu=v4", V(6, 6)},
	FeatureMayGoto:      {"may_goto", V(6, 9)},
	FeatureAddrSpaces:   {"address-space casts (arena)", V(6, 9)},
	FeatureOrdered:      {"load-acquire and store-release", V(6, 15)},
}

// Since is the first release with f.
func (f Feature) Since() Version { return features[f].since }

// String is what f is called in messages.
func (f Feature) String() string { return features[f].what }

// Limits bound programs.
type Limits struct {
	Insns     int // slots of a program as it is loaded
	Processed int // instructions that the verifier walks
	Pending   int // branches that wait for it
}

// LimitsOf are a release's limits; without CAP_BPF programs are shorter.
func LimitsOf(_ Version, privileged bool) Limits {
	l := Limits{Insns: 1_000_000, Processed: 1_000_000, Pending: 8192}
	if !privileged {
		l.Insns = 4096
	}
	return l
}
