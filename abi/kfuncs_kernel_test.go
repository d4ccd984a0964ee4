package abi

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

// setTypes are program types to ask for kernel functions with, beside those of kernelTypes.
var setTypes = []Attach{
	{Type: CGroupSock, Expected: 2}, {Type: CGroupSockAddr, Expected: 8}, {Type: CGroupDevice}, {Type: CGroupSysctl}, {Type: CGroupSockopt, Expected: 21},
	{Type: SockOps}, {Type: SKSKB}, {Type: SKMsg}, {Type: LWTIn}, {Type: LWTOut}, {Type: LWTXmit}, {Type: LWTSeg6Local},
	{Type: SKReuseport}, {Type: FlowDissector}, {Type: SKLookup, Expected: 36}, {Type: Netfilter, Expected: 45},
}

// The running kernel gives the same answers as the table: which program types have which kernel functions, and what sleeps.
func TestKernelFuncsKernel(t *testing.T) {
	types, ids := kernelTypes(t)
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		t.Skip("skipped: no kernel BTF:", err)
	}
	running := runningVersion(t)
	buf := make([]byte, 1<<16)
	pairs := 0
	for name, f := range kernelFuncs() {
		var fn *btf.Func
		if spec.TypeByName(name, &fn) != nil || f.Since > running {
			continue
		}
		id, err := spec.TypeID(fn)
		if err != nil {
			t.Fatal(err)
		}
		var code []byte
		for r := byte(1); r <= 5; r++ {
			code = append(code, slot(0xb7, r, 0, 0)...)
		}
		code = append(code, slot(0x85, 2<<4, 0, int32(id))...)
		code = append(append(code, slot(0xb7, 0, 0, 0)...), slot(0x95, 0, 0, 0)...)
		for _, a := range append(types, setTypes...) {
			log, _ := tryLoad(a, ids[a], code, "GPL", buf)
			if log == "" || strings.Contains(log, "device-bound") {
				continue // nothing is known: the kernel has no such program type, or it asks for more
			}
			pairs++
			if allowed := !strings.Contains(log, "calling kernel function"); allowed != f.Allowed(a, running) {
				t.Errorf("%s in %s (sleepable: %v, attach type %d): the kernel allows it: %v\n%s", name, a.Type, a.Sleepable, a.Expected, allowed, last(log))
				continue
			}
			if sleeps := strings.Contains(log, "must be sleepable"); sleeps && !f.Sleepable {
				t.Errorf("%s sleeps:\n%s", name, last(log))
			}
			if null := strings.Contains(log, "passed to trusted arg"); null && !f.Trusted && !f.RCU {
				t.Errorf("%s demands trusted arguments:\n%s", name, last(log))
			}
			if leak := strings.Contains(log, "reference leak"); leak && !f.Acquire {
				t.Errorf("%s acquires:\n%s", name, last(log))
			}
		}
	}
	t.Logf("%d pairs of function and program type", pairs)
}

// last is the line of log before the one with the sums.
func last(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return lines[max(0, len(lines)-2)]
}
