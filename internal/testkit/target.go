package testkit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// This file builds and starts the programs that tests look into.

// Build compiles src and returns the binary's path, in a directory of its own.
// lang is "go" (src: a directory or file of package main), or a C compiler
// ("gcc", "clang-19"; src: a file). What was built once from the same source
// and flags is taken from a cache.
func Build(t testing.TB, lang, src string, flags ...string) string {
	t.Helper()
	RequireTool(t, lang)
	out := filepath.Join(t.TempDir(), strings.TrimSuffix(filepath.Base(src), ".c"))
	if lang == "go" {
		// The go command has its own cache, which knows all of the package's files.
		run(t, append(append([]string{"go", "build", "-buildvcs=false", "-o", out}, flags...), src), "CGO_ENABLED=0")
		return out
	}
	data, err := os.ReadFile(src)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %q %q\n%s", lang, flags, filepath.Base(src), data))
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = t.TempDir()
	}
	cached := filepath.Join(dir, "gtrace-testkit", fmt.Sprintf("%x", sum[:16]))
	if copyFile(out, cached) == nil {
		return out
	}
	run(t, append([]string{lang, "-o", out, src}, flags...))
	if err := os.MkdirAll(filepath.Dir(cached), 0o755); err == nil {
		tmp := fmt.Sprintf("%s.%d", cached, os.Getpid())
		if copyFile(tmp, out) == nil {
			_ = os.Rename(tmp, cached)
		}
	}
	return out
}

// run runs a command that has to succeed.
func run(t testing.TB, argv []string, env ...string) {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
}

// copyFile copies an executable: each test gets an inode of its own.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		os.Remove(to)
		return err
	}
	return out.Close()
}

// Target is a running process to look into.
type Target struct {
	PID   int
	Stdin io.WriteCloser
	cmd   *exec.Cmd
	lines *bufio.Reader
	errs  bytes.Buffer
	wait  sync.Once
	err   error
}

// StartTarget starts a program. It is killed by its pid at the end of the test.
func StartTarget(t testing.TB, path string, args ...string) *Target {
	t.Helper()
	p := &Target{cmd: exec.Command(path, args...)}
	p.cmd.Stderr = &p.errs
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewReader(out)
	if p.Stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.PID = p.cmd.Process.Pid
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.Wait()
	})
	return p
}

// Line reads a line of the target's output, without its end. "" with io.EOF at the end.
func (p *Target) Line() (string, error) {
	s, err := p.lines.ReadString('\n')
	return strings.TrimSuffix(s, "\n"), err
}

// Rest reads the target's output to its end.
func (p *Target) Rest() (string, error) {
	b, err := io.ReadAll(p.lines)
	return string(b), err
}

// Wait waits for the target's end. Read its output first. The error tells
// status and what it wrote to standard error.
func (p *Target) Wait() error {
	p.wait.Do(func() {
		if p.err = p.cmd.Wait(); p.err != nil {
			p.err = fmt.Errorf("%w: %s", p.err, strings.TrimSpace(p.errs.String()))
		}
	})
	return p.err
}
