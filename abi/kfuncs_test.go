package abi

import "testing"

func TestKernelFuncs(t *testing.T) {
	all, err := parseKernelFuncs(kernelFuncText)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range all {
		if f.Since == 0 || (f.Iter == IterNext) != (f.RetNull && f.Iter != NoIter) {
			t.Errorf("%s: %+v", name, *f)
		}
	}
	acquire := KernelFuncByName("bpf_task_acquire")
	if !acquire.Acquire || !acquire.RetNull || !acquire.Allowed(Attach{Type: Tracing}, V(6, 2)) || acquire.Allowed(Attach{Type: Kprobe}, V(6, 18)) {
		t.Errorf("%+v", *acquire)
	}
	if acquire.Allowed(Attach{Type: PerfEvent}, V(6, 11)) || !acquire.Allowed(Attach{Type: PerfEvent}, V(6, 12)) {
		t.Error("bpf_task_acquire in programs of perf events: since Linux 6.12")
	}
}
