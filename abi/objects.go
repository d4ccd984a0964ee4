package abi

import "slices"

// Defines the layouts of kernel objects that programs see through structures
// of include/uapi/linux/bpf.h, not through the kernel's types.

const srcIP6 = "src_ip6[0] src_ip6[1] src_ip6[2] src_ip6[3]"

// sockAll are the fields of struct bpf_sock.
var sockAll = slices.Concat(
	words(0, "bound_dev_if"), head(4, "family"), head(8, "type"), head(12, "protocol"), words(16, "mark", "priority"),
	narrow(24, "src_ip4"), narrow(28, ip6("src_ip6")...), head(44, "src_port"),
	[]CtxField{{Name: "dst_port", Off: 48, Size: 2, Narrow: true}}, words(48, "dst_port"),
	narrow(52, "dst_ip4"), narrow(56, ip6("dst_ip6")...), head(72, "state"), head(76, "rx_queue_mapping"),
)

var (
	// Sock is a full socket.
	Sock = socket(sockAll)
	// SockCommon is a socket of any kind, also one that is no full socket.
	SockCommon = socket(without("type protocol mark priority", sockAll))

	TCPSock = Context{Name: "struct bpf_tcp_sock", Size: 112, Fields: slices.Concat(
		words(0, "snd_cwnd", "srtt_us", "rtt_min", "snd_ssthresh", "rcv_nxt", "snd_nxt", "snd_una", "mss_cache", "ecn_flags",
			"rate_delivered", "rate_interval_us", "packets_out", "retrans_out", "total_retrans", "segs_in", "data_segs_in",
			"segs_out", "data_segs_out", "lost_out", "sacked_out"),
		double(80, "bytes_received"), double(88, "bytes_acked"),
		words(96, "dsack_dups", "delivered", "delivered_ce", "icsk_retransmits"),
	)}

	XDPSock = Context{Name: "struct bpf_xdp_sock", Size: 4, Fields: words(0, "queue_id")}
)

// FlowKeysSize is the size of struct bpf_flow_keys, which programs may read and write like memory.
const FlowKeysSize = 56

// structWrites are the members of kernel structs that programs of a type may write to.
var structWrites = map[ProgType]map[string][]string{
	SchedCLS: {"nf_conn": {"mark"}, "nf_conn___init": {"mark"}},
	XDP:      {"nf_conn": {"mark"}, "nf_conn___init": {"mark"}},
}

// StructWrites are the members of kernel structs, by the struct's name, that programs of type t may write to.
func StructWrites(t ProgType) map[string][]string { return structWrites[t] }
