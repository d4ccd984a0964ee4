package gtrace

// This file wires a session to package out: maps, symbols, statistics.

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/gtrace-dev/gtrace/engine"
	"github.com/gtrace-dev/gtrace/event"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/out"
	"github.com/gtrace-dev/gtrace/out/sym"
	"golang.org/x/term"
)

func (s *Script) printer(o RunOptions, sess engine.Session) out.Printer {
	opt := out.Options{
		Maps: out.MapsFunc(func(name string) (out.Map, error) {
			if !s.uses(name) {
				return unused{}, nil
			}
			m, err := sess.Map(name)
			if err != nil {
				return nil, err
			}
			return m, nil
		}),
		Symbols: sym.New(),
		Escape:  isTerminal(o.Out),
	}
	if o.Format == "json" {
		return out.NewJSON(o.Out, s.Schema, opt)
	}
	return out.NewText(o.Out, s.Schema, opt)
}

// uses reports whether any program refers to a map. One that only code names
// that can't run (behind exit(), in if (0)) is not created.
func (s *Script) uses(name string) bool {
	return slices.ContainsFunc(s.Bound, func(b engine.Bound) bool {
		return slices.ContainsFunc(b.Program.Image().Maps, func(m *object.Map) bool { return m.Name == name })
	})
}

// unused is a map that no program refers to: it is empty.
type unused struct{}

func (unused) Each(func(key []byte, values [][]byte) error) error { return nil }
func (unused) Lookup([]byte) ([][]byte, error)                    { return nil, nil }
func (unused) Delete([]byte) error                                { return nil }
func (unused) Clear() error                                       { return nil }
func (unused) Zero() error                                        { return nil }

func isTerminal(w io.Writer) bool {
	f, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// stats reads each probe's counts, those of all CPUs added.
func (s *Script) stats(sess engine.Session) ([]event.Stats, error) {
	list := make([]event.Stats, len(s.Schema.Probes))
	m, err := sess.Map(event.StatsMap)
	if err != nil {
		return nil, err
	}
	err = m.Each(func(key []byte, values [][]byte) error {
		if len(key) != 4 {
			return fmt.Errorf("map %s: a key of %d bytes, expected 4", event.StatsMap, len(key))
		}
		i := int(binary.NativeEndian.Uint32(key))
		if i >= len(list) {
			return nil
		}
		for _, v := range values {
			if len(v) < event.StatsSize {
				return fmt.Errorf("map %s: a value of %d bytes, expected %d", event.StatsMap, len(v), event.StatsSize)
			}
			list[i].Hits += binary.NativeEndian.Uint64(v)
			list[i].Lost += binary.NativeEndian.Uint64(v[8:])
			list[i].Failed += binary.NativeEndian.Uint64(v[16:])
			list[i].Full += binary.NativeEndian.Uint64(v[24:])
		}
		return nil
	})
	return list, err
}
