package main

// This file measures memory: the largest programs are verified once more, each in a process of its own.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// peaks prints the most memory that gtrace took for each of the n programs on
// which it processed most instructions.
func (k *oracle) peaks(ctx context.Context, subjects []subject, rows []row, n int, w io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	objects := map[string]string{}
	for _, s := range subjects {
		objects[s.test] = s.object
	}
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(b.Ours.Insns, a.Ours.Insns) })
	fmt.Fprintln(w, "Peak memory of the largest programs, each in a process of its own (with the kernel's types)")
	for _, r := range rows[:min(n, len(rows))] {
		cmd := exec.CommandContext(ctx, self, "-one", objects[r.Test]+":"+r.Program)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("%s/%s: %w", r.Test, r.Program, err)
		}
		fmt.Fprintf(w, "%10s  %s/%s (%d instructions)\n", strings.TrimSpace(string(out)), r.Test, r.Program, r.Ours.Insns)
	}
	fmt.Fprintln(w)
	return nil
}

// one verifies OBJECT:PROGRAM and prints the most memory that this process
// had. (Its parent cannot tell: what getrusage says of a child counts the
// parent's memory from before the child's exec.)
func one(ctx context.Context, o options) error {
	file, program, ok := strings.Cut(o.one, ":")
	if !ok {
		return fmt.Errorf("-one %s: expected OBJECT:PROGRAM", o.one)
	}
	c := &cache{}
	k, err := c.runningOracle()
	if err != nil {
		return err
	}
	expected, err := expectations(file)
	if err != nil {
		return err
	}
	if v := judgeObject(ctx, file, []string{program}, expected, k.target, o.limit)[program]; v.Verdict == failed {
		return errors.New(v.Message)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, high, ok := strings.Cut(string(status), "VmHWM:")
	if !ok {
		return errors.New("/proc/self/status has no VmHWM")
	}
	high, _, _ = strings.Cut(high, "\n")
	fmt.Println(strings.TrimSpace(high))
	return nil
}
