package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gtrace-dev/gtrace/internal/testkit"
)

// usage is what the operating system says of one finished process.
type usage struct {
	cpu, wall time.Duration
	rss       int64 // KiB, peak
}

// contender is a command line to be measured.
type contender struct {
	name   string
	argv   []string
	env    []string
	before func() // not measured
	runs   []usage
}

func (c *contender) run(b *testing.B) {
	if c.before != nil {
		c.before()
	}
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	cmd.Env = append(os.Environ(), c.env...)
	start := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("%s: %v: %v\n%s", c.name, c.argv, err, out)
	}
	st := cmd.ProcessState
	c.runs = append(c.runs, usage{st.UserTime() + st.SystemTime(), time.Since(start), st.SysUsage().(*syscall.Rusage).Maxrss})
}

// report prints the median of each figure.
func (c *contender) report(b *testing.B) {
	median := func(f func(usage) float64) float64 {
		v := make([]float64, len(c.runs))
		for i, u := range c.runs {
			v[i] = f(u)
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	b.ReportMetric(median(func(u usage) float64 { return u.cpu.Seconds() * 1e3 }), c.name+"-cpu-ms")
	b.ReportMetric(median(func(u usage) float64 { return u.wall.Seconds() * 1e3 }), c.name+"-wall-ms")
	b.ReportMetric(median(func(u usage) float64 { return float64(u.rss) / 1024 }), c.name+"-rss-MiB")
}

// interleave runs the contenders in turn, so that the machine's mood hits all alike.
func interleave(b *testing.B, cs ...*contender) {
	const rounds = 11
	for b.Loop() {
		for range rounds {
			for _, c := range cs {
				c.run(b)
			}
		}
	}
	for _, c := range cs {
		c.report(b)
	}
	b.ReportMetric(0, "ns/op")
}

// gtrace builds the static binary once.
func gtrace(b *testing.B) string {
	path := filepath.Join(b.TempDir(), "gtrace")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "github.com/gtrace-dev/gtrace/cmd/gtrace")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
	st, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("static binary: %.1f MB", float64(st.Size())/1e6)
	return path
}

// BenchmarkStart is the cost of a whole process that attaches one probe and
// ends at once: user and system CPU, wall time and peak RSS as wait4 reports
// them, medians of 11 interleaved rounds.
func BenchmarkStart(b *testing.B) {
	g := gtrace(b)
	const (
		bash = `uprobe:/bin/bash:readline { @ = count(); } BEGIN { exit(); }`
		libc = `uprobe:/lib/x86_64-linux-gnu/libc.so.6:malloc { @ = hist(args.bytes); } BEGIN { exit(); }`
	)
	b.Run("uprobe", func(b *testing.B) {
		cs := []*contender{
			{name: "kernel", argv: []string{g, "--engine", "kernel", "-e", bash}},
			{name: "user", argv: []string{g, "--engine", "user", "-e", bash, "--", "/bin/true"}},
		}
		interleave(b, append(cs, bpftrace(bash)...)...)
	})
	b.Run("libc6-dbg", func(b *testing.B) {
		cold, warm := b.TempDir(), b.TempDir()
		interleave(b,
			&contender{name: "first", argv: []string{g, "--engine", "kernel", "-e", libc}, env: []string{"XDG_CACHE_HOME=" + cold},
				before: func() { os.RemoveAll(cold); os.Mkdir(cold, 0o700) }},
			&contender{name: "next", argv: []string{g, "--engine", "kernel", "-e", libc}, env: []string{"XDG_CACHE_HOME=" + warm}},
		)
	})
}

// BenchmarkHit is a whole run of a program whose function is hit 20,000 times,
// counted by the probe, beside the same program alone.
func BenchmarkHit(b *testing.B) {
	g := gtrace(b)
	server := testkit.Build(b, "gcc", "../../testdata/targets/server.c", "-g", "-O2", "-pthread")
	script := "uprobe:" + server + ":handle_request { @ = count(); }"
	run := []string{server, "20000", "1"}
	cs := []*contender{
		{name: "alone", argv: run},
		{name: "kernel", argv: append([]string{g, "--engine", "kernel", "-e", script, "--"}, run...)},
		{name: "user", argv: append([]string{g, "--engine", "user", "-e", script, "--"}, run...)},
	}
	if path, err := exec.LookPath("bpftrace"); err == nil {
		cs = append(cs, &contender{name: "bpftrace", argv: []string{path, "-c", strings.Join(run, " "), "-e", script}})
	}
	interleave(b, cs...)
}

// bpftrace is the same script in bpftrace, where it is installed.
func bpftrace(script string) []*contender {
	path, err := exec.LookPath("bpftrace")
	if err != nil {
		fmt.Println("bpftrace is not installed: measured without it")
		return nil
	}
	return []*contender{{name: "bpftrace", argv: []string{path, "-e", script}}}
}
