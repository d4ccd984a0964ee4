package script

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/gtrace-dev/gtrace/script/envtext"
)

// generator writes random scripts that are mostly right.
type generator struct {
	r    *rand.Rand
	vars int
}

func (g *generator) pick(s ...string) string { return s[g.r.Intn(len(s))] }

// num is a random number.
func (g *generator) num(depth int) string {
	if depth == 0 {
		return g.pick("1", "-5", "arg0", "arg7", "pid", "tid", "cpu", "nsecs", "elapsed", "args.req->len", "args.n", "args.p.c", "@n", "@k[1]", "args.req->to->port", "args.req->kind", "args.where.port", "$i", "args.req->nums[2]", "@f")
	}
	a, b := g.num(depth-1), g.num(depth-1)
	switch g.r.Intn(12) {
	case 0:
		return "- " + a
	case 1:
		return "(" + a + " ? " + b + " : " + g.num(depth-1) + ")"
	case 2:
		return "!" + a
	case 3:
		return g.pick("(int8)", "(uint16)", "(int32)", "(uint64)") + "(" + a + ")"
	case 4:
		return "args.req->nums[" + a + "]"
	case 5:
		return "@k[" + a + "]"
	case 6:
		return "(" + g.str(depth-1) + g.pick(" == ", " != ") + g.str(depth-1) + ")"
	case 7:
		return g.pick("$i++", "++$i", "@n++", "--@n", "@k[3]++", "@f++")
	case 8:
		return "args.req->from.ip[" + a + "]"
	case 9:
		return "*(uint32 *)(" + a + ")"
	}
	return "(" + a + " " + g.pick("+", "-", "*", "/", "%", "&", "|", "^", "<", ">=", "==", "&&", "||") + " " + b + ")"
}

// str is a random string.
func (g *generator) str(depth int) string {
	if depth > 0 && g.r.Intn(3) == 0 {
		return "(" + g.num(depth-1) + " ? " + g.str(depth-1) + " : " + g.str(depth-1) + ")"
	}
	return g.pick("comm", `"abc"`, `"a literal of more than one word"`, "str(arg1, 20)", "str(args.req->path, 15)", "args.req->to->ip", "args.where.ip", "@s", `@t[comm]`, "$s", "probe")
}

// stmt is a random statement.
func (g *generator) stmt(depth int) string {
	switch g.r.Intn(16) {
	case 0, 1, 2:
		return fmt.Sprintf(`printf("%%d %%s %%d %%s", %s, %s, %s, usym(%s));`, g.num(2), g.str(1), g.num(1), g.num(1))
	case 3:
		return "@k[" + g.num(1) + "] = " + g.num(2) + ";"
	case 4:
		return "@n " + g.pick("=", "+=", "-=", "/=", ">>=") + " " + g.num(1) + ";"
	case 5:
		return "@f = *(uint64 *)" + g.num(0) + ";"
	case 6:
		return g.pick("@s = ", "@t[comm] = ", "$s = ") + g.str(1) + ";"
	case 7:
		return "@c[" + g.str(1) + ", " + g.num(1) + "] = " + "count()" + ";"
	case 8:
		return "@h[" + g.num(1) + "] = hist(" + g.num(2) + ");"
	case 9:
		return "@l = lhist(" + g.num(1) + ", -10, 100, 5);"
	case 10:
		return g.pick("@mi = min(", "@ma[pid] = max(", "@av = avg(", "@su[comm] = sum(", "@st = stats(") + g.num(2) + ");"
	case 11:
		return "delete(@k[" + g.num(1) + "]);"
	case 12:
		return "$i = " + g.num(2) + ";"
	case 13:
		if depth == 0 {
			return "print(" + g.num(1) + ");"
		}
		return "if (" + g.num(2) + ") { " + g.stmt(depth-1) + " } else { " + g.stmt(depth-1) + " }"
	case 14:
		return g.pick("print(args.req->from);", "print(@k);", "clear(@c);", "print(usym(arg0));", "if (pid == 1) { exit() }", "if (tid == 1) { return }", "print(args.where);")
	}
	return fmt.Sprintf("$v%d = %s; @p = $v%d;", g.vars, g.num(2), g.vars)
}

const generateEnv = `struct addr { int port; char ip[8]; };
struct req { int len; const char *path; struct addr from; struct addr *to; unsigned kind : 3; int nums[4]; };
struct pair { long a; int b; int c; };
uprobe /bin/app:handle { struct req *req = reg 5; struct pair p = reg 4 size 8 + reg 1 size 8; int n = mem 6 -20; struct addr where = mem 6 -40; }
`

// TestGenerated loads random scripts into the kernel: whatever compiles must
// pass its verifier.
func TestGenerated(t *testing.T) {
	needBPF(t)
	e, err := envtext.Parse(generateEnv)
	if err != nil {
		t.Fatal(err)
	}
	compiled := 0
	const rounds = 300
	for seed := range rounds {
		g := &generator{r: rand.New(rand.NewSource(int64(seed)))}
		var src strings.Builder
		src.WriteString("uprobe:/bin/app:handle")
		if g.r.Intn(2) == 0 {
			src.WriteString(" / " + g.num(2) + " /")
		}
		src.WriteString(" {\n\t$i = 0; $s = \"\"; @n = 0; @f = 0; @k[1] = 1; @s = \"\"; @t[\"\"] = \"\";\n")
		for range 1 + g.r.Intn(6) {
			g.vars++
			src.WriteString("\t" + g.stmt(2) + "\n")
		}
		src.WriteString("}\n")
		text := strings.Replace(src.String(), "$i", "0", strings.Count(strings.SplitN(src.String(), "{", 2)[0], "$i"))
		c, err := Compile("g.bt", text, e, Options{})
		if err != nil {
			continue // $i in a predicate, a stack that is full, …
		}
		compiled++
		wellFormed(t, c)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Log(text)
				}
			}()
			loadKernel(t, c)
		})
	}
	if compiled < rounds/3 {
		t.Errorf("only %d of %d random scripts compile", compiled, rounds)
	}
	t.Logf("%d of %d compile", compiled, rounds)
}
