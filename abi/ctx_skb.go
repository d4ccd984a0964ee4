package abi

// Defines the contexts of programs that see packets: struct __sk_buff as each
// program type may use it, and struct xdp_md.

// skBuff is struct __sk_buff; what a program type may read and write of it is below.
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
	{Name: "cb", Off: 48, Size: 20, Any: true},
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
	{Name: "flow_keys", Off: 144, Size: 8, Kind: CtxFlowKeys},
	{Name: "tstamp", Off: 152, Size: 8},
	{Name: "wire_len", Off: 160, Size: 4, Narrow: true},
	{Name: "gso_segs", Off: 164, Size: 4, Narrow: true},
	{Name: "sk", Off: 168, Size: 8, Kind: CtxSockCommon, Nullable: true},
	{Name: "gso_size", Off: 176, Size: 4, Narrow: true},
	{Name: "tstamp_type", Off: 180, Size: 1},
	{Name: "hwtstamp", Off: 184, Size: 8},
}

const (
	addresses = "remote_ip4 local_ip4 remote_ip6[0] remote_ip6[1] remote_ip6[2] remote_ip6[3] " +
		"local_ip6[0] local_ip6[1] local_ip6[2] local_ip6[3]"
	sockFields = "family " + addresses + " remote_port local_port"
	linkFields = "tc_classid data_meta tstamp wire_len hwtstamp tstamp_type flow_keys "
)

var (
	ctxSocketFilter  = skb("data data_end "+linkFields+sockFields, "cb")
	ctxSched         = skb("flow_keys "+sockFields, "cb mark tc_index priority tc_classid tstamp queue_mapping")
	ctxCGroupSKB     = skb("tc_classid data_meta wire_len tstamp_type flow_keys", "cb mark priority tstamp")
	ctxLWT           = skb(linkFields+sockFields, "cb mark priority")
	ctxSKSKB         = skb("mark "+linkFields, "tc_index priority")
	ctxFlowDissector = Context{Name: "struct __sk_buff", Size: 192, Fields: []CtxField{
		{Name: "data", Off: 76, Size: 4, Kind: CtxPacket},
		{Name: "data_end", Off: 80, Size: 4, Kind: CtxPacketEnd},
		{Name: "flow_keys", Off: 144, Size: 8, Kind: CtxFlowKeys},
	}}

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

// skb is struct __sk_buff without the fields in hidden and with those in open open to stores.
func skb(hidden, open string) Context {
	c := Context{Name: "struct __sk_buff", Size: 192, Fields: without(hidden, skBuff)}
	for i := range c.Fields {
		c.Fields[i].Writable = hasWord(open, c.Fields[i].Name)
	}
	return c
}
