package trap

// Tests that hurt: storms of forks, threads and execs while gtrace comes and goes.

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const stormC = `
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
static volatile int stop, bad; static long rounds;
__attribute__((noinline)) int leaf(int n) { __asm__ volatile("" ::: "memory"); return n + 1; }
static int wait_for(int pid) { int st; while (waitpid(pid, &st, 0) < 0); return WIFEXITED(st) ? WEXITSTATUS(st) : -WTERMSIG(st); }
static void *forker(void *a) { while (!stop) { int p = fork(); if (!p) { int r = 0; for (int i = 0; i < 10; i++) r += leaf(i); _exit(r == 55 ? 42 : 1); } if (wait_for(p) != 42) bad++; __atomic_add_fetch(&rounds, leaf(0), 5); } return 0; }
static void *vforker(void *a) { while (!stop) { int p = vfork(); if (!p) { leaf(1); _exit(42); } if (wait_for(p) != 42) bad++; leaf(2); } return 0; }
static void *spawner(void *a) { while (!stop) { pid_t p; char *v[] = {"/bin/true", 0}; if (posix_spawn(&p, v[0], 0, 0, v, environ) || wait_for(p)) bad++; leaf(3); } return 0; }
static void *once(void *a) { return (void *)(long)leaf((int)(long)a); }
static void *threader(void *a) { while (!stop) { pthread_t t; void *r; pthread_create(&t, 0, once, (void *)7); pthread_join(t, &r); if ((long)r != 8) bad++; } return 0; }
static void *worker(void *a) { int x = 0; while (!stop) { if (leaf(x) != x + 1) bad++; x = (x + 1) & 0xffff; } return 0; }
static void seccomp(void) {
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 1, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_munmap, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog p = {sizeof f / sizeof *f, f};
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p)) puts("no seccomp");
}
static void *execer(void *a) { char **argv = a; execl("/proc/self/exe", argv[0], argv[1], (char *)0); return 0; }
int main(int argc, char **argv) {
	char line[64]; pthread_t t[5]; void *(*f[])(void *) = {forker, vforker, spawner, threader, worker};
	char *what = argc > 1 ? argv[1] : "";
	if (!strcmp(what, "seccomp")) { printf("seccomp\n"); fflush(stdout); fgets(line, sizeof line, stdin); seccomp(); }
	puts("ready"); fflush(stdout);
	if (!strcmp(what, "storm")) for (int i = 0; i < 5; i++) pthread_create(&t[i], 0, f[i], 0);
	if (!strcmp(what, "execs")) for (int i = 0; i < 3; i++) pthread_create(&t[i], 0, f[4], 0);
	while (fgets(line, sizeof line, stdin)) {
		if (!strncmp(line, "exec", 4)) { pthread_create(&t[4], 0, execer, argv); pthread_join(t[4], 0); }
		if (!strncmp(line, "leaf", 4)) { printf("%d\n", leaf(41)); fflush(stdout); }
		if (!strncmp(line, "stop", 4)) break;
	}
	stop = 1;
	if (!strcmp(what, "storm")) for (int i = 0; i < 5; i++) pthread_join(t[i], 0);
	printf("bad %d rounds %d\n", bad, rounds > 0);
	return 0;
}
`

func TestStorm(t *testing.T) {
	bin := build(t, "storm", stormC)
	p := start(t, bin, "storm")
	before := text(t, p.Process.Pid, bin)
	probes := []Probe{probe(t, bin, "leaf", false), probe(t, bin, "leaf", true), probe(t, libc(t), "fork", true)}
	var hits atomic.Int64
	for i := range 12 {
		tr := attach(t, Options{PID: p.Process.Pid, Probes: probes, OnHit: func(*Hit) { hits.Add(1) }})
		time.Sleep(time.Duration(5+10*i) * time.Millisecond)
		tr.Stop()
		if err := tr.Err(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d hits", hits.Load())
	left(t, p.Process.Pid, bin, before, -1)
	expect(t, "result", p.ask(t, "stop"), "bad 0 rounds 1")
}

func TestExecFromAThread(t *testing.T) {
	bin := build(t, "storm", stormC)
	p := start(t, bin, "execs")
	tr, count := watch(t, bin, p.Process.Pid, "leaf", "leaf%")
	for range 6 {
		time.Sleep(5 * time.Millisecond)
		before := count("leaf")
		expect(t, "exec", p.ask(t, "exec"), "ready")
		time.Sleep(5 * time.Millisecond)
		if count("leaf") == before {
			t.Error("no hits after exec")
		}
	}
	tr.Stop()
	expect(t, "error", tr.Err(), error(nil))
	expect(t, "result", p.ask(t, "stop"), "bad 0 rounds 0")
}

// TestSeccomp attaches to a process that is killed for a system call that
// placing a probe makes in it.
func TestSeccomp(t *testing.T) {
	bin := build(t, "storm", stormC)
	c, in, out := startCommand(t, bin, "seccomp")
	p := &program{in: in, out: out}
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
	expect(t, "first line", p.line(t), "seccomp")
	expect(t, "second line", p.ask(t, "go"), "ready")
	if os.Geteuid() != 0 {
		_, err := Attach(context.Background(), Options{PID: c.PID(), Probes: []Probe{probe(t, bin, "leaf", false)}, OnHit: func(*Hit) {}})
		if err == nil || !strings.Contains(err.Error(), "seccomp") {
			t.Errorf("error %v, want one on seccomp", err)
		}
	} else {
		tr, count := watch(t, bin, c.PID(), "leaf", "leaf%")
		expect(t, "result", p.ask(t, "leaf"), 42)
		expect(t, "hits", count("leaf")+count("leaf%"), 2)
		tr.Stop()
	}
	expect(t, "result", p.ask(t, "leaf"), 42)
}

// TestKilledAtRandom kills targets while gtrace attaches, runs and detaches.
func TestKilledAtRandom(t *testing.T) {
	bin := build(t, "storm", stormC)
	probes := []Probe{probe(t, bin, "leaf", false), probe(t, bin, "leaf", true)}
	for i := range 20 {
		p := start(t, bin, "storm")
		go func() {
			time.Sleep(time.Duration(i*700) * time.Microsecond)
			syscall.Kill(p.Process.Pid, syscall.SIGKILL)
		}()
		tr, err := Attach(context.Background(), Options{PID: p.Process.Pid, Probes: probes, OnHit: func(*Hit) {}})
		if err != nil {
			t.Logf("killed while attaching: %v", err)
		} else {
			if i%2 == 0 {
				time.Sleep(time.Duration(i*300) * time.Microsecond)
				tr.Stop()
			}
			select {
			case <-tr.Done():
			case <-time.After(10 * time.Second):
				t.Fatal("the tracer does not end")
			}
		}
		p.Wait()
		p.in.Close()
	}
}

// TestLeaderExits attaches to a process whose first thread has ended.
func TestLeaderExits(t *testing.T) {
	bin := build(t, "leader", `
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
__attribute__((noinline)) int leaf(int n) { __asm__ volatile("" ::: "memory"); return n + 1; }
static void *rest(void *a) { char line[64]; puts("ready"); fflush(stdout);
	while (fgets(line, sizeof line, stdin)) { printf("%d\n", leaf(leaf(1))); fflush(stdout); } exit(3); }
int main(void) { pthread_t t; pthread_create(&t, 0, rest, 0); pthread_exit(0); }`)
	p := start(t, bin)
	time.Sleep(20 * time.Millisecond)
	tr, count := watch(t, bin, p.Process.Pid, "leaf", "leaf%")
	expect(t, "result", p.ask(t, "leaf"), 3)
	expect(t, "hits", count("leaf")+count("leaf%"), 4)
	tr.Stop()
	expect(t, "result", p.ask(t, "leaf"), 3)
	tr, _ = watch(t, bin, p.Process.Pid, "leaf")
	p.in.Close()
	io.Copy(io.Discard, p.out)
	select {
	case <-tr.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("the tracer does not notice the end")
	}
}

// TestGoProgram: its scheduler sends signals to its own threads all the time.
func TestGoProgram(t *testing.T) {
	gotool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("the go command is not installed")
	}
	dir := t.TempDir()
	src, bin := filepath.Join(dir, "main.go"), filepath.Join(dir, "main")
	if err := os.WriteFile(src, []byte(`package main
import ("bufio"; "fmt"; "os"; "runtime"; "sync")
//go:noinline
func work(x int) int { return x*3 + 1 }
func main() {
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var wg sync.WaitGroup
		var mu sync.Mutex
		total := 0
		for range 8 {
			wg.Go(func() { s := 0; for i := range 500 { s += work(i); _ = make([]byte, 10000) }; runtime.GC(); mu.Lock(); total += s; mu.Unlock() })
		}
		wg.Wait()
		fmt.Println(total)
	}
}`), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(gotool, "build", "-o", bin, src)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	p := start(t, bin)
	before := text(t, p.Process.Pid, bin)
	var hits atomic.Int64
	tr := attach(t, Options{PID: p.Process.Pid, Probes: []Probe{probe(t, bin, "main.work", false)}, OnHit: func(*Hit) { hits.Add(1) }})
	want := 8 * (3*500*499/2 + 500)
	expect(t, "result", p.run(t), want)
	expect(t, "hits", hits.Load(), 4000)
	tr.Stop()
	left(t, p.Process.Pid, bin, before, -1)
	expect(t, "result after detach", p.run(t), want)
	_, err = Attach(context.Background(), Options{PID: p.Process.Pid, Probes: []Probe{probe(t, bin, "main.work", true)}, OnHit: func(*Hit) {}})
	if err == nil || !strings.Contains(err.Error(), "unsupported: return probes in Go programs") {
		t.Errorf("return probe in a Go program: %v", err)
	}
}

// TestVforkParent attaches while a thread waits for its vfork child, and goes
// before that child goes on.
func TestVforkParent(t *testing.T) {
	bin := build(t, "vforkparent", `
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
__attribute__((noinline)) int leaf(int n) { __asm__ volatile("" ::: "memory"); return n + 1; }
static void *waiter(void *a) { int st, p = vfork(); if (!p) { for (int i = 0; i < 8; i++) { usleep(100000); leaf(i); } _exit(5); } waitpid(p, &st, 0); return (void *)(long)(WEXITSTATUS(st) + leaf(1)); }
int main(void) { char line[64]; pthread_t t; void *r; pthread_create(&t, 0, waiter, 0); usleep(50000); puts("ready"); fflush(stdout);
	fgets(line, sizeof line, stdin); printf("%d\n", leaf(leaf(1))); fflush(stdout); pthread_join(t, &r); printf("%ld\n", (long)r); return 0; }`)
	p := start(t, bin)
	tr, count := watch(t, bin, p.Process.Pid, "leaf")
	expect(t, "result", p.run(t), 3)
	expect(t, "hits", count("leaf"), 2)
	begin := time.Now()
	tr.Stop()
	if d := time.Since(begin); d > detachTimeout {
		t.Errorf("detaching took %v", d)
	}
	expect(t, "result of the vfork", p.line(t), 7)
}

// BenchmarkHit is the wall time of one hit of an entry probe whose callback
// does nothing, tracer and target where the scheduler puts them.
func BenchmarkHit(b *testing.B) { benchmarkHit(b, false) }

// BenchmarkReturn is the same for a return probe: two breakpoints a call.
func BenchmarkReturn(b *testing.B) { benchmarkHit(b, true) }

func benchmarkHit(b *testing.B, ret bool) {
	bin := build(b, "bench", `
#include <stdio.h>
#include <stdlib.h>
__attribute__((noinline)) int leaf(int n) { __asm__ volatile("" ::: "memory"); return n + 1; }
int main(void) { char line[64]; puts("ready"); fflush(stdout);
	while (fgets(line, sizeof line, stdin)) { int r = 0; for (int i = atoi(line); i > 0; i--) r = leaf(r); printf("%d\n", r); fflush(stdout); } return 0; }`)
	p := start(b, bin)
	attach(b, Options{PID: p.Process.Pid, Probes: []Probe{probe(b, bin, "leaf", ret)}, OnHit: func(*Hit) {}})
	const batch = 10000
	var from, to syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &from)
	for b.Loop() {
		io.WriteString(p.in, "10000\n")
		p.line(b)
	}
	syscall.Getrusage(syscall.RUSAGE_SELF, &to)
	cpu := to.Utime.Nano() + to.Stime.Nano() - from.Utime.Nano() - from.Stime.Nano()
	b.ReportMetric(float64(cpu)/float64(b.N)/batch, "tracer-cpu-ns/hit")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/hit")
}
