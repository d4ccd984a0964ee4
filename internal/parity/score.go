package main

// This file compares the two sides and sums up.

import (
	"regexp"
	"slices"
	"strings"
)

// row is one program, judged by both.
type row struct {
	Test, Program string
	Kernel        kernelVerdict
	Ours          ourVerdict
	Stated        stated // by the test
}

// The outcomes of a comparison.
const (
	agree       = "agree"
	falseReject = "we reject"
	falseAccept = "we accept"
)

// outcome compares the sides; unsupported and failed stand for themselves.
func (r *row) outcome() string {
	switch {
	case r.Kernel.Verdict == leftOut:
		return leftOut
	case r.Ours.Verdict == unsupported, r.Ours.Verdict == failed:
		return r.Ours.Verdict
	case r.Ours.Verdict == r.Kernel.Verdict:
		return agree
	case r.Ours.Verdict == accept:
		return falseAccept
	}
	return falseReject
}

// scope is what a score is for.
type scope string

const (
	scopeVerifier scope = "verifier_*"                 // the verifier's own tests
	scopePlain    scope = "plain"                      // tracing, networking and helper programs
	scopeOwned    scope = "ownership of typed objects" // scored apart: another piece of work
	scopeHID      scope = "HID"                        // of drivers/hid/bpf
)

// families sort tests by what they are about; first match wins. Those in
// scopeOwned say why they are.
var families = []struct {
	name  string
	scope scope
	match *regexp.Regexp
}{
	{"HID", scopeHID, regexp.MustCompile(`^hid/`)},
	{"verifier_*", scopeVerifier, regexp.MustCompile(`^verifier_`)},
	// Objects from bpf_obj_new that lists and trees own.
	{"linked_list", scopeOwned, regexp.MustCompile(`^linked_(list|funcs)`)},
	{"rbtree", scopeOwned, regexp.MustCompile(`^rbtree|refcounted_kptr`)},
	// Objects that maps own, and kernel objects that are acquired and released.
	{"kptr, percpu_alloc", scopeOwned, regexp.MustCompile(`kptr|percpu_alloc|mem_alloc`)},
	{"cpumask", scopeOwned, regexp.MustCompile(`cpumask`)},
	{"kfuncs, trust, ksyms", scopeOwned, regexp.MustCompile(`kfunc|ksyms|trusted|nested_|^type_cast|^test_bpf_nf|rdonly`)},
	// Objects on the stack, which calls make and destroy.
	{"dynptr", scopeOwned, regexp.MustCompile(`dynptr`)},
	{"iterators", scopeOwned, regexp.MustCompile(`^iters(_|$)`)},
	// Who gives back what is owned when a program is thrown out of.
	{"exceptions", scopeOwned, regexp.MustCompile(`^exceptions`)},
	// Objects are only safe within these regions.
	{"locks, preempt, RCU", scopeOwned, regexp.MustCompile(`spin_lock|preempt|rcu_read|irq`)},
	// Objects within map values that call back later.
	{"timer, wq", scopeOwned, regexp.MustCompile(`timer|^wq`)},
	{"arena", scopeOwned, regexp.MustCompile(`arena`)},
	// Programs that stand for functions of the kernel's objects.
	{"struct_ops", scopeOwned, regexp.MustCompile(`struct_ops|^bpf_(cubic|dctcp|cc_|tcp_nogpl)|^tcp_ca|unsupported_ops`)},
	{"bpf_iter", scopePlain, regexp.MustCompile(`^bpf_iter|_iter(_|$)|^cgroup_iter|iter_`)},
	{"lsm", scopePlain, regexp.MustCompile(`lsm|ima|sign|_sig|xattr`)},
	{"xdp", scopePlain, regexp.MustCompile(`xdp`)},
	{"net, cgroup, sock", scopePlain, regexp.MustCompile(`sock|^sk|tcp|udp|cgroup|cgrp|tc_|_tc|bind|connect|getpeername|recvmsg|sendmsg|lwt|net|flow|skb|ip_|cg_|egress|seg6`)},
	{"tail calls, freplace", scopePlain, regexp.MustCompile(`tailcall|freplace`)},
	{"subprograms", scopePlain, regexp.MustCompile(`func|subprog|call`)},
	{"large programs", scopePlain, regexp.MustCompile(`pyperf|strobemeta|profiler|verif_scale|loop|test_l4lb|test_jhash`)},
	{"CO-RE, BTF", scopePlain, regexp.MustCompile(`core_|btf`)},
	{"ring buffer", scopePlain, regexp.MustCompile(`ringbuf`)},
	{"maps", scopePlain, regexp.MustCompile(`map|array|local_storage|hash`)},
	{"tracing attach kinds", scopePlain, regexp.MustCompile(`trac|kprobe|uprobe|fentry|fexit|fmod|usdt|attach|perf|raw_tp|cookie`)},
}

const otherFamily = "other"

func familyOf(test string) (name string, in scope) {
	for _, f := range families {
		if f.match.MatchString(test) {
			return f.name, f.scope
		}
	}
	return otherFamily, scopePlain
}

// sums are the figures of a set of programs.
type sums struct {
	Programs, Agree, FalseReject, FalseAccept, Unsupported, Failed, LeftOut, Panics int

	// Over programs that both accept: instructions processed, and µs; and the
	// quotients of each program's time.
	KernelInsns, Insns, KernelUS, US int
	Times                            []float64

	// What tests state, and who agrees with that.
	Stated, KernelAsStated, OursAsStated int
}

func (s *sums) add(r *row) {
	s.Programs++
	if r.Ours.Panic {
		s.Panics++
	}
	if r.Stated.Verdict != "" && r.Kernel.Verdict != leftOut {
		s.Stated++
		if r.Kernel.Verdict == r.Stated.Verdict {
			s.KernelAsStated++
		}
		if r.Ours.Verdict == r.Stated.Verdict {
			s.OursAsStated++
		}
	}
	switch r.outcome() {
	case agree:
		s.Agree++
		if r.Ours.Verdict == accept {
			s.KernelInsns += r.Kernel.Insns
			s.Insns += r.Ours.Insns
			s.KernelUS += r.Kernel.TimeUS
			s.US += r.Ours.TimeUS
			if r.Kernel.TimeUS > 0 {
				s.Times = append(s.Times, ratio(r.Ours.TimeUS, r.Kernel.TimeUS))
			}
		}
	case falseReject:
		s.FalseReject++
	case falseAccept:
		s.FalseAccept++
	case unsupported:
		s.Unsupported++
	case failed:
		s.Failed++
	case leftOut:
		s.LeftOut++
	}
}

// judged is how many programs have a verdict of the kernel.
func (s *sums) judged() int { return s.Programs - s.LeftOut }

// share is n of m in percent; 0 of 0 is nothing.
func share(n, m int) float64 {
	if m == 0 {
		return 0
	}
	return 100 * float64(n) / float64(m)
}

func ratio(a, b int) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// quantile is the value that a share q of list does not exceed.
func quantile(list []float64, q float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// count is how often something was said, with one example.
type count struct {
	What    string
	N       int
	Example string
}

// tally counts what key says of each row ("" is skipped), the most frequent first.
func tally(rows []row, key func(*row) string) []count {
	at := map[string]int{}
	var list []count
	for i := range rows {
		what := key(&rows[i])
		if what == "" {
			continue
		}
		j, ok := at[what]
		if !ok {
			j = len(list)
			at[what] = j
			list = append(list, count{What: what, Example: rows[i].Test + "/" + rows[i].Program})
		}
		list[j].N++
	}
	slices.SortStableFunc(list, func(a, b count) int { return b.N - a.N })
	return list
}

var (
	numbers = regexp.MustCompile(`-?\b(0x[0-9a-f]+|\d+)\b`)
	places  = regexp.MustCompile(`^[^ ]*:\d+: |^[^ ]+: instruction \d+: |\(instruction \d+[^)]*\)`)
)

// fold takes names of places and numbers out of a message, so that like ones count together.
func fold(s string) string {
	s = places.ReplaceAllString(s, "")
	return strings.TrimSpace(numbers.ReplaceAllString(s, "N"))
}
