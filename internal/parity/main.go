package main

// This file is the command line.

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/gtrace-dev/gtrace/image"
)

type options struct {
	only, list, csv string
	limit           time.Duration
}

// outcomes are what -list takes.
var outcomes = map[string]string{"reject": falseReject, "accept": falseAccept, "unsupported": unsupported, "error": failed, "left-out": leftOut}

// codeLists are what else -list takes: comparisons of codes.
var codeLists = map[string]string{"code": otherCode, "class": noClass}

func main() {
	var o options
	flag.StringVar(&o.only, "only", "*", "only the tests whose names match this `glob`: 'verifier_*'")
	flag.StringVar(&o.list, "list", "", "name the programs of one `outcome` instead of the tables: reject, accept, unsupported, error, left-out;\n"+
		"code: another code than the kernel's message has; class: messages that the table lacks")
	flag.StringVar(&o.csv, "csv", "", "also write a line a program to this `file`")
	flag.DurationVar(&o.limit, "limit", 30*time.Second, "how long gtrace may take for a program")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := measure(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "parity:", err)
		os.Exit(2)
	}
}

func measure(ctx context.Context, o options, w, progress io.Writer) error {
	if o.list != "" && outcomes[o.list] == "" && codeLists[o.list] == "" {
		return fmt.Errorf("-list %s: expected reject, accept, unsupported, error, left-out, code or class", o.list)
	}
	c, err := openCache()
	if err != nil {
		return err
	}
	fmt.Fprintln(progress, "parity: in", c.dir)
	if err := c.prepare(ctx); err != nil {
		return err
	}
	tests, err := c.tests(o.only)
	if err != nil {
		return err
	}
	rows, err := c.judge(ctx, tests, o.limit, progress)
	if err != nil {
		return err
	}
	if o.csv != "" {
		f, err := os.Create(o.csv)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := writeCSV(f, rows); err != nil {
			return err
		}
	}
	if o.list != "" {
		list(w, rows, o.list)
		return nil
	}
	report(w, rows)
	return nil
}

// judge gives both sides' verdicts on every program of the tests. What cannot
// be compiled or asked is said and left away.
func (c *cache) judge(ctx context.Context, tests []string, limit time.Duration, progress io.Writer) ([]row, error) {
	target, err := image.Running()
	if err != nil {
		return nil, err
	}
	if _, err := target.BTF(); err != nil { // read before the first program's clock runs
		return nil, err
	}
	var rows []row
	for i, test := range tests {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if i%50 == 0 {
			fmt.Fprintf(progress, "parity: %d of %d tests, %d programs\n", i, len(tests), len(rows))
		}
		compiling, done := context.WithTimeout(ctx, compileLimit)
		err := c.compile(compiling, test)
		done()
		if err != nil {
			fmt.Fprintf(progress, "parity: %s cannot be compiled: %s\n", test, firstError(err.Error()))
			continue
		}
		object := c.kernel("obj/" + test + ".bpf.o")
		expected, err := expectations(object)
		if err != nil {
			fmt.Fprintf(progress, "parity: %s: its tags cannot be read: %s\n", test, oneLine(err.Error()))
			continue
		}
		kernel, err := c.askKernel(ctx, object, questionOf(expected, false), 2*time.Minute)
		if err != nil {
			fmt.Fprintf(progress, "parity: %s: the kernel was not asked: %s\n", test, oneLine(err.Error()))
			continue
		}
		rows = append(rows, compare(ctx, test, object, kernel, expected, target, limit)...)
	}
	return rows, nil
}

// compare puts gtrace's verdicts beside the kernel's.
func compare(ctx context.Context, test, object string, kernel []kernelVerdict, expected map[string]expectation, t *image.Target, limit time.Duration) []row {
	names := make([]string, len(kernel))
	for i, k := range kernel {
		names[i] = k.Program
	}
	ours := judgeObject(ctx, object, names, expected, t, limit)
	var rows []row
	for _, k := range kernel {
		rows = append(rows, row{Test: test, Program: k.Program, Kernel: k, Ours: ours[k.Program], Expected: expected[k.Program]})
	}
	return rows
}
