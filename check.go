package gtrace

// This file defines Check and Verdict: would a program load, and why not?

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify"
	"github.com/gtrace-dev/gtrace/verify/explain"
)

// Verdict is what Check says of one program for one target. Its JSON form is stable.
type Verdict struct {
	File    string `json:"file"`
	Program string `json:"program"`
	Section string `json:"section"`
	Type    string `json:"type"`
	Target  string `json:"target"`
	Verdict string `json:"verdict"` // accept, reject, unsupported, error
	Code    string `json:"code"`    // of a rejection: "nullable-deref", …
	// Since is the first release that has what an unsupported program needs; "" when no release is the matter.
	Since   string `json:"since"`
	Message string `json:"message"` // one line
	Source  string `json:"source"`  // file:line

	Explanation *explain.Report `json:"explanation,omitempty"` // of a rejection

	License      string   `json:"license"`
	GPLOnlyCalls []string `json:"gpl_only_calls"` // helpers and kernel functions that want a GPL-compatible license, sorted

	Insns      int   `json:"insns"`
	Processed  int   `json:"processed"`
	States     int   `json:"states"`
	StackDepth int   `json:"stack_depth"` // bytes, the deepest chain of calls
	TimeUS     int64 `json:"time_us"`

	// Err is why the program was not accepted: *verify.Rejection,
	// *verify.Unsupported, *image.Unsupported, or what is wrong with the object.
	Err error `json:"-"`
}

// The verdicts.
const (
	Accept      = "accept"
	Reject      = "reject"      // not safe, or no valid script
	Unsupported = "unsupported" // the target does not have it, or gtrace does not know it yet: the message says which
	Unreadable  = "error"       // an unreadable or inconsistent input
)

// CheckOptions say for which kernels to check. The zero value: for the running one.
type CheckOptions struct {
	// Targets are "running", a release ("6.1", "5.10.223"), or a release with
	// the file of its kernel types ("6.1=vmlinux-6.1.btf"); nil: the running kernel.
	Targets      []string
	BTFFile      string   // kernel types for the one target; "": the running kernel's, or none
	ConfigFile   string   // the kernel's configuration for the one target, as /boot/config-*; without Targets it also names the release
	Unprivileged bool     // loaded without CAP_BPF and CAP_PERFMON
	Programs     []string // only these; nil: all
}

// Check verifies every program of spec for every target: a verdict for each,
// program by program. Nothing is loaded. The error is about spec or the
// targets; what is wrong with one program is in its Verdict.
func Check(ctx context.Context, spec *ebpf.CollectionSpec, o CheckOptions) ([]Verdict, error) {
	obj, err := object.FromSpec(spec)
	if err != nil {
		return nil, err
	}
	return CheckObject(ctx, obj, o)
}

// CheckObject is Check for what object.Read has read.
func CheckObject(ctx context.Context, obj *object.Object, o CheckOptions) ([]Verdict, error) {
	targets, err := o.targets()
	if err != nil {
		return nil, err
	}
	for _, name := range o.Programs {
		if !slices.ContainsFunc(obj.Programs, func(f *object.Func) bool { return f.Name == name }) {
			return nil, fmt.Errorf("%s: no program %q", obj.Name, name)
		}
	}
	var list []Verdict
	for _, f := range obj.Programs {
		if o.Programs != nil && !slices.Contains(o.Programs, f.Name) {
			continue
		}
		for _, t := range targets {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			list = append(list, checkProgram(ctx, obj, f, t))
		}
	}
	return list, nil
}

// targets makes the targets to check for.
func (o CheckOptions) targets() ([]*image.Target, error) {
	names := o.Targets
	if len(names) == 0 {
		names = []string{"running"}
		if r := image.ConfigRelease(o.ConfigFile); o.ConfigFile != "" && r != "" {
			names = []string{r}
		}
	}
	if len(names) > 1 && (o.BTFFile != "" || o.ConfigFile != "") {
		return nil, errors.New("kernel types and a configuration belong to one target: check the others on their own")
	}
	list := make([]*image.Target, len(names))
	for i, name := range names {
		var err error
		if list[i], err = o.target(name); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (o CheckOptions) target(name string) (t *image.Target, err error) {
	name, types, _ := strings.Cut(name, "=")
	if name == "running" {
		t, err = image.Running()
	} else {
		t, err = image.ForRelease(name)
	}
	if err != nil {
		return nil, err
	}
	if o.BTFFile != "" {
		types = o.BTFFile
	}
	if types != "" {
		t.UseBTF(types)
	}
	if o.ConfigFile != "" {
		if err := t.UseConfig(o.ConfigFile); err != nil {
			return nil, err
		}
	}
	if o.Unprivileged {
		t.Privileged = false
		t.Name += ", unprivileged"
	}
	return t, nil
}

func checkProgram(ctx context.Context, o *object.Object, f *object.Func, t *image.Target) Verdict {
	v := Verdict{
		File: o.Name, Program: f.Name, Section: f.Section, Type: f.Attach.Type.String(), Target: t.Name,
		License: o.License, Insns: len(f.Insns),
	}
	start := time.Now()
	img, err := image.Build(o, f.Name, t)
	var ok *verify.Verified
	if err == nil {
		v.Insns, v.GPLOnlyCalls = len(img.Insns), gplOnlyCalls(img)
		ok, err = verify.Verify(ctx, img, verify.Options{})
	}
	v.TimeUS = time.Since(start).Microseconds()
	v.judge(ok, err)
	return v
}

// judge fills in what verifying said.
func (v *Verdict) judge(ok *verify.Verified, err error) {
	var rejected *verify.Rejection
	var unknown *verify.Unsupported
	var lacking *image.Unsupported
	var stats verify.Stats
	v.Err = err
	switch {
	case err == nil:
		v.Verdict, stats = Accept, ok.Stats()
	case errors.As(err, &rejected):
		v.Verdict, v.Code, stats = Reject, rejected.Fault.Code(), rejected.Stats
		v.Source = sourceOf(rejected.Line)
		v.Explanation = rejected.Explain()
	case errors.As(err, &unknown):
		v.Verdict, v.Since, stats = Unsupported, unknown.Since, unknown.Stats
		v.Source = sourceOf(unknown.Line)
	case errors.As(err, &lacking):
		v.Verdict = Unsupported
		if lacking.Since != 0 {
			v.Since = lacking.Since.String()
		}
	default:
		v.Verdict = Unreadable
	}
	v.Processed, v.States, v.StackDepth = stats.Processed, stats.States, stats.StackDepth
	if err != nil {
		v.Message = oneLine(err.Error())
	}
}

// gplOnlyCalls lists what the program calls that wants a GPL-compatible
// license: some helpers, and every function of the kernel.
func gplOnlyCalls(img *image.Image) []string {
	calls := []string{}
	var spec *btf.Spec
	for i, in := range img.Insns {
		if _, poisoned := img.Poison[i]; poisoned || !in.IsCall() {
			continue
		}
		switch h := abi.HelperByID(in.Imm); {
		case in.Src == isa.CallHelper && h != nil && h.GPL:
			calls = append(calls, h.Name)
		case in.Src == isa.CallKfunc && in.Imm > 0:
			if spec == nil && img.Target.BTF != nil {
				spec, _ = img.Target.BTF()
			}
			if spec == nil {
				continue
			}
			if t, err := spec.TypeByID(btf.TypeID(in.Imm)); err == nil {
				calls = append(calls, t.TypeName())
			}
		}
	}
	slices.Sort(calls)
	return slices.Compact(calls)
}

func sourceOf(l *object.Line) string {
	if l == nil {
		return ""
	}
	return fmt.Sprintf("%s:%d", l.File, l.Line)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
