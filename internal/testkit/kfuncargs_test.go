package testkit

import (
	"flag"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
)

// This file compares verdicts on calls of the kernel's functions with random
// arguments, most of them of the kind that the function wants.

var (
	kfuncPrograms = flag.Int("kfuncs", 300, "random calls of kernel functions to compare with the kernel")
	kfuncSeed     = flag.Int64("kfuncs-seed", 1, "seed of the first")
)

// kfuncValues puts a value into register $; @x.y is the offset of member y of struct x.
var kfuncValues = map[string][]string{
	"task_struct": {"$ = r6", "$ = *(u64 *)(r6 + @task_struct.real_parent)", "$ = *(u64 *)(r6 + @task_struct.parent)", "$ = *(u64 *)(r6 + @task_struct.group_leader)", "$ = r9", "$ = r6; $ += 8", "$ = *(u64 *)(r7 + 8)"},
	"cgroup":      {"$ = *(u64 *)(r6 + @task_struct.cgroups); $ = *(u64 *)($ + @css_set.dfl_cgrp)", "$ = r8"},
	"cpumask":     {"$ = *(u64 *)(r6 + @task_struct.cpus_ptr)", "$ = r6; $ += @task_struct.cpus_mask", "$ = *(u64 *)(r6 + @task_struct.user_cpus_ptr)", "$ = *(u64 *)(r7 + 16)"},
	"":            {"$ = 0", "$ = 1", "$ = 8", "$ = r10; $ += -32", "$ = r10; $ += -36", "$ = r7", "$ = r7; $ += 24", "$ = map[vals] ll", "$ = *(u64 *)(r10 - 64)", "$ = r6", "$ = *(u64 *)(r6 + @task_struct.mm)", "$ = mapvalue[.rodata] ll", "$ = *(u64 *)(r10 - 72)", "$ = *(u64 *)(r10 - 72); $ &= 31"},
}

// kfuncNumbers are values for parameters that are numbers.
var kfuncNumbers = []string{"$ = 0", "$ = 1", "$ = 8", "$ = 24", "$ = *(u64 *)(r10 - 72)", "$ = *(u64 *)(r10 - 72); $ &= 31", "$ = r10"}

var kfuncReleases = map[string]string{"task_struct": "bpf_task_release", "cgroup": "bpf_cgroup_release", "bpf_cpumask": "bpf_cpumask_release", "bpf_key": "bpf_key_put"}

const kfuncHead = `.license GPL
.map vals type=array key=4 value=48 entries=4
.field task kptr:task_struct 8
.field mask kptr:bpf_cpumask 16
.data .rodata size=8 frozen flags=0x80
.string "abc"
.section tp_btf/task_newtask
.func prog
	*(u64 *)(r10 - 64) = r1
	r6 = *(u64 *)(r1 + 0)
	r1 = *(u64 *)(r1 + 8)
	*(u64 *)(r10 - 72) = r1
	*(u32 *)(r10 - 4) = 0
	r2 = r10
	r2 += -4
	r1 = map[vals] ll
	call bpf_map_lookup_elem
	r9 = 0
	if r0 == 0 goto end
	r7 = r0
	r8 = *(u64 *)(r6 + @task_struct.cgroups)
`

type kfuncMaker struct {
	r     *rand.Rand
	spec  *btf.Spec
	names []string
}

// offsets replaces @x.y.
func (m *kfuncMaker) offsets(text string) string {
	for {
		at := strings.IndexByte(text, '@')
		if at < 0 {
			return text
		}
		end := at + 1
		for end < len(text) && (text[end] == '_' || text[end] == '.' || text[end] >= 'a' && text[end] <= 'z') {
			end++
		}
		st, field, _ := strings.Cut(text[at+1:end], ".")
		var s *btf.Struct
		off := 0
		if m.spec.TypeByName(st, &s) == nil {
			for _, f := range s.Members {
				if f.Name == field {
					off = int(f.Offset.Bytes())
				}
			}
		}
		text = text[:at] + fmt.Sprint(off) + text[end:]
	}
}

func (m *kfuncMaker) pick(list []string) string { return list[m.r.Intn(len(list))] }

// value is a value for a parameter, mostly one that fits.
func (m *kfuncMaker) value(p btf.FuncParam) string {
	if m.r.Intn(12) == 0 {
		return m.pick(kfuncValues[m.pick([]string{"", "task_struct", "cgroup", "cpumask"})])
	}
	ptr, ok := btf.UnderlyingType(p.Type).(*btf.Pointer)
	if !ok {
		return m.pick(kfuncNumbers)
	}
	if st, ok := btf.UnderlyingType(ptr.Target).(*btf.Struct); ok && kfuncValues[st.Name] != nil {
		return m.pick(kfuncValues[st.Name])
	}
	return m.pick(kfuncValues[""])
}

func (m *kfuncMaker) program() string {
	var b strings.Builder
	b.WriteString(kfuncHead)
	put := func(text, reg string) {
		for _, l := range strings.Split(strings.ReplaceAll(text, "$", reg), ";") {
			fmt.Fprintf(&b, "\t%s\n", strings.TrimSpace(l))
		}
	}
	owned := m.r.Intn(3) == 0
	if owned { // r9
		put("r1 = r6; call kfunc bpf_task_acquire; r9 = r0; if r0 == 0 goto end", "")
	}
	name := m.pick(m.names)
	var fn *btf.Func
	if err := m.spec.TypeByName(name, &fn); err != nil {
		panic(err)
	}
	proto := fn.Type.(*btf.FuncProto)
	for i, p := range proto.Params {
		v := m.value(p)
		put(v, fmt.Sprintf("r%d", i+1))
		if strings.HasPrefix(v, "$ = *(u64 *)") && m.r.Intn(2) == 0 {
			put("if $ == 0 goto end", fmt.Sprintf("r%d", i+1))
		}
	}
	put("call kfunc "+name, "")
	if ptr, ok := btf.UnderlyingType(proto.Return).(*btf.Pointer); ok {
		if m.r.Intn(8) != 0 {
			put("if r0 == 0 goto end", "")
		}
		if m.r.Intn(2) == 0 {
			put("r1 = *(u8 *)(r0 + 0)", "")
		}
		if st, ok := btf.UnderlyingType(ptr.Target).(*btf.Struct); ok && kfuncReleases[st.Name] != "" && m.r.Intn(8) != 0 {
			put("r1 = r0; call kfunc "+kfuncReleases[st.Name], "")
		}
	}
	b.WriteString("end:\n")
	if owned {
		put("if r9 == 0 goto out; r1 = r9; call kfunc bpf_task_release; out:", "")
	}
	b.WriteString("\tr0 = 0\n\texit\n")
	return m.offsets(b.String())
}

func TestKernelFuncArguments(t *testing.T) {
	RequireBPF(t)
	running := judgedKernel(t)
	spec, err := running.BTF()
	if err != nil {
		t.Fatal(err)
	}
	m := &kfuncMaker{spec: spec}
	for fn, err := range spec.All() {
		if err != nil {
			t.Fatal(err)
		}
		f, ok := fn.(*btf.Func)
		if !ok {
			continue
		}
		k := abi.KernelFuncByName(f.Name)
		if k != nil && k.Iter == abi.NoIter && k.Allowed(abi.Attach{Type: abi.Tracing, Expected: abi.AttachTraceRawTp}, judged) && !strings.Contains(f.Name, "list") && !strings.Contains(f.Name, "dynptr") {
			m.names = append(m.names, f.Name)
		}
	}
	slices.Sort(m.names)
	var sum tally
	for seed := *kfuncSeed; seed < *kfuncSeed+int64(*kfuncPrograms); seed++ {
		m.r = rand.New(rand.NewSource(seed))
		sum.compare(t, running, seed, m.program())
	}
	t.Log(sum)
}
