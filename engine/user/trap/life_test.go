package trap

// Tests of what processes do in their lives: fork, exec, load libraries, take
// signals, stop, recurse, jump.

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gtrace-dev/gtrace/engine"
)

const lifeC = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
static jmp_buf jb;
static volatile int handled;
__attribute__((noinline)) int fact(int n) { __asm__ volatile("" ::: "memory"); return n <= 1 ? 1 : n * fact(n - 1); }
__attribute__((noinline)) int jumper(int n) { if (n) { __asm__ volatile("" ::: "memory"); longjmp(jb, n); } return 5; }
__attribute__((noinline)) int tail2(int n) { __asm__ volatile("" ::: "memory"); return n + 100; }
__attribute__((noinline, optimize("O2"))) int tail1(int n) { __asm__ volatile("" ::: "memory"); return tail2(n * 2); }
__attribute__((noinline)) int leaf(int n) { __asm__ volatile("" ::: "memory"); return n + 1; }
static void onusr(int s) { handled += leaf(s) > 0; }
static void ontrap(int s) { handled++; }
static void onsegv(int s, siginfo_t *si, void *uc) { mprotect((void *)((long)si->si_addr & ~4095L), 4096, PROT_READ | PROT_WRITE); handled++; }
static void *ticker(void *arg) { for (int i = 0; i < 300; i++) { pthread_kill(*(pthread_t *)arg, SIGUSR1); usleep(50); } return 0; }
__attribute__((noinline)) int peek(int *p) { return *p; }
static int child(void *p) { for (int i = 0; i < 50; i++) leaf(i); _exit(*(int *)p); }
static int status(int pid) { int st; waitpid(pid, &st, 0); return WIFEXITED(st) ? WEXITSTATUS(st) : -WTERMSIG(st); }
int main(int argc, char **argv) {
	char line[256];
	puts("ready"); fflush(stdout);
	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (!strcmp(line, "fact")) { int r = 0; for (int i = 0; i < 50; i++) r += fact(10) == 3628800; printf("%d\n", r); }
		else if (!strcmp(line, "jump")) {
			int r = 0;
			for (volatile int i = 1; i <= 20; i++) { int v = setjmp(jb); if (!v) jumper(i); else r += v; }
			r += jumper(0) + leaf(1);
			printf("%d\n", r);
		}
		else if (!strcmp(line, "tail")) { int r = 0; for (int i = 0; i < 10; i++) r += tail1(i); printf("%d\n", r); }
		else if (!strcmp(line, "fork")) {
			int bad = 0;
			for (int i = 0; i < 20; i++) { int p = fork(); if (!p) { for (int j = 0; j < 10; j++) leaf(j); _exit(fact(5) == 120 ? 42 : 1); } bad += status(p) != 42; }
			printf("%d %d\n", bad, leaf(1));
		}
		else if (!strcmp(line, "vfork")) {
			int bad = 0;
			static char stack[65536];
			for (int i = 0; i < 10; i++) { int p = vfork(); if (!p) { leaf(1); leaf(2); _exit(42); } bad += status(p) != 42; }
			for (int i = 0; i < 10; i++) { int code = 43; int p = clone(child, stack + sizeof stack, CLONE_VM | SIGCHLD, &code); bad += status(p) != 43; }
			for (int i = 0; i < 10; i++) { pid_t p; char *a[] = {"/bin/true", 0}; bad += posix_spawn(&p, a[0], 0, 0, a, environ) || status(p); }
			bad += system("exit 3") >> 8 != 3;
			printf("%d %d\n", bad, leaf(1));
		}
		else if (!strncmp(line, "dlopen ", 7)) {
			int r = 0;
			for (int i = 0; i < 3; i++) {
				void *h = dlopen(line + 7, RTLD_NOW); if (!h) { puts(dlerror()); fflush(stdout); continue; }
				int (*f)(int) = dlsym(h, "plugin"); r += f(i); dlclose(h);
			}
			printf("%d\n", r);
		}
		else if (!strcmp(line, "signals")) {
			struct sigaction sa = {.sa_handler = onusr}; sigaction(SIGUSR1, &sa, 0); handled = 0;
			pthread_t me = pthread_self(), t; pthread_create(&t, 0, ticker, &me);
			long r = 0; for (int i = 0; i < 4000; i++) r += leaf(i);
			pthread_join(t, 0); printf("%ld %d\n", r, handled > 0);
		}
		else if (!strcmp(line, "trap")) { signal(SIGTRAP, ontrap); handled = 0; raise(SIGTRAP); __asm__ volatile("int3"); printf("%d\n", handled); signal(SIGTRAP, SIG_DFL); }
		else if (!strcmp(line, "fault")) {
			struct sigaction sa = {.sa_sigaction = onsegv, .sa_flags = SA_SIGINFO}; sigaction(SIGSEGV, &sa, 0); handled = 0;
			int *p = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			int v = peek(p); printf("%d %d\n", v, handled); signal(SIGSEGV, SIG_DFL);
		}
		else if (!strcmp(line, "exec")) { fflush(stdout); execl("/proc/self/exe", argv[0], (char *)0); puts("exec failed"); }
		else if (!strcmp(line, "spin")) { long r = 0; for (int i = 0; i < 3000; i++) { r += leaf(i); usleep(100); } printf("%ld\n", r); }
		else if (!strcmp(line, "leaf")) { printf("%d\n", leaf(leaf(1))); }
		else if (!strcmp(line, "quit")) return 9;
		fflush(stdout);
	}
	return 0;
}
`

func (p *program) ask(t testing.TB, what string) string {
	t.Helper()
	io.WriteString(p.in, what+"\n")
	return p.line(t)
}

// life starts the program, attaches to functions of it and counts hits by name.
func life(t *testing.T, names ...string) (*program, *Tracer, func(name string) int64, string) {
	t.Helper()
	bin := build(t, "life", lifeC, "-ldl")
	p := start(t, bin)
	tr, count := watch(t, bin, p.Process.Pid, names...)
	return p, tr, count, bin
}

// watch attaches to functions of a file; "name%" watches the return.
func watch(t *testing.T, bin string, pid int, names ...string) (*Tracer, func(name string) int64) {
	t.Helper()
	var probes []Probe
	for _, n := range names {
		probes = append(probes, probe(t, bin, strings.TrimSuffix(n, "%"), strings.HasSuffix(n, "%")))
	}
	counts := make([]atomic.Int64, len(names))
	tr := attach(t, Options{PID: pid, Probes: probes, OnHit: func(h *Hit) { counts[h.Probe].Add(1) }})
	return tr, func(name string) int64 { return counts[slices.Index(names, name)].Load() }
}

func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestRecursion(t *testing.T) {
	p, tr, count, bin := life(t, "fact", "fact%")
	expect(t, "result", p.ask(t, "fact"), "50")
	expect(t, "calls", count("fact"), 500)
	expect(t, "returns", count("fact%"), 500)
	tr.Stop()
	expect(t, "result after detach", p.ask(t, "fact"), "50")
	_ = bin
}

func TestLongjmpAndTailCalls(t *testing.T) {
	p, _, count, _ := life(t, "jumper", "jumper%", "tail1%", "tail2%", "leaf%")
	expect(t, "result", p.ask(t, "jump"), 210+5+2)
	expect(t, "calls", count("jumper"), 21)
	expect(t, "returns", count("jumper%"), 1)
	expect(t, "returns of leaf", count("leaf%"), 1)
	expect(t, "result", p.ask(t, "tail"), 90+1000)
	expect(t, "returns of tail1", count("tail1%"), 10)
	expect(t, "returns of tail2", count("tail2%"), 10)
}

func TestForkedChildrenAreNotTouched(t *testing.T) {
	p, tr, count, bin := life(t, "leaf", "leaf%", "fact")
	expect(t, "fork", p.ask(t, "fork"), "0 2")
	expect(t, "calls", count("leaf"), 1)
	expect(t, "vfork, clone, spawn, system", p.ask(t, "vfork"), "0 2")
	expect(t, "calls", count("leaf"), 2)
	expect(t, "returns", count("leaf%"), 2)
	tr.Stop()
	expect(t, "after detach", p.ask(t, "vfork"), "0 2")
	expect(t, "error", tr.Err(), error(nil))
	_ = bin
}

func TestSignals(t *testing.T) {
	p, tr, count, bin := life(t, "leaf", "leaf%", "peek")
	sum := 4000*3999/2 + 4000
	expect(t, "signals", p.ask(t, "signals"), fmt.Sprint(sum, 1))
	if c := count("leaf"); c < 4001 || c != count("leaf%") {
		t.Errorf("leaf: %d calls, %d returns", c, count("leaf%"))
	}
	expect(t, "the program's own traps", p.ask(t, "trap"), "2")
	expect(t, "fault in a displaced instruction", p.ask(t, "fault"), "0 1")
	tr.Stop()
	expect(t, "signals after detach", p.ask(t, "signals"), fmt.Sprint(sum, 1))
	_ = bin
}

func TestStopAndContinue(t *testing.T) {
	p, tr, count, _ := life(t, "leaf")
	io.WriteString(p.in, "spin\n")
	time.Sleep(30 * time.Millisecond)
	for range 3 {
		syscall.Kill(p.Process.Pid, syscall.SIGSTOP)
		time.Sleep(20 * time.Millisecond)
		before := count("leaf")
		time.Sleep(20 * time.Millisecond)
		if after := count("leaf"); after != before || before == 0 {
			t.Errorf("stopped, but hits went from %d to %d", before, after)
		}
		syscall.Kill(p.Process.Pid, syscall.SIGCONT)
		time.Sleep(10 * time.Millisecond)
	}
	expect(t, "result", p.line(t), 3000*2999/2+3000)
	expect(t, "calls", count("leaf"), 3000)
	// A target that is stopped when we come and when we go stays so.
	syscall.Kill(p.Process.Pid, syscall.SIGSTOP)
	time.Sleep(20 * time.Millisecond)
	tr.Stop()
	time.Sleep(20 * time.Millisecond)
	expect(t, "state", string(threadState(p.Process.Pid)), "T")
	tr2, count2 := watch(t, p.Path, p.Process.Pid, "leaf", "leaf%")
	time.Sleep(20 * time.Millisecond)
	if s := threadState(p.Process.Pid); s != 'T' && s != 't' {
		t.Errorf("state %c after attach, want stopped", s)
	}
	io.WriteString(p.in, "leaf\n")
	time.Sleep(20 * time.Millisecond)
	expect(t, "calls while stopped", count2("leaf"), 0)
	syscall.Kill(p.Process.Pid, syscall.SIGCONT)
	expect(t, "result", p.line(t), 3)
	expect(t, "calls", count2("leaf"), 2)
	expect(t, "returns", count2("leaf%"), 2)
	tr2.Stop()
}

func TestExec(t *testing.T) {
	p, tr, count, bin := life(t, "leaf", "leaf%")
	for i := range 5 {
		expect(t, "leaf", p.ask(t, "leaf"), 3)
		expect(t, "exec", p.ask(t, "exec"), "ready")
		expect(t, "calls", count("leaf"), 2*(i+1))
	}
	expect(t, "leaf", p.ask(t, "leaf"), 3)
	expect(t, "returns", count("leaf%"), 12)
	tr.Stop()
	expect(t, "after detach", p.ask(t, "leaf"), 3)
	_ = bin
}

func TestDlopen(t *testing.T) {
	lib := build(t, "plugin.so", `int plugin(int x) { return x + 10; }`, "-shared", "-fPIC")
	bin := build(t, "life", lifeC, "-ldl")
	p := start(t, bin)
	var hits atomic.Int64
	// A running process must have mapped what is probed: main's own function makes it so.
	_, err := Attach(context.Background(), Options{PID: p.Process.Pid, Probes: []Probe{probe(t, lib, "plugin", false)}, OnHit: func(*Hit) {}})
	if err == nil || !strings.Contains(err.Error(), "has not mapped") {
		t.Errorf("probe in a library that is not there: %v", err)
	}
	expect(t, "alive", p.ask(t, "leaf"), 3)

	cmd, in, out := startCommand(t, bin)
	tr := attach(t, Options{Command: cmd, Probes: []Probe{probe(t, lib, "plugin", false), probe(t, lib, "plugin", true), probe(t, libc(t), "longjmp", false)},
		OnHit: func(*Hit) { hits.Add(1) }})
	c := &program{in: in, out: out}
	expect(t, "first line", c.line(t), "ready")
	expect(t, "plugin", c.ask(t, "dlopen "+lib), 33)
	expect(t, "hits", hits.Load(), 6)
	io.WriteString(in, "quit\n")
	ws, err := cmd.Wait()
	expect(t, "status", ws.ExitStatus(), 9)
	expect(t, "error", err, error(nil))
	<-tr.Done()
	expect(t, "placed", tr.States()[0].Sites > 0 && tr.States()[2].Sites == 1, true)
}

func libc(t *testing.T) string {
	t.Helper()
	maps, err := readMappings(os.Getpid())
	_ = maps
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6", "/usr/lib/libc.so.6"} {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	t.Skip("no libc.so.6 found")
	return ""
}

func TestCommandFromItsFirstInstruction(t *testing.T) {
	lib := libc(t)
	for _, static := range []bool{false, true} {
		flags := []string{}
		if static {
			flags = []string{"-static", "-no-pie"}
		}
		bin := build(t, "hello", `#include <stdio.h>
int main(void) { for (int i = 0; i < 7; i++) puts("x"); return 4; }`, flags...)
		probes := []Probe{probe(t, bin, "main", false), probe(t, bin, "main", true)}
		if !static {
			probes = append(probes, probe(t, lib, "puts", false), probe(t, lib, "puts", true))
		} else {
			probes = append(probes, probe(t, bin, "puts", false), probe(t, bin, "puts", true))
		}
		counts := make([]int, len(probes))
		cmd, _, out := startCommand(t, bin)
		tr := attach(t, Options{Command: cmd, Probes: probes, OnHit: func(h *Hit) { counts[h.Probe]++ }})
		all, _ := io.ReadAll(out)
		ws, err := cmd.Wait()
		<-tr.Done()
		expect(t, "error", err, error(nil))
		expect(t, "status", ws.ExitStatus(), 4)
		expect(t, "output", bytes.Count(all, []byte("x\n")), 7)
		expect(t, "counts", counts, []int{1, 1, 7, 7})
	}
}

// TestShellPipeline runs a shell that forks and execs: only itself is watched.
func TestShellPipeline(t *testing.T) {
	cmd, _, out := startCommand(t, "sh", "-c", "for i in 1 2 3; do /bin/echo $i | cat; done; exit 6")
	var forks atomic.Int64
	tr := attach(t, Options{Command: cmd, Probes: []Probe{probe(t, libc(t), "fork", false), probe(t, libc(t), "write", true)}, OnHit: func(*Hit) { forks.Add(1) }})
	all, _ := io.ReadAll(out)
	ws, _ := cmd.Wait()
	<-tr.Done()
	expect(t, "output", string(all), "1\n2\n3\n")
	expect(t, "status", ws.ExitStatus(), 6)
	if forks.Load() < 6 {
		t.Errorf("%d hits, want at least the 6 forks", forks.Load())
	}
}

func TestBashReadline(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	bash, _ = filepath.EvalSymlinks(bash)
	var lines []string
	cmd, in, out := startCommand(t, bash, "--norc", "--noprofile", "-i")
	tr := attach(t, Options{Command: cmd, Probes: []Probe{probe(t, bash, "readline", true), probe(t, bash, "readline", false)},
		OnHit: func(h *Hit) {
			if h.Probe == 0 {
				var b [32]byte
				if p := reg(h, offRAX); p != 0 && readMemory(h.PID, p, b[:]) == nil {
					s, _, _ := bytes.Cut(b[:], []byte{0})
					lines = append(lines, string(s))
				}
			}
		}})
	io.WriteString(in, "echo one\necho two\nexit 5\n")
	all, _ := io.ReadAll(out)
	ws, err := cmd.Wait()
	<-tr.Done()
	if err != nil || ws.ExitStatus() != 5 {
		t.Errorf("status %s, %v\n%s", engine.StatusString(ws), err, all)
	}
	expect(t, "lines", lines, []string{"echo one", "echo two", "exit 5"})
}

func TestErrors(t *testing.T) {
	bin := build(t, "life", lifeC, "-ldl")
	p := start(t, bin)
	probes := []Probe{probe(t, bin, "leaf", false)}
	tr := attach(t, Options{PID: p.Process.Pid, Probes: probes, OnHit: func(*Hit) {}})
	fails := func(want string, opt Options) {
		t.Helper()
		opt.OnHit = func(*Hit) {}
		tr, err := Attach(context.Background(), opt)
		if err == nil {
			tr.Stop()
			t.Errorf("no error, want %q", want)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q, want %q in it", err, want)
		}
	}
	fails("traces it already", Options{PID: p.Process.Pid, Probes: probes})
	tr.Stop()
	fails("no process", Options{PID: 1 << 22, Probes: probes})
	fails("gtrace itself", Options{PID: os.Getpid(), Probes: probes})
	fails("has not mapped", Options{PID: p.Process.Pid, Probes: []Probe{{Name: "x", Path: "/bin/sh", Offset: 0x5000}}})
	fails("no such file", Options{PID: p.Process.Pid, Probes: []Probe{{Name: "x", Path: "/no/such", Offset: 0x5000}}})
	fails("in no segment", Options{PID: p.Process.Pid, Probes: []Probe{{Name: "x", Path: bin, Addr: 0x7fffffff}}})
	expect(t, "alive", p.ask(t, "leaf"), 3)
	expect(t, "tracer", statusInt(p.Process.Pid, "TracerPid"), 0)
}

func FuzzMappings(f *testing.F) {
	f.Add([]byte("00400000-0040b000 r-xp 00001000 fe:01 1234   /bin/a b (deleted)\n7ffd000-7ffe000 rw-p 00000000 00:00 0  [stack]\n"), uint64(0x401000))
	f.Fuzz(func(t *testing.T, b []byte, addr uint64) {
		maps, err := parseMappings(b)
		if err != nil {
			return
		}
		slices.SortFunc(maps, func(a, b mapping) int { return int(int64(a.start) - int64(b.start)) })
		if at, ok := gapNear(maps, addr, pageSize, reach); ok {
			for _, m := range maps {
				if m.start < m.end && at < m.end && m.start < at+pageSize {
					t.Errorf("gap %#x lies in %#x-%#x", at, m.start, m.end)
				}
			}
		}
	})
}
