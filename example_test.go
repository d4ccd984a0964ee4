package gtrace_test

import (
	"context"
	"fmt"
	"log"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	gt "github.com/gtrace-dev/gtrace"
)

// On which kernels would a program load? Nothing is loaded to find out.
func ExampleCheck() {
	spec := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"now": {
		Name: "now", Type: ebpf.SocketFilter, License: "GPL",
		Instructions: asm.Instructions{asm.FnKtimeGetTaiNs.Call(), asm.Return()},
	}}}
	verdicts, err := gt.Check(context.Background(), spec, gt.CheckOptions{Targets: []string{"5.15", "6.1"}})
	if err != nil {
		log.Fatal(err)
	}
	for _, v := range verdicts {
		fmt.Printf("%s on %s: %s %s\n", v.Program, v.Target, v.Verdict, v.Since)
	}
	// Output:
	// now on 5.15: unsupported 6.1
	// now on 6.1: accept
}
