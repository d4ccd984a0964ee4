package script

import (
	"testing"

	"github.com/gtrace-dev/gtrace/script/envtext"
)

// BenchmarkCompile compiles a one-line script.
func BenchmarkCompile(b *testing.B) {
	e, err := envtext.Parse(generateEnv)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile("b.bt", `uprobe:/bin/app:handle / args.req->len > 100 / { @[str(args.req->path)] = count(); }`, e, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
