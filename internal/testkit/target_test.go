package testkit

import (
	"fmt"
	"strings"
	"testing"
)

// TestServer builds and runs the C target with both compilers: the checksum
// does not depend on how it was built.
func TestServer(t *testing.T) {
	for _, lang := range []string{"gcc", "clang-19"} {
		t.Run(lang, func(t *testing.T) {
			path := Build(t, lang, "../../testdata/targets/server.c", "-g", "-O2", "-pthread")
			p := StartTarget(t, path, "-w", "1000", "3")
			if line, err := p.Line(); err != nil || line != fmt.Sprintf("ready %d", p.PID) {
				t.Fatalf("%q, %v", line, err)
			}
			fmt.Fprintln(p.Stdin)
			rest, err := p.Rest()
			if err != nil || rest != "1000 requests, checksum 4953599\n" {
				t.Errorf("%q, %v", rest, err)
			}
			if err := p.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestGoServer(t *testing.T) {
	p := StartTarget(t, Build(t, "go", "../../testdata/targets/goserver"), "10", "2")
	if rest, err := p.Rest(); err != nil || !strings.HasPrefix(rest, "10 requests, checksum ") {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestRequirements(t *testing.T) {
	RequirePtrace(t)
	RequireTool(t, "go")
	RequireBPF(t)
}
