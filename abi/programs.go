package abi

// Defines the table of program types. Their contexts are in ctx_*.go.

// Program is a row of the table of program types.
type Program struct {
	Type    ProgType
	Name    string  // "kprobe", "tracing", …, as bpftool prints it
	Context Context // without Name: the type is known by name only
	// Expected is the attach type that the row is for, where the rules depend on it.
	Expected AttachType
	// Ret bounds the value in R0 at exit; RetAny means no bound.
	RetAny         bool
	RetVoid        bool // R0 at exit is not looked at
	Ret32          bool // the bounds are those of the low half of R0
	RetMin, RetMax int64
	// Tracing program types may use helpers marked Perfmon and are never offloaded.
	Tracing bool
}

// programs has a row for every program type of the kernel; a row with an
// Expected other than the zero one precedes the type's general row.
var programs = [...]Program{
	{Type: SocketFilter, Name: "socket_filter", Context: ctxSocketFilter, RetAny: true},
	{Type: Kprobe, Name: "kprobe", Expected: AttachKprobeSession, Context: ctxPtRegs, RetMax: 1, Tracing: true},
	{Type: Kprobe, Name: "kprobe", Expected: AttachUprobeSession, Context: ctxPtRegs, RetMax: 1, Tracing: true},
	{Type: Kprobe, Name: "kprobe", Context: ctxPtRegs, RetAny: true, Tracing: true},
	{Type: SchedCLS, Name: "sched_cls", Context: ctxSched, RetAny: true},
	{Type: SchedACT, Name: "sched_act", Context: ctxSched, RetAny: true},
	{Type: Tracepoint, Name: "tracepoint", Context: ctxTracepoint, RetAny: true, Tracing: true},
	{Type: XDP, Name: "xdp", Expected: AttachXDPDevmap, Context: ctxXDPDevmap, RetAny: true},
	{Type: XDP, Name: "xdp", Context: ctxXDP, RetAny: true},
	{Type: PerfEvent, Name: "perf_event", Context: ctxPerfEvent, RetAny: true, Tracing: true},
	{Type: CGroupSKB, Name: "cgroup_skb", Expected: AttachEgress, Context: ctxCGroupSKB, RetMax: 3},
	{Type: CGroupSKB, Name: "cgroup_skb", Context: ctxCGroupSKB, RetMax: 1},
	{Type: CGroupSock, Name: "cgroup_sock", Expected: AttachPostBind4, Context: ctxPostBind4, RetMax: 1},
	{Type: CGroupSock, Name: "cgroup_sock", Expected: AttachPostBind6, Context: ctxPostBind6, RetMax: 1},
	{Type: CGroupSock, Name: "cgroup_sock", Expected: AttachSockRelease, Context: ctxSockCreate, RetMax: 1},
	{Type: CGroupSock, Name: "cgroup_sock", Context: ctxSockCreate, RetMax: 1},
	{Type: LWTIn, Name: "lwt_in", Context: ctxLWT, RetAny: true},
	{Type: LWTOut, Name: "lwt_out", Context: ctxLWT, RetAny: true},
	{Type: LWTXmit, Name: "lwt_xmit", Context: ctxLWT, RetAny: true},
	{Type: SockOps, Name: "sock_ops", Context: ctxSockOps, RetMax: 1},
	{Type: SKSKB, Name: "sk_skb", Context: ctxSKSKB, RetAny: true},
	{Type: CGroupDevice, Name: "cgroup_device", Context: ctxCGroupDevice, RetMax: 1},
	{Type: SKMsg, Name: "sk_msg", Context: ctxSKMsg, RetAny: true},
	{Type: RawTracepoint, Name: "raw_tracepoint", Context: ctxRawTracepoint, RetAny: true, Tracing: true},
	{Type: CGroupSockAddr, Name: "cgroup_sock_addr", Expected: AttachBind4, Context: ctxAddr4, RetMax: 3},
	{Type: CGroupSockAddr, Name: "cgroup_sock_addr", Expected: AttachConnect4, Context: ctxAddr4, RetMax: 1},
	{Type: CGroupSockAddr, Name: "cgroup_sock_addr", Expected: AttachSendmsg4, Context: ctxSend4, RetMax: 1},
	{Type: CGroupSockAddr, Name: "cgroup_sock_addr", Expected: AttachRecvmsg4, Context: ctxAddr4, RetMin: 1, RetMax: 1},
	{Type: CGroupSockAddr, Name: "cgroup_sock_addr", Expected: AttachGetpeername4, Context: ctxAddr4, RetMin: 1, RetMax: 1},
	{Type: CGroupSockAddr, Name: "cgroup_sock_addr", Expected: AttachGetsockname4, Context: ctxAddr4, RetMin: 1, RetMax: 1},
	{Type: CGroupSockAddr, Name: "cgroup_sock_addr", Expected: AttachBind6, Context: ctxAddr6, RetMax: 3},
	{Type: CGroupSockAddr, Name: "cgroup_sock_addr", Expected: AttachConnect6, Context: ctxAddr6, RetMax: 1},
	{Type: CGroupSockAddr, Name: "cgroup_sock_addr", Expected: AttachSendmsg6, Context: ctxSend6, RetMax: 1},
	{Type: CGroupSockAddr, Name: "cgroup_sock_addr", Expected: AttachRecvmsg6, Context: ctxAddr6, RetMin: 1, RetMax: 1},
	{Type: CGroupSockAddr, Name: "cgroup_sock_addr", Expected: AttachGetpeername6, Context: ctxAddr6, RetMin: 1, RetMax: 1},
	{Type: CGroupSockAddr, Name: "cgroup_sock_addr", Expected: AttachGetsockname6, Context: ctxAddr6, RetMin: 1, RetMax: 1},
	{Type: CGroupSockAddr, Name: "cgroup_sock_addr", Expected: AttachConnectUnix, Context: ctxAddrUnix, RetMax: 1},
	{Type: CGroupSockAddr, Name: "cgroup_sock_addr", Expected: AttachSendmsgUnix, Context: ctxAddrUnix, RetMax: 1},
	{Type: CGroupSockAddr, Name: "cgroup_sock_addr", Expected: AttachRecvmsgUnix, Context: ctxAddrUnix, RetMin: 1, RetMax: 1},
	{Type: CGroupSockAddr, Name: "cgroup_sock_addr", Expected: AttachGetpeernameUnix, Context: ctxAddrUnix, RetMin: 1, RetMax: 1},
	{Type: CGroupSockAddr, Name: "cgroup_sock_addr", Expected: AttachGetsocknameUnix, Context: ctxAddrUnix, RetMin: 1, RetMax: 1},
	{Type: CGroupSockAddr, Name: "cgroup_sock_addr"},
	{Type: LWTSeg6Local, Name: "lwt_seg6local", Context: ctxLWT, RetAny: true},
	{Type: LIRCMode2, Name: "lirc_mode2", Context: ctxLIRC, RetAny: true},
	{Type: SKReuseport, Name: "sk_reuseport", Context: ctxSKReuseport, RetAny: true},
	{Type: FlowDissector, Name: "flow_dissector", Context: ctxFlowDissector, RetAny: true},
	{Type: CGroupSysctl, Name: "cgroup_sysctl", Context: ctxSysctl, RetMax: 1},
	{Type: RawTracepointWrit, Name: "raw_tracepoint_writable", Context: ctxRawTracepointWritable, RetAny: true, Tracing: true},
	{Type: CGroupSockopt, Name: "cgroup_sockopt", Expected: AttachSetsockopt, Context: ctxSetsockopt, RetMax: 1},
	{Type: CGroupSockopt, Name: "cgroup_sockopt", Expected: AttachGetsockopt, Context: ctxGetsockopt, RetMax: 1},
	{Type: CGroupSockopt, Name: "cgroup_sockopt"},
	{Type: Tracing, Name: "tracing", Expected: AttachTraceRawTp, Context: ctxBTFArgs, RetAny: true, Tracing: true},
	{Type: Tracing, Name: "tracing", Expected: AttachFEntry, Context: ctxBTFArgs, Tracing: true},
	{Type: Tracing, Name: "tracing", Expected: AttachFExit, Context: ctxBTFArgs, Tracing: true},
	{Type: Tracing, Name: "tracing", Expected: AttachModifyRet, Context: ctxBTFArgs, RetAny: true, Tracing: true},
	{Type: Tracing, Name: "tracing", Expected: AttachTraceIter, Context: ctxBTFArgs, RetMax: 1, Tracing: true},
	{Type: StructOps, Name: "struct_ops", Context: ctxBTFArgs, RetAny: true},
	{Type: Ext, Name: "ext", RetAny: true},
	{Type: LSM, Name: "lsm", Expected: AttachLSMCgroup, Context: ctxBTFArgs, Tracing: true, RetMax: 1},
	{Type: LSM, Name: "lsm", Context: ctxBTFArgs, Tracing: true, RetAny: true},
	{Type: SKLookup, Name: "sk_lookup", Context: ctxSKLookup, RetMax: 1},
	{Type: Syscall, Name: "syscall", Context: ctxSyscall, RetAny: true},
	{Type: Netfilter, Name: "netfilter", Context: ctxNetfilter, RetMax: 1},
}

// ProgramByType finds the row of type t: for types with several, tp_btf's of
// Tracing, else the general one. Nil when the kernel has no such type.
func ProgramByType(t ProgType) *Program {
	if t == Tracing {
		return ProgramFor(Attach{Type: t, Expected: AttachTraceRawTp})
	}
	return ProgramFor(Attach{Type: t})
}

// ProgramFor finds the row for a: the one of its attach type, else its type's
// general one. Nil when the kernel has neither.
func ProgramFor(a Attach) *Program {
	for i := range programs {
		p := &programs[i]
		if p.Type == a.Type && (p.Expected == a.Expected || p.Expected == 0) {
			return p
		}
	}
	return nil
}
