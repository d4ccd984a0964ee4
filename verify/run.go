package verify

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/call"
	"github.com/gtrace-dev/gtrace/verify/cfg"
	"github.com/gtrace-dev/gtrace/verify/explain"
	"github.com/gtrace-dev/gtrace/verify/facts"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/live"
	"github.com/gtrace-dev/gtrace/verify/mem"
	"github.com/gtrace-dev/gtrace/verify/prune"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file defines Verify: the passes and the verdict.

// maxFrames is how deep functions nest (include/linux/bpf_verifier.h: MAX_CALL_FRAMES).
const maxFrames = 8

// gplLicenses are the licenses that the kernel takes as compatible with the GPL.
var gplLicenses = []string{"GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"}

// Verify judges img. The error is *Rejection, *Unsupported, or ctx's.
func Verify(ctx context.Context, img *image.Image, opts Options) (*Verified, error) {
	w := &walk{img: img, insns: img.Insns, opts: opts, facts: newFacts(len(img.Insns)), callMap: map[int]int{}}
	if u := w.prepare(); u != "" {
		return nil, &Unsupported{What: u, Insn: -1, Program: img.Program}
	}
	insn, f := w.begin()
	if f == nil {
		var err error
		insn, f, err = w.run(ctx)
		if err != nil {
			return nil, err
		}
	}
	if f == nil {
		insn, f = w.depth()
	}
	w.facts.Processed = w.processed
	if w.table != nil {
		w.facts.States = w.table.Kept
	}
	if f != nil {
		return nil, w.verdict(insn, f)
	}
	return &Verified{img, w.facts}, nil
}

// begin judges what needs no walk.
func (w *walk) begin() (int, fault.Fault) {
	limits := abi.LimitsOf(w.img.Target.Version, w.img.Target.Privileged)
	if w.opts.MaxProcessed <= 0 {
		w.opts.MaxProcessed = limits.Processed
	}
	if w.opts.MaxPending <= 0 {
		w.opts.MaxPending = limits.Pending
	}
	if n := len(w.insns); n > limits.Insns {
		return 0, fault.TooLong{Insns: n, Max: limits.Insns, Privileged: w.img.Target.Privileged}
	}
	for _, pass := range []func() (int, fault.Fault){w.privilege, w.attachable, w.loads, w.kfuncLicense, w.lacks, w.shape, w.legacyReturns} {
		if i, f := pass(); f != nil {
			return i, f
		}
	}
	return 0, nil
}

func newFacts(n int) *facts.Table {
	t := &facts.Table{Insns: make([]facts.Insn, n)}
	for i := range t.Insns {
		t.Insns[i].Map = -1
	}
	return t
}

// verdict makes the error for a fault.
func (w *walk) verdict(insn int, f fault.Fault) error {
	line := explain.Line(w.img.Lines, insn)
	stats := Stats{w.facts.Processed, w.facts.States, w.facts.StackDepth}
	if u, ok := f.(fault.Unsupported); ok {
		return &Unsupported{What: u.What, Since: u.Since, Insn: insn, Line: line, Program: w.img.Program, Stats: stats}
	}
	return &Rejection{Fault: f, Insn: insn, Line: line, Program: w.img.Program, Stats: stats, failed: w.failure()}
}

// prepare finds what the program's type and target say; "" or what is not supported.
func (w *walk) prepare() string {
	img := w.img
	t := img.Target
	if t == nil {
		return "an image without a target"
	}
	w.may = abi.PrivilegesOf(t.Privileged, t.Version)
	row, target, what := attach(img)
	if what != "" {
		return what
	}
	w.row = row
	w.rules = call.Rules{
		Program: row, Attach: img.Attach, License: img.License, GPL: slices.Contains(gplLicenses, img.License),
		Version: t.Version, May: w.may, Pseudo: t.Engine == image.EngineUser, Kernel: w.kernelFuncs(),
		Built: t.Built, Lockdown: sync.OnceValue(t.Lockdown), CPUs: cpus(t),
	}
	maps, inner := withInner(img.Maps)
	special := make([][]mem.Special, len(maps))
	for i, m := range maps {
		special[i] = mem.SpecialFields(m.Value, t.Version)
	}
	w.layout = mem.Layout{
		Maps: maps, Inner: inner, Special: special, Writes: abi.StructWrites(img.Attach.Type), Sleepable: img.Attach.Sleepable, RCUType: func(name string) bool { return abi.RCUType(name, t.Version) },
		Context: &row.Context, Packet: row.Packet(), Strict: img.Attach.Alignment.Strict(t.Arch), Target: target, Types: &state.Types{},
		UninitStack: w.may.UninitStack, PointerLeaks: w.may.PointerLeaks, BPF: w.may.BPF, GPL: w.rules.GPL, Version: t.Version,
		MapFields:    t.Engine == image.EngineKernel,
		KernelStruct: func(name string) (btf.Type, error) { return kernelStruct(t, name) },
		KernelType:   func(id uint32) (btf.Type, error) { return kernelType(t, id) },
	}
	return ""
}

// maxCPUs is the most CPUs that a kernel can be built for.
const maxCPUs = 8192

// cpus is how many CPUs the target numbers, at most.
func cpus(t *image.Target) int {
	if t.CPUs != nil {
		if n := t.CPUs(); n > 0 {
			return n
		}
	}
	return maxCPUs
}

func kernelStruct(t *image.Target, name string) (btf.Type, error) {
	if t.BTF == nil {
		return nil, fmt.Errorf("the target has no types")
	}
	spec, err := t.BTF()
	if err != nil {
		return nil, err
	}
	var s *btf.Struct
	if err := spec.TypeByName(name, &s); err != nil {
		return nil, err
	}
	return s, nil
}

// shape builds the graph and what is computed from it.
func (w *walk) shape() (int, fault.Fault) {
	starts := make([]cfg.Start, len(w.img.Subprogs))
	for i, s := range w.img.Subprogs {
		starts[i] = cfg.Start{Slot: s.Start, Name: s.Name}
	}
	if len(starts) == 0 {
		starts = []cfg.Start{{Slot: 0, Name: w.img.Program}}
	}
	if f := w.findException(); f != nil {
		return 0, f
	}
	var entries []int
	if w.exception != 0 {
		entries = []int{w.exception}
	}
	g, i, f := cfg.Build(w.insns, starts, cfg.Rules{BackEdges: w.backEdges(), OnlyJumps: w.older(anyBackEdge), MaxFrames: maxFrames, Turn: w.turn, Entries: entries})
	if f != nil {
		return i, f
	}
	w.graph = g
	w.used = make([]int, len(g.Funcs))
	w.funcs = make([]function, len(g.Funcs))
	w.summarise()
	if w.exception != 0 {
		fn := &w.funcs[w.exception]
		fn.called, fn.callback, fn.async = true, true, true
	}
	w.live = live.Compute(g, w.args)
	w.stack = live.NewStack(g)
	w.table = prune.New(g, w.live, w.stack, w.turns())
	return 0, nil
}

// args is how many arguments the function has that a call names, or -1.
func (w *walk) args(in isa.Insn) int {
	switch in.Src {
	case isa.CallHelper:
		if h := abi.HelperByID(in.Imm); h != nil && h.Name != "" {
			return len(h.For(w.img.Attach.Type, w.img.Target.Version).Args)
		}
	case isa.CallKfunc:
		for _, k := range abi.Kfuncs {
			if k.ID == in.Imm {
				return len(k.Args)
			}
		}
		if fn := w.img.Kfuncs[in.Imm]; fn != nil {
			if p, ok := fn.Type.(*btf.FuncProto); ok {
				return len(p.Params)
			}
		}
	}
	return -1
}
