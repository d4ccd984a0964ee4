package abi

import "strings"

// Defines the names of ELF sections that say what an entry program is, as
// libbpf documents them (docs.kernel.org/bpf/libbpf/program_types.html).

type section struct {
	name   string
	typ    ProgType
	expect AttachType
	target bool // "name/target" is allowed besides "name"
	sleeps bool // "name.s" is the sleepable variant
	asleep bool // always sleepable
}

var sections = [...]section{
	{name: "socket", typ: SocketFilter},
	{name: "sk_reuseport/migrate", typ: SKReuseport, expect: AttachReuseportMigrate},
	{name: "sk_reuseport", typ: SKReuseport, expect: AttachReuseport},
	{name: "kprobe", typ: Kprobe, target: true},
	{name: "kretprobe", typ: Kprobe, target: true},
	{name: "uprobe", typ: Kprobe, target: true, sleeps: true},
	{name: "uretprobe", typ: Kprobe, target: true, sleeps: true},
	{name: "kprobe.multi", typ: Kprobe, expect: AttachKprobeMulti, target: true},
	{name: "kretprobe.multi", typ: Kprobe, expect: AttachKprobeMulti, target: true},
	{name: "kprobe.session", typ: Kprobe, expect: AttachKprobeSession, target: true},
	{name: "uprobe.multi", typ: Kprobe, expect: AttachUprobeMulti, target: true, sleeps: true},
	{name: "uretprobe.multi", typ: Kprobe, expect: AttachUprobeMulti, target: true, sleeps: true},
	{name: "uprobe.session", typ: Kprobe, expect: AttachUprobeSession, target: true, sleeps: true},
	{name: "ksyscall", typ: Kprobe, target: true},
	{name: "kretsyscall", typ: Kprobe, target: true},
	{name: "usdt", typ: Kprobe, target: true, sleeps: true},
	{name: "tc/ingress", typ: SchedCLS, expect: AttachTCXIngress},
	{name: "tc/egress", typ: SchedCLS, expect: AttachTCXEgress},
	{name: "tcx/ingress", typ: SchedCLS, expect: AttachTCXIngress},
	{name: "tcx/egress", typ: SchedCLS, expect: AttachTCXEgress},
	{name: "tc", typ: SchedCLS},
	{name: "classifier", typ: SchedCLS},
	{name: "action", typ: SchedACT},
	{name: "netkit/primary", typ: SchedCLS, expect: AttachNetkitPrimary},
	{name: "netkit/peer", typ: SchedCLS, expect: AttachNetkitPeer},
	{name: "tracepoint", typ: Tracepoint, target: true},
	{name: "tp", typ: Tracepoint, target: true},
	{name: "raw_tracepoint", typ: RawTracepoint, target: true},
	{name: "raw_tp", typ: RawTracepoint, target: true},
	{name: "raw_tracepoint.w", typ: RawTracepointWrit, target: true},
	{name: "raw_tp.w", typ: RawTracepointWrit, target: true},
	{name: "tp_btf", typ: Tracing, expect: AttachTraceRawTp, target: true},
	{name: "fentry", typ: Tracing, expect: AttachFEntry, target: true, sleeps: true},
	{name: "fmod_ret", typ: Tracing, expect: AttachModifyRet, target: true, sleeps: true},
	{name: "fexit", typ: Tracing, expect: AttachFExit, target: true, sleeps: true},
	{name: "freplace", typ: Ext, target: true},
	{name: "lsm", typ: LSM, expect: AttachLSMMac, target: true, sleeps: true},
	{name: "lsm_cgroup", typ: LSM, expect: AttachLSMCgroup, target: true},
	{name: "iter", typ: Tracing, expect: AttachTraceIter, target: true, sleeps: true},
	{name: "syscall", typ: Syscall, asleep: true},
	{name: "xdp.frags/devmap", typ: XDP, expect: AttachXDPDevmap},
	{name: "xdp/devmap", typ: XDP, expect: AttachXDPDevmap},
	{name: "xdp.frags/cpumap", typ: XDP, expect: AttachXDPCpumap},
	{name: "xdp/cpumap", typ: XDP, expect: AttachXDPCpumap},
	{name: "xdp.frags", typ: XDP, expect: AttachXDP},
	{name: "xdp", typ: XDP, expect: AttachXDP},
	{name: "perf_event", typ: PerfEvent},
	{name: "lwt_in", typ: LWTIn},
	{name: "lwt_out", typ: LWTOut},
	{name: "lwt_xmit", typ: LWTXmit},
	{name: "lwt_seg6local", typ: LWTSeg6Local},
	{name: "sk_skb/stream_parser", typ: SKSKB, expect: AttachStreamParser},
	{name: "sk_skb/stream_verdict", typ: SKSKB, expect: AttachStreamVerdict},
	{name: "sk_skb/verdict", typ: SKSKB, expect: AttachSKSKBVerdict},
	{name: "sk_skb", typ: SKSKB},
	{name: "sk_msg", typ: SKMsg, expect: AttachSKMsgVerdict},
	{name: "lirc_mode2", typ: LIRCMode2, expect: AttachLIRCMode2},
	{name: "flow_dissector", typ: FlowDissector, expect: AttachFlowDissector},
	{name: "cgroup_skb/ingress", typ: CGroupSKB, expect: AttachIngress},
	{name: "cgroup_skb/egress", typ: CGroupSKB, expect: AttachEgress},
	{name: "cgroup/skb", typ: CGroupSKB},
	{name: "cgroup/sock_create", typ: CGroupSock, expect: AttachSockCreate},
	{name: "cgroup/sock_release", typ: CGroupSock, expect: AttachSockRelease},
	{name: "cgroup/sock", typ: CGroupSock, expect: AttachSockCreate},
	{name: "cgroup/post_bind4", typ: CGroupSock, expect: AttachPostBind4},
	{name: "cgroup/post_bind6", typ: CGroupSock, expect: AttachPostBind6},
	{name: "cgroup/bind4", typ: CGroupSockAddr, expect: AttachBind4},
	{name: "cgroup/bind6", typ: CGroupSockAddr, expect: AttachBind6},
	{name: "cgroup/connect4", typ: CGroupSockAddr, expect: AttachConnect4},
	{name: "cgroup/connect6", typ: CGroupSockAddr, expect: AttachConnect6},
	{name: "cgroup/connect_unix", typ: CGroupSockAddr, expect: AttachConnectUnix},
	{name: "cgroup/sendmsg4", typ: CGroupSockAddr, expect: AttachSendmsg4},
	{name: "cgroup/sendmsg6", typ: CGroupSockAddr, expect: AttachSendmsg6},
	{name: "cgroup/sendmsg_unix", typ: CGroupSockAddr, expect: AttachSendmsgUnix},
	{name: "cgroup/recvmsg4", typ: CGroupSockAddr, expect: AttachRecvmsg4},
	{name: "cgroup/recvmsg6", typ: CGroupSockAddr, expect: AttachRecvmsg6},
	{name: "cgroup/recvmsg_unix", typ: CGroupSockAddr, expect: AttachRecvmsgUnix},
	{name: "cgroup/getpeername4", typ: CGroupSockAddr, expect: AttachGetpeername4},
	{name: "cgroup/getpeername6", typ: CGroupSockAddr, expect: AttachGetpeername6},
	{name: "cgroup/getpeername_unix", typ: CGroupSockAddr, expect: AttachGetpeernameUnix},
	{name: "cgroup/getsockname4", typ: CGroupSockAddr, expect: AttachGetsockname4},
	{name: "cgroup/getsockname6", typ: CGroupSockAddr, expect: AttachGetsockname6},
	{name: "cgroup/getsockname_unix", typ: CGroupSockAddr, expect: AttachGetsocknameUnix},
	{name: "cgroup/sysctl", typ: CGroupSysctl, expect: AttachSysctl},
	{name: "cgroup/getsockopt", typ: CGroupSockopt, expect: AttachGetsockopt},
	{name: "cgroup/setsockopt", typ: CGroupSockopt, expect: AttachSetsockopt},
	{name: "cgroup/dev", typ: CGroupDevice, expect: AttachCGroupDevice},
	{name: "sockops", typ: SockOps, expect: AttachSockOps},
	{name: "struct_ops", typ: StructOps, target: true, sleeps: true},
	{name: "sk_lookup", typ: SKLookup, expect: AttachSKLookup},
	{name: "netfilter", typ: Netfilter, expect: AttachNetfilter},
}

// ParseSection says what the programs of an ELF section are. A leading '?'
// (libbpf: not to be loaded unless asked for) is skipped. False for a name
// that libbpf does not know.
func ParseSection(name string) (Attach, bool) {
	name = strings.TrimPrefix(name, "?")
	for i := range sections {
		s := &sections[i]
		rest, ok := strings.CutPrefix(name, s.name)
		if !ok {
			continue
		}
		a := Attach{Type: s.typ, Expected: s.expect, Sleepable: s.asleep}
		if r, ok := strings.CutPrefix(rest, ".s"); ok && s.sleeps {
			rest, a.Sleepable = r, true
		}
		switch {
		case rest == "":
			return a, true
		case s.target && rest[0] == '/':
			a.Target = rest[1:]
			return a, true
		}
	}
	return Attach{}, false
}
