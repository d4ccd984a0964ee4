package gtrace

// This file defines Run: a script from its text to its last line of output.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/gtrace-dev/gtrace/engine"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/out"
)

// RunOptions say what to trace and where the trace goes.
type RunOptions struct {
	Config
	Command []string  // started, traced, and ended with; nil: none
	Format  string    // "text" (or "") or "json"
	Out     io.Writer // nil: standard output
	DryRun  bool      // compile and verify, attach nothing
}

// Run compiles the script text, attaches it, and prints what it finds until the
// command ends, the script calls exit(), or ctx is cancelled. It returns the
// code of the script's exit(), 0 without one.
func Run(ctx context.Context, file, text string, o RunOptions) (code int, err error) {
	if o.Out == nil {
		o.Out = os.Stdout
	}
	if o.Format != "" && o.Format != "text" && o.Format != "json" {
		return 0, fmt.Errorf("no output format %q: there are text and json", o.Format)
	}
	ch, err := choose(o.Engine)
	if err != nil {
		return 0, err
	}
	o.logf("%s engine: %s", ch.name(), ch.why)
	if o.DryRun {
		s, err := compile(ctx, file, text, o.Config, ch, 0)
		if err != nil {
			return 0, err
		}
		return 0, s.describe(o)
	}
	t := engine.Target{PID: o.PID}
	if len(o.Command) > 0 {
		// Started first, because the builtin cpid is its number; it executes
		// nothing before the probes are attached, and never if they cannot be.
		if t.Command, err = engine.Start(o.Command, engine.StartOptions{}); err != nil {
			return 0, err
		}
		defer t.Command.Close()
		t.PID = t.Command.PID()
	}
	cpid := 0
	if t.Command != nil {
		cpid = t.PID
	}
	s, err := compile(ctx, file, text, o.Config, ch, cpid)
	if err != nil {
		return 0, err
	}
	if ch.kind == image.EngineUser && t.PID == 0 && s.needsTarget() {
		return 0, errNoTarget
	}
	return s.trace(ctx, o, t)
}

// describe prints what a dry run learnt.
func (s *Script) describe(o RunOptions) error {
	for _, b := range s.Bound {
		img, st := b.Program.Image(), b.Program.Stats()
		fmt.Fprintf(o.Out, "%s: accepted for the %s engine (%d instructions, %d processed, %d bytes of stack)\n",
			b.Place, s.choice.name(), len(img.Insns), st.Processed, st.StackDepth)
		if o.Verbose {
			listing(o.Out, img)
		}
	}
	return nil
}

// listing prints a program's instructions under the source lines they come from.
func listing(w io.Writer, img *image.Image) {
	lines := img.Lines
	last := ""
	for i := 0; i < len(img.Insns); {
		for len(lines) > 0 && lines[0].Insn <= i {
			if at := fmt.Sprintf("%s:%d: %s", lines[0].File, lines[0].Line, lines[0].Text); at != last {
				fmt.Fprintf(w, "; %s\n", at)
				last = at
			}
			lines = lines[1:]
		}
		text, slots := isa.Format(img.Insns, i, nil)
		fmt.Fprintf(w, "%5d: %s\n", i, text)
		i += slots
	}
}

// trace attaches s to t and prints until it is over.
func (s *Script) trace(ctx context.Context, o RunOptions, t engine.Target) (int, error) {
	sess, err := s.choice.engine().Attach(ctx, s.Bound, t)
	if err != nil {
		return 0, err
	}
	defer sess.Close()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-ctx.Done():
			forward(ctx, t.Command)
			sess.Stop()
		case <-done:
		}
	}()
	p := s.printer(o, sess)
	if err := p.Attached(len(s.Bound)); err != nil {
		return 0, err
	}
	code, err := pump(sess, p, t.Command)
	if err != nil {
		return 0, err
	}
	// At the end, because a library may have been mapped, and its probes
	// attached, long after the start.
	for _, site := range sess.Stats() {
		o.logf("%s: %s", site.Probe, site.Way)
	}
	if err := p.Maps(); err != nil {
		return 0, err
	}
	stats, err := s.stats(sess)
	if err != nil {
		return 0, err
	}
	if err := p.Summary(stats, o.Verbose); err != nil {
		return 0, err
	}
	return code, end(o, sess, t.Command)
}

// pump prints records until there are no more, and returns the code of exit().
func pump(sess engine.Session, p out.Printer, cmd *engine.Command) (code int, err error) {
	exited := false
	for rec, err := range sess.Events() {
		if err != nil {
			return code, err
		}
		effect, err := p.Record(rec)
		if err != nil {
			return code, err
		}
		if effect.Exit && !exited {
			exited, code = true, effect.Code
			if cmd != nil {
				cmd.Signal(syscall.SIGTERM)
			}
			sess.Stop()
		}
	}
	return code, nil
}

// forward hands the signal that interrupted gtrace to the command, unless the
// terminal did: Ctrl-C goes to the foreground group, which is the command's.
func forward(ctx context.Context, cmd *engine.Command) {
	var by Interrupted
	if cmd == nil || !errors.As(context.Cause(ctx), &by) {
		return
	}
	if sig, ok := by.Signal.(syscall.Signal); ok {
		cmd.Signal(sig)
	}
}

// grace is how long a command that was told to end may take.
const grace = 2 * time.Second

// end detaches and waits for the command; one that does not end goes on untraced.
func end(o RunOptions, sess engine.Session, cmd *engine.Command) error {
	if err := sess.Close(); err != nil {
		return err
	}
	if cmd == nil {
		return nil
	}
	ended := make(chan struct{})
	var status syscall.WaitStatus
	var err error
	go func() {
		status, err = cmd.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		if err == nil {
			o.logf("%s: %s", cmd.Name(), engine.StatusString(status))
		}
	case <-time.After(grace):
		fmt.Fprintf(os.Stderr, "gtrace: %s (process %d) goes on, untraced\n", cmd.Name(), cmd.PID())
	}
	return nil
}
