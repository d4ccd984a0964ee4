package gtrace

// This file defines Checker: what `gtrace check` does with files and prints.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/script"
)

// Checker checks files one after the other and prints a verdict a program and target.
type Checker struct {
	c    Config
	o    CheckOptions
	w    io.Writer
	json bool
	code int

	// made are the targets of all files: a script's offsets are from their very types.
	made []*image.Target
	// held are the verdicts on the current file, to be shown as a matrix.
	held []Verdict
}

// NewChecker returns a Checker that prints to w.
func NewChecker(c Config, o CheckOptions, w io.Writer, asJSON bool) (*Checker, error) {
	targets, err := o.targets()
	if err != nil {
		return nil, err
	}
	return &Checker{c: c, o: o, w: w, json: asJSON, made: targets}, nil
}

// ExitCode is 0 when every program was accepted, 1 after a rejection, and 2
// after anything unsupported or unreadable.
func (ck *Checker) ExitCode() int { return ck.code }

// unreadable prints that nothing can be said of file.
func (ck *Checker) unreadable(file string, err error) {
	ck.show(Verdict{File: file, Verdict: Unreadable, GPLOnlyCalls: []string{}, Message: oneLine(err.Error()), Err: err})
}

// File checks a BPF object or a script, told apart by what is in the file.
func (ck *Checker) File(ctx context.Context, file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		ck.unreadable(file, err)
		return
	}
	if !bytes.HasPrefix(data, []byte("\x7fELF")) {
		if strings.HasSuffix(file, ".o") {
			ck.unreadable(file, errors.New("not an ELF file: it does not start with \\x7fELF"))
			return
		}
		ck.Script(ctx, file, string(data))
		return
	}
	o, err := object.Read(file, bytes.NewReader(data))
	if err == nil && len(o.Programs) == 0 {
		err = errors.New("no programs in it")
	}
	if err != nil {
		ck.unreadable(file, err)
		return
	}
	for _, f := range o.Programs {
		for _, t := range ck.made {
			ck.show(checkProgram(ctx, o, f, t))
		}
	}
	ck.flush()
}

// Script checks the text of a script, as it would run on the kernel engine.
func (ck *Checker) Script(ctx context.Context, file, text string) {
	for _, t := range ck.made {
		ck.script(ctx, file, text, t)
	}
	ck.flush()
}

func (ck *Checker) script(ctx context.Context, file, text string, target *image.Target) {
	compiled, err := ck.c.compileObject(file, text, target, 0)
	var ds script.Diagnostics
	switch {
	case errors.As(err, &ds):
		if !ck.json {
			ds.Render(ck.w)
		}
		for _, d := range ds {
			ck.diagnostic(d, target)
		}
	case err != nil:
		ck.unreadable(file, err)
	case len(compiled.Object.Programs) == 0:
		ck.unreadable(file, errors.New("no programs in it"))
	default:
		compiled.Object.Name = file
		for _, f := range compiled.Object.Programs {
			ck.show(checkProgram(ctx, compiled.Object, f, target))
		}
	}
}

func (ck *Checker) diagnostic(d *script.Diagnostic, t *image.Target) {
	v := Verdict{
		File: d.File, Type: "script", Target: t.Name, Verdict: Reject, Code: "script", GPLOnlyCalls: []string{},
		Message: oneLine(d.Error()), Err: d,
	}
	v.Source = fmt.Sprintf("%s:%d:%d", d.File, d.Line, d.Col)
	if d.Unsupported {
		v.Verdict, v.Code = Unsupported, ""
	}
	ck.show(v)
}

// show counts a verdict and prints it, or holds it back for the matrix.
func (ck *Checker) show(v Verdict) {
	switch v.Verdict {
	case Accept:
	case Reject:
		ck.code = max(ck.code, ExitWrong)
	default:
		ck.code = ExitUnable
	}
	switch {
	case ck.json:
		if v.GPLOnlyCalls == nil {
			v.GPLOnlyCalls = []string{}
		}
		line, err := json.Marshal(v)
		if err == nil {
			ck.w.Write(append(line, '\n'))
		}
	case v.Type == "script": // shown with its line and caret
	case len(ck.made) > 1 && v.Program != "":
		ck.held = append(ck.held, v)
	default:
		ck.print(v)
	}
}

func (ck *Checker) print(v Verdict) {
	what := v.File
	if v.Program != "" {
		what += ": " + v.Program
	}
	if v.Message == "" {
		fmt.Fprintf(ck.w, "%s: %s (%d instructions, %d processed, %d states, %d µs)\n", what, v.Verdict, v.Insns, v.Processed, v.States, v.TimeUS)
		return
	}
	fmt.Fprintf(ck.w, "%s: %s: %s\n", what, v.Verdict, v.Message)
	if v.Explanation != nil {
		_, why, _ := strings.Cut(v.Explanation.String(), "\n") // behind the message
		fmt.Fprintln(ck.w, why)
	}
}

// flush prints the verdicts held back: programs by targets, and below what
// each verdict other than accept means.
func (ck *Checker) flush() {
	if len(ck.held) == 0 {
		return
	}
	var rows [][]string
	fmt.Fprintf(ck.w, "%s:\n", ck.held[0].File)
	head := []string{""}
	for _, t := range ck.made {
		head = append(head, shortName(t))
	}
	rows = append(rows, head)
	at := map[string]int{}
	type reason struct{ program, message string }
	var why []reason
	on := map[reason][]string{}
	for _, v := range ck.held {
		if _, ok := at[v.Program]; !ok {
			at[v.Program] = len(rows)
			rows = append(rows, append([]string{"  " + v.Program}, make([]string, len(ck.made))...))
		}
		for i, t := range ck.made {
			if t.Name != v.Target {
				continue
			}
			rows[at[v.Program]][i+1] = v.cell()
			if v.Message != "" {
				r := reason{v.Program, strings.TrimPrefix(strings.TrimPrefix(v.Message, v.Program+": "), "unsupported: ")}
				if on[r] == nil {
					why = append(why, r)
				}
				on[r] = append(on[r], shortName(t))
			}
		}
	}
	ck.held = nil
	writeTable(ck.w, rows)
	for _, r := range why {
		fmt.Fprintf(ck.w, "  %s on %s: %s\n", r.program, strings.Join(on[r], ", "), r.message)
	}
}

// shortName is a target's release, as the head of a column.
func shortName(t *image.Target) string {
	name, _, _ := strings.Cut(t.Name, " (")
	return name
}

// cell is a verdict in a word or two.
func (v *Verdict) cell() string {
	switch {
	case v.Since != "":
		return "since " + v.Since
	case v.Verdict == Reject:
		return "reject " + v.Code
	}
	return v.Verdict
}

// writeTable writes rows with their columns aligned.
func writeTable(w io.Writer, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			width[i] = max(width[i], len(c))
		}
	}
	for _, r := range rows {
		line := ""
		for i, c := range r {
			line += c + strings.Repeat(" ", width[i]-len(c)+2)
		}
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}
