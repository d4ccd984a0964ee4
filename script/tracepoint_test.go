package script

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/place"
)

// kernelEnv answers raw tracepoints from the running kernel's BTF.
type kernelEnv struct {
	Env
	spec *btf.Spec
}

func (e *kernelEnv) Match(p Pattern) ([]place.Place, error) {
	if p.Kind == place.Tracepoint {
		return []place.Place{{Kind: p.Kind, Category: p.Fields[0], Event: p.Fields[1]}}, nil
	}
	if p.Kind != place.RawTracepoint {
		return []place.Place{{Kind: p.Kind, Path: p.Fields[0], Symbol: p.Fields[1], Addr: 0x1000}}, nil
	}
	return []place.Place{{Kind: p.Kind, Event: p.Fields[0]}}, nil
}

func (e *kernelEnv) Args(p place.Place) ([]Arg, place.Place, error) {
	var out []Arg
	switch p.Kind {
	case place.RawTracepoint:
		var f *btf.Func
		if err := e.spec.TypeByName("__traceiter_"+p.Event, &f); err != nil {
			return nil, p, err
		}
		for i, a := range f.Type.(*btf.FuncProto).Params[1:] {
			out = append(out, Arg{Name: a.Name, Type: a.Type, Loc: Loc{Pieces: []Piece{{Kind: InCtx, Off: int64(8 * i)}}}})
		}
	case place.Tracepoint:
		u32 := &btf.Int{Name: "unsigned int", Size: 4}
		char := &btf.Int{Name: "char", Size: 1, Encoding: btf.Signed}
		out = []Arg{
			{Name: "n", Type: u32, Loc: Loc{Pieces: []Piece{{Kind: InCtx, Off: 12}}}},
			{Name: "odd", Type: u32, Loc: Loc{Pieces: []Piece{{Kind: InCtx, Off: 13}}}},
			{Name: "filename", Type: &btf.Pointer{Target: char}, Loc: Loc{Pieces: []Piece{{Kind: InCtx, Off: 24}}}},
			{Name: "comm", Type: &btf.Array{Type: char, Nelems: 16, Index: u32}, Loc: Loc{Pieces: []Piece{{Kind: InCtx, Off: 8}}}},
			{Name: "name", Type: &btf.Array{Type: char, Index: u32}, Loc: Loc{Pieces: []Piece{{Kind: DataLoc, Off: 8}}}},
			{Name: "early", Type: u32, Loc: Loc{Pieces: []Piece{{Kind: InCtx, Off: 4}}}},
		}
	}
	return out, p, nil
}

func (e *kernelEnv) Ret(p place.Place) (Arg, error) { return Arg{}, &NoDebugInfo{Path: p.Path} }

func (e *kernelEnv) Type(_ place.Place, keyword, name string) (btf.Type, error) {
	ts, err := e.spec.AnyTypesByName(name)
	if err != nil {
		return nil, &NotFound{What: "type", Name: name}
	}
	return ts[0], nil
}

func (e *kernelEnv) Space(p place.Place) string {
	if p.Kind.User() {
		return "0123"
	}
	return "kernel"
}

func (e *kernelEnv) KernelBTF() *btf.Spec { return e.spec }

func newKernelEnv(t testing.TB) *kernelEnv {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		t.Skipf("the running kernel has no BTF: %v", err)
	}
	return &kernelEnv{spec: spec}
}

// TestVerifier loads programs of every type into the running kernel.
func TestVerifier(t *testing.T) {
	needBPF(t)
	e := newKernelEnv(t)
	for _, src := range []string{
		`rawtracepoint:sched_switch { printf("%s %d %s", args.prev->comm, args.prev->pid, args.next->real_parent->comm) }`,
		`rt:sched_switch / args.prev->real_parent->real_parent->pid > 1 && comm == "bash" / { @[args.prev->comm, pid] = count() }`,
		`rt:sched_switch { @[args.prev->real_parent->comm] = hist(args.prev->pid); @s = sum(args.prev->prio) }`,
		`rt:sched_switch { $t = args.prev; $p = $t->real_parent; @last[tid] = $p; printf("%d %p", @last[tid]->pid, $p) }`,
		`rt:sched_switch { printf("%d", args.preempt); @x = lhist(args.prev->pid, 0, 1000, 10); @m = min(args.prev->prio); @n = max(args.prev->prio); @v = avg(pid); @w = stats(pid) }`,
		`rt:sched_switch { printf("%p %p", args.prev, args.prev + 1); @[args.prev] = count() }`,
		`rt:sched_switch { printf("%d", arg1 & 0xff); $i = 3; printf("%c", args.prev->comm[$i]) }`,
		`rt:sched_switch / args.prev / { printf("%d", args.prev->in_iowait); printf("%d", args.prev->sched_remote_wakeup) }`,
		`rt:sched_switch { print(args.prev->thread_info); print(*args.prev->real_parent->signal->shared_pending.list.next) }`,
		`rt:netif_receive_skb / args.skb->dev->name == "lo" / { @packets = count(); @bytes = sum(args.skb->len) }`,
		`rt:kfree_skb { @[ksym(args.location)] = count(); printf("%s", ksym(args.location)) }`,
		`rt:kfree_skb / args.skb->dev != 0 / { printf("%s %d", args.skb->dev->name, args.reason); @[args.reason] = count() }`,
		`rt:sched_process_fork { printf("%s %d %d", args.parent->comm, args.child->pid, curtask->pid) }`,
		`rt:sched_process_exec { printf("%s", str(args.bprm->filename)); @f[tid] = str(args.bprm->filename); printf("%s", @f[tid]) }`,
		`rt:sched_process_exit { printf("%d %d %d", curtask->tgid, curtask->flags & 0x4, ((struct task_struct *)args.p)->pid) }`,
		`rt:sched_switch { printf("%d %d", args.prev->mm->mmap_base > 1, &args.prev->pid != 0) }`,
		`rt:sched_switch { if (args.prev->pid == 1) { @a++ } else if (args.prev->pid == 2) { @b = args.prev->pid } else { @c[args.prev->comm]++; return } @d = 1 }`,
		`t:sched:sched_switch { printf("%d %d %s %s %s", args.n, args.odd, args.comm, args.name, str(args.filename)); @[args.name, args.comm] = count() }`,
		`t:syscalls:sys_enter_openat { @[str(args.filename)] = count(); @[comm] = count(); printf("%s", str(args.filename)) }`,
		`uprobe:/bin/bash:readline { printf("%d %d %d %s %s", arg0, arg5, arg6, str(arg0), usym(arg1)); @[usym(arg0)] = count() }`,
		`uretprobe:/bin/bash:readline / pid == 5 / { printf("%s %d", str(retval), retval); @ = hist(retval) }`,
		`uprobe:/bin/bash:f { @start[tid] = nsecs } uretprobe:/bin/bash:f / @start[tid] / { @us = hist((nsecs - @start[tid]) / 1000); delete(@start[tid]) }`,
		`uprobe:/bin/bash:f { $r = (struct task_struct *)arg0; printf("%s %d", $r->comm, $r->real_parent->pid); @a = $r->real_parent->tgid; @b[$r->comm] = @a; }`,
		`BEGIN { printf("hi") } interval:s:1 { print(@a); clear(@a); zero(@b); @a[1] = count(); @b = count(); } END { exit() }`,
	} {
		t.Run(src, func(t *testing.T) {
			c, err := Compile("t.bt", src, e, Options{})
			if ds, ok := err.(Diagnostics); ok {
				var b strings.Builder
				ds.Render(&b)
				t.Fatal(b.String())
			}
			loadKernel(t, c)
		})
	}
}
