package abi

import "slices"

// Defines the contexts of programs that sit at sockets: sock_ops, sk_msg,
// sk_reuseport, sk_lookup; and of netfilter programs.

var (
	ctxSockOps = Context{Name: "struct bpf_sock_ops", Size: 224, Fields: slices.Concat(
		words(0, "op"), writable(words(4, "reply")), words(8, "args[1]", "args[2]", "args[3]"),
		words(20, "family", "remote_ip4", "local_ip4"), words(32, ip6("remote_ip6")...), words(48, ip6("local_ip6")...),
		words(64, "remote_port", "local_port", "is_fullsock", "snd_cwnd", "srtt_us", "bpf_sock_ops_cb_flags", "state",
			"rtt_min", "snd_ssthresh", "rcv_nxt", "snd_nxt", "snd_una", "mss_cache", "ecn_flags", "rate_delivered",
			"rate_interval_us", "packets_out", "retrans_out", "total_retrans", "segs_in", "data_segs_in", "segs_out",
			"data_segs_out", "lost_out", "sacked_out"),
		writable(words(164, "sk_txhash")), double(168, "bytes_received"), double(176, "bytes_acked"),
		pointerOrNull(184, "sk", CtxSock), pointer(192, "skb_data", CtxPacket), pointer(200, "skb_data_end", CtxPacketEnd),
		words(208, "skb_len"), head(212, "skb_tcp_flags"),
		[]CtxField{{Name: "skb_hwtstamp", Off: 216, Size: 8, Since: V(6, 2)}},
	)}

	ctxSKMsg = Context{Name: "struct sk_msg_md", Size: 80, Fields: slices.Concat(
		pointer(0, "data", CtxPacket), pointer(8, "data_end", CtxPacketEnd), words(16, "family", "remote_ip4", "local_ip4"),
		words(28, ip6("remote_ip6")...), words(44, ip6("local_ip6")...), words(60, "remote_port", "local_port", "size"),
		pointer(72, "sk", CtxSock),
	)}

	ctxSKReuseport = Context{Name: "struct sk_reuseport_md", Size: 56, Fields: slices.Concat(
		pointer(0, "data", CtxPacket), pointer(8, "data_end", CtxPacketEnd), narrow(16, "len"),
		[]CtxField{{Name: "eth_protocol", Off: 20, Size: 2}, {Name: "eth_protocol", Off: 22, Size: 2}}, words(20, "eth_protocol"),
		narrow(24, "ip_protocol", "bind_inany"), words(32, "hash"),
		pointer(40, "sk", CtxSock), pointerOrNull(48, "migrating_sk", CtxSockCommon),
	)}

	ctxSKLookup = Context{Name: "struct bpf_sk_lookup", Size: 72, Fields: slices.Concat(
		pointerOrNull(0, "sk", CtxSock), narrow(8, "family", "protocol", "remote_ip4"), narrow(20, ip6("remote_ip6")...),
		narrow(36, "remote_port", "local_ip4"), narrow(44, ip6("local_ip6")...), narrow(60, "local_port", "ingress_ifindex"),
	)}

	ctxNetfilter = Context{Name: "struct bpf_nf_ctx", Size: 16, Fields: []CtxField{
		{Name: "state", Off: 0, Size: 8, Kind: CtxKernel, Struct: "nf_hook_state"},
		{Name: "skb", Off: 8, Size: 8, Kind: CtxKernel, Struct: "sk_buff"},
	}}
)
