package main

// This file defines ourVerdict: gtrace's side, in this process.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify"
)

// ourVerdict is what gtrace said of one program.
type ourVerdict struct {
	Verdict string
	Code    string // of reject
	Message string
	Panic   bool
	// Explained: of a rejection, its report has the source line, and what led there or what to write instead.
	Explained bool
	// Older: unsupported because the target is older than what the program needs: that it does not load is known.
	Older   bool
	Insns   int
	TimeUS  int // of Verify, as the kernel's is of its verifier
	BuildUS int // of image.Build: what libbpf does on the other side
}

// judgeObject gives gtrace's verdict on the programs of an object; a failure to
// read it is every program's.
func judgeObject(ctx context.Context, file string, programs []string, expected map[string]expectation, t *image.Target, limit time.Duration) map[string]ourVerdict {
	m := map[string]ourVerdict{}
	o, err := readObject(file)
	known := map[string]*object.Func{}
	if err == nil {
		for _, f := range o.Programs {
			known[f.Name] = f
		}
	}
	for _, p := range programs {
		switch {
		case err != nil:
			m[p] = unreadable(err)
		case known[p] == nil:
			m[p] = ourVerdict{Verdict: failed, Message: "not among the object's programs"}
		default:
			guessType(known[p])
			known[p].Attach.Alignment = alignmentFor(expected[p])
			m[p] = judgeProgram(ctx, o, p, targetFor(t, expected[p]), verify.Options{}, limit)
		}
	}
	return m
}

// targetFor is the target with the types that a test brings for CO-RE relocations.
func targetFor(t *image.Target, e expectation) *image.Target {
	if e.BTF == "" {
		return t
	}
	with := *t
	with.BTF = func() (*btf.Spec, error) { return btf.LoadSpec(e.BTF) }
	return &with
}

// alignmentFor is what a program's load flags say of alignment.
func alignmentFor(e expectation) abi.Alignment {
	switch {
	case e.Flags&loadFlags["BPF_F_ANY_ALIGNMENT"] != 0:
		return abi.AlignAny
	case e.Flags&loadFlags["BPF_F_STRICT_ALIGNMENT"] != 0:
		return abi.AlignStrict
	}
	return abi.AlignDefault
}

// contextTypes gives an extension program the section that veristat takes its
// type from: by the name of its context's type.
var contextTypes = map[string]string{
	"__sk_buff": "tc", "sk_buff": "tc",
	"bpf_sock": "cgroup/post_bind4", "sock": "cgroup/post_bind4",
	"bpf_sock_addr": "cgroup/bind4", "bpf_sock_addr_kern": "cgroup/bind4",
	"bpf_sock_ops": "sockops", "bpf_sock_ops_kern": "sockops",
	"sk_msg_md": "sk_msg", "sk_msg": "sk_msg",
	"bpf_cgroup_dev_ctx": "cgroup/dev",
	"bpf_sysctl":         "cgroup/sysctl", "bpf_sysctl_kern": "cgroup/sysctl",
	"bpf_sockopt": "cgroup/setsockopt", "bpf_sockopt_kern": "cgroup/setsockopt",
	"sk_reuseport_md": "sk_reuseport/migrate", "sk_reuseport_kern": "sk_reuseport/migrate",
	"bpf_sk_lookup": "sk_lookup", "bpf_sk_lookup_kern": "sk_lookup",
	"xdp_md": "xdp", "xdp_buff": "xdp",
	"bpf_user_pt_regs_t": "kprobe", "pt_regs": "kprobe",
	"bpf_perf_event_data": "perf_event", "bpf_perf_event_data_kern": "perf_event",
	"bpf_raw_tracepoint_args": "raw_tp",
}

// guessType gives an extension program the type that veristat loads it as.
func guessType(f *object.Func) {
	if f.Attach.Type != abi.Ext || f.BTF == nil {
		return
	}
	proto, ok := f.BTF.Type.(*btf.FuncProto)
	if !ok || len(proto.Params) != 1 {
		return
	}
	p, ok := btf.UnderlyingType(proto.Params[0].Type).(*btf.Pointer)
	if !ok {
		return
	}
	target := p.Target
	for range 8 {
		if section, ok := contextTypes[target.TypeName()]; ok {
			if a, ok := abi.ParseSection(section); ok {
				f.Attach = a
			}
			return
		}
		q, ok := qualified(target)
		if !ok {
			return
		}
		target = q
	}
}

// qualified is what a type is a const, volatile or restrict version of.
func qualified(t btf.Type) (btf.Type, bool) {
	switch t := t.(type) {
	case *btf.Const:
		return t.Type, true
	case *btf.Volatile:
		return t.Type, true
	case *btf.Restrict:
		return t.Type, true
	}
	return nil, false
}

// unreadable is the verdict on programs of an object that could not be read.
// The object's name is dropped, so that like reasons count together.
func unreadable(err error) ourVerdict {
	message := oneLine(err.Error())
	if _, what, ok := strings.Cut(message, "unsupported: "); ok {
		return ourVerdict{Verdict: unsupported, Message: "unsupported: " + what}
	}
	return ourVerdict{Verdict: failed, Message: "reading the object: " + message, Panic: errors.As(err, new(*panicked))}
}

// panicked is a panic, as an error.
type panicked struct{ what, where string }

func (p *panicked) Error() string { return "panic: " + p.what + " at " + p.where }

// catch turns a panic into err.
func catch(err *error) {
	if r := recover(); r != nil {
		*err = &panicked{fmt.Sprint(r), site(string(debug.Stack()))}
	}
}

// site finds the place of a panic in a stack: the first line of gtrace below it.
func site(stack string) string {
	_, below, ok := strings.Cut(stack, "\npanic(")
	if !ok {
		below = stack
	}
	for line := range strings.Lines(below) {
		line = strings.TrimSpace(line)
		file, _, _ := strings.Cut(line, " +0x")
		if i := strings.LastIndexByte(file, ':'); i < 0 || !strings.HasSuffix(file[:i], ".go") || strings.Contains(file, "/runtime/") {
			continue
		}
		parts := strings.Split(file, "/")
		return strings.Join(parts[max(0, len(parts)-2):], "/")
	}
	return "an unknown place"
}

// mapsWithoutSize may have no entries; veristat gives every other map that
// states none one entry, so ours get it too.
var mapsWithoutSize = []string{"sk_storage", "task_storage", "inode_storage", "cgroup_storage", "percpu_cgroup_storage", "cgrp_storage"}

func readObject(file string) (o *object.Object, err error) {
	defer catch(&err)
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if o, err = object.Read(file, bytes.NewReader(data)); err != nil {
		return nil, err
	}
	for _, m := range o.Maps {
		if m.MaxEntries == 0 && !sizeless(m.Type) {
			m.MaxEntries = 1
		}
	}
	return o, nil
}

func sizeless(t abi.MapType) bool {
	for _, name := range mapsWithoutSize {
		if strings.EqualFold(fmt.Sprint(t), name) {
			return true
		}
	}
	return false
}

// judgeProgram gives up on a program after limit. One that does not heed its
// context is left behind after twice that.
func judgeProgram(ctx context.Context, o *object.Object, program string, t *image.Target, opts verify.Options, limit time.Duration) ourVerdict {
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	done := make(chan ourVerdict, 1)
	go func() {
		var v ourVerdict
		ok, err := verifyProgram(ctx, o, program, t, opts, &v)
		v.judge(ok, err)
		v.explain(err)
		done <- v
	}()
	select {
	case v := <-done:
		return v
	case <-time.After(2 * limit):
		return ourVerdict{Verdict: failed, Message: "did not stop when its time was over"}
	}
}

func verifyProgram(ctx context.Context, o *object.Object, program string, t *image.Target, opts verify.Options, v *ourVerdict) (ok *verify.Verified, err error) {
	defer catch(&err)
	start := time.Now()
	img, err := image.Build(o, program, t)
	v.BuildUS = int(time.Since(start).Microseconds())
	if err != nil {
		return nil, err
	}
	start = time.Now()
	defer func() { v.TimeUS = int(time.Since(start).Microseconds()) }()
	return verify.Verify(ctx, img, opts)
}

func (v *ourVerdict) judge(ok *verify.Verified, err error) {
	var rejected *verify.Rejection
	var unknown *verify.Unsupported
	var lacking *image.Unsupported
	switch {
	case err == nil:
		v.Verdict, v.Insns = accept, ok.Stats().Processed
		return
	case errors.As(err, &rejected):
		v.Verdict, v.Code, v.Insns = reject, rejected.Fault.Code(), rejected.Stats.Processed
	case errors.As(err, &unknown):
		v.Verdict, v.Message = unsupported, "unsupported: "+oneLine(unknown.What)
		v.Older = unknown.Since != ""
		return
	case errors.As(err, &lacking):
		v.Verdict, v.Older = unsupported, lacking.Since != 0
	default:
		v.Verdict, v.Panic = failed, errors.As(err, new(*panicked))
	}
	v.Message = oneLine(err.Error())
}

// explain asks for the report on a rejection.
func (v *ourVerdict) explain(err error) {
	var rejected *verify.Rejection
	if !errors.As(err, &rejected) {
		return
	}
	failed := func() (err error) {
		defer catch(&err)
		r := rejected.Explain()
		v.Explained = r.At.Line > 0 && (r.Advice != "" || len(r.Chain) > 0)
		return nil
	}()
	if failed != nil {
		v.Panic, v.Message = true, failed.Error()
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
