// Package gtracetest fails a Go test when one of its BPF programs would not
// load, with gtrace's explanation. It needs no privileges and loads nothing.
package gtracetest

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/gtrace-dev/gtrace"
)

// Check verifies every program of spec for every target of o (the zero value:
// the running kernel) and fails the test for each that would not load, and for
// each of which gtrace cannot tell. It returns the verdicts.
func Check(t testing.TB, spec *ebpf.CollectionSpec, o gtrace.CheckOptions) []gtrace.Verdict {
	t.Helper()
	verdicts, err := gtrace.Check(t.Context(), spec, o)
	if err != nil {
		t.Fatalf("gtrace: %v", err)
	}
	for _, v := range verdicts {
		if v.Verdict != gtrace.Accept {
			why := v.Message
			if v.Explanation != nil {
				why = v.Explanation.String()
			}
			t.Errorf("%s on %s: %s: %s", v.Program, v.Target, v.Verdict, why)
		}
	}
	return verdicts
}
