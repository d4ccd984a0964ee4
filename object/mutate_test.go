package object

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

// Damaged files give errors, not panics, long waits or much memory.
func TestReadDamaged(t *testing.T) {
	seeds := [][]byte{compile(t, variants["externs"]...), compile(t, variants["big"]...)}
	r := rand.New(rand.NewPCG(3, 4))
	ok := 0
	var before, after runtime.MemStats
	for range 4000 {
		b := bytes.Clone(seeds[r.IntN(len(seeds))])
		for range 1 + r.IntN(4) {
			switch i := r.IntN(len(b)); r.IntN(4) {
			case 0:
				b[i] = byte(r.Uint32())
			case 1:
				b[i] ^= 1 << r.IntN(8)
			case 2:
				b = b[:max(i, 64)]
			default:
				for j := i &^ 3; j < min(i&^3+4, len(b)); j++ {
					b[j] = []byte{0, 0xff, 0x7f, 0x80}[r.IntN(4)]
				}
			}
		}
		runtime.ReadMemStats(&before)
		start := time.Now()
		o, err := Read("damaged", bytes.NewReader(b))
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<29 || took > 5*time.Second {
			t.Fatalf("%d bytes allocated in %v: %v", n, took, err)
		}
		if err == nil {
			ok++
			_ = FormatAsm(o)
			_, _ = Write(o)
		}
	}
	if ok == 0 || ok == 4000 {
		t.Errorf("%d of 4000 damaged files were read", ok)
	}
}
