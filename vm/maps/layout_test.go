package maps

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/object"
)

// This file holds the layout still: a dump of a memory with one map of each
// type. It may only change together with Version and docs/map-layout.md.

var update = flag.Bool("update", false, "rewrite testdata/layout.hex")

func TestLayout(t *testing.T) {
	m := testMemory(t, 2)
	m.seed = new(uint32)
	*m.seed = 0x01020304
	array := create(t, m, object.Map{Type: abi.MapArray, KeySize: 4, ValueSize: 12, MaxEntries: 2})
	perCPU := create(t, m, object.Map{Type: abi.MapPerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 3})
	hash := create(t, m, object.Map{Type: abi.MapHash, KeySize: 10, ValueSize: 8, MaxEntries: 3})
	perCPUHash := create(t, m, object.Map{Type: abi.MapPerCPUHash, KeySize: 4, ValueSize: 4, MaxEntries: 3, Flags: abi.MapNoPrealloc})
	ring := create(t, m, object.Map{Type: abi.MapRingBuf, MaxEntries: 4096})
	create(t, m, object.Map{Name: ".rodata", Type: abi.MapArray, KeySize: 4, ValueSize: 14, MaxEntries: 1, Data: []byte("global data"), Frozen: true, Flags: abi.MapRdonlyProg | abi.MapMmapable})

	array.Update(u32(1), []byte("element one!"), Any)
	perCPU.Put(at(u32(2)), at(u64(0xaa)), Any, 0)
	perCPU.Put(at(u32(2)), at(u64(0xbb)), Any, 1)
	for i := range 3 {
		hash.Update(fmt.Appendf(nil, "hash key %d", i), u64(uint64(i)), Any)
	}
	hash.Update([]byte("hash key 1"), u64(0x11), Any)
	hash.Delete([]byte("hash key 2"))
	perCPUHash.Put(at(u32(7)), at(u32(0xcc)), Any, 1)
	for _, size := range []uint64{4, 2000, 1000} {
		Submit(ring.Reserve(size))
	}
	Discard(ring.Reserve(3))
	ring.Consume(func([]byte) error { return nil })
	ring.Reserve(1500) // behind a filler, at the start again, busy

	got := dump(unsafe.Slice((*byte)(m.Base()), m.Used()))
	const file = "testdata/layout.hex"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the layout changed (docs/map-layout.md says how it is):\n%s", firstDifference(got, string(want)))
	}
}

// dump shows lines of 16 bytes that are not all zero.
func dump(b []byte) string {
	var s strings.Builder
	for off := 0; off < len(b); off += 16 {
		if line := [16]byte(b[off:]); line != [16]byte{} {
			fmt.Fprintf(&s, "%06x  % x  % x\n", off, line[:8], line[8:])
		}
	}
	return s.String()
}

func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("got  %s\nwant %s", a[i], b[i])
		}
	}
	return fmt.Sprintf("got %d lines, want %d", len(a), len(b))
}
