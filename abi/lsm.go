package abi

import "slices"

// Defines what is known of the hooks of the kernel's security modules. Asked of Linux 6.12.

// LSMHook is a hook at which programs may be.
type LSMHook struct {
	Name      string
	Sleepable bool // sleepable programs may be there
	Disabled  bool // no programs may be there
	Untrusted bool // pointers among its arguments are not trusted
	Bool      bool // returns 0 or 1, not 0 or an error
}

// LSMHookByName tells what is known of a hook.
func LSMHookByName(name string) LSMHook {
	return LSMHook{
		Name: name, Sleepable: slices.Contains(sleepableHooks, name), Disabled: slices.Contains(disabledHooks, name),
		Untrusted: slices.Contains(untrustedHooks, name), Bool: slices.Contains(boolHooks, name),
	}
}

var (
	sleepableHooks = []string{}
	disabledHooks  = []string{}
	untrustedHooks = []string{}
	boolHooks      = []string{"audit_rule_known", "inode_xattr_skipcap"}
)
