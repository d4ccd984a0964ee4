package out

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/gtrace-dev/gtrace/event"
)

// This file reads a map of the session, merges the values of its CPUs and
// puts the rows into the order in which they are shown.

// row is one key of a map with its merged value.
type row struct {
	key     []byte
	fail    event.Fail // Plain with HasFail
	raw     []byte     // Plain
	n       uint64     // Count, Avg, Stat: how many; Min, Max: on how many CPUs it is set; Hist, LHist: all buckets
	v       int64      // Sum, Avg, Stat: total; Min, Max: value; Plain of a number: the number
	buckets []uint64   // Hist, LHist
}

// rows reads and sorts map m. Scalar maps have at most one row.
func (b *base) rows(m *event.Map) ([]row, error) {
	s, err := b.session(m)
	if err != nil {
		return nil, err
	}
	if err := checkMap(m); err != nil {
		return nil, fmt.Errorf("map @%s: %w", m.Name, err)
	}
	var rows []row
	err = s.Each(func(key []byte, values [][]byte) error {
		if len(key) < m.KeySize {
			return fmt.Errorf("a key has %d bytes, expected %d", len(key), m.KeySize)
		}
		r := row{key: bytes.Clone(key)}
		for _, v := range values {
			if len(v) < m.ValueSize() {
				return fmt.Errorf("a value has %d bytes, expected %d", len(v), m.ValueSize())
			}
			r.merge(m, v)
		}
		rows = append(rows, r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("map @%s: %w", m.Name, err)
	}
	slices.SortStableFunc(rows, func(x, y row) int { return compareRows(m, &x, &y) })
	return rows, nil
}

// checkMap makes sure that m's types stay inside of its keys and values.
func checkMap(m *event.Map) error {
	for i := range m.Keys {
		k := &m.Keys[i]
		if err := checkType(&k.Type, 0); err != nil {
			return err
		}
		if k.Offset < 0 || k.Offset+k.Type.Size > m.KeySize {
			return fmt.Errorf("key %d ends at byte %d of %d", i+1, k.Offset+k.Type.Size, m.KeySize)
		}
	}
	if m.Agg == event.Plain {
		return checkType(&m.Value, 0)
	}
	if m.Agg > event.LHist {
		return fmt.Errorf("unknown aggregation %d", m.Agg)
	}
	if m.Agg == event.LHist && (m.Step <= 0 || m.Hi <= m.Lo) {
		return fmt.Errorf("linear histogram from %d to %d by %d", m.Lo, m.Hi, m.Step)
	}
	return nil
}

// merge adds one CPU's value.
func (r *row) merge(m *event.Map, v []byte) {
	word := func(i int) uint64 { return native.Uint64(v[8*i:]) }
	switch m.Agg {
	case event.Plain:
		r.mergePlain(m, v)
	case event.Count:
		r.n += word(0)
	case event.Sum:
		r.v += int64(word(0))
	case event.Avg, event.Stat:
		r.n += word(0)
		r.v += int64(word(1))
	case event.Min, event.Max:
		if word(0) == 0 {
			return
		}
		x := int64(word(1))
		less := compareInts(x, r.v, m.Signed) < 0
		if r.n == 0 || less == (m.Agg == event.Min) {
			r.v = x
		}
		r.n++
	case event.Hist, event.LHist:
		if r.buckets == nil {
			r.buckets = make([]uint64, m.ValueSize()/8)
		}
		for i := range r.buckets {
			r.buckets[i] += word(i)
			r.n += word(i)
		}
	}
}

// mergePlain takes a plain value. Numbers of several CPUs are added up; of
// other values the first that is not all zero is taken.
func (r *row) mergePlain(m *event.Map, v []byte) {
	if m.HasFail {
		if f := event.Fail(native.Uint64(v)); f != event.OK {
			r.fail = f
		}
		v = v[8:]
	}
	v = v[:m.Value.Size]
	if m.Value.Kind == event.Int && r.raw != nil {
		x, _ := integer(&m.Value, v)
		r.v += x
		switch m.Value.Size {
		case 1:
			r.raw[0] = byte(r.v)
		case 2:
			native.PutUint16(r.raw, uint16(r.v))
		case 4:
			native.PutUint32(r.raw, uint32(r.v))
		case 8:
			native.PutUint64(r.raw, uint64(r.v))
		}
		return
	}
	if r.raw == nil || allZero(r.raw) {
		r.raw = bytes.Clone(v)
		if isNumber(m.Value.Kind) {
			r.v, _ = integer(&m.Value, v)
		}
	}
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// empty reports whether r says nothing: no key was ever updated, as far as one
// can see. A map without keys is an array on the BPF side and always has its row.
func (r *row) empty(m *event.Map) bool {
	switch m.Agg {
	case event.Plain:
		return m.KeySize == 0 && r.fail == event.OK && allZero(r.raw)
	case event.Count, event.Hist, event.LHist:
		return m.KeySize == 0 && r.n == 0
	case event.Sum:
		return m.KeySize == 0 && r.v == 0
	}
	return r.n == 0
}

// average is the mean, cut towards zero as bpftrace does.
func (r *row) average(m *event.Map) int64 {
	switch {
	case r.n == 0:
		return 0
	case m.Signed:
		return r.v / int64(r.n)
	}
	return int64(uint64(r.v) / r.n)
}

func compareInts(x, y int64, signed bool) int {
	if signed {
		return cmp.Compare(x, y)
	}
	return cmp.Compare(uint64(x), uint64(y))
}

func compareBools(x, y bool) int {
	switch {
	case x == y:
		return 0
	case y:
		return -1
	}
	return 1
}

// compareRows orders rows: values that could not be
// read first, then ascending by value where values are numbers, the
// smaller histogram first, else by key; equal values by key.
func compareRows(m *event.Map, x, y *row) int {
	c := 0
	switch m.Agg {
	case event.Plain:
		if isNumber(m.Value.Kind) {
			c = compareBools(x.fail == event.OK, y.fail == event.OK)
			if c == 0 && x.fail == event.OK {
				c = compareInts(x.v, y.v, m.Value.Signed)
			}
		}
	case event.Count, event.Hist, event.LHist:
		c = cmp.Compare(x.n, y.n)
	case event.Sum, event.Min, event.Max:
		c = compareInts(x.v, y.v, m.Signed)
	case event.Avg, event.Stat:
		c = compareInts(x.average(m), y.average(m), m.Signed)
	}
	if c == 0 {
		c = compareKeys(m, x.key, y.key)
	}
	return c
}

// compareKeys orders keys part by part.
func compareKeys(m *event.Map, x, y []byte) int {
	for i := range m.Keys {
		k := &m.Keys[i]
		a, b := x[k.Offset:k.Offset+k.Type.Size], y[k.Offset:k.Offset+k.Type.Size]
		c := 0
		switch {
		case isNumber(k.Type.Kind):
			v, signed := integer(&k.Type, a)
			w, _ := integer(&k.Type, b)
			c = compareInts(v, w, signed)
		case k.Type.Kind == event.String:
			c = bytes.Compare(cString(a), cString(b))
		default:
			c = bytes.Compare(a, b)
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// top keeps the n last rows, which are the largest; 0 keeps all.
func top(rows []row, n int64) []row {
	if n > 0 && int64(len(rows)) > n {
		return rows[int64(len(rows))-n:]
	}
	return rows
}
