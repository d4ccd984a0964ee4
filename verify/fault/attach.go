package fault

import "fmt"

// This file defines the faults of what a program is and where it goes.

// AttachReason says why there can't be such a program.
type AttachReason uint8

const (
	AttachLicense  AttachReason = iota // for programs under a GPL-compatible license
	AttachMember                       // programs can't implement this member
	AttachSleeps                       // no sleepable program can be there
	AttachHook                         // programs can't be at this hook
	AttachFunction                     // programs can't be at this function
	AttachReturn                       // programs can't change what this function returns
)

var attachText = [...]string{
	AttachLicense:  "such programs must be under a GPL-compatible license",
	AttachMember:   "the kernel does not let programs implement it",
	AttachSleeps:   "sleepable programs can't be there: use the section's name without .s",
	AttachHook:     "the kernel has no programs at this hook",
	AttachFunction: "the kernel has no programs of this kind at this function",
	AttachReturn:   "programs can't change what this function returns: fmod_ret is for functions whose errors may be injected and for security_…",
}

// AttachTarget is a program that its attach target does not take.
type AttachTarget struct {
	mark
	Target string
	Reason AttachReason
}

func (AttachTarget) Code() string { return "attach-target" }
func (f AttachTarget) String() string {
	return fmt.Sprintf("attach target %s: %s", f.Target, attachText[f.Reason])
}
