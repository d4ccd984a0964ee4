package maps

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// This file defines PossibleCPUs.

const possibleFile = "/sys/devices/system/cpu/possible"

// PossibleCPUs is the number of CPUs that this machine may ever have: one more
// than the highest number in /sys/devices/system/cpu/possible (Linux
// Documentation/admin-guide/cputopology.rst).
func PossibleCPUs() (int, error) {
	b, err := os.ReadFile(possibleFile)
	if err != nil {
		return 0, fmt.Errorf("possible CPUs: %w", err)
	}
	n, err := parseCPUs(string(b))
	if err != nil {
		return 0, fmt.Errorf("possible CPUs: %s: %w", possibleFile, err)
	}
	return n, nil
}

// parseCPUs reads a list such as "0-3,8" and returns the highest number plus one.
func parseCPUs(s string) (int, error) {
	n := 0
	for part := range strings.SplitSeq(strings.TrimSpace(s), ",") {
		lo, hi, found := strings.Cut(part, "-")
		if !found {
			hi = lo
		}
		a, err1 := strconv.ParseUint(lo, 10, 16)
		b, err2 := strconv.ParseUint(hi, 10, 16)
		if err1 != nil || err2 != nil || a > b {
			return 0, fmt.Errorf("expected a list such as 0-3,8, found %q", s)
		}
		n = max(n, int(b)+1)
	}
	return n, nil
}
