package maps

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/object"
	"golang.org/x/sys/unix"
)

// This file tests arrays and hashes: what they mean, against the kernel's, and from several goroutines.

func testMemory(t testing.TB, cpus int) *Memory {
	t.Helper()
	m, err := newMemory(1<<26, cpus)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func create(t testing.TB, m *Memory, def object.Map) *Map {
	t.Helper()
	if def.Name == "" {
		def.Name = "m"
	}
	p, err := m.Create(&def)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func u32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }
func u64(v uint64) []byte { return binary.NativeEndian.AppendUint64(nil, v) }

func at(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

func wantErr(t *testing.T, what string, err error, want syscall.Errno) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func TestHash(t *testing.T) {
	h := create(t, testMemory(t, 2), object.Map{Type: abi.MapHash, KeySize: 5, ValueSize: 12, MaxEntries: 3})
	key := func(i int) []byte { return fmt.Appendf(nil, "key-%d", i) }
	value := func(i int) []byte { return fmt.Appendf(nil, "value-%06d", i) }
	for i := range 3 {
		if err := h.Update(key(i), value(i), Any); err != nil {
			t.Fatal(err)
		}
	}
	wantErr(t, "fourth key", h.Update(key(3), value(3), Any), syscall.E2BIG)
	wantErr(t, "NOEXIST of a key", h.Update(key(1), value(9), NoExist), syscall.EEXIST)
	wantErr(t, "EXIST of no key", h.Update(key(7), value(9), Exist), syscall.ENOENT)
	wantErr(t, "flags 4", h.Update(key(1), value(9), 4), syscall.EINVAL)
	wantErr(t, "delete no key", h.Delete(key(7)), syscall.ENOENT)
	wantErr(t, "short key", h.Delete([]byte("x")), syscall.EINVAL)

	// An update of a full map leaves the old value readable through its pointer.
	old := h.Find(at(key(1)), 0)
	if err := h.Update(key(1), value(42), Exist); err != nil {
		t.Fatal(err)
	}
	if got := unsafe.Slice((*byte)(old), 12); !bytes.Equal(got, value(1)) {
		t.Errorf("old value through its pointer: %q, want %q", got, value(1))
	}
	if v, err := h.Lookup(key(1)); err != nil || !bytes.Equal(v[0], value(42)) {
		t.Errorf("lookup after update: %q, %v", v, err)
	}
	if err := h.Delete(key(0)); err != nil {
		t.Fatal(err)
	}
	if v, err := h.Lookup(key(0)); v != nil || err != nil {
		t.Errorf("deleted key: %q, %v", v, err)
	}
	if err := h.Update(key(3), value(3), NoExist); err != nil {
		t.Errorf("new key in a deleted one's place: %v", err)
	}
	if h.Len() != 3 {
		t.Errorf("Len %d, want 3", h.Len())
	}
	if err := h.Clear(); err != nil || h.Len() != 0 {
		t.Errorf("Clear: %v, Len %d", err, h.Len())
	}
}

func TestArray(t *testing.T) {
	a := create(t, testMemory(t, 2), object.Map{Type: abi.MapArray, KeySize: 4, ValueSize: 5, MaxEntries: 3})
	if err := a.Update(u32(2), []byte("abcde"), Any); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "element 3", a.Update(u32(3), []byte("abcde"), Any), syscall.E2BIG)
	wantErr(t, "NOEXIST", a.Update(u32(1), []byte("abcde"), NoExist), syscall.EEXIST)
	wantErr(t, "delete", a.Delete(u32(1)), syscall.EINVAL)
	if v, _ := a.Lookup(u32(3)); v != nil {
		t.Errorf("element 3: %q", v)
	}
	var got []string
	a.Each(func(k []byte, v [][]byte) error { got = append(got, fmt.Sprintf("%d %q", k[0], v[0])); return nil })
	if want := `[0 "\x00\x00\x00\x00\x00" 1 "\x00\x00\x00\x00\x00" 2 "abcde"]`; fmt.Sprint(got) != want {
		t.Errorf("Each: %v, want %v", got, want)
	}
	if d := uintptr(a.Find(at(u32(2)), 0)) - uintptr(a.Find(at(u32(1)), 0)); d != 8 {
		t.Errorf("stride %d, want 8", d)
	}
}

func TestGlobalData(t *testing.T) {
	m := testMemory(t, 2)
	r := create(t, m, object.Map{Name: ".rodata", Type: abi.MapArray, KeySize: 4, ValueSize: 6, MaxEntries: 1, Data: []byte("hello"), Frozen: true, Flags: abi.MapRdonlyProg})
	if v, err := r.Lookup(u32(0)); err != nil || string(v[0]) != "hello\x00" {
		t.Errorf("%q, %v", v, err)
	}
	if r.Writable() {
		t.Error("programs may write to a frozen map")
	}
	wantErr(t, "update of a frozen map", r.Update(u32(0), make([]byte, 6), Any), syscall.EPERM)
	wantErr(t, "clear of a frozen map", r.Clear(), syscall.EPERM)
	_, err := m.Create(&object.Map{Name: "x", Type: abi.MapArray, KeySize: 4, ValueSize: 2, MaxEntries: 1, Data: []byte("hello")})
	wantErr(t, "too much data", err, syscall.EINVAL)
}

func TestPerCPU(t *testing.T) {
	for _, typ := range []abi.MapType{abi.MapPerCPUArray, abi.MapPerCPUHash} {
		p := create(t, testMemory(t, 3), object.Map{Type: typ, KeySize: 4, ValueSize: 12, MaxEntries: 2})
		if e := p.Put(at(u32(1)), at([]byte("cpu two's   ")), Any, 2); e != 0 {
			t.Fatal(e)
		}
		if e := p.Put(at(u32(1)), at([]byte("cpu one's   ")), Any, 1); e != 0 {
			t.Fatal(e)
		}
		v, err := p.Lookup(u32(1))
		want := []string{strings.Repeat("\x00", 12), "cpu one's   ", "cpu two's   "}
		if got := []string{string(v[0]), string(v[1]), string(v[2])}; err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v: %q, %v; want %q", typ, got, err, want)
		}
		if p.Find(at(u32(1)), 3) != nil {
			t.Errorf("%v: a value for CPU 3 of 3", typ)
		}
		if err := p.Update(u32(0), bytes.Repeat([]byte("0123456789abcdef"), 3), Any); err != nil {
			t.Error(err)
		}
		if v, _ := p.Lookup(u32(0)); string(v[2]) != "0123456789ab" {
			t.Errorf("%v: %q", typ, v)
		}
		wantErr(t, "one CPU's value", p.Update(u32(0), make([]byte, 12), Any), syscall.EINVAL)
		// A new key starts at zero, also where a deleted key's values were.
		if typ == abi.MapPerCPUHash {
			if err := p.Delete(u32(0)); err != nil {
				t.Fatal(err)
			}
			p.Put(at(u32(5)), at(make([]byte, 12)), Any, 0)
			if v, _ := p.Lookup(u32(5)); !bytes.Equal(v[2], make([]byte, 12)) {
				t.Errorf("new key has %q on CPU 2", v[2])
			}
		}
	}
}

func TestRefused(t *testing.T) {
	m := testMemory(t, 2)
	for _, c := range []struct {
		def  object.Map
		want string
	}{
		{object.Map{Type: abi.MapLPMTrie, KeySize: 8, ValueSize: 8, MaxEntries: 1}, "unsupported: map type lpm_trie"},
		{object.Map{Type: abi.MapStackTrace, KeySize: 4, ValueSize: 8, MaxEntries: 1}, "unsupported: map type stack_trace"},
		{object.Map{Type: 99, KeySize: 4, ValueSize: 8, MaxEntries: 1}, "unsupported: map type 99"},
		{object.Map{Type: abi.MapArray, KeySize: 4, ValueSize: 8, MaxEntries: 1 << 27}, "needs 1073745920 bytes"},
		{object.Map{Type: abi.MapArray, KeySize: 8, ValueSize: 8, MaxEntries: 1}, "key_size 8"},
		{object.Map{Type: abi.MapHash, ValueSize: 8, MaxEntries: 1}, "key_size is 0"},
		{object.Map{Type: abi.MapHash, KeySize: 4, ValueSize: 8}, "max_entries is 0"},
		{object.Map{Type: abi.MapHash, KeySize: 4, MaxEntries: 1}, "value_size is 0"},
		{object.Map{Type: abi.MapHash, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: 1 << 10}, "unsupported: map flags 0x400"},
		{object.Map{Type: abi.MapRingBuf, MaxEntries: 5000}, "power of 2"},
		{object.Map{Type: abi.MapRingBuf, KeySize: 4, MaxEntries: 4096}, "key_size 4"},
	} {
		c.def.Name = "x"
		if _, err := m.Create(&c.def); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q in it", c.def, err, c.want)
		}
	}
}

// TestLikeKernel does the same to our maps and to the kernel's.
func TestLikeKernel(t *testing.T) {
	cpus := runtime.NumCPU()
	if n, err := PossibleCPUs(); err == nil {
		cpus = n
	}
	for _, typ := range []abi.MapType{abi.MapHash, abi.MapPerCPUHash, abi.MapArray, abi.MapPerCPUArray} {
		k, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.MapType(typ), KeySize: 4, ValueSize: 8, MaxEntries: 8})
		if err != nil {
			t.Skipf("bpf(2) is not permitted here: %v", err)
		}
		defer k.Close()
		ours := create(t, testMemory(t, cpus), object.Map{Type: typ, KeySize: 4, ValueSize: 8, MaxEntries: 8})
		rng := rand.New(rand.NewPCG(3, uint64(typ)))
		for step := range 4000 {
			key := u32(rng.Uint32N(12))
			values := make([]uint64, ours.CPUs())
			var flat []byte
			for c := range values {
				values[c] = rng.Uint64()
				flat = append(flat, u64(values[c])...)
			}
			var kernelErr, ourErr error
			what := ""
			switch rng.IntN(4) {
			case 0, 1:
				flags := uint64(rng.IntN(4))
				what = fmt.Sprintf("update %v flags %d", key, flags)
				if typ.PerCPU() {
					kernelErr = k.Update(key, values, ebpf.MapUpdateFlags(flags))
				} else {
					kernelErr = k.Update(key, flat, ebpf.MapUpdateFlags(flags))
				}
				ourErr = ours.Update(key, flat, flags)
			case 2:
				what = fmt.Sprintf("delete %v", key)
				kernelErr, ourErr = k.Delete(key), ours.Delete(key)
			case 3:
				what = fmt.Sprintf("lookup %v", key)
				sameValue(t, k, ours, key)
			}
			if a, b := errnoOf(kernelErr), errnoOf(ourErr); a != b {
				t.Fatalf("%v, step %d: %s: kernel %v, ours %v", typ, step, what, kernelErr, ourErr)
			}
		}
		for i := range uint32(12) {
			sameValue(t, k, ours, u32(i))
		}
	}
}

func errnoOf(err error) syscall.Errno {
	var e syscall.Errno
	errors.As(err, &e)
	return e
}

func sameValue(t *testing.T, k *ebpf.Map, ours *Map, key []byte) {
	t.Helper()
	v, err := ours.Lookup(key)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]uint64, 1)
	if ours.CPUs() > 1 || ours.Type().PerCPU() {
		err = k.Lookup(key, &want)
	} else {
		err = k.Lookup(key, &want[0])
	}
	if (err == nil) != (v != nil) {
		t.Fatalf("key %v: kernel %v, ours %v", key, err, v)
	}
	for c := range v {
		if got := binary.NativeEndian.Uint64(v[c]); got != want[c] {
			t.Fatalf("key %v, CPU %d: kernel %#x, ours %#x", key, c, want[c], got)
		}
	}
}

// TestConcurrentHash lets goroutines update, delete, look up and walk. Values
// carry their key twice, so that a value torn or of another key shows.
func TestConcurrentHash(t *testing.T) {
	h := create(t, testMemory(t, 2), object.Map{Type: abi.MapHash, KeySize: 8, ValueSize: 24, MaxEntries: 64})
	const fixed = 1000 // never deleted
	check := func(key uint64, v []byte) {
		a, b := binary.NativeEndian.Uint64(v), binary.NativeEndian.Uint64(v[8:])
		if a != key || b != ^key {
			t.Errorf("key %d has the value of %d, %d", key, a, ^b)
		}
	}
	value := func(key uint64) []byte { return append(append(u64(key), u64(^key)...), u64(0)...) }
	if err := h.Update(u64(fixed), value(fixed), Any); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var added atomic.Int64
	for g := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 9))
			for range 5000 {
				key := rng.Uint64N(100)
				switch rng.IntN(5) {
				case 0, 1:
					if err := h.Update(u64(key), value(key), Any); err != nil && !errors.Is(err, syscall.E2BIG) {
						t.Error(err)
					}
				case 2:
					if err := h.Delete(u64(key)); err != nil && !errors.Is(err, syscall.ENOENT) {
						t.Error(err)
					}
				case 3:
					if v, err := h.Lookup(u64(key)); err != nil {
						t.Error(err)
					} else if v != nil {
						check(key, v[0])
					}
				case 4:
					p := h.Find(at(u64(fixed)), 0)
					if p == nil {
						t.Error("the key that stays is not found")
						return
					}
					atomic.AddUint64((*uint64)(unsafe.Add(p, 16)), 1)
					added.Add(1)
				}
			}
		})
	}
	for range 50 {
		seen := map[uint64]int{}
		err := h.Each(func(k []byte, v [][]byte) error {
			key := binary.NativeEndian.Uint64(k)
			seen[key]++
			check(key, v[0])
			return nil
		})
		if err != nil || seen[fixed] != 1 {
			t.Errorf("Each: %v, the key that stays came %d times", err, seen[fixed])
		}
	}
	wg.Wait()
	v, err := h.Lookup(u64(fixed))
	if got := binary.NativeEndian.Uint64(v[0][16:]); err != nil || got != uint64(added.Load()) {
		t.Errorf("%d atomic adds, counted %d, %v", added.Load(), got, err)
	}
	sane(t, h)
}

// sane checks that each entry is in a chain or free, once, and the count right.
func sane(t *testing.T, h *Map) {
	t.Helper()
	where := make([]string, h.capacity)
	keys := uint32(0)
	for n := uint32(0); n <= h.bucketMask; n++ {
		for l := h.bucket(n).Head; ; {
			i, ok := h.link(l)
			if !ok {
				break
			}
			if where[i] != "" {
				t.Fatalf("entry %d in bucket %d and %s", i, n, where[i])
			}
			where[i] = fmt.Sprint("bucket ", n)
			keys++
			l = h.entry(i).Next
		}
		if h.bucket(n).Lock != 0 {
			t.Errorf("bucket %d is locked", n)
		}
	}
	for l := uint32(h.hdr.FreeHead); l != 0; {
		i, _ := h.link(l)
		if where[i] != "" {
			t.Fatalf("entry %d is free and in %s", i, where[i])
		}
		where[i] = "free"
		l = h.entry(i).Free
	}
	for i := range h.hdr.Used {
		if where[i] == "" {
			t.Errorf("entry %d is lost", i)
		}
	}
	if keys != h.hdr.Count {
		t.Errorf("%d keys, count says %d", keys, h.hdr.Count)
	}
}

func TestNextKey(t *testing.T) {
	for _, typ := range []abi.MapType{abi.MapHash, abi.MapArray} {
		m := create(t, testMemory(t, 2), object.Map{Type: typ, KeySize: 4, ValueSize: 8, MaxEntries: 20})
		for i := range uint32(20) {
			m.Update(u32(i), u64(1), Any)
		}
		seen := map[uint32]bool{}
		var key []byte
		next := make([]byte, 4)
		for m.NextKey(key, next) == nil {
			seen[binary.NativeEndian.Uint32(next)] = true
			key = bytes.Clone(next)
		}
		if len(seen) != 20 {
			t.Errorf("%v: %d keys, want 20", typ, len(seen))
		}
		if err := m.NextKey(u32(77), next); err != nil {
			t.Errorf("%v: after a key that is not there: %v, want the first", typ, err)
		}
		wantErr(t, "after the last", m.NextKey(key, next), syscall.ENOENT)
	}
}

// TestDeadHolder: a lock whose holder died is taken over; one that is held is waited for, then EBUSY.
func TestDeadHolder(t *testing.T) {
	h := create(t, testMemory(t, 2), object.Map{Type: abi.MapHash, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	h.bucket(0).Lock = 0x7fffffff // above any process id
	if err := h.Update(u32(1), u64(1), Any); err != nil {
		t.Errorf("lock of a dead process: %v", err)
	}
	h.bucket(0).Lock = uint32(unix.Getppid())
	wantErr(t, "lock of a live process", h.Update(u32(1), u64(2), Any), syscall.EBUSY)
}

// TestOtherMapping reads and writes through a second mapping of the memfd, as another process would.
func TestOtherMapping(t *testing.T) {
	m := testMemory(t, 2)
	h := create(t, m, object.Map{Type: abi.MapHash, KeySize: 4, ValueSize: 8, MaxEntries: 16})
	b, err := unix.Mmap(m.FD(), 0, int(m.Used()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(b)
	dir := (*memoryHeader)(at(b))
	if dir.Magic != MemoryMagic || dir.Maps != 1 || string(b[:7]) != "GTRACE1" {
		t.Fatalf("header %+v", dir.Magic)
	}
	other := &Map{off: dir.Dir[0], base: at(b[dir.Dir[0]:])}
	other.hdr = (*Header)(other.base)
	other.open()
	if err := other.Update(u32(5), u64(55), NoExist); err != nil {
		t.Fatal(err)
	}
	if v, err := h.Lookup(u32(5)); err != nil || binary.NativeEndian.Uint64(v[0]) != 55 {
		t.Errorf("%v, %v", v, err)
	}
	if err := unix.Ftruncate(m.FD(), 4096); err == nil {
		t.Error("the memory can be cut")
	}
}

func TestParseCPUs(t *testing.T) {
	for in, want := range map[string]int{"0\n": 1, "0-3": 4, "0-1,8-11": 12, "0,2": 3, "": -1, "a": -1, "3-1": -1, "-1": -1, "99999999": -1} {
		n, err := parseCPUs(in)
		if err != nil {
			n = -1
		}
		if n != want {
			t.Errorf("%q: %d, want %d", in, n, want)
		}
	}
}

func BenchmarkMaps(b *testing.B) {
	m := testMemory(b, 2)
	key, value := u64(77), u64(1)
	for _, typ := range []abi.MapType{abi.MapHash, abi.MapPerCPUHash, abi.MapArray} {
		size := uint32(8)
		if typ == abi.MapArray {
			size = 4
		}
		h := create(b, m, object.Map{Type: typ, KeySize: size, ValueSize: 8, MaxEntries: 4096})
		if h.buckets != nil {
			for i := range uint64(2048) {
				h.Put(at(u64(i)), at(value), Any, 0)
			}
		}
		b.Run(typ.String()+"/find", func(b *testing.B) {
			for b.Loop() {
				if h.Find(at(key), 0) == nil {
					b.Fatal("gone")
				}
			}
		})
		b.Run(typ.String()+"/put", func(b *testing.B) {
			for b.Loop() {
				h.Put(at(key), at(value), Any, 0)
			}
		})
		if h.buckets != nil {
			b.Run(typ.String()+"/insert+remove", func(b *testing.B) {
				k := u64(99999)
				for b.Loop() {
					h.Put(at(k), at(value), Any, 0)
					h.Remove(at(k))
				}
			})
		}
	}
	r := create(b, m, object.Map{Type: abi.MapRingBuf, MaxEntries: 1 << 20})
	b.Run("ringbuf/reserve+submit+consume", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			rec := r.Reserve(64)
			if rec == nil {
				b.Fatal("full")
			}
			Submit(rec)
			if i%1024 == 0 {
				r.Consume(func([]byte) error { return nil })
			}
		}
	})
}
