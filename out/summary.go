package out

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/gtrace-dev/gtrace/event"
)

// This file defines the summary at the end of a trace, and which maps are
// shown there in which order.

// sorted is the script's maps by name.
func (b *base) sorted() []*event.Map {
	ms := make([]*event.Map, 0, len(b.schema.Maps))
	for i := range b.schema.Maps {
		ms = append(ms, &b.schema.Maps[i])
	}
	slices.SortFunc(ms, func(x, y *event.Map) int { return cmp.Compare(x.Name, y.Name) })
	return ms
}

// filled drops the rows that say nothing.
func filled(m *event.Map, rows []row) []row {
	return slices.DeleteFunc(rows, func(r row) bool { return r.empty(m) })
}

// total adds up the statistics of all probes.
func total(stats []event.Stats) (t event.Stats) {
	for _, s := range stats {
		t.Hits += s.Hits
		t.Lost += s.Lost
		t.Failed += s.Failed
		t.Full += s.Full
	}
	return t
}

// trouble reports whether something is missing from the output.
func trouble(s event.Stats) bool { return s.Lost|s.Failed|s.Full != 0 }

// plural writes "1 hit", "2 hits".
func plural(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatUint(n, 10) + " " + many
}

// sentence sums up s. Counts of trouble are left out where they are 0.
func sentence(s event.Stats) string {
	parts := []string{plural(s.Hits, "hit", "hits")}
	if s.Lost > 0 {
		parts = append(parts, plural(s.Lost, "event", "events")+" lost (ring buffer full)")
	}
	if s.Failed > 0 {
		parts = append(parts, plural(s.Failed, "value", "values")+" could not be read")
	}
	if s.Full > 0 {
		parts = append(parts, plural(s.Full, "update", "updates")+" refused (map full)")
	}
	return strings.Join(parts, ", ")
}

func (t *text) Summary(stats []event.Stats, verbose bool) error {
	sum := total(stats)
	if !verbose && !trouble(sum) {
		return nil
	}
	// Probes first: the sum is the last line.
	for i, s := range stats {
		if i < len(t.schema.Probes) && verbose && len(stats) > 1 {
			t.buf = append(t.buf, t.schema.Probes[i]+": "+sentence(s)+"\n"...)
		}
	}
	t.buf = append(t.buf, sentence(sum)+"\n"...)
	if t.opt.Messages != nil {
		_, err := t.opt.Messages.Write(t.buf)
		t.buf = t.buf[:0]
		return err
	}
	return t.flush()
}

func (j *json) Summary(stats []event.Stats, verbose bool) error {
	sum := total(stats)
	if !verbose && !trouble(sum) {
		return nil
	}
	if sum.Lost > 0 {
		j.open("lost_events")
		j.buf = append(strconv.AppendUint(append(j.buf, `{"events": `...), sum.Lost, 10), '}')
		if err := j.end(); err != nil {
			return err
		}
	}
	j.open("summary")
	j.buf = append(j.buf, '{')
	j.stats(sum)
	if verbose {
		j.buf = append(j.buf, `, "probes": {`...)
		for i, s := range stats {
			if i >= len(j.schema.Probes) {
				break
			}
			if i > 0 {
				j.buf = append(j.buf, ", "...)
			}
			j.buf = append(appendJSONString(j.buf, []byte(j.schema.Probes[i])), ": {"...)
			j.stats(s)
			j.buf = append(j.buf, '}')
		}
		j.buf = append(j.buf, '}')
	}
	j.buf = append(j.buf, '}')
	return j.end()
}

// stats appends the members of s.
func (j *json) stats(s event.Stats) {
	for i, f := range [...]struct {
		name string
		n    uint64
	}{{"hits", s.Hits}, {"lost", s.Lost}, {"failed", s.Failed}, {"full", s.Full}} {
		if i > 0 {
			j.buf = append(j.buf, ", "...)
		}
		j.buf = strconv.AppendUint(append(append(append(j.buf, '"'), f.name...), `": `...), f.n, 10)
	}
}
