package abi

// Defines how programs throw exceptions (Linux 6.7).

const (
	// KfuncThrow is the kfunc that ends the program, all its functions at once.
	KfuncThrow = "bpf_throw"
	// ExceptionTag begins the decl tag that names a program's exception callback.
	ExceptionTag = "exception_callback:"
)

// ExceptionsSince is the release that brought them.
var ExceptionsSince = V(6, 7)
