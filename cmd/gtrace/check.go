package main

import (
	"os"

	"github.com/gtrace-dev/gtrace"
	"github.com/spf13/cobra"
)

func checkCommand() *cobra.Command {
	var expr, format string
	var pid int
	var o gtrace.CheckOptions
	cmd := &cobra.Command{
		Use:   "check [flags] FILE.bpf.o|FILE.bt…",
		Short: "Say whether programs would load, and why not",
		Long: `check verifies every program of BPF objects and scripts for the running kernel
or for others, without loading or attaching anything. For several targets it
prints a table of programs and targets.

A target is "running", or a release from 5.4 to 6.18. A release by its number
has no kernel types: programs that need them (CO-RE, typed arguments) want
--btf FILE, or 6.1=FILE for one of several targets, and values of the kernel's
configuration want --config FILE.

Exit status: 0 all accepted; 1 a program was rejected; 2 unsupported or unreadable.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "text" && format != "json" {
				return usagef("--format is text or json, not %q", format)
			}
			c := gtrace.Config{PID: pid, BTFFile: o.BTFFile, Log: os.Stderr}
			checker, err := gtrace.NewChecker(c, o, os.Stdout, format == "json")
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("exec") {
				checker.Script(cmd.Context(), "-e", expr)
			} else if len(args) == 0 {
				return usagef("nothing to check: give objects or scripts, or a script's text with -e")
			}
			for _, file := range args {
				checker.File(cmd.Context(), file)
			}
			if code := checker.ExitCode(); code != 0 {
				return exitCode(code)
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&expr, "exec", "e", "", "the script's text")
	cmd.Flags().StringVarP(&format, "format", "f", "text", "text or json (one line a program)")
	cmd.Flags().StringSliceVar(&o.Targets, "target", nil, "check for these kernels: running, 6.1, 6.1=BTFFILE, … (default running)")
	cmd.Flags().StringVar(&o.BTFFile, "btf", "", "take kernel types from FILE (BTF, or vmlinux)")
	cmd.Flags().StringVar(&o.ConfigFile, "config", "", "take the kernel's configuration from FILE (/boot/config-*)")
	cmd.Flags().BoolVar(&o.Unprivileged, "unprivileged", false, "as loaded without CAP_BPF and CAP_PERFMON")
	cmd.Flags().IntVarP(&pid, "pid", "p", 0, "resolve a script's binaries as the process PID sees them")
	return cmd
}

func buildCommand() *cobra.Command {
	var expr, output string
	cmd := &cobra.Command{
		Use:   "build [flags] FILE.bt [PARAM…] -o FILE.bpf.o",
		Short: "Compile a script to an ELF object that libbpf loads",
		RunE: func(cmd *cobra.Command, args []string) error {
			name, text, params, err := source(expr, cmd.Flags().Changed("exec"), args)
			if err != nil {
				return err
			}
			if output == "" {
				return usagef("no output: give a file with -o")
			}
			elf, err := gtrace.Build(name, text, gtrace.Config{Params: params, Log: os.Stderr})
			if err != nil {
				return err
			}
			return os.WriteFile(output, elf, 0o666)
		},
	}
	cmd.Flags().StringVarP(&expr, "exec", "e", "", "the script's text")
	cmd.Flags().StringVarP(&output, "output", "o", "", "the object to write")
	return cmd
}

func listCommand() *cobra.Command {
	var pid int
	var verbose bool
	cmd := &cobra.Command{
		Use:     "list [flags] PROBE",
		Short:   "List the places that a probe pattern names",
		Example: "  gtrace list 'uprobe:/bin/bash:read*'\n  gtrace list -v 'rawtracepoint:sched_*'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return gtrace.List(os.Stdout, args[0], gtrace.Config{PID: pid, Verbose: verbose})
		},
	}
	cmd.Flags().IntVarP(&pid, "pid", "p", 0, "as the process PID sees its binaries")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "with argument types where they are known")
	return cmd
}
