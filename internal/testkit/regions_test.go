package testkit

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify"
)

// This file compares verdicts on random programs that open and end regions,
// take and give up locks, make, step and destroy iterators, own and release
// objects, mostly in the right order.

var (
	regionPrograms = flag.Int("regions", 300, "random programs with regions, locks and iterators to compare with the kernel")
	regionSeed     = flag.Int64("regions-seed", 1, "seed of the first")
)

const regionHead = `.license GPL
.map locks type=array key=4 value=48 entries=4
.field lock bpf_spin_lock 4
.field task kptr:task_struct 8
.field cpus kptr_untrusted:task_struct 16
.map res type=array key=4 value=16 entries=4
.field lock bpf_res_spin_lock 4
.data .data size=16
.field glob bpf_spin_lock 4
.section tc
.func prog
	*(u32 *)(r10 - 4) = 0
	r2 = r10
	r2 += -4
	r1 = map[locks] ll
	call bpf_map_lookup_elem
	if r0 == 0 goto end
	r6 = r0
	r2 = r10
	r2 += -4
	r1 = map[res] ll
	call bpf_map_lookup_elem
	if r0 == 0 goto end
	r7 = r0
	r8 = 0
	r9 = 0
`

// piece is a few instructions; $ is a number of its own, for labels.
type piece struct{ open, close string }

var regionPieces = []piece{
	{"call kfunc bpf_rcu_read_lock", "call kfunc bpf_rcu_read_unlock"},
	{"call kfunc bpf_preempt_disable", "call kfunc bpf_preempt_enable"},
	{"r1 = r10; r1 += -16; call kfunc bpf_local_irq_save", "r1 = r10; r1 += -16; call kfunc bpf_local_irq_restore"},
	{"r1 = r10; r1 += -24; call kfunc bpf_local_irq_save", "r1 = r10; r1 += -24; call kfunc bpf_local_irq_restore"},
	{"r1 = r6; r1 += 4; call bpf_spin_lock", "r1 = r6; r1 += 4; call bpf_spin_unlock"},
	{"r1 = mapvalue[.data]+4 ll; call bpf_spin_lock", "r1 = mapvalue[.data]+4 ll; call bpf_spin_unlock"},
	{"r1 = r7; r1 += 4; call kfunc bpf_res_spin_lock; if r0 != 0 goto f$", "r1 = r7; r1 += 4; call kfunc bpf_res_spin_unlock; f$:"},
	{"r1 = r10; r1 += -32; r2 = 0; r3 = 4; call kfunc bpf_iter_num_new", "r1 = r10; r1 += -32; call kfunc bpf_iter_num_destroy"},
	{"r1 = r10; r1 += -40; r2 = 0; r3 = 4; call kfunc bpf_iter_num_new; n$:; r1 = r10; r1 += -40; call kfunc bpf_iter_num_next; if r0 == 0 goto d$; r8 = *(u32 *)(r0 + 0)",
		"goto n$; d$:; r1 = r10; r1 += -40; call kfunc bpf_iter_num_destroy"},
	{"r1 = 1; call kfunc bpf_task_from_pid; if r0 == 0 goto t$; r9 = r0", "r1 = r9; call kfunc bpf_task_release; t$:; r9 = 0"},
	{"r1 = *(u64 *)(r6 + 8); if r1 == 0 goto k$; call kfunc bpf_task_acquire; if r0 == 0 goto k$; r9 = r0", "r1 = r6; r1 += 8; r2 = r9; call bpf_kptr_xchg; if r0 == 0 goto k$; r1 = r0; call kfunc bpf_task_release; k$:; r9 = 0"},
	{"call bpf_get_prandom_u32; if r0 > 7 goto b$", "b$:"},
	{"call bpf_get_prandom_u32; r8 = r0", ""},
	{"call bpf_ktime_get_ns", ""},
	{"r1 = *(u64 *)(r10 - 16)", ""},
	{"r1 = 0; *(u64 *)(r10 - 32) = r1", ""},
	{"r1 = *(u64 *)(r6 + 16); if r1 == 0 goto u$; r1 = *(u64 *)(r1 + 16); u$:", ""},
	{"r1 = *(u32 *)(r6 + 24)", ""},
	{"if r9 == 0 goto z$; r1 = *(u32 *)(r9 + 40)", "z$:"},
	{"call kfunc bpf_rcu_read_lock; r1 = *(u64 *)(r6 + 8); call kfunc bpf_rcu_read_unlock; if r1 == 0 goto v$; r2 = *(u32 *)(r1 + 40)", "v$:"},
}

type regionMaker struct {
	r *rand.Rand
	b strings.Builder
	n int
}

func (m *regionMaker) put(text string, n int) {
	for _, l := range strings.Split(strings.ReplaceAll(text, "$", fmt.Sprint(n)), ";") {
		fmt.Fprintf(&m.b, "\t%s\n", strings.TrimSpace(l))
	}
}

// body nests pieces; now and then it forgets the end of one, makes it twice, or at another place.
func (m *regionMaker) body(depth int) {
	for range 1 + m.r.Intn(3) {
		p := regionPieces[m.r.Intn(len(regionPieces))]
		n := m.n
		m.n++
		m.put(p.open, n)
		if depth > 0 && p.close != "" {
			m.body(depth - 1)
		}
		if wrong := m.r.Intn(40); wrong == 0 && !strings.Contains(p.close, ":") {
			continue
		} else if wrong == 1 && !strings.Contains(p.close, ":") {
			m.put(p.close, n)
		}
		m.put(p.close, n)
	}
}

func regionProgram(seed int64) string {
	m := &regionMaker{r: rand.New(rand.NewSource(seed))}
	m.b.WriteString(regionHead)
	m.body(2)
	m.b.WriteString("end:\n\tr0 = 0\n\texit\n")
	return m.b.String()
}

func TestRegionsKernel(t *testing.T) {
	running := judgedKernel(t)
	var sum tally
	for seed := *regionSeed; seed < *regionSeed+int64(*regionPrograms); seed++ {
		sum.compare(t, running, seed, regionProgram(seed))
	}
	t.Log(sum)
}

// judgedKernel is the running kernel, when it is one that verdicts are for.
func judgedKernel(t *testing.T) *image.Target {
	t.Helper()
	RequireBPF(t)
	running, err := image.Running()
	if err != nil {
		t.Fatal(err)
	}
	if running.Version < judged {
		t.Skipf("needs kernel %s, this one is %s", judged, running.Version)
	}
	return running
}

// tally counts verdicts on random programs.
type tally struct{ programs, both, kernelOnly, unknown int }

func (n tally) String() string {
	return fmt.Sprintf("%d programs: %d accepted by both, %d by the kernel only, %d not judged", n.programs, n.both, n.kernelOnly, n.unknown)
}

// compare asks both for the verdict on a program. It fails when the kernel rejects what we accept.
func (n *tally) compare(t *testing.T, target *image.Target, seed int64, text string) {
	t.Helper()
	o, err := object.ParseAsm("random", text)
	if err != nil {
		t.Fatalf("seed %d: %v\n%s", seed, err, text)
	}
	img, err := image.Build(o, "prog", target)
	if err != nil {
		t.Fatal(err)
	}
	_, ours := verify.Verify(context.Background(), img, verify.Options{})
	k, theirs := LoadKernel(img)
	if k != nil {
		k.Close()
	}
	n.programs++
	var rej *KernelRejection
	var uns *verify.Unsupported
	switch {
	case theirs != nil && !errors.As(theirs, &rej):
		t.Fatalf("seed %d: %v", seed, theirs)
	case errors.As(ours, &uns):
		n.unknown++
	case ours == nil && theirs == nil:
		n.both++
	case ours == nil:
		t.Errorf("seed %d: we accept, the kernel rejects: %v\n%s", seed, theirs, text)
	case theirs == nil:
		n.kernelOnly++
		t.Logf("seed %d: the kernel accepts, we reject: %v", seed, ours)
	}
}
