package script

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gtrace-dev/gtrace/script/diag"
	"github.com/gtrace-dev/gtrace/script/envtext"
	"github.com/gtrace-dev/gtrace/script/parse"
	"github.com/rogpeppe/go-internal/txtar"
)

// seeds are the scripts of the golden cases, and an environment with all that they name.
func seeds(f *testing.F) string {
	files, _ := filepath.Glob("../testdata/script/*.txtar")
	envs := map[string]bool{}
	all := ""
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, s := range txtar.Parse(data).Files {
			switch s.Name {
			case "script":
				f.Add(string(s.Data))
			case "env":
				if t := string(s.Data); !envs[t] && len(t) > len(all) {
					envs[t], all = true, t
				}
			}
		}
	}
	return all
}

// FuzzParse looks for panics and for trees of scripts that were complained of.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, src string) {
		l := &diag.List{Source: diag.NewSource("f.bt", src)}
		tree, complete := parse.Parse(l.Source, l)
		if complete && len(tree.Clauses) == 0 {
			t.Error("a complete tree without clauses")
		}
		if !complete && l.Len() == 0 {
			t.Error("not complete, and no error says why")
		}
	})
}

// FuzzCompile looks for panics, and for objects that are not well formed.
func FuzzCompile(f *testing.F) {
	text := seeds(f)
	e, err := envtext.Parse(text)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, src string) {
		for _, lower := range []Lower{Kernel, Native} {
			c, err := Compile("f.bt", src, e, Options{Lower: lower})
			var ds Diagnostics
			switch {
			case err == nil:
				wellFormed(t, c)
			case !errors.As(err, &ds) || len(ds) == 0:
				t.Errorf("error of type %T", err)
			default:
				var b bytes.Buffer
				ds.Render(&b)
				for _, d := range ds {
					if d.Message == "" || d.Line < 1 || d.Col < 1 {
						t.Errorf("diagnostic %+v", d)
					}
				}
			}
		}
	})
}

// TestBounds gives the compiler more than it takes.
func TestBounds(t *testing.T) {
	e, _ := envtext.Parse("")
	deep := strings.Repeat("(", 100000)
	for name, src := range map[string]string{
		"large":       "BEGIN { " + strings.Repeat(" ", parse.MaxBytes) + "}",
		"parentheses": "BEGIN { $a = " + deep + "1; }",
		"unary":       "BEGIN { $a = " + strings.Repeat("-", 100000) + "1; }",
		"binary":      "BEGIN { $a = 1" + strings.Repeat("+1", 100000) + "; }",
		"blocks":      "BEGIN " + strings.Repeat("{", 100000),
		"else if":     "BEGIN { if (1) { }" + strings.Repeat(" else if (1) { }", 10000) + " }",
		"casts":       "BEGIN { $a = " + strings.Repeat("(int32)", 100000) + "1; }",
		"ternary":     "BEGIN { $a = " + strings.Repeat("1 ? 1 : ", 100000) + "1; }",
		"keys":        "BEGIN { $a = " + strings.Repeat("@a[", 100000) + "1; }",
		"unroll":      "BEGIN { " + strings.Repeat("unroll (100) { ", 10) + "$a = 1;" + strings.Repeat("}", 10) + "}",
		"statements":  "BEGIN { " + strings.Repeat("@a++;", 5000) + "}",
		"jumps":       "BEGIN { if (pid) { " + strings.Repeat(`@a[comm, "abcdefghijklmnopqrstuvwxyz"] = hist(pid);`, 1000) + "} }",
		"errors":      "BEGIN { " + strings.Repeat("$a = $b;", 100000) + "}",
		"clauses":     strings.Repeat("BEGIN { }", 2000),
		"nothing":     "",
		"members":     "BEGIN { $a = 1" + strings.Repeat(".x", 100000) + "; }",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Compile("t.bt", src, e, Options{})
			var ds Diagnostics
			if !errors.As(err, &ds) {
				t.Fatalf("compiles: %v", err)
			}
			if len(ds) > diag.Max {
				t.Errorf("%d errors", len(ds))
			}
			if msg := err.Error(); len(msg) > 600 {
				t.Errorf("an error of %d bytes", len(msg))
			}
		})
	}
}
