package maps

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/gtrace-dev/gtrace/abi"
)

// This file defines the way in for Go: slices and errors. All of it copies.

func (m *Map) fail(op string, why error) error {
	return fmt.Errorf("map %q (%s): %s: %w", m.def.Name, m.typ, op, why)
}

func (m *Map) checkKey(op string, key []byte) error {
	if m.keySize == 0 {
		return &Unsupported{m.def.Name, op + " in map type " + m.typ.String()}
	}
	if len(key) != int(m.keySize) {
		return m.fail(op, fmt.Errorf("key of %d bytes, expected %d: %w", len(key), m.keySize, syscall.EINVAL))
	}
	return nil
}

// Lookup copies the value of key, of every CPU for a per-CPU map; nil without an error: no such key.
func (m *Map) Lookup(key []byte) ([][]byte, error) {
	if err := m.checkKey("lookup", key); err != nil {
		return nil, err
	}
	k := unsafe.Pointer(unsafe.SliceData(key))
	if m.buckets == nil {
		i := *(*uint32)(k)
		if i >= m.maxEntries {
			return nil, nil
		}
		return m.copyValues(i, nil), nil
	}
	h := m.hash(k)
	b := m.bucket(h)
	if !lock(&b.Lock) {
		return nil, m.fail("lookup", syscall.EBUSY)
	}
	defer unlock(&b.Lock)
	_, i, ok := m.search(b, k, h)
	if !ok {
		return nil, nil
	}
	return m.copyValues(i, nil), nil
}

// copyValues copies the values of entry i into dst, which it makes when it is nil.
func (m *Map) copyValues(i uint32, dst [][]byte) [][]byte {
	if dst == nil {
		n := int(m.valueSize)
		all := make([]byte, n*m.cpus)
		for c := range m.cpus {
			dst = append(dst, all[c*n:(c+1)*n:(c+1)*n])
		}
	}
	for c := range m.cpus {
		src := m.value(i, c)
		if m.valueSize == 8 {
			v := atomic.LoadUint64((*uint64)(src))
			src = unsafe.Pointer(&v)
		}
		copy(dst[c], unsafe.Slice((*byte)(src), m.valueSize))
	}
	return dst
}

// Update sets the value of key. For a per-CPU map value has all CPUs' values,
// each padded to 8 bytes, as bpf(2) has them. Errors are E2BIG (full, or no
// such element), EEXIST, ENOENT, EINVAL, EPERM (frozen), EBUSY.
func (m *Map) Update(key, value []byte, flags uint64) error {
	if err := m.checkKey("update", key); err != nil {
		return err
	}
	want, stride := int(m.valueSize), 0
	if m.cpuStride != 0 {
		stride = int(align(uint64(m.valueSize), 8))
		want = m.cpus * stride
	}
	if len(value) != want {
		return m.fail("update", fmt.Errorf("value of %d bytes, expected %d: %w", len(value), want, syscall.EINVAL))
	}
	if m.access&AccessFrozen != 0 {
		return m.fail("update", syscall.EPERM)
	}
	k, v := unsafe.Pointer(unsafe.SliceData(key)), unsafe.Pointer(unsafe.SliceData(value))
	for c := range m.cpus {
		if e := m.Put(k, unsafe.Add(v, c*stride), flags, c); e != 0 {
			return m.fail("update", e)
		}
		if flags == NoExist {
			flags = Any
		}
	}
	return nil
}

// Delete removes key: ENOENT when it is not there, EINVAL for arrays.
func (m *Map) Delete(key []byte) error {
	if err := m.checkKey("delete", key); err != nil {
		return err
	}
	if m.access&AccessFrozen != 0 {
		return m.fail("delete", syscall.EPERM)
	}
	if e := m.Remove(unsafe.Pointer(unsafe.SliceData(key))); e != 0 {
		return m.fail("delete", e)
	}
	return nil
}

// Len is the number of keys: of elements, for arrays.
func (m *Map) Len() int {
	switch {
	case m.buckets != nil:
		return int(min(atomic.LoadUint32(&m.hdr.Count), m.maxEntries))
	case m.keySize == 0:
		return 0
	}
	return int(m.maxEntries)
}

// Each calls f with every key and its values, one a CPU for a per-CPU map. A
// key that is there all the time comes exactly once, whatever is updated
// meanwhile; f may itself update and delete. The slices are valid during the call.
func (m *Map) Each(f func(key []byte, values [][]byte) error) error {
	if m.keySize == 0 {
		return &Unsupported{m.def.Name, "iteration over map type " + m.typ.String()}
	}
	if m.buckets == nil {
		return m.eachElement(f)
	}
	var chain snapshot
	for n := uint32(0); ; n++ {
		if err := chain.take(m, n); err != nil {
			return err
		}
		for i := range chain.n {
			if err := f(chain.keys[i], chain.values[i]); err != nil {
				return err
			}
		}
		if n == m.bucketMask {
			return nil
		}
	}
}

func (m *Map) eachElement(f func(key []byte, values [][]byte) error) error {
	var key [4]byte
	var values [][]byte
	for i := range m.maxEntries {
		*(*uint32)(unsafe.Pointer(&key)) = i
		values = m.copyValues(i, values)
		if err := f(key[:], values); err != nil {
			return err
		}
	}
	return nil
}

// snapshot is a copy of a bucket's chain.
type snapshot struct {
	n      int
	keys   [][]byte
	values [][][]byte
}

func (s *snapshot) take(m *Map, n uint32) error {
	s.n = 0
	b := m.bucket(n)
	if _, ok := m.link(atomic.LoadUint32(&b.Head)); !ok {
		return nil
	}
	if !lock(&b.Lock) {
		return m.fail("iterate", syscall.EBUSY)
	}
	defer unlock(&b.Lock)
	at := &b.Head
	for s.n < int(m.capacity) {
		i, ok := m.link(atomic.LoadUint32(at))
		if !ok {
			return nil
		}
		if s.n == len(s.keys) {
			s.keys = append(s.keys, make([]byte, m.keySize))
			s.values = append(s.values, nil)
		}
		copy(s.keys[s.n], unsafe.Slice((*byte)(m.key(i)), m.keySize))
		s.values[s.n] = m.copyValues(i, s.values[s.n])
		s.n++
		at = &m.entry(i).Next
	}
	return m.fail("iterate", errors.New("damaged chain"))
}

// NextKey writes the key after key to next, or the first one when key is nil
// or not there (bpf(2), BPF_MAP_GET_NEXT_KEY); ENOENT after the last one.
func (m *Map) NextKey(key, next []byte) error {
	if err := m.checkKey("next key", next); err != nil {
		return err
	}
	if key != nil {
		if err := m.checkKey("next key", key); err != nil {
			return err
		}
	}
	if m.buckets == nil {
		i := uint32(0)
		if key != nil {
			if i = *(*uint32)(unsafe.Pointer(unsafe.SliceData(key))) + 1; i == m.maxEntries {
				return m.fail("next key", syscall.ENOENT)
			} else if i > m.maxEntries {
				i = 0
			}
		}
		*(*uint32)(unsafe.Pointer(unsafe.SliceData(next))) = i
		return nil
	}
	return m.nextHashKey(key, next)
}

func (m *Map) nextHashKey(key, next []byte) error {
	n := uint32(0)
	if key != nil {
		k := unsafe.Pointer(unsafe.SliceData(key))
		h := m.hash(k)
		b := m.bucket(h)
		if !lock(&b.Lock) {
			return m.fail("next key", syscall.EBUSY)
		}
		_, i, ok := m.search(b, k, h)
		if ok {
			n = h&m.bucketMask + 1
			if i, ok = m.link(atomic.LoadUint32(&m.entry(i).Next)); ok {
				copy(next, unsafe.Slice((*byte)(m.key(i)), m.keySize))
				unlock(&b.Lock)
				return nil
			}
		}
		unlock(&b.Lock)
	}
	for ; n <= m.bucketMask; n++ {
		b := m.bucket(n)
		if _, ok := m.link(atomic.LoadUint32(&b.Head)); !ok {
			continue
		}
		if !lock(&b.Lock) {
			return m.fail("next key", syscall.EBUSY)
		}
		i, ok := m.link(atomic.LoadUint32(&b.Head))
		if ok {
			copy(next, unsafe.Slice((*byte)(m.key(i)), m.keySize))
		}
		unlock(&b.Lock)
		if ok {
			return nil
		}
	}
	return m.fail("next key", syscall.ENOENT)
}

// Zero sets every value to zeroes; keys stay.
func (m *Map) Zero() error {
	n := int(m.valueSize)
	if m.cpuStride != 0 {
		n = m.cpus * int(align(uint64(m.valueSize), 8))
	}
	zeroes := make([]byte, n)
	return m.Each(func(key []byte, _ [][]byte) error {
		if err := m.Update(key, zeroes, Exist); !errors.Is(err, syscall.ENOENT) {
			return err
		}
		return nil // deleted meanwhile
	})
}

// Clear removes every key; of an array it zeroes every element.
func (m *Map) Clear() error {
	if m.keySize == 0 {
		return &Unsupported{m.def.Name, "clearing map type " + m.typ.String()}
	}
	if m.access&AccessFrozen != 0 {
		return m.fail("clear", syscall.EPERM)
	}
	if m.buckets == nil {
		for i := range m.maxEntries {
			for c := range m.cpus {
				clear(unsafe.Slice((*byte)(m.value(i, c)), m.valueSize))
			}
		}
		return nil
	}
	for n := uint32(0); ; n++ {
		if err := m.clearBucket(n); err != nil {
			return err
		}
		if n == m.bucketMask {
			return nil
		}
	}
}

func (m *Map) clearBucket(n uint32) error {
	b := m.bucket(n)
	if _, ok := m.link(atomic.LoadUint32(&b.Head)); !ok {
		return nil
	}
	if !lock(&b.Lock) {
		return m.fail("clear", syscall.EBUSY)
	}
	defer unlock(&b.Lock)
	for range m.capacity {
		i, ok := m.link(atomic.LoadUint32(&b.Head))
		if !ok {
			return nil
		}
		m.unlink(&b.Head, i)
		atomic.AddUint32(&m.hdr.Count, ^uint32(0))
	}
	return nil
}

// ValueAt says which value the n bytes at addr lie in, for checking accesses:
// its entry, or ok false when they are not all inside one value.
func (m *Map) ValueAt(addr uintptr, n int) (index uint32, ok bool) {
	start := uintptr(m.values)
	if m.keySize == 0 || addr < start || m.valueStride == 0 {
		return 0, false
	}
	rest := addr - start
	if m.cpuStride != 0 {
		if rest/m.cpuStride >= uintptr(m.cpus) {
			return 0, false
		}
		rest %= m.cpuStride
	}
	limit := m.maxEntries
	if m.buckets != nil {
		limit = min(atomic.LoadUint32(&m.hdr.Used), m.capacity)
	}
	i := rest / m.valueStride
	if i >= uintptr(limit) || rest%m.valueStride+uintptr(n) > uintptr(m.valueSize) {
		return 0, false
	}
	return uint32(i), true
}

// Writable reports whether programs may write to values.
func (m *Map) Writable() bool { return m.access&AccessProgReadOnly == 0 && m.typ != abi.MapRingBuf }
