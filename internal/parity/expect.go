package main

// This file defines expectation: what a test's source says of its programs, in
// tags of their functions.

import (
	"bytes"
	"debug/elf"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// stated is what a test expects of a program; the zero value: nothing.
type stated struct {
	Verdict  string
	Messages []string // parts of the kernel's log, in order
}

// expectation is all that a test says of a program.
type expectation struct {
	Privileged, Unprivileged stated
	Flags                    uint32 // of the load
	BTF                      string // object whose types CO-RE relocations look in
	Auxiliary                bool   // loaded beside others, not judged
}

// tagPrefix is before every tag that the tests' own loader reads.
const tagPrefix = "comment:test_"

// loadFlags are the flags that tests name (include/uapi/linux/bpf.h).
var loadFlags = map[string]uint32{
	"BPF_F_STRICT_ALIGNMENT":    1 << 0,
	"BPF_F_ANY_ALIGNMENT":       1 << 1,
	"BPF_F_TEST_RND_HI32":       1 << 2,
	"BPF_F_TEST_STATE_FREQ":     1 << 3,
	"BPF_F_SLEEPABLE":           1 << 4,
	"BPF_F_XDP_HAS_FRAGS":       1 << 5,
	"BPF_F_TEST_REG_INVARIANTS": 1 << 7,
}

// expectations reads the tags of an object's functions. In a file that states
// anything, a program about which nothing is stated is expected to load.
func expectations(object string) (map[string]expectation, error) {
	spec, err := rawTypes(object)
	if err != nil {
		return nil, err
	}
	m := map[string]expectation{}
	any := false
	for t, err := range spec.All() {
		if err != nil {
			return nil, err
		}
		f, ok := t.(*btf.Func)
		if !ok {
			continue
		}
		e, err := readTags(f.Tags)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		any = any || e.Privileged.Verdict != "" || e.Unprivileged.Verdict != ""
		if e.BTF != "" {
			e.BTF = filepath.Join(filepath.Dir(object), e.BTF)
		}
		m[f.Name] = e
	}
	for name, e := range m {
		if any && !e.Auxiliary && e.Privileged.Verdict == "" && e.Unprivileged.Verdict == "" {
			e.Privileged.Verdict = accept
			m[name] = e
		}
	}
	return m, nil
}

// rawTypes reads an object's types as they are: without an ELF reader's
// repairs, which some objects that load do not survive.
func rawTypes(object string) (*btf.Spec, error) {
	f, err := elf.Open(object)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := f.Section(".BTF")
	if s == nil {
		return nil, fmt.Errorf("%s has no types", object)
	}
	data, err := s.Data()
	if err != nil {
		return nil, err
	}
	return btf.LoadSpecFromReader(bytes.NewReader(data))
}

// tagText is a part of a log that a tag expects, with its place among the others.
type tagText struct {
	n    int
	text string
}

func readTags(tags []string) (e expectation, err error) {
	var privileged, unprivileged []tagText
	both := false // something is said of the unprivileged load, if only a message
	for _, tag := range tags {
		tag, ok := strings.CutPrefix(tag, tagPrefix)
		if !ok {
			continue
		}
		name, value, _ := strings.Cut(tag, "=")
		both = both || strings.HasSuffix(name, "_unpriv")
		switch name {
		case "expect_success":
			e.Privileged.Verdict = accept
		case "expect_failure":
			e.Privileged.Verdict = reject
		case "expect_success_unpriv":
			e.Unprivileged.Verdict = accept
		case "expect_failure_unpriv":
			e.Unprivileged.Verdict = reject
		case "expect_msg":
			privileged = append(privileged, numbered(value))
		case "expect_msg_unpriv":
			unprivileged = append(unprivileged, numbered(value))
		case "auxiliary", "auxiliary_unpriv":
			e.Auxiliary = true
		case "btf_path":
			e.BTF = value
		case "prog_flags":
			if err := e.addFlag(value); err != nil {
				return e, err
			}
		}
	}
	if e.Unprivileged.Verdict == "" && both {
		e.Unprivileged.Verdict = e.Privileged.Verdict
	}
	e.Privileged.Messages, e.Unprivileged.Messages = inOrder(privileged), inOrder(unprivileged)
	if len(unprivileged) == 0 && e.Unprivileged.Verdict == e.Privileged.Verdict {
		e.Unprivileged.Messages = e.Privileged.Messages
	}
	return e, nil
}

// addFlag reads "NAME", "!NAME", or a number.
func (e *expectation) addFlag(s string) error {
	name, clear := strings.CutPrefix(s, "!")
	f, ok := loadFlags[name]
	if !ok {
		n, err := strconv.ParseUint(name, 0, 32)
		if err != nil {
			return fmt.Errorf("flag %q: expected a name such as BPF_F_ANY_ALIGNMENT, or a number", s)
		}
		f = uint32(n)
	}
	if clear {
		e.Flags &^= f
	} else {
		e.Flags |= f
	}
	return nil
}

// numbered splits "3=text"; the number says where it belongs.
func numbered(s string) tagText {
	n, text, ok := strings.Cut(s, "=")
	i, err := strconv.Atoi(n)
	if !ok || err != nil {
		return tagText{text: s}
	}
	return tagText{i, text}
}

func inOrder(list []tagText) []string {
	slices.SortStableFunc(list, func(a, b tagText) int { return a.n - b.n })
	var s []string
	for _, t := range list {
		s = append(s, t.text)
	}
	return s
}
