// Package gtrace is the door to type-checked BPF tracing: compile a script or
// take an object, check it, run it. All wiring between the rooms is here.
package gtrace

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/gtrace-dev/gtrace/script"
	"github.com/gtrace-dev/gtrace/verify"
)

// Config is what compiling, checking and running have in common.
type Config struct {
	Engine     string   // "auto" (or ""), "kernel" or "user"
	PID        int      // the traced process; 0 for none
	Params     []string // the script's $1, $2, …
	StrSize    int      // bytes of a string in a key or variable; 0: 64
	MaxEntries int      // entries of a map with keys; 0: 4096
	BTFFile    string   // kernel types; "": the running kernel's
	CacheDir   string   // where types read from DWARF are kept; "": the user's cache directory

	Verbose bool
	Log     io.Writer // what Verbose says; nil: nothing
}

func (c Config) logf(format string, args ...any) {
	if c.Verbose && c.Log != nil {
		fmt.Fprintf(c.Log, "gtrace: "+format+"\n", args...)
	}
}

// StopSignals end a trace in an orderly way.
var StopSignals = []os.Signal{syscall.SIGINT, syscall.SIGTERM}

// Interrupted is the cause with which a context is cancelled for a signal to gtrace.
type Interrupted struct{ Signal os.Signal }

func (i Interrupted) Error() string { return "interrupted by " + i.Signal.String() }

// Exit codes (also of a script's own exit(n)).
const (
	ExitFine   = 0
	ExitWrong  = 1 // the user's program is wrong: syntax, types, rejected
	ExitUnable = 2 // gtrace could not do it: unsupported, not permitted, unreadable input, target gone
)

// ExitCode is the exit status that err stands for.
func ExitCode(err error) int {
	var ds script.Diagnostics
	var rejected *verify.Rejection
	switch {
	case err == nil:
		return ExitFine
	case errors.As(err, &ds):
		if ds.Unsupported() {
			return ExitUnable
		}
		return ExitWrong
	case errors.As(err, &rejected):
		return ExitWrong
	}
	return ExitUnable
}

// Report shows err to the user: a script's errors with their lines and carets,
// anything else in a line.
func Report(w io.Writer, err error) {
	var ds script.Diagnostics
	if errors.As(err, &ds) {
		ds.Render(w)
		return
	}
	fmt.Fprintf(w, "gtrace: %v\n", err)
	var missing *script.NotFound
	if errors.As(err, &missing) && len(missing.Candidates) > 0 {
		fmt.Fprintf(w, "        hint: did you mean %s?\n", strings.Join(missing.Candidates, ", "))
	}
}

// MaxScript is the size in bytes that a script may have.
const MaxScript = 1 << 20

// ReadScript reads a script's file, or standard input for "-".
func ReadScript(file string) (string, error) {
	f := os.Stdin
	if file != "-" {
		var err error
		if f, err = os.Open(file); err != nil {
			return "", fmt.Errorf("cannot read the script: %w", err)
		}
		defer f.Close()
	}
	b, err := io.ReadAll(io.LimitReader(f, MaxScript+1))
	if err != nil {
		return "", fmt.Errorf("cannot read the script %s: %w", file, err)
	}
	if len(b) > MaxScript {
		return "", fmt.Errorf("the script %s is larger than %d bytes", file, MaxScript)
	}
	return string(b), nil
}
