package gtrace_test

// The command line: check, build, list, output, and everything that goes wrong.

import (
	"debug/elf"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	gt "github.com/gtrace-dev/gtrace"
	"github.com/gtrace-dev/gtrace/internal/testkit"
)

func itoa(n int) string { return strconv.Itoa(n) }

// plainBPF needs no header: what it uses of the helpers is declared in place.
const plainBPF = `
typedef unsigned int u32; typedef unsigned long long u64;
#define SEC(n) __attribute__((section(n), used))
static u64 (*get_pid_tgid)(void) = (void *)14;
static void *(*lookup)(void *map, const void *key) = (void *)1;
struct { int (*type)[1]; u32 *key; u64 *value; int (*max_entries)[16]; } counts SEC(".maps");
char _license[] SEC("license") = "GPL";

SEC("raw_tp/sched_switch") int good(void *ctx)
{
	u32 key = get_pid_tgid();
	u64 *n = lookup(&counts, &key);
	if (n)
		__sync_fetch_and_add(n, 1);
	return 0;
}

SEC("raw_tp/sched_switch") int bad(void *ctx)
{
	u32 key = 0;
	u64 *n = lookup(&counts, &key);
	*n += 1;
	return 0;
}
`

// compileBPF compiles plainBPF to a.bpf.o.
func compileBPF(t *testing.T) string {
	t.Helper()
	testkit.RequireTool(t, "clang-19")
	dir := t.TempDir()
	src, obj := filepath.Join(dir, "a.bpf.c"), filepath.Join(dir, "a.bpf.o")
	write(t, src, plainBPF)
	if out, err := exec.Command("clang-19", "-g", "-O2", "-target", "bpf", "-mcpu=v3", "-c", src, "-o", obj).CombinedOutput(); err != nil {
		t.Fatalf("clang-19: %v\n%s", err, out)
	}
	return obj
}

// TestCheckSpec is the door for users of cilium/ebpf.
func TestCheckSpec(t *testing.T) {
	spec, err := ebpf.LoadCollectionSpec(compileBPF(t))
	if err != nil {
		t.Fatal(err)
	}
	verdicts, err := gt.Check(t.Context(), spec, gt.CheckOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, v := range verdicts {
		got[v.Program] = v.Verdict + " " + v.Code
	}
	if want := map[string]string{"good": "accept ", "bad": "reject nullable-deref"}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCheckObject(t *testing.T) {
	obj := compileBPF(t)
	r := gtrace(t, "check", "--format", "json", obj)
	r.want(t, 1)
	var lines []map[string]any
	for line := range strings.Lines(r.stdout) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		lines = append(lines, v)
	}
	if len(lines) != 2 {
		t.Fatalf("%d lines, want 2", len(lines))
	}
	for i, want := range []map[string]any{
		{"file": obj, "program": "good", "section": "raw_tp/sched_switch", "type": "raw_tracepoint", "verdict": "accept", "code": "", "message": ""},
		{"file": obj, "program": "bad", "section": "raw_tp/sched_switch", "type": "raw_tracepoint", "verdict": "reject", "code": "nullable-deref"},
	} {
		for k, v := range want {
			if lines[i][k] != v {
				t.Errorf("line %d: %s is %v, want %v", i, k, lines[i][k], v)
			}
		}
		for _, k := range []string{"target", "source", "insns", "processed", "states", "time_us"} {
			if _, ok := lines[i][k]; !ok {
				t.Errorf("line %d: no field %s", i, k)
			}
		}
	}
	if src, _ := lines[1]["source"].(string); !strings.HasSuffix(src, "a.bpf.c:22") {
		t.Errorf("source %q, want …a.bpf.c:22", src)
	}
	gtrace(t, "check", obj).want(t, 1, "good: accept", "bad: reject")
}

func TestCheckScript(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.bt")
	write(t, file, "BEGIN { @x = 1; }\ninterval:s:1 { print(@y); }\n")
	gtrace(t, "check", file).want(t, 1, "x.bt:2:", "@y")
	gtrace(t, "check", "-f", "json", file).want(t, 1, `"verdict":"reject"`, `"source":"`+file+`:2:`)
	gtrace(t, "check", "examples/summary.bt", "-e", "BEGIN { exit(); }").want(t, 0, "accept", "accept")
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// TestBuild: what build writes is accepted by check, and loads with libbpf.
func TestBuild(t *testing.T) {
	dir := t.TempDir()
	obj := filepath.Join(dir, "x.bpf.o")
	plain := `uprobe:/bin/bash:readline { @[str(arg0)] = count(); }`
	gtrace(t, "build", "-o", obj, "-e", plain).want(t, 0)
	gtrace(t, "check", obj).want(t, 0, "accept")
	requireKernel(t)
	script := plain + `
		rawtracepoint:sched_process_exec { @[str(args.p->real_parent->comm)] = count(); }
		tracepoint:sched:sched_process_exit { printf("%s %d\n", comm, args.pid); }`
	gtrace(t, "build", "-o", obj, "-e", script).want(t, 0)
	gtrace(t, "check", obj).want(t, 0, "accept", "accept", "accept")
	bpftool := testkit.RequireTool(t, "bpftool")
	// Not pinned: -d loads and lets go; generating a skeleton parses all of it with libbpf.
	if out, err := exec.Command(bpftool, "gen", "skeleton", obj).CombinedOutput(); err != nil {
		t.Errorf("libbpf cannot open it: %v\n%s", err, out)
	}
	pin := filepath.Join(dir, "bpffs")
	if err := os.Mkdir(pin, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "bpf", "bpf", pin).CombinedOutput(); err != nil {
		t.Skipf("no private bpffs: %v %s", err, out)
	}
	defer exec.Command("umount", pin).Run()
	if out, err := exec.Command(bpftool, "prog", "loadall", obj, filepath.Join(pin, "x")).CombinedOutput(); err != nil {
		t.Errorf("libbpf cannot load it: %v\n%s", err, out)
	}
}

func TestList(t *testing.T) {
	gtrace(t, "list", "uprobe:/bin/bash:read*").want(t, 0, "uprobe:/bin/bash:readline\n")
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err == nil {
		gtrace(t, "list", "-v", "rawtracepoint:sched_process_e*").want(t, 0, "rawtracepoint:sched_process_exec", "struct task_struct *")
	}
	gtrace(t, "list", "uprobe:/bin/bash:readlin").want(t, 2, "readline")
}

func TestOutput(t *testing.T) {
	engines(t, func(t *testing.T, engine string) {
		file := filepath.Join(t.TempDir(), "trace.json")
		r := gtrace(t, "run", "--engine", engine, "--format", "json", "-o", file, "-e",
			`BEGIN { printf("begin %d\n", $1); } uprobe:/bin/bash:xmalloc { @calls = count(); }`, "7", "--", "/bin/bash", "-c", "echo own output")
		r.want(t, 0)
		if r.stdout != "own output\n" {
			t.Errorf("standard output is not the command's alone: %q", r.stdout)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if !json.Valid([]byte(line)) {
				t.Errorf("no JSON: %s", line)
			}
		}
		for _, want := range []string{`"begin 7\n"`, `"@calls": `} {
			if !strings.Contains(string(data), want) {
				t.Errorf("%s is not in %s", want, data)
			}
		}
	})
}

func TestDryRun(t *testing.T) {
	engines(t, func(t *testing.T, engine string) {
		gtrace(t, "run", "--engine", engine, "--dry-run", "-v", "-e", `uprobe:/bin/bash:readline { @ = count(); }`).
			want(t, 0, "uprobe:/bin/bash:readline: accepted", "; -e:1:", "exit", engine+" engine: asked for")
	})
}

func TestScriptFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.bt")
	write(t, file, "#!/usr/bin/env gtrace\nBEGIN { printf(\"%s %d\\n\", str($1), $2); exit(3); }\n")
	engines(t, func(t *testing.T, engine string) {
		gtrace(t, "--engine", engine, file, "first", "2").want(t, 3, "first 2\n")
	})
	gtrace(t, "-e", "BEGIN { exit(); }", "--", "/bin/sleep", "60").want(t, 0)
}

// TestBadInput: a clear error and the right exit code for each.
func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	write(t, text, "not a program\n")
	cut := filepath.Join(dir, "cut")
	if data, err := os.ReadFile("/bin/bash"); err == nil {
		write(t, cut, string(data[:len(data)/3]))
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"syntax", []string{"-e", "BEGIN { printf( }"}, 1, []string{"-e:1:17: error", "^"}},
		{"unknown function", []string{"-e", "BEGIN { prinf(\"x\"); }"}, 1, []string{"prinf", "did you mean", "print"}},
		{"types", []string{"-e", "BEGIN { @x = 1; @x = \"a\"; }"}, 1, []string{"@x", "-e:1:"}},
		{"deref of register", []string{"-e", "uprobe:/bin/bash:readline { print(arg0->x); }"}, 1, []string{"cast"}},
		{"missing binary", []string{"-e", "uprobe:/no/such:f { @ = count(); }", "--", "/bin/true"}, 1, []string{"/no/such"}},
		{"missing symbol", []string{"-e", "uprobe:/bin/bash:readlne { @ = count(); }", "--", "/bin/true"}, 1, []string{"readlne", "readline"}},
		{"no ELF", []string{"-e", "uprobe:" + text + ":f { @ = count(); }", "--", "/bin/true"}, 2, []string{"ELF"}},
		{"truncated ELF", []string{"-e", "uprobe:" + cut + ":readline { @ = count(); }", "--", "/bin/true"}, 2, []string{cut}},
		{"no command", []string{"-e", "BEGIN { }", "--", "/no/such/command"}, 2, []string{"no such"}},
		{"no process", []string{"--engine", "user", "-p", "4194303", "-e", "uprobe:/bin/bash:readline { }"}, 2, []string{"4194303"}},
		{"no target", []string{"--engine", "user", "-e", "uprobe:/bin/bash:readline { }"}, 2, []string{"-p", "--"}},
		{"kernel probe on user engine", []string{"--engine", "user", "-e", "rawtracepoint:sched_switch { }"}, 2, []string{"unsupported"}},
		{"no engine", []string{"--engine", "warp", "-e", "BEGIN { }"}, 2, []string{"warp"}},
		{"no file", []string{"/no/such.bt"}, 2, []string{"no such file"}},
		{"flag", []string{"--nosuch"}, 2, []string{"--nosuch", "--help"}},
		{"unsupported", []string{"-e", "kprobe:do_exit { }"}, 2, []string{"unsupported", "kprobe"}},
		{"garbage object", []string{"check", text + ".o"}, 2, []string{"error"}},
		{"cut object", []string{"check", cut}, 2, []string{"error"}},
	} {
		t.Run(c.name, func(t *testing.T) { gtrace(t, c.args...).want(t, c.code, c.want...) })
	}
}

// TestFullMap: what does not fit is counted, the target goes on.
func TestFullMap(t *testing.T) {
	path := server(t, "-O2")
	engines(t, func(t *testing.T, engine string) {
		gtrace(t, "run", "--engine", engine, "--max-keys", "8", "-e", `uprobe:`+path+`:handle_request { @[args.req->id] = count(); }`, "--", path, "100").
			want(t, 0, "100 requests", "100 hits", "92 updates refused (map full)")
	})
}

// TestTargetsEnd: the target crashes, is killed, or becomes another program.
func TestTargetsEnd(t *testing.T) {
	for name, script := range map[string]string{
		"killed":  `kill -KILL $$`,
		"crashes": `kill -SEGV $$`,
		"execs":   `exec /bin/bash -c 'echo again'`,
	} {
		t.Run(name, func(t *testing.T) {
			engines(t, func(t *testing.T, engine string) {
				gtrace(t, "run", "--engine", engine, "-e", `uprobe:/bin/bash:xmalloc { @ = count(); }`, "--", "/bin/bash", "-c", script).want(t, 0, "@: ")
			})
		})
	}
}

// TestUnprivileged: who may not use bpf(2) traces own programs with the user
// engine, and is told why others' can't be.
func TestUnprivileged(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("becoming somebody else needs root")
	}
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	command{args: []string{"-v", "-e", `uprobe:libc:malloc { @ = count(); }`, "--", "/bin/ls", "/"}, attr: nobody}.run(t).
		want(t, 0, "@: ", "user engine: the kernel engine cannot be used")
	target := testkit.StartTarget(t, "/bin/sleep", "60")
	command{args: []string{"-p", itoa(target.PID), "-e", `uprobe:libc:malloc { @ = count(); }`}, attr: nobody}.run(t).
		want(t, 2, "not permitted", "as that user or as root")
	command{args: []string{"-e", `rawtracepoint:sched_switch { @ = count(); }`}, attr: nobody}.run(t).
		want(t, 2, "needs the kernel engine")
}

// TestDamagedDWARF: debug information that cannot be read is an error at the
// script's place, and the program can still be traced without it.
func TestDamagedDWARF(t *testing.T) {
	// Without a build-id, so that no other test's types of it are in the cache.
	path := server(t, "-O2", "-Wl,--build-id=none")
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	info := f.Section(".debug_info")
	f.Close()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := uint64(4); i < info.FileSize; i++ {
		data[info.Offset+i] ^= 0x5a
	}
	bad := filepath.Join(t.TempDir(), "server")
	if err := os.WriteFile(bad, data, 0o755); err != nil {
		t.Fatal(err)
	}
	engines(t, func(t *testing.T, engine string) {
		gtrace(t, "run", "--engine", engine, "-e", `uprobe:`+bad+`:handle_request { print(args.req->len); }`, "--", bad).
			want(t, 2, "-e:1:", bad)
		gtrace(t, "run", "--engine", engine, "-e", `uprobe:`+bad+`:handle_request { @ = count(); }`, "--", bad, "100").
			want(t, 0, "100 requests", "@: 100")
	})
}
