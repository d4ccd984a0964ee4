package usertype

// gdb_test.go stops real programs where Function.PC says and reads what the
// locations lead to: the values that the program passes, and what gdb shows.

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// passed are the values that testdata/args.c passes; "-" for what is not looked at,
// "sse" for what must be said to be in an SSE register or partly so.
var passed = map[string][]string{
	"scalars":      {"c:1:99", "s:2:65534", "i:4:3", "l:8:4", "u:1:250", "b:1:1"},
	"floats_first": {"d:8:sse", "f:4:sse", "i:4:7", "l:8:8"},
	"many":         {"a:4:1", "b:4:2", "c:4:3", "d:4:4", "e:4:5", "f:4:6", "g:4:77", "h:8:88"},
	"by_value":     {"p:8:11", "after:4:55"},
	"by_memory":    {"b:8:31", "after:4:56"},
	"by_mixed":     {"m:8:sse", "after:4:57"},
	"tiny":         {"s:1:5", "after:4:58"},
	"pointers":     {"p:8:-", "n:8:-", "c:4:5"},
}

var gdbRegs = []string{"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"}

// gdbExpr reads the first size bytes of a value.
func gdbExpr(p Piece, size int) string {
	mask := fmt.Sprintf("& 0x%x", uint64(1)<<(8*size-1)<<1-1)
	switch p.Kind {
	case InReg:
		return fmt.Sprintf("(unsigned long)$%s %s", gdbRegs[p.Reg], mask)
	case AtReg:
		return fmt.Sprintf("*(unsigned long*)((unsigned long)$%s+%d) %s", gdbRegs[p.Reg], p.Off, mask)
	}
	return strconv.FormatUint(p.Val, 10)
}

func TestLocationsAgreeWithTheProcess(t *testing.T) {
	if _, err := exec.LookPath("gdb"); err != nil {
		t.Skip("gdb is not installed")
	}
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			path := compile(t, v, "args.c")
			b := open(t, path, Options{})
			var script []string
			want := map[string]string{}
			for name, params := range passed {
				f, err := b.Func(name)
				if err != nil {
					t.Fatal(err)
				}
				if len(f.Params) != len(params) {
					t.Fatalf("%s has %d parameters: %+v", name, len(f.Params), f.Params)
				}
				script = append(script, fmt.Sprintf("break *0x%x\ncommands\nsilent", f.PC))
				for i, spec := range params {
					s := strings.Split(spec, ":")
					p := f.Params[i]
					size, _ := strconv.Atoi(s[1])
					if p.Name != s[0] {
						t.Errorf("%s: parameter %d is %q, want %q", name, i, p.Name, s[0])
					}
					if s[2] == "sse" && strings.HasSuffix(v.name, "O0") {
						s[2] = "-"
					}
					if s[2] == "sse" && p.Loc.Unsupported != "" {
						if !strings.Contains(p.Loc.Unsupported, "SSE") {
							t.Errorf("%s: %s: %q", name, p.Name, p.Loc.Unsupported)
						}
						continue
					}
					if name == "tiny" && strings.Contains(p.Loc.Unsupported, "DW_OP_") {
						continue // clang -O2 takes the struct's parts out of one register by shifting
					}
					if p.Loc.Unsupported != "" || len(p.Loc.Pieces) == 0 {
						t.Errorf("%s: %s has no place: %+v", name, p.Name, p.Loc)
						continue
					}
					if s[2] == "-" || s[2] == "sse" {
						continue
					}
					key := name + "." + p.Name
					want[key] = s[2]
					script = append(script, fmt.Sprintf(`printf "GOT %s %%lu\n", %s`, key, gdbExpr(p.Loc.Pieces[0], size)))
					if name == "many" { // what gdb itself takes for the argument's value
						want[key+".gdb"] = s[2]
						script = append(script, fmt.Sprintf(`printf "GOT %s.gdb %%lu\n", (unsigned long)%s`, key, p.Name))
					}
				}
				script = append(script, "continue\nend")
			}
			script = append(script, "run")
			got := runGDB(t, path, script)
			for k, w := range want {
				if got[k] != w {
					t.Errorf("%s is %q where its location leads to, want %s", k, got[k], w)
				}
			}
		})
	}
}

// runGDB runs a program under gdb and gathers its lines "GOT key value".
func runGDB(t *testing.T, path string, script []string) map[string]string {
	t.Helper()
	args := []string{"-nx", "-batch", "-q", "-iex", "set debuginfod enabled off", "-ex", "set confirm off"}
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, []byte(strings.Join(script, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("gdb", append(args, "-x", file, path)...)
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "ptrace: Operation not permitted") {
		t.Skip("ptrace is not permitted")
	}
	if err != nil {
		t.Fatalf("gdb: %v\n%s", err, out)
	}
	got := map[string]string{}
	for _, line := range strings.Split(string(out), "\n") {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "GOT" {
			got[f[1]] = f[2]
		}
	}
	if len(got) == 0 {
		t.Fatalf("gdb said:\n%s", out)
	}
	return got
}
