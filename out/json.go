package out

import (
	"errors"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/gtrace-dev/gtrace/event"
)

// This file defines the JSON printer: bpftrace's JSON lines, one object a line,
// written without reflection so that a line costs no more than its text.

type json struct {
	*base
}

// NewJSON returns a Printer that writes bpftrace's JSON lines to w.
func NewJSON(w io.Writer, s *event.Schema, opt Options) Printer {
	opt.Escape = false // JSON's own escapes say it all
	return &json{newBase(w, s, opt)}
}

// open starts a line of the given type.
func (j *json) open(kind string) {
	j.buf = append(append(append(j.buf, `{"type": "`...), kind...), `", "data": `...)
}

// end ends a line.
func (j *json) end() error {
	j.buf = append(j.buf, "}\n"...)
	return j.flush()
}

func (j *json) Attached(probes int) error {
	j.open("attached_probes")
	j.buf = append(strconv.AppendInt(append(j.buf, `{"probes": `...), int64(probes), 10), '}')
	return j.end()
}

func (j *json) Record(raw []byte) (Effect, error) {
	r, err := j.parse(raw)
	if err != nil || r == nil {
		return Effect{}, err
	}
	switch r.action.Kind {
	case event.Printf:
		j.printf(r)
	case event.PrintValue:
		j.open("value")
		if v, fail := r.arg(0); fail != event.OK {
			j.buf = append(append(append(j.buf, `null, "failed": "`...), failName(fail)...), '"')
		} else {
			j.buf = j.appendJSON(j.buf, &r.action.Args[0].Type, v)
		}
	case event.PrintMap:
		m := j.maps[r.action.Map]
		rows, err := j.rows(m)
		if err != nil {
			return Effect{}, err
		}
		j.mapLine(m, top(rows, r.action.Top), r.action.Div)
	default:
		return j.act(r)
	}
	return Effect{}, j.end()
}

// printf appends a printf's line up to its closing brace.
func (j *json) printf(r *record) {
	j.open("printf")
	j.buf = appendJSONString(j.buf, j.appendPrintf(nil, r))
	sep := `, "failed": {`
	for i := range r.action.Args {
		_, fail := r.arg(i)
		if fail == event.OK {
			continue
		}
		j.buf = strconv.AppendInt(append(append(j.buf, sep...), '"'), int64(i+1), 10)
		j.buf = append(append(append(j.buf, `": "`...), failName(fail)...), '"')
		sep = ", "
	}
	if sep == ", " {
		j.buf = append(j.buf, '}')
	}
}

func (j *json) Maps() error {
	var errs []error
	for _, m := range j.sorted() {
		rows, err := j.rows(m)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if rows = filled(m, rows); len(rows) == 0 {
			continue
		}
		j.mapLine(m, rows, 1)
		if err := j.end(); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}

// mapLine appends a map's line up to its closing brace.
func (j *json) mapLine(m *event.Map, rows []row, div int64) {
	switch m.Agg {
	case event.Hist, event.LHist:
		j.open("hist")
	case event.Avg, event.Stat:
		j.open("stats")
	default:
		j.open("map")
	}
	name := appendJSONString(nil, []byte("@"+m.Name))
	j.buf = append(append(append(j.buf, '{'), name...), ": "...)
	failed := false
	j.each(m, rows, func(r *row) bool { return true }, func(r *row) {
		failed = failed || r.fail != event.OK
		j.buf = j.appendRow(j.buf, m, r, div)
	})
	j.buf = append(j.buf, '}')
	if !failed {
		return
	}
	j.buf = append(append(append(j.buf, `, "failed": {`...), name...), ": "...)
	j.each(m, rows, func(r *row) bool { return r.fail != event.OK }, func(r *row) {
		j.buf = append(append(append(j.buf, '"'), failName(r.fail)...), '"')
	})
	j.buf = append(j.buf, '}')
}

// each appends an object of the rows that take, by key; without keys the value alone.
func (j *json) each(m *event.Map, rows []row, take func(*row) bool, value func(*row)) {
	if len(m.Keys) == 0 {
		if len(rows) == 0 {
			j.buf = append(j.buf, "null"...)
			return
		}
		value(&rows[0])
		return
	}
	j.buf = append(j.buf, '{')
	sep := ""
	for i := range rows {
		if !take(&rows[i]) {
			continue
		}
		j.buf = append(j.buf, sep...)
		j.buf = appendJSONString(j.buf, j.appendKey(nil, m, rows[i].key, ","))
		j.buf = append(j.buf, ": "...)
		value(&rows[i])
		sep = ", "
	}
	j.buf = append(j.buf, '}')
}

// appendRow appends a row's value.
func (j *json) appendRow(dst []byte, m *event.Map, r *row, div int64) []byte {
	switch m.Agg {
	case event.Plain:
		switch {
		case r.fail != event.OK:
			return append(dst, "null"...)
		case m.Value.Kind == event.Int:
			return appendInt(dst, divide(r.v, div, m.Value.Signed), m.Value.Signed)
		}
		return j.appendJSON(dst, &m.Value, r.raw)
	case event.Stat:
		dst = strconv.AppendUint(append(dst, `{"count": `...), r.n, 10)
		dst = appendInt(append(dst, `, "average": `...), r.average(m), m.Signed)
		return append(appendInt(append(dst, `, "total": `...), r.v, m.Signed), '}')
	case event.Hist, event.LHist:
		return r.appendJSONHist(dst, m, div)
	}
	v, signed := r.number(m, div)
	return appendInt(dst, v, signed)
}

// appendJSONHist appends a histogram's buckets; min and max are both included in a bucket.
func (r *row) appendJSONHist(dst []byte, m *event.Map, div int64) []byte {
	bs, _ := r.shown(m, div)
	dst = append(dst, '[')
	for i := range bs {
		b := &bs[i]
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(dst, '{')
		signed := m.Agg == event.LHist || b.noLow
		if !b.noLow {
			dst = append(appendInt(append(dst, `"min": `...), int64(b.lo), signed), ", "...)
		}
		if !b.noHigh {
			dst = append(appendInt(append(dst, `"max": `...), int64(b.hi), signed), ", "...)
		}
		dst = append(strconv.AppendUint(append(dst, `"count": `...), b.count, 10), '}')
	}
	return append(dst, ']')
}

// failName is the marker of a value that could not be read.
func failName(f event.Fail) string {
	switch f {
	case event.Null:
		return "null"
	case event.Fault:
		return "fault"
	}
	return "failed"
}

// appendJSON appends a value.
func (b *base) appendJSON(dst []byte, t *event.Type, raw []byte) []byte {
	switch t.Kind {
	case event.Int, event.Bool:
		return b.appendValue(dst, t, raw)
	case event.Ptr:
		return strconv.AppendUint(dst, native.Uint64(raw), 10)
	case event.Enum:
		v, signed := integer(t, raw)
		if _, ok := t.Names[v]; !ok {
			return appendInt(dst, v, signed)
		}
	case event.Struct:
		dst = append(dst, "{ "...)
		return append(b.appendJSONFields(dst, len(dst), t, raw), " }"...)
	case event.Array, event.Tuple:
		return b.appendJSONList(dst, t, raw)
	}
	return appendJSONString(dst, b.appendValue(nil, t, raw))
}

// appendJSONFields appends the members of a struct to an object that begins at
// start. Members of anonymous members are among them, as in C: the object has
// one member of a name.
func (b *base) appendJSONFields(dst []byte, start int, t *event.Type, raw []byte) []byte {
	for i := range t.Fields {
		f := &t.Fields[i]
		value := raw[f.Offset : f.Offset+f.Type.Size]
		if f.Name == "" && f.Type.Kind == event.Struct {
			dst = b.appendJSONFields(dst, start, &f.Type, value)
			continue
		}
		if len(dst) > start {
			dst = append(dst, ", "...)
		}
		dst = append(appendJSONString(dst, []byte(f.Name)), ": "...)
		dst = b.appendJSON(dst, &f.Type, bitfield(f, value))
	}
	return dst
}

// appendJSONList appends an array or a tuple.
func (b *base) appendJSONList(dst []byte, t *event.Type, raw []byte) []byte {
	dst = append(dst, '[')
	n := t.Len
	if t.Kind == event.Tuple {
		n = len(t.Fields)
	}
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		if t.Kind == event.Tuple {
			f := &t.Fields[i]
			dst = b.appendJSON(dst, &f.Type, bitfield(f, raw[f.Offset:f.Offset+f.Type.Size]))
		} else {
			dst = b.appendJSON(dst, t.Elem, raw[i*t.Elem.Size:(i+1)*t.Elem.Size])
		}
	}
	return append(dst, ']')
}

// appendJSONString appends s quoted (RFC 8259 §7). Bytes that are no UTF-8
// become U+FFFD: JSON has no way to say them.
func appendJSONString(dst, s []byte) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRune(s[i:])
			switch {
			case r == utf8.RuneError && n == 1:
				dst = append(dst, `\ufffd`...)
			case r < 0xa0 || r == 0x2028 || r == 0x2029: // control characters; JavaScript's line ends
				dst = append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
			default:
				dst = append(dst, s[i:i+n]...)
			}
			i += n
			continue
		}
		switch {
		case c == '"', c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c < 0x20, c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
		i++
	}
	return append(dst, '"')
}
