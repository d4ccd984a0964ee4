package verify_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/internal/testkit"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify"
)

var (
	helperCount = flag.Int("helper-count", 400, "how many random calls of helpers to compare with the kernel")
	helperShow  = flag.Bool("helper-show", false, "show the programs that differ")
)

// This file calls helpers with arguments of every kind, right and wrong, and
// (but for tail calls, locks and callbacks)
// compares the verdicts with the kernel's.

// helperSections are program types that this can be loaded as.
var helperSections = []string{
	"raw_tp", "socket", "tc", "xdp", "cgroup_skb/egress", "kprobe", "tracepoint", "perf_event", "sk_skb/stream_verdict", "sockops",
	"cgroup/connect4", "cgroup/sysctl", "sk_msg", "lwt_xmit", "sk_reuseport", "flow_dissector", "cgroup/dev", "cgroup/setsockopt", "sk_lookup",
	"tp_btf/sched_process_exec", "iter/task", "syscall",
}

// helperMaps are maps by name; only what a program names is made.
var helperMaps = map[string]string{
	"hash": "type=hash key=8 value=64 entries=4", "arr": "type=array key=4 value=64 entries=4", "ro": "type=array key=4 value=64 entries=4 flags=0x80",
	"wo": "type=array key=4 value=64 entries=4 flags=0x100", "ring": "type=ringbuf key=0 value=0 entries=4096", "queue": "type=queue key=0 value=16 entries=4",
	"bloom": "type=bloom_filter key=0 value=8 entries=4", "socks": "type=sockmap key=4 value=4 entries=4", "sockh": "type=sockhash key=8 value=4 entries=4",
	"perf": "type=perf_event_array key=4 value=4 entries=4", "stk": "type=stack_trace key=4 value=64 entries=4", "cgs": "type=cgroup_array key=4 value=4 entries=4",
	"dev": "type=devmap key=4 value=4 entries=4", "xsk": "type=xskmap key=4 value=4 entries=4", "cpu": "type=cpumap key=4 value=4 entries=4",
	"outer": "type=array_of_maps key=4 value=4 entries=4\n.inner type=array key=4 value=16 entries=4", "pcpu": "type=percpu_array key=4 value=16 entries=4",
	"lpm": "type=lpm_trie key=8 value=16 entries=4 flags=1", "reuse": "type=reuseport_sockarray key=4 value=4 entries=4", "cgst": "type=cgroup_storage key=16 value=8 entries=0",
	"sks": "type=sk_storage key=4 value=8 entries=0 flags=1", "tsk": "type=task_storage key=4 value=8 entries=0 flags=1", "cgr": "type=cgrp_storage key=4 value=8 entries=0 flags=1",
}

// helperValues make a value in register %d; %[1]d. Those before the dash are of use for arguments of some kinds.
var helperValues = map[string][]string{
	"number": {"r%[1]d = 0", "r%[1]d = 1", "r%[1]d = 8", "r%[1]d = 12", "r%[1]d = 64", "r%[1]d = -1", "r%[1]d = *(u64 *)(r10 - 8)", "r%[1]d = *(u8 *)(r10 - 8)", "r%[1]d = *(u64 *)(r10 - 8)\n\tr%[1]d &= 63"},
	"ctx":    {"r%[1]d = r6", "r%[1]d = r6\n\tr%[1]d += 8"},
	"memory": {
		"r%[1]d = r10\n\tr%[1]d += -64", "r%[1]d = r10\n\tr%[1]d += -128", "r%[1]d = r10\n\tr%[1]d += -12", "r%[1]d = r10", "r%[1]d = r10\n\tr%[1]d += -516", "r%[1]d = r7", "r%[1]d = r7\n\tr%[1]d += 8",
		"r%[1]d = r7\n\tr%[1]d += 60", "r%[1]d = *(u8 *)(r10 - 8)\n\tr%[1]d &= 7\n\tr%[1]d += r7", "r%[1]d = *(u8 *)(r10 - 8)\n\tr%[1]d &= 15\n\tr%[1]d += r10\n\tr%[1]d += -64", "r%[1]d = mapvalue[.rodata] ll", "r%[1]d = 0",
		"r%[1]d = r8", "r%[1]d = r8\n\tr%[1]d += 20",
	},
	"null":   {"r%[1]d = 0"},
	"object": {"r%[1]d = *(u64 *)(r10 - 72)", "r%[1]d = *(u64 *)(r10 - 88)", "r%[1]d = r9", "r%[1]d = *(u64 *)(r10 - 80)", "r%[1]d = *(u64 *)(r10 - 88)\n\tr%[1]d += 8"},
}

// helperPackets is where a context has the packet's start; its end is behind it.
var helperPackets = map[abi.ProgType]int{abi.SchedCLS: 76, abi.XDP: 0, abi.CGroupSKB: 76, abi.LWTXmit: 76, abi.SKSKB: 76}

// helperPicks says of which values arguments of a kind are mostly made.
func helperPicks(k abi.ArgKind) string {
	switch k {
	case abi.ArgCtx, abi.ArgCtxOrNull:
		return "ctx"
	case abi.ArgAnything, abi.ArgConstSize, abi.ArgConstSizeOrZero, abi.ArgConstAllocSize:
		return "number"
	case abi.ArgMem, abi.ArgMemOrNull, abi.ArgUninitMem, abi.ArgUninitMemOrNull, abi.ArgWritableMem, abi.ArgMapKey, abi.ArgMapValue, abi.ArgUninitMapValue, abi.ArgFixedMem, abi.ArgFixedWritableMem, abi.ArgUninitU64, abi.ArgMapValueOrNull, abi.ArgConstStr:
		return "memory"
	}
	return "object"
}

type helperGen struct {
	r       *rand.Rand
	at      abi.Attach
	b       strings.Builder
	maps    []string
	file    int // offset of linux_binprm's file
	version abi.Version
}

func (g *helperGen) line(format string, args ...any) { fmt.Fprintf(&g.b, "\t"+format+"\n", args...) }

func (g *helperGen) useMap(reg int, names []string) {
	n := names[g.r.Intn(len(names))]
	if !slices.Contains(g.maps, n) {
		g.maps = append(g.maps, n)
	}
	g.line("r%d = map[%s] ll", reg, n)
}

func (g *helperGen) has(name string) bool { return abi.HelperByName(name).Has(g.at) }

// objects makes what arguments are picked of: r6 the context, r7 a map's value, r8 packet data, r9 a socket; at fp-8 a
// number, at fp-72 a value that may be NULL, at fp-80 a socket's view, at fp-88 a task.
func (g *helperGen) objects() (give bool) {
	g.line("r6 = r1\n\tcall bpf_get_prandom_u32\n\t*(u64 *)(r10 - 8) = r0")
	for off := 16; off <= 64; off += 8 {
		g.line("*(u64 *)(r10 - %d) = 0", off)
	}
	g.line("r2 = r10\n\tr2 += -64\n\tr1 = map[hash] ll\n\tcall bpf_map_lookup_elem\n\t*(u64 *)(r10 - 72) = r0")
	g.line("r2 = r10\n\tr2 += -64\n\tr1 = map[hash] ll\n\tcall bpf_map_lookup_elem\n\tr7 = r0\n\tif r7 == 0 goto out")
	g.line("call bpf_get_current_task_btf\n\t*(u64 *)(r10 - 88) = r0\n\tr9 = 0\n\t*(u64 *)(r10 - 80) = r9")
	g.line("r8 = 0")
	if at, ok := helperPackets[g.at.Type]; ok && g.r.Intn(3) == 0 {
		g.line("r8 = *(u32 *)(r6 + %d)\n\tr1 = *(u32 *)(r6 + %d)\n\tr2 = r8\n\tr2 += 32\n\tif r2 > r1 goto out", at, at+4)
		if g.r.Intn(3) == 0 {
			g.line("r1 = *(u8 *)(r10 - 8)\n\tr1 &= 15\n\tr8 += r1")
		}
	}
	switch { // other typed objects: a linux_binprm, its file and inode, a seq_file
	case g.at.Expected == abi.AttachTraceRawTp:
		g.line("r9 = *(u64 *)(r6 + 16)\n\tr1 = *(u64 *)(r9 + %d)\n\t*(u64 *)(r10 - 80) = r1", g.file)
	case g.at.Expected == abi.AttachTraceIter:
		g.line("r1 = *(u64 *)(r6 + 0)\n\tr9 = *(u64 *)(r1 + 0)")
	}
	if !g.has("sk_lookup_tcp") || g.r.Intn(2) == 0 {
		return false
	}
	find := []string{"sk_lookup_tcp", "skc_lookup_tcp"}[g.r.Intn(2)]
	g.line("r1 = r6\n\tr2 = r10\n\tr2 += -64\n\tr3 = 12\n\tr4 = 0\n\tr5 = 0\n\tcall bpf_%s\n\tif r0 == 0 goto out\n\tr9 = r0", find)
	if view := []string{"tcp_sock", "sk_fullsock", "skc_to_tcp_sock"}[g.r.Intn(3)]; g.has(view) {
		g.line("r1 = r9\n\tcall bpf_%s\n\t*(u64 *)(r10 - 80) = r0", view)
	}
	return true
}

// call calls h with random arguments.
func (g *helperGen) call(h *abi.Helper) {
	all := []string{"number", "ctx", "memory", "null", "object"}
	for i, k := range h.For(g.at.Type, g.version).Args {
		fits := make([]string, 0, len(helperMaps))
		for n, def := range helperMaps {
			t, _ := abi.MapTypeByName(strings.Fields(def)[0][len("type="):])
			if abi.MapAllowsHelper(t, h.ID) || g.r.Intn(12) == 0 {
				fits = append(fits, n)
			}
		}
		slices.Sort(fits)
		switch {
		case k == abi.ArgConstMapPtr && len(fits) > 0 && g.r.Intn(20) > 0, g.r.Intn(60) == 0 && len(fits) > 0:
			g.useMap(i+1, fits)
			continue
		case g.r.Intn(12) == 0:
			v := helperValues[all[g.r.Intn(len(all))]]
			g.line(v[g.r.Intn(len(v))], i+1)
			continue
		}
		v := helperValues[helperPicks(k)]
		g.line(v[g.r.Intn(len(v))], i+1)
	}
	g.line("call %s", h.Name)
}

// after uses what the call gave, and gives back what is owned, mostly.
func (g *helperGen) after(h *abi.Helper, give bool) {
	acquired := h.AcquiresRef || h.ID == 1 && (slices.Contains(g.maps, "socks") || slices.Contains(g.maps, "sockh"))
	switch n := g.r.Intn(8); {
	case n == 0:
		g.line("r0 = *(u32 *)(r0 + 0)")
	case n == 1 && !acquired:
		g.line("if r0 == 0 goto done\n\tr0 = *(u32 *)(r0 + 0)")
	case n == 2:
		g.line("r1 = r7\n\tr1 += r0\n\tr0 = *(u8 *)(r1 + 0)")
	case n == 3 && !acquired:
		g.line("if r0 == 0 goto done\n\t*(u64 *)(r0 + 0) = 1")
	case acquired && h.ID == 131:
		g.line("if r0 == 0 goto done\n\tr1 = r0\n\tr2 = 0\n\tcall bpf_ringbuf_discard")
	case acquired && g.has("sk_release"):
		g.line("if r0 == 0 goto done\n\tr1 = r0\n\tcall bpf_sk_release")
	}
	g.b.WriteString("done:\n")
	if give && g.r.Intn(20) > 0 && h.ReleaseArg == 0 {
		if g.r.Intn(3) == 0 {
			g.line("r1 = *(u64 *)(r10 - 80)\n\tif r1 == 0 goto own\n\tcall bpf_sk_release\n\tgoto out\nown:")
		}
		g.line("r1 = r9\n\tcall bpf_sk_release")
	}
}

// text is a program that calls the helpers.
func (g *helperGen) text(section string, calls []*abi.Helper) string {
	give := g.objects()
	for _, h := range calls[1:] { // their results are used by what follows, where they last
		g.call(h)
		if g.r.Intn(2) == 0 && !h.AcquiresRef {
			g.line("*(u64 *)(r10 - %d) = r0", []int{8, 72, 80}[g.r.Intn(3)])
		}
	}
	g.call(calls[0])
	g.after(calls[0], give)
	g.b.WriteString("out:\n\tr0 = 0\n\texit\n")
	text := ".license GPL\n"
	for _, n := range g.maps {
		text += ".map " + n + " " + helperMaps[n] + "\n"
	}
	if strings.Contains(g.b.String(), ".rodata") {
		text += ".data .rodata size=64 frozen flags=0x80\n.string \"%d abc\"\n"
	}
	return text + ".section " + section + "\n.func prog\n" + g.b.String()
}

// pick is a helper that programs at a have and that this calls.
func (g *helperGen) pick() *abi.Helper {
	for {
		h := abi.HelperByID(int32(1 + g.r.Intn(211)))
		if h.Has(g.at) && h.ID != 12 && h.Lock == abi.NoLock && !slices.Contains(h.Args, abi.ArgFuncPtr) {
			return h
		}
	}
}

// helperImage makes a random program.
func helperImage(t *testing.T, seed int64, target *image.Target, file int) (img *image.Image, what, text string) {
	t.Helper()
	r := rand.New(rand.NewSource(seed))
	section := helperSections[r.Intn(len(helperSections))]
	at, ok := abi.ParseSection(section)
	if !ok {
		t.Fatal(section)
	}
	g := &helperGen{r: r, at: at, maps: []string{"hash"}, file: file, version: target.Version}
	calls := []*abi.Helper{g.pick()}
	for range max(0, r.Intn(4)-1) {
		calls = append(calls, g.pick())
	}
	text = g.text(section, calls)
	o, err := object.ParseAsm("random.s", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, m := range o.Maps {
		switch m.Type {
		case abi.MapSKStorage, abi.MapTaskStorage, abi.MapCgrpStorage:
			m.Key, m.Value = &btf.Int{Name: "int", Size: 4}, &btf.Int{Name: "long", Size: 8}
		}
	}
	img, err = image.Build(o, "prog", target)
	if errors.As(err, new(*image.Unsupported)) {
		return nil, "", "" // a map that came later
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return img, calls[0].Name + " in " + section, text
}

// fileOffset is where struct linux_binprm has its file.
func fileOffset(t *testing.T, target *image.Target) int {
	t.Helper()
	spec, err := target.BTF()
	if err != nil {
		t.Skip(err)
	}
	var s *btf.Struct
	if err := spec.TypeByName("linux_binprm", &s); err != nil {
		t.Fatal(err)
	}
	for _, m := range s.Members {
		if m.Name == "file" {
			return int(m.Offset / 8)
		}
	}
	t.Fatal("struct linux_binprm has no file")
	return 0
}

func TestRandomHelpersAgainstKernel(t *testing.T) {
	testkit.RequireBPF(t)
	target, err := image.Running()
	if err != nil {
		t.Fatal(err)
	}
	file := fileOffset(t, target)
	same, accepted, unsupported, stricter := 0, 0, 0, 0
	for i := range *helperCount {
		img, what, text := helperImage(t, *randomSeed+int64(i), target, file)
		if img == nil {
			unsupported++
			continue
		}
		_, ours := verify.Verify(context.Background(), img, verify.Options{})
		if errors.As(ours, new(*verify.Unsupported)) {
			unsupported++
			continue
		}
		k, theirs := testkit.LoadKernel(img)
		var rej *testkit.KernelRejection
		switch {
		case theirs == nil:
			k.Close()
		case !errors.As(theirs, &rej):
			t.Fatalf("seed %d: %v\n%s", i, theirs, text)
		}
		switch {
		case (ours == nil) == (theirs == nil):
			same++
			if ours == nil {
				accepted++
			}
			continue
		case ours == nil:
			t.Errorf("seed %d, %s: we accept, the kernel: %v", i, what, theirs)
		default:
			stricter++
			t.Logf("seed %d, %s: the kernel accepts, we: %v", i, what, ours)
		}
		if *helperShow {
			t.Log(text)
		}
	}
	t.Logf("%d the same, %d of them accepted; %d that only we reject, %d unsupported", same, accepted, stricter, unsupported)
}
