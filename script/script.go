// Package script compiles the tracing language to BPF: text is scanned and
// parsed, checked against the real types of what it traces, and emitted as an
// Object with BTF and line information. It asks an Env about the world and
// touches nothing itself.
package script

import (
	"github.com/gtrace-dev/gtrace/event"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/place"
	"github.com/gtrace-dev/gtrace/script/check"
	"github.com/gtrace-dev/gtrace/script/diag"
	"github.com/gtrace-dev/gtrace/script/emit"
	"github.com/gtrace-dev/gtrace/script/parse"
	"github.com/gtrace-dev/gtrace/script/typed"
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
func Compile(file, src string, e Env, opts Options) (*Compiled, error) {
	l := &diag.List{Source: diag.NewSource(file, src)}
	if opts.defaults(l); l.Len() > 0 {
		return nil, l.Err()
	}
	tree, complete := parse.Parse(l.Source, l)
	if !complete {
		return nil, l.Err()
	}
	typedScript := check.Check(tree, e, l, check.Options{Params: opts.Params, StrSize: opts.StrSize, CPID: opts.CPID, Arch: typed.ArchByName(opts.Arch)})
	if l.Len() > 0 {
		return nil, l.Err()
	}
	o, schema := emit.Emit(typedScript, l, emit.Options{
		Native: opts.Lower == Native, MaxEntries: opts.MaxEntries, RingSize: opts.RingSize, StartNS: opts.StartNS,
		Source: l.Source, TargetBTF: e.KernelBTF(),
	})
	if l.Len() > 0 {
		return nil, l.Err()
	}
	out := &Compiled{Object: o, Schema: schema}
	for i, p := range typedScript.Programs {
		out.Probes = append(out.Probes, Probe{Place: p.Place, Program: o.Programs[i].Name})
	}
	return out, nil
}

// defaults fills in what is not set and reports what can't be.
func (o *Options) defaults(l *diag.List) {
	if o.StrSize == 0 {
		o.StrSize = 64
	}
	if o.MaxEntries == 0 {
		o.MaxEntries = 4096
	}
	if o.RingSize == 0 {
		o.RingSize = 256 << 10
	}
	if o.Arch == "" {
		o.Arch = "amd64"
	}
	if typed.ArchByName(o.Arch) == nil {
		l.Unsupported(diag.Span{}, "scripts for the architecture %s", o.Arch)
	}
	if o.StrSize < 2 || o.StrSize > check.MaxStr {
		l.Add(diag.Span{}, "strings of %d bytes", o.StrSize).Expected = "2 to 1024"
	}
	if o.MaxEntries < 1 || o.MaxEntries > 1<<26 {
		l.Add(diag.Span{}, "maps of %d entries", o.MaxEntries).Expected = "1 to 67108864"
	}
	if o.RingSize < 4096 || o.RingSize > 1<<30 || o.RingSize&(o.RingSize-1) != 0 {
		l.Add(diag.Span{}, "a ring buffer of %d bytes", o.RingSize).Expected = "a power of two from 4096 on"
	}
}
