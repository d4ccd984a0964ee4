// Package probe turns the names of probes into places: functions of binaries,
// raw tracepoints of kernel BTF, tracepoints of tracefs. Its Resolver is what
// the script compiler asks about the world.
package probe

import (
	"errors"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/place"
	"github.com/gtrace-dev/gtrace/script/env"
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
}

// Resolver implements env.Env. It is not safe for concurrent use.
type Resolver struct {
	o Options
}

var _ env.Env = (*Resolver)(nil)

// New returns a Resolver.
func New(o Options) *Resolver { return &Resolver{o: o} }

// Close releases the binaries that were opened.
func (r *Resolver) Close() error { return nil }

// Listed is a probe that a pattern names.
type Listed struct {
	Place     place.Place
	Signature string // "func(int fd, char *buf) int"; "" where it is not known or was not asked for
}

var errNotYet = errors.New("unsupported: probe")

func (r *Resolver) Match(p env.Pattern) ([]place.Place, error) { return nil, errNotYet }
func (r *Resolver) Args(p place.Place) ([]env.Arg, place.Place, error) {
	return nil, p, errNotYet
}
func (r *Resolver) Ret(p place.Place) (env.Arg, error) { return env.Arg{}, errNotYet }
func (r *Resolver) Type(p place.Place, keyword, name string) (btf.Type, error) {
	return nil, errNotYet
}
func (r *Resolver) Space(p place.Place) string            { return "" }
func (r *Resolver) KernelBTF() *btf.Spec                  { return nil }
func (r *Resolver) List(pattern string) ([]Listed, error) { return nil, errNotYet }
