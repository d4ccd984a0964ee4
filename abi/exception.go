package abi

// Defines how programs throw exceptions (Linux 6.7).

const (
	// KfuncThrow is the kfunc that ends the program, all its functions at once.
	KfuncThrow = "bpf_throw"
	// ExceptionTag begins the decl tag that names a program's exception callback.
	ExceptionTag = "exception_callback:"
)

// ThrowProgs are the program types that may throw, asked of Linux 6.18.
var ThrowProgs = []ProgType{
	SchedCLS, XDP, CGroupSKB, CGroupSock, SockOps, CGroupDevice, CGroupSockAddr, CGroupSysctl, CGroupSockopt,
	Tracing, LSM, Tracepoint, PerfEvent, Syscall, StructOps, Ext,
}

// ExceptionsSince is the release that brought them.
var ExceptionsSince = V(6, 7)
