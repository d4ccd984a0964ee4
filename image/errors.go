package image

import (
	"errors"
	"fmt"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
)

// Unsupported says that gtrace or the target does not know what a program needs.
type Unsupported struct {
	What string // "kfunc bpf_iter_num_new on the user engine"
	How  string // what to do about it; "" when there is nothing
	// Since is the first release that has it; 0 when no release is the matter.
	Since abi.Version
	// NeedsBTF: the target's types would tell.
	NeedsBTF bool
}

func (u *Unsupported) Error() string {
	if u.How == "" {
		return "unsupported: " + u.What
	}
	return "unsupported: " + u.What + "; " + u.How
}

// younger says that the target is older than what it is asked for.
func younger(what string, since abi.Version) *Unsupported {
	return &Unsupported{What: fmt.Sprintf("%s came with Linux %v, the target is older", what, since), Since: since}
}

// sooner is err, or, where err says only that the target has no types, the
// first thing in the program that is younger than the target whatever its types.
func (l *linker) sooner(err error) error {
	var u *Unsupported
	row := abi.ProgramFor(l.img.Attach)
	if !errors.As(err, &u) || !u.NeedsBTF || row == nil {
		return err
	}
	for _, in := range l.img.Insns {
		if !in.IsCall() || in.Src != isa.CallHelper {
			continue
		}
		h := abi.HelperByID(in.Imm)
		if h == nil || h.Name == "" {
			continue
		}
		if since := abi.HelperSince(h, row); since > l.t.Version {
			return younger("helper "+h.Name, since)
		}
	}
	return err
}
