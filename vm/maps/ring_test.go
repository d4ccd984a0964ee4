package maps

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"unsafe"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/object"
)

// This file tests ring buffers.

func ring(t testing.TB, size uint32) *Map {
	return create(t, testMemory(t, 2), object.Map{Type: abi.MapRingBuf, MaxEntries: size})
}

func TestRingOrder(t *testing.T) {
	r := ring(t, 4096)
	a, b, c := r.Reserve(5), r.Reserve(6), r.Reserve(7)
	copy(unsafe.Slice((*byte)(a), 5), "first")
	copy(unsafe.Slice((*byte)(c), 7), "thethir")
	Submit(c)
	Discard(b)
	var got []string
	collect := func(rec []byte) error { got = append(got, string(rec)); return nil }
	if n, err := r.Consume(collect); n != 0 || err != nil {
		t.Errorf("consumed %d, %v before the first is submitted", n, err)
	}
	Submit(a)
	if n, err := r.Consume(collect); n != 2 || err != nil || got[0] != "first" || got[1] != "thethir" {
		t.Errorf("%d, %v: %q", n, err, got)
	}
	if s, _ := r.Ring(); s.Available != 0 || s.Producer != 48 {
		t.Errorf("%+v", s)
	}
}

// TestRingWrap fills and drains with records of odd sizes many times around.
func TestRingWrap(t *testing.T) {
	r := ring(t, 4096)
	rng := rand.New(rand.NewPCG(5, 6))
	var sent [][]byte
	full := 0
	for i := range 20000 {
		size := rng.Uint64N(1500)
		rec := r.Reserve(size)
		if rec == nil {
			full++
		} else {
			if off := uint64(uintptr(rec) - uintptr(r.values)); off+size > 4096 {
				t.Fatalf("record of %d bytes at %d runs out of the data", size, off)
			}
			b := bytes.Repeat([]byte{byte(i)}, int(size))
			copy(unsafe.Slice((*byte)(rec), size), b)
			if rng.IntN(5) == 0 {
				Discard(rec)
			} else {
				Submit(rec)
				sent = append(sent, b)
			}
		}
		if rec != nil && rng.IntN(3) > 0 {
			continue
		}
		if _, err := r.Consume(func(rec []byte) error {
			if !bytes.Equal(rec, sent[0]) {
				t.Fatalf("record %d: got %d bytes of %v, want %d of %v", i, len(rec), rec[:1], len(sent[0]), sent[0][:1])
			}
			sent = sent[1:]
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if len(sent) != 0 {
			t.Fatalf("%d records not seen", len(sent))
		}
	}
	if full == 0 {
		t.Error("the ring was never full")
	}
}

func TestRingFull(t *testing.T) {
	r := ring(t, 4096)
	n := 0
	for r.Output(at(make([]byte, 100)), 100) {
		n++
	}
	if want := 4096/112 - 0; n != want {
		t.Errorf("%d records of 112 bytes fit, want %d", n, want)
	}
	if r.Reserve(1<<30) != nil || r.Reserve(4096) != nil || r.Reserve(^uint64(0)) != nil {
		t.Error("a record larger than the ring")
	}
	r.Consume(func([]byte) error { return nil })
	// A record of more than half fits at the second try at most.
	for range 5 {
		ok := r.Output(at(make([]byte, 3000)), 3000) || func() bool {
			r.Consume(func([]byte) error { return nil })
			return r.Output(at(make([]byte, 3000)), 3000)
		}()
		if n, err := r.Consume(func([]byte) error { return nil }); !ok || n != 1 || err != nil {
			t.Errorf("large record: %v, %d, %v", ok, n, err)
		}
	}
}

func TestRingStop(t *testing.T) {
	r := ring(t, 4096)
	for i := range uint64(3) {
		r.Output(at(u64(i)), 8)
	}
	stop := errors.New("stop")
	if n, err := r.Consume(func([]byte) error { return stop }); n != 1 || err != stop {
		t.Errorf("%d, %v", n, err)
	}
	var got uint64
	r.Consume(func(rec []byte) error { got = got*10 + binary.NativeEndian.Uint64(rec); return nil })
	if got != 12 {
		t.Errorf("after the stop: %d, want 12", got)
	}
	lost := r.Reserve(8)
	r.Output(at(u64(7)), 8)
	if n, err := r.Abandon(); n != 1 || err != nil || lost == nil {
		t.Errorf("Abandon: %d, %v", n, err)
	}
	if n, _ := r.Consume(func([]byte) error { return nil }); n != 1 {
		t.Errorf("after Abandon: %d records", n)
	}
}

// TestRingDamage: a foreign writer's nonsense is an error, not a crash.
func TestRingDamage(t *testing.T) {
	r := ring(t, 4096)
	r.Output(at(u64(1)), 8)
	r.header(0)[0] = 0x3fffffff
	if _, err := r.Consume(func([]byte) error { return nil }); err == nil {
		t.Error("a record beyond the producer is consumed")
	}
	r = ring(t, 4096)
	r.producer.Pos = 4092
	if r.Reserve(8) != nil {
		t.Error("reserved at a position that is not aligned")
	}
}

func TestRingConcurrent(t *testing.T) {
	r := ring(t, 4096)
	const writers, each = 4, 3000
	var wg sync.WaitGroup
	for w := range uint64(writers) {
		wg.Go(func() {
			for i := range uint64(each) {
				var rec unsafe.Pointer
				for rec == nil {
					if rec = r.Reserve(16 + w*8); rec == nil {
						runtime.Gosched()
					}
				}
				*(*[2]uint64)(rec) = [2]uint64{w, i}
				Submit(rec)
			}
		})
	}
	var next [writers]uint64
	for total := 0; total < writers*each; {
		n, err := r.Consume(func(rec []byte) error {
			w, i := binary.NativeEndian.Uint64(rec), binary.NativeEndian.Uint64(rec[8:])
			if len(rec) != int(16+w*8) || next[w] != i {
				t.Fatalf("writer %d: record %d of %d bytes, want %d", w, i, len(rec), next[w])
			}
			next[w]++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if total += n; n == 0 {
			runtime.Gosched()
		}
	}
	wg.Wait()
}
