package main

// This file defines kernelVerdict and reads what veristat prints.

import (
	"encoding/csv"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// The sides' verdicts on a program.
const (
	accept      = "accept"
	reject      = "reject"
	leftOut     = "left-out"    // the kernel only: this host cannot load it, whatever the verifier thinks
	unsupported = "unsupported" // gtrace only
	failed      = "error"       // gtrace only: unreadable, out of time, or a panic
)

// kernelVerdict is what the kernel said of one program.
type kernelVerdict struct {
	Program string
	Verdict string
	Reason  string // of leftOut
	Message string // of reject: the kernel's reason
	Insns   int    // processed
	TimeUS  int
}

const csvHeader = "file_name,prog_name,verdict,"

// parseVeristat reads veristat -v -o csv: on stdout a block with the kernel's
// log for each program and then the CSV; on stderr libbpf's own words, which
// end with the same line for each program that failed, in the same order.
func parseVeristat(stdout, stderr string) ([]kernelVerdict, error) {
	at := strings.LastIndex("\n"+stdout, "\n"+csvHeader)
	if at < 0 {
		return nil, fmt.Errorf("veristat printed no CSV: %s", lastLine(stderr))
	}
	rows, err := csv.NewReader(strings.NewReader(stdout[at:])).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("veristat's CSV: %w", err)
	}
	logs := splitLogs(stdout[:at], stderr)
	var list []kernelVerdict
	for _, r := range rows[1:] {
		if len(r) < 5 {
			return nil, fmt.Errorf("veristat's CSV: a row has %d fields, expected at least 5", len(r))
		}
		k := kernelVerdict{Program: r[1]}
		k.TimeUS, _ = strconv.Atoi(r[3])
		k.Insns, _ = strconv.Atoi(r[4])
		switch r[2] {
		case "success":
			k.Verdict = accept
		case "failure":
			w, ok := logs[k.Program]
			if !ok {
				return nil, fmt.Errorf("veristat printed no log of %s", k.Program)
			}
			k.judge(w.log, w.said)
		default:
			return nil, fmt.Errorf("veristat's CSV: verdict %q, expected success or failure", r[2])
		}
		list = append(list, k)
	}
	return list, nil
}

// words are what was said of a program: by the kernel, and by libbpf where it failed.
type words struct{ log, said string }

// splitLogs finds each program's words. The blocks on stdout are in the order
// of loading, and so are libbpf's words; the CSV is sorted by name.
func splitLogs(stdout, stderr string) map[string]words {
	logs := map[string]words{}
	said := strings.Split(stderr, "libbpf: failed to load object ")
	for i, block := range strings.Split("\n"+stdout, "\nPROCESSING ") {
		head, log, ok := strings.Cut(block, ", VERIFIER LOG:\n")
		if i == 0 || !ok {
			continue
		}
		w := words{log: log}
		if strings.HasSuffix(head, "VERDICT: failure") && len(said) > 1 {
			w.said, said = said[0], said[1:]
		}
		head, _, _ = strings.Cut(head, ", DURATION US: ")
		logs[head[strings.LastIndexByte(head, '/')+1:]] = w
	}
	return logs
}

const policy = "the host's policy (EPERM)"

// outside lists what in libbpf's or the kernel's words means that the host, not
// the verifier's judgement of the program, is why it did not load. First match wins.
var outside = []struct {
	reason string
	match  *regexp.Regexp
}{
	{"struct_ops: the program's struct is not this kernel's", regexp.MustCompile(`struct_ops (init_kern|reloc)|BPF_PROG_TYPE_STRUCT_OPS|attach to unsupported member`)},
	{"missing kfunc", regexp.MustCompile(`extern \(func ksym\)[^\n]*(not found|not resolved)|<invalid kfunc call>|invalid func unknown#2002\d{6}|kfunc '[^']*' is referenced but wasn't resolved`)},
	{"missing kernel variable", regexp.MustCompile(`extern \((var|strict|typeless)[^\n]*|extern \(kallsyms ksym\)[^\n]*`)},
	{"missing kconfig value", regexp.MustCompile(`extern \(kcfg\)`)},
	{"CO-RE relocation against this kernel's types", regexp.MustCompile(`<invalid CO-RE relocation>|invalid func unknown#195896080|relo #\d+: (no matching targets|failed|target candidate)|failed to (resolve|perform) CO-RE relocation`)},
	{"map cannot be made", regexp.MustCompile(`failed to create: |failed to create map|failed to (load|auto-create)[^\n]*map|map '[^']*': (failed|unsupported|can't)`)},
	{"missing attach target", regexp.MustCompile(`failed to find kernel BTF type ID|failed to find BTF|attach target|attach_btf_id|attach type|Invalid tracepoint|is not a (kernel|BTF) function`)},
	{policy, regexp.MustCompile(`Operation not permitted`)},
}

// judge decides between reject and leftOut. The kernel prints its statistics
// whenever the verifier was reached; without them nothing judged the program.
func (k *kernelVerdict) judge(log, said string) {
	judged := strings.Contains(log, "\nprocessed ") || strings.HasPrefix(log, "processed ")
	if judged && !strings.Contains(said, "BPF program load failed") {
		k.Verdict = accept // the kernel took it; libbpf then failed at something else, such as filling a program array
		return
	}
	k.Verdict = reject
	if judged { // else the log is memory that nothing was written to
		k.Message = message(log)
	}
	for _, o := range outside {
		words := said
		if judged { // the log itself; libbpf's echo of it would match again
			words = k.Message + "\n" + tail(log, 600)
			if o.reason == policy || o.reason == "map cannot be made" {
				continue
			}
		}
		if o.match.MatchString(words) {
			k.Verdict, k.Reason = leftOut, o.reason
			return
		}
	}
	if !judged {
		k.Verdict, k.Reason = leftOut, "other: "+why(said)
	}
}

// notes are lines of a log that are about the program, not about what is wrong
// with it: source lines, states, functions.
var notes = regexp.MustCompile(`^(;|(cur|old) state: |Validating .*\(\) func#|Func#\d+ |func '|arg#\d+ reference type\('UNKNOWN '\)|R\d+ is not a known value|mark_precise|\d+: )`)

// headings are lines that say what is wrong with an access; the line after says why.
var headings = regexp.MustCompile(`^(invalid access to (map (value|key)|memory|packet), |infinite loop detected|global function calls are not allowed while holding a lock,)`)

// message is the last line of a log that is neither a note, statistics nor a
// listing, behind the heading that it belongs to.
func message(log string) string {
	last, heading := "", ""
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		line, end, glued := strings.Cut(line, "verification time ")
		glued = glued && strings.Contains(end, " usec")
		switch {
		case line == "", notes.MatchString(line):
		case headings.MatchString(line):
			heading, last = line, line
		case strings.HasPrefix(line, "processed "), strings.HasPrefix(line, "stack depth "):
			return last
		case heading != "" && last == heading:
			last += " | " + line
		default:
			last = line
		}
		if glued {
			return last
		}
	}
	return last
}

var quoted = regexp.MustCompile(`'[^']*'|[-\d]+`)

// why is the first thing libbpf complained about, without names and numbers.
func why(said string) string {
	for line := range strings.Lines(said) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "libbpf: "); ok {
			return quoted.ReplaceAllString(rest, "…")
		}
	}
	return "nothing was said"
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}
