package sound

import (
	"encoding/binary"
	"errors"
	"math/rand"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/vm/helper"
	"github.com/gtrace-dev/gtrace/vm/maps"
)

// World is a helper.Host in which all is random.
type World struct{ Rand *rand.Rand }

func (w World) ReadUser(_ uint64, dst []byte) error {
	if w.Rand.Intn(3) == 0 {
		return errors.New("no such memory")
	}
	w.Rand.Read(dst)
	return nil
}
func (w World) ReadKernel(addr uint64, dst []byte) error { return w.ReadUser(addr, dst) }
func (w World) Task() helper.Task {
	return helper.Task{TGID: w.Rand.Uint32(), TID: w.Rand.Uint32()}
}
func (w World) CPU() int          { return 0 }
func (w World) Monotonic() uint64 { return w.Rand.Uint64() }
func (w World) Boottime() uint64  { return w.Rand.Uint64() }
func (w World) Printk(string)     {}

// Context is size bytes, a multiple of 8, of small, large and random numbers.
func (w World) Context(size int) []byte {
	b := make([]byte, 0, size)
	for range size / 8 {
		var v uint64
		switch w.Rand.Intn(4) {
		case 0:
			v = uint64(w.Rand.Int63n(160)) - 80
		case 1:
			v = []uint64{0, 1 << 31, 1<<31 - 1, 1 << 32, 1<<32 - 1, 1 << 63, 1<<63 - 1, 1<<64 - 1}[w.Rand.Intn(8)]
		default:
			v = w.Rand.Uint64() >> w.Rand.Intn(64)
		}
		b = binary.NativeEndian.AppendUint64(b, v)
	}
	return b
}

// filled is the most entries that Fill makes in a map.
const filled = 256

// Fill makes entries for programs to find.
func (w World) Fill(byName map[string]*maps.Map) {
	for _, m := range byName {
		if m.Type() == abi.MapRingBuf {
			_, _ = m.Consume(func([]byte) error { return nil })
			continue
		}
		key, value := make([]byte, m.KeySize()), make([]byte, m.ValueSize())
		for i := range min(m.MaxEntries(), filled) {
			w.Rand.Read(value)
			if len(key) >= 4 {
				binary.NativeEndian.PutUint32(key, uint32(i))
			}
			_ = m.Update(key, value, 0) // full: then it has others
		}
	}
}
