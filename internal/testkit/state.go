package testkit

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/verify"
)

// This file compares and rewrites state sections: what the verifier knows at a label.

// StateSection is a section "state @label".
type StateSection struct {
	Label string
	Names []string // of its registers and stack, in order; none: all of the first visit
	Text  string
}

func parseState(label, text string) (*StateSection, error) {
	s := &StateSection{Label: label, Text: text}
	if label == "" || strings.ContainsAny(label, " \t") {
		return nil, errors.New("expected state @label")
	}
	for line := range strings.Lines(text) {
		fs := strings.Fields(line)
		if len(fs) == 0 {
			if len(s.Names) > 0 {
				break // the names are those of the first visit
			}
			continue
		}
		if len(fs) > 1 && (fs[1] != "=" || len(fs) == 2) {
			return nil, fmt.Errorf("expected REGISTER or REGISTER = WHAT IS KNOWN, found %q", strings.TrimSpace(line))
		}
		s.Names = append(s.Names, fs[0])
	}
	return s, nil
}

// stateTracer gathers what the verifier knows where a case has state sections.
type stateTracer struct {
	at     map[int][]*StateSection
	visits map[*StateSection][]string // the states that differ, in the order of the walk
	err    error
}

// traceStates finds the places of the state sections; nil without any.
func traceStates(c *Case, img *image.Image) (*stateTracer, error) {
	if len(c.States) == 0 {
		return nil, nil
	}
	tr := &stateTracer{map[int][]*StateSection{}, map[*StateSection][]string{}, nil}
	for _, s := range c.States {
		slot := -1
		for _, fn := range slices.Backward(img.Subprogs) { // the entry's labels come before those of others
			if at, ok := c.Labels[fn.Name][s.Label]; ok {
				slot = fn.Start + at
			}
		}
		if slot < 0 {
			return nil, fmt.Errorf("section state @%s: the program has no such label", s.Label)
		}
		tr.at[slot] = append(tr.at[slot], s)
	}
	return tr, nil
}

// trace is verify.Options.Trace.
func (tr *stateTracer) trace(insn int, v verify.View) {
	for _, s := range tr.at[insn] {
		if s.Names == nil {
			s.Names = v.Names()
		}
		var b strings.Builder
		for _, name := range s.Names {
			text, err := v.Text(name)
			if err != nil && tr.err == nil {
				tr.err = fmt.Errorf("section state @%s: %w", s.Label, err)
			}
			fmt.Fprintf(&b, "%s = %s\n", name, text)
		}
		if text := b.String(); !slices.Contains(tr.visits[s], text) {
			tr.visits[s] = append(tr.visits[s], text)
		}
	}
}
