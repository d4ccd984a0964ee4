// Command gtrace traces the kernel and user programs with type-checked BPF.
// It parses flags; package gtrace does the work.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/gtrace-dev/gtrace"
	"github.com/spf13/cobra"
)

func main() {
	err := root().Execute()
	var code exitCode
	switch {
	case err == nil:
	case errors.As(err, &code):
		os.Exit(int(code))
	default:
		gtrace.Report(os.Stderr, err)
		os.Exit(gtrace.ExitCode(err))
	}
}

// exitCode ends gtrace with a code whose reason was already shown.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit status %d", int(c)) }

// usage is an error in the words of the command line.
type usage struct{ error }

func usagef(format string, args ...any) error {
	return usage{fmt.Errorf(format+" (see gtrace --help)", args...)}
}

func root() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "gtrace [flags] FILE.bt [PARAM…] [-- CMD…]",
		Short: "Type-checked BPF tracing, for the kernel and for user programs",
		Long: `gtrace compiles a script of the bpftrace language to BPF, checks it against the
real types of the kernel and of the traced program, proves it safe, and runs it
on the Linux kernel or on its own user-space engine.

Exit status: 0 fine; 1 the script or program is wrong; 2 gtrace could not do it.`,
		Example: `  gtrace -e 'uprobe:libc:malloc { @bytes = hist(arg0); }' -- ls -l
  gtrace latency.bt -p 4242
  gtrace check prog.bpf.o`,
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && !cmd.Flags().Changed("exec") {
				return cmd.Help()
			}
			return f.run(cmd, args)
		},
	}
	f.register(cmd)
	cmd.AddCommand(runCommand(), checkCommand(), buildCommand(), listCommand())
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usagef("%v", err) })
	return cmd
}

// source is where a script comes from: -e, a file, or standard input ("-").
func source(expr string, given bool, args []string) (name, text string, rest []string, err error) {
	if given {
		return "-e", expr, args, nil
	}
	if len(args) == 0 {
		return "", "", nil, usagef("no script: give a file, or its text with -e")
	}
	text, err = gtrace.ReadScript(args[0])
	return args[0], text, args[1:], err
}
