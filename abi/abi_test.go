package abi

import "testing"

func TestParseSection(t *testing.T) {
	for _, c := range []struct {
		in string
		ok bool
		a  Attach
	}{
		{"kprobe/do_sys_open", true, Attach{Type: Kprobe, Target: "do_sys_open"}},
		{"uprobe", true, Attach{Type: Kprobe}},
		{"uretprobe//bin/sh:readline", true, Attach{Type: Kprobe, Target: "/bin/sh:readline"}},
		{"uprobe.s/x:y", true, Attach{Type: Kprobe, Target: "x:y", Sleepable: true}},
		{"uprobe.multi.s", true, Attach{Type: Kprobe, Expected: 48, Sleepable: true}},
		{"tp/syscalls/sys_enter_open", true, Attach{Type: Tracepoint, Target: "syscalls/sys_enter_open"}},
		{"?raw_tp/sys_enter", true, Attach{Type: RawTracepoint, Target: "sys_enter"}},
		{"raw_tp.w/x", true, Attach{Type: RawTracepointWrit, Target: "x"}},
		{"tp_btf/sched_switch", true, Attach{Type: Tracing, Expected: AttachTraceRawTp, Target: "sched_switch"}},
		{"fexit.s/f", true, Attach{Type: Tracing, Expected: AttachFExit, Target: "f", Sleepable: true}},
		{"iter/task", true, Attach{Type: Tracing, Expected: AttachTraceIter, Target: "task"}},
		{"syscall", true, Attach{Type: Syscall, Sleepable: true}},
		{"tc", true, Attach{Type: SchedCLS}},
		{"tc/egress", true, Attach{Type: SchedCLS, Expected: 47}},
		{"xdp", true, Attach{Type: XDP, Expected: AttachXDP}},
		{"cgroup_skb/egress", true, Attach{Type: CGroupSKB, Expected: AttachEgress}},
		{"struct_ops.s/init", true, Attach{Type: StructOps, Target: "init", Sleepable: true}},
		{"kprobes/x", false, Attach{}},
		{"socket/x", false, Attach{}},
		{"tp_btf.s/x", false, Attach{}},
		{".text", false, Attach{}},
		{"", false, Attach{}},
	} {
		a, ok := ParseSection(c.in)
		if ok != c.ok || a != c.a {
			t.Errorf("ParseSection(%q) = %+v, %v; want %+v, %v", c.in, a, ok, c.a, c.ok)
		}
	}
}

func TestParseVersion(t *testing.T) {
	for in, want := range map[string]Version{
		"6.18": V(6, 18), "6.18.44-fc-v445": V(6, 18), "5.10.0+": V(5, 10), "6.1-rc2": V(6, 1),
	} {
		if v, err := ParseVersion(in); err != nil || v != want {
			t.Errorf("ParseVersion(%q) = %v, %v; want %v", in, v, err, want)
		}
	}
	for _, in := range []string{"", "6", "6.", "x.1", "6.x", "-1.2", "6.300"} {
		if v, err := ParseVersion(in); err == nil {
			t.Errorf("ParseVersion(%q) = %v, want an error", in, v)
		}
	}
	if got := V(6, 18).String(); got != "6.18" {
		t.Errorf("String = %q", got)
	}
}

// The tables hold together: every number has a row, arguments come in pairs.
func TestTables(t *testing.T) {
	for id := int32(1); id <= 211; id++ {
		h := HelperByID(id)
		if h == nil || h.ID != id || HelperByName(h.Name) != h || h.Since == 0 {
			t.Fatalf("helper %d: row %+v", id, h)
		}
		fixed, typed := 0, false
		for i, a := range h.Args {
			switch a {
			case ArgFixedMem, ArgFixedWritableMem:
				fixed++
			case ArgBTF, ArgBTFOrNull:
				typed = true
			}
			next := ArgNone
			if i+1 < len(h.Args) {
				next = h.Args[i+1]
			}
			sized := a == ArgMem || a == ArgMemOrNull || a == ArgUninitMem || a == ArgUninitMemOrNull || a == ArgWritableMem
			if sized != (next == ArgConstSize || next == ArgConstSizeOrZero) {
				t.Errorf("%s: argument %d and its size don't pair", h.Name, i+1)
			}
		}
		returns := h.Ret == RetBTF || h.Ret == RetBTFOrNull || h.Ret == RetBTFTrusted
		if fixed != len(h.Sizes) || typed != (h.Type != "") || returns != (h.RetType != "") {
			t.Errorf("%s: sizes %v, types %q and %q don't fit its arguments and result", h.Name, h.Sizes, h.Type, h.RetType)
		}
	}
	if HelperByID(0) != nil || HelperByID(212) != nil || HelperByID(-1) != nil || HelperByName("") != nil || HelperByName("bpf_nope") != nil {
		t.Error("found a helper that does not exist")
	}
	for n := ProgType(1); n <= Netfilter; n++ {
		p := ProgramByType(n)
		if p == nil || p.Type != n || p.Name == "" {
			t.Errorf("program type %d: row %+v", n, p)
		}
		if p.Context.Name == "" {
			continue
		}
		for i, f := range p.Context.Fields {
			if f.Off < 0 || f.Off%min(f.Size, 4) != 0 && !f.Any || f.Off+f.Size > p.Context.Size {
				t.Errorf("%s: field %s at %d is misaligned or out of bounds", p.Context.Name, f.Name, f.Off)
			}
			for _, g := range p.Context.Fields[:i] { // the smaller one is found first
				if f.Off < g.Off+g.Size && g.Off < f.Off+f.Size && f.Size <= g.Size {
					t.Errorf("%s: field %s of %d bytes at %d lies behind one that holds it", p.Context.Name, f.Name, f.Size, f.Off)
				}
			}
		}
	}
	if ProgramByType(33) != nil || ProgramByType(0) != nil {
		t.Error("found a program type that does not exist")
	}
	if p := ProgramFor(Attach{Type: CGroupSKB, Expected: AttachEgress}); p.RetMax != 3 {
		t.Errorf("egress returns up to %d, want 3", p.RetMax)
	}
}

func TestMapAllowsHelper(t *testing.T) {
	id := func(n string) int32 { return HelperByName(n).ID }
	for _, c := range []struct {
		m    MapType
		h    string
		want bool
	}{
		{MapHash, "map_lookup_elem", true}, {MapRingBuf, "map_lookup_elem", false},
		{MapRingBuf, "ringbuf_output", true}, {MapArray, "ringbuf_output", false},
		{MapProgArray, "tail_call", true}, {MapProgArray, "map_lookup_elem", false},
		{MapQueue, "map_push_elem", true}, {MapBloom, "map_pop_elem", false},
		{MapArrayOfMaps, "map_update_elem", false}, {MapLPMTrie, "for_each_map_elem", false},
	} {
		if got := MapAllowsHelper(c.m, id(c.h)); got != c.want {
			t.Errorf("MapAllowsHelper(%v, %s) = %v", c.m, c.h, got)
		}
	}
}
