package kernel

import (
	"fmt"
	"testing"

	"github.com/gtrace-dev/gtrace/engine"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/place"
)

// BenchmarkUprobe is the cost of one hit of a uprobe that counts: a process
// that calls the function b.N times, whole.
func BenchmarkUprobe(b *testing.B) {
	if err := Permitted(); err != nil {
		b.Skip("skipped: ", err)
	}
	bin, off := binaryOf(b)
	o, err := object.ParseAsm("count", `
.license GPL
.map hits type=percpu_array key=4 value=8 entries=1
.section uprobe
.func entry
	*(u32 *)(r10 - 4) = 0
	r1 = map[hits] ll
	r2 = r10
	r2 += -4
	call bpf_map_lookup_elem
	if r0 == 0 goto out
	r1 = 1
	lock *(u64 *)(r0 + 0) += r1
out:
	r0 = 0
	exit
`)
	if err != nil {
		b.Fatal(err)
	}
	target, err := image.Running()
	if err != nil {
		b.Fatal(err)
	}
	img, err := image.Build(o, "entry", target)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		opts Options
		n    int // probes
	}{{"none", Options{}, 0}, {"multi", Options{}, 1}, {"perf", Options{PerfUprobes: true}, 1}} {
		b.Run(c.name, func(b *testing.B) {
			cmd := child(b, bin, fmt.Sprint(b.N), "1")
			bs := []bind{{img, place.Place{Kind: place.Uprobe, Path: bin, Offset: off}}}[:c.n]
			s := open(b, bs, engine.Target{PID: cmd.PID()}, c.opts)
			b.ResetTimer()
			if err := cmd.Release(); err != nil {
				b.Fatal(err)
			}
			if _, err := cmd.Wait(); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if c.n > 0 && total(b, s, "hits") != uint64(b.N) {
				b.Errorf("%d hits of %d", total(b, s, "hits"), b.N)
			}
		})
	}
}
