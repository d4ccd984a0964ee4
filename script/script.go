// Package script compiles the tracing language to BPF: text is scanned and
// parsed, checked against the real types of what it traces, and emitted as an
// Object with BTF and line information. It asks an Env about the world and
// touches nothing itself.
package script

import (
	"github.com/gtrace-dev/gtrace/event"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/place"
	"github.com/gtrace-dev/gtrace/script/diag"
)

// Diagnostic is one thing that is wrong with a script.
type Diagnostic = diag.Diagnostic

// Diagnostics is the error of Compile for a script that is wrong; Render shows it.
type Diagnostics = diag.Diagnostics

// Compiled is a script as BPF.
type Compiled struct {
	Object *object.Object
	Schema *event.Schema
	Probes []Probe // in the order of Schema.Probes
}

// Probe is a place and the program that runs there.
type Probe struct {
	Place   place.Place
	Program string // name of the Func in Object.Programs
}

// Lower says how reads of memory that may fail are written.
type Lower uint8

const (
	Kernel Lower = iota // as helper calls that every kernel has
	Native              // as typed loads of gtrace's own engine
)

// Options are what a compilation depends on beside the script and its Env.
type Options struct {
	Lower      Lower
	Params     []string // $1, $2, …
	CPID       int      // the builtin cpid; 0 when there is no child
	StrSize    int      // size of str() in bytes; 0: 64
	MaxEntries int      // entries of a map with keys; 0: 4096
	RingSize   int      // bytes of the ring buffer, a power of two; 0: 256 KiB
	StartNS    uint64   // CLOCK_MONOTONIC that the builtin elapsed counts from
	Arch       string   // GOARCH of the target; "": amd64
}

// Compile compiles the script src; file names it in messages. The error is
// Diagnostics.
func Compile(file, src string, env Env, opts Options) (*Compiled, error) {
	l := &diag.List{Source: diag.NewSource(file, src)}
	l.Unsupported(diag.Span{}, "scripts")
	return nil, l.Err()
}
