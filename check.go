package gtrace

// This file defines Check and Verdict: would a program load, and why not?

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/script"
	"github.com/gtrace-dev/gtrace/verify"
)

// Verdict is what Check says of one program. Its JSON form is stable.
type Verdict struct {
	File      string `json:"file"`
	Program   string `json:"program"`
	Section   string `json:"section"`
	Type      string `json:"type"`
	Target    string `json:"target"`
	Verdict   string `json:"verdict"` // accept, reject, unsupported, error
	Code      string `json:"code"`    // of a rejection: "nullable-deref", …
	Message   string `json:"message"` // one line
	Source    string `json:"source"`  // file:line
	Insns     int    `json:"insns"`
	Processed int    `json:"processed"`
	States    int    `json:"states"`
	TimeUS    int64  `json:"time_us"`
}

// The verdicts.
const (
	Accept      = "accept"
	Reject      = "reject"      // not safe, or no valid script
	Unsupported = "unsupported" // the target does not have it, or gtrace does not know it yet: the message says which
	Unreadable  = "error"       // an unreadable or inconsistent input
)

// Check verifies every program of o, which is an *object.Object or a
// *ebpf.CollectionSpec, for the running kernel (or the types in c.BTFFile).
func Check(ctx context.Context, o any, c Config) ([]Verdict, error) {
	var obj *object.Object
	switch o := o.(type) {
	case *object.Object:
		obj = o
	case *ebpf.CollectionSpec:
		var err error
		if obj, err = object.FromSpec(o); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("cannot check a %T: expected *object.Object or *ebpf.CollectionSpec", o)
	}
	target, err := c.target(image.EngineKernel)
	if err != nil {
		return nil, err
	}
	return checkAll(ctx, obj, target), nil
}

func checkAll(ctx context.Context, o *object.Object, t *image.Target) []Verdict {
	list := make([]Verdict, 0, len(o.Programs))
	for _, f := range o.Programs {
		list = append(list, checkProgram(ctx, o, f, t))
	}
	return list
}

func checkProgram(ctx context.Context, o *object.Object, f *object.Func, t *image.Target) Verdict {
	v := Verdict{
		File: o.Name, Program: f.Name, Section: f.Section,
		Type: typeName(f.Attach.Type), Target: t.Name, Insns: len(f.Insns),
	}
	start := time.Now()
	img, err := image.Build(o, f.Name, t)
	var ok *verify.Verified
	if err == nil {
		v.Insns = len(img.Insns)
		ok, err = verify.Verify(ctx, img, verify.Options{})
	}
	v.TimeUS = time.Since(start).Microseconds()
	v.judge(ok, err)
	return v
}

// judge fills in what verifying said.
func (v *Verdict) judge(ok *verify.Verified, err error) {
	var rejected *verify.Rejection
	var unknown *verify.Unsupported
	var lacking *image.Unsupported
	var stats verify.Stats
	switch {
	case err == nil:
		v.Verdict, stats = Accept, ok.Stats()
	case errors.As(err, &rejected):
		v.Verdict, v.Code, stats = Reject, rejected.Fault.Code(), rejected.Stats
		v.Source = sourceOf(rejected.Line)
	case errors.As(err, &unknown):
		v.Verdict, stats = Unsupported, unknown.Stats
		v.Source = sourceOf(unknown.Line)
	case errors.As(err, &lacking):
		v.Verdict = Unsupported
	default:
		v.Verdict = Unreadable
	}
	v.Processed, v.States = stats.Processed, stats.States
	if err != nil {
		v.Message = oneLine(err.Error())
	}
}

func sourceOf(l *object.Line) string {
	if l == nil {
		return ""
	}
	return fmt.Sprintf("%s:%d", l.File, l.Line)
}

func typeName(t abi.ProgType) string {
	if p := abi.ProgramByType(t); p != nil {
		return p.Name
	}
	return fmt.Sprintf("program type %d", t)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// Checker checks files one after the other and prints a verdict a program.
type Checker struct {
	c    Config
	w    io.Writer
	json bool
	code int

	// made is the target of all files: a script's offsets are from its very types.
	made *image.Target
}

// NewChecker returns a Checker that prints to w.
func NewChecker(c Config, w io.Writer, asJSON bool) *Checker {
	return &Checker{c: c, w: w, json: asJSON}
}

// ExitCode is 0 when every program was accepted, 1 after a rejection, and 2
// after anything unsupported or unreadable.
func (ck *Checker) ExitCode() int { return ck.code }

func (ck *Checker) target() (*image.Target, error) {
	if ck.made == nil {
		t, err := ck.c.target(image.EngineKernel)
		if err != nil {
			return nil, err
		}
		ck.made = t
	}
	return ck.made, nil
}

// unreadable prints that nothing can be said of file.
func (ck *Checker) unreadable(file string, err error) {
	ck.print(Verdict{File: file, Verdict: Unreadable, Message: oneLine(err.Error())})
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
			ck.print(Verdict{File: file, Verdict: Unreadable, Message: "not an ELF file: it does not start with \\x7fELF"})
			return
		}
		ck.Script(ctx, file, string(data))
		return
	}
	o, err := object.Read(file, bytes.NewReader(data))
	if err != nil {
		ck.unreadable(file, err)
		return
	}
	ck.object(ctx, o)
}

// Script checks the text of a script, as it would run on the kernel engine.
func (ck *Checker) Script(ctx context.Context, file, text string) {
	target, err := ck.target()
	if err != nil {
		ck.unreadable(file, err)
		return
	}
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
	default:
		compiled.Object.Name = file
		ck.object(ctx, compiled.Object)
	}
}

func (ck *Checker) diagnostic(d *script.Diagnostic, t *image.Target) {
	v := Verdict{File: d.File, Type: "script", Target: t.Name, Verdict: Reject, Code: "script", Message: oneLine(d.Error())}
	v.Source = fmt.Sprintf("%s:%d:%d", d.File, d.Line, d.Col)
	if d.Unsupported {
		v.Verdict, v.Code = Unsupported, ""
	}
	ck.print(v)
}

func (ck *Checker) object(ctx context.Context, o *object.Object) {
	target, err := ck.target()
	if err == nil && len(o.Programs) == 0 {
		err = errors.New("no programs in it")
	}
	if err != nil {
		ck.unreadable(o.Name, err)
		return
	}
	for _, v := range checkAll(ctx, o, target) {
		ck.print(v)
	}
}

func (ck *Checker) print(v Verdict) {
	switch v.Verdict {
	case Accept:
	case Reject:
		ck.code = max(ck.code, ExitWrong)
	default:
		ck.code = ExitUnable
	}
	if ck.json {
		line, err := json.Marshal(v)
		if err == nil {
			ck.w.Write(append(line, '\n'))
		}
		return
	}
	if v.Type == "script" { // shown with its line and caret
		return
	}
	what := v.File
	if v.Program != "" {
		what += ": " + v.Program
	}
	if v.Message == "" {
		fmt.Fprintf(ck.w, "%s: %s (%d instructions, %d processed, %d states, %d µs)\n", what, v.Verdict, v.Insns, v.Processed, v.States, v.TimeUS)
		return
	}
	fmt.Fprintf(ck.w, "%s: %s: %s\n", what, v.Verdict, v.Message)
}
