package gtrace_test

// End-to-end tests: the built binary, real programs, both engines.

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gtrace-dev/gtrace/engine/kernel"
)

// binary is the gtrace under test, built once; cache is where it keeps types.
var binary, cache string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "gtrace-e2e")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		cache = filepath.Join(dir, "cache")
		// Others may run it: a test does so as nobody.
		if err := os.Chmod(dir, 0o755); err != nil {
			panic(err)
		}
		binary = filepath.Join(dir, "gtrace")
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "./cmd/gtrace")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			panic(string(out))
		}
		return m.Run()
	}())
}

// result is what a run of gtrace left.
type result struct {
	stdout, stderr string
	code           int
}

// command is one run of gtrace.
type command struct {
	args  []string
	stdin string
	attr  *syscall.SysProcAttr
	dir   string
	// during is called with the running process.
	during func(*os.Process)
	// then is called when standard output has the text when.
	when string
	then func(*os.Process)
}

func (c command) run(t *testing.T) result {
	t.Helper()
	cmd := exec.Command(binary, c.args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr, cmd.Dir = &stdout, &stderr, c.attr, c.dir
	if c.then != nil {
		cmd.Stdout = &watcher{buf: &stdout, text: c.when, then: func() { go c.then(cmd.Process) }}
	}
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+cache)
	if c.stdin != "" {
		cmd.Stdin = strings.NewReader(c.stdin)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(60*time.Second, func() { cmd.Process.Kill() })
	defer watchdog.Stop()
	if c.during != nil {
		c.during(cmd.Process)
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, io.ErrClosedPipe) {
		t.Fatal(err)
	}
	r := result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
	t.Logf("gtrace %s\n→ %d\n%s%s", strings.Join(c.args, " "), r.code, r.stdout, r.stderr)
	return r
}

// watcher is a buffer that reports the first time that text is in it.
type watcher struct {
	buf  *bytes.Buffer
	text string
	then func()
}

func (w *watcher) Write(p []byte) (int, error) {
	n, err := w.buf.Write(p)
	if w.then != nil && strings.Contains(w.buf.String(), w.text) {
		w.then()
		w.then = nil
	}
	return n, err
}

func gtrace(t *testing.T, args ...string) result {
	t.Helper()
	return command{args: args}.run(t)
}

// want fails the test unless r ended with code and its output has each part, in this order.
func (r result) want(t *testing.T, code int, parts ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit status %d, want %d", r.code, code)
	}
	all, rest := r.stdout+r.stderr, r.stdout+r.stderr
	for _, p := range parts {
		i := strings.Index(rest, p)
		if i < 0 {
			t.Errorf("%q is not in the output (or not in this order):\n%s", p, all)
			return
		}
		rest = rest[i+len(p):]
	}
}

// engines runs f on each engine that this machine permits.
func engines(t *testing.T, f func(t *testing.T, engine string)) {
	t.Run("kernel", func(t *testing.T) {
		requireKernel(t)
		f(t, "kernel")
	})
	t.Run("user", func(t *testing.T) { f(t, "user") })
}

func requireKernel(t *testing.T) {
	t.Helper()
	if err := kernel.Permitted(); err != nil {
		t.Skipf("no kernel engine here: %v", err)
	}
}

func requireFile(t *testing.T, path, from string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s (%s) is missing", path, from)
		}
		t.Skipf("%s (%s) is missing", path, from)
	}
}
