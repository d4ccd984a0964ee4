package testkit

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify"
	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/sys/unix"
)

// This file runs golden cases: assembly round trip, verifier, interpreter in
// checking mode, and the kernel.

var update = flag.Bool("update", false, "rewrite the explain and state sections of golden cases")

// Updating reports whether golden files are to be rewritten.
func Updating() bool { return *update }

// judged is the kernel version that verdicts are for.
var (
	judged             = abi.V(6, 18)
	judgedUnprivileged = abi.V(6, 12)
)

// machine runs a program that was accepted.
type machine interface {
	Run(ctx []byte) (uint64, error)
	Update(name string, key, value []byte) error
	Lookup(name string, key []byte) ([][]byte, error)
	Record(name string) ([]byte, error)
	Close()
}

// Golden runs every case that matches the file pattern.
func Golden(t *testing.T, pattern string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden cases match %s (%v)", pattern, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { golden(t, file) })
	}
}

// golden runs one case.
func golden(t *testing.T, file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseCase(data)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	o := roundTrip(t, filepath.Base(file), c)
	if len(o.Programs) == 0 {
		t.Fatal("the section prog has no entry program: give a .section that names a program type")
	}
	addLines(o, c)
	running, err := image.Running()
	if err != nil {
		t.Fatal(err)
	}
	// Verdicts are for one kernel, whichever runs: cases must not change with the machine.
	target := *running
	target.Version, target.CPUs = judged, nil
	if c.Unprivileged {
		target.Version, target.Privileged = judgedUnprivileged, false
	}
	if c.Target != 0 {
		target.Version = c.Target
	}
	img, err := image.Build(o, o.Programs[0].Name, &target)
	if err != nil {
		t.Fatal(err)
	}
	img.Attach.Alignment = c.Alignment
	v := judge(t, file, c, img)
	if v != nil && c.Runs != nil {
		t.Run("interpreter", func(t *testing.T) {
			m, err := newInterpreter(v)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if m.run == nil {
				t.Log("not every path can be walked to its end: runs are not compared with the verifier's states")
			}
			runAll(t, c, m, ^uint64(0))
		})
	}
	t.Run("kernel", func(t *testing.T) {
		RequireBPF(t)
		if running.Version < c.Since {
			t.Skipf("the case needs kernel %s, this one is %s", c.Since, running.Version)
		}
		if c.Target != 0 && running.Version != c.Target {
			t.Skipf("the case is about kernel %s, this one is %s", c.Target, running.Version)
		}
		if c.Unprivileged {
			RequireUnprivileged(t, running.Version)
			dropCapabilities(t)
		}
		oracle(t, c, img)
	})
}

// judge verifies the program and compares, or rewrites, what the case says of that.
func judge(t *testing.T, file string, c *Case, img *image.Image) *verify.Verified {
	t.Helper()
	tr, err := traceStates(c, img)
	if err != nil {
		t.Fatal(err)
	}
	var opts verify.Options
	if tr != nil {
		opts.Trace = tr.trace
	}
	v, err := verify.Verify(context.Background(), img, opts)
	if got := verdictOf(c, img, err); got.String() != wanted(c, got) {
		t.Errorf("verdict %s, want %s (%v)", got, c.Verdict, err)
	}
	checkExplain(t, c, img, err)
	checkStates(t, c, tr)
	if c.changed {
		if err := os.WriteFile(file, txtar.Format(c.Archive), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// roundTrip assembles the program, prints it and assembles that again.
func roundTrip(t *testing.T, name string, c *Case) *object.Object {
	t.Helper()
	o, err := object.ParseAsm(name, c.Prog)
	if err != nil {
		t.Fatal(err)
	}
	text := object.FormatAsm(o)
	again, err := object.ParseAsm(name, text)
	if err != nil {
		t.Fatalf("its own assembly is not read back: %v\n%s", err, text)
	}
	if !reflect.DeepEqual(o, again) {
		t.Errorf("assembly does not survive a round trip:\n%s\nbecomes\n%s", text, object.FormatAsm(again))
	}
	return o
}

// wanted is the case's verdict as text; without a label when the case names none.
func wanted(c *Case, got Verdict) string {
	v := c.Verdict
	if v.Label == "" {
		v.Label = got.Label
	}
	return v.String()
}

// verdictOf puts Verify's error into a case's terms.
func verdictOf(c *Case, img *image.Image, err error) Verdict {
	var rej *verify.Rejection
	var uns *verify.Unsupported
	switch {
	case err == nil:
		return Verdict{Accept: true}
	case errors.As(err, &rej):
		return Verdict{Code: rej.Fault.Code(), Label: labelAt(c, img, rej.Insn)}
	case errors.As(err, &uns):
		return Verdict{Unsupported: true, Label: labelAt(c, img, uns.Insn)}
	}
	return Verdict{Code: fmt.Sprintf("(error: %v)", err)}
}

// labelAt names slot insn of the image: the case's own label where it agrees,
// else any label there, else the slot as function+distance.
func labelAt(c *Case, img *image.Image, insn int) string {
	if insn < 0 {
		return ""
	}
	fn := img.Subprogs[0]
	for _, s := range img.Subprogs {
		if s.Start <= insn {
			fn = s
		}
	}
	rel, found := insn-fn.Start, ""
	for l, slot := range c.Labels[fn.Name] {
		if slot == rel && (found == "" || l == c.Verdict.Label) {
			found = l
		}
	}
	if found == "" {
		found = fmt.Sprintf("%s+%d", fn.Name, rel)
	}
	return found
}

// addLines gives the program its own text as line information, so that messages show it.
func addLines(o *object.Object, c *Case) {
	text := strings.Split(c.Prog, "\n")
	for _, fs := range [][]*object.Func{o.Programs, o.Subprogs} {
		for _, f := range fs {
			f.Lines = nil
			for slot, n := range c.Lines[f.Name] {
				f.Lines = append(f.Lines, object.Line{Insn: slot, File: "prog", Line: n, Text: strings.TrimSpace(text[n-1])})
			}
		}
	}
}

// checkExplain compares the explain section, or updates it in the case.
func checkExplain(t *testing.T, c *Case, img *image.Image, err error) {
	t.Helper()
	if c.Explain == "" {
		return
	}
	var rej *verify.Rejection
	if !errors.As(err, &rej) {
		t.Error("an explain section, but no rejection")
		return
	}
	c.section(t, "explain", c.Explain, rej.Explain().String()+"\n")
}

// checkStates compares the state sections, or updates them in the case.
func checkStates(t *testing.T, c *Case, tr *stateTracer) {
	t.Helper()
	if tr != nil && tr.err != nil {
		t.Error(tr.err)
		return
	}
	for _, s := range c.States {
		if len(tr.visits[s]) == 0 {
			t.Errorf("section state @%s: the verifier never comes to the label", s.Label)
			continue
		}
		c.section(t, "state @"+s.Label, s.Text, strings.Join(tr.visits[s], "\n"))
	}
}

// section compares a section that can be rewritten; with -update it gets what was found.
func (c *Case) section(t *testing.T, name, want, got string) {
	t.Helper()
	if got == want {
		return
	}
	if !*update {
		t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
		return
	}
	for i := range c.Archive.Files {
		if c.Archive.Files[i].Name == name {
			c.Archive.Files[i].Data, c.changed = []byte(got), true
		}
	}
}

// oracle asks the kernel.
func oracle(t *testing.T, c *Case, img *image.Image) {
	k, err := LoadKernel(img)
	var rej *KernelRejection
	if err != nil && !errors.As(err, &rej) {
		t.Fatal(err)
	}
	if rej != nil && rej.Err == unix.EPERM && rej.Log == "" {
		t.Skip("this host's policy lets no such program be loaded")
	}
	accepts := err == nil
	if accepts {
		defer k.Close()
	}
	ours := c.Verdict.Accept
	switch {
	case c.Kernel == Same && accepts != ours:
		t.Errorf("kernel: same, but gtrace's verdict is %s and the kernel's error is %v", c.Verdict, err)
	case c.Kernel == Stricter && (accepts || !ours):
		t.Errorf("kernel: stricter, but gtrace's verdict is %s and the kernel accepts: %v", c.Verdict, accepts)
	case c.Kernel == Looser && (!accepts || ours):
		t.Errorf("kernel: looser, but gtrace's verdict is %s and the kernel's error is %v", c.Verdict, err)
	}
	if accepts && c.Runs != nil {
		runAll(t, c, kernelMachine{k}, 1<<32-1)
	}
}

// kernelMachine makes a machine of the kernel's program.
type kernelMachine struct{ *Kernel }

func (k kernelMachine) Run(ctx []byte) (uint64, error) {
	r0, err := k.Kernel.Run(ctx)
	return uint64(r0), err
}

// runAll runs a case's runs on m and compares; mask is what m tells of R0.
func runAll(t *testing.T, c *Case, m machine, mask uint64) {
	t.Helper()
	for i, r := range c.Runs {
		for _, e := range r.Sets {
			if err := m.Update(e.Map, e.Key, e.Value); err != nil {
				t.Fatalf("run %d: set %s: %v", i+1, e.Map, err)
			}
		}
		r0, err := m.Run(r.Ctx)
		if err != nil {
			t.Fatalf("run %d: %v", i+1, err)
		}
		if r.R0 != nil && r0&mask != *r.R0&mask {
			t.Errorf("run %d: r0 is %#x, want %#x", i+1, r0&mask, *r.R0&mask)
		}
		for _, e := range r.Maps {
			if err := compareEntry(m, e); err != nil {
				t.Errorf("run %d: %v", i+1, err)
			}
		}
		for _, e := range r.Ring {
			rec, err := m.Record(e.Map)
			if err != nil || !bytes.Equal(rec, e.Value) {
				t.Errorf("run %d: ring %s: record %x (%v), want %x", i+1, e.Map, rec, err, e.Value)
			}
		}
	}
}

// compareEntry looks a map's entry up.
func compareEntry(m machine, e Entry) error {
	values, err := m.Lookup(e.Map, e.Key)
	if err != nil {
		return fmt.Errorf("map %s: %w", e.Map, err)
	}
	var got []byte
	if len(values) == 1 {
		got = values[0]
	} else if len(values) > 1 {
		got = make([]byte, len(values[0]))
		for _, v := range values {
			for i := 0; i+8 <= len(v); i += 8 {
				sum := binary.LittleEndian.Uint64(got[i:]) + binary.LittleEndian.Uint64(v[i:])
				binary.LittleEndian.PutUint64(got[i:], sum)
			}
		}
	}
	if !bytes.Equal(got, e.Value) {
		return fmt.Errorf("map %s, key %x: %x, want %x", e.Map, e.Key, got, e.Value)
	}
	return nil
}
