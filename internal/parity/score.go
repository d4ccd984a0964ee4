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

// families sort tests by what they are about; first match wins. Owned ones are
// about the ownership of typed objects, which is scored apart.
var families = []struct {
	name  string
	owned bool
	match *regexp.Regexp
}{
	{"verifier_*", false, regexp.MustCompile(`^verifier_`)},
	{"linked_list", true, regexp.MustCompile(`^linked_(list|funcs)`)},
	{"rbtree", true, regexp.MustCompile(`^rbtree|refcounted_kptr`)},
	{"kptr, percpu_alloc", true, regexp.MustCompile(`kptr|percpu_alloc|mem_alloc`)},
	{"cpumask", true, regexp.MustCompile(`cpumask`)},
	{"dynptr", true, regexp.MustCompile(`dynptr`)},
	{"exceptions", true, regexp.MustCompile(`^exceptions`)},
	{"locks, preempt, RCU", true, regexp.MustCompile(`spin_lock|preempt|rcu_read|irq`)},
	{"timer, wq", true, regexp.MustCompile(`timer|^wq`)},
	{"arena", true, regexp.MustCompile(`arena`)},
	{"struct_ops", true, regexp.MustCompile(`struct_ops|^bpf_(cubic|dctcp|cc_|tcp_nogpl)|^tcp_ca|unsupported_ops`)},
	{"iterators", true, regexp.MustCompile(`^iters|^bpf_iter|_iter(_|$)|^cgroup_iter|iter_`)},
	{"kfuncs, trust, ksyms", true, regexp.MustCompile(`kfunc|ksyms|trusted|nested_|^type_cast|^test_bpf_nf|rdonly`)},
	{"lsm", true, regexp.MustCompile(`lsm|ima|sign|_sig|xattr`)},
	{"xdp", false, regexp.MustCompile(`xdp`)},
	{"net, cgroup, sock", false, regexp.MustCompile(`sock|^sk|tcp|udp|cgroup|cgrp|tc_|_tc|bind|connect|getpeername|recvmsg|sendmsg|lwt|net|flow|skb|ip_|cg_|egress|seg6`)},
	{"tail calls, freplace", false, regexp.MustCompile(`tailcall|freplace`)},
	{"subprograms", false, regexp.MustCompile(`func|subprog|call`)},
	{"large programs", false, regexp.MustCompile(`pyperf|strobemeta|profiler|verif_scale|loop|test_l4lb|test_jhash`)},
	{"CO-RE, BTF", false, regexp.MustCompile(`core_|btf`)},
	{"ring buffer", false, regexp.MustCompile(`ringbuf`)},
	{"maps", false, regexp.MustCompile(`map|array|local_storage|hash`)},
	{"tracing attach kinds", false, regexp.MustCompile(`trac|kprobe|uprobe|fentry|fexit|fmod|usdt|attach|perf|raw_tp|cookie`)},
}

const otherFamily = "other"

func familyOf(test string) (name string, owned bool) {
	for _, f := range families {
		if f.match.MatchString(test) {
			return f.name, f.owned
		}
	}
	return otherFamily, false
}

// sums are the figures of a set of programs.
type sums struct {
	Programs, Agree, FalseReject, FalseAccept, Unsupported, Failed, LeftOut, Panics int

	// Over programs that both accept: instructions processed, and µs.
	KernelInsns, Insns, KernelUS, US int
}

func (s *sums) add(r *row) {
	s.Programs++
	if r.Ours.Panic {
		s.Panics++
	}
	switch r.outcome() {
	case agree:
		s.Agree++
		if r.Ours.Verdict == accept {
			s.KernelInsns += r.Kernel.Insns
			s.Insns += r.Ours.Insns
			s.KernelUS += r.Kernel.TimeUS
			s.US += r.Ours.TimeUS
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
