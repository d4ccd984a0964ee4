package main

// This file asks the running kernel, by veristat, and keeps what it said.

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// question says how the programs of an object are loaded; veristat.h reads it.
type question struct {
	Flags        map[string]uint32 // by program
	BTF          string            // file of the types for CO-RE relocations; "": the kernel's
	Unprivileged bool
}

// questionOf collects what a test says of its programs.
func questionOf(expected map[string]expectation, unprivileged bool) question {
	q := question{Flags: map[string]uint32{}, Unprivileged: unprivileged}
	for name, e := range expected {
		if e.Flags != 0 {
			q.Flags[name] = e.Flags
		}
		if e.BTF != "" {
			q.BTF = e.BTF
		}
	}
	return q
}

// env is the question as veristat.h reads it; none for an ordinary load.
func (q question) env() []string {
	var env, flags []string
	for name, f := range q.Flags {
		flags = append(flags, fmt.Sprintf("%s=%#x", name, f))
	}
	slices.Sort(flags)
	if len(flags) > 0 {
		env = append(env, "PARITY_FLAGS="+strings.Join(flags, " "))
	}
	if q.BTF != "" {
		env = append(env, "PARITY_BTF="+q.BTF)
	}
	if q.Unprivileged {
		env = append(env, "PARITY_UNPRIVILEGED=1")
	}
	return env
}

// veristatFlags: level 4 has the kernel's reasons and statistics. -v alone
// means level 1, whose listing costs the kernel most of its time, and overflows
// the log of large programs, which the kernel then answers with ENOSPC.
var veristatFlags = []string{"-v", "-l", "4", "-o", "csv", "-e", "file,prog,verdict,duration,insns,states"}

// askKernel gives the running kernel's verdict on each program of an object.
func (c *cache) askKernel(ctx context.Context, object string, q question, limit time.Duration) ([]kernelVerdict, error) {
	data, err := os.ReadFile(object)
	if err != nil {
		return nil, err
	}
	for _, e := range q.env() {
		data = append(data, e...)
	}
	sum := sha256.Sum256(data)
	file := c.kernel("verdict/" + hex.EncodeToString(sum[:16]))
	stdout, err1 := os.ReadFile(file + ".out")
	stderr, err2 := os.ReadFile(file + ".err")
	if err1 == nil && err2 == nil {
		return parseVeristat(string(stdout), string(stderr))
	}
	stdout, stderr, err = veristat(ctx, c.build(veristatName), object, q.env(), limit)
	if err != nil {
		return nil, err
	}
	list, err := parseVeristat(string(stdout), string(stderr))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file+".out", stdout, 0o644); err != nil {
		return nil, err
	}
	return list, os.WriteFile(file+".err", stderr, 0o644)
}

// veristat loads each program of an object by itself.
func veristat(ctx context.Context, binary, object string, env []string, limit time.Duration) (stdout, stderr []byte, err error) {
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	cmd := exec.CommandContext(ctx, binary, append(slices.Clone(veristatFlags), object)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &errs, append(os.Environ(), env...)
	err = cmd.Run()
	if ctx.Err() != nil {
		return nil, nil, fmt.Errorf("veristat took more than %v", limit)
	}
	if !bytes.Contains(append([]byte("\n"), out.Bytes()...), []byte("\n"+csvHeader)) {
		return nil, nil, fmt.Errorf("veristat printed no CSV: %v: %s", err, lastLine(errs.String()))
	}
	return shorten(out.Bytes()), errs.Bytes(), nil
}

// longLog is how much of a program's log is kept: its end has the kernel's reason.
const longLog = 4000

// shorten drops the middle of long logs, which for one program may have 16 MB.
func shorten(out []byte) []byte {
	blocks := bytes.Split(out, []byte("\nPROCESSING "))
	for i, b := range blocks {
		if len(b) <= longLog {
			continue
		}
		head, _, ok := bytes.Cut(b, []byte(", VERIFIER LOG:\n"))
		if !ok {
			continue
		}
		end := b[len(b)-longLog:]
		if i == len(blocks)-1 { // the CSV follows
			if at := bytes.LastIndex(b, []byte("\n"+csvHeader)); at >= 0 {
				end = b[max(len(head)+16, at-longLog):]
			}
		}
		blocks[i] = bytes.Join([][]byte{head, end}, []byte(", VERIFIER LOG:\n"))
	}
	return bytes.Join(blocks, []byte("\nPROCESSING "))
}
