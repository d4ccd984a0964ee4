package maps

import (
	"encoding/binary"
	"math/bits"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// This file defines hash maps. Readers take no lock; writers lock a bucket.

const (
	hashMul  = 0x9e3779b97f4a7c15
	hashTurn = 5
)

// hash is part of the layout: for each 8 bytes of the key, the last ones
// zero-padded, h = (rotl(h, 5) ^ word) * hashMul, from h = seed; then the
// halves are folded by xor.
func (m *Map) hash(key unsafe.Pointer) uint32 {
	h := uint64(m.seed)
	n, at := uintptr(m.keySize), uintptr(0)
	for ; n-at >= 8; at += 8 {
		h = (bits.RotateLeft64(h, hashTurn) ^ *(*uint64)(unsafe.Add(key, at))) * hashMul
	}
	if n > at {
		var w uint64
		if n-at == 4 {
			w = uint64(*(*uint32)(unsafe.Add(key, at)))
		} else {
			var b [8]byte
			copy(b[:], unsafe.Slice((*byte)(unsafe.Add(key, at)), n-at))
			w = binary.NativeEndian.Uint64(b[:])
		}
		h = (bits.RotateLeft64(h, hashTurn) ^ w) * hashMul
	}
	return uint32(h>>32) ^ uint32(h)
}

func (m *Map) bucket(h uint32) *bucket {
	return (*bucket)(unsafe.Add(m.buckets, uintptr(h&m.bucketMask)*bucketSize))
}

func (m *Map) entry(i uint32) *entry {
	return (*entry)(unsafe.Add(m.entries, uintptr(i)*m.entryStride))
}

func (m *Map) key(i uint32) unsafe.Pointer {
	return unsafe.Add(m.entries, uintptr(i)*m.entryStride+entrySize)
}

func (m *Map) sameKey(i uint32, key unsafe.Pointer) bool {
	k := m.key(i)
	switch m.keySize {
	case 8:
		return *(*uint64)(k) == *(*uint64)(key)
	case 4:
		return *(*uint32)(k) == *(*uint32)(key)
	}
	return unsafe.String((*byte)(k), m.keySize) == unsafe.String((*byte)(key), m.keySize)
}

// link checks a link read from memory that others write to.
func (m *Map) link(l uint32) (i uint32, ok bool) {
	if l == 0 || l&chainEnd != 0 || l > m.capacity {
		return 0, false
	}
	return l - 1, true
}

// find looks a key up without a lock.
func (m *Map) find(key unsafe.Pointer, h uint32) (uint32, bool) {
	b := m.bucket(h)
	for range 16 {
		l := atomic.LoadUint32(&b.Head)
		for steps := uint32(0); steps < m.capacity; steps++ {
			i, ok := m.link(l)
			if !ok {
				break
			}
			e := m.entry(i)
			if e.Hash == h && m.sameKey(i, key) {
				return i, true
			}
			l = atomic.LoadUint32(&e.Next)
		}
		if l == 0 || l == chainEnd|h&m.bucketMask {
			return 0, false
		}
	}
	// Writers kept moving entries under our feet.
	if !lock(&b.Lock) {
		return 0, false
	}
	defer unlock(&b.Lock)
	_, i, ok := m.search(b, key, h)
	return i, ok
}

// search looks a key up with b locked. at is the link that leads to the entry.
func (m *Map) search(b *bucket, key unsafe.Pointer, h uint32) (at *uint32, i uint32, ok bool) {
	at = &b.Head
	for steps := uint32(0); steps <= m.capacity; steps++ {
		if i, ok = m.link(atomic.LoadUint32(at)); !ok {
			return nil, 0, false
		}
		e := m.entry(i)
		if e.Hash == h && m.sameKey(i, key) {
			return at, i, true
		}
		at = &e.Next
	}
	return nil, 0, false
}

func (m *Map) put(key, value unsafe.Pointer, flags uint64, cpu int) syscall.Errno {
	h := m.hash(key)
	b := m.bucket(h)
	if !lock(&b.Lock) {
		return syscall.EBUSY
	}
	defer unlock(&b.Lock)
	_, old, found := m.search(b, key, h)
	switch {
	case found && flags == NoExist:
		return syscall.EEXIST
	case !found && flags == Exist:
		return syscall.ENOENT
	case found && m.cpuStride != 0:
		m.copyIn(m.value(old, cpu), value)
		return 0
	case found:
		m.replace(b, old, key, value, h)
		return 0
	}
	if !m.count() {
		return syscall.E2BIG
	}
	i, ok := m.alloc()
	for n := 0; !ok && n < spins; n++ { // the spare ones are out with updates that are about to end
		runtime.Gosched()
		i, ok = m.alloc()
	}
	if !ok {
		atomic.AddUint32(&m.hdr.Count, ^uint32(0))
		return syscall.E2BIG
	}
	if m.cpuStride != 0 {
		for c := range m.cpus {
			clear(unsafe.Slice((*byte)(m.value(i, c)), m.valueStride))
		}
	}
	m.insert(b, i, key, value, h, cpu)
	return 0
}

// count counts a new key, unless the map is full.
func (m *Map) count() bool {
	for {
		n := atomic.LoadUint32(&m.hdr.Count)
		if n >= m.maxEntries {
			return false
		}
		if atomic.CompareAndSwapUint32(&m.hdr.Count, n, n+1) {
			return true
		}
	}
}

// replace puts a new entry before the old one, then takes the old one out:
// readers find one of the two, whole. Without a spare entry it writes in place.
func (m *Map) replace(b *bucket, old uint32, key, value unsafe.Pointer, h uint32) {
	i, ok := m.alloc()
	if !ok {
		m.copyIn(m.value(old, 0), value)
		return
	}
	m.insert(b, i, key, value, h, 0)
	at := &m.entry(i).Next
	for atomic.LoadUint32(at) != old+1 {
		next, ok := m.link(atomic.LoadUint32(at))
		if !ok {
			return
		}
		at = &m.entry(next).Next
	}
	m.unlink(at, old)
}

func (m *Map) insert(b *bucket, i uint32, key, value unsafe.Pointer, h uint32, cpu int) {
	e := m.entry(i)
	e.Hash = h
	k := unsafe.Slice((*byte)(m.key(i)), align(uint64(m.keySize), 8))
	clear(k[copy(k, unsafe.Slice((*byte)(key), m.keySize)):])
	m.copyIn(m.value(i, cpu), value)
	next := atomic.LoadUint32(&b.Head)
	if next == 0 {
		next = chainEnd | h&m.bucketMask
	}
	atomic.StoreUint32(&e.Next, next)
	atomic.StoreUint32(&b.Head, i+1)
}

// unlink takes entry i out of the chain, where the link at leads to it, and frees it.
func (m *Map) unlink(at *uint32, i uint32) {
	// The entry keeps its own link: a reader that stands on it can go on.
	atomic.StoreUint32(at, atomic.LoadUint32(&m.entry(i).Next))
	m.free(i)
}

func (m *Map) remove(key unsafe.Pointer) syscall.Errno {
	h := m.hash(key)
	b := m.bucket(h)
	if !lock(&b.Lock) {
		return syscall.EBUSY
	}
	defer unlock(&b.Lock)
	at, i, ok := m.search(b, key, h)
	if !ok {
		return syscall.ENOENT
	}
	m.unlink(at, i)
	atomic.AddUint32(&m.hdr.Count, ^uint32(0))
	return 0
}

// alloc takes an entry from the free list, or one that was never used: so a
// new map touches no memory. The count in the list's head keeps a slow
// process from putting back a head that has come and gone.
func (m *Map) alloc() (uint32, bool) {
	for {
		head := atomic.LoadUint64(&m.hdr.FreeHead)
		i, ok := m.link(uint32(head))
		if !ok {
			break
		}
		next := atomic.LoadUint32(&m.entry(i).Free)
		if atomic.CompareAndSwapUint64(&m.hdr.FreeHead, head, (head>>32+1)<<32|uint64(next)) {
			return i, true
		}
	}
	for {
		n := atomic.LoadUint32(&m.hdr.Used)
		if n >= m.capacity {
			return 0, false
		}
		if atomic.CompareAndSwapUint32(&m.hdr.Used, n, n+1) {
			return n, true
		}
	}
}

func (m *Map) free(i uint32) {
	for {
		head := atomic.LoadUint64(&m.hdr.FreeHead)
		atomic.StoreUint32(&m.entry(i).Free, uint32(head))
		if atomic.CompareAndSwapUint64(&m.hdr.FreeHead, head, (head>>32+1)<<32|uint64(i+1)) {
			return
		}
	}
}
