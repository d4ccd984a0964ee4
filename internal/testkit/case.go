package testkit

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/rogpeppe/go-internal/txtar"
)

// This file defines Case, a golden case as its file says it.

// Relation is how the kernel's verdict compares with gtrace's.
type Relation string

// The relations that a case's comment can state.
const (
	Same     Relation = "same"
	Stricter Relation = "stricter"
	Looser   Relation = "looser"
)

// Case is a golden case.
type Case struct {
	Archive *txtar.Archive
	Kernel  Relation
	Why     string      // Stricter, Looser
	Since   abi.Version // the first kernel that can be asked
	Target  abi.Version // the only one that is, and that gtrace judges for; 0: see Since

	Alignment abi.Alignment // the load flag
	// Unprivileged: loaded without any capability.
	Unprivileged bool

	Prog    string
	Verdict Verdict
	Explain string // "" without the section
	States  []*StateSection
	Runs    []Run

	// Labels are the slots of the labels of each function, by the function's name.
	Labels map[string]map[string]int
	// Lines are the lines of the section prog that each function's slots came from.
	Lines map[string][]int

	changed bool // a section was rewritten
}

// Verdict is what gtrace must say of a program.
type Verdict struct {
	Accept      bool
	Unsupported bool
	Code        string // of a rejection
	Label       string // "" when the place does not matter
}

func (v Verdict) String() string {
	s := "accept"
	switch {
	case v.Unsupported:
		s = "unsupported"
	case !v.Accept:
		s = "reject " + v.Code
	}
	if v.Label != "" {
		s += " @" + v.Label
	}
	return s
}

// Run is one run of a program.
type Run struct {
	Sets []Entry
	Ctx  []byte
	R0   *uint64 // nil: any
	Maps []Entry
	Ring []Entry // Value: a record
}

// Entry is a map's entry. Value nil: no such key.
type Entry struct {
	Map        string
	Key, Value []byte
}

// ParseCase parses a case's file.
func ParseCase(data []byte) (*Case, error) {
	for n, line := range strings.Split(string(data), "\n") {
		if strings.TrimSpace(line) == "-- --" { // txtar.Parse (v1.16.0) panics on it
			return nil, fmt.Errorf("line %d: a section without a name", n+1)
		}
	}
	c := &Case{Archive: txtar.Parse(data)}
	if err := c.comment(string(c.Archive.Comment)); err != nil {
		return nil, err
	}
	verdict := false
	for _, f := range c.Archive.Files {
		text, err := string(f.Data), error(nil)
		switch f.Name {
		case "prog":
			c.Prog = text
			c.Labels, c.Lines, err = labels(text)
		case "verdict":
			verdict = true
			c.Verdict, err = parseVerdict(text)
		case "explain":
			c.Explain = text
		case "run":
			c.Runs, err = parseRuns(text)
		default:
			label, ok := strings.CutPrefix(f.Name, "state @")
			if !ok {
				err = errors.New("unknown section")
				break
			}
			var s *StateSection
			if s, err = parseState(label, text); slices.ContainsFunc(c.States, func(o *StateSection) bool { return o.Label == label }) {
				err = errors.New("there already is one")
			}
			c.States = append(c.States, s)
		}
		if err != nil {
			return nil, fmt.Errorf("section %s: %w", f.Name, err)
		}
	}
	switch {
	case c.Prog == "":
		return nil, errors.New("no section prog")
	case !verdict && c.Runs == nil:
		return nil, errors.New("neither a section verdict nor a section run")
	case !verdict:
		c.Verdict.Accept = true
	case c.Runs != nil && !c.Verdict.Accept:
		return nil, errors.New("a program that is not accepted cannot run")
	}
	return c, nil
}

// comment reads "kernel: same", "since: 6.6" and the like.
func (c *Case) comment(text string) error {
	for _, line := range strings.Split(text, "\n") {
		if v, ok := strings.CutPrefix(line, "since:"); ok {
			var err error
			if c.Since, err = abi.ParseVersion(strings.TrimSpace(v)); err != nil {
				return err
			}
		}
		if v, ok := strings.CutPrefix(line, "target:"); ok {
			var err error
			if c.Target, err = abi.ParseVersion(strings.TrimSpace(v)); err != nil {
				return err
			}
		}
		if v, ok := strings.CutPrefix(line, "privileges:"); ok {
			if strings.TrimSpace(v) != "none" {
				return fmt.Errorf("expected privileges: none, found %q", line)
			}
			c.Unprivileged = true
		}
		switch line {
		case "alignment: strict":
			c.Alignment = abi.AlignStrict
		case "alignment: any":
			c.Alignment = abi.AlignAny
		}
		rest, ok := strings.CutPrefix(line, "kernel:")
		if !ok {
			continue
		}
		rel, why, _ := strings.Cut(strings.TrimSpace(rest), ":")
		c.Kernel, c.Why = Relation(rel), strings.TrimSpace(why)
		switch {
		case c.Kernel == Same && c.Why == "":
		case (c.Kernel == Stricter || c.Kernel == Looser) && c.Why != "":
		default:
			return fmt.Errorf("expected kernel: same, kernel: stricter: WHY or kernel: looser: WHY, found %q", line)
		}
	}
	if c.Kernel == "" {
		return errors.New("the comment has no line kernel: same (or stricter, looser)")
	}
	return nil
}

func parseVerdict(text string) (v Verdict, err error) {
	fs := strings.Fields(text)
	if n := len(fs); n > 1 && strings.HasPrefix(fs[n-1], "@") {
		v.Label, fs = fs[n-1][1:], fs[:n-1]
	}
	switch {
	case len(fs) == 1 && fs[0] == "accept" && v.Label == "":
		v.Accept = true
	case len(fs) == 1 && fs[0] == "unsupported":
		v.Unsupported = true
	case len(fs) == 2 && fs[0] == "reject" && v.Label != "":
		v.Code = fs[1]
	default:
		err = fmt.Errorf("expected accept, reject CODE @label or unsupported [@label], found %q", strings.TrimSpace(text))
	}
	return v, err
}

// parseRuns parses a run section.
func parseRuns(text string) ([]Run, error) {
	var runs []Run
	fresh := true
	for n, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		fs, err := fields(line)
		if err == nil && len(fs) == 0 {
			fresh = fresh || strings.TrimSpace(line) == ""
			continue
		}
		if fresh {
			runs = append(runs, Run{})
			fresh = false
		}
		if err == nil {
			err = runs[len(runs)-1].take(fs)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	if runs == nil {
		return nil, errors.New("nothing to run")
	}
	return runs, nil
}

// take reads one line of a run.
func (r *Run) take(fs []string) (err error) {
	word, rest := fs[0], fs[1:]
	switch word {
	case "ctx":
		r.Ctx, err = parseBytes(rest)
	case "r0":
		if len(rest) != 1 {
			return errors.New("expected r0 NUMBER")
		}
		var v uint64
		v, err = number(rest[0])
		r.R0 = &v
	case "ring":
		if len(rest) < 2 {
			return errors.New("expected ring NAME BYTES")
		}
		e := Entry{Map: rest[0]}
		e.Value, err = parseBytes(rest[1:])
		r.Ring = append(r.Ring, e)
	case "set", "map":
		e, err := parseEntry(rest)
		if err != nil {
			return err
		}
		if word == "map" {
			r.Maps = append(r.Maps, e)
			return nil
		}
		if e.Value == nil {
			return errors.New("set needs a value")
		}
		r.Sets = append(r.Sets, e)
	default:
		err = fmt.Errorf("unknown word %q (known: set, ctx, r0, map, ring)", word)
	}
	return err
}

// parseEntry parses NAME KEY = VALUE or NAME KEY absent.
func parseEntry(fs []string) (Entry, error) {
	if len(fs) < 3 {
		return Entry{}, errors.New("expected NAME KEY = VALUE or NAME KEY absent")
	}
	e := Entry{Map: fs[0]}
	fs = fs[1:]
	var err error
	if fs[len(fs)-1] == "absent" {
		e.Key, err = parseBytes(fs[:len(fs)-1])
		return e, err
	}
	for i, f := range fs {
		if f != "=" {
			continue
		}
		if e.Key, err = parseBytes(fs[:i]); err != nil {
			return e, err
		}
		e.Value, err = parseBytes(fs[i+1:])
		if err == nil && e.Value == nil {
			err = errors.New("no value behind =")
		}
		return e, err
	}
	return e, errors.New("expected KEY = VALUE or KEY absent")
}

// labels finds the slot of each label, and the line of each slot, by function.
func labels(prog string) (map[string]map[string]int, map[string][]int, error) {
	all, lines := map[string]map[string]int{}, map[string][]int{}
	name, asm := "", (*isa.Assembler)(nil)
	finish := func() error {
		if asm == nil {
			return nil
		}
		text, err := asm.Finish()
		if err != nil {
			return err
		}
		all[name], lines[name] = text.Labels, text.Lines
		return nil
	}
	for n, line := range strings.Split(prog, "\n") {
		word := strings.TrimSpace(line)
		if strings.HasPrefix(word, ".") && !strings.HasPrefix(word, ".insn") {
			if fs := strings.Fields(word); fs[0] == ".func" && len(fs) > 1 {
				if err := finish(); err != nil {
					return nil, nil, err
				}
				name, asm = fs[1], &isa.Assembler{}
			}
			continue
		}
		if asm != nil {
			if err := asm.Line(n+1, line); err != nil {
				return nil, nil, err
			}
		}
	}
	return all, lines, finish()
}
