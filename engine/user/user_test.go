package user

import (
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gtrace-dev/gtrace/engine"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/place"
	"github.com/gtrace-dev/gtrace/verify"
	"github.com/gtrace-dev/gtrace/vm"
)

// Programs that write a record of three words, {mark, a, b}, and count.
const programs = `
.license GPL
.map gtrace_events type=ringbuf entries=65536
.map hits type=percpu_array key=4 value=8 entries=1
.map ids type=hash key=8 value=24 entries=8
.section raw_tp
.func begin
	r6 = 1
	r7 = 0
	r8 = 0
	goto send
send:
	r1 = map[gtrace_events] ll
	r2 = 24
	r3 = 0
	call bpf_ringbuf_reserve
	if r0 == 0 goto out
	*(u64 *)(r0 + 0) = r6
	*(u64 *)(r0 + 8) = r7
	*(u64 *)(r0 + 16) = r8
	r1 = r0
	r2 = 0
	call bpf_ringbuf_submit
out:
	r0 = 0
	exit
.func end
	r1 = map[gtrace_events] ll
	r2 = 24
	r3 = 0
	call bpf_ringbuf_reserve
	if r0 == 0 goto out
	r1 = 2
	*(u64 *)(r0 + 0) = r1
	*(u64 *)(r0 + 8) = r1
	*(u64 *)(r0 + 16) = r1
	r1 = r0
	r2 = 0
	call bpf_ringbuf_submit
out:
	r0 = 0
	exit
.func tick
	r1 = map[gtrace_events] ll
	r2 = 24
	r3 = 0
	call bpf_ringbuf_reserve
	if r0 == 0 goto out
	r1 = 3
	*(u64 *)(r0 + 0) = r1
	*(u64 *)(r0 + 8) = r1
	*(u64 *)(r0 + 16) = r1
	r1 = r0
	r2 = 0
	call bpf_ringbuf_submit
out:
	r0 = 0
	exit
.section uprobe
.func entry
	r6 = *(u64 *)(r1 + 112)
	r7 = *(u64 *)(r1 + 128)
	*(u32 *)(r10 - 4) = 0
	r1 = map[hits] ll
	r2 = r10
	r2 += -4
	call bpf_map_lookup_elem
	if r0 == 0 goto out
	r1 = 1
	lock *(u64 *)(r0 + 0) += r1
	r1 = map[gtrace_events] ll
	r2 = 24
	r3 = 0
	call bpf_ringbuf_reserve
	if r0 == 0 goto out
	r1 = 4
	*(u64 *)(r0 + 0) = r1
	*(u64 *)(r0 + 8) = r6
	*(u64 *)(r0 + 16) = r7
	r1 = r0
	r2 = 0
	call bpf_ringbuf_submit
out:
	r0 = 0
	exit
.func ret
	r6 = *(u64 *)(r1 + 80)
	r1 = map[gtrace_events] ll
	r2 = 24
	r3 = 0
	call bpf_ringbuf_reserve
	if r0 == 0 goto out
	r1 = 5
	*(u64 *)(r0 + 0) = r1
	r6 <<= 32
	r6 >>= 32
	*(u64 *)(r0 + 8) = r6
	*(u64 *)(r0 + 16) = r1
	r1 = r0
	r2 = 0
	call bpf_ringbuf_submit
out:
	r0 = 0
	exit
.func who
	r6 = *(u64 *)(r1 + 112)
	call bpf_get_current_pid_tgid
	*(u64 *)(r10 - 8) = r0
	call bpf_get_current_uid_gid
	*(u64 *)(r10 - 32) = r0
	r1 = r10
	r1 += -24
	r2 = 16
	call bpf_get_current_comm
	r1 = r10
	r1 += -16
	r2 = 8
	r3 = r6
	call bpf_probe_read_user
	*(u64 *)(r10 - 40) = r0
	r1 = map[ids] ll
	r2 = r10
	r2 += -8
	r3 = r10
	r3 += -32
	r4 = 0
	call bpf_map_update_elem
	r0 = 0
	exit
.func count
	*(u32 *)(r10 - 4) = 0
	r1 = map[hits] ll
	r2 = r10
	r2 += -4
	call bpf_map_lookup_elem
	if r0 == 0 goto out
	r1 = 1
	lock *(u64 *)(r0 + 0) += r1
out:
	r0 = 0
	exit
`

const targetC = `
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static char name[16] = "gtrace";
__attribute__((noinline)) int work(int x) { __asm__ volatile(""); return x * 3 + 1; }
__attribute__((noinline)) int take(char *s) { __asm__ volatile("" ::: "memory"); return s[0]; }
int main(int argc, char **argv) {
	char line[64]; puts("ready"); fflush(stdout);
	while (fgets(line, sizeof line, stdin)) { long r = 0; int n = atoi(line); for (int i = 0; i < n; i++) r += work(i); r += take(name); printf("%ld\n", r); fflush(stdout); }
	return 11;
}`

func verified(t testing.TB, name string) *verify.Verified {
	t.Helper()
	o, err := object.ParseAsm("test", programs)
	if err != nil {
		t.Fatal(err)
	}
	target, err := image.Running()
	if err != nil {
		t.Fatal(err)
	}
	target.Engine = image.EngineUser
	img, err := image.Build(o, name, target)
	if err != nil {
		t.Fatal(err)
	}
	v, err := verify.Verify(context.Background(), img, verify.Options{})
	if err != nil {
		var u *verify.Unsupported
		if errors.As(err, &u) {
			t.Skipf("%s: %v", name, err)
		}
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

func bind(t testing.TB, name string, p place.Place) engine.Bound {
	return engine.Bound{Program: verified(t, name), Place: p}
}

func target(t testing.TB) string {
	t.Helper()
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("gcc is not installed")
	}
	dir := t.TempDir()
	src, out := filepath.Join(dir, "target.c"), filepath.Join(dir, "target")
	if err := os.WriteFile(src, []byte(targetC), 0o644); err != nil {
		t.Fatal(err)
	}
	if msg, err := exec.Command(gcc, "-g", "-O1", "-o", out, src).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, msg)
	}
	return out
}

func at(t testing.TB, kind place.Kind, path, symbol string) place.Place {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	syms, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range syms {
		if s.Name == symbol {
			return place.Place{Kind: kind, Path: path, Symbol: symbol, Addr: s.Value, Size: s.Size}
		}
	}
	t.Fatalf("no symbol %s", symbol)
	return place.Place{}
}

// command starts a target stopped; the returned function says a line to it and
// gives its answer.
func command(t testing.TB, argv ...string) (*engine.Command, io.WriteCloser, io.Reader) {
	t.Helper()
	inR, inW, _ := os.Pipe()
	outR, outW, _ := os.Pipe()
	cmd, err := engine.Start(argv, engine.StartOptions{Stdin: inR, Stdout: outW})
	inR.Close()
	outW.Close()
	if err != nil {
		skipWithoutPtrace(t, err)
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Kill(); cmd.Close(); inW.Close(); outR.Close() })
	return cmd, inW, outR
}

func skipWithoutPtrace(t testing.TB, err error) {
	t.Helper()
	if strings.Contains(err.Error(), "operation not permitted") {
		t.Skipf("ptrace is not permitted here: %v", err)
	}
}

func open(t testing.TB, bound []engine.Bound, tg engine.Target) engine.Session {
	t.Helper()
	s, err := New(Options{VM: vm.Options{Check: true}}).Attach(context.Background(), bound, tg)
	if err != nil {
		skipWithoutPtrace(t, err)
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

type record struct{ mark, a, b uint64 }

// gather reads events until the session ends.
func gather(t testing.TB, s engine.Session) (all []record) {
	t.Helper()
	for rec, err := range s.Events() {
		if err != nil {
			t.Fatal(err)
		}
		w := func(i int) uint64 { return binary.NativeEndian.Uint64(rec[8*i:]) }
		all = append(all, record{w(0), w(1), w(2)})
	}
	return all
}

func sum(t testing.TB, s engine.Session, name string) (n uint64) {
	t.Helper()
	m, err := s.Map(name)
	if err != nil {
		t.Fatal(err)
	}
	values, err := m.Lookup(make([]byte, 4))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		n += binary.NativeEndian.Uint64(v)
	}
	return n
}

func TestCommandSession(t *testing.T) {
	bin := target(t)
	cmd, in, out := command(t, bin)
	s := open(t, []engine.Bound{
		bind(t, "begin", place.Place{Kind: place.Begin}),
		bind(t, "entry", at(t, place.Uprobe, bin, "work")),
		bind(t, "ret", at(t, place.Uretprobe, bin, "work")),
		bind(t, "end", place.Place{Kind: place.End}),
	}, engine.Target{PID: cmd.PID(), Command: cmd})
	io.WriteString(in, "5\n")
	in.Close()
	output, _ := io.ReadAll(out)
	got := gather(t, s)
	want := []record{{1, 0, 0}}
	for i := range uint64(5) {
		want = append(want, record{4, i, 0}, record{5, 3*i + 1, 5})
	}
	want = append(want, record{2, 2, 2})
	for i := range got {
		if got[i].mark == 4 {
			got[i].b = 0 // the address differs from run to run
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("records %v\nwant    %v", got, want)
	}
	if string(output) != fmt.Sprintf("ready\n%d\n", 35+'g') {
		t.Errorf("output %q", output)
	}
	ws, err := cmd.Wait()
	if err != nil || ws.ExitStatus() != 11 {
		t.Errorf("%s, %v", engine.StatusString(ws), err)
	}
	if n := sum(t, s, "hits"); n != 5 {
		t.Errorf("hits %d", n)
	}
	for i, want := range []string{"in gtrace", "int3", "int3", "in gtrace"} {
		if got := s.Stats()[i].Way; got != want {
			t.Errorf("Stats %d: %q, want %q", i, got, want)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	m, err := s.Map("hits")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Lookup(make([]byte, 4)); !errors.Is(err, errClosed) {
		t.Errorf("Lookup after Close: %v", err)
	}
}

func TestTaskHelpers(t *testing.T) {
	bin := target(t)
	cmd, in, out := command(t, bin)
	s := open(t, []engine.Bound{bind(t, "who", at(t, place.Uprobe, bin, "take"))}, engine.Target{PID: cmd.PID(), Command: cmd})
	io.WriteString(in, "1\n")
	in.Close()
	io.ReadAll(out)
	gather(t, s)
	m, _ := s.Map("ids")
	n := 0
	err := m.Each(func(key []byte, values [][]byte) error {
		n++
		if id := binary.NativeEndian.Uint64(key); id != uint64(cmd.PID())<<32|uint64(cmd.PID()) {
			t.Errorf("pid_tgid %#x, want process %d", id, cmd.PID())
		}
		v := values[0]
		if ids := binary.NativeEndian.Uint64(v); ids != uint64(os.Getgid())<<32|uint64(os.Getuid()) {
			t.Errorf("uid_gid %#x", ids)
		}
		if comm := string(v[8:16]); comm != "target\x00\x00" {
			t.Errorf("comm %q", comm)
		}
		if mem := string(v[16:24]); mem != "gtrace\x00\x00" {
			t.Errorf("memory %q", mem)
		}
		return nil
	})
	if err != nil || n != 1 {
		t.Errorf("%d keys, %v", n, err)
	}
}

func TestStopWhileRunning(t *testing.T) {
	bin := target(t)
	cmd, in, out := command(t, bin)
	s := open(t, []engine.Bound{
		bind(t, "entry", at(t, place.Uprobe, bin, "work")),
		bind(t, "end", place.Place{Kind: place.End}),
	}, engine.Target{PID: cmd.PID(), Command: cmd})
	io.WriteString(in, "30000\n")
	in.Close()
	n, last := uint64(0), uint64(0)
	for rec, err := range s.Events() {
		if err != nil {
			t.Fatal(err)
		}
		last = binary.NativeEndian.Uint64(rec)
		if n++; n == 100 {
			s.Stop() // as the script's exit() does, from within the loop
		}
	}
	if last != 2 {
		t.Errorf("the last record has mark %d, want END's", last)
	}
	if hits := sum(t, s, "hits"); hits < 100 || hits == 30000 {
		t.Errorf("%d hits", hits)
	}
	output, _ := io.ReadAll(out)
	if want := fmt.Sprintf("ready\n%d\n", 3*30000*29999/2+30000+'g'); string(output) != want {
		t.Errorf("output %q, want %q", output, want)
	}
	if ws, err := cmd.Wait(); err != nil || ws.ExitStatus() != 11 {
		t.Errorf("%s, %v", engine.StatusString(ws), err)
	}
}

func TestWithoutTarget(t *testing.T) {
	s := open(t, []engine.Bound{
		bind(t, "begin", place.Place{Kind: place.Begin}),
		bind(t, "tick", place.Place{Kind: place.Interval, PeriodNS: 5e6}),
		bind(t, "end", place.Place{Kind: place.End}),
	}, engine.Target{})
	time.AfterFunc(60*time.Millisecond, s.Stop)
	got := gather(t, s)
	if len(got) < 5 || got[0].mark != 1 || got[len(got)-1].mark != 2 {
		t.Fatalf("records %v", got)
	}
	for _, r := range got[1 : len(got)-1] {
		if r.mark != 3 {
			t.Errorf("record %v, want the interval's", r)
		}
	}
}

func TestTargetWithoutProbes(t *testing.T) {
	cmd, in, _ := command(t, target(t))
	s := open(t, []engine.Bound{bind(t, "begin", place.Place{Kind: place.Begin}), bind(t, "end", place.Place{Kind: place.End})}, engine.Target{PID: cmd.PID(), Command: cmd})
	time.AfterFunc(20*time.Millisecond, func() { in.Close() })
	if got := gather(t, s); len(got) != 2 || got[1].mark != 2 {
		t.Errorf("records %v", got)
	}
	if ws, err := cmd.Wait(); err != nil || ws.ExitStatus() != 11 {
		t.Errorf("%s, %v", engine.StatusString(ws), err)
	}
}

func TestAttachErrors(t *testing.T) {
	bin := target(t)
	work := at(t, place.Uprobe, bin, "work")
	for _, tt := range []struct {
		place place.Place
		want  string
	}{
		{work, "traces one process and got none"},
		{place.Place{Kind: place.Tracepoint, Category: "sched", Event: "sched_switch"}, "use the kernel engine"},
		{place.Place{Kind: place.Interval}, "period is zero"},
		{place.Place{Kind: 99}, "unsupported"},
	} {
		_, err := New(Options{}).Attach(context.Background(), []engine.Bound{bind(t, "count", tt.place)}, engine.Target{})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.place, err, tt.want)
		}
	}
}

// TestFailedAttachKillsTheCommand: it must end without having run.
func TestFailedAttachKillsTheCommand(t *testing.T) {
	bin := target(t)
	cmd, _, out := command(t, bin)
	_, err := New(Options{}).Attach(context.Background(), []engine.Bound{bind(t, "count", at(t, place.Uprobe, bin, "work")), bind(t, "count", place.Place{Kind: place.Uprobe, Path: "/no/such/file", Addr: 1})}, engine.Target{PID: cmd.PID(), Command: cmd})
	if err == nil {
		t.Fatal("no error")
	}
	if err := cmd.Close(); err != nil {
		t.Error(err)
	}
	if output, _ := io.ReadAll(out); len(output) > 0 {
		t.Errorf("it ran: %q", output)
	}
}

// BenchmarkProgram is the wall time of one hit with a verified program that
// counts in a per-CPU array.
func BenchmarkProgram(b *testing.B) {
	bin := target(b)
	cmd, in, out := command(b, bin)
	s, err := New(Options{}).Attach(context.Background(), []engine.Bound{bind(b, "count", at(b, place.Uprobe, bin, "work"))}, engine.Target{PID: cmd.PID(), Command: cmd})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.ResetTimer()
	fmt.Fprintf(in, "%d\n", b.N)
	in.Close()
	io.ReadAll(out)
	b.StopTimer()
	if n := sum(b, s, "hits"); n != uint64(b.N) {
		b.Errorf("%d hits of %d", n, b.N)
	}
}
