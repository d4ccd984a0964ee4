package probe

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/place"
	"github.com/gtrace-dev/gtrace/script/env"
)

// madeKernel is BTF as a kernel has it: an event with its own handler, one of a
// class, and one whose names nobody knows.
func madeKernel(t testing.TB) func() (*btf.Spec, error) {
	task := &btf.Struct{Name: "task_struct", Size: 8, Members: []btf.Member{{Name: "pid", Type: &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}}}}
	boolean := &btf.Int{Name: "_Bool", Size: 1, Encoding: btf.Bool}
	data := btf.FuncParam{Name: "__data", Type: &btf.Pointer{Target: (*btf.Void)(nil)}}
	proto := func(named bool, types ...btf.Type) *btf.FuncProto {
		fp := &btf.FuncProto{Return: (*btf.Void)(nil), Params: []btf.FuncParam{{Type: data.Type}}}
		if named {
			fp.Params[0] = data
		}
		for i, p := range types {
			x := btf.FuncParam{Type: p}
			if named {
				x.Name = []string{"preempt", "prev", "next"}[i]
			}
			fp.Params = append(fp.Params, x)
		}
		return fp
	}
	ptr := &btf.Pointer{Target: task}
	event := func(name string, ts ...btf.Type) btf.Type {
		return &btf.Typedef{Name: "btf_trace_" + name, Type: &btf.Pointer{Target: proto(false, ts...)}}
	}
	b, err := btf.NewBuilder([]btf.Type{
		event("sched_switch", boolean, ptr, ptr), event("sched_wakeup", boolean), event("nameless", ptr),
		&btf.Func{Name: "__bpf_trace_sched_switch", Type: proto(true, boolean, ptr, ptr), Linkage: btf.StaticFunc},
		&btf.Func{Name: "__traceiter_sched_wakeup", Type: proto(true, boolean), Linkage: btf.GlobalFunc},
		&btf.Func{Name: "__bpf_trace_nameless", Type: proto(true, boolean), Linkage: btf.StaticFunc}, // of another event
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := b.Spec()
	if err != nil {
		t.Fatal(err)
	}
	return func() (*btf.Spec, error) { return spec, nil }
}

func raw(event string) env.Pattern {
	return env.Pattern{Kind: place.RawTracepoint, Fields: []string{event}}
}

func describe(args []env.Arg) string {
	var out []string
	for _, a := range args {
		s := CType(a.Type, a.Name) + a.Loc.Unsupported
		for _, p := range a.Loc.Pieces {
			s += fmt.Sprintf(" @%s%d", map[env.PieceKind]string{env.InCtx: "", env.DataLoc: "loc"}[p.Kind], p.Off)
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func TestRawTracepoint(t *testing.T) {
	r := resolver(t, Options{KernelBTF: madeKernel(t)})
	if r.KernelBTF() != nil {
		t.Error("BTF was loaded too early")
	}
	for event, want := range map[string]string{
		"sched_switch": "_Bool preempt @0, struct task_struct *prev @8, struct task_struct *next @16",
		"sched_wakeup": "_Bool preempt @0",
		"nameless":     "struct task_struct *arg0 @0",
	} {
		ps, err := r.Match(raw(event))
		if err != nil || len(ps) != 1 {
			t.Fatalf("%v, %v", ps, err)
		}
		args, at, err := r.Args(ps[0])
		if err != nil || at != ps[0] || describe(args) != want {
			t.Errorf("%s: %s, %v", event, describe(args), err)
		}
	}
	if ps, err := r.Match(raw("sched_*")); err != nil || len(ps) != 2 || ps[0].Event != "sched_switch" {
		t.Errorf("%v, %v", ps, err)
	}
	var nf *env.NotFound
	if _, err := r.Match(raw("sched_swich")); !errors.As(err, &nf) || nf.Candidates[0] != "sched_switch" {
		t.Errorf("%v", err)
	}
	p := place.Place{Kind: place.RawTracepoint, Event: "nameless"}
	if typ, err := r.Type(p, "struct", "task_struct"); err != nil || typ.TypeName() != "task_struct" {
		t.Errorf("%v, %v", typ, err)
	}
	if _, err := r.Type(p, "union", "task_struct"); !errors.As(err, &nf) {
		t.Errorf("%v", err)
	}
	if r.Space(p) != "kernel" || r.KernelBTF() == nil {
		t.Error("not the kernel's space")
	}
}

const sample = `name: sample
ID: 1
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:char comm[16];	offset:8;	size:16;	signed:0;
	field:pid_t pid;	offset:24;	size:4;	signed:1;
	field:long state;	offset:32;	size:8;	signed:1;
	field:__data_loc char[] name;	offset:40;	size:4;	signed:0;
	field:int fd;	offset:48;	size:8;	signed:0;
	field:const char * path;	offset:56;	size:8;	signed:0;
	field:u8 mac[6];	offset:64;	size:6;	signed:0;
	field:weird_t odd;	offset:72;	size:8;	signed:1;
	field:__data_loc u64[] list;	offset:80;	size:4;	signed:0;
	field:char tag[NR];	offset:84;	size:12;	signed:0;
	field:bool on;	offset:96;	size:1;	signed:0;
	field:unsigned long long big;	offset:104;	size:8;	signed:0;

print fmt: "field:not one", REC->comm
`

func TestFormat(t *testing.T) {
	r := resolver(t, Options{KernelBTF: madeKernel(t)})
	r.formats["made/sample"] = []byte(sample)
	args, _, err := r.Args(place.Place{Kind: place.Tracepoint, Category: "made", Event: "sample"})
	want := "char comm[16] @8, pid_t pid @24, long state @32, char name[0] @loc40, int fd @48, char *path @56, u8 mac[6] @64, weird_t odd @72, u64 list[0] @loc80, char tag[12] @84, bool on @96, unsigned long long big @104"
	if err != nil || describe(args) != want {
		t.Errorf("%s\nwant %s\n%v", describe(args), want, err)
	}
	for name, size := range map[string]int{"fd": 4, "odd": 8, "pid": 4} {
		for _, a := range args {
			if i, ok := a.Type.(*btf.Int); ok && a.Name == name && (int(i.Size) != size || i.Encoding != btf.Signed) {
				t.Errorf("%s is %v", name, i)
			}
		}
	}
	if r.KernelBTF() != nil {
		t.Error("kernel BTF was read for plain fields")
	}
	for _, bad := range []string{"", "field:int", "field:int x; offset:a; size:4;", "field:x; offset:0; size:4;"} {
		if f, err := parseFormat(bad); err == nil {
			t.Errorf("%q is %+v", bad, f)
		}
	}
}

func FuzzFormat(f *testing.F) {
	f.Add(sample)
	f.Add("field:__data_loc char[] x[; offset:0; size:4;")
	r := New(Options{KernelBTF: func() (*btf.Spec, error) { return nil, errors.New("none") }})
	f.Fuzz(func(t *testing.T, s string) {
		fs, err := parseFormat(s)
		if err != nil {
			return
		}
		for _, x := range fs {
			r.fieldArg(x, true)
		}
	})
}

func TestRunningKernel(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		t.Skip("the kernel has no BTF")
	}
	r := resolver(t, Options{Signatures: true})
	l, err := r.List("rawtracepoint:sched_switch")
	if err != nil || len(l) != 1 || !strings.Contains(l[0].Signature, "struct task_struct *next") {
		t.Errorf("%+v, %v", l, err)
	}
	l, err = r.List("tracepoint:syscalls:sys_enter_openat")
	if err != nil {
		t.Skipf("tracefs: %v", err)
	}
	if len(l) != 1 || l[0].Signature != "(int __syscall_nr, int dfd, char *filename, int flags, umode_t mode)" {
		t.Errorf("%+v", l)
	}
	args, _, err := r.Args(l[0].Place)
	if err != nil {
		t.Fatal(err)
	}
	if tag, ok := args[2].Type.(*btf.Pointer).Target.(*btf.TypeTag); !ok || tag.Value != "user" {
		t.Errorf("filename is no user pointer: %v", args[2].Type)
	}
	var nf *env.NotFound
	if _, err := r.List("tracepoint:shed:sched_switch"); !errors.As(err, &nf) || nf.Candidates[0] != "sched:sched_switch" {
		t.Errorf("%v", err)
	}
	if l, err := r.List("sched_switch"); err != nil || len(l) != 2 {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestList(t *testing.T) {
	path := compile(t, "-O2", "-g")
	r := resolver(t, Options{Signatures: true, KernelBTF: madeKernel(t)})
	l, err := r.List("uprobe:" + path + ":handle*")
	if err != nil || len(l) != 2 || l[1].Signature != "long int (struct req *r)" {
		t.Errorf("%+v, %v", l, err)
	}
	if l, err := r.List("u:" + path); err != nil || len(l) < 4 {
		t.Errorf("%+v, %v", l, err)
	}
	for _, bad := range []string{"uprobe", "uprobe:*:main", "uporbe:/bin/sh:x"} {
		if l, err := r.List(bad); err == nil {
			t.Errorf("%s is %v", bad, l)
		}
	}
}

func TestFields(t *testing.T) {
	for pattern, want := range map[string][]string{
		"":                  {"*", "*"},
		"/bin/bash":         {"/bin/bash", "*"},
		"/bin/bash:":        {"/bin/bash", "*"},
		"/bin/bash:read*":   {"/bin/bash", "read*"},
		`"/a b,c:d":f`:      {"/a b,c:d", "f"},
		`"/a:b"`:            {"/a:b", "*"},
		`/usr/bin/x:ns::f`:  {"/usr/bin/x", "ns::f"},
		`"/not closed:read`: {`"/not closed`, "read"},
	} {
		if got := fields(pattern, 2); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", pattern, got, want)
		}
	}
}
