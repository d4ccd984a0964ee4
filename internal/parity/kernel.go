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
	"time"
)

// askKernel gives the kernel's verdict on each program of an object.
func (c *cache) askKernel(ctx context.Context, object string, limit time.Duration) ([]kernelVerdict, error) {
	data, err := os.ReadFile(object)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	file := c.kernel("verdict/" + hex.EncodeToString(sum[:16]))
	stdout, err1 := os.ReadFile(file + ".out")
	stderr, err2 := os.ReadFile(file + ".err")
	if err1 == nil && err2 == nil {
		return parseVeristat(string(stdout), string(stderr))
	}
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	// Level 4 has the kernel's reasons and statistics. -v alone means level 1,
	// whose listing costs the kernel most of its time, and overflows the log of
	// large programs, which the kernel then answers with ENOSPC.
	cmd := exec.CommandContext(ctx, c.build("veristat"), "-v", "-l", "4", "-o", "csv", "-e", "file,prog,verdict,duration,insns,states", object)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("veristat took more than %v", limit)
	}
	list, perr := parseVeristat(out.String(), errs.String())
	if perr != nil {
		return nil, fmt.Errorf("%w (veristat: %v)", perr, err)
	}
	if err := os.WriteFile(file+".out", shorten(out.Bytes()), 0o644); err != nil {
		return nil, err
	}
	return list, os.WriteFile(file+".err", errs.Bytes(), 0o644)
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
