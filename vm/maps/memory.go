package maps

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file defines Memory, the memfd that holds a session's maps.

// DefaultLimit is how far a Memory may grow, in bytes. Pages are taken only as they are touched.
const DefaultLimit = 1 << 30

// Memory is shared memory for maps. It is mapped once, sparsely, at its full
// limit, and the file behind it grows as maps are made: so it never moves, an
// address in it stays good until Close, and machine code reaches every map
// from one base. Regions mapped one by one would need a base each.
type Memory struct {
	mu    sync.Mutex
	fd    int
	base  unsafe.Pointer
	limit uint64
	cpus  int
	hdr   *memoryHeader
	maps  []*Map

	// seed, when set, replaces the random seed of hash maps (golden dumps).
	seed *uint32
}

// NewMemory makes an empty memory with DefaultLimit.
func NewMemory() (*Memory, error) { return NewMemoryLimit(DefaultLimit) }

// NewMemoryLimit makes an empty memory that grows to limit bytes at most.
func NewMemoryLimit(limit int64) (*Memory, error) {
	cpus, err := PossibleCPUs()
	if err != nil {
		return nil, err
	}
	return newMemory(limit, cpus)
}

func newMemory(limit int64, cpus int) (*Memory, error) {
	if limit < 2*Page || limit > 1<<40 {
		return nil, fmt.Errorf("map memory: limit %d bytes is not between %d and %d", limit, 2*Page, int64(1)<<40)
	}
	size := align(uint64(limit), Page)
	fd, err := unix.MemfdCreate("gtrace-maps", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("map memory: memfd_create: %w", err)
	}
	m := &Memory{fd: fd, limit: size, cpus: cpus}
	if err := m.init(); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return m, nil
}

func (m *Memory) init() error {
	if err := unix.Ftruncate(m.fd, Page); err != nil {
		return fmt.Errorf("map memory: ftruncate: %w", err)
	}
	// A process that holds the memfd must not be able to cut it: we would die of SIGBUS.
	if _, err := unix.FcntlInt(uintptr(m.fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK); err != nil {
		return fmt.Errorf("map memory: seal: %w", err)
	}
	p, err := unix.MmapPtr(m.fd, 0, nil, uintptr(m.limit), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		return fmt.Errorf("map memory: cannot map %d bytes (see ulimit -v): %w", m.limit, err)
	}
	m.base = p
	m.hdr = (*memoryHeader)(p)
	m.hdr.Magic, m.hdr.Version = MemoryMagic, Version
	m.hdr.Used, m.hdr.Limit, m.hdr.CPUs = Page, m.limit, uint32(m.cpus)
	return nil
}

// FD is the memfd: another process maps it from offset 0 to reach the maps.
func (m *Memory) FD() int { return m.fd }

// Base is where the memory is mapped in this process.
func (m *Memory) Base() unsafe.Pointer { return m.base }

// Used is the size of the file in bytes: all maps lie within.
func (m *Memory) Used() uint64 { return atomic.LoadUint64(&m.hdr.Used) }

// Limit is the number of bytes the memory may grow to, and the size of its mapping.
func (m *Memory) Limit() uint64 { return m.limit }

// CPUs is the number of values of an entry in a per-CPU map.
func (m *Memory) CPUs() int { return m.cpus }

// Close unmaps the memory. No map of it may be used any more, nor any program that uses one.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.base == nil {
		return nil
	}
	err := unix.MunmapPtr(m.base, uintptr(m.limit))
	m.base, m.hdr, m.maps = nil, nil, nil
	return errors.Join(err, unix.Close(m.fd))
}

// grow gives out size bytes, a multiple of Page, all zero.
func (m *Memory) grow(size uint64) (off uint64, err error) {
	off = m.hdr.Used
	if err := unix.Ftruncate(m.fd, int64(off+size)); err != nil {
		return 0, fmt.Errorf("ftruncate to %d bytes: %w", off+size, err)
	}
	atomic.StoreUint64(&m.hdr.Used, off+size)
	return off, nil
}

// owner is what this process writes into lock words.
var owner = uint32(os.Getpid())
