package abi

import "slices"

// Defines the contexts of programs attached to cgroups, but for cgroup_skb and sock_ops.

var (
	ctxSockCreate = socket(without("src_ip4 src_port "+srcIP6, slices.Concat(
		writable(words(0, "bound_dev_if")), writable(words(16, "mark", "priority")), without("bound_dev_if mark priority", sockAll))))
	ctxPostBind4 = socket(without("bound_dev_if mark priority "+srcIP6, sockAll))
	ctxPostBind6 = socket(without("bound_dev_if mark priority src_ip4", sockAll))

	ctxAddr4    = sockAddr(addr4)
	ctxAddr6    = sockAddr(addr6)
	ctxAddrUnix = sockAddr(nil)
	ctxSend4    = sockAddr(addr4, writable(narrow(40, "msg_src_ip4")))
	ctxSend6    = sockAddr(addr6, writable(narrow(44, ip6("msg_src_ip6")...)), writable(double(48, "msg_src_ip6")))

	addr4 = writable(narrow(4, "user_ip4"))
	addr6 = slices.Concat(writable(narrow(8, ip6("user_ip6")...)), writable(double(8, "user_ip6")), writable(double(16, "user_ip6")))

	ctxCGroupDevice = Context{Name: "struct bpf_cgroup_dev_ctx", Size: 12, Fields: slices.Concat(
		narrow(0, "access_type"), words(4, "major", "minor"))}

	ctxSysctl = Context{Name: "struct bpf_sysctl", Size: 8, Fields: slices.Concat(
		narrow(0, "write"), writable(narrow(4, "file_pos")))}

	ctxGetsockopt = sockopt(slices.Concat(words(24, "level", "optname"), writable(words(32, "optlen", "retval"))))
	ctxSetsockopt = sockopt(writable(words(24, "level", "optname", "optlen")))
)

func socket(fields []CtxField) Context {
	return Context{Name: "struct bpf_sock", Size: 80, Fields: fields}
}

// sockAddr is struct bpf_sock_addr with the addresses that an attach type has.
func sockAddr(addresses ...[]CtxField) Context {
	return Context{Name: "struct bpf_sock_addr", Size: 72, Fields: slices.Concat(
		words(0, "user_family"), slices.Concat(addresses...), writable(narrow(24, "user_port")),
		words(28, "family", "type", "protocol"), pointer(64, "sk", CtxSock))}
}

func sockopt(numbers []CtxField) Context {
	return Context{Name: "struct bpf_sockopt", Size: 40, Fields: slices.Concat(
		pointer(0, "sk", CtxSock), pointer(8, "optval", CtxPacket), pointer(16, "optval_end", CtxPacketEnd), numbers)}
}
