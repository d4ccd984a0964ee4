package internal

import (
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/gtrace-dev/gtrace"

// rooms lists, for each room, the rooms it may import (beside its own
// sub-packages): docs/architecture.md, "Rooms". A room that is not listed may
// import nothing of gtrace.
var rooms = map[string][]string{
	"isa":      {},
	"place":    {},
	"event":    {},
	"abi":      {"isa"},
	"object":   {"abi", "isa"},
	"image":    {"object", "abi", "isa"},
	"verify":   {"image", "object", "abi", "isa"},
	"vm":       {"verify", "image", "object", "abi", "isa"},
	"engine":   {"vm", "verify", "image", "object", "abi", "isa", "place", "event", "internal/tracefs", "internal/x86"},
	"usertype": {"object", "abi", "isa", "internal/x86"},
	"script":   {"object", "event", "abi", "isa", "place"},
	"probe":    {"usertype", "object", "abi", "isa", "place", "script/env", "internal/tracefs"},
	"out":      {"event"},
	"":         {"engine", "vm", "verify", "image", "object", "abi", "isa", "place", "event", "script", "probe", "usertype", "out"},
	"cmd":      {""},

	"gtracetest": {""},

	"internal/tracefs": {},
	"internal/x86":     {},
	"internal/bench":   nil, // programs for figures: may use anything
	"internal/parity":  nil, // a program that measures: may use anything
	"internal/mutants": {},
	"internal/testkit": nil, // test code: may use anything
}

// sub lists narrower rules for sub-packages.
var sub = map[string][]string{
	"verify/tnum":   {},
	"verify/fault":  {"isa"},
	"verify/facts":  {},
	"verify/scalar": {"verify/tnum", "isa"},
	"vm/maps":       {"object", "abi", "isa"},
	"script/scan":   {"script/diag"},
}

// roomOf returns the room that the package at path (relative to the module) is in.
func roomOf(path string) string {
	best := ""
	for r := range rooms {
		if r != "" && (path == r || strings.HasPrefix(path, r+"/")) && len(r) > len(best) {
			best = r
		}
	}
	if best == "" && path != "" {
		return path
	}
	return best
}

func allowed(from, to string) bool {
	if list, ok := sub[from]; ok {
		return within(to, list)
	}
	room := roomOf(from)
	list, ok := rooms[room]
	if !ok {
		return false
	}
	if list == nil || room != "" && (to == room || strings.HasPrefix(to, room+"/")) {
		return true
	}
	return within(to, list)
}

func within(path string, list []string) bool {
	for _, l := range list {
		if path == l || l != "" && strings.HasPrefix(path, l+"/") {
			return true
		}
	}
	return false
}

// TestLayers keeps imports pointing one way.
func TestLayers(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := 0
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		from := rel(words[0])
		packages++
		for _, w := range words[1:] {
			if w != module && !strings.HasPrefix(w, module+"/") {
				continue
			}
			if to := rel(w); !allowed(from, to) {
				t.Errorf("package %q may not import %q (docs/architecture.md, Rooms)", from, to)
			}
		}
	}
	if packages < 10 {
		t.Fatalf("only %d packages looked at", packages)
	}
}

func rel(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
}
