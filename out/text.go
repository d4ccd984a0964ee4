package out

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/gtrace-dev/gtrace/event"
)

// This file defines the text printer: bpftrace's text.

type text struct {
	*base
}

// NewText returns a Printer that writes bpftrace's text to w.
func NewText(w io.Writer, s *event.Schema, opt Options) Printer {
	return &text{newBase(w, s, opt)}
}

func (t *text) Attached(probes int) error {
	s := "s"
	if probes == 1 {
		s = ""
	}
	t.buf = fmt.Appendf(t.buf, "Attaching %d probe%s...\n", probes, s)
	return t.flush()
}

func (t *text) Record(raw []byte) (Effect, error) {
	r, err := t.parse(raw)
	if err != nil || r == nil {
		return Effect{}, err
	}
	switch r.action.Kind {
	case event.Printf:
		t.buf = t.appendPrintf(t.buf, r)
	case event.PrintValue:
		if v, fail := r.arg(0); fail != event.OK {
			t.buf = append(t.buf, failText(fail)...)
		} else {
			t.buf = t.appendValue(t.buf, &r.action.Args[0].Type, v)
		}
		t.buf = append(t.buf, '\n')
	case event.PrintMap:
		m := t.maps[r.action.Map]
		rows, err := t.rows(m)
		if err != nil {
			return Effect{}, err
		}
		t.buf = t.appendMap(t.buf, m, top(rows, r.action.Top), r.action.Div)
	default:
		return t.act(r)
	}
	return Effect{}, t.flush()
}

func (t *text) Maps() error {
	var errs []error
	t.buf = append(t.buf, "\n\n"...)
	for _, m := range t.sorted() {
		rows, err := t.rows(m)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if rows = filled(m, rows); len(rows) > 0 {
			t.buf = t.appendMap(t.buf, m, rows, 1)
		}
	}
	return errors.Join(append(errs, t.flush())...)
}

// appendMap appends a map's rows. Histograms, averages and statistics end with
// a blank line, as does a map without rows.
func (t *text) appendMap(dst []byte, m *event.Map, rows []row, div int64) []byte {
	for i := range rows {
		r := &rows[i]
		dst = append(append(dst, '@'), m.Name...)
		if len(m.Keys) > 0 {
			dst = append(t.appendKey(append(dst, '['), m, r.key, ", "), ']')
		}
		dst = append(dst, ": "...)
		switch m.Agg {
		case event.Hist, event.LHist:
			dst = r.appendHist(append(dst, '\n'), m, div)
			if i < len(rows)-1 {
				dst = append(dst, '\n')
			}
		default:
			dst = append(t.appendRow(dst, m, r, div), '\n')
		}
	}
	switch m.Agg {
	case event.Hist, event.LHist, event.Avg, event.Stat:
		return append(dst, '\n')
	}
	if len(rows) == 0 {
		dst = append(dst, '\n')
	}
	return dst
}

// appendKey appends a key's parts with sep between them.
func (b *base) appendKey(dst []byte, m *event.Map, key []byte, sep string) []byte {
	for i := range m.Keys {
		if i > 0 {
			dst = append(dst, sep...)
		}
		k := &m.Keys[i]
		dst = b.appendValue(dst, &k.Type, key[k.Offset:k.Offset+k.Type.Size])
	}
	return dst
}

// appendRow appends the value of a row that is no histogram.
func (t *text) appendRow(dst []byte, m *event.Map, r *row, div int64) []byte {
	switch m.Agg {
	case event.Plain:
		switch {
		case r.fail != event.OK:
			return append(dst, failText(r.fail)...)
		case m.Value.Kind == event.Int:
			return appendInt(dst, divide(r.v, div, m.Value.Signed), m.Value.Signed)
		}
		return t.appendValue(dst, &m.Value, r.raw)
	case event.Stat:
		dst = strconv.AppendUint(append(dst, "count "...), r.n, 10)
		dst = appendInt(append(dst, ", average "...), r.average(m), m.Signed)
		return appendInt(append(dst, ", total "...), r.v, m.Signed)
	}
	v, signed := r.number(m, div)
	return appendInt(dst, v, signed)
}

// number is the one number that an aggregate shows, divided by div.
func (r *row) number(m *event.Map, div int64) (v int64, signed bool) {
	switch m.Agg {
	case event.Count:
		return divide(int64(r.n), div, false), false
	case event.Avg:
		return divide(r.average(m), div, m.Signed), m.Signed
	}
	return divide(r.v, div, m.Signed), m.Signed
}

func divide(v, div int64, signed bool) int64 {
	switch {
	case div <= 1:
		return v
	case signed:
		return v / div
	}
	return int64(uint64(v) / uint64(div))
}
