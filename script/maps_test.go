package script

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/gtrace-dev/gtrace/event"
	"github.com/gtrace-dev/gtrace/script/envtext"
)

// dump is a map's content: "key=words of the value", per-CPU values added up.
func (l *loaded) dump(t testing.TB, m event.Map) string {
	t.Helper()
	km := l.maps[m.BPFName()]
	var out []string
	it := km.Iterate()
	var key []byte
	add := func(per [][]byte) {
		n := len(per[0]) / 8
		words := make([]int64, n)
		for _, v := range per {
			for i := range words {
				words[i] += int64(binary.LittleEndian.Uint64(v[8*i:]))
			}
		}
		var s []string
		for i, w := range words {
			if m.Agg == event.Hist || m.Agg == event.LHist {
				if w != 0 {
					s = append(s, fmt.Sprintf("%d:%d", i, w))
				}
				continue
			}
			s = append(s, fmt.Sprint(w))
		}
		var k []string
		for _, f := range m.Keys {
			k = append(k, valueText(f.Type, key[f.Offset:]))
		}
		out = append(out, strings.Join(k, ",")+"="+strings.Join(s, " "))
	}
	if m.PerCPU {
		var per [][]byte
		for it.Next(&key, &per) {
			add(per)
		}
	} else {
		var v []byte
		for it.Next(&key, &v) {
			add([][]byte{v})
		}
	}
	if err := it.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, ";")
}

// TestMaps runs BEGIN programs and looks at what they leave in their first map.
func TestMaps(t *testing.T) {
	needBPF(t)
	e, _ := envtext.Parse("")
	for _, tc := range []struct{ body, want string }{
		{`@x = 5`, "=5"},
		{`if (0) { @x = 5 }`, ""},
		{`@x["a"] = 1; @x["a"] = 2`, "a=2"},
		{`@x = count(); @x = count()`, "=2"},
		{`@x[1] = count(); @x[1] = count()`, "1=2"},
		{`@x = sum(3); @x = sum(-5)`, "=-2"},
		{`@x[comm == "no"] = sum(3)`, "0=3"},
		{`@x = avg(3); @x = avg(6)`, "=2 9"},
		{`@x["k"] = stats(3); @x["k"] = stats(6)`, "k=2 9"},
		{`@x = min(3); @x = min(-6); @x = min(2)`, "=1 -6"},
		{`@x = max(-3); @x = max(-6); @x = max(-2)`, "=1 -2"},
		{`@x = max(3); @x = max(0x8000000000000000); @x = max(2)`, "=1 3"},
		{`@x = hist(-1); @x = hist(0); @x = hist(1); @x = hist(2); @x = hist(3); @x = hist(4)`, "=0:1 1:1 2:1 3:2 4:1"},
		{`@x = hist(0x7fffffffffffffff); @x = hist((uint64)0xffffffffffffffff); @x = hist(1 << 40)`, "=42:1 64:1 65:1"},
		{`@x["h"] = hist(1023); @x["h"] = hist(1024)`, "h=11:1 12:1"},
		{`@x = lhist(-11, -10, 10, 5); @x = lhist(-10, -10, 10, 5); @x = lhist(9, -10, 10, 5); @x = lhist(10, -10, 10, 5)`, "=0:1 1:1 4:1 5:1"},
		{`@x[1] = lhist((uint64)0xffffffffffffffff, 10, 20, 5); @x[1] = lhist((uint64)9, 10, 20, 5); @x[1] = lhist((uint64)19, 10, 20, 5)`, "1=0:1 2:1 3:1"},
		{`@x = *(uint64 *)8; @y = @x`, "=1 0"},
		{`@x = *(uint64 *)0`, "=2 0"},
		{`@x = count(*(uint64 *)8)`, "error"},
		{`@x[str(8)] = count()`, ""},
		{`@x[1] = sum(*(uint64 *)8)`, ""},
		{`@x[*(uint64 *)0] = 4`, ""},
		{`@x = 4; @x -= 6; @x *= 3; @x <<= 2; @x ^= 1; @x |= 2; @x %= 8`, "=-5"},
		{`@x[1, 2]++; ++@x[1, 2]; @x[1, 2]--`, "1,2=1"},
		{`@x[-1] = 1`, "-1=1"},
		{`@x = "abcdefghijkl"; @y = @x; @x = @y`, "=7523094288207667809 1818978921"},
	} {
		t.Run(tc.body, func(t *testing.T) {
			c, err := Compile("t.bt", "BEGIN { "+tc.body+" }", e, Options{})
			if tc.want == "error" {
				if err == nil {
					t.Error("compiles")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			l := loadKernel(t, c)
			l.run(t, 0)
			if got := l.dump(t, c.Schema.Maps[0]); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			failed := uint64(strings.Count(tc.body, "*)") + strings.Count(tc.body, "str(8)"))
			if tc.body == `@x = *(uint64 *)8; @y = @x` {
				failed++ // once read, once passed on
			}
			if s := l.stats(t, 0); s.Failed != failed {
				t.Errorf("%d failed reads, want %d", s.Failed, failed)
			}
		})
	}
}

// TestFull fills a map and the ring buffer.
func TestFull(t *testing.T) {
	needBPF(t)
	e, _ := envtext.Parse("")
	c, err := Compile("t.bt", `BEGIN { @a[1] = 1; @a[2] = 2; @a[3] = 3; @b[1] = hist(1); @b[2] = hist(1); @b[3] = hist(1); unroll (8) { print("`+strings.Repeat("x", 1000)+`"); } }`, e, Options{MaxEntries: 2, RingSize: 4096})
	if err != nil {
		t.Fatal(err)
	}
	l := loadKernel(t, c)
	l.run(t, 0)
	s := l.stats(t, 0)
	if s.Hits != 1 || s.Full != 2 || s.Lost != 5 || s.Failed != 0 {
		t.Errorf("%+v", s)
	}
}

// expr is a random expression with the value it must have.
type expr struct {
	text   string
	val    uint64
	signed bool
}

// randomExpr makes an expression over the variables $v0 to $v3.
func randomExpr(r *rand.Rand, vars []expr, depth int) expr {
	if depth == 0 || r.Intn(8) == 0 {
		return vars[r.Intn(len(vars))]
	}
	a := randomExpr(r, vars, depth-1)
	switch r.Intn(8) {
	case 0:
		return expr{"(-" + a.text + ")", -a.val, true}
	case 1:
		return expr{"(~" + a.text + ")", ^a.val, a.signed}
	case 2:
		bits := []uint{8, 16, 32, 64}[r.Intn(4)]
		if r.Intn(2) == 0 {
			return expr{fmt.Sprintf("((int%d)%s)", bits, a.text), uint64(int64(a.val<<(64-bits)) >> (64 - bits)), true}
		}
		return expr{fmt.Sprintf("((uint%d)%s)", bits, a.text), a.val << (64 - bits) >> (64 - bits), false}
	}
	b := randomExpr(r, vars, depth-1)
	op := []string{"+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "<", "<=", ">", ">=", "==", "!=", "&&", "||"}[r.Intn(18)]
	signed := a.signed && b.signed
	val, res := evaluate(op, a, b, signed)
	switch op {
	case "<<", ">>":
		return expr{fmt.Sprintf("(%s %s (%s & 63))", a.text, op, b.text), val, res}
	}
	return expr{"(" + a.text + " " + op + " " + b.text + ")", val, res}
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// evaluate is what the language says of a op b: as in C, in 64 bits, and as
// BPF does for a divisor of 0.
func evaluate(op string, a, b expr, signed bool) (uint64, bool) {
	x, y := a.val, b.val
	s, u := int64(x), int64(y)
	less := x < y
	if signed {
		less = s < u
	}
	switch op {
	case "+":
		return x + y, signed
	case "-":
		return x - y, signed
	case "*":
		return x * y, signed
	case "/", "%":
		return divide(op, x, y, signed), signed
	case "&":
		return x & y, signed
	case "|":
		return x | y, signed
	case "^":
		return x ^ y, signed
	case "<<":
		return x << (y & 63), a.signed
	case ">>":
		if a.signed {
			return uint64(s >> (y & 63)), true
		}
		return x >> (y & 63), false
	case "<":
		return bit(less), true
	case ">=":
		return bit(!less), true
	case "<=":
		return bit(less || x == y), true
	case ">":
		return bit(!less && x != y), true
	case "==":
		return bit(x == y), true
	case "!=":
		return bit(x != y), true
	case "&&":
		return bit(x != 0 && y != 0), true
	}
	return bit(x != 0 || y != 0), true
}

func divide(op string, x, y uint64, signed bool) uint64 {
	switch {
	case y == 0 && op == "/":
		return 0
	case y == 0:
		return x
	case signed && op == "/":
		return uint64(int64(x) / int64(y))
	case signed:
		return uint64(int64(x) % int64(y))
	case op == "/":
		return x / y
	}
	return x % y
}

// TestArithmetic compares random expressions, computed in the kernel, with Go.
func TestArithmetic(t *testing.T) {
	needBPF(t)
	e, _ := envtext.Parse("")
	r := rand.New(rand.NewSource(1))
	for round := range 120 {
		var src strings.Builder
		var vars, want []expr
		src.WriteString("BEGIN {\n")
		for i := range 5 {
			v := expr{text: fmt.Sprintf("$v%d", i), val: r.Uint64() >> uint(r.Intn(64)), signed: i%2 == 0}
			switch {
			case i == 4:
				v.val = 0
			case v.signed && r.Intn(2) == 0:
				v.val = -v.val
			}
			cast := "uint64"
			if v.signed {
				cast = "int64"
			}
			// pid is not constant: nothing is folded.
			fmt.Fprintf(&src, "\t%s = (%s)(%#x + (pid - pid));\n", v.text, cast, v.val)
			vars = append(vars, v)
		}
		for range 4 {
			x := randomExpr(r, vars, 4)
			want = append(want, x)
			fmt.Fprintf(&src, "\tprintf(\"%%d\", %s);\n", x.text)
		}
		src.WriteString("}\n")
		c, err := Compile("t.bt", src.String(), e, Options{})
		if err != nil {
			t.Fatalf("round %d: %v\n%s", round, err, src.String())
		}
		l := loadKernel(t, c)
		l.run(t, 0)
		recs := l.records(t)
		if len(recs) != len(want) {
			t.Fatalf("round %d: %d records", round, len(recs))
		}
		for i, rec := range recs {
			if got := binary.LittleEndian.Uint64(rec[event.RecordArgs:]); got != want[i].val {
				t.Errorf("%s\n%s = %#x, want %#x", src.String(), want[i].text, got, want[i].val)
			}
		}
		if t.Failed() {
			return
		}
	}
}
