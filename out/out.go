// Package out renders what a traced program sends and leaves behind: records
// and maps of an event.Schema, as bpftrace's text or as its JSON lines. It
// defines Printer, what a Printer needs from the session (Maps, Symbols), and
// what a record asks of the session in turn (Effect).
//
// It knows nothing of engines, programs or probes beyond the schema.
// docs/output.md describes both formats.
package out

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/gtrace-dev/gtrace/event"
)

// Map is a map of the session, as engine.Map has it.
type Map interface {
	// Each calls f with every key and its value, or the values of all possible
	// CPUs for a per-CPU map. The slices are valid during the call.
	Each(f func(key []byte, values [][]byte) error) error
	Lookup(key []byte) ([][]byte, error) // nil without error: no such key
	Delete(key []byte) error
	Clear() error // every key, or zeroes for arrays
	Zero() error  // every value; keys stay
}

// Maps finds a session's maps by name (without @).
type Maps interface {
	Map(name string) (Map, error)
}

// MapsFunc makes Maps of a function.
type MapsFunc func(name string) (Map, error)

// Map calls f.
func (f MapsFunc) Map(name string) (Map, error) { return f(name) }

// Symbols names addresses. An answer of "" means that the name is not known:
// the address is shown in hex then.
type Symbols interface {
	Kernel(addr uint64) string
	User(pid uint32, addr uint64) string
}

// Options is what a Printer needs besides the schema.
type Options struct {
	Maps    Maps    // nil: actions on maps are errors
	Symbols Symbols // nil: addresses are shown in hex

	// Escape shows control characters from the target as \xNN in text, so that
	// a target can't drive the user's terminal. Set it when w is a terminal.
	// JSON always escapes.
	Escape bool

	// Messages takes Summary's line in text; nil: the printer's own writer.
	Messages io.Writer
}

// Effect is what a record asks of the session.
type Effect struct {
	Exit bool // the script called exit
	Code int  // its exit code
}

// Printer renders the events and maps of one session. It is not safe for
// concurrent use. Each method writes whole lines at once, or as much of a line
// as the script printed.
type Printer interface {
	// Attached tells how many probes were attached.
	Attached(probes int) error
	// Record renders one record. An error is either the writer's, the maps', or
	// a *Malformed; the Printer can be used further after each.
	Record(rec []byte) (Effect, error)
	// Maps prints every map that holds something, as at the end of a trace. A
	// map that can't be read is an error behind those that can.
	Maps() error
	// Summary sums up stats (one a probe, per-CPU values added), when something
	// was lost or failed, or always when verbose.
	Summary(stats []event.Stats, verbose bool) error
}

// Malformed is the error for a record that does not fit the schema.
type Malformed struct {
	Len    int // bytes of the record
	Reason string
}

// Error says what is wrong with the record.
func (m *Malformed) Error() string {
	return fmt.Sprintf("malformed event record of %d bytes: %s", m.Len, m.Reason)
}

// native is the byte order of records and map values: both engines run on this machine.
var native = binary.NativeEndian

// base is what both printers share.
type base struct {
	w      io.Writer
	schema *event.Schema
	opt    Options
	maps   map[string]*event.Map
	prints []*format // by action; nil for what is no printf
	errs   []error   // by action: why it can't be rendered
	buf    []byte
	exited bool // exit was called: only END still says something
}

func newBase(w io.Writer, s *event.Schema, opt Options) *base {
	b := &base{w: w, schema: s, opt: opt, maps: map[string]*event.Map{},
		prints: make([]*format, len(s.Actions)), errs: make([]error, len(s.Actions))}
	for i := range s.Maps {
		b.maps[s.Maps[i].Name] = &s.Maps[i]
	}
	for i := range s.Actions {
		b.errs[i] = b.prepare(i)
	}
	return b
}

// prepare checks action i once, so that records need only their length checked.
func (b *base) prepare(i int) error {
	a := &b.schema.Actions[i]
	if len(a.Args) > event.MaxArgs {
		return fmt.Errorf("action %d has %d arguments, at most %d fit", i, len(a.Args), event.MaxArgs)
	}
	for j := range a.Args {
		if err := checkType(&a.Args[j].Type, 0); err != nil {
			return fmt.Errorf("action %d, argument %d: %w", i, j+1, err)
		}
		if a.Args[j].Offset < event.RecordArgs {
			return fmt.Errorf("action %d, argument %d: offset %d lies in the record's header", i, j+1, a.Args[j].Offset)
		}
	}
	switch a.Kind {
	case event.Printf:
		f, err := parseFormat(a.Format, len(a.Args))
		if err != nil {
			return fmt.Errorf("action %d: %w", i, err)
		}
		b.prints[i] = f
	case event.PrintValue:
		if len(a.Args) != 1 {
			return fmt.Errorf("action %d prints one value, has %d", i, len(a.Args))
		}
	case event.PrintMap, event.ClearMap, event.ZeroMap:
		if b.maps[a.Map] == nil {
			return fmt.Errorf("action %d names map @%s, which the script does not have", i, a.Map)
		}
	case event.Exit:
		if len(a.Args) > 1 {
			return fmt.Errorf("action %d: exit has %d arguments", i, len(a.Args))
		}
	default:
		return fmt.Errorf("action %d is of unknown kind %d", i, a.Kind)
	}
	return nil
}

// record is a record that fits its action.
type record struct {
	action *event.Action
	index  int
	fails  uint64
	raw    []byte
}

// arg is an argument's bytes and whether they could be read.
func (r *record) arg(i int) ([]byte, event.Fail) {
	a := &r.action.Args[i]
	return r.raw[a.Offset : a.Offset+a.Type.Size], event.Fail(r.fails >> (2 * i) & 3)
}

// parse checks raw against the schema. It returns nil for what was sent, by
// another thread or before the probes were detached, after exit().
func (b *base) parse(raw []byte) (*record, error) {
	bad := func(f string, args ...any) (*record, error) {
		return nil, &Malformed{Len: len(raw), Reason: fmt.Sprintf(f, args...)}
	}
	if len(raw) < event.RecordArgs {
		return bad("a header has %d bytes", event.RecordArgs)
	}
	n := native.Uint64(raw[event.RecordAction:])
	if n >= uint64(len(b.schema.Actions)) {
		return bad("unknown action %d, the script has %d", n, len(b.schema.Actions))
	}
	if err := b.errs[n]; err != nil {
		return bad("%v", err)
	}
	a := &b.schema.Actions[n]
	for i := range a.Args {
		if end := a.Args[i].Offset + a.Args[i].Type.Size; end > len(raw) {
			return bad("argument %d of action %d ends at byte %d", i+1, n, end)
		}
	}
	if end := a.Probe < len(b.schema.Probes) && b.schema.Probes[a.Probe] == "END"; b.exited && !end {
		return nil, nil
	}
	return &record{action: a, index: int(n), fails: native.Uint64(raw[event.RecordFail:]), raw: raw}, nil
}

// act does what is the same in every format: exit, clear, zero.
func (b *base) act(r *record) (Effect, error) {
	switch r.action.Kind {
	case event.Exit:
		b.exited = true
		e := Effect{Exit: true}
		if len(r.action.Args) == 1 {
			if raw, fail := r.arg(0); fail == event.OK {
				v, _ := integer(&r.action.Args[0].Type, raw)
				e.Code = int(v)
			}
		}
		return e, nil
	case event.ClearMap, event.ZeroMap:
		m, err := b.session(b.maps[r.action.Map])
		if err != nil {
			return Effect{}, err
		}
		do := m.Clear
		if r.action.Kind == event.ZeroMap {
			do = m.Zero
		}
		if err := do(); err != nil {
			return Effect{}, fmt.Errorf("map @%s: %w", r.action.Map, err)
		}
	}
	return Effect{}, nil
}

// session finds a map of the session.
func (b *base) session(m *event.Map) (Map, error) {
	if b.opt.Maps == nil {
		return nil, fmt.Errorf("map @%s: no maps to look into", m.Name)
	}
	found, err := b.opt.Maps.Map(m.BPFName())
	if err != nil {
		return nil, fmt.Errorf("map @%s: %w", m.Name, err)
	}
	return found, nil
}

// flush writes what was rendered and forgets it, also when writing failed.
func (b *base) flush() error {
	_, err := b.w.Write(b.buf)
	b.buf = b.buf[:0]
	return err
}
