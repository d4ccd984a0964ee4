package abi

import "slices"

// Defines helpers whose prototype depends on the program type.

// variant replaces what a helper takes for some program types, or in kernels before a release.
type variant struct {
	id     int32
	progs  []ProgType // nil: all
	before Version    // 0: in all kernels
	args   []ArgKind
	typ    string // of its ArgBTF argument
}

// What Linux 6.1 did not take and 6.12 does; in which release between that began is not known.
const later = Version(6<<16 | 12<<8)

var variants = [...]variant{
	{17, progsSkbClassid, 0, []ArgKind{ArgCtx}, ""},
	{46, progsSocketCookie, 0, []ArgKind{ArgAnySockOrNull}, ""},
	{49, progsSockArgument, 0, []ArgKind{ArgAnySock, ArgAnything, ArgAnything, ArgMem, ArgConstSize}, ""},
	{57, progsSockArgument, 0, []ArgKind{ArgAnySock, ArgAnything, ArgAnything, ArgUninitMem, ArgConstSize}, ""},
	{84, nil, later, []ArgKind{ArgCtx, ArgMem, ArgConstSize, ArgAnything, ArgAnything}, ""},
	{85, nil, later, []ArgKind{ArgCtx, ArgMem, ArgConstSize, ArgAnything, ArgAnything}, ""},
	{99, nil, later, []ArgKind{ArgCtx, ArgMem, ArgConstSize, ArgAnything, ArgAnything}, ""},
	{107, progsCGroupSock, 0, []ArgKind{ArgConstMapPtr, ArgCtx, ArgMapValueOrNull, ArgAnything}, ""},
	{107, progsTypedSock, later, []ArgKind{ArgConstMapPtr, ArgBTF, ArgMapValueOrNull, ArgAnything}, "sock_common"},
	{107, progsTypedSock, 0, []ArgKind{ArgConstMapPtr, ArgBTFOrNull, ArgMapValueOrNull, ArgAnything}, "sock_common"},
	{108, progsTypedSock, later, []ArgKind{ArgConstMapPtr, ArgBTF}, "sock_common"},
	{108, progsTypedSock, 0, []ArgKind{ArgConstMapPtr, ArgBTFOrNull}, "sock_common"},
	{124, progsSKLookup, 0, []ArgKind{ArgCtx, ArgSockOrNull, ArgAnything}, ""},
	{145, nil, later, []ArgKind{ArgConstMapPtr, ArgBTF, ArgMapValueOrNull, ArgAnything}, "inode"},
	{146, nil, later, []ArgKind{ArgConstMapPtr, ArgBTF}, "inode"},
	{156, nil, later, []ArgKind{ArgConstMapPtr, ArgBTF, ArgMapValueOrNull, ArgAnything}, "task_struct"},
	{157, nil, later, []ArgKind{ArgConstMapPtr, ArgBTF}, "task_struct"},
	{188, progsLSMSyscallTracing, 0, []ArgKind{ArgBTF}, "xdp_buff"},
	{204, nil, later, []ArgKind{ArgFixedMem, ArgMem, ArgConstSize}, ""},
	{205, nil, later, []ArgKind{ArgFixedMem, ArgMem, ArgConstSize}, ""},
	{210, nil, later, []ArgKind{ArgConstMapPtr, ArgBTF, ArgMapValueOrNull, ArgAnything}, "cgroup"},
	{211, nil, later, []ArgKind{ArgConstMapPtr, ArgBTF}, "cgroup"},
}

var (
	progsSkbClassid   = []ProgType{LWTIn, LWTOut, LWTSeg6Local, LWTXmit, SchedACT, SchedCLS}
	progsSockArgument = []ProgType{CGroupSockopt, LSM, Tracing}
	progsSocketCookie = []ProgType{LSM, SKReuseport, Syscall, Tracing}
	progsTypedSock    = []ProgType{LSM, Tracing}
	progsCGroupSock   = []ProgType{CGroupSock}
	progsSKLookup     = []ProgType{SKLookup}
)

// varied is made of variants once: what For gives without making it anew.
var varied = func() (out [len(variants)]Helper) {
	for i, v := range variants {
		out[i] = helpers[v.id]
		out[i].Args, out[i].Type = v.args, v.typ
	}
	return out
}()

// For is h as programs of type t have it in Linux v.
func (h *Helper) For(t ProgType, v Version) *Helper {
	for i := range variants {
		r := &variants[i]
		if r.id == h.ID && (r.progs == nil || slices.Contains(r.progs, t)) && (r.before == 0 || v < r.before) {
			return &varied[i]
		}
	}
	return h
}

// TakesTyped reports whether h, where it only reads memory, takes typed kernel memory in Linux v.
func (h *Helper) TakesTyped(v Version) bool {
	return v > later || v == later && !h.TypedLate
}
