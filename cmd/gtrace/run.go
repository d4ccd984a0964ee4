package main

import (
	"context"
	"io"
	"os"
	"os/signal"

	"github.com/gtrace-dev/gtrace"
	"github.com/spf13/cobra"
)

// runFlags are the flags of `gtrace run` and of gtrace without a subcommand.
type runFlags struct {
	exec    string
	pid     int
	engine  string
	format  string
	output  string
	dryRun  bool
	verbose bool
	strSize int
	maxKeys int
}

func (f *runFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVarP(&f.exec, "exec", "e", "", "the script's text")
	fl.IntVarP(&f.pid, "pid", "p", 0, "trace the process PID")
	fl.StringVar(&f.engine, "engine", "auto", "auto, kernel or user")
	fl.StringVarP(&f.format, "format", "f", "text", "text or json")
	fl.StringVarP(&f.output, "output", "o", "", "write the trace to FILE instead of standard output")
	fl.BoolVar(&f.dryRun, "dry-run", false, "compile and verify, attach nothing")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "say which engine was chosen and why, and how probes are attached")
	fl.IntVar(&f.strSize, "str-size", 0, "bytes of a string in a key or variable (default 64)")
	fl.IntVar(&f.maxKeys, "max-keys", 0, "entries of a map with keys (default 4096)")
}

func runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [flags] FILE.bt [PARAM…] [-- CMD…]",
		Short: "Run a script (the default)",
		RunE:  func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.register(cmd)
	return cmd
}

// split takes the command behind -- off args.
func split(cmd *cobra.Command, args []string) (own, argv []string) {
	if n := cmd.ArgsLenAtDash(); n >= 0 {
		return args[:n], args[n:]
	}
	return args, nil
}

func (f *runFlags) run(cmd *cobra.Command, args []string) error {
	args, argv := split(cmd, args)
	name, text, params, err := source(f.exec, cmd.Flags().Changed("exec"), args)
	if err != nil {
		return err
	}
	if f.pid < 0 || cmd.Flags().Changed("pid") && f.pid == 0 {
		return usagef("-p takes a process number, not %d", f.pid)
	}
	if f.pid != 0 && cmd.ArgsLenAtDash() >= 0 {
		return usagef("-p and -- CMD exclude each other: one process is traced")
	}
	out, err := f.open()
	if err != nil {
		return err
	}
	ctx, interrupted := interruptible()
	defer interrupted.stop()
	code, err := gtrace.Run(ctx, name, text, gtrace.RunOptions{
		Config: gtrace.Config{
			Engine: f.engine, PID: f.pid, Params: params,
			StrSize: f.strSize, MaxEntries: f.maxKeys, Verbose: f.verbose, Log: os.Stderr,
		},
		Command: argv, Format: f.format, Out: out, DryRun: f.dryRun,
	})
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err == nil && code != 0 {
		return exitCode(code)
	}
	return err
}

func (f *runFlags) open() (io.WriteCloser, error) {
	if f.output == "" || f.output == "-" {
		return keepOpen{os.Stdout}, nil
	}
	return os.Create(f.output)
}

// keepOpen is a file that is not ours to close. Package gtrace looks for its Fd
// to learn whether it is a terminal.
type keepOpen struct{ *os.File }

func (keepOpen) Close() error { return nil }

type interrupts struct{ stop func() }

// interruptible is a context that the first SIGINT or SIGTERM cancels; the
// second one ends gtrace the ordinary way.
func interruptible() (context.Context, interrupts) {
	ctx, cancel := context.WithCancelCause(context.Background())
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, gtrace.StopSignals...)
	go func() {
		if sig, ok := <-ch; ok {
			signal.Stop(ch)
			cancel(gtrace.Interrupted{Signal: sig})
		}
	}()
	return ctx, interrupts{func() { signal.Stop(ch); cancel(nil) }}
}
