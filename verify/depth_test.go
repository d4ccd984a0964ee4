package verify_test

import (
	"context"
	"errors"
	"testing"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/internal/testkit"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify"
)

// Which types of programs have a stack of its own for each large function is asked of the kernel.
func TestStacksAgainstKernel(t *testing.T) {
	testkit.RequireBPF(t)
	target, err := image.Running()
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, section := range []string{
		"kprobe", "kprobe.session", "tp", "perf_event", "raw_tp", "raw_tp.w", "socket", "xdp", "tc", "cgroup_skb/ingress",
		"sk_msg", "sockops", "flow_dissector", "lwt_in", "cgroup/dev", "cgroup/sysctl", "sk_lookup", "netfilter",
	} {
		attach, ok := abi.ParseSection(section)
		if !ok {
			t.Errorf("section %q is not known", section)
			continue
		}
		for _, size := range []int16{-240, -304, -512} {
			img := &image.Image{Program: "prog", Attach: attach, License: "GPL", Target: target}
			for n := range 3 {
				img.Subprogs = append(img.Subprogs, image.Subprog{Start: len(img.Insns), Name: string(rune('a' + n))})
				img.Insns = append(img.Insns, movi(isa.R0, 0), save(isa.R10, isa.R0, size))
				if n < 2 {
					img.Insns = append(img.Insns, isa.Insn{Op: isa.ClassJMP | isa.Call, Src: isa.CallLocal, Imm: 2}, movi(isa.R0, 1))
				}
				img.Insns = append(img.Insns, isa.Insn{Op: isa.ClassJMP | isa.Exit})
			}
			_, ours := verify.Verify(context.Background(), img, verify.Options{})
			k, theirs := testkit.LoadKernel(img)
			var rej *testkit.KernelRejection
			switch {
			case theirs == nil:
				k.Close()
			case !errors.As(theirs, &rej) || rej.Log == "":
				t.Logf("%s: not asked: %v", section, theirs)
				continue
			}
			if asked++; (ours == nil) != (theirs == nil) {
				t.Errorf("%s, %d bytes: ours %v, kernel %v", section, size, ours, theirs)
			}
		}
	}
	if asked < 20 {
		t.Errorf("only %d programs were asked", asked)
	}
}
