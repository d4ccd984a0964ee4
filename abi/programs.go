package abi

import "strings"

// Defines the table of program types and the layouts of their contexts
// (include/uapi/linux/bpf.h, bpf_perf_event.h; asm/ptrace.h of x86-64).

// PtRegsSize is the size of x86-64's struct pt_regs in bytes.
const PtRegsSize = 168

// Registers of struct pt_regs on x86-64, in order, eight bytes each.
var ptRegs = [...]string{
	"r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10", "r9", "r8", "ax",
	"cx", "dx", "si", "di", "orig_ax", "ip", "cs", "flags", "sp", "ss",
}

var (
	ctxPtRegs = Context{Name: "struct pt_regs", Size: PtRegsSize, AnyAligned: true, Fields: regFields(true)}

	// Records of tracepoints start with eight bytes that programs may not see
	// and end at the kernel's PERF_MAX_TRACE_SIZE.
	ctxTracepoint = Context{Name: "tracepoint record", Size: 8192, First: 8, AnyAligned: true}

	ctxRawTracepoint = Context{Name: "struct bpf_raw_tracepoint_args", Size: 96, AnyAligned: true}
	ctxBTFArgs       = Context{Name: "arguments", Size: 96, BTFArgs: true}

	ctxPerfEvent = Context{Name: "struct bpf_perf_event_data", Size: PtRegsSize + 16, Fields: append(regFields(false),
		CtxField{Name: "sample_period", Off: PtRegsSize, Size: 8, Narrow: true},
		CtxField{Name: "addr", Off: PtRegsSize + 8, Size: 8, Narrow: true})}

	ctxXDP = Context{Name: "struct xdp_md", Size: 24, Fields: []CtxField{
		{Name: "data", Off: 0, Size: 4, Kind: CtxPacket},
		{Name: "data_end", Off: 4, Size: 4, Kind: CtxPacketEnd},
		{Name: "data_meta", Off: 8, Size: 4, Kind: CtxPacketMeta},
		{Name: "ingress_ifindex", Off: 12, Size: 4},
		{Name: "rx_queue_index", Off: 16, Size: 4},
	}}
	// Only a program behind a devmap knows where the packet leaves.
	ctxXDPDevmap = Context{Name: "struct xdp_md", Size: 24, Fields: append(ctxXDP.Fields[:5:5],
		CtxField{Name: "egress_ifindex", Off: 20, Size: 4})}
)

func regFields(narrow bool) []CtxField {
	f := make([]CtxField, len(ptRegs), len(ptRegs)+2)
	for i, n := range ptRegs {
		f[i] = CtxField{Name: n, Off: 8 * i, Size: 8, Narrow: narrow}
	}
	return f
}

// skBuff is struct __sk_buff; what a program type may read and write of it is in skbRules.
var skBuff = []CtxField{
	{Name: "len", Off: 0, Size: 4, Narrow: true},
	{Name: "pkt_type", Off: 4, Size: 4, Narrow: true},
	{Name: "mark", Off: 8, Size: 4, Narrow: true},
	{Name: "queue_mapping", Off: 12, Size: 4, Narrow: true},
	{Name: "protocol", Off: 16, Size: 4, Narrow: true},
	{Name: "vlan_present", Off: 20, Size: 4, Narrow: true},
	{Name: "vlan_tci", Off: 24, Size: 4, Narrow: true},
	{Name: "vlan_proto", Off: 28, Size: 4, Narrow: true},
	{Name: "priority", Off: 32, Size: 4, Narrow: true},
	{Name: "ingress_ifindex", Off: 36, Size: 4, Narrow: true},
	{Name: "ifindex", Off: 40, Size: 4, Narrow: true},
	{Name: "tc_index", Off: 44, Size: 4, Narrow: true},
	{Name: "cb", Off: 48, Size: 20, Any: true, Writable: true},
	{Name: "hash", Off: 68, Size: 4, Narrow: true},
	{Name: "tc_classid", Off: 72, Size: 4, Narrow: true},
	{Name: "data", Off: 76, Size: 4, Kind: CtxPacket},
	{Name: "data_end", Off: 80, Size: 4, Kind: CtxPacketEnd},
	{Name: "napi_id", Off: 84, Size: 4, Narrow: true},
	{Name: "family", Off: 88, Size: 4, Narrow: true},
	{Name: "remote_ip4", Off: 92, Size: 4},
	{Name: "local_ip4", Off: 96, Size: 4},
	{Name: "remote_ip6[0]", Off: 100, Size: 4},
	{Name: "remote_ip6[1]", Off: 104, Size: 4},
	{Name: "remote_ip6[2]", Off: 108, Size: 4},
	{Name: "remote_ip6[3]", Off: 112, Size: 4},
	{Name: "local_ip6[0]", Off: 116, Size: 4},
	{Name: "local_ip6[1]", Off: 120, Size: 4},
	{Name: "local_ip6[2]", Off: 124, Size: 4},
	{Name: "local_ip6[3]", Off: 128, Size: 4},
	{Name: "remote_port", Off: 132, Size: 4, Narrow: true},
	{Name: "local_port", Off: 136, Size: 4, Narrow: true},
	{Name: "data_meta", Off: 140, Size: 4, Kind: CtxPacketMeta},
	{Name: "tstamp", Off: 152, Size: 8},
	{Name: "wire_len", Off: 160, Size: 4, Narrow: true},
	{Name: "gso_segs", Off: 164, Size: 4, Narrow: true},
	{Name: "sk", Off: 168, Size: 8, Kind: CtxOther},
	{Name: "gso_size", Off: 176, Size: 4, Narrow: true},
	{Name: "tstamp_type", Off: 180, Size: 1},
	{Name: "hwtstamp", Off: 184, Size: 8},
}

const sockFields = "family remote_ip4 local_ip4 remote_ip6[0] remote_ip6[1] remote_ip6[2] remote_ip6[3] " +
	"local_ip6[0] local_ip6[1] local_ip6[2] local_ip6[3] remote_port local_port"

var (
	ctxSocketFilter = skb("tc_classid data data_end data_meta tstamp wire_len hwtstamp tstamp_type "+sockFields, "")
	ctxSched        = skb(sockFields, "mark tc_index priority tc_classid tstamp queue_mapping")
	ctxCGroupSKB    = skb("tc_classid data_meta wire_len tstamp_type", "mark priority tstamp")
)

// skb is struct __sk_buff without the fields in hidden and with those in writable open to stores.
func skb(hidden, writable string) Context {
	c := Context{Name: "struct __sk_buff", Size: 192, Fields: make([]CtxField, 0, len(skBuff))}
	for _, f := range skBuff {
		if hasWord(hidden, f.Name) {
			continue
		}
		f.Writable = f.Writable || hasWord(writable, f.Name)
		c.Fields = append(c.Fields, f)
	}
	return c
}

func hasWord(list, w string) bool {
	for f := range strings.FieldsSeq(list) {
		if f == w {
			return true
		}
	}
	return false
}

// programs has a row for every program type of the kernel; a row with an
// Expected other than the zero one precedes the type's general row.
var programs = [...]Program{
	{Type: SocketFilter, Name: "socket_filter", Context: ctxSocketFilter, RetAny: true},
	{Type: Kprobe, Name: "kprobe", Context: ctxPtRegs, RetAny: true, Tracing: true},
	{Type: SchedCLS, Name: "sched_cls", Context: ctxSched, RetAny: true},
	{Type: SchedACT, Name: "sched_act", Context: ctxSched, RetAny: true},
	{Type: Tracepoint, Name: "tracepoint", Context: ctxTracepoint, RetAny: true, Tracing: true},
	{Type: XDP, Name: "xdp", Expected: AttachXDPDevmap, Context: ctxXDPDevmap, RetAny: true},
	{Type: XDP, Name: "xdp", Context: ctxXDP, RetAny: true},
	{Type: PerfEvent, Name: "perf_event", Context: ctxPerfEvent, RetAny: true, Tracing: true},
	{Type: CGroupSKB, Name: "cgroup_skb", Expected: AttachEgress, Context: ctxCGroupSKB, RetMin: 0, RetMax: 3},
	{Type: CGroupSKB, Name: "cgroup_skb", Context: ctxCGroupSKB, RetMin: 0, RetMax: 1},
	{Type: CGroupSock, Name: "cgroup_sock", RetMax: 1},
	{Type: LWTIn, Name: "lwt_in", RetAny: true},
	{Type: LWTOut, Name: "lwt_out", RetAny: true},
	{Type: LWTXmit, Name: "lwt_xmit", RetAny: true},
	{Type: SockOps, Name: "sock_ops", RetMax: 1},
	{Type: SKSKB, Name: "sk_skb", RetAny: true},
	{Type: CGroupDevice, Name: "cgroup_device", RetMax: 1},
	{Type: SKMsg, Name: "sk_msg", RetAny: true},
	{Type: RawTracepoint, Name: "raw_tracepoint", Context: ctxRawTracepoint, RetAny: true, Tracing: true},
	{Type: CGroupSockAddr, Name: "cgroup_sock_addr", RetMax: 1},
	{Type: LWTSeg6Local, Name: "lwt_seg6local", RetAny: true},
	{Type: LIRCMode2, Name: "lirc_mode2", RetAny: true},
	{Type: SKReuseport, Name: "sk_reuseport", RetAny: true},
	{Type: FlowDissector, Name: "flow_dissector", RetAny: true},
	{Type: CGroupSysctl, Name: "cgroup_sysctl", RetMax: 1},
	{Type: RawTracepointWrit, Name: "raw_tracepoint_writable", RetAny: true, Tracing: true},
	{Type: CGroupSockopt, Name: "cgroup_sockopt", RetMax: 1},
	{Type: Tracing, Name: "tracing", Expected: AttachTraceRawTp, Context: ctxBTFArgs, RetAny: true, Tracing: true},
	{Type: Tracing, Name: "tracing", Expected: AttachFEntry, Context: ctxBTFArgs, Tracing: true},
	{Type: Tracing, Name: "tracing", Expected: AttachFExit, Context: ctxBTFArgs, Tracing: true},
	{Type: Tracing, Name: "tracing", Expected: AttachModifyRet, Context: ctxBTFArgs, RetAny: true, Tracing: true},
	{Type: Tracing, Name: "tracing", Expected: AttachTraceIter, Context: ctxBTFArgs, RetMax: 1, Tracing: true},
	{Type: StructOps, Name: "struct_ops", RetAny: true},
	{Type: Ext, Name: "ext", RetAny: true},
	{Type: LSM, Name: "lsm", Tracing: true, RetAny: true},
	{Type: SKLookup, Name: "sk_lookup", RetMax: 1},
	{Type: Syscall, Name: "syscall", RetAny: true},
	{Type: Netfilter, Name: "netfilter", RetMax: 1},
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

// Field finds the field that holds bytes [off, off+size); nil when there is none.
func (c *Context) Field(off, size int) *CtxField {
	for i := range c.Fields {
		f := &c.Fields[i]
		if off >= f.Off && off+size <= f.Off+f.Size {
			return f
		}
	}
	return nil
}

// CanLoad reports whether a load of size bytes at off is allowed (contexts with BTFArgs: never here, types decide).
func (c *Context) CanLoad(off, size int) bool {
	if c.BTFArgs || off < c.First || off+size > c.Size || off%size != 0 {
		return false
	}
	if c.AnyAligned {
		return true
	}
	f := c.Field(off, size)
	return f != nil && (f.Any || f.Size == size || f.Narrow)
}

// CanStore reports whether a store of size bytes at off is allowed.
func (c *Context) CanStore(off, size int) bool {
	if c.BTFArgs || off < 0 || off%size != 0 {
		return false
	}
	f := c.Field(off, size)
	return f != nil && f.Writable && (f.Any || f.Size == size)
}
