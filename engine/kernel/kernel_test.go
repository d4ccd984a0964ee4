package kernel

import (
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/engine"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/place"
	"golang.org/x/sys/unix"
)

func permitted(t testing.TB) {
	t.Helper()
	if err := Permitted(); err != nil {
		t.Skip("skipped: ", err)
	}
}

// images builds the programs of an object in assembly, by name.
func images(t *testing.T, text string) map[string]*image.Image {
	t.Helper()
	o, err := object.ParseAsm(t.Name(), text)
	if err != nil {
		t.Fatal(err)
	}
	target, err := image.Running()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*image.Image{}
	for _, p := range o.Programs {
		if out[p.Name], err = image.Build(o, p.Name, target); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// child starts a command that waits for a session.
func child(t testing.TB, argv ...string) *engine.Command {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	c, err := engine.Start(argv, engine.StartOptions{Stdin: null, Stdout: null})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// open attaches, and closes at the test's end.
func open(t testing.TB, bs []bind, target engine.Target, opts Options) *session {
	t.Helper()
	s, err := attach(context.Background(), bs, target, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error("Close:", err)
		}
	})
	return s
}

// collect reads records of u64 words to the end of the session.
func collect(t *testing.T, s engine.Session) [][]uint64 {
	t.Helper()
	timer := time.AfterFunc(10*time.Second, func() {
		t.Error("the session did not end by itself in 10 s")
		s.Stop()
	})
	defer timer.Stop()
	var out [][]uint64
	for rec, err := range s.Events() {
		if err != nil {
			t.Fatal(err)
		}
		var words []uint64
		for ; len(rec) >= 8; rec = rec[8:] {
			words = append(words, binary.NativeEndian.Uint64(rec))
		}
		out = append(out, words)
	}
	return out
}

// total is the sum over CPUs of the u64 at key 0.
func total(t testing.TB, s engine.Session, name string) uint64 {
	t.Helper()
	m, err := s.Map(name)
	if err != nil {
		t.Fatal(err)
	}
	values, err := m.Lookup(make([]byte, 4))
	if err != nil {
		t.Fatal(err)
	}
	var n uint64
	for _, v := range values {
		n += binary.NativeEndian.Uint64(v)
	}
	return n
}

const childSource = `
#include <stdlib.h>
__attribute__((noinline, noclone)) long work(long a, long b) { __asm__ volatile("" ::: "memory"); return a * b; }
int main(int argc, char **argv) {
	long sum = 0;
	for (long i = 1; i <= atol(argv[1]); i++) sum += work(i, atol(argv[2]));
	return sum == 0;
}
`

// binaryOf compiles the child and returns its path and the file offset of work.
func binaryOf(t testing.TB) (string, uint64) {
	t.Helper()
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("skipped: no gcc")
	}
	dir := t.TempDir()
	src, bin := filepath.Join(dir, "child.c"), filepath.Join(dir, "child")
	if err := os.WriteFile(src, []byte(childSource), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(gcc, "-O1", "-fcf-protection=none", "-o", bin, src).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	f, err := elf.Open(bin)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	syms, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range syms {
		if s.Name != "work" {
			continue
		}
		sec := f.Sections[s.Section]
		return bin, s.Value - sec.Addr + sec.Offset
	}
	t.Fatal("no symbol work")
	return "", 0
}

// Each program sends its tag, a value, and the thread group that it ran in.
const uprobeAsm = `
.license GPL
.map gtrace_events type=ringbuf entries=65536
.map hits type=percpu_array key=4 value=8 entries=1
.map args type=hash key=8 value=8 entries=64
.data .rodata size=8 frozen flags=0x80
.bytes 2a 00 00 00 00 00 00 00

.section raw_tp
.func begin
	r1 = mapvalue[.rodata]+0 ll
	r2 = *(u64 *)(r1 + 0)
	r1 = 1
	call send
	r0 = 0
	exit
.func end
	r1 = 4
	r2 = 43
	call send
	r0 = 0
	exit
.section uprobe
.func entry
	r6 = *(u64 *)(r1 + 112)
	r7 = *(u64 *)(r1 + 104)
	*(u32 *)(r10 - 4) = 0
	r1 = map[hits] ll
	r2 = r10
	r2 += -4
	call bpf_map_lookup_elem
	if r0 == 0 goto next
	r1 = 1
	lock *(u64 *)(r0 + 0) += r1
next:
	*(u64 *)(r10 - 16) = r6
	*(u64 *)(r10 - 24) = r7
	r1 = map[args] ll
	r2 = r10
	r2 += -16
	r3 = r10
	r3 += -24
	r4 = 0
	call bpf_map_update_elem
	r1 = 2
	r2 = r6
	call send
	r0 = 0
	exit
.section uretprobe
.func ret
	r2 = *(u64 *)(r1 + 80)
	r1 = 3
	call send
	r0 = 0
	exit
.section .text
.func send
	*(u64 *)(r10 - 24) = r1
	*(u64 *)(r10 - 16) = r2
	call bpf_get_current_pid_tgid
	r0 >>= 32
	*(u64 *)(r10 - 8) = r0
	r1 = map[gtrace_events] ll
	r2 = r10
	r2 += -24
	r3 = 24
	r4 = 0
	call bpf_ringbuf_output
	r0 = 0
	exit
`

// A uprobe and a uretprobe fire in the command and not in another process of
// the same binary; BEGIN comes first, END last; the session ends with the command.
func TestUprobe(t *testing.T) {
	permitted(t)
	t.Run("best", func(t *testing.T) { testUprobe(t, Options{}) })
	t.Run("perf", func(t *testing.T) { testUprobe(t, Options{PerfUprobes: true}) })
}

func testUprobe(t *testing.T, opts Options) {
	bin, off := binaryOf(t)
	imgs := images(t, uprobeAsm)
	at := func(k place.Kind) place.Place { return place.Place{Kind: k, Path: bin, Symbol: "work", Offset: off} }
	cmd, other := child(t, bin, "5", "7"), child(t, bin, "3", "1000")
	s := open(t, []bind{
		{imgs["begin"], place.Place{Kind: place.Begin}}, {imgs["entry"], at(place.Uprobe)},
		{imgs["ret"], at(place.Uretprobe)}, {imgs["end"], place.Place{Kind: place.End}},
	}, engine.Target{Command: cmd}, opts)
	if err := other.Release(); err != nil {
		t.Fatal(err)
	}
	self, pid := uint64(os.Getpid()), uint64(cmd.PID())
	want := [][]uint64{{1, 42, self}}
	for i := uint64(1); i <= 5; i++ {
		want = append(want, []uint64{2, i, pid}, []uint64{3, i * 7, pid})
	}
	want = append(want, []uint64{4, 43, self})
	if got := collect(t, s); !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("records:\n%v\nwant:\n%v", got, want)
	}
	if ws, err := cmd.Wait(); err != nil || ws.ExitStatus() != 0 {
		t.Errorf("the command: status %v, %v", ws, err)
	}
	if ws, err := other.Wait(); err != nil || ws.ExitStatus() != 0 {
		t.Errorf("the other: status %v, %v", ws, err)
	}
	if n := total(t, s, "hits"); n != 5 {
		t.Errorf("hits %d, want 5", n)
	}
	var ways []string
	for _, site := range s.Stats() {
		ways = append(ways, site.Way)
	}
	want2 := []string{"test run", "perf uprobe", "perf uretprobe", "test run"}
	if s.multi {
		want2 = []string{"test run", "uprobe_multi", "uretprobe_multi", "test run"}
	}
	if s.multi && opts.PerfUprobes || !slices.Equal(ways, want2) {
		t.Errorf("ways %v, want %v", ways, want2)
	}
	testMap(t, s)
}

// testMap walks and changes the map that the uprobe filled.
func testMap(t *testing.T, s engine.Session) {
	t.Helper()
	m, err := s.Map("args")
	if err != nil {
		t.Fatal(err)
	}
	sum := uint64(0)
	each := func(key []byte, values [][]byte) error {
		if len(values) != 1 || binary.NativeEndian.Uint64(values[0]) != 7 {
			t.Errorf("key %v: values %v", key, values)
		}
		sum += binary.NativeEndian.Uint64(key)
		return nil
	}
	if err := m.Each(each); err != nil || sum != 15 {
		t.Errorf("keys add up to %d, want 15: %v", sum, err)
	}
	two := binary.NativeEndian.AppendUint64(nil, 2)
	if err := m.Delete(two); err != nil {
		t.Error(err)
	}
	if v, err := m.Lookup(two); v != nil || err != nil {
		t.Errorf("deleted key: %v, %v", v, err)
	}
	if err := errors.Join(m.Delete(two), m.Clear()); err != nil {
		t.Error(err)
	}
	if err := m.Each(func([]byte, [][]byte) error { return errors.New("not empty") }); err != nil {
		t.Error(err)
	}
	stop := errors.New("stop")
	hits, _ := s.Map("hits")
	if err := hits.Each(func([]byte, [][]byte) error { return stop }); err != stop {
		t.Errorf("Each returns %v, want the callback's error", err)
	}
	if err := hits.Clear(); err != nil || total(t, s, "hits") != 0 {
		t.Errorf("Clear of an array: %v", err)
	}
	if _, err := m.Lookup([]byte{1}); err == nil {
		t.Error("a key of the wrong size was looked up")
	}
	for _, name := range []string{"nope", "gtrace_events"} {
		if _, err := s.Map(name); err == nil {
			t.Errorf("Map(%q) gave something", name)
		}
	}
}

// A process that runs already, and every process.
func TestUprobePID(t *testing.T) {
	permitted(t)
	bin, off := binaryOf(t)
	for i := range 4 {
		all, opts := i&1 != 0, Options{PerfUprobes: i&2 != 0}
		imgs := images(t, uprobeAsm)
		cmd := child(t, bin, "4", "2")
		target := engine.Target{PID: cmd.PID()}
		if all {
			target.PID = 0
		}
		s := open(t, []bind{{imgs["entry"], place.Place{Kind: place.Uprobe, Path: bin, Offset: off}}}, target, opts)
		if err := cmd.Release(); err != nil {
			t.Fatal(err)
		}
		if all {
			if _, err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			s.Stop()
		}
		if got := collect(t, s); len(got) != 4 || got[3][1] != 4 || got[0][2] != uint64(cmd.PID()) {
			t.Errorf("every process %v: records %v", all, got)
		}
	}
}

// ownPID is a program that sends tag when it runs in process pid.
func ownPID(section string, tag, pid int) string {
	return fmt.Sprintf(`
.license GPL
.map gtrace_events type=ringbuf entries=4096
.section %s
.func prog
	call bpf_get_current_pid_tgid
	r0 >>= 32
	if r0 != %d goto out
	*(u64 *)(r10 - 8) = %d
	r1 = map[gtrace_events] ll
	r2 = r10
	r2 += -8
	r3 = 8
	r4 = 0
	call bpf_ringbuf_output
out:
	r0 = 0
	exit
`, section, pid, tag)
}

// Tracepoints of both kinds fire for the exec that a child makes.
func TestTracepoints(t *testing.T) {
	permitted(t)
	for section, at := range map[string]place.Place{
		"tp_btf/sched_process_exec":   {Kind: place.RawTracepoint, Event: "sched_process_exec"},
		"tp/sched/sched_process_exec": {Kind: place.Tracepoint, Category: "sched", Event: "sched_process_exec"},
	} {
		cmd := child(t, "/bin/sh", "-c", "exec /bin/true")
		s := open(t, []bind{{images(t, ownPID(section, 9, cmd.PID()))["prog"], at}}, engine.Target{Command: cmd}, Options{})
		if got := collect(t, s); len(got) != 1 || got[0][0] != 9 {
			t.Errorf("%s: records %v, want one", at, got)
		}
	}
}

func TestInterval(t *testing.T) {
	permitted(t)
	self := os.Getpid()
	s := open(t, []bind{
		{images(t, ownPID("raw_tp", 1, self))["prog"], place.Place{Kind: place.Interval, PeriodNS: 5e6}},
		{images(t, ownPID("raw_tp", 2, self))["prog"], place.Place{Kind: place.End}},
	}, engine.Target{}, Options{})
	go func() {
		time.Sleep(100 * time.Millisecond)
		s.Stop()
		s.Stop()
	}()
	got := collect(t, s)
	if n := len(got); n < 3 || n > 22 || got[n-1][0] != 2 || got[n-2][0] != 1 {
		t.Errorf("records %v, want up to 20 of the interval, then one of END", got)
	}
}

func TestRejected(t *testing.T) {
	permitted(t)
	img := images(t, ".license GPL\n.section raw_tp\n.func prog\n\tr0 = r5\n\texit\n")["prog"]
	i32 := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	img.Subprogs[0].BTF = &btf.Func{Name: "prog", Linkage: btf.GlobalFunc, Type: &btf.FuncProto{Return: i32, Params: []btf.FuncParam{{Name: "ctx", Type: &btf.Pointer{Target: &btf.Void{}}}}}}
	img.Lines = []object.Line{{Insn: 0, File: "x.gt", Line: 3, Col: 1, Text: "BEGIN { the script's own words }"}}
	_, err := attach(context.Background(), []bind{{img, place.Place{Kind: place.Begin}}}, engine.Target{}, Options{})
	var r *RejectedError
	if !errors.As(err, &r) || !errors.Is(err, unix.EACCES) {
		t.Fatalf("error %v, want a RejectedError", err)
	}
	for _, w := range []string{"R5 !read_ok", "the script's own words", "a bug of gtrace"} {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is not in the error: %v", w, err)
		}
	}
}

func TestAttachErrors(t *testing.T) {
	permitted(t)
	bin, off := binaryOf(t)
	imgs := images(t, uprobeAsm)
	gone := exec.Command(bin, "1", "1")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	zombie := exec.Command(bin, "1", "1")
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	defer zombie.Wait()
	waitZombie(t, zombie.Process.Pid)
	uprobe := place.Place{Kind: place.Uprobe, Path: bin, Offset: off}
	for _, c := range []struct {
		name string
		b    bind
		t    engine.Target
		want string
	}{
		{"gone", bind{imgs["entry"], uprobe}, engine.Target{PID: gone.Process.Pid}, fmt.Sprintf("no process %d", gone.Process.Pid)},
		{"zombie", bind{imgs["entry"], uprobe}, engine.Target{PID: zombie.Process.Pid}, "has ended already"},
		{"type", bind{imgs["begin"], uprobe}, engine.Target{}, "a program of type raw_tracepoint; this kind of probe runs kprobe"},
		{"no file", bind{imgs["entry"], place.Place{Kind: place.Uprobe, Path: "/nonexistent", Offset: 1}}, engine.Target{}, "no such file"},
		{"no code", bind{imgs["entry"], place.Place{Kind: place.Uprobe, Path: bin, Offset: 1 << 40}}, engine.Target{}, "cannot put a uprobe on offset 0x10000000000"},
		{"no tracepoint", bind{images(t, ownPID("tp/x/y", 1, 1))["prog"], place.Place{Kind: place.Tracepoint, Category: "sched", Event: "nope"}}, engine.Target{}, "tracepoint sched:nope: the kernel has none"},
	} {
		for _, perf := range []bool{false, true} {
			s, err := attach(context.Background(), []bind{c.b}, c.t, Options{PerfUprobes: perf})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s (perf %v): error %v, want %q", c.name, perf, err, c.want)
			}
			if err == nil {
				s.Close()
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := attach(ctx, []bind{{imgs["entry"], uprobe}}, engine.Target{}, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// waitZombie waits until a child has ended, without reaping it.
func waitZombie(t *testing.T, pid int) {
	t.Helper()
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, pid, &info, syscall.WEXITED|syscall.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
}

// A session leaves nothing open behind it.
func TestDescriptors(t *testing.T) {
	permitted(t)
	bin, off := binaryOf(t)
	imgs := images(t, uprobeAsm)
	count := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(d)
	}
	cmd := child(t, bin, "1", "1")
	before := 0
	for i := range 4 {
		s := open(t, []bind{{imgs["begin"], place.Place{Kind: place.Begin}}, {imgs["entry"], place.Place{Kind: place.Uprobe, Path: bin, Offset: off}}}, engine.Target{PID: cmd.PID()}, Options{PerfUprobes: i&1 != 0})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			before = count() // the runtime has opened what it keeps
		}
	}
	if n := count(); n != before {
		t.Errorf("%d descriptors are open, %d were", n, before)
	}
}
