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
)

type options struct {
	only, list, csv, target, guest string
	one                            string
	peak                           int
	unprivileged, record           bool
	sound                          bool
	limit                          time.Duration
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
	flag.StringVar(&o.target, "target", "", "judge for a real `kernel`, 6.1 or 6.12, by the table of its verdicts")
	flag.BoolVar(&o.unprivileged, "unprivileged", false, "load without privilege what states something of that; on 6.12 unless -target names another")
	flag.BoolVar(&o.record, "record", false, "with -target: have the kernel judge in a virtual machine (PARITY_VMTEST), and write the table anew")
	flag.BoolVar(&o.sound, "sound", false, "run what gtrace accepts in its interpreter, and hold the runs against what the verifier knows")
	flag.IntVar(&o.peak, "peak", 0, "also measure the memory for the `n` largest programs")
	flag.StringVar(&o.one, "one", "", "verify one program, `OBJECT:PROGRAM`, for -peak")
	flag.StringVar(&o.guest, "guest", "", "in the virtual machine: do the job in this `file`")
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
	if o.guest != "" {
		return guest(ctx, o.guest, progress)
	}
	if o.one != "" {
		return one(ctx, o)
	}
	if o.list != "" && outcomes[o.list] == "" && codeLists[o.list] == "" {
		return fmt.Errorf("-list %s: expected reject, accept, unsupported, error, left-out, code or class", o.list)
	}
	if o.unprivileged && o.target == "" {
		o.target = "6.12"
	}
	c, err := openCache()
	if err != nil {
		return err
	}
	fmt.Fprintln(progress, "parity: in", c.dir)
	if err := c.prepare(ctx); err != nil {
		return err
	}
	subjects, err := c.subjects(ctx, o.only, progress)
	if err != nil {
		return err
	}
	k, err := c.runningOracle()
	if err == nil && o.sound {
		return k.sound(ctx, subjects, w, progress)
	}
	if o.target != "" {
		k, err = c.vmOracle(ctx, o, subjects, progress)
	}
	if err != nil {
		return err
	}
	rows, err := k.judge(ctx, subjects, o.limit, progress)
	if err != nil {
		return err
	}
	if o.csv != "" {
		if err := saveCSV(o.csv, rows); err != nil {
			return err
		}
	}
	if o.list != "" {
		list(w, rows, o.list)
		return nil
	}
	if o.peak > 0 {
		if err := k.peaks(ctx, subjects, rows, o.peak, w); err != nil {
			return err
		}
	}
	report(w, rows)
	fmt.Fprintf(w, "%s %s against %s\n", sourcePackage, c.version, k.target.Name)
	return nil
}

func saveCSV(file string, rows []row) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return writeCSV(f, rows)
}
