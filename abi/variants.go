package abi

import "slices"

// Defines helpers whose prototype depends on the program type.

// variant replaces what a helper takes for some program types.
type variant struct {
	id    int32
	progs []ProgType
	args  []ArgKind
	typ   string // of its ArgBTF argument
}

var variants = [...]variant{
	{17, progsSkbClassid, []ArgKind{ArgCtx}, ""},
	{46, progsSocketCookie, []ArgKind{ArgAnySockOrNull}, ""},
	{49, progsSockArgument, []ArgKind{ArgAnySock, ArgAnything, ArgAnything, ArgMem, ArgConstSize}, ""},
	{57, progsSockArgument, []ArgKind{ArgAnySock, ArgAnything, ArgAnything, ArgUninitMem, ArgConstSize}, ""},
	{107, progsCGroupSock, []ArgKind{ArgConstMapPtr, ArgCtx, ArgMapValueOrNull, ArgAnything}, ""},
	{107, progsTypedSock, []ArgKind{ArgConstMapPtr, ArgBTFOrNull, ArgMapValueOrNull, ArgAnything}, "sock_common"},
	{108, progsTypedSock, []ArgKind{ArgConstMapPtr, ArgBTFOrNull}, "sock_common"},
	{124, progsSKLookup, []ArgKind{ArgCtx, ArgSockOrNull, ArgAnything}, ""},
	{188, progsLSMSyscallTracing, []ArgKind{ArgBTF}, "xdp_buff"},
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

// For is h as programs of type t have it.
func (h *Helper) For(t ProgType) *Helper {
	for i := range variants {
		if v := &variants[i]; v.id == h.ID && slices.Contains(v.progs, t) {
			return &varied[i]
		}
	}
	return h
}
