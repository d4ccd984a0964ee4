package gtrace_test

// End-to-end tests of what scripts mean: the same on both engines, and the
// same as in bpftrace.

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// compiled builds a C program.
func compiled(t *testing.T, source string, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "t.c"), source)
	path := filepath.Join(dir, "t")
	args := append([]string{"-g", "-O1", "-o", path, filepath.Join(dir, "t.c")}, flags...)
	if out, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		t.Skipf("gcc: %v\n%s", err, out)
	}
	return path
}

const twice = `__attribute__((noipa)) int twice(int n) { return 2 * n; }
int main(void) { return twice(0); }
`

// TestOrder: clauses at one place run in the script's order.
func TestOrder(t *testing.T) {
	path := compiled(t, twice)
	u, r := "uprobe:"+path+":twice", "uretprobe:"+path+":twice"
	script := u + ` { printf("1\n"); } ` + r + ` { printf("a\n"); } ` + u + ` { printf("2\n"); } ` + r + ` { printf("b\n"); }`
	engines(t, func(t *testing.T, engine string) {
		gtrace(t, "--engine", engine, "-e", script, "--", path).want(t, 0, "1\n2\na\nb\n")
	})
}

// TestZero: zero() sets values to 0, clear() removes keys.
func TestZero(t *testing.T) {
	path := compiled(t, twice)
	script := `uprobe:` + path + `:twice { @x[1] = 5; @c["k"] = count(); @h = hist(3); @n = 7; @s["k"] = "abc"; @gone[1] = 1;
		zero(@x); print(@x); zero(@c); print(@c); zero(@h); print(@h); zero(@n); print(@n); zero(@s); print(@s); clear(@gone); print(@gone); }`
	engines(t, func(t *testing.T, engine string) {
		gtrace(t, "--engine", engine, "-e", script, "--", path).want(t, 0, "@x[1]: 0\n", "@c[k]: 0\n", "@h: \n", "@n: 0\n", "@s[k]: \n\n\n\n@c[k]: 0\n@s[k]: \n@x[1]: 0\n")
	})
}

// TestPlaces: a trap in the middle of an instruction would change the program.
func TestPlaces(t *testing.T) {
	path := compiled(t, `__asm__(".globl f\n.type f,@function\nf: movl $7, %eax\n ret\n.size f, .-f\n");
int f(void);
int main(void) { return f(); }`)
	probe := "uprobe:" + path + ":f"
	for _, bad := range []string{probe + "+1", probe + "+4", probe + "+6", "uretprobe:" + path + ":f+5", "uprobe:/tmp:f"} {
		gtrace(t, "-e", bad+` { exit(); }`).want(t, 1, "error: ")
	}
	engines(t, func(t *testing.T, engine string) {
		gtrace(t, "--engine", engine, "-e", probe+`, `+probe+`+5 { @ = count(); }`, "--", path).want(t, 0, "@: 2")
	})
}

// TestQuotedPath: quotes keep what would end a path.
func TestQuotedPath(t *testing.T) {
	path := compiled(t, twice)
	odd := filepath.Join(t.TempDir(), "a b,c:d{e")
	if out, err := exec.Command("cp", path, odd).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	gtrace(t, "-e", `uprobe:"`+odd+`":twice { print(args.n); }`, "--", odd).want(t, 0, "\n0\n")
}

// TestLongLine: an error in a long line shows the part that matters.
func TestLongLine(t *testing.T) {
	script := "BEGIN { " + strings.Repeat("@x = 1; ", 500) + "@y = nope; " + strings.Repeat("@x = 1; ", 500) + "}"
	r := gtrace(t, "-e", script)
	r.want(t, 1, "-e:1:4014: error: unknown name `nope`\n    1 | …", " @y = nope; ", "…\n      |  ")
	lines := strings.Split(r.stderr, "\n")
	mark := lines[2]
	if at := []rune(lines[1]); len(at) > 340 || string(at[strings.Index(mark, "^"):][:4]) != "nope" || !strings.HasSuffix(mark, "^~~~") {
		t.Errorf("the caret is not under the name:\n%s", r.stderr)
	}
}

// TestBool: true and false stay what they are in maps, until they are counted with.
func TestBool(t *testing.T) {
	path := compiled(t, `#include <stdbool.h>
__attribute__((noipa)) bool not(bool b) { return !b; }
int main(void) { return not(true); }`)
	script := "uprobe:" + path + ":not { @k[args.b, 1] = count(); @v[1] = args.b; @n = args.b; @n++; @m[args.b || 0] = 1; }"
	engines(t, func(t *testing.T, engine string) {
		gtrace(t, "--engine", engine, "-e", script, "--", path).want(t, 0, "@k[true, 1]: 1\n@m[1]: 1\n@n: 2\n@v[1]: true\n")
	})
}

// TestExit: exit() ends its clause, and nothing but END says something behind it.
func TestExit(t *testing.T) {
	path := compiled(t, `__attribute__((noipa)) int tick(int n) { return n; }
int main(void) { for (int i = 0; i < 100000; i++) tick(i); }`)
	script := "uprobe:" + path + `:tick { printf("%d\n", args.n); exit(4); @never = 1; } BEGIN { if (0) { @x[1] = count(); } print(@x); }
		END { printf("end\n"); print(@never); }`
	engines(t, func(t *testing.T, engine string) {
		gtrace(t, "--engine", engine, "-e", script, "--", path).want(t, 4, "Attaching 3 probes...\n\n0\nend\n\n\n\n")
	})
}
