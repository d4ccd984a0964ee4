package abi

import (
	"slices"
	"strings"
)

// Defines the table of helper functions. Which program types have a helper
// and which helpers want a GPL-compatible license were asked of Linux 6.18,
// and TestHelpersKernel asks the running kernel again; prototypes are the ones
// that bpf-helpers(7) documents; Since is the release that added the number
// (include/uapi/linux/bpf.h).

// LastHelper is the highest number: kernels get no more helpers (Documentation/bpf/bpf_design_QA.rst).
const LastHelper = 211

// helpers is indexed by helper number.
var helpers = [...]Helper{
	1:   {ID: 1, Name: "bpf_map_lookup_elem", Args: []ArgKind{ArgConstMapPtr, ArgMapKey}, Ret: RetMapValueOrNull, PacketAccess: true, FindsKnown: true, Since: V(3, 19)},
	2:   {ID: 2, Name: "bpf_map_update_elem", Args: []ArgKind{ArgConstMapPtr, ArgMapKey, ArgMapValue, ArgAnything}, ChangesMap: true, PacketAccess: true, Since: V(3, 19)},
	3:   {ID: 3, Name: "bpf_map_delete_elem", Args: []ArgKind{ArgConstMapPtr, ArgMapKey}, ChangesMap: true, PacketAccess: true, Since: V(3, 19)},
	4:   {ID: 4, Name: "bpf_probe_read", Args: []ArgKind{ArgUninitMem, ArgConstSizeOrZero, ArgAnything}, Perfmon: true, GPL: true, Locked: LockdownConfidentiality, Since: V(4, 1), Progs: tracers},
	5:   {ID: 5, Name: "bpf_ktime_get_ns", Since: V(4, 1)},
	6:   {ID: 6, Name: "bpf_trace_printk", Args: []ArgKind{ArgMem, ArgConstSize}, Perfmon: true, GPL: true, PerfmonAlways: true, Since: V(4, 1)},
	7:   {ID: 7, Name: "bpf_get_prandom_u32", Since: V(4, 1)},
	8:   {ID: 8, Name: "bpf_get_smp_processor_id", CPUNumber: true, Since: V(4, 1)},
	9:   {ID: 9, Name: "bpf_skb_store_bytes", Args: []ArgKind{ArgCtx, ArgAnything, ArgMem, ArgConstSize, ArgAnything}, InvalidatesPacket: true, Since: V(4, 1), Progs: progsLikeSkbStoreBytes},
	10:  {ID: 10, Name: "bpf_l3_csum_replace", Args: []ArgKind{ArgCtx, ArgAnything, ArgAnything, ArgAnything, ArgAnything}, InvalidatesPacket: true, Since: V(4, 1), Progs: progsLWTXmitSchedACTSchedCLS},
	11:  {ID: 11, Name: "bpf_l4_csum_replace", Args: []ArgKind{ArgCtx, ArgAnything, ArgAnything, ArgAnything, ArgAnything}, InvalidatesPacket: true, Since: V(4, 1), Progs: progsLWTXmitSchedACTSchedCLS},
	12:  {ID: 12, Name: "bpf_tail_call", Args: []ArgKind{ArgCtx, ArgConstMapPtr, ArgAnything}, Ret: RetVoid, MapTypes: mapsProgArray, TailCall: true, InvalidatesPacket: true, Since: V(4, 2)},
	13:  {ID: 13, Name: "bpf_clone_redirect", Args: []ArgKind{ArgCtx, ArgAnything, ArgAnything}, InvalidatesPacket: true, Since: V(4, 2), Progs: progsLWTXmitSchedACTSchedCLS},
	14:  {ID: 14, Name: "bpf_get_current_pid_tgid", Since: V(4, 2)},
	15:  {ID: 15, Name: "bpf_get_current_uid_gid", Since: V(4, 2)},
	16:  {ID: 16, Name: "bpf_get_current_comm", Args: []ArgKind{ArgUninitMem, ArgConstSize}, Since: V(4, 2)},
	17:  {ID: 17, Name: "bpf_get_cgroup_classid", Since: V(4, 3)},
	18:  {ID: 18, Name: "bpf_skb_vlan_push", Args: []ArgKind{ArgCtx, ArgAnything, ArgAnything}, InvalidatesPacket: true, Since: V(4, 3), Progs: progsSchedACTSchedCLS},
	19:  {ID: 19, Name: "bpf_skb_vlan_pop", Args: []ArgKind{ArgCtx}, InvalidatesPacket: true, Since: V(4, 3), Progs: progsSchedACTSchedCLS},
	20:  {ID: 20, Name: "bpf_skb_get_tunnel_key", Args: []ArgKind{ArgCtx, ArgUninitMem, ArgConstSize, ArgAnything}, Since: V(4, 3), Progs: progsLWTXmitSchedACTSchedCLS},
	21:  {ID: 21, Name: "bpf_skb_set_tunnel_key", Args: []ArgKind{ArgCtx, ArgMem, ArgConstSize, ArgAnything}, Since: V(4, 3), Progs: progsLWTXmitSchedACTSchedCLS},
	22:  {ID: 22, Name: "bpf_perf_event_read", Args: []ArgKind{ArgConstMapPtr, ArgAnything}, MapTypes: mapsPerfEvent, GPL: true, Since: V(4, 3)},
	23:  {ID: 23, Name: "bpf_redirect", Args: []ArgKind{ArgAnything, ArgAnything}, Since: V(4, 4), Progs: progsLikeRedirect},
	24:  {ID: 24, Name: "bpf_get_route_realm", Args: []ArgKind{ArgCtx}, Since: V(4, 4), Progs: progsLikeGetRouteRealm},
	25:  {ID: 25, Name: "bpf_perf_event_output", Args: []ArgKind{ArgCtx, ArgConstMapPtr, ArgAnything, ArgMem, ArgConstSizeOrZero}, MapTypes: mapsPerfEvent, GPL: true, Since: V(4, 4), Progs: progsLikePerfEventOutput},
	26:  {ID: 26, Name: "bpf_skb_load_bytes", Args: []ArgKind{ArgCtx, ArgAnything, ArgUninitMem, ArgConstSize}, Since: V(4, 5), Progs: progsLikeSkbLoadBytes},
	27:  {ID: 27, Name: "bpf_get_stackid", Args: []ArgKind{ArgCtx, ArgConstMapPtr, ArgAnything}, MapTypes: mapsStackTrace, GPL: true, Since: V(4, 6), Progs: tracers},
	28:  {ID: 28, Name: "bpf_csum_diff", Args: []ArgKind{ArgMemOrNull, ArgConstSizeOrZero, ArgMemOrNull, ArgConstSizeOrZero, ArgAnything}, PacketAccess: true, Since: V(4, 6), Progs: progsLikeCsumDiff},
	29:  {ID: 29, Name: "bpf_skb_get_tunnel_opt", Args: []ArgKind{ArgCtx, ArgUninitMem, ArgConstSize}, Since: V(4, 6), Progs: progsLWTXmitSchedACTSchedCLS},
	30:  {ID: 30, Name: "bpf_skb_set_tunnel_opt", Args: []ArgKind{ArgCtx, ArgMem, ArgConstSize}, Since: V(4, 6), Progs: progsLWTXmitSchedACTSchedCLS},
	31:  {ID: 31, Name: "bpf_skb_change_proto", Args: []ArgKind{ArgCtx, ArgAnything, ArgAnything}, InvalidatesPacket: true, Since: V(4, 8), Progs: progsSchedACTSchedCLS},
	32:  {ID: 32, Name: "bpf_skb_change_type", Args: []ArgKind{ArgCtx, ArgAnything}, Since: V(4, 8), Progs: progsSchedACTSchedCLS},
	33:  {ID: 33, Name: "bpf_skb_under_cgroup", Args: []ArgKind{ArgCtx, ArgConstMapPtr, ArgAnything}, MapTypes: mapsCgroup, Since: V(4, 8), Progs: progsLikeGetRouteRealm},
	34:  {ID: 34, Name: "bpf_get_hash_recalc", Args: []ArgKind{ArgCtx}, Since: V(4, 8), Progs: progsLikeGetRouteRealm},
	35:  {ID: 35, Name: "bpf_get_current_task", Perfmon: true, GPL: true, Since: V(4, 8)},
	36:  {ID: 36, Name: "bpf_probe_write_user", Args: []ArgKind{ArgAnything, ArgMem, ArgConstSize}, GPL: true, Locked: LockdownIntegrity, Since: V(4, 8), Progs: tracers},
	37:  {ID: 37, Name: "bpf_current_task_under_cgroup", Args: []ArgKind{ArgConstMapPtr, ArgAnything}, MapTypes: mapsCgroup, Since: V(4, 9)},
	38:  {ID: 38, Name: "bpf_skb_change_tail", Args: []ArgKind{ArgCtx, ArgAnything, ArgAnything}, InvalidatesPacket: true, Since: V(4, 9), Progs: progsLikeSkbStoreBytes},
	39:  {ID: 39, Name: "bpf_skb_pull_data", Args: []ArgKind{ArgCtx, ArgAnything}, InvalidatesPacket: true, Since: V(4, 9), Progs: progsLikeSkbPullData},
	40:  {ID: 40, Name: "bpf_csum_update", Args: []ArgKind{ArgCtx, ArgAnything}, Since: V(4, 9), Progs: progsLWTXmitSchedACTSchedCLS},
	41:  {ID: 41, Name: "bpf_set_hash_invalid", Args: []ArgKind{ArgCtx}, Since: V(4, 9), Progs: progsLWTXmitSchedACTSchedCLS},
	42:  {ID: 42, Name: "bpf_get_numa_node_id", Since: V(4, 10)},
	43:  {ID: 43, Name: "bpf_skb_change_head", Args: []ArgKind{ArgCtx, ArgAnything, ArgAnything}, InvalidatesPacket: true, Since: V(4, 10), Progs: progsLikeSkbStoreBytes},
	44:  {ID: 44, Name: "bpf_xdp_adjust_head", Args: []ArgKind{ArgCtx, ArgAnything}, InvalidatesPacket: true, Since: V(4, 10), Progs: progsXDP},
	45:  {ID: 45, Name: "bpf_probe_read_str", Args: []ArgKind{ArgUninitMem, ArgConstSizeOrZero, ArgAnything}, Perfmon: true, GPL: true, LengthOrError: true, Locked: LockdownConfidentiality, Since: V(4, 11), Progs: tracers},
	46:  {ID: 46, Name: "bpf_get_socket_cookie", Args: []ArgKind{ArgCtx}, Since: V(4, 12), Progs: progsLikeGetSocketCookie},
	47:  {ID: 47, Name: "bpf_get_socket_uid", Args: []ArgKind{ArgCtx}, Since: V(4, 12), Progs: progsLikeGetSocketUid},
	48:  {ID: 48, Name: "bpf_set_hash", Args: []ArgKind{ArgCtx, ArgAnything}, Since: V(4, 13), Progs: progsSchedACTSchedCLS},
	49:  {ID: 49, Name: "bpf_setsockopt", Args: []ArgKind{ArgCtx, ArgAnything, ArgAnything, ArgMem, ArgConstSize}, Since: V(4, 13), Progs: progsSockopt, Expected: []AttachType{AttachSetsockopt}, ExpectedOf: CGroupSockopt, Iters: itersSockopt, Not: lsmMac, Hooks: hooksSockopt},
	50:  {ID: 50, Name: "bpf_skb_adjust_room", Args: []ArgKind{ArgCtx, ArgAnything, ArgAnything, ArgAnything}, InvalidatesPacket: true, Since: V(4, 13), Progs: progsSKSKBSchedACTSchedCLS},
	51:  {ID: 51, Name: "bpf_redirect_map", Args: []ArgKind{ArgConstMapPtr, ArgAnything, ArgAnything}, MapTypes: mapsRedirect, Since: V(4, 14), Progs: progsXDP},
	52:  {ID: 52, Name: "bpf_sk_redirect_map", Args: []ArgKind{ArgCtx, ArgConstMapPtr, ArgAnything, ArgAnything}, MapTypes: mapsSockmap, Since: V(4, 14), Progs: progsSKSKB},
	53:  {ID: 53, Name: "bpf_sock_map_update", Args: []ArgKind{ArgCtx, ArgConstMapPtr, ArgMapKey, ArgAnything}, MapTypes: mapsSockmap, Since: V(4, 14), Progs: progsSockOps},
	54:  {ID: 54, Name: "bpf_xdp_adjust_meta", Args: []ArgKind{ArgCtx, ArgAnything}, InvalidatesPacket: true, Since: V(4, 15), Progs: progsXDP},
	55:  {ID: 55, Name: "bpf_perf_event_read_value", Args: []ArgKind{ArgConstMapPtr, ArgAnything, ArgUninitMem, ArgConstSize}, MapTypes: mapsPerfEvent, GPL: true, Since: V(4, 15)},
	56:  {ID: 56, Name: "bpf_perf_prog_read_value", Args: []ArgKind{ArgCtx, ArgUninitMem, ArgConstSize}, GPL: true, Since: V(4, 15), Progs: progsPerfEvent},
	57:  {ID: 57, Name: "bpf_getsockopt", Args: []ArgKind{ArgCtx, ArgAnything, ArgAnything, ArgUninitMem, ArgConstSize}, Since: V(4, 15), Progs: progsSockopt, Expected: []AttachType{AttachSetsockopt}, ExpectedOf: CGroupSockopt, Iters: itersSockopt, Not: lsmMac, Hooks: hooksSockopt},
	58:  {ID: 58, Name: "bpf_override_return", Args: []ArgKind{ArgCtx, ArgAnything}, GPL: true, Config: "CONFIG_BPF_KPROBE_OVERRIDE", Since: V(4, 16), Progs: progsKprobe},
	59:  {ID: 59, Name: "bpf_sock_ops_cb_flags_set", Args: []ArgKind{ArgCtx, ArgAnything}, Since: V(4, 16), Progs: progsSockOps},
	60:  {ID: 60, Name: "bpf_msg_redirect_map", Args: []ArgKind{ArgCtx, ArgConstMapPtr, ArgAnything, ArgAnything}, MapTypes: mapsSockmap, Since: V(4, 17), Progs: progsSKMsg},
	61:  {ID: 61, Name: "bpf_msg_apply_bytes", Args: []ArgKind{ArgCtx, ArgAnything}, Since: V(4, 17), Progs: progsSKMsg},
	62:  {ID: 62, Name: "bpf_msg_cork_bytes", Args: []ArgKind{ArgCtx, ArgAnything}, Since: V(4, 17), Progs: progsSKMsg},
	63:  {ID: 63, Name: "bpf_msg_pull_data", Args: []ArgKind{ArgCtx, ArgAnything, ArgAnything, ArgAnything}, InvalidatesPacket: true, Since: V(4, 17), Progs: progsSKMsg},
	64:  {ID: 64, Name: "bpf_bind", Args: []ArgKind{ArgCtx, ArgMem, ArgConstSize}, Since: V(4, 17), Progs: progsCGroupSockAddr, Expected: []AttachType{AttachConnect4, AttachConnect6}, ExpectedOf: CGroupSockAddr},
	65:  {ID: 65, Name: "bpf_xdp_adjust_tail", Args: []ArgKind{ArgCtx, ArgAnything}, InvalidatesPacket: true, Since: V(4, 18), Progs: progsXDP},
	66:  {ID: 66, Name: "bpf_skb_get_xfrm_state", Args: []ArgKind{ArgCtx, ArgAnything, ArgUninitMem, ArgConstSize, ArgAnything}, Since: V(4, 18), Progs: progsSchedACTSchedCLS},
	67:  {ID: 67, Name: "bpf_get_stack", Args: []ArgKind{ArgCtx, ArgUninitMem, ArgConstSizeOrZero, ArgAnything}, GPL: true, LengthOrError: true, Since: V(4, 18), Progs: tracers},
	68:  {ID: 68, Name: "bpf_skb_load_bytes_relative", Args: []ArgKind{ArgCtx, ArgAnything, ArgUninitMem, ArgConstSize, ArgAnything}, Since: V(4, 18), Progs: progsLikeSkbLoadBytesRelative},
	69:  {ID: 69, Name: "bpf_fib_lookup", Args: []ArgKind{ArgCtx, ArgWritableMem, ArgConstSize, ArgAnything}, GPL: true, Since: V(4, 18), Progs: progsSchedACTSchedCLSXDP},
	70:  {ID: 70, Name: "bpf_sock_hash_update", Args: []ArgKind{ArgCtx, ArgConstMapPtr, ArgMapKey, ArgAnything}, MapTypes: mapsSockhash, Since: V(4, 18), Progs: progsSockOps},
	71:  {ID: 71, Name: "bpf_msg_redirect_hash", Args: []ArgKind{ArgCtx, ArgConstMapPtr, ArgMapKey, ArgAnything}, MapTypes: mapsSockhash, Since: V(4, 18), Progs: progsSKMsg},
	72:  {ID: 72, Name: "bpf_sk_redirect_hash", Args: []ArgKind{ArgCtx, ArgConstMapPtr, ArgMapKey, ArgAnything}, MapTypes: mapsSockhash, Since: V(4, 18), Progs: progsSKSKB},
	73:  {ID: 73, Name: "bpf_lwt_push_encap", Args: []ArgKind{ArgCtx, ArgAnything, ArgMem, ArgConstSize}, InvalidatesPacket: true, Since: V(4, 18), Progs: progsLWTInLWTXmit},
	74:  {ID: 74, Name: "bpf_lwt_seg6_store_bytes", Args: []ArgKind{ArgCtx, ArgAnything, ArgMem, ArgConstSize}, InvalidatesPacket: true, Since: V(4, 18), Progs: progsLWTSeg6Local},
	75:  {ID: 75, Name: "bpf_lwt_seg6_adjust_srh", Args: []ArgKind{ArgCtx, ArgAnything, ArgAnything}, InvalidatesPacket: true, Since: V(4, 18), Progs: progsLWTSeg6Local},
	76:  {ID: 76, Name: "bpf_lwt_seg6_action", Args: []ArgKind{ArgCtx, ArgAnything, ArgMem, ArgConstSize}, InvalidatesPacket: true, Since: V(4, 18), Progs: progsLWTSeg6Local},
	77:  {ID: 77, Name: "bpf_rc_repeat", Args: []ArgKind{ArgCtx}, GPL: true, Since: V(4, 18), Progs: progsLIRCMode2},
	78:  {ID: 78, Name: "bpf_rc_keydown", Args: []ArgKind{ArgCtx, ArgAnything, ArgAnything, ArgAnything}, GPL: true, Since: V(4, 18), Progs: progsLIRCMode2},
	79:  {ID: 79, Name: "bpf_skb_cgroup_id", Args: []ArgKind{ArgCtx}, Since: V(4, 18), Progs: progsCGroupSKBSchedACTSchedCLS},
	80:  {ID: 80, Name: "bpf_get_current_cgroup_id", Since: V(4, 18)},
	81:  {ID: 81, Name: "bpf_get_local_storage", Args: []ArgKind{ArgConstMapPtr, ArgAnything}, Ret: RetMapValue, Not: lsmMac, MapTypes: mapsCgroupStorage, ZeroFlags: true, Since: V(4, 19), Progs: progsLikeGetLocalStorage},
	82:  {ID: 82, Name: "bpf_sk_select_reuseport", Args: []ArgKind{ArgCtx, ArgConstMapPtr, ArgMapKey, ArgAnything}, MapTypes: mapsReuseport, Since: V(4, 19), Progs: progsSKReuseport},
	83:  {ID: 83, Name: "bpf_skb_ancestor_cgroup_id", Args: []ArgKind{ArgCtx, ArgAnything}, Since: V(4, 19), Progs: progsCGroupSKBSchedACTSchedCLS},
	84:  {ID: 84, Name: "bpf_sk_lookup_tcp", Args: []ArgKind{ArgCtx, ArgMem, ArgConstSizeOrZero, ArgAnything, ArgAnything}, Ret: RetSockOrNull, AcquiresRef: true, PacketAccess: true, Since: V(4, 20), Progs: progsLikeSkLookupTcp},
	85:  {ID: 85, Name: "bpf_sk_lookup_udp", Args: []ArgKind{ArgCtx, ArgMem, ArgConstSizeOrZero, ArgAnything, ArgAnything}, Ret: RetSockOrNull, AcquiresRef: true, PacketAccess: true, Since: V(4, 20), Progs: progsLikeSkLookupTcp},
	86:  {ID: 86, Name: "bpf_sk_release", Args: []ArgKind{ArgAnySock}, ReleaseArg: 1, Since: V(4, 20), Progs: progsLikeSkRelease},
	87:  {ID: 87, Name: "bpf_map_push_elem", Args: []ArgKind{ArgConstMapPtr, ArgMapValue, ArgAnything}, MapTypes: mapsPush, ChangesMap: true, PacketAccess: true, Since: V(4, 20)},
	88:  {ID: 88, Name: "bpf_map_pop_elem", Args: []ArgKind{ArgConstMapPtr, ArgUninitMapValue}, MapTypes: mapsPop, ChangesMap: true, Since: V(4, 20)},
	89:  {ID: 89, Name: "bpf_map_peek_elem", Args: []ArgKind{ArgConstMapPtr, ArgUninitMapValue}, MapTypes: mapsPush, Since: V(4, 20)},
	90:  {ID: 90, Name: "bpf_msg_push_data", Args: []ArgKind{ArgCtx, ArgAnything, ArgAnything, ArgAnything}, InvalidatesPacket: true, Since: V(4, 20), Progs: progsSKMsg},
	91:  {ID: 91, Name: "bpf_msg_pop_data", Args: []ArgKind{ArgCtx, ArgAnything, ArgAnything, ArgAnything}, InvalidatesPacket: true, Since: V(5, 0), Progs: progsSKMsg},
	92:  {ID: 92, Name: "bpf_rc_pointer_rel", Args: []ArgKind{ArgCtx, ArgAnything, ArgAnything}, Since: V(5, 0), Progs: progsLIRCMode2},
	93:  {ID: 93, Name: "bpf_spin_lock", Args: []ArgKind{ArgSpinLock}, Ret: RetVoid, Lock: TakesLock, Since: V(5, 1)},
	94:  {ID: 94, Name: "bpf_spin_unlock", Args: []ArgKind{ArgSpinLock}, Ret: RetVoid, Lock: DropsLock, Since: V(5, 1)},
	95:  {ID: 95, Name: "bpf_sk_fullsock", Args: []ArgKind{ArgSockCommon}, Ret: RetSockOrNull, CastArg: 1, Since: V(5, 1), Progs: progsCGroupSKBSchedACTSchedCLS},
	96:  {ID: 96, Name: "bpf_tcp_sock", Args: []ArgKind{ArgSockCommon}, Ret: RetTCPSockOrNull, CastArg: 1, Since: V(5, 1), Progs: progsLikeTcpSock},
	97:  {ID: 97, Name: "bpf_skb_ecn_set_ce", Args: []ArgKind{ArgCtx}, Since: V(5, 1), Progs: progsCGroupSKBSchedACTSchedCLS},
	98:  {ID: 98, Name: "bpf_get_listener_sock", Args: []ArgKind{ArgSockCommon}, Ret: RetSockOrNull, Since: V(5, 1), Progs: progsCGroupSKBSchedACTSchedCLS},
	99:  {ID: 99, Name: "bpf_skc_lookup_tcp", Args: []ArgKind{ArgCtx, ArgMem, ArgConstSizeOrZero, ArgAnything, ArgAnything}, Ret: RetSockCommonOrNull, AcquiresRef: true, PacketAccess: true, Since: V(5, 2), Progs: progsLikeSkLookupTcp},
	100: {ID: 100, Name: "bpf_tcp_check_syncookie", Args: []ArgKind{ArgAnySock, ArgMem, ArgConstSize, ArgMem, ArgConstSize}, GPL: true, PacketAccess: true, Since: V(5, 2), Progs: progsSchedACTSchedCLSXDP},
	101: {ID: 101, Name: "bpf_sysctl_get_name", Args: []ArgKind{ArgCtx, ArgUninitMem, ArgConstSize, ArgAnything}, Since: V(5, 2), Progs: progsCGroupSysctl},
	102: {ID: 102, Name: "bpf_sysctl_get_current_value", Args: []ArgKind{ArgCtx, ArgUninitMem, ArgConstSize}, Since: V(5, 2), Progs: progsCGroupSysctl},
	103: {ID: 103, Name: "bpf_sysctl_get_new_value", Args: []ArgKind{ArgCtx, ArgUninitMem, ArgConstSize}, Since: V(5, 2), Progs: progsCGroupSysctl},
	104: {ID: 104, Name: "bpf_sysctl_set_new_value", Args: []ArgKind{ArgCtx, ArgMem, ArgConstSize}, Since: V(5, 2), Progs: progsCGroupSysctl},
	105: {ID: 105, Name: "bpf_strtol", Args: []ArgKind{ArgMem, ArgConstSize, ArgAnything, ArgUninitU64}, Since: V(5, 2)},
	106: {ID: 106, Name: "bpf_strtoul", Args: []ArgKind{ArgMem, ArgConstSize, ArgAnything, ArgUninitU64}, Since: V(5, 2)},
	107: {ID: 107, Name: "bpf_sk_storage_get", Args: []ArgKind{ArgConstMapPtr, ArgAnySock, ArgMapValueOrNull, ArgAnything}, Ret: RetMapValueOrNull, MapTypes: mapsSKStorage, Since: V(5, 2), Progs: progsLikeSkStorageGet, Not: fmodRet, NotTargets: "bpf_sk_storage"},
	108: {ID: 108, Name: "bpf_sk_storage_delete", Args: []ArgKind{ArgConstMapPtr, ArgAnySock}, MapTypes: mapsSKStorage, Since: V(5, 2), Progs: progsLikeSkStorageDelete, Not: fmodRet, NotTargets: "bpf_sk_storage"},
	109: {ID: 109, Name: "bpf_send_signal", Args: []ArgKind{ArgAnything}, Since: V(5, 3)},
	110: {ID: 110, Name: "bpf_tcp_gen_syncookie", Args: []ArgKind{ArgAnySock, ArgMem, ArgConstSize, ArgMem, ArgConstSize}, GPL: true, PacketAccess: true, Since: V(5, 3), Progs: progsSchedACTSchedCLSXDP},
	111: {ID: 111, Name: "bpf_skb_output", Args: []ArgKind{ArgBTF, ArgConstMapPtr, ArgAnything, ArgMem, ArgConstSizeOrZero}, Type: "sk_buff", MapTypes: mapsPerfEvent, GPL: true, Since: V(5, 5), Progs: progsLSMSyscallTracing},
	112: {ID: 112, Name: "bpf_probe_read_user", Args: []ArgKind{ArgUninitMem, ArgConstSizeOrZero, ArgAnything}, Perfmon: true, GPL: true, Since: V(5, 5)},
	113: {ID: 113, Name: "bpf_probe_read_kernel", Args: []ArgKind{ArgUninitMem, ArgConstSizeOrZero, ArgAnything}, Perfmon: true, GPL: true, Locked: LockdownConfidentiality, Since: V(5, 5)},
	114: {ID: 114, Name: "bpf_probe_read_user_str", Args: []ArgKind{ArgUninitMem, ArgConstSizeOrZero, ArgAnything}, Perfmon: true, GPL: true, LengthOrError: true, Since: V(5, 5)},
	115: {ID: 115, Name: "bpf_probe_read_kernel_str", Args: []ArgKind{ArgUninitMem, ArgConstSizeOrZero, ArgAnything}, Perfmon: true, GPL: true, LengthOrError: true, Locked: LockdownConfidentiality, Since: V(5, 5)},
	116: {ID: 116, Name: "bpf_tcp_send_ack", Args: []ArgKind{ArgBTF, ArgAnything}, Type: "tcp_sock", GPL: true, Since: V(5, 5), Progs: progsStructOps},
	117: {ID: 117, Name: "bpf_send_signal_thread", Args: []ArgKind{ArgAnything}, Since: V(5, 6)},
	118: {ID: 118, Name: "bpf_jiffies64", Since: V(5, 6)},
	119: {ID: 119, Name: "bpf_read_branch_records", Args: []ArgKind{ArgCtx, ArgUninitMemOrNull, ArgConstSizeOrZero, ArgAnything}, GPL: true, Since: V(5, 6), Progs: progsPerfEvent},
	120: {ID: 120, Name: "bpf_get_ns_current_pid_tgid", Args: []ArgKind{ArgAnything, ArgAnything, ArgUninitMem, ArgConstSize}, Since: V(5, 7)},
	121: {ID: 121, Name: "bpf_xdp_output", Args: []ArgKind{ArgBTF, ArgConstMapPtr, ArgAnything, ArgMem, ArgConstSizeOrZero}, Type: "xdp_buff", MapTypes: mapsPerfEvent, GPL: true, Since: V(5, 7), Progs: progsLSMSyscallTracing},
	122: {ID: 122, Name: "bpf_get_netns_cookie", Args: []ArgKind{ArgCtxOrNull}, Since: V(5, 7), Progs: progsLikeGetNetnsCookie},
	123: {ID: 123, Name: "bpf_get_current_ancestor_cgroup_id", Args: []ArgKind{ArgAnything}, Since: V(5, 7)},
	124: {ID: 124, Name: "bpf_sk_assign", Args: []ArgKind{ArgCtx, ArgAnySock, ArgAnything}, Since: V(5, 7), Progs: progsSKLookupSchedACTSchedCLS},
	125: {ID: 125, Name: "bpf_ktime_get_boot_ns", Since: V(5, 8)},
	126: {ID: 126, Name: "bpf_seq_printf", Args: []ArgKind{ArgBTF, ArgMem, ArgConstSize, ArgMemOrNull, ArgConstSizeOrZero}, Type: "seq_file", GPL: true, Since: V(5, 8), Progs: progsTracing, Expected: []AttachType{AttachTraceIter}},
	127: {ID: 127, Name: "bpf_seq_write", Args: []ArgKind{ArgBTF, ArgMem, ArgConstSizeOrZero}, Type: "seq_file", GPL: true, Since: V(5, 8), Progs: progsTracing, Expected: []AttachType{AttachTraceIter}},
	128: {ID: 128, Name: "bpf_sk_cgroup_id", Args: []ArgKind{ArgAnySock}, Since: V(5, 8), Progs: progsCGroupSKB},
	129: {ID: 129, Name: "bpf_sk_ancestor_cgroup_id", Args: []ArgKind{ArgAnySock, ArgAnything}, Since: V(5, 8), Progs: progsCGroupSKB},
	130: {ID: 130, Name: "bpf_ringbuf_output", Args: []ArgKind{ArgConstMapPtr, ArgMem, ArgConstSizeOrZero, ArgAnything}, MapTypes: mapsRingBuf, Since: V(5, 8)},
	131: {ID: 131, Name: "bpf_ringbuf_reserve", Args: []ArgKind{ArgConstMapPtr, ArgConstAllocSize, ArgAnything}, Ret: RetRingMemOrNull, MapTypes: mapsRingBuf, AcquiresRef: true, Since: V(5, 8)},
	132: {ID: 132, Name: "bpf_ringbuf_submit", Args: []ArgKind{ArgRingMem, ArgAnything}, Ret: RetVoid, ReleaseArg: 1, Since: V(5, 8)},
	133: {ID: 133, Name: "bpf_ringbuf_discard", Args: []ArgKind{ArgRingMem, ArgAnything}, Ret: RetVoid, ReleaseArg: 1, Since: V(5, 8)},
	134: {ID: 134, Name: "bpf_ringbuf_query", Args: []ArgKind{ArgConstMapPtr, ArgAnything}, MapTypes: mapsRingBuf, Since: V(5, 8)},
	135: {ID: 135, Name: "bpf_csum_level", Args: []ArgKind{ArgCtx, ArgAnything}, Since: V(5, 8), Progs: progsLWTXmitSchedACTSchedCLS},
	136: {ID: 136, Name: "bpf_skc_to_tcp6_sock", Args: []ArgKind{ArgAnySock}, Ret: RetBTFOrNull, RetType: "tcp6_sock", CastArg: 1, Since: V(5, 9), Progs: progsLikeSkcToTcp6Sock},
	137: {ID: 137, Name: "bpf_skc_to_tcp_sock", Args: []ArgKind{ArgAnySock}, Ret: RetBTFOrNull, RetType: "tcp_sock", CastArg: 1, Since: V(5, 9), Progs: progsLikeSkcToTcp6Sock},
	138: {ID: 138, Name: "bpf_skc_to_tcp_timewait_sock", Args: []ArgKind{ArgAnySock}, Ret: RetBTFOrNull, RetType: "tcp_timewait_sock", CastArg: 1, Since: V(5, 9), Progs: progsLikeSkcToTcp6Sock},
	139: {ID: 139, Name: "bpf_skc_to_tcp_request_sock", Args: []ArgKind{ArgAnySock}, Ret: RetBTFOrNull, RetType: "tcp_request_sock", CastArg: 1, Since: V(5, 9), Progs: progsLikeSkcToTcp6Sock},
	140: {ID: 140, Name: "bpf_skc_to_udp6_sock", Args: []ArgKind{ArgAnySock}, Ret: RetBTFOrNull, RetType: "udp6_sock", CastArg: 1, Since: V(5, 9), Progs: progsLikeSkcToTcp6Sock},
	141: {ID: 141, Name: "bpf_get_task_stack", Args: []ArgKind{ArgBTF, ArgUninitMem, ArgConstSizeOrZero, ArgAnything}, Type: "task_struct", LengthOrError: true, Since: V(5, 9)},
	142: {ID: 142, Name: "bpf_load_hdr_opt", Args: []ArgKind{ArgCtx, ArgWritableMem, ArgConstSize, ArgAnything}, Since: V(5, 10), Progs: progsSockOps},
	143: {ID: 143, Name: "bpf_store_hdr_opt", Args: []ArgKind{ArgCtx, ArgMem, ArgConstSize, ArgAnything}, Since: V(5, 10), Progs: progsSockOps},
	144: {ID: 144, Name: "bpf_reserve_hdr_opt", Args: []ArgKind{ArgCtx, ArgAnything, ArgAnything}, Since: V(5, 10), Progs: progsSockOps},
	145: {ID: 145, Name: "bpf_inode_storage_get", Args: []ArgKind{ArgConstMapPtr, ArgBTFOrNull, ArgMapValueOrNull, ArgAnything}, Ret: RetMapValueOrNull, Type: "inode", MapTypes: mapsInodeStorage, Since: V(5, 10), Progs: progsLSM},
	146: {ID: 146, Name: "bpf_inode_storage_delete", Args: []ArgKind{ArgConstMapPtr, ArgBTFOrNull}, Type: "inode", MapTypes: mapsInodeStorage, Since: V(5, 10), Progs: progsLSM},
	147: {ID: 147, Name: "bpf_d_path", Args: []ArgKind{ArgBTF, ArgUninitMem, ArgConstSizeOrZero}, Type: "path", SleepableHooks: true, Since: V(5, 10), Progs: progsLSMTracing, Targets: pathFunctions},
	148: {ID: 148, Name: "bpf_copy_from_user", Args: []ArgKind{ArgUninitMem, ArgConstSizeOrZero, ArgAnything}, Sleepable: true, Since: V(5, 10)},
	149: {ID: 149, Name: "bpf_snprintf_btf", Args: []ArgKind{ArgUninitMem, ArgConstSize, ArgMem, ArgConstSize, ArgAnything}, Since: V(5, 10)},
	150: {ID: 150, Name: "bpf_seq_printf_btf", Args: []ArgKind{ArgBTF, ArgMem, ArgConstSizeOrZero, ArgAnything}, Type: "seq_file", GPL: true, Since: V(5, 10), Progs: progsTracing, Expected: []AttachType{AttachTraceIter}},
	151: {ID: 151, Name: "bpf_skb_cgroup_classid", Args: []ArgKind{ArgCtx}, Since: V(5, 10), Progs: progsSchedACTSchedCLS},
	152: {ID: 152, Name: "bpf_redirect_neigh", Args: []ArgKind{ArgAnything, ArgMemOrNull, ArgConstSizeOrZero, ArgAnything}, Since: V(5, 10), Progs: progsSchedACTSchedCLS},
	153: {ID: 153, Name: "bpf_per_cpu_ptr", Args: []ArgKind{ArgPerCPU, ArgAnything}, Ret: RetPerCPUOrNull, Since: V(5, 10)},
	154: {ID: 154, Name: "bpf_this_cpu_ptr", Args: []ArgKind{ArgPerCPU}, Ret: RetPerCPU, Since: V(5, 10)},
	155: {ID: 155, Name: "bpf_redirect_peer", Args: []ArgKind{ArgAnything, ArgAnything}, Since: V(5, 10), Progs: progsSchedACTSchedCLS},
	156: {ID: 156, Name: "bpf_task_storage_get", Args: []ArgKind{ArgConstMapPtr, ArgBTFOrNull, ArgMapValueOrNull, ArgAnything}, Ret: RetMapValueOrNull, Type: "task_struct", MapTypes: mapsTaskStorage, Since: V(5, 11)},
	157: {ID: 157, Name: "bpf_task_storage_delete", Args: []ArgKind{ArgConstMapPtr, ArgBTFOrNull}, Type: "task_struct", MapTypes: mapsTaskStorage, Since: V(5, 11)},
	158: {ID: 158, Name: "bpf_get_current_task_btf", Ret: RetBTFTrusted, RetType: "task_struct", Perfmon: true, GPL: true, Since: V(5, 11)},
	159: {ID: 159, Name: "bpf_bprm_opts_set", Args: []ArgKind{ArgBTF, ArgAnything}, Type: "linux_binprm", Since: V(5, 11), Progs: progsLSM},
	160: {ID: 160, Name: "bpf_ktime_get_coarse_ns", Since: V(5, 11), Progs: progsLikeKtimeGetCoarseNs},
	161: {ID: 161, Name: "bpf_ima_inode_hash", Args: []ArgKind{ArgBTF, ArgUninitMem, ArgConstSize}, Type: "inode", Sleepable: true, SleepableHooks: true, Since: V(5, 11), Progs: progsLSM},
	162: {ID: 162, Name: "bpf_sock_from_file", Args: []ArgKind{ArgBTF}, Ret: RetBTFOrNull, Type: "file", RetType: "socket", Since: V(5, 11), Progs: progsLSMSyscallTracing},
	163: {ID: 163, Name: "bpf_check_mtu", Args: []ArgKind{ArgCtx, ArgAnything, ArgFixedWritableMem, ArgAnything, ArgAnything}, Sizes: []int{4}, GPL: true, Since: V(5, 12), Progs: progsSchedACTSchedCLSXDP},
	164: {ID: 164, Name: "bpf_for_each_map_elem", Args: []ArgKind{ArgConstMapPtr, ArgFuncPtr, ArgStackOrNull, ArgAnything}, MapTypes: mapsForEach, Callback: callbackMapElem, Since: V(5, 13)},
	165: {ID: 165, Name: "bpf_snprintf", Args: []ArgKind{ArgUninitMemOrNull, ArgConstSizeOrZero, ArgConstStr, ArgMemOrNull, ArgConstSizeOrZero}, Format: true, Perfmon: true, GPL: true, Since: V(5, 13)},
	166: {ID: 166, Name: "bpf_sys_bpf", Args: []ArgKind{ArgAnything, ArgMem, ArgConstSize}, Since: V(5, 14), Progs: progsSyscall},
	167: {ID: 167, Name: "bpf_btf_find_by_name_kind", Args: []ArgKind{ArgMem, ArgConstSize, ArgAnything, ArgAnything}, Since: V(5, 14), Progs: progsSyscall},
	168: {ID: 168, Name: "bpf_sys_close", Args: []ArgKind{ArgAnything}, Since: V(5, 14), Progs: progsSyscall},
	169: {ID: 169, Name: "bpf_timer_init", Args: []ArgKind{ArgTimer, ArgConstMapPtr, ArgAnything}, GPL: true, Since: V(5, 15)},
	170: {ID: 170, Name: "bpf_timer_set_callback", Args: []ArgKind{ArgTimer, ArgFuncPtr}, GPL: true, Callback: callbackTimer, Since: V(5, 15)},
	171: {ID: 171, Name: "bpf_timer_start", Args: []ArgKind{ArgTimer, ArgAnything, ArgAnything}, GPL: true, Since: V(5, 15)},
	172: {ID: 172, Name: "bpf_timer_cancel", Args: []ArgKind{ArgTimer}, GPL: true, Since: V(5, 15)},
	173: {ID: 173, Name: "bpf_get_func_ip", Args: []ArgKind{ArgCtx}, GPL: true, Since: V(5, 15), Progs: progsKprobeTracing, Expected: attachTrampoline},
	174: {ID: 174, Name: "bpf_get_attach_cookie", Args: []ArgKind{ArgCtx}, Since: V(5, 15), Progs: progsLikeGetAttachCookie, Not: lsmCgroup, Expected: attachCookie},
	175: {ID: 175, Name: "bpf_task_pt_regs", Args: []ArgKind{ArgBTF}, Ret: RetBTF, Type: "task_struct", RetType: "pt_regs", GPL: true, Since: V(5, 15)},
	176: {ID: 176, Name: "bpf_get_branch_snapshot", Args: []ArgKind{ArgUninitMem, ArgConstSizeOrZero, ArgAnything}, GPL: true, Since: V(5, 16)},
	177: {ID: 177, Name: "bpf_trace_vprintk", Args: []ArgKind{ArgMem, ArgConstSize, ArgMemOrNull, ArgConstSizeOrZero}, Perfmon: true, GPL: true, Since: V(5, 16)},
	178: {ID: 178, Name: "bpf_skc_to_unix_sock", Args: []ArgKind{ArgAnySock}, Ret: RetBTFOrNull, RetType: "unix_sock", Since: V(5, 16), Progs: progsLikeSkcToTcp6Sock},
	179: {ID: 179, Name: "bpf_kallsyms_lookup_name", Args: []ArgKind{ArgMem, ArgConstSizeOrZero, ArgAnything, ArgUninitU64}, TypedLate: true, Since: V(5, 16), Progs: progsSyscall},
	180: {ID: 180, Name: "bpf_find_vma", Args: []ArgKind{ArgBTF, ArgAnything, ArgFuncPtr, ArgStackOrNull, ArgAnything}, Type: "task_struct", Callback: callbackVMA, Since: V(5, 17)},
	181: {ID: 181, Name: "bpf_loop", Args: []ArgKind{ArgAnything, ArgFuncPtr, ArgStackOrNull, ArgAnything}, Callback: callbackLoop, Since: V(5, 17)},
	182: {ID: 182, Name: "bpf_strncmp", Args: []ArgKind{ArgMem, ArgConstSize, ArgConstStr}, Since: V(5, 17)},
	183: {ID: 183, Name: "bpf_get_func_arg", Args: []ArgKind{ArgCtx, ArgAnything, ArgUninitU64}, Since: V(5, 17), Progs: progsLSMTracing, Not: lsmCgroup, Expected: attachTrampoline},
	184: {ID: 184, Name: "bpf_get_func_ret", Args: []ArgKind{ArgCtx, ArgUninitU64}, Since: V(5, 17), Progs: progsLSMTracing, Not: lsmCgroup, Expected: attachTrampoline},
	185: {ID: 185, Name: "bpf_get_func_arg_cnt", Args: []ArgKind{ArgCtx}, Since: V(5, 17), Progs: progsLSMTracing, Not: lsmCgroup, Expected: attachTrampoline},
	186: {ID: 186, Name: "bpf_get_retval", Since: V(5, 18), Progs: progsLikeGetRetval, Except: attachNoRetval, Not: lsmMac},
	187: {ID: 187, Name: "bpf_set_retval", Args: []ArgKind{ArgAnything}, Since: V(5, 18), Progs: progsLikeGetRetval, Except: attachNoRetval, Not: lsmMac},
	188: {ID: 188, Name: "bpf_xdp_get_buff_len", Args: []ArgKind{ArgCtx}, Since: V(5, 18), Progs: progsSyscallTracingXDP},
	189: {ID: 189, Name: "bpf_xdp_load_bytes", Args: []ArgKind{ArgCtx, ArgAnything, ArgUninitMem, ArgConstSize}, Since: V(5, 18), Progs: progsXDP},
	190: {ID: 190, Name: "bpf_xdp_store_bytes", Args: []ArgKind{ArgCtx, ArgAnything, ArgMem, ArgConstSize}, Since: V(5, 18), Progs: progsXDP},
	191: {ID: 191, Name: "bpf_copy_from_user_task", Args: []ArgKind{ArgUninitMem, ArgConstSizeOrZero, ArgAnything, ArgBTF, ArgAnything}, Type: "task_struct", Sleepable: true, GPL: true, Since: V(5, 18)},
	192: {ID: 192, Name: "bpf_skb_set_tstamp", Args: []ArgKind{ArgCtx, ArgAnything, ArgAnything}, Since: V(5, 18), Progs: progsSchedACTSchedCLS},
	193: {ID: 193, Name: "bpf_ima_file_hash", Args: []ArgKind{ArgBTF, ArgUninitMem, ArgConstSize}, Type: "file", Sleepable: true, SleepableHooks: true, Since: V(5, 18), Progs: progsLSM},
	194: {ID: 194, Name: "bpf_kptr_xchg", Args: []ArgKind{ArgKptr, ArgKptrValue}, Ret: RetKptrOrNull, ReleaseArg: 2, Since: V(5, 19)},
	195: {ID: 195, Name: "bpf_map_lookup_percpu_elem", Args: []ArgKind{ArgConstMapPtr, ArgMapKey, ArgAnything}, Ret: RetMapValueOrNull, MapTypes: mapsPerCPU, PacketAccess: true, Since: V(5, 19)},
	196: {ID: 196, Name: "bpf_skc_to_mptcp_sock", Args: []ArgKind{ArgSockCommon}, Ret: RetBTFOrNull, RetType: "mptcp_sock", CastArg: 1, Since: V(5, 19), Progs: progsLikeSkcToTcp6Sock},
	197: {ID: 197, Name: "bpf_dynptr_from_mem", Args: []ArgKind{ArgUninitMem, ArgConstSizeOrZero, ArgAnything, ArgUninitDynptr}, Dynptr: DynptrLocal, Since: V(5, 19)},
	198: {ID: 198, Name: "bpf_ringbuf_reserve_dynptr", Args: []ArgKind{ArgConstMapPtr, ArgAnything, ArgAnything, ArgUninitDynptr}, MapTypes: mapsRingBuf, Dynptr: DynptrRing, Since: V(5, 19)},
	199: {ID: 199, Name: "bpf_ringbuf_submit_dynptr", Args: []ArgKind{ArgRingDynptr, ArgAnything}, Ret: RetVoid, ReleaseArg: 1, Since: V(5, 19)},
	200: {ID: 200, Name: "bpf_ringbuf_discard_dynptr", Args: []ArgKind{ArgRingDynptr, ArgAnything}, Ret: RetVoid, ReleaseArg: 1, Since: V(5, 19)},
	201: {ID: 201, Name: "bpf_dynptr_read", Args: []ArgKind{ArgUninitMem, ArgConstSizeOrZero, ArgDynptr, ArgAnything, ArgAnything}, Since: V(5, 19)},
	202: {ID: 202, Name: "bpf_dynptr_write", Args: []ArgKind{ArgDynptr, ArgAnything, ArgMem, ArgConstSizeOrZero, ArgAnything}, WritesDynptr: true, Since: V(5, 19)},
	203: {ID: 203, Name: "bpf_dynptr_data", Args: []ArgKind{ArgDynptr, ArgAnything, ArgConstAllocSize}, Ret: RetDynptrMemOrNull, Since: V(5, 19)},
	204: {ID: 204, Name: "bpf_tcp_raw_gen_syncookie_ipv4", Args: []ArgKind{ArgFixedMem, ArgMem, ArgConstSizeOrZero}, Sizes: []int{20}, GPL: true, PacketAccess: true, TypedLate: true, Since: V(6, 0), Progs: progsSchedACTSchedCLSXDP},
	205: {ID: 205, Name: "bpf_tcp_raw_gen_syncookie_ipv6", Args: []ArgKind{ArgFixedMem, ArgMem, ArgConstSizeOrZero}, Sizes: []int{40}, GPL: true, PacketAccess: true, TypedLate: true, Since: V(6, 0), Progs: progsSchedACTSchedCLSXDP},
	206: {ID: 206, Name: "bpf_tcp_raw_check_syncookie_ipv4", Args: []ArgKind{ArgFixedMem, ArgFixedMem}, Sizes: []int{20, 20}, GPL: true, PacketAccess: true, Since: V(6, 0), Progs: progsSchedACTSchedCLSXDP},
	207: {ID: 207, Name: "bpf_tcp_raw_check_syncookie_ipv6", Args: []ArgKind{ArgFixedMem, ArgFixedMem}, Sizes: []int{40, 20}, GPL: true, PacketAccess: true, Since: V(6, 0), Progs: progsSchedACTSchedCLSXDP},
	208: {ID: 208, Name: "bpf_ktime_get_tai_ns", Since: V(6, 1)},
	209: {ID: 209, Name: "bpf_user_ringbuf_drain", Args: []ArgKind{ArgConstMapPtr, ArgFuncPtr, ArgStackOrNull, ArgAnything}, MapTypes: mapsUserRingBuf, Callback: callbackSample, Since: V(6, 1)},
	210: {ID: 210, Name: "bpf_cgrp_storage_get", Args: []ArgKind{ArgConstMapPtr, ArgBTFOrNull, ArgMapValueOrNull, ArgAnything}, Ret: RetMapValueOrNull, Type: "cgroup", MapTypes: mapsCgrpStorage, Since: V(6, 2)},
	211: {ID: 211, Name: "bpf_cgrp_storage_delete", Args: []ArgKind{ArgConstMapPtr, ArgBTFOrNull}, Type: "cgroup", MapTypes: mapsCgrpStorage, Since: V(6, 2)},
}

// Program types that share a set of helpers.
var (
	tracers                        = []ProgType{Kprobe, LSM, PerfEvent, RawTracepoint, RawTracepointWrit, Syscall, Tracepoint, Tracing}
	progsLikeSkbStoreBytes         = []ProgType{LWTXmit, SKSKB, SchedACT, SchedCLS}
	progsLWTXmitSchedACTSchedCLS   = []ProgType{LWTXmit, SchedACT, SchedCLS}
	progsSchedACTSchedCLS          = []ProgType{SchedACT, SchedCLS}
	progsLikeRedirect              = []ProgType{LWTXmit, SchedACT, SchedCLS, XDP}
	progsLikeGetRouteRealm         = []ProgType{LWTIn, LWTOut, LWTSeg6Local, LWTXmit, SchedACT, SchedCLS}
	progsLikePerfEventOutput       = []ProgType{CGroupDevice, CGroupSKB, CGroupSock, CGroupSockAddr, CGroupSockopt, CGroupSysctl, Kprobe, LSM, LWTIn, LWTOut, LWTSeg6Local, LWTXmit, PerfEvent, RawTracepoint, RawTracepointWrit, SKLookup, SKMsg, SKSKB, SchedACT, SchedCLS, SockOps, SocketFilter, Syscall, Tracepoint, Tracing, XDP}
	progsLikeSkbLoadBytes          = []ProgType{CGroupSKB, FlowDissector, LWTIn, LWTOut, LWTSeg6Local, LWTXmit, SKReuseport, SKSKB, SchedACT, SchedCLS, SocketFilter}
	progsLikeCsumDiff              = []ProgType{LWTIn, LWTOut, LWTSeg6Local, LWTXmit, SchedACT, SchedCLS, XDP}
	progsLikeSkbPullData           = []ProgType{LWTIn, LWTOut, LWTSeg6Local, LWTXmit, SKSKB, SchedACT, SchedCLS}
	progsXDP                       = []ProgType{XDP}
	progsLikeGetSocketCookie       = []ProgType{CGroupSKB, CGroupSock, CGroupSockAddr, LSM, SKReuseport, SKSKB, SchedACT, SchedCLS, SockOps, SocketFilter, Syscall, Tracing}
	progsLikeGetSocketUid          = []ProgType{CGroupSKB, SKSKB, SchedACT, SchedCLS, SocketFilter}
	progsSockopt                   = []ProgType{CGroupSockAddr, CGroupSockopt, LSM, SockOps, Tracing}
	progsSKSKBSchedACTSchedCLS     = []ProgType{SKSKB, SchedACT, SchedCLS}
	progsSKSKB                     = []ProgType{SKSKB}
	progsSockOps                   = []ProgType{SockOps}
	progsPerfEvent                 = []ProgType{PerfEvent}
	progsKprobe                    = []ProgType{Kprobe}
	progsSKMsg                     = []ProgType{SKMsg}
	progsCGroupSockAddr            = []ProgType{CGroupSockAddr}
	progsLikeSkbLoadBytesRelative  = []ProgType{CGroupSKB, SKReuseport, SchedACT, SchedCLS, SocketFilter}
	progsSchedACTSchedCLSXDP       = []ProgType{SchedACT, SchedCLS, XDP}
	progsLWTInLWTXmit              = []ProgType{LWTIn, LWTXmit}
	progsLWTSeg6Local              = []ProgType{LWTSeg6Local}
	progsLIRCMode2                 = []ProgType{LIRCMode2}
	progsCGroupSKBSchedACTSchedCLS = []ProgType{CGroupSKB, SchedACT, SchedCLS}
	progsLikeGetLocalStorage       = []ProgType{LSM, CGroupDevice, CGroupSKB, CGroupSock, CGroupSockAddr, CGroupSockopt, CGroupSysctl, SockOps}
	progsSKReuseport               = []ProgType{SKReuseport}
	progsLikeSkLookupTcp           = []ProgType{CGroupSKB, CGroupSockAddr, SKSKB, SchedACT, SchedCLS, XDP}
	progsLikeSkRelease             = []ProgType{CGroupSKB, CGroupSockAddr, SKLookup, SKSKB, SchedACT, SchedCLS, XDP}
	progsLikeTcpSock               = []ProgType{CGroupSKB, CGroupSockopt, SchedACT, SchedCLS, SockOps}
	progsCGroupSysctl              = []ProgType{CGroupSysctl}
	progsLikeSkStorageGet          = []ProgType{CGroupSKB, CGroupSock, CGroupSockAddr, CGroupSockopt, LSM, SKMsg, SchedACT, SchedCLS, SockOps, Tracing}
	progsLikeSkStorageDelete       = []ProgType{CGroupSKB, CGroupSockAddr, CGroupSockopt, LSM, SKMsg, SchedACT, SchedCLS, SockOps, Tracing}
	progsLSMSyscallTracing         = []ProgType{LSM, Syscall, Tracing}
	progsStructOps                 = []ProgType{StructOps}
	progsLikeGetNetnsCookie        = []ProgType{CGroupSKB, CGroupSock, CGroupSockAddr, CGroupSockopt, SKMsg, SchedACT, SchedCLS, SockOps, SocketFilter}
	progsSKLookupSchedACTSchedCLS  = []ProgType{SKLookup, SchedACT, SchedCLS}
	progsTracing                   = []ProgType{Tracing}
	progsCGroupSKB                 = []ProgType{CGroupSKB}
	progsLikeSkcToTcp6Sock         = []ProgType{CGroupSKB, CGroupSockAddr, FlowDissector, LSM, LWTIn, LWTOut, LWTSeg6Local, LWTXmit, SKLookup, SKMsg, SKSKB, SchedACT, SchedCLS, SockOps, SocketFilter, Syscall, Tracing, XDP}
	progsLSM                       = []ProgType{LSM}
	progsLikeKtimeGetCoarseNs      = []ProgType{CGroupSKB, CGroupSock, CGroupSockAddr, CGroupSysctl, FlowDissector, LWTIn, LWTOut, LWTSeg6Local, LWTXmit, SKLookup, SKMsg, SKReuseport, SKSKB, SchedACT, SchedCLS, SockOps, SocketFilter, XDP}
	progsSyscall                   = []ProgType{Syscall}
	progsKprobeTracing             = []ProgType{Kprobe, Tracing}
	progsLikeGetAttachCookie       = []ProgType{Kprobe, LSM, PerfEvent, RawTracepoint, RawTracepointWrit, Tracepoint, Tracing}
	progsLSMTracing                = []ProgType{LSM, Tracing}
	progsLikeGetRetval             = []ProgType{CGroupDevice, CGroupSock, CGroupSockAddr, CGroupSockopt, CGroupSysctl, LSM, SockOps}
	progsSyscallTracingXDP         = []ProgType{LSM, Syscall, Tracing, XDP}
)

// Attach types that have a helper, or don't.
var (
	attachNoRetval   = []AttachType{0, 1, 3, 19, 20, 29, 30, 31, 32, 51, 52, 53} // skb, sock_ops, recvmsg, getpeername, getsockname
	attachTrampoline = []AttachType{AttachFEntry, AttachFExit, AttachModifyRet}
	attachCookie     = []AttachType{AttachTraceRawTp, AttachFEntry, AttachFExit, AttachModifyRet}
)

// itersSockopt are the iterators whose programs may change options of the sockets.
var itersSockopt = []string{"tcp", "unix"}

// Pairs of program and attach type that don't have a helper that others of the type have.
var (
	lsmMac    = []Attach{{Type: LSM, Expected: AttachLSMMac}}
	lsmCgroup = []Attach{{Type: LSM, Expected: AttachLSMCgroup}}
	fmodRet   = []Attach{{Type: Tracing, Expected: AttachModifyRet}}
)

// hooksSockopt are the hooks at which programs for cgroups may change options of the socket.
var hooksSockopt = []string{"inet_conn_established", "inet_csk_clone", "sock_graft", "socket_socketpair", "socket_post_create"}

// pathFunctions are the functions whose arguments bpf_d_path may look at.
var pathFunctions = []string{
	"security_file_permission", "security_inode_getattr", "security_file_open", "security_path_truncate",
	"vfs_truncate", "vfs_fallocate", "dentry_open", "vfs_getattr", "filp_close",
}

// HelperByID finds a helper by its number; nil when there is none.
func HelperByID(id int32) *Helper {
	if id <= 0 || int(id) >= len(helpers) {
		return nil
	}
	return &helpers[id]
}

// HelperByName finds a helper by its name, with or without "bpf_"; nil when there is none.
func HelperByName(name string) *Helper {
	for i := range helpers {
		if n := helpers[i].Name; n != "" && (n == name || n[len("bpf_"):] == name) {
			return &helpers[i]
		}
	}
	return nil
}

// Has reports whether programs that go to a may call h.
func (h *Helper) Has(a Attach) bool {
	if a.Type == CGroupSock && a.Expected == 0 {
		a.Expected = AttachSockCreate // as the kernel does
	}
	if a.Type == StructOps {
		name, member, _ := strings.Cut(a.Target, ".")
		return StructOpByName(name).has(member, h)
	}
	if h.Progs != nil && !slices.Contains(h.Progs, a.Type) || slices.Contains(h.Except, a.Expected) {
		return false
	}
	if slices.ContainsFunc(h.Not, func(n Attach) bool { return n.Type == a.Type && n.Expected == a.Expected }) {
		return false
	}
	if a.Type == LSM {
		return h.hasHook(a)
	}
	of := h.ExpectedOf
	if of == 0 {
		of = Tracing
	}
	if h.Expected != nil && a.Type == of && !slices.Contains(h.Expected, a.Expected) {
		return false
	}
	switch {
	case a.Type != Tracing:
		return true
	case h.Iters != nil:
		return a.Expected == AttachTraceIter && slices.Contains(h.Iters, a.Target)
	case a.Expected == AttachTraceIter:
		return true
	}
	if h.NotTargets != "" && a.Expected != AttachTraceRawTp && strings.HasPrefix(a.Target, h.NotTargets) {
		return false
	}
	return h.Targets == nil || slices.Contains(h.Targets, a.Target)
}

// hasHook reports whether a program at a hook of a security module may call h.
func (h *Helper) hasHook(a Attach) bool {
	if h.Hooks != nil && !slices.Contains(h.Hooks, a.Target) {
		return false
	}
	return !h.SleepableHooks || LSMHookByName(a.Target).Sleepable
}
