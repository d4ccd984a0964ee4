package verify_test

import (
	"context"
	"errors"
	"flag"
	"sort"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/internal/testkit"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify"
)

var everyEvent = flag.Bool("every-event", false, "compare the arguments of all typed raw tracepoints with the kernel, not of some")

// TestArgumentsAgainstKernel loads from every argument of typed raw
// tracepoints, and a byte through those that are pointers: which arguments may
// be NULL is in a table here that the kernel has to agree with.
func TestArgumentsAgainstKernel(t *testing.T) {
	testkit.RequireBPF(t)
	target, err := image.Running()
	if err != nil {
		t.Fatal(err)
	}
	spec, err := target.BTF()
	if err != nil {
		t.Skip(err)
	}
	var events []string
	for typ, err := range spec.All() {
		if err != nil {
			t.Fatal(err)
		}
		if td, ok := typ.(*btf.Typedef); ok && strings.HasPrefix(td.Name, "btf_trace_") {
			events = append(events, strings.TrimPrefix(td.Name, "btf_trace_"))
		}
	}
	sort.Strings(events)
	if !*everyEvent {
		var some []string
		for i, e := range events {
			if i%40 == 0 || e == "sched_pi_setprio" || e == "sched_process_exit" {
				some = append(some, e)
			}
		}
		events = some
	}
	loaded := 0
	for _, event := range events {
		proto := eventProto(spec, event)
		for i := 1; proto != nil && i < len(proto.Params); i++ {
			img := argumentImage(target, event, proto, i-1)
			_, ours := verify.Verify(context.Background(), img, verify.Options{})
			k, theirs := testkit.LoadKernel(img)
			var rej *testkit.KernelRejection
			switch {
			case theirs == nil:
				k.Close()
			case !errors.As(theirs, &rej):
				continue // the event can't be attached to here
			}
			loaded++
			if (ours == nil) != (theirs == nil) {
				t.Errorf("%s argument %d: we say %v, the kernel %v", event, i-1, ours, theirs)
			}
		}
	}
	t.Logf("%d arguments of %d events", loaded, len(events))
}

func eventProto(spec *btf.Spec, event string) *btf.FuncProto {
	var td *btf.Typedef
	if spec.TypeByName("btf_trace_"+event, &td) != nil {
		return nil
	}
	p, ok := td.Type.(*btf.Pointer)
	if !ok {
		return nil
	}
	proto, _ := p.Target.(*btf.FuncProto)
	return proto
}

func argumentImage(t *image.Target, event string, proto *btf.FuncProto, n int) *image.Image {
	ld := func(size uint8, off int16) isa.Insn {
		return isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | size, Dst: isa.R1, Src: isa.R1, Off: off}
	}
	insns := []isa.Insn{ld(isa.SizeDW, int16(8*n))}
	if p, ok := btf.UnderlyingType(proto.Params[n+1].Type).(*btf.Pointer); ok {
		if s, ok := btf.UnderlyingType(p.Target).(*btf.Struct); ok && len(s.Members) > 0 && s.Size >= 8 {
			size := isa.SizeB
			if _, ok := btf.UnderlyingType(s.Members[0].Type).(*btf.Pointer); ok {
				size = isa.SizeDW
			}
			insns = append(insns, ld(size, 0))
		}
	}
	insns = append(insns, movi(isa.R0, 0), isa.Insn{Op: isa.ClassJMP | isa.Exit})
	return &image.Image{
		Program: event, Attach: abi.Attach{Type: abi.Tracing, Expected: abi.AttachTraceRawTp, Target: event}, License: "GPL",
		Target: t, Insns: insns, Subprogs: []image.Subprog{{Name: event}},
		Ctx: &btf.FuncProto{Return: proto.Return, Params: proto.Params[1:]},
	}
}
