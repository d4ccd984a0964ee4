package verify

import (
	"strings"

	"github.com/cilium/ebpf/btf"
)

// This file defines what exceptions need.

// exceptionTag begins the decl tag that names a program's exception callback.
const exceptionTag = "exception_callback:"

// exceptionCallback names the function that handles exceptions of program fn, or "".
func exceptionCallback(fn *btf.Func) string {
	if fn == nil {
		return ""
	}
	for _, t := range fn.Tags {
		if name, ok := strings.CutPrefix(t, exceptionTag); ok {
			return name
		}
	}
	return ""
}
