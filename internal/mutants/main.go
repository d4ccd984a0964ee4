// Mutants puts known verifier bugs back, one at a time, and requires that a
// test finds each: what no test notices would not be noticed when it happens.
//
// A mutant is a small change of one file's text, given to the go command as an
// overlay: the tree itself stays as it is.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// mutant is a bug and the test that finds it.
type mutant struct {
	name     string
	file     string // from the module's root
	old, new string // old occurs once in file
	test     test
}

// test is a run of go test.
type test struct{ pkg, run, args string }

func main() {
	only := flag.String("only", "", "only mutants whose names match this regular expression")
	limit := flag.Duration("limit", 3*time.Minute, "how long a mutant's test may take")
	flag.Parse()
	match, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	defer os.RemoveAll(dir)
	failed := 0
	for _, m := range mutants {
		if !match.MatchString(m.name) {
			continue
		}
		start := time.Now()
		how, err := m.judge(dir, *limit)
		if err != nil {
			failed++
			how = err.Error()
		}
		fmt.Printf("%-44s %5.1fs  %s\n", m.name, time.Since(start).Seconds(), how)
	}
	if failed > 0 {
		fmt.Printf("%d mutants were not found\n", failed)
		os.RemoveAll(dir)
		os.Exit(1)
	}
}

// judge says by what a mutant was found.
func (m *mutant) judge(dir string, limit time.Duration) (string, error) {
	text, err := os.ReadFile(m.file)
	if err != nil {
		return "", err
	}
	if n := bytes.Count(text, []byte(m.old)); n != 1 {
		return "", fmt.Errorf("STALE: its text occurs %d times in %s", n, m.file)
	}
	mutated := filepath.Join(dir, filepath.Base(m.file))
	if err := os.WriteFile(mutated, bytes.Replace(text, []byte(m.old), []byte(m.new), 1), 0o644); err != nil {
		return "", err
	}
	path, err := filepath.Abs(m.file)
	if err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: mutated}})
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o644); err != nil {
		return "", err
	}
	return m.run(list, limit)
}

func (m *mutant) run(overlay string, limit time.Duration) (string, error) {
	args := []string{"test", "-overlay", overlay, "-count=1", "-run", m.test.run, m.test.pkg}
	if m.test.args != "" {
		args = append(append(args, "-args"), strings.Fields(m.test.args)...)
	}
	ctx, stop := context.WithTimeout(context.Background(), limit)
	defer stop()
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	what := strings.TrimSpace(m.test.pkg + " " + m.test.run + " " + m.test.args)
	switch text := string(out); {
	case ctx.Err() != nil:
		return "found by " + what + ": it does not end", nil
	case strings.Contains(text, "[build failed]"), strings.Contains(text, "[setup failed]"):
		return "", fmt.Errorf("DOES NOT BUILD: %s", firstLine(text))
	case err == nil:
		return "", fmt.Errorf("SURVIVES %s", what)
	case !strings.Contains(text, "--- FAIL") && !strings.Contains(text, "panic:"):
		return "", fmt.Errorf("did not run: %s", firstLine(text))
	}
	return "found by " + what, nil
}

func firstLine(s string) string {
	s = strings.TrimSpace(s)
	if lines := strings.SplitN(s, "\n", 3); len(lines) > 1 {
		return lines[0] + " " + lines[1]
	}
	return s
}
