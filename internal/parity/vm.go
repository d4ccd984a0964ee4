package main

// This file asks kernels in virtual machines. The host writes down what to load
// (guestJob); this command, run again in the guest, loads it and leaves what
// was said; the verdicts go to a table that is committed, for machines without
// virtual machines.

import (
	"compress/gzip"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gtrace-dev/gtrace/image"
)

// flavours are the Debian kernels that have what the tests need, by series.
var flavours = map[string]string{"6.1": "cloud-amd64", "6.12": "amd64"}

// vmKernel is a kernel in a virtual machine, and the folder with its types and configuration.
type vmKernel struct {
	series, dir, release string
}

// findKernel looks for a kernel's folder (CONTRIBUTING.md, "Parity with the kernel").
func findKernel(series string) (vmKernel, error) {
	flavour := flavours[series]
	if flavour == "" {
		return vmKernel{}, fmt.Errorf("-target %s: expected 6.1 or 6.12", series)
	}
	base := os.Getenv("VMTEST_CACHE")
	if base == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return vmKernel{}, err
		}
		base = filepath.Join(user, "vmtest")
	}
	list, _ := filepath.Glob(filepath.Join(base, "linux-image-"+series+".*-"+flavour))
	list = slices.DeleteFunc(list, func(s string) bool { return flavour == "amd64" && strings.Contains(s, "-cloud-") })
	if len(list) == 0 {
		return vmKernel{}, fmt.Errorf("no kernel %s (%s) in %s: CONTRIBUTING.md says what belongs there", series, flavour, base)
	}
	slices.Sort(list)
	dir := list[len(list)-1]
	return vmKernel{series, dir, strings.TrimPrefix(filepath.Base(dir), "linux-image-")}, nil
}

// target is the kernel as gtrace is told of it.
func (k vmKernel) target(unprivileged bool) (*image.Target, error) {
	t, err := image.ForRelease(k.release)
	if err != nil {
		return nil, err
	}
	t.Privileged = !unprivileged
	t.UseBTF(filepath.Join(k.dir, "vmlinux.btf"))
	return t, t.UseConfig(filepath.Join(k.dir, "config"))
}

// guestJob is what the guest does.
type guestJob struct {
	Veristat string
	Loads    []guestLoad
}

type guestLoad struct {
	Test, Object string
	Env          []string
}

// guestLimit is for one object: the machine may be an emulated one.
const guestLimit = 15 * time.Minute

// guestAnswer is what veristat said of an object.
type guestAnswer struct{ Out, Err []byte }

// answers is the file that the guest leaves: gzipped JSON, a guestAnswer by test.
const answers = "answers.json.gz"

// guest does a job, in the virtual machine.
func guest(ctx context.Context, file string, progress io.Writer) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var job guestJob
	if err := json.Unmarshal(data, &job); err != nil {
		return err
	}
	said := map[string]guestAnswer{}
	for i, l := range job.Loads {
		stdout, stderr, err := veristat(ctx, job.Veristat, l.Object, l.Env, guestLimit)
		if err != nil {
			fmt.Fprintf(progress, "parity: %s: %v\n", l.Test, err)
			continue
		}
		said[l.Test] = guestAnswer{stdout, stderr}
		if i%50 == 0 {
			fmt.Fprintf(progress, "parity: %d of %d objects\n", i, len(job.Loads))
		}
	}
	f, err := os.Create(filepath.Join(os.Getenv("VMTEST_OUT"), answers))
	if err != nil {
		return err
	}
	defer f.Close()
	z := gzip.NewWriter(f)
	if err := json.NewEncoder(z).Encode(said); err != nil {
		return err
	}
	return z.Close()
}

// readAnswers reads what the guest left.
func readAnswers(out string) (map[string][]kernelVerdict, error) {
	f, err := os.Open(filepath.Join(out, answers))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	var said map[string]guestAnswer
	if err := json.NewDecoder(z).Decode(&said); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	m := map[string][]kernelVerdict{}
	for test, a := range said {
		if m[test], err = parseVeristat(string(a.Out), string(a.Err)); err != nil {
			return nil, fmt.Errorf("%s: %w", test, err)
		}
	}
	return m, nil
}

// record has a kernel in a virtual machine judge loads, and reads what it said.
// vmtest is the program that runs one: CONTRIBUTING.md says how it is called.
func (c *cache) record(ctx context.Context, vmtest string, k vmKernel, loads []guestLoad, unprivileged bool, progress io.Writer) (map[string][]kernelVerdict, error) {
	if vmtest == "" {
		return nil, errors.New("-record needs a program that runs virtual machines, PARITY_VMTEST=FILE: CONTRIBUTING.md says how it is called")
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	out := filepath.Join(c.dir, "vm-"+tableName(k.series, unprivileged))
	if err := os.RemoveAll(out); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, err
	}
	data, err := json.Marshal(guestJob{c.build(veristatName), loads})
	if err != nil {
		return nil, err
	}
	job := out + ".json"
	if err := os.WriteFile(job, data, 0o644); err != nil {
		return nil, err
	}
	args := []string{"-k", k.series, "-flavour", flavours[k.series], "-t", "4h", "-m", "6144", "-o", out,
		"-f", job, "-f", c.build(veristatName), "-f", c.kernel("objects")}
	if unprivileged {
		args = append(args, "-sysctl", "kernel.unprivileged_bpf_disabled=0")
	}
	cmd := exec.CommandContext(ctx, vmtest, append(args, "--", self, "-guest", job)...)
	cmd.Stdout, cmd.Stderr = progress, progress
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("vmtest: %w", err)
	}
	return readAnswers(out)
}

//go:embed testdata
var tables embed.FS

func tableName(series string, unprivileged bool) string {
	if unprivileged {
		return series + "-unprivileged"
	}
	return series
}

// Marks of verdicts in a table.
var marks = map[string]string{accept: "+", reject: "-", leftOut: "?"}

// writeTable writes a kernel's verdicts: a line a test, its programs with a mark.
func writeTable(file, head string, verdicts map[string][]kernelVerdict) error {
	var tests []string
	for t := range verdicts {
		tests = append(tests, t)
	}
	slices.Sort(tests)
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n# A line a test: its programs, + accepted, - rejected, ? not judged.\n", head)
	for _, t := range tests {
		b.WriteString(t)
		for _, k := range verdicts[t] {
			b.WriteString(" " + marks[k.Verdict] + k.Program)
		}
		b.WriteByte('\n')
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}

// readTable reads what writeTable wrote.
func readTable(text string) (map[string][]kernelVerdict, error) {
	m := map[string][]kernelVerdict{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		for _, w := range words[1:] {
			k := kernelVerdict{Program: w[1:]}
			for verdict, mark := range marks {
				if mark == w[:1] {
					k.Verdict = verdict
				}
			}
			if k.Verdict == "" {
				return nil, fmt.Errorf("%s: %q: expected +, - or ? and a program's name", words[0], w)
			}
			if k.Verdict == leftOut {
				k.Reason = "not judged there"
			}
			m[words[0]] = append(m[words[0]], k)
		}
	}
	return m, nil
}

// vmOracle is a kernel in a virtual machine, by the table of its verdicts, or
// by asking it and writing the table.
func (c *cache) vmOracle(ctx context.Context, o options, subjects []subject, progress io.Writer) (*oracle, error) {
	k, err := findKernel(o.target)
	if err != nil {
		return nil, err
	}
	t, err := k.target(o.unprivileged)
	if err != nil {
		return nil, err
	}
	name := tableName(k.series, o.unprivileged) + ".txt"
	text, err := tables.ReadFile("testdata/" + name)
	var verdicts map[string][]kernelVerdict
	switch {
	case o.record || errors.Is(err, os.ErrNotExist):
		verdicts, err = c.record(ctx, os.Getenv("PARITY_VMTEST"), k, loadsOf(subjects, o.unprivileged), o.unprivileged, progress)
		if err != nil {
			return nil, err
		}
		if o.unprivileged {
			refusedIsRejected(verdicts)
		}
		head := "Verdicts of " + filepath.Base(k.dir) + " on the selftests of " + sourcePackage + " " + c.version
		if err := writeTable(filepath.Join("internal/parity/testdata", name), head, verdicts); err != nil {
			return nil, err
		}
	default:
		if verdicts, err = readTable(string(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		c.remember(verdicts, o)
	}
	return &oracle{target: t, unprivileged: o.unprivileged, ask: func(_ context.Context, s subject) ([]kernelVerdict, error) {
		list, ok := verdicts[s.test]
		if !ok {
			return nil, fmt.Errorf("%s does not name it", name)
		}
		return list, nil
	}}, nil
}

// loadsOf is what the guest is to load: without privilege, what states something of that.
func loadsOf(subjects []subject, unprivileged bool) []guestLoad {
	var list []guestLoad
	for _, s := range subjects {
		if unprivileged && !s.statesUnprivileged() {
			continue
		}
		list = append(list, guestLoad{s.test, s.object, questionOf(s.expected, unprivileged).env()})
	}
	return list
}

// refusedIsRejected: without privilege EPERM is the kernel's answer to the
// program, and E2BIG to its length.
func refusedIsRejected(verdicts map[string][]kernelVerdict) {
	for _, list := range verdicts {
		for i := range list {
			if list[i].Reason == policy || strings.HasSuffix(list[i].Reason, "Argument list too long") {
				list[i].Verdict, list[i].Reason = reject, ""
			}
		}
	}
}

// remember adds the kernel's words where this machine recorded them.
func (c *cache) remember(verdicts map[string][]kernelVerdict, o options) {
	said, err := readAnswers(filepath.Join(c.dir, "vm-"+tableName(o.target, o.unprivileged)))
	if err != nil {
		return
	}
	for test, list := range verdicts {
		for i, k := range said[test] {
			if i < len(list) && list[i].Program == k.Program {
				list[i].Message, list[i].Insns = k.Message, k.Insns
			}
		}
	}
}
