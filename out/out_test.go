package out

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gtrace-dev/gtrace/event"
)

// fakeMap is a session's map in this process.
type fakeMap struct {
	keys    [][]byte
	values  [][][]byte
	cleared int
}

func (f *fakeMap) Each(each func([]byte, [][]byte) error) error {
	for i, k := range f.keys {
		if err := each(k, f.values[i]); err != nil {
			return err
		}
	}
	return nil
}
func (f *fakeMap) Lookup(key []byte) ([][]byte, error) { return nil, nil }
func (f *fakeMap) Delete(key []byte) error             { return nil }
func (f *fakeMap) Clear() error {
	f.cleared++
	f.keys, f.values = nil, nil
	return nil
}

func (f *fakeMap) Zero() error {
	for _, row := range f.values {
		for _, v := range row {
			clear(v)
		}
	}
	return nil
}

// words makes bytes of 64-bit words.
func words(ws ...int64) []byte {
	var b []byte
	for _, w := range ws {
		b = native.AppendUint64(b, uint64(w))
	}
	return b
}

// str makes a string of n bytes.
func str(s string, n int) []byte { return append([]byte(s), make([]byte, n-len(s))...) }

var (
	i64  = event.Type{Kind: event.Int, Size: 8, Signed: true}
	u64  = event.Type{Kind: event.Int, Size: 8}
	i32  = event.Type{Kind: event.Int, Size: 4, Signed: true}
	s16  = event.Type{Kind: event.String, Size: 16}
	ptr  = event.Type{Kind: event.Ptr, Size: 8}
	ksym = event.Type{Kind: event.KSym, Size: 8}
)

// scene builds a schema and its maps.
type scene struct {
	schema event.Schema
	maps   map[string]*fakeMap
}

func (s *scene) Map(name string) (Map, error) {
	if m := s.maps[name]; m != nil {
		return m, nil
	}
	return nil, errors.New("no such map")
}

// add adds a map; rows alternate key and values of all CPUs ([][]byte) or of one ([]byte).
func (s *scene) add(m event.Map, rows ...any) {
	f := &fakeMap{}
	for i := 0; i < len(rows); i += 2 {
		f.keys = append(f.keys, rows[i].([]byte))
		switch v := rows[i+1].(type) {
		case []byte:
			f.values = append(f.values, [][]byte{v})
		case [][]byte:
			f.values = append(f.values, v)
		}
	}
	for _, k := range m.Keys {
		m.KeySize += k.Type.Size
	}
	s.schema.Maps = append(s.schema.Maps, m)
	if s.maps == nil {
		s.maps = map[string]*fakeMap{}
	}
	s.maps[m.Name] = f
}

// hist makes a histogram's value with counts at buckets: pairs of bucket, count.
func hist(n int, pairs ...int64) []byte {
	b := make([]int64, n)
	for i := 0; i < len(pairs); i += 2 {
		b[pairs[i]] = pairs[i+1]
	}
	return words(b...)
}

var zeroKey = make([]byte, 4)

func keyed(t event.Type) []event.Field { return []event.Field{{Type: t}} }

// bpftraceScene is what bpftraceScript leaves behind.
func bpftraceScene() *scene {
	s := &scene{}
	s.add(event.Map{Name: "x", Value: i64}, zeroKey, words(5))
	s.add(event.Map{Name: "a", Agg: event.Avg, Signed: true}, zeroKey, [][]byte{words(1, 5), words(0, 0), words(1, 8)})
	s.add(event.Map{Name: "ak", Keys: keyed(s16), Agg: event.Avg, Signed: true},
		str("a", 16), words(1, 4), str("c", 16), words(1, -5), str("b", 16), words(2, 7))
	s.add(event.Map{Name: "c", Agg: event.Count, PerCPU: true}, zeroKey, [][]byte{words(2), words(1)})
	s.add(event.Map{Name: "ck", Keys: []event.Field{{Type: i64}, {Offset: 8, Type: s16}}, Agg: event.Count},
		append(words(1), str("two", 16)...), words(2), append(words(-2), str("x", 16)...), words(1))
	s.add(event.Map{Name: "h", Agg: event.Hist}, zeroKey,
		[][]byte{hist(66, 0, 1, 1, 1, 2, 1, 4, 1), hist(66, 12, 2)})
	s.add(event.Map{Name: "hk", Keys: keyed(s16), Agg: event.Hist},
		str("b", 16), hist(66, 4, 2), str("a", 16), hist(66, 4, 1))
	lh := event.Map{Name: "lh", Agg: event.LHist, Lo: 0, Hi: 10, Step: 1}
	s.add(lh, zeroKey, hist(lh.LHistBuckets(), 0, 1, 6, 2, 8, 1, 11, 1))
	lk := event.Map{Name: "lk", Agg: event.LHist, Lo: 0, Hi: 102400, Step: 1024}
	s.add(lk, zeroKey, hist(lk.LHistBuckets(), 3, 1))
	s.add(event.Map{Name: "ma", Agg: event.Max, Signed: true}, zeroKey, [][]byte{words(0, 0), words(1, 7), words(1, 3)})
	s.add(event.Map{Name: "mi", Agg: event.Min, Signed: true}, zeroKey, [][]byte{words(0, 0), words(1, 7), words(1, 3)})
	s.add(event.Map{Name: "mk", Keys: keyed(s16), Agg: event.Max, Signed: true}, str("a", 16), words(1, 3), str("b", 16), words(1, 1))
	s.add(event.Map{Name: "s", Value: s16}, zeroKey, str("text", 16))
	s.add(event.Map{Name: "sk", Keys: keyed(s16), Value: s16}, str("b", 16), str("1", 16), str("a", 16), str("2", 16))
	s.add(event.Map{Name: "st", Agg: event.Stat, Signed: true}, zeroKey, words(2, 15))
	s.add(event.Map{Name: "stk", Keys: keyed(s16), Agg: event.Stat, Signed: true}, str("q", 16), words(1, 3), str("p", 16), words(2, -10))
	s.add(event.Map{Name: "su", Agg: event.Sum, Signed: true}, zeroKey, [][]byte{words(-6), words(2)})
	s.add(event.Map{Name: "u", Keys: keyed(s16), Value: u64}, str("b", 16), words(-1), str("a", 16), words(1))
	return s
}

// bpftraceScript fills the same maps.
const bpftraceScript = `BEGIN {
 @x = 5; @a = avg(5); @a = avg(8); @ak["a"] = avg(4); @ak["c"] = avg(-5); @ak["b"] = avg(4); @ak["b"] = avg(3);
 @c = count(); @c = count(); @c = count(); @ck[1, "two"] = count(); @ck[1, "two"] = count(); @ck[-2, "x"] = count();
 @h = hist(-5); @h = hist(0); @h = hist(1); @h = hist(5); @h = hist(2000); @h = hist(1024);
 @hk["b"] = hist(4); @hk["b"] = hist(5); @hk["a"] = hist(7);
 @lh = lhist(-1, 0, 10, 1); @lh = lhist(5, 0, 10, 1); @lh = lhist(5, 0, 10, 1); @lh = lhist(7, 0, 10, 1); @lh = lhist(10, 0, 10, 1);
 @lk = lhist(2500, 0, 102400, 1024);
 @ma = max(7); @ma = max(3); @mi = min(7); @mi = min(3); @mk["a"] = max(3); @mk["b"] = max(1);
 @s = "text"; @sk["b"] = "1"; @sk["a"] = "2"; @st = stats(5); @st = stats(10);
 @stk["q"] = stats(3); @stk["p"] = stats(-5); @stk["p"] = stats(-5);
 @su = sum(-6); @su = sum(2); @u["b"] = (uint64)-1; @u["a"] = (uint64)1;
 exit();
}`

// TestAgainstBpftrace compares the maps at exit byte by byte with what the
// installed bpftrace prints for the same data.
func TestAgainstBpftrace(t *testing.T) {
	path, err := exec.LookPath("bpftrace")
	if err != nil {
		t.Skip("bpftrace is not installed")
	}
	if v, _ := exec.Command(path, "--version").Output(); !bytes.Contains(v, []byte("v0.17")) {
		t.Skipf("the reference is bpftrace v0.17, installed is %s", bytes.TrimSpace(v))
	}
	for _, format := range []string{"text", "json"} {
		out, err := exec.Command(path, "-f", format, "-e", bpftraceScript).Output()
		if err != nil {
			t.Skipf("bpftrace does not run here: %v", err)
		}
		want := strings.TrimLeft(string(out[bytes.IndexByte(out, '\n'):]), "\n") // the line on attaching, blank lines
		if diff := cmp.Diff(want, strings.TrimLeft(mapsAtExit(t, format), "\n")); diff != "" {
			t.Errorf("%s, - bpftrace, + gtrace:\n%s", format, diff)
		}
	}
}

func mapsAtExit(t *testing.T, format string) string {
	t.Helper()
	s, w := bpftraceScene(), &bytes.Buffer{}
	p := newPrinter(format, w, &s.schema, Options{Maps: s})
	if err := p.Maps(); err != nil {
		t.Fatal(err)
	}
	return w.String()
}

func newPrinter(format string, w *bytes.Buffer, s *event.Schema, opt Options) Printer {
	if format == "json" {
		return NewJSON(w, s, opt)
	}
	return NewText(w, s, opt)
}

// TestMapsText holds the text above for machines without bpftrace.
func TestMapsText(t *testing.T) {
	got := mapsAtExit(t, "text")
	for _, want := range []string{
		"\n\n@a: 6\n\n@ak[c]: -5\n@ak[b]: 3\n@ak[a]: 4\n\n@c: 3\n@ck[-2, x]: 1\n@ck[1, two]: 2\n@h: \n",
		"(..., 0)               1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |\n[0]                    1 |",
		"[2, 4)                 0 |                                                    |\n",
		"[1K, 2K)               2 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|\n\n@hk[a]: \n[4, 8) ",
		"[10, ...)              1 |", "[2K, 3K)               1 |",
		"@ma: 7\n@mi: 3\n@mk[b]: 1\n@mk[a]: 3\n@s: text\n@sk[a]: 2\n@sk[b]: 1\n@st: count 2, average 7, total 15\n\n",
		"@su: -4\n@u[a]: 1\n@u[b]: 18446744073709551615\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q in:\n%s", want, got)
		}
	}
}

// rec makes a record.
func rec(action int, fails uint64, args ...[]byte) []byte {
	b := words(int64(action), int64(fails))
	for _, a := range args {
		b = append(b, a...)
	}
	return b
}

// printfCase is one verb on one value.
type printfCase struct {
	format string
	typ    event.Type
	raw    []byte
	want   string
}

var printfCases = []printfCase{
	{"%d", i64, words(-5), "-5"},
	{"%5d|", i64, words(1), "    1|"},
	{"%-5d|", i64, words(1), "1    |"},
	{"%05d", i64, words(-42), "-0042"},
	{"%.3d", i64, words(7), "007"},
	{"%+d", i64, words(7), "+7"},
	{"%u", i64, words(-1), "18446744073709551615"},
	{"%u", i32, []byte{255, 255, 255, 255}, "4294967295"},
	{"%lu", i32, []byte{255, 255, 255, 255}, "18446744073709551615"},
	{"%x", u64, words(255), "ff"},
	{"%#x", u64, words(255), "0xff"},
	{"%X", u64, words(255), "FF"},
	{"%05x", u64, words(255), "000ff"},
	{"%o", u64, words(8), "10"},
	{"%llx", i64, words(-1), "ffffffffffffffff"},
	{"%lld", i64, words(-1 << 63), "-9223372036854775808"},
	{"%hhd", i64, words(300), "44"},
	{"%hd", i64, words(70000), "4464"},
	{"%hhx", i64, words(300), "2c"},
	{"%c", i64, words('A'), "A"},
	{"%5c|", i64, words('B'), "    B|"},
	{"%p", ptr, words(1234), "0x4d2"},
	{"%p", ptr, words(0), "(nil)"},
	{"%20p|", ptr, words(1), "                 0x1|"},
	{"%s", s16, str("abc", 16), "abc"},
	{"%10s|", s16, str("r", 16), "         r|"},
	{"%-10s|", s16, str("l", 16), "l         |"},
	{"%.3s|", s16, str("abcdef", 16), "abc|"},
	{"%d%%", i64, words(50), "50%"},
	{"%s", event.Type{Kind: event.Enum, Size: 4, Names: map[int64]string{1: "ONE"}}, []byte{1, 0, 0, 0}, "ONE"},
	{"%d", event.Type{Kind: event.Enum, Size: 4, Names: map[int64]string{1: "ONE"}}, []byte{1, 0, 0, 0}, "1"},
	{"%s", event.Type{Kind: event.Bool, Size: 1}, []byte{1}, "true"},
	{"%d", event.Type{Kind: event.Bool, Size: 1}, []byte{1}, "1"},
	{"%s", ksym, words(0x10), "sym16"},
	{"%p", ksym, words(0x10), "0x10"},
	{"%s", event.Type{Kind: event.USym, Size: 16}, words(0x10, 7), "user7:16"},
	{"%r", event.Type{Kind: event.Bytes, Size: 4}, []byte("a\x00\n\""), `a\x00\x0a"`},
}

type fakeSymbols struct{}

func (fakeSymbols) Kernel(addr uint64) string           { return fmt.Sprint("sym", addr) }
func (fakeSymbols) User(pid uint32, addr uint64) string { return fmt.Sprint("user", pid, ":", addr) }

func TestPrintf(t *testing.T) {
	for _, c := range printfCases {
		s := &event.Schema{Actions: []event.Action{{Kind: event.Printf, Format: c.format, Args: []event.Arg{{Offset: 16, Type: c.typ}}}}}
		w := &bytes.Buffer{}
		if _, err := NewText(w, s, Options{Symbols: fakeSymbols{}}).Record(rec(0, 0, c.raw)); err != nil {
			t.Errorf("%q: %v", c.format, err)
		}
		if w.String() != c.want {
			t.Errorf("%q of %x: %q, want %q", c.format, c.raw, w.String(), c.want)
		}
	}
}

func TestFormatErrors(t *testing.T) {
	for _, f := range []string{"%", "%5", "%y", "%d %d", "", "%ll", "%*d"} {
		if _, err := parseFormat(f, 1); err == nil {
			t.Errorf("format %q was accepted", f)
		}
	}
}

var structType = event.Type{Kind: event.Struct, Size: 24, Fields: []event.Field{
	{Name: "a", Type: i32},
	{Name: "low", Offset: 4, BitOffset: 0, BitSize: 3, Type: event.Type{Kind: event.Int, Size: 4}},
	{Name: "high", Offset: 4, BitOffset: 3, BitSize: 5, Type: event.Type{Kind: event.Int, Size: 4, Signed: true}},
	{Name: "arr", Offset: 8, Type: event.Type{Kind: event.Array, Size: 8, Len: 2, Elem: &i32}},
	{Name: "s", Offset: 16, Type: event.Type{Kind: event.String, Size: 8}},
}}

var structBytes = append(append(words(0, 0)[:0], 1, 0, 0, 0, 0b11111_101, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff), str("hi\x1b", 8)...)

func valueSchema(typ event.Type) *event.Schema {
	return &event.Schema{Actions: []event.Action{{Kind: event.PrintValue, Args: []event.Arg{{Offset: 16, Type: typ}}}}}
}

func TestPrintValue(t *testing.T) {
	tuple := event.Type{Kind: event.Tuple, Size: 24, Fields: []event.Field{{Type: i64}, {Offset: 8, Type: s16}}}
	anonymous := func(offset int, fs ...event.Field) event.Field {
		return event.Field{Offset: offset, Type: event.Type{Kind: event.Struct, Size: len(fs) * 8, Fields: fs}}
	}
	outer := event.Type{Kind: event.Struct, Size: 24, Fields: []event.Field{
		anonymous(0, event.Field{Name: "a", Type: i64}, anonymous(8, event.Field{Name: "b", Type: i64})),
		anonymous(0), anonymous(16, event.Field{Name: "c", Type: i64}),
	}}
	for _, c := range []struct {
		typ        event.Type
		raw        []byte
		fail       uint64
		text, json string
	}{
		{i64, words(-3), 0, "-3", "-3"},
		{ptr, words(0x1234), 0, "0x1234", "4660"},
		{ksym, words(9), 0, "0x9", `"0x9"`},
		{i64, words(0), 1, "<fault>", `null, "failed": "fault"`},
		{i64, words(0), 2, "<null>", `null, "failed": "null"`},
		{tuple, append(words(1), str("abc", 16)...), 0, "(1, abc)", `[1,"abc"]`},
		{outer, words(1, 2, 3), 0, "{ { .a = 1, { .b = 2 } }, {  }, { .c = 3 } }", `{ "a": 1, "b": 2, "c": 3 }`},
		{structType, structBytes, 0, `{ .a = 1, .low = 5, .high = -1, .arr = [2,-1], .s = hi\x1b }`,
			`{ "a": 1, "low": 5, "high": -1, "arr": [2,-1], "s": "hi\u001b" }`},
		{event.Type{Kind: event.String, Size: 8}, str("é\x9b\xff\"", 8), 0, "é\\x9b\xff\"", `"é\ufffd\ufffd\""`},
	} {
		for format, want := range map[string]string{"text": c.text + "\n", "json": `{"type": "value", "data": ` + c.json + "}\n"} {
			w := &bytes.Buffer{}
			if _, err := newPrinter(format, w, valueSchema(c.typ), Options{Escape: true}).Record(rec(0, c.fail, c.raw)); err != nil {
				t.Errorf("%+v: %v", c, err)
			}
			if w.String() != want {
				t.Errorf("%s: %q, want %q", format, w.String(), want)
			}
			if format == "json" && !stdjson.Valid(w.Bytes()) {
				t.Errorf("not JSON: %s", w)
			}
		}
	}
}

func TestFailedValues(t *testing.T) {
	s := &scene{}
	s.add(event.Map{Name: "x", Keys: keyed(s16), Value: i64, HasFail: true},
		str("a", 16), words(0, 4), str("b", 16), words(1, 0), str("c", 16), words(2, 0))
	s.schema.Actions = []event.Action{{Kind: event.Printf, Format: "%d %5s|%-8x|\n",
		Args: []event.Arg{{Offset: 16, Type: i64}, {Offset: 24, Type: s16}, {Offset: 40, Type: i64}}}}
	for format, want := range map[string]string{
		"text": "7 <null>|<fault> |\n\n\n@x[b]: <fault>\n@x[c]: <null>\n@x[a]: 4\n",
		"json": `{"type": "printf", "data": "7 <null>|<fault> |\n", "failed": {"2": "null", "3": "fault"}}` + "\n" +
			`{"type": "map", "data": {"@x": {"b": null, "c": null, "a": 4}}, "failed": {"@x": {"b": "fault", "c": "null"}}}` + "\n",
	} {
		w := &bytes.Buffer{}
		p := newPrinter(format, w, &s.schema, Options{Maps: s})
		if _, err := p.Record(rec(0, 2<<2|1<<4, words(7), make([]byte, 24))); err != nil {
			t.Fatal(err)
		}
		if err := p.Maps(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, w.String()); diff != "" {
			t.Errorf("%s:\n%s", format, diff)
		}
	}
}

// TestMapActions covers print with top and div, clear, zero and exit.
func TestMapActions(t *testing.T) {
	s := &scene{}
	s.add(event.Map{Name: "a", Keys: keyed(s16), Agg: event.Count}, str("x", 16), words(4), str("y", 16), words(9), str("z", 16), words(1))
	s.add(event.Map{Name: "gone", Keys: keyed(s16), Value: i64}, str("x", 16), words(4))
	s.schema.Probes = []string{"BEGIN", "END"}
	s.schema.Actions = []event.Action{
		{Kind: event.PrintMap, Map: "a", Top: 2, Div: 4},
		{Kind: event.ClearMap, Map: "gone"},
		{Kind: event.PrintMap, Map: "gone"},
		{Kind: event.Exit, Args: []event.Arg{{Offset: 16, Type: i32}}},
		{Kind: event.Exit, Probe: 1},
		{Kind: event.PrintMap, Map: "a", Top: 1, Probe: 1},
	}
	w := &bytes.Buffer{}
	p := NewText(w, &s.schema, Options{Maps: s})
	var effects []Effect
	for _, r := range [][]byte{rec(0, 0), rec(1, 0), rec(2, 0), rec(3, 0, []byte{3, 0, 0, 0}), rec(0, 0), rec(4, 0), rec(5, 0)} {
		e, err := p.Record(r)
		if err != nil {
			t.Fatal(err)
		}
		effects = append(effects, e)
	}
	if got, want := w.String(), "@a[x]: 1\n@a[y]: 2\n\n@a[y]: 9\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if s.maps["gone"].cleared != 1 {
		t.Error("clear did not reach the map")
	}
	if diff := cmp.Diff([]Effect{{}, {}, {}, {Exit: true, Code: 3}, {}, {Exit: true}, {}}, effects); diff != "" {
		t.Error(diff)
	}
}

func TestEmptyMaps(t *testing.T) {
	s := &scene{}
	s.add(event.Map{Name: "a", Keys: keyed(s16), Agg: event.Count})
	s.add(event.Map{Name: "b", Agg: event.Hist}, zeroKey, hist(66))
	s.add(event.Map{Name: "c", Agg: event.Min}, zeroKey, words(0, 0))
	s.add(event.Map{Name: "d", Value: i64}, zeroKey, words(0))
	for format, want := range map[string]string{"text": "\n\n", "json": ""} {
		w := &bytes.Buffer{}
		if err := newPrinter(format, w, &s.schema, Options{Maps: s}).Maps(); err != nil || w.String() != want {
			t.Errorf("%s: %q, %v", format, w, err)
		}
	}
}

func TestHistEnds(t *testing.T) {
	m := event.Map{Name: "h", Agg: event.Hist}
	for i, want := range map[int]string{0: "(..., 0)", 1: "[0]", 2: "[1]", 3: "[2, 4)", 11: "[512, 1K)", 42: "[1T, 2T)", 52: "[1P, 2P)", 62: "[1E, 2E)", 64: "[4E, 8E)", 65: "[8E, 16E)"} {
		b := log2Bucket(i)
		if got := b.label(&m); got != want {
			t.Errorf("bucket %d: %s, want %s", i, got, want)
		}
	}
	m = event.Map{Name: "l", Agg: event.LHist, Lo: -2048, Hi: 2048, Step: 1024}
	for i, want := range []string{"(..., -2K)", "[-2K, -1K)", "[-1K, 0)", "[0, 1K)", "[1K, 2K)", "[2K, ...)"} {
		b := linearBucket(&m, i)
		if got := b.label(&m); got != want {
			t.Errorf("bucket %d: %s, want %s", i, got, want)
		}
	}
}

func TestSummary(t *testing.T) {
	s := &event.Schema{Probes: []string{"uprobe:/bin/x:f", "END"}}
	fine := []event.Stats{{Hits: 1}, {Hits: 2}}
	bad := []event.Stats{{Hits: 1, Lost: 2, Failed: 1}, {Hits: 4, Full: 3}}
	for _, c := range []struct {
		stats      []event.Stats
		verbose    bool
		text, json string
	}{
		{fine, false, "", ""},
		{fine, true, "uprobe:/bin/x:f: 1 hit\nEND: 2 hits\n3 hits\n",
			`{"type": "summary", "data": {"hits": 3, "lost": 0, "failed": 0, "full": 0, "probes": {"uprobe:/bin/x:f": {"hits": 1, "lost": 0, "failed": 0, "full": 0}, "END": {"hits": 2, "lost": 0, "failed": 0, "full": 0}}}}` + "\n"},
		{bad, false, "5 hits, 2 events lost (ring buffer full), 1 value could not be read, 3 updates refused (map full)\n",
			`{"type": "lost_events", "data": {"events": 2}}` + "\n" + `{"type": "summary", "data": {"hits": 5, "lost": 2, "failed": 1, "full": 3}}` + "\n"},
	} {
		for format, want := range map[string]string{"text": c.text, "json": c.json} {
			w := &bytes.Buffer{}
			if err := newPrinter(format, w, s, Options{}).Summary(c.stats, c.verbose); err != nil || w.String() != want {
				t.Errorf("%s: %q, want %q (%v)", format, w, want, err)
			}
		}
	}
}

func TestMalformed(t *testing.T) {
	s := valueSchema(i64)
	s.Actions = append(s.Actions, event.Action{Kind: event.ClearMap, Map: "none"},
		event.Action{Kind: event.PrintValue, Args: []event.Arg{{Offset: 16, Type: event.Type{Kind: event.Int, Size: 3}}}},
		event.Action{Kind: event.Printf, Format: "%d"}, event.Action{Kind: 99})
	for _, raw := range [][]byte{nil, make([]byte, 15), rec(0, 0), rec(0, 0, make([]byte, 7)), rec(-1, 0), rec(77, 0), rec(1, 0), rec(2, 0, words(0)), rec(3, 0), rec(4, 0)} {
		_, err := NewText(&bytes.Buffer{}, s, Options{}).Record(raw)
		var m *Malformed
		if !errors.As(err, &m) {
			t.Errorf("record %x: error %v, want a *Malformed", raw, err)
		}
	}
}

// FuzzRecord renders any bytes as a record of every kind of value: errors, never panics, and valid JSON.
func FuzzRecord(f *testing.F) {
	s := bpftraceScene()
	var args []event.Arg
	format := ""
	off := event.RecordArgs
	for _, typ := range []event.Type{i64, i32, ptr, ksym, s16, structType, {Kind: event.USym, Size: 16}, {Kind: event.Bytes, Size: 5}, {Kind: event.Bool, Size: 2}} {
		args = append(args, event.Arg{Offset: off, Type: typ})
		off += typ.Size
		format += "%s|"
	}
	s.schema.Actions = append(s.schema.Actions, event.Action{Kind: event.Printf, Format: format, Args: args}, event.Action{Kind: event.Exit})
	for i := range args {
		s.schema.Actions = append(s.schema.Actions, event.Action{Kind: event.PrintValue, Args: args[i : i+1]})
	}
	f.Add(rec(0, 0, make([]byte, 200)))
	f.Add(rec(0, 0x25, make([]byte, 200)))
	f.Add(rec(3, 1, make([]byte, 10)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, format := range []string{"text", "json"} {
			w := &bytes.Buffer{}
			_, err := newPrinter(format, w, &s.schema, Options{Maps: s, Escape: true}).Record(raw)
			if err == nil && format == "json" && w.Len() > 0 && !stdjson.Valid(w.Bytes()) {
				t.Errorf("not JSON: %s", w)
			}
		}
	})
}

// FuzzFormat parses any format and renders it.
func FuzzFormat(f *testing.F) {
	for _, c := range printfCases {
		f.Add(c.format)
	}
	f.Fuzz(func(t *testing.T, format string) {
		s := &event.Schema{Actions: []event.Action{{Kind: event.Printf, Format: format, Args: []event.Arg{{Offset: 16, Type: i64}}}}}
		w := &bytes.Buffer{}
		_, _ = NewText(w, s, Options{}).Record(rec(0, 0, words(-1)))
		if w.Len() > len(format)+2*maxWidth+64 {
			t.Errorf("%d bytes for %q", w.Len(), format)
		}
	})
}

// TestUnreadableMap: the other maps are printed all the same.
func TestUnreadableMap(t *testing.T) {
	s := &scene{}
	s.add(event.Map{Name: "a", Value: i64}, zeroKey, words(1))
	s.add(event.Map{Name: "b", Value: i64}, zeroKey, words(1)[:7])
	s.add(event.Map{Name: "c", Value: i64}, zeroKey, words(3))
	for format, want := range map[string]string{"text": "\n\n@a: 1\n@c: 3\n",
		"json": `{"type": "map", "data": {"@a": 1}}` + "\n" + `{"type": "map", "data": {"@c": 3}}` + "\n"} {
		w := &bytes.Buffer{}
		err := newPrinter(format, w, &s.schema, Options{Maps: s}).Maps()
		if err == nil || !strings.Contains(err.Error(), "map @b: a value has 7 bytes, expected 8") || w.String() != want {
			t.Errorf("%s: %q, %v", format, w, err)
		}
	}
}

// TestAnonymousMap: the map @ has another name in the session.
func TestAnonymousMap(t *testing.T) {
	s := &scene{}
	s.add(event.Map{Keys: keyed(i64), Agg: event.Count}, words(7), words(2))
	s.maps[event.AnonMap] = s.maps[""]
	delete(s.maps, "")
	w := &bytes.Buffer{}
	if err := NewText(w, &s.schema, Options{Maps: s}).Maps(); err != nil || w.String() != "\n\n@[7]: 2\n" {
		t.Errorf("%q, %v", w, err)
	}
}

func BenchmarkRecord(b *testing.B) {
	s := &event.Schema{Actions: []event.Action{{Kind: event.Printf, Format: "%-6d %s %d\n",
		Args: []event.Arg{{Offset: 16, Type: i64}, {Offset: 24, Type: s16}, {Offset: 40, Type: i64}}}}}
	raw := rec(0, 0, words(4711), str("/index.html", 16), words(-1))
	for _, format := range []string{"text", "json"} {
		b.Run(format, func(b *testing.B) {
			w := &bytes.Buffer{}
			p := newPrinter(format, w, s, Options{})
			b.ReportAllocs()
			for b.Loop() {
				w.Reset()
				if _, err := p.Record(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
