package image

import (
	"fmt"

	"github.com/gtrace-dev/gtrace/abi"
)

// Unsupported says that gtrace or the target does not know what a program needs.
type Unsupported struct {
	What string // "kfunc bpf_iter_num_new on the user engine"
	How  string // what to do about it; "" when there is nothing
	// Since is the first release that has it; 0 when no release is the matter.
	Since abi.Version
}

func (u *Unsupported) Error() string {
	if u.How == "" {
		return "unsupported: " + u.What
	}
	return "unsupported: " + u.What + "; " + u.How
}

// younger says that the target is older than what it is asked for.
func younger(what string, t *Target, since abi.Version) *Unsupported {
	return &Unsupported{What: fmt.Sprintf("%s: the target is Linux %v, it came with %v", what, t.Version, since), Since: since}
}
