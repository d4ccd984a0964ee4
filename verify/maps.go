package verify

import "github.com/gtrace-dev/gtrace/abi"

// This file defines what is known of the arguments of attach targets.

// nullArgs are the arguments of an attach target that may be NULL, as bits.
func nullArgs(a abi.Attach, v abi.Version) uint64 {
	if a.Type != abi.Tracing || a.Expected != abi.AttachTraceRawTp || v < abi.V(6, 14) {
		return 0
	}
	return nullableArgs[a.Target]
}
