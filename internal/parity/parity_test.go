package main

import (
	"bytes"
	"strings"
	"testing"
)

const stdout = `PROCESSING obj/a.bpf.o/good, DURATION US: 26, VERDICT: success, VERIFIER LOG:
verification time 26 usec
stack depth 8
processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0

PROCESSING obj/a.bpf.o/bad, DURATION US: 56, VERDICT: failure, VERIFIER LOG:
0: R1=ctx() R10=fp0
R0 invalid mem access 'scalar'
verification time 56 usec
stack depth 8
processed 13 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 1 mark_read 0

PROCESSING obj/a.bpf.o/fentry, DURATION US: 0, VERDICT: failure, VERIFIER LOG:
d0
PROCESSING obj/a.bpf.o/kfunc, DURATION US: 0, VERDICT: failure, VERIFIER LOG:

PROCESSING obj/a.bpf.o/core, DURATION US: 9, VERDICT: failure, VERIFIER LOG:
invalid func unknown#195896080

processed 1 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0

PROCESSING obj/a.bpf.o/array, DURATION US: 15, VERDICT: failure, VERIFIER LOG:
verification time 15 usec
processed 5 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0

file_name,prog_name,verdict,duration,total_insns,total_states
a.bpf.o,array,failure,15,5,0
a.bpf.o,bad,failure,56,13,1
a.bpf.o,core,failure,9,1,0
a.bpf.o,fentry,failure,0,0,0
a.bpf.o,good,success,26,7,0
a.bpf.o,kfunc,failure,0,0,0
`

const stderr = `libbpf: prog 'bad': BPF program load failed: Permission denied
libbpf: prog 'bad': failed to load: -13
libbpf: failed to load object 'obj/a.bpf.o'
libbpf: prog 'fentry': BPF program load failed: Operation not permitted
libbpf: failed to load object 'obj/a.bpf.o'
libbpf: extern (func ksym) 'f': not found in kernel or module BTFs
libbpf: failed to load object 'obj/a.bpf.o'
libbpf: prog 'core': BPF program load failed: Invalid argument
libbpf: failed to load object 'obj/a.bpf.o'
libbpf: map 'm': failed to initialize slot [1] to prog 'x' fd=-2: -9
libbpf: failed to load object 'obj/a.bpf.o'
`

func TestParseVeristat(t *testing.T) {
	got, err := parseVeristat(stdout, stderr)
	if err != nil {
		t.Fatal(err)
	}
	want := []kernelVerdict{
		{"array", accept, "", "", 5, 15}, // the verifier took it
		{"bad", reject, "", "R0 invalid mem access 'scalar'", 13, 56},
		{"core", leftOut, "CO-RE relocation against this kernel's types", "invalid func unknown#195896080", 1, 9},
		{"fentry", leftOut, "the host's policy (EPERM)", "", 0, 0},
		{"good", accept, "", "", 7, 26},
		{"kfunc", leftOut, "missing kfunc", "", 0, 0},
	}
	if len(got) != len(want) {
		t.Fatalf("%d programs, expected %d: %+v", len(got), len(want), got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("program %d:\n got %+v\nwant %+v", i, got[i], want[i])
		}
	}
}

func TestParseVeristatBad(t *testing.T) {
	for _, s := range []string{"", "no CSV\n", csvHeader + "duration,total_insns\na,b,perhaps,1,2\n", csvHeader + "duration,total_insns\na,b\n"} {
		if got, err := parseVeristat(s, ""); err == nil {
			t.Errorf("%q: no error, %+v", s, got)
		}
	}
}

// What is kept of long logs must give the same verdicts.
func TestShorten(t *testing.T) {
	noise := strings.Repeat("1: (b7) r1 = 0\n", 100_000)
	long := strings.Replace(stdout, "0: R1=ctx()", noise+"0: R1=ctx()", 1)
	long = strings.Replace(long, "invalid func", noise+"invalid func", 1)
	short := string(shorten([]byte(long)))
	if len(short) > 20_000 {
		t.Errorf("%d bytes are left", len(short))
	}
	want, err := parseVeristat(stdout, stderr)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseVeristat(short, stderr)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%v: %+v", err, got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("program %d:\n got %+v\nwant %+v", i, got[i], want[i])
		}
	}
}

func TestOutcome(t *testing.T) {
	for _, c := range []struct{ kernel, ours, want string }{
		{accept, accept, agree},
		{reject, reject, agree},
		{accept, reject, falseReject},
		{reject, accept, falseAccept},
		{accept, unsupported, unsupported},
		{reject, unsupported, unsupported},
		{reject, failed, failed},
		{leftOut, accept, leftOut},
	} {
		r := row{Kernel: kernelVerdict{Verdict: c.kernel}, Ours: ourVerdict{Verdict: c.ours}}
		if got := r.outcome(); got != c.want {
			t.Errorf("kernel %s, gtrace %s: %s, expected %s", c.kernel, c.ours, got, c.want)
		}
	}
}

func TestReport(t *testing.T) {
	rows := []row{
		{Test: "verifier_and", Program: "good", Kernel: kernelVerdict{Verdict: accept, Insns: 10, TimeUS: 20}, Ours: ourVerdict{Verdict: accept, Insns: 15, TimeUS: 10}},
		{Test: "verifier_and", Program: "bad", Kernel: kernelVerdict{Verdict: reject}, Ours: ourVerdict{Verdict: accept, Insns: 1000}},
		{Test: "rbtree", Program: "x", Kernel: kernelVerdict{Verdict: accept}, Ours: ourVerdict{Verdict: failed, Panic: true, Message: "panic: nil at verify/a.go:7"}},
		{Test: "lsm", Program: "y", Kernel: kernelVerdict{Verdict: leftOut, Reason: "policy"}, Ours: ourVerdict{Verdict: unsupported, Message: "unsupported: z"}},
	}
	var b bytes.Buffer
	report(&b, rows)
	for _, want := range []string{
		"4 programs, 3 with a verdict of the kernel: 33.3% agree; 1 panics",
		"15 instructions to the kernel's 10 (1.50×)",
		"We accept, the kernel rejects: 1 (must be none)\nverifier_and/bad: ",
		"panic: nil at verify/a.go:7  (rbtree/x)",
		"1  policy  (lsm/y)",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, &b)
		}
	}
}

func TestFold(t *testing.T) {
	for in, want := range map[string]string{
		"progs/a.c:12: R3 offset 48 is outside (instruction 7, bounds)": "R3 offset N is outside",
		"prog: instruction 9: need 8 bytes":                             "need N bytes",
		"unsupported: helper bpf_loop":                                  "unsupported: helper bpf_loop",
	} {
		if got := fold(in); got != want {
			t.Errorf("%q: %q, expected %q", in, got, want)
		}
	}
}

func TestSite(t *testing.T) {
	stack := "goroutine 1 [running]:\nmain.catch()\n\t/x/internal/parity/ours.go:80 +0x1\npanic({0x1, 0x2})\n\t/go/src/runtime/panic.go:700 +0x1\n" +
		"github.com/y/verify.(*walk).step()\n\t/x/verify/walk.go:44 +0x9\n"
	if got := site(stack); got != "verify/walk.go:44" {
		t.Errorf("%q", got)
	}
}
