package gtrace_test

// The main job: real programs, from script to answer, on both engines.

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gtrace-dev/gtrace/internal/testkit"
)

func TestBashReadline(t *testing.T) {
	engines(t, func(t *testing.T, engine string) {
		r := command{
			args: []string{"run", "--engine", engine, "-e",
				`uretprobe:/bin/bash:readline { printf("<%s> by %s\n", str(retval), comm); @lines = count(); }`,
				"--", "/bin/bash", "--norc", "--noprofile", "-i"},
			stdin: "echo first\nexit 0\n",
		}.run(t)
		r.want(t, 0, "<echo first> by bash", "<exit 0> by bash", "@lines: 2")
	})
}

func TestLibcTypes(t *testing.T) {
	requireFile(t, "/usr/lib/debug/.build-id", "Debian's libc6-dbg")
	engines(t, func(t *testing.T, engine string) {
		r := gtrace(t, "run", "--engine", engine, "-e",
			`uprobe:libc:getaddrinfo { printf("%s family %d\n", str(args.name), args.hints->ai_family); }
			 uprobe:libc:malloc { @sizes = hist(args.bytes); @calls = count(); }`,
			"--", "getent", "ahosts", "127.0.0.1")
		r.want(t, 0, "127.0.0.1 family 0", "@calls: ", "@sizes:", "@@@")
	})
}

func TestWithoutDebugInfo(t *testing.T) {
	engines(t, func(t *testing.T, engine string) {
		r := gtrace(t, "run", "--engine", engine, "-e", `uprobe:/bin/bash:readline { print(args.prompt); }`, "--", "/bin/true")
		r.want(t, 2, "no debug information")
		r = gtrace(t, "run", "--engine", engine, "-e", `uprobe:/bin/bash:xmalloc { @ = count(); @size = max(arg0); }`, "--", "/bin/bash", "-c", ":")
		r.want(t, 0, "@: ", "@size: ")
	})
}

func TestKernelTypes(t *testing.T) {
	requireKernel(t)
	gtrace(t, "-e", `rawtracepoint:sched_process_exec /args.p->real_parent->tgid == cpid/ {
		printf("%s from %s from %s\n", comm, str(args.p->real_parent->comm), str(args.p->real_parent->real_parent->comm)); }`,
		"--", "/bin/sh", "-c", "/bin/true; exit 0").
		want(t, 0, "true from sh from gtrace")
	gtrace(t, "-e", `tracepoint:sched:sched_process_exit /pid == cpid/ { printf("%s %d\n", str(args.comm), args.pid == cpid); }`, "--", "/bin/true").
		want(t, 0, "true 1")
	r := gtrace(t, "-e", "rawtracepoint:sched_process_exec {\n  print(args.p->real_parnt->comm);\n}")
	r.want(t, 1, "-e:2:", "real_parnt", "^", "real_parent")
}

func TestCheck(t *testing.T) {
	r := gtrace(t, "check", "-f", "json", "-e", `uprobe:/bin/bash:readline { @ = count(); }`)
	r.want(t, 0, `"file":"-e"`, `"type":"kprobe"`, `"verdict":"accept"`)
}

// server is testdata/targets/server.c with debug information.
func server(t *testing.T, flags ...string) string {
	return testkit.Build(t, "gcc", "testdata/targets/server.c", append([]string{"-g", "-O2", "-pthread"}, flags...)...)
}

func TestServer(t *testing.T) {
	testkit.RequireTool(t, "gcc")
	for _, flags := range [][]string{{"-O2"}, {"-O0"}, {"-O2", "-static-pie"}, {"-O2", "-no-pie"}, {"-O2", "-fcf-protection"}} {
		path := server(t, flags...)
		t.Run(strings.Join(flags, ""), func(t *testing.T) {
			engines(t, func(t *testing.T, engine string) { testServer(t, engine, path) })
		})
	}
}

func testServer(t *testing.T, engine, path string) {
	r := gtrace(t, "run", "--engine", engine, "-e", `
		uprobe:`+path+`:handle_request /args.req->len > 10/ { @[str(args.req->path)] = count(); }
		uprobe:`+path+`:handle_request { @client[str(args.req->client->name)] = count();
			if (args.req->id == 31) { printf("port %d prio %d retries %d balance %d size %d status %d secure %d method %d\n",
				args.req->headers[1].value != 0 ? 1 : 0, args.req->priority, args.req->retries, args.req->balance,
				args.req->sizes[2], args.req->reply.status, args.req->secure, args.req->method); }
			if (args.req->id == 33) { printf("null %s\n", str(args.req->client->name)); }
			if (args.req->id == 37) { printf("wild %d\n", args.req->client->addr.port); }
			if (args.req->id == 36) { printf("chain %s\n", str(args.req->client->referrer->name)); }
			if (args.req->id == 35) { printf("chain %s\n", str(args.req->client->referrer->name)); } }
		uprobe:`+path+`:mixed /args.n == 21/ { printf("mixed %d %d %d\n", args.by_value.first, args.by_value.second, args.last); }
		uprobe:`+path+`:by_value /args.n == 21/ { printf("by_value %d %d %d %d\n", args.s.x, args.s.y, args.b.words[0], args.b.words[4]); }
		uprobe:`+path+`:many /args.g == 21/ { printf("many %d %d\n", args.f, args.h); }
		uretprobe:`+path+`:method_name { @name[str(retval)] = count(); }
		uretprobe:`+path+`:depth { @depth = max(retval); }`,
		"--", path, "100", "2")
	// Of requests 0 to 99 alice sent the even ones and bob the odd ones, but
	// those with i%10 == 3 have no client and those with 7 a wild one.
	for _, want := range []string{
		"port 1 prio 7 retries 31 balance -1 size 312 status 0 secure 1 method 2\n",
		"null <null>\n", "wild <fault>\n", "chain <null>\n", "chain alice\n",
		"mixed 21 -21 7\n", "by_value 1 2 21 3\n", "many 6 8\n",
		"@[/index.html]: 25\n", "@[/api/v1/users]: 25\n",
		"@client[alice]: 50\n", "@client[bob]: 30\n",
		"@depth: 3\n", "@name[GET]: 34\n", "100 requests, checksum ",
		"values could not be read",
	} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("%q is not in the output", want)
		}
	}
	r.want(t, 0)
	alone, err := exec.Command(path, "100", "2").Output()
	if err != nil || !strings.Contains(r.stdout, string(alone)) {
		t.Errorf("the traced program printed something else than %q (%v)", alone, err)
	}
}

func TestGo(t *testing.T) {
	path := testkit.Build(t, "go", "./testdata/targets/goserver")
	engines(t, func(t *testing.T, engine string) {
		r := gtrace(t, "run", "--engine", engine, "-e",
			`uprobe:`+path+`:main.handle { @calls = count(); @n = max(args.n); @port[args.req->Client->Port] = count(); }`,
			"--", path, "100", "2")
		r.want(t, 0, "@calls: 100\n", "@n: ", "@port[8080]: 90\n")
		gtrace(t, "run", "--engine", engine, "-e", `uretprobe:`+path+`:main.handle { @ = count(); }`, "--", path).
			want(t, 2, "unsupported: return probes in Go programs")
	})
}

// TestExamples runs the shipped examples.
func TestExamples(t *testing.T) {
	udp := []string{"--", "/bin/bash", "-c", "for i in 1 2 3 4 5; do echo hello > /dev/udp/127.0.0.1/9; done"}
	t.Run("loopback", func(t *testing.T) {
		requireKernel(t)
		gtrace(t, append([]string{"examples/loopback.bt"}, udp...)...).want(t, 0, "@bytes: ", "@packets: ", "@sizes: ", "[")
	})
	t.Run("kfree_skb", func(t *testing.T) {
		requireKernel(t)
		gtrace(t, append([]string{"examples/kfree_skb.bt"}, udp...)...).want(t, 0, "@drops[bash, ", "udp", "NO_SOCKET]: 5")
	})
	t.Run("summary", func(t *testing.T) {
		engines(t, func(t *testing.T, engine string) {
			r := gtrace(t, "run", "--engine", engine, "examples/summary.bt", "--", "/bin/bash", "-c",
				`for i in 1 2 3 4 5; do echo $i; sleep 0.5; done > /dev/null`)
			r.want(t, 0, "in second 1:\n@second[bash]: ", "in second 2:\n@second[bash]: ", "in all:\n", "@total[bash]: 10\n", "@writes[bash]: 5\n")
		})
	})
	t.Run("malloc", func(t *testing.T) {
		requireFile(t, "/usr/lib/debug/.build-id", "Debian's libc6-dbg")
		engines(t, func(t *testing.T, engine string) {
			gtrace(t, "run", "--engine", engine, "examples/malloc.bt", "--", "ls", "/").want(t, 0, "@bytes[ls]: ", "@calls[ls]: ")
		})
	})
	t.Run("getaddrinfo", func(t *testing.T) {
		requireFile(t, "/usr/lib/debug/.build-id", "Debian's libc6-dbg")
		engines(t, func(t *testing.T, engine string) {
			gtrace(t, "run", "--engine", engine, "examples/getaddrinfo.bt", "--", "getent", "ahosts", "127.0.0.1").
				want(t, 0, "looks up 127.0.0.1, service <null>", "has it after", "result 0")
		})
	})
	t.Run("readline", func(t *testing.T) {
		engines(t, func(t *testing.T, engine string) {
			command{args: []string{"run", "--engine", engine, "examples/readline.bt", "--", "/bin/bash", "--norc", "-i"}, stdin: "echo hello\nexit 0\n"}.
				run(t).want(t, 0, "echo hello", "exit 0")
		})
	})
}

func TestProcess(t *testing.T) {
	path := server(t, "-O2")
	engines(t, func(t *testing.T, engine string) {
		target := testkit.StartTarget(t, path, "-w", "500", "2", "100")
		if _, err := target.Line(); err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(300 * time.Millisecond)
			target.Stdin.Write([]byte("\n"))
		}()
		r := gtrace(t, "run", "--engine", engine, "-p", itoa(target.PID), "-e", `uprobe:`+path+`:handle_request { @ = count(); @threads[tid] = count(); }`)
		r.want(t, 0, "@: 500\n", "@threads[")
		rest, err := target.Rest()
		if err != nil || !strings.Contains(rest, "500 requests") {
			t.Errorf("the target: %v, %q", err, rest)
		}
	})
}

// TestInterrupt: SIGINT reaches the command once and ends the trace.
func TestInterrupt(t *testing.T) {
	engines(t, func(t *testing.T, engine string) {
		ready := filepath.Join(t.TempDir(), "ready")
		r := command{
			args: []string{"run", "--engine", engine, "-e", `uprobe:/bin/bash:xmalloc { @ = count(); } END { printf("the end\n"); }`, "--",
				"/bin/bash", "-c", `n=0; trap 'n=$((n+1))' INT; : > ` + ready + `; for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; done; echo "$n signals"`},
			during: func(p *os.Process) {
				for range 500 {
					if _, err := os.Stat(ready); err == nil {
						break
					}
					time.Sleep(10 * time.Millisecond)
				}
				p.Signal(syscall.SIGINT)
			},
		}.run(t)
		r.want(t, 0, "the end\n", "@: ")
		r.want(t, 0, "1 signals")
	})
}

func TestWildcard(t *testing.T) {
	engines(t, func(t *testing.T, engine string) {
		path := server(t, "-O2")
		r := gtrace(t, "run", "--engine", engine, "-e", `uprobe:`+path+`:m* { @[func] = count(); @p[probe] = count(); }`, "--", path, "10")
		r.want(t, 0, "@[method_name]: 10\n", "@p[uprobe:"+path+":")
		for _, f := range []string{"main", "mixed", "many"} {
			if !strings.Contains(r.stdout, "@["+f+"]: 1") {
				t.Errorf("no hits of %s", f)
			}
		}
	})
}

// TestMountNamespace traces a program that only the target's root directory has.
func TestMountNamespace(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("chroot needs root")
	}
	path := server(t, "-O2", "-static-pie")
	root := t.TempDir()
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(filepath.Join(root, "server"), data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	engines(t, func(t *testing.T, engine string) {
		cmd := exec.Command("/server", "-w", "50", "2")
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
		cmd.Dir = "/"
		in, _ := cmd.StdinPipe()
		out, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Wait()
		defer cmd.Process.Kill()
		buf := make([]byte, 64)
		if _, err := out.Read(buf); err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(300 * time.Millisecond)
			in.Write([]byte("\n"))
		}()
		r := gtrace(t, "run", "--engine", engine, "-p", itoa(cmd.Process.Pid), "-e", `uprobe:/server:handle_request { @[str(args.req->client->name)] = count(); }`)
		r.want(t, 0, "@[bob]: 15\n", "@[alice]: 25\n")
	})
}

// TestEveryProcess: without -p or a command the kernel engine traces all
// processes; the script picks those of the test by the binary's path.
func TestEveryProcess(t *testing.T) {
	requireKernel(t)
	path := server(t, "-O2")
	r := command{
		args: []string{"-e", `BEGIN { printf("begun\n"); } uprobe:./server:handle_request { @[comm] = count(); }`},
		dir:  filepath.Dir(path),
		when: "begun", then: func(p *os.Process) {
			for range 3 {
				if err := exec.Command(path, "10").Run(); err != nil {
					t.Error(err)
				}
			}
			p.Signal(syscall.SIGINT)
		},
	}.run(t)
	r.want(t, 0, "@[server]: 30\n")
}
