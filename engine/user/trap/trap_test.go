package trap

import (
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// build compiles C source with gcc.
func build(t testing.TB, name, source string, flags ...string) string {
	t.Helper()
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("gcc is not installed")
	}
	dir := t.TempDir()
	src, out := filepath.Join(dir, name+".c"), filepath.Join(dir, name)
	if err := os.WriteFile(src, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	if msg, err := exec.Command(gcc, append([]string{"-g", "-O1", "-pthread", "-o", out, src}, flags...)...).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, msg)
	}
	return out
}

// probe makes a Probe for a function of an ELF file.
func probe(t testing.TB, path, symbol string, ret bool) Probe {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	syms, _ := f.Symbols()
	dyn, _ := f.DynamicSymbols()
	for _, s := range append(syms, dyn...) {
		if s.Name == symbol && s.Value != 0 {
			return Probe{Name: symbol, Path: path, Addr: s.Value, Return: ret}
		}
	}
	t.Fatalf("%s: no symbol %s", path, symbol)
	return Probe{}
}

// program is a process of a test that prints "ready", waits for a line, works
// and prints a result.
type program struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func start(t testing.TB, path string, args ...string) *program {
	t.Helper()
	cmd := exec.Command(path, args...)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &program{cmd, in, bufio.NewReader(out)}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if l := p.line(t); l != "ready" {
		t.Fatalf("first line %q", l)
	}
	return p
}

func (p *program) line(t testing.TB) string {
	t.Helper()
	type result struct {
		s   string
		err error
	}
	c := make(chan result, 1)
	go func() {
		s, err := p.out.ReadString('\n')
		c <- result{strings.TrimSpace(s), err}
	}()
	select {
	case r := <-c:
		if r.err != nil && r.s == "" {
			t.Fatalf("the target's output: %v", r.err)
		}
		return r.s
	case <-time.After(20 * time.Second):
		t.Fatalf("no line from process %d; state %q wchan %s", p.Process.Pid, statusField(p.Process.Pid, "State"), readFile(fmt.Sprintf("/proc/%d/wchan", p.Process.Pid)))
		return ""
	}
}

func readFile(path string) string { b, _ := os.ReadFile(path); return string(b) }

func (p *program) run(t testing.TB) string {
	t.Helper()
	io.WriteString(p.in, "go\n")
	return p.line(t)
}

func attach(t testing.TB, opt Options) *Tracer {
	t.Helper()
	tr, err := Attach(context.Background(), opt)
	if err != nil {
		if strings.Contains(err.Error(), "operation not permitted") {
			t.Skipf("ptrace is not permitted here: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(tr.Stop)
	return tr
}

func reg(h *Hit, off int) uint64 { return *(*uint64)(unsafe.Pointer(&h.Context[off])) }

const (
	offRAX = 80
	offRDI = 112
	offIP  = 128
	offSP  = 152
)

// text reads the executable mappings of a file in a process.
func text(t testing.TB, pid int, path string) []byte {
	t.Helper()
	maps, err := readMappings(pid)
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	var all []byte
	for _, m := range maps {
		if m.exec && m.path == path {
			b := make([]byte, m.end-m.start)
			if _, err := mem.ReadAt(b, int64(m.start)); err != nil {
				t.Fatal(err)
			}
			all = append(all, b...)
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s is not mapped", path)
	}
	return all
}

// left asserts that a process carries no trace of ours.
func left(t testing.TB, pid int, path string, before []byte, maps int) {
	t.Helper()
	if !bytes.Equal(text(t, pid, path), before) {
		t.Error("the text is not what it was")
	}
	tids, _ := tasks(pid)
	for _, tid := range tids {
		if by := statusInt(tid, "TracerPid"); by != 0 {
			t.Errorf("thread %d is still traced by %d", tid, by)
		}
	}
	now, _ := readMappings(pid)
	if n := execMappings(now); maps >= 0 && n != maps {
		t.Errorf("%d executable mappings, %d before", n, maps)
	}
}

func execMappings(maps []mapping) (n int) {
	for _, m := range maps {
		if m.exec {
			n++
		}
	}
	return n
}

const threadsC = `
#include <pthread.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
static int counter;
__attribute__((noinline)) int work(int x) { __asm__ volatile(""); return x * 3 + 1; }
__attribute__((noinline)) int global(int x) { __atomic_add_fetch(&counter, x, __ATOMIC_RELAXED); return counter; }
static void *loop(void *arg) {
	int n = *(int *)arg; uint64_t sum = 0;
	for (int i = 0; i < n; i++) { sum += work(i); global(1); }
	return (void *)sum;
}
int main(int argc, char **argv) {
	int threads = atoi(argv[1]), n = atoi(argv[2]);
	char line[64];
	puts("ready"); fflush(stdout);
	while (fgets(line, sizeof line, stdin)) {
		pthread_t t[16]; uint64_t sum = 0; void *r; counter = 0;
		for (int i = 0; i < threads; i++) pthread_create(&t[i], 0, loop, &n);
		for (int i = 0; i < threads; i++) { pthread_join(t[i], &r); sum += (uint64_t)r; }
		printf("%lu %d\n", sum, counter); fflush(stdout);
	}
	return 7;
}
`

func threadsResult(threads, n int) string {
	return fmt.Sprintf("%d %d", threads*(3*n*(n-1)/2+n), threads*n)
}

func TestThreadsExactCounts(t *testing.T) {
	const threads, n = 4, 5000
	bin := build(t, "threads", threadsC)
	p := start(t, bin, fmt.Sprint(threads), fmt.Sprint(n))
	pid := p.Process.Pid
	before := text(t, pid, bin)
	maps, _ := readMappings(pid)
	var entry, ret, glob atomic.Int64
	var argSum, retSum atomic.Uint64
	tids := map[int]bool{}
	tr := attach(t, Options{PID: pid, Probes: []Probe{probe(t, bin, "work", false), probe(t, bin, "work", true), probe(t, bin, "global", false)},
		OnHit: func(h *Hit) {
			tids[h.TID] = true
			switch h.Probe {
			case 0:
				entry.Add(1)
				argSum.Add(reg(h, offRDI))
			case 1:
				ret.Add(1)
				retSum.Add(reg(h, offRAX) & 0xffffffff)
			case 2:
				glob.Add(1)
			}
		}})
	if got, want := p.run(t), threadsResult(threads, n); got != want {
		t.Errorf("result %q, want %q", got, want)
	}
	tr.Stop()
	if entry.Load() != threads*n || ret.Load() != threads*n || glob.Load() != threads*n {
		t.Errorf("hits %d, returns %d, global %d; want %d each", entry.Load(), ret.Load(), glob.Load(), threads*n)
	}
	if want := uint64(threads * n * (n - 1) / 2); argSum.Load() != want {
		t.Errorf("sum of arguments %d, want %d", argSum.Load(), want)
	}
	if want := uint64(threads * (3*n*(n-1)/2 + n)); retSum.Load() != want {
		t.Errorf("sum of results %d, want %d", retSum.Load(), want)
	}
	if len(tids) != threads {
		t.Errorf("hits in %d threads, want %d", len(tids), threads)
	}
	left(t, pid, bin, before, execMappings(maps))
	if got, want := p.run(t), threadsResult(threads, n); got != want {
		t.Errorf("result after detach %q, want %q", got, want)
	}
}

func TestDetachUnderLoad(t *testing.T) {
	const threads, n = 4, 20000
	bin := build(t, "threads", threadsC)
	for _, wait := range []time.Duration{5, 30, 60} {
		p := start(t, bin, fmt.Sprint(threads), fmt.Sprint(n))
		before := text(t, p.Process.Pid, bin)
		maps, _ := readMappings(p.Process.Pid)
		var hits atomic.Int64
		tr := attach(t, Options{PID: p.Process.Pid, Probes: []Probe{probe(t, bin, "work", false), probe(t, bin, "work", true), probe(t, bin, "global", true)},
			OnHit: func(*Hit) { hits.Add(1) }})
		io.WriteString(p.in, "go\n")
		time.Sleep(wait * time.Millisecond)
		tr.Stop()
		t.Logf("detached after %d hits", hits.Load())
		left(t, p.Process.Pid, bin, before, execMappings(maps))
		if got, want := p.line(t), threadsResult(threads, n); got != want {
			t.Errorf("result %q, want %q", got, want)
		}
		p.in.Close()
		if err := p.Wait(); p.ProcessState.ExitCode() != 7 {
			t.Errorf("exit %v", err)
		}
	}
}

func TestAttachDetachRepeatedly(t *testing.T) {
	bin := build(t, "threads", threadsC)
	p := start(t, bin, "4", "200000")
	before := text(t, p.Process.Pid, bin)
	probes := []Probe{probe(t, bin, "work", false), probe(t, bin, "work", true)}
	io.WriteString(p.in, "go\n")
	for range 30 {
		tr := attach(t, Options{PID: p.Process.Pid, Probes: probes, OnHit: func(*Hit) {}})
		time.Sleep(2 * time.Millisecond)
		tr.Stop()
	}
	left(t, p.Process.Pid, bin, before, -1)
	if got, want := p.line(t), fmt.Sprintf("%d %d", uint64(4)*func() (s uint64) {
		for i := range 200000 {
			s += uint64(int64(int32(i*3 + 1)))
		}
		return
	}(), 800000); got != want {
		t.Errorf("result %q, want %q", got, want)
	}
}

func TestKillWhileTraced(t *testing.T) {
	bin := build(t, "threads", threadsC)
	p := start(t, bin, "4", "100000")
	var once sync.Once
	tr := attach(t, Options{PID: p.Process.Pid, Probes: []Probe{probe(t, bin, "work", true)}, OnHit: func(*Hit) {
		once.Do(func() { time.AfterFunc(20*time.Millisecond, func() { syscall.Kill(p.Process.Pid, syscall.SIGKILL) }) })
	}})
	io.WriteString(p.in, "go\n")
	select {
	case <-tr.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("the tracer does not notice the target's death")
	}
	if tr.Err() != nil {
		t.Error(tr.Err())
	}
	p.Wait()
	if ws := p.ProcessState.Sys().(syscall.WaitStatus); ws.Signal() != syscall.SIGKILL {
		t.Errorf("ended by %v", ws)
	}
}
