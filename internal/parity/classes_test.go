package main

import (
	"regexp"
	"strings"
	"testing"
)

func TestCodesOf(t *testing.T) {
	for message, want := range map[string]string{
		"R0 invalid mem access 'scalar'":              "scalar-deref",
		"R2_w invalid mem access 'map_value_or_null'": "nullable-deref",
		"invalid access to map value, value_size=48 off=48 size=8 | R0 max value is outside of the allowed memory range": "map-value-bounds",
		"invalid access to memory, mem_size=5 off=5 size=1 | R6 max value is outside of the allowed memory range":        "mem-bounds",
		"invalid access to packet, off=0 size=1, R2(id=0,off=0,r=0) | R2 offset is outside of the packet":                "packet-bounds",
		"invalid read from stack off -8+0 size 8":              "uninit-stack,stack-object",
		"invalid read from stack R1 off=-513 size=1":           "stack-bounds,uninit-stack",
		"value -2147483648 makes ctx pointer be out of bounds": "pointer-arithmetic",
		"R1 is bpf_array invalid negative access: off=-8":      "type-field",
		"the moon is full": "",
	} {
		if got := strings.Join(codesOf(message), ","); got != want {
			t.Errorf("%q: %q, expected %q", message, got, want)
		}
	}
}

func TestClasses(t *testing.T) {
	code := regexp.MustCompile(`^[a-z][a-z-]*$`)
	seen := map[string]bool{}
	for _, c := range classes {
		if seen[c.pattern] {
			t.Errorf("%q is there twice", c.pattern)
		}
		seen[c.pattern] = true
		if folded(c.pattern) != c.pattern {
			t.Errorf("%q is not folded: %q", c.pattern, folded(c.pattern))
		}
		for _, s := range c.codes {
			if !code.MatchString(s) {
				t.Errorf("%q: code %q", c.pattern, s)
			}
		}
	}
}

// A log's reason is neither a source line nor a state, and comes with its heading.
func TestMessage(t *testing.T) {
	for log, want := range map[string]string{
		"invalid bpf_context access off=76 size=4\n; asm volatile (\"\t\\ @ a.c:7\nprocessed 1 insns":                         "invalid bpf_context access off=76 size=4",
		"infinite loop detected at insn 3\ncur state: R1=ctx()\nold state: R1=ctx()\nprocessed 9 insns":                       "infinite loop detected at insn 3",
		"invalid access to memory, mem_size=5 off=5 size=1\nR6 max value is outside of the allowed memory range\nprocessed 1": "invalid access to memory, mem_size=5 off=5 size=1 | R6 max value is outside of the allowed memory range",
		"insn 7 cannot call exception cb directlyverification time 9 usec\nstack depth 0\nprocessed 1":                        "insn 7 cannot call exception cb directly",
		"Validating f() func#1...\nR1 !read_ok\nverification time 9 usec\nprocessed 1":                                        "R1 !read_ok",
	} {
		if got := message(log); got != want {
			t.Errorf("%q: %q, expected %q", log, got, want)
		}
	}
}
