package image

// Defines what of a kernel's host, configuration and lockdown decides what its programs may do.

import (
	"os"
	"strconv"
	"strings"

	"github.com/gtrace-dev/gtrace/abi"
)

// Built is the value of a configuration option, "" when it is not set, and
// whether the target's configuration is known at all.
func (t *Target) Built(option string) (value string, known bool) {
	c, err := t.config()
	if err != nil {
		return "", false
	}
	return c[option], true
}

// Lockdown is how far the target is locked down, as far as is known: what its
// configuration forces, and on the running kernel what is in force.
func (t *Target) Lockdown() abi.Lockdown {
	level := abi.LockdownNone
	if v, _ := t.Built("CONFIG_LOCK_DOWN_KERNEL_FORCE_INTEGRITY"); v == "y" {
		level = abi.LockdownIntegrity
	}
	if v, _ := t.Built("CONFIG_LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY"); v == "y" {
		level = abi.LockdownConfidentiality
	}
	if t.LoadLockdown != nil {
		level = max(level, t.LoadLockdown())
	}
	return level
}

// runningLockdown reads the running kernel's lockdown: "none [integrity] confidentiality".
func runningLockdown() abi.Lockdown {
	b, err := os.ReadFile("/sys/kernel/security/lockdown")
	switch {
	case err != nil:
		return abi.LockdownNone
	case strings.Contains(string(b), "[integrity]"):
		return abi.LockdownIntegrity
	case strings.Contains(string(b), "[confidentiality]"):
		return abi.LockdownConfidentiality
	}
	return abi.LockdownNone
}

// runningCPUs is one more than the highest number of a CPU that the running kernel could get: "0-3,8-11".
func runningCPUs() int {
	b, err := os.ReadFile("/sys/devices/system/cpu/possible")
	if err != nil {
		return 0
	}
	list := strings.TrimSpace(string(b))
	n, err := strconv.Atoi(list[strings.LastIndexAny(list, ",-")+1:])
	if err != nil {
		return 0
	}
	return n + 1
}
