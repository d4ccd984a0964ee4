package maps

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/object"
)

// This file defines Map, how it is made, and the way in for programs.

// Flags of an update (include/uapi/linux/bpf.h: BPF_ANY, BPF_NOEXIST, BPF_EXIST).
const (
	Any     uint64 = 0
	NoExist uint64 = 1
	Exist   uint64 = 2
)

// Flags of maps that abi does not name (include/uapi/linux/bpf.h: BPF_F_*).
const (
	flagNumaNode   uint32 = 1 << 2
	flagRdonly     uint32 = 1 << 3
	flagWronly     uint32 = 1 << 4
	flagZeroSeed   uint32 = 1 << 6
	flagWronlyProg uint32 = 1 << 8
)

// Unsupported says which map feature is not there.
type Unsupported struct {
	Map, What string
}

func (e *Unsupported) Error() string { return fmt.Sprintf("map %q: unsupported: %s", e.Map, e.What) }

// Map is a map in a Memory. All methods may be used by several goroutines,
// and while other processes use the same map, except where noted.
type Map struct {
	mem  *Memory
	def  object.Map
	off  uint64
	base unsafe.Pointer // the header
	hdr  *Header

	// Copies of what never changes, out of reach of foreign writers: a Map must
	// not leave its own memory because another process wrote to the header.
	typ         abi.MapType
	keySize     uint32
	valueSize   uint32
	maxEntries  uint32
	cpus        int
	values      unsafe.Pointer
	valueStride uintptr
	cpuStride   uintptr
	buckets     unsafe.Pointer
	entries     unsafe.Pointer
	entryStride uintptr
	bucketMask  uint32
	capacity    uint32
	seed        uint32
	access      uint32
	consumer    *ringConsumer
	producer    *ringProducer
	dataSize    uint64

	consuming sync.Mutex // Consume and Abandon: one at a time
}

// Create makes a map from its declaration. Its memory is zero, or for a
// global data map the declared content.
func (m *Memory) Create(def *object.Map) (*Map, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.base == nil {
		return nil, fmt.Errorf("map %q: the map memory is closed", def.Name)
	}
	h, err := m.plan(def)
	if err != nil {
		return nil, err
	}
	if len(m.maps) == MaxMaps {
		return nil, fmt.Errorf("map %q: more than %d maps in one session", def.Name, MaxMaps)
	}
	if h.Size > m.limit-m.hdr.Used {
		return nil, fmt.Errorf("map %q: %s of %d entries (key %d, value %d bytes, %d values each) needs %d bytes; %d of the session's %d are left: lower max_entries",
			def.Name, def.Type, def.MaxEntries, def.KeySize, def.ValueSize, h.CPUs, h.Size, m.limit-m.hdr.Used, m.limit)
	}
	off, err := m.grow(h.Size)
	if err != nil {
		return nil, fmt.Errorf("map %q: %w", def.Name, err)
	}
	p := &Map{mem: m, def: *def, off: off, base: unsafe.Add(m.base, off)}
	p.hdr = (*Header)(p.base)
	*p.hdr = *h
	p.open()
	if len(def.Data) > 0 {
		copy(unsafe.Slice((*byte)(p.values), p.valueSize), def.Data)
	}
	m.maps = append(m.maps, p)
	m.hdr.Dir[len(m.maps)-1] = off
	atomic.StoreUint32(&m.hdr.Maps, uint32(len(m.maps)))
	return p, nil
}

func (m *Map) open() {
	h := m.hdr
	m.typ, m.keySize, m.valueSize, m.maxEntries = abi.MapType(h.Type), h.KeySize, h.ValueSize, h.MaxEntries
	m.cpus = int(h.CPUs)
	m.values = unsafe.Add(m.base, h.Values)
	m.valueStride, m.cpuStride, m.entryStride = uintptr(h.ValueStride), uintptr(h.CPUStride), uintptr(h.EntryStride)
	m.bucketMask, m.capacity, m.seed, m.access = h.BucketMask, h.Capacity, h.Seed, h.Access
	switch m.typ {
	case abi.MapHash, abi.MapPerCPUHash:
		m.buckets, m.entries = unsafe.Add(m.base, h.Buckets), unsafe.Add(m.base, h.Entries)
	case abi.MapRingBuf:
		m.consumer = (*ringConsumer)(unsafe.Add(m.base, h.Consumer))
		m.producer = (*ringProducer)(unsafe.Add(m.base, h.Producer))
		m.dataSize = uint64(h.MaxEntries)
	}
}

// plan checks the declaration as the kernel would and lays the map out.
func (m *Memory) plan(def *object.Map) (*Header, error) {
	h := &Header{Magic: MapMagic, Version: Version, HeaderSize: HeaderSize, Type: uint32(def.Type), Flags: def.Flags,
		KeySize: def.KeySize, ValueSize: def.ValueSize, MaxEntries: def.MaxEntries, CPUs: 1}
	if def.Flags&abi.MapRdonlyProg != 0 || def.Frozen {
		h.Access |= AccessProgReadOnly
	}
	if def.Frozen {
		h.Access |= AccessFrozen
	}
	if def.Type.PerCPU() {
		h.CPUs = uint32(m.cpus)
	}
	if def.MaxEntries == 0 {
		return nil, invalid(def, "max_entries is 0")
	}
	if def.MaxEntries > 1<<30 {
		return nil, invalid(def, fmt.Sprintf("max_entries is %d, above %d", def.MaxEntries, 1<<30))
	}
	var err error
	switch def.Type {
	case abi.MapArray, abi.MapPerCPUArray:
		err = planArray(def, h)
	case abi.MapHash, abi.MapPerCPUHash:
		err = m.planHash(def, h)
	case abi.MapRingBuf:
		err = planRing(def, h)
	default:
		err = &Unsupported{def.Name, "map type " + strings.TrimPrefix(def.Type.String(), "map type ")}
	}
	h.Size = align(h.Size, Page)
	return h, err
}

func planArray(def *object.Map, h *Header) error {
	allowed := flagNumaNode | flagRdonly | flagWronly | abi.MapRdonlyProg | flagWronlyProg
	if def.Type == abi.MapArray {
		allowed |= abi.MapMmapable
	}
	if err := checkFlags(def, allowed); err != nil {
		return err
	}
	if def.KeySize != 4 {
		return invalid(def, fmt.Sprintf("an array's key is 4 bytes, found key_size %d", def.KeySize))
	}
	if err := checkValue(def); err != nil {
		return err
	}
	if len(def.Data) > int(def.ValueSize) {
		return invalid(def, fmt.Sprintf("%d bytes of data for a value of %d", len(def.Data), def.ValueSize))
	}
	h.Values = HeaderSize
	h.ValueStride = align(uint64(def.ValueSize), 8)
	h.Size = placeValues(h, uint64(def.MaxEntries))
	return nil
}

func (m *Memory) planHash(def *object.Map, h *Header) error {
	allowed := flagNumaNode | flagRdonly | flagWronly | abi.MapRdonlyProg | flagWronlyProg | flagZeroSeed | abi.MapNoPrealloc
	if err := checkFlags(def, allowed); err != nil {
		return err
	}
	if def.KeySize == 0 || def.KeySize > 1<<20 {
		return invalid(def, fmt.Sprintf("key_size is %d, expected 1 to %d", def.KeySize, 1<<20))
	}
	if err := checkValue(def); err != nil {
		return err
	}
	if len(def.Data) > 0 {
		return invalid(def, "initial data is for arrays of one element")
	}
	buckets := uint64(1) << bits.Len32(def.MaxEntries-1)
	h.BucketMask = uint32(buckets - 1)
	// Spare entries let an update of a full map put the new value next to the
	// old one, so that a program that still reads the old one sees it whole.
	h.Capacity = def.MaxEntries + uint32(m.cpus)
	switch {
	case m.seed != nil:
		h.Seed = *m.seed
	case def.Flags&flagZeroSeed == 0:
		h.Seed = rand.Uint32()
	}
	h.Buckets = HeaderSize
	h.Entries = align(h.Buckets+buckets*bucketSize, 64)
	key := entrySize + align(uint64(def.KeySize), 8)
	if def.Type.PerCPU() {
		h.EntryStride = key
		h.Values = align(h.Entries+uint64(h.Capacity)*h.EntryStride, 64)
		h.ValueStride = align(uint64(def.ValueSize), 8)
		h.Size = placeValues(h, uint64(h.Capacity))
		return nil
	}
	h.EntryStride = key + align(uint64(def.ValueSize), 8)
	h.Values, h.ValueStride = h.Entries+key, h.EntryStride
	h.Size = h.Entries + uint64(h.Capacity)*h.EntryStride
	return nil
}

// placeValues sets the stride between CPUs, so that no two share a cache line, and returns the map's end.
func placeValues(h *Header, n uint64) uint64 {
	if !abi.MapType(h.Type).PerCPU() {
		return h.Values + n*h.ValueStride
	}
	h.CPUStride = align(n*h.ValueStride, 64)
	return h.Values + uint64(h.CPUs)*h.CPUStride
}

func checkFlags(def *object.Map, allowed uint32) error {
	if bad := def.Flags &^ allowed; bad != 0 {
		return &Unsupported{def.Name, fmt.Sprintf("map flags %#x for %s", bad, def.Type)}
	}
	return nil
}

func checkValue(def *object.Map) error {
	if def.ValueSize == 0 || def.ValueSize > 1<<26 {
		return invalid(def, fmt.Sprintf("value_size is %d, expected 1 to %d", def.ValueSize, 1<<26))
	}
	return nil
}

func invalid(def *object.Map, why string) error {
	return fmt.Errorf("map %q (%s): %s: %w", def.Name, def.Type, why, syscall.EINVAL)
}

// Name is the map's name.
func (m *Map) Name() string { return m.def.Name }

// Type is the map's type.
func (m *Map) Type() abi.MapType { return m.typ }

// Def is the declaration it was made from. It must not be changed.
func (m *Map) Def() *object.Map { return &m.def }

// KeySize, ValueSize (of one CPU) and MaxEntries are as declared; the sizes in bytes.
func (m *Map) KeySize() int    { return int(m.keySize) }
func (m *Map) ValueSize() int  { return int(m.valueSize) }
func (m *Map) MaxEntries() int { return int(m.maxEntries) }

// CPUs is the number of values an entry has: 1 unless the map is per CPU.
func (m *Map) CPUs() int { return m.cpus }

// Offset is where the map's header is in its Memory.
func (m *Map) Offset() uint64 { return m.off }

// Access is Header.Access: who may not write.
func (m *Map) Access() uint32 { return m.access }

// Values is the address of the first entry's value: of the data, for a global data map.
func (m *Map) Values() unsafe.Pointer { return m.values }

func (m *Map) value(i uint32, cpu int) unsafe.Pointer {
	return unsafe.Add(m.values, uintptr(i)*m.valueStride+uintptr(cpu)*m.cpuStride)
}

// Find returns the value of the key at key, for a program on cpu, or nil. The
// address stays good until the Memory is closed; after a deletion the value
// may become another key's, as in the kernel.
func (m *Map) Find(key unsafe.Pointer, cpu int) unsafe.Pointer {
	if uint(cpu) >= uint(m.cpus) {
		if m.cpus != 1 {
			return nil
		}
		cpu = 0
	}
	switch m.typ {
	case abi.MapArray, abi.MapPerCPUArray:
		i := *(*uint32)(key)
		if i >= m.maxEntries {
			return nil
		}
		return m.value(i, cpu)
	case abi.MapHash, abi.MapPerCPUHash:
		i, ok := m.find(key, m.hash(key))
		if !ok {
			return nil
		}
		return m.value(i, cpu)
	}
	return nil
}

// Put sets the value of a key, for a program on cpu; 0 is success. In a
// per-CPU map it sets that CPU's value, and zeroes the others' of a new key.
func (m *Map) Put(key, value unsafe.Pointer, flags uint64, cpu int) syscall.Errno {
	if m.cpus == 1 {
		cpu = 0
	} else if uint(cpu) >= uint(m.cpus) {
		return syscall.EINVAL
	}
	if flags > Exist {
		return syscall.EINVAL
	}
	switch m.typ {
	case abi.MapArray, abi.MapPerCPUArray:
		i := *(*uint32)(key)
		if i >= m.maxEntries {
			return syscall.E2BIG
		}
		if flags == NoExist {
			return syscall.EEXIST
		}
		m.copyIn(m.value(i, cpu), value)
		return 0
	case abi.MapHash, abi.MapPerCPUHash:
		return m.put(key, value, flags, cpu)
	}
	return syscall.EOPNOTSUPP
}

// Remove deletes a key; 0 is success. Elements of arrays cannot be deleted.
func (m *Map) Remove(key unsafe.Pointer) syscall.Errno {
	switch m.typ {
	case abi.MapArray, abi.MapPerCPUArray:
		return syscall.EINVAL
	case abi.MapHash, abi.MapPerCPUHash:
		return m.remove(key)
	}
	return syscall.EOPNOTSUPP
}

func (m *Map) copyIn(dst, src unsafe.Pointer) {
	if m.valueSize == 8 {
		atomic.StoreUint64((*uint64)(dst), binary.NativeEndian.Uint64(unsafe.Slice((*byte)(src), 8)))
		return
	}
	copy(unsafe.Slice((*byte)(dst), m.valueSize), unsafe.Slice((*byte)(src), m.valueSize))
}

// Walk calls f with the addresses of every key and of its value on cpu until
// f returns false. f may delete the key it is given; keys that come or go
// meanwhile may be missed or seen (bpf_for_each_map_elem). An array's key is
// valid during the call.
func (m *Map) Walk(cpu int, f func(key, value unsafe.Pointer) bool) {
	if m.cpus == 1 {
		cpu = 0
	} else if uint(cpu) >= uint(m.cpus) {
		return
	}
	if m.keySize == 0 {
		return
	}
	if m.buckets == nil {
		key := new(uint32)
		for i := range m.maxEntries {
			*key = i
			if !f(unsafe.Pointer(key), m.value(i, cpu)) {
				return
			}
		}
		return
	}
	for n := uint32(0); ; n++ {
		l := atomic.LoadUint32(&m.bucket(n).Head)
		for steps := uint32(0); steps < m.capacity; steps++ {
			i, ok := m.link(l)
			if !ok {
				break
			}
			l = atomic.LoadUint32(&m.entry(i).Next)
			if !f(m.key(i), m.value(i, cpu)) {
				return
			}
		}
		if n == m.bucketMask {
			return
		}
	}
}

// Base is the address of the map's header.
func (m *Map) Base() unsafe.Pointer { return m.base }

// Size is the number of bytes that the map takes, its header included.
func (m *Map) Size() uint64 { return align(m.hdr.Size, Page) }
