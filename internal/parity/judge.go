package main

// This file defines subject, a test to judge, and oracle, who judges it beside gtrace.

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/gtrace-dev/gtrace/image"
)

// subject is a compiled test.
type subject struct {
	test, object string
	expected     map[string]expectation // by program
}

func (s *subject) statesUnprivileged() bool {
	for _, e := range s.expected {
		if e.Unprivileged.Verdict != "" {
			return true
		}
	}
	return false
}

// subjects compiles the tests. What cannot be compiled is said and left away.
func (c *cache) subjects(ctx context.Context, only string, progress io.Writer) ([]subject, error) {
	tests, err := c.tests(only)
	if err != nil {
		return nil, err
	}
	var list []subject
	for _, test := range tests {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		compiling, done := context.WithTimeout(ctx, compileLimit)
		err := c.compile(compiling, test)
		done()
		if err != nil {
			fmt.Fprintf(progress, "parity: %s cannot be compiled: %s\n", test, firstError(err.Error()))
			continue
		}
		object := c.kernel("objects/" + test + ".bpf.o")
		expected, err := expectations(object)
		if err != nil {
			fmt.Fprintf(progress, "parity: %s: its tags cannot be read: %s\n", test, oneLine(err.Error()))
			continue
		}
		list = append(list, subject{test, object, expected})
	}
	return list, nil
}

// oracle is a kernel, and the same as a target of ours.
type oracle struct {
	target       *image.Target
	unprivileged bool
	ask          func(ctx context.Context, s subject) ([]kernelVerdict, error)
}

// runningOracle is the kernel that this process runs on.
func (c *cache) runningOracle() (*oracle, error) {
	target, err := image.Running()
	if err != nil {
		return nil, err
	}
	return &oracle{target: target, ask: func(ctx context.Context, s subject) ([]kernelVerdict, error) {
		return c.askKernel(ctx, s.object, questionOf(s.expected, false), 2*time.Minute)
	}}, nil
}

// judge gives both sides' verdicts on every program of the subjects. What
// cannot be asked is said and left away.
func (k *oracle) judge(ctx context.Context, subjects []subject, limit time.Duration, progress io.Writer) ([]row, error) {
	if _, err := k.target.BTF(); err != nil { // read before the first program's clock runs
		return nil, err
	}
	var rows []row
	for i, s := range subjects {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if i%100 == 0 {
			fmt.Fprintf(progress, "parity: %d of %d tests, %d programs\n", i, len(subjects), len(rows))
		}
		if k.unprivileged && !s.statesUnprivileged() {
			continue
		}
		said, err := k.ask(ctx, s)
		if err != nil {
			fmt.Fprintf(progress, "parity: %s: the kernel was not asked: %s\n", s.test, oneLine(err.Error()))
			continue
		}
		rows = append(rows, k.compare(ctx, s, said, limit)...)
	}
	return rows, nil
}

// compare puts gtrace's verdicts beside the kernel's; without privilege only
// of programs of which the test states something.
func (k *oracle) compare(ctx context.Context, s subject, said []kernelVerdict, limit time.Duration) []row {
	var names []string
	for _, v := range said {
		if !k.unprivileged || s.expected[v.Program].Unprivileged.Verdict != "" {
			names = append(names, v.Program)
		}
	}
	ours := judgeObject(ctx, s.object, names, s.expected, k.target, limit)
	var rows []row
	for _, v := range said {
		if our, ok := ours[v.Program]; ok {
			e := s.expected[v.Program]
			r := row{Test: s.test, Program: v.Program, Kernel: v, Ours: our, Stated: e.Privileged}
			if k.unprivileged {
				r.Stated = e.Unprivileged
			}
			rows = append(rows, r)
		}
	}
	return rows
}
