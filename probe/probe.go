// Package probe turns the names of probes into places: functions of binaries,
// raw tracepoints of kernel BTF, tracepoints of tracefs. Its Resolver is what
// the script compiler asks about the world.
package probe

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/place"
	"github.com/gtrace-dev/gtrace/script/env"
	"github.com/gtrace-dev/gtrace/usertype"
)

// Options of a Resolver.
type Options struct {
	// PID is the traced process; 0: none in particular. Its mount namespace
	// and its mapped libraries are where binaries are looked for.
	PID int
	// KernelBTF gives the target kernel's types; called when first needed.
	// nil: the running kernel's.
	KernelBTF func() (*btf.Spec, error)
	// CacheDir holds what was read from DWARF; see usertype.Options.
	CacheDir string
	// NoCache turns that cache off.
	NoCache bool
	// Signatures makes List say the types of arguments.
	Signatures bool
}

// Resolver implements env.Env. It is not safe for concurrent use.
type Resolver struct {
	o         Options
	root      string // /proc/PID/root where the target sees other files than gtrace
	rooted    bool
	binaries  map[string]*usertype.Binary
	kernel    *btf.Spec
	kernelErr error
	formats   map[string][]byte // tracefs format files by category/event
	hints     map[string]string // how to get debug information, by binary
}

var _ env.Env = (*Resolver)(nil)

// New returns a Resolver.
func New(o Options) *Resolver {
	if o.KernelBTF == nil {
		o.KernelBTF = btf.LoadKernelSpec
	}
	return &Resolver{o: o, binaries: map[string]*usertype.Binary{}, formats: map[string][]byte{}, hints: map[string]string{}}
}

// Close releases the binaries that were opened.
func (r *Resolver) Close() error {
	for _, b := range r.binaries {
		b.Close()
	}
	clear(r.binaries)
	return nil
}

// Match returns the places that an attach point names.
func (r *Resolver) Match(p env.Pattern) ([]place.Place, error) {
	want := map[place.Kind]int{place.Uprobe: 2, place.Uretprobe: 2, place.RawTracepoint: 1, place.Tracepoint: 2}
	n, ok := want[p.Kind]
	if !ok {
		return nil, fmt.Errorf("probe type %s names no place", p.Kind)
	}
	if len(p.Fields) != n {
		return nil, fmt.Errorf("%s: expected %d parts behind the probe type, found %d", p.Kind, n, len(p.Fields))
	}
	if p.Kind.Kernel() && p.Offset != 0 {
		return nil, fmt.Errorf("%s: a tracepoint has no offset", p.Kind)
	}
	switch p.Kind {
	case place.RawTracepoint:
		return r.matchRaw(p.Fields[0])
	case place.Tracepoint:
		return r.matchTracepoint(p.Fields[0], p.Fields[1])
	}
	return r.matchUser(p)
}

// Args returns the arguments at p and the place where their locations hold.
func (r *Resolver) Args(p place.Place) ([]env.Arg, place.Place, error) {
	switch p.Kind {
	case place.RawTracepoint:
		args, err := r.rawArgs(p.Event)
		return args, p, err
	case place.Tracepoint:
		args, err := r.formatArgs(p.Category, p.Event)
		return args, p, err
	case place.Uprobe, place.Uretprobe:
		return r.userArgs(p)
	}
	return nil, p, nil
}

// Ret returns the return value of the function at p.
func (r *Resolver) Ret(p place.Place) (env.Arg, error) {
	if !p.Kind.User() {
		return env.Arg{}, fmt.Errorf("probe %s has no return value", p)
	}
	f, err := r.function(p)
	if err != nil {
		return env.Arg{}, err
	}
	return argument(f.Ret), nil
}

// Type finds a named type as the code at p sees it.
func (r *Resolver) Type(p place.Place, keyword, name string) (btf.Type, error) {
	if !p.Kind.User() {
		return r.kernelType(keyword, name)
	}
	b, err := r.open(p.Path)
	if err != nil {
		return nil, err
	}
	t, err := b.Type(keyword, name, p.Addr)
	return t, r.explain(b, err)
}

// Space says whose types p's are.
func (r *Resolver) Space(p place.Place) string {
	if !p.Kind.User() {
		return "kernel"
	}
	if b, err := r.open(p.Path); err == nil && b.BuildID != "" {
		return b.BuildID
	}
	return p.Path
}

// KernelBTF is the BTF that kernel types came from; nil if none was used.
func (r *Resolver) KernelBTF() *btf.Spec { return r.kernel }

// spec loads the kernel's BTF.
func (r *Resolver) spec() (*btf.Spec, error) {
	if r.kernel == nil && r.kernelErr == nil {
		r.kernel, r.kernelErr = r.o.KernelBTF()
		if r.kernelErr != nil {
			r.kernelErr = fmt.Errorf("kernel BTF: %w", r.kernelErr)
		} else if r.kernel == nil {
			r.kernelErr = errors.New("unsupported: the target kernel has no BTF")
		}
	}
	return r.kernel, r.kernelErr
}
