// Package engine defines what an engine does: attach verified programs to
// places, hand out events and maps, stop. engine/kernel and engine/user do it.
package engine

import (
	"context"
	"iter"

	"github.com/gtrace-dev/gtrace/place"
	"github.com/gtrace-dev/gtrace/verify"
)

// Bound is a verified program and the place it belongs to. Its index in
// Attach's slice is the probe's index in event.Schema.Probes.
type Bound struct {
	Program *verify.Verified
	Place   place.Place
}

// Engine attaches programs.
type Engine interface {
	Name() string // "kernel" or "user"
	// Attach attaches all of bound or nothing: BEGIN programs have run and every
	// other probe is live when it returns. A target that was handed over stopped
	// (see Target) is let go only after that.
	Attach(ctx context.Context, bound []Bound, t Target) (Session, error)
}

// Target is the process to trace.
type Target struct {
	PID int // 0: every process (kernel engine only)
	// Command: PID was started by Start and waits, stopped, for Attach.
	Command *Command
}

// Session is a running trace.
type Session interface {
	// Events yields records (event.Schema) in order until the session ends:
	// by Stop, by the target's end, or by an error. The slice is valid until
	// the next record.
	Events() iter.Seq2[[]byte, error]
	// Map gives access to a map of the programs by name.
	Map(name string) (Map, error)
	// Stats reports each probe's way of attachment, in the order of Attach.
	Stats() []Site
	// Stop detaches the probes, runs END programs and ends Events once what
	// was sent is drained. Safe to call more than once and from any goroutine.
	Stop()
	// Close stops and releases everything. Maps are gone afterwards.
	Close() error
}

// Site is how a probe is attached.
type Site struct {
	Probe string // full name
	Way   string // "perf uprobe", "int3", "tp_btf", "test run", …
}

// Map is a map of a session, as user space sees it.
type Map interface {
	// Each calls f with every key and its value, or values of all possible
	// CPUs for a per-CPU map. The slices are valid during the call.
	Each(f func(key []byte, values [][]byte) error) error
	Lookup(key []byte) ([][]byte, error) // nil without error: no such key
	Delete(key []byte) error
	Clear() error // every key, or zeroes for arrays
	Zero() error  // every value; keys stay
}
