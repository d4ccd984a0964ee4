package script

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gtrace-dev/gtrace/script/envtext"
)

var unixEpoch = time.Unix(1, 0)

// TestRun runs BEGIN programs in the kernel and looks at what they send.
func TestRun(t *testing.T) {
	needBPF(t)
	e, err := envtext.Parse("")
	if err != nil {
		t.Fatal(err)
	}
	pid := os.Getpid()
	for _, tc := range []struct{ body, want string }{
		{`printf("a", 1)`, ""},
		{`printf("%d", pid)`, fmt.Sprintf("%%d|%d", pid)},
		{`printf("%d", -7 / 2)`, "%d|-3"},
		{`$a = -7; $b = 2; printf("%d %d", $a / $b, $a % $b)`, "%d %d|-3,-1"},
		{`$a = 7; $b = -2; printf("%d %d", $a / $b, $a % $b)`, "%d %d|-3,1"},
		{`$a = (uint64)7; printf("%d", $a / 2)`, "%d|3"},
		{`$a = 1 + 2 * 3; printf("%d", $a << 2 | 1)`, "%d|29"},
		{`$a = 5; $b = $a++ + ++$a; printf("%d %d", $a, $b)`, "%d %d|7,12"},
		{`@x = 3; @x += 4; printf("%d", @x)`, "%d|7"},
		{`@x++; @x++; printf("%d %d", @x, @x++)`, "%d %d|2,2"},
		{`@x[1, "ab"] = 5; printf("%d %d", @x[1, "ab"], @x[2, "ab"])`, "%d %d|5,0"},
		{`@s["k"] = "value"; printf("%s|%s", @s["k"], @s["none"])`, "%s|%s|value,"},
		{`$s = "abc"; if ($s == "abc") { printf("%s", $s) } else { printf("no") }`, "%s|abc"},
		{`$s = "abc"; if ($s != "abd") { printf("%s", $s) }`, "%s|abc"},
		{`$s = "abcdefghij"; $t = "abcdefghij"; printf("%d %d", $s == $t, $s != $t)`, "%d %d|1,0"},
		{`$s = "abcdefghij"; printf("%d", $s == "abcdefghik")`, "%d|0"},
		{`$x = 3; printf("%s", $x > 2 ? "yes" : "no!")`, "%s|yes"},
		{`$x = 3; printf("%d", $x > 2 && $x < 5 || $x == 9 ? 1 : 2)`, "%d|1"},
		{`$x = 0; printf("%d", !$x)`, "%d|1"},
		{`$x = 5; printf("%d %d", ~$x, -$x)`, "%d %d|-6,-5"},
		{`printf("%d", (int8)511)`, "%d|-1"},
		{`$x = 511; printf("%d %d %d", (int8)$x, (uint8)$x, (int32)-$x)`, "%d %d %d|-1,255,-511"},
		{`printf("%d", *(uint64 *)8)`, "%d|<fault>"},
		{`printf("%d", *(uint64 *)0)`, "%d|<null>"},
		{`printf("%d %d %s", 1, *(uint64 *)8, str(8))`, "%d %d %s|1,<fault>,<fault>"},
		{`@a = *(uint64 *)8; printf("%d", @a); @a = 4; printf("%d", @a)`, "%d|<fault>\n%d|4"},
		{`$a = *(uint64 *)8; printf("%d", $a); $a = 4; printf("%d", $a)`, "%d|<fault>\n%d|4"},
		{`if (*(uint64 *)8) { printf("then") } else { printf("else") } printf("end")`, "end|"},
		{`unroll (3) { @n++; } printf("%d", @n)`, "%d|3"},
		{`$i = 0; unroll (3) { $i += 2; } printf("%d", $i)`, "%d|6"},
		{`return; printf("never")`, ""},
		{`if (1) { printf("x"); return } printf("never")`, "x|"},
		{`printf("%s", probe)`, "%s|BEGIN"},
		{`printf("%d", 1e3 + 0x10 + 010 + 1_000 + 'a')`, "%d|2121"},
		{`printf("%d", sizeof(uint32) + sizeof(int64 *))`, "%d|12"},
		{`printf("%d %s", $1, str($2))`, "%d %s|42,word"},
		{`printf("%d", $#)`, "%d|2"},
		{`@h = hist(5); @h = hist(0); @h = hist(-3); printf("ok")`, "ok|"},
		{`print(3); print("s")`, "|3\n|s"},
		{`$x = 10; printf("%d", $x > 5 ? 0xffffffffff : 0)`, "%d|1099511627775"},
		{`@[comm] = count(); @["x"] = count(); clear(@); printf("k")`, "|\nk|"},
		{`@a[1] = 2; delete(@a[1]); printf("%d", @a[1])`, "%d|0"},
		{`@a = 2; delete(@a); printf("%d", @a)`, "%d|0"},
		{`@a[1] = 2; delete(@a, 1); printf("%d", @a[1])`, "%d|0"},
		{`printf("%d", (uint64)-1 > 0 ? 1 : 0)`, "%d|1"},
		{`$x = (uint64)0xffffffffffffffff; printf("%u", $x >> 60)`, "%u|15"},
		{`$x = -16; printf("%d", $x >> 2)`, "%d|-4"},
		{`let $x = 4; { let $x = 5; } printf("%d", $x)`, "%d|4"},
		{`exit(3); printf("never")`, "|3"},
		{`$s = ""; printf("%d %d", $s == "abc", $s != "a longer one"); $s = "abc"; printf("%d", $s == "abc")`, "%d %d|0,1\n%d|1"},
		{`@s = ""; if (@s == "abcdefghijklm") { printf("same") } else { printf("other") }`, "other|"},
	} {
		if tc.want == "" && strings.HasPrefix(tc.body, "printf") {
			continue
		}
		t.Run(tc.body, func(t *testing.T) {
			c, err := Compile("t.bt", "BEGIN { "+tc.body+" }", e, Options{Params: []string{"42", "word"}})
			if err != nil {
				t.Fatal(err)
			}
			l := loadKernel(t, c)
			l.run(t, 0)
			var got []string
			for _, r := range l.records(t) {
				got = append(got, l.text(r))
			}
			if s := strings.Join(got, "\n"); s != tc.want {
				t.Errorf("got  %q\nwant %q", s, tc.want)
			}
			if st := l.stats(t, 0); st.Hits != 1 || st.Lost != 0 || st.Full != 0 {
				t.Errorf("statistics %+v", st)
			}
		})
	}
}
