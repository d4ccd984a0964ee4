// Package maps holds BPF maps in shared memory: one memfd for a session, one
// layout for Go, for machine code and for other processes that map the memfd.
// Only offsets are stored in it, never addresses; locks are words in it. The
// layout is frozen: docs/map-layout.md.
//
// It knows nothing of instructions, programs or engines.
package maps

import "unsafe"

// This file defines the layout: the memory's header and each map's header.

// Values of the layout that other code needs to read it.
const (
	MemoryMagic uint64 = 0x0031454341525447 // "GTRACE1\0"
	MapMagic    uint32 = 0x504d5447         // "GTMP"
	Version            = 1

	// Page is the unit in which maps are placed, whatever the host's page size.
	Page = 4096
	// HeaderSize is the size of a map's header; elements come after it.
	HeaderSize = 192
	// MaxMaps is how many maps the directory in the memory's first page holds.
	MaxMaps = (Page - 64) / 8
)

// memoryHeader is the first page of the memory.
type memoryHeader struct {
	Magic   uint64          // 0
	Version uint32          // 8
	Maps    uint32          // 12: maps in the directory
	Used    uint64          // 16: bytes given out, and the file's size
	Limit   uint64          // 24: bytes the memory may grow to
	CPUs    uint32          // 32: possible CPUs
	_       [28]byte        // 36
	Dir     [MaxMaps]uint64 // 64: offset of each map's header
}

// Header is the first HeaderSize bytes of a map. What is before FreeHead
// never changes once the map is made.
type Header struct {
	Magic       uint32  // 0
	Version     uint16  // 4
	HeaderSize  uint16  // 6
	Type        uint32  // 8: enum bpf_map_type
	Flags       uint32  // 12: BPF_F_*
	KeySize     uint32  // 16: bytes
	ValueSize   uint32  // 20: bytes
	MaxEntries  uint32  // 24
	CPUs        uint32  // 28: values of one entry; 1 unless per CPU
	Size        uint64  // 32: bytes of the whole map, a multiple of Page
	Values      uint64  // 40: offset of the first entry's value (ring buffer: of the data)
	ValueStride uint64  // 48: from an entry's value to the next entry's
	CPUStride   uint64  // 56: from a CPU's value to the next CPU's; 0 unless per CPU
	Buckets     uint64  // 64: hash: offset of the buckets
	Entries     uint64  // 72: hash: offset of the entries
	EntryStride uint64  // 80: hash: from an entry to the next
	Consumer    uint64  // 88: ring buffer: offset of the consumer's page
	Producer    uint64  // 96: ring buffer: offset of the producers' page
	BucketMask  uint32  // 104: hash: number of buckets - 1
	Capacity    uint32  // 108: hash: entries there is room for
	Seed        uint32  // 112: hash: start of the hash function
	Access      uint32  // 116: bit 0: programs must not write; bit 1: nobody may
	_           [8]byte // 120

	FreeHead uint64   // 128: hash: first free entry's link (low half), count of changes (high half)
	Used     uint32   // 136: hash: entries that were ever in use
	Count    uint32   // 140: hash: keys in the map
	_        [48]byte // 144
}

// Bits of Header.Access.
const (
	AccessProgReadOnly uint32 = 1 << 0
	AccessFrozen       uint32 = 1 << 1
)

// bucket is a chain of entries whose hash has the same low bits.
type bucket struct {
	Lock uint32 // 0, or the id of the process that holds it
	Head uint32 // link
}

// entry is the start of a hash entry; the key follows, zero-padded to 8
// bytes, then the value unless the map is per CPU.
type entry struct {
	Next uint32 // link: the rest of the bucket's chain
	Hash uint32
	Free uint32 // link: the rest of the free list
	_    uint32
}

const (
	bucketSize = 8
	entrySize  = 16
)

// A link is 0 for none (an empty bucket or the end of the free list), an
// entry's index plus one, or chainEnd|bucket at the end of a chain. The
// bucket's number tells a reader that went astray, because an entry on its
// way was put into another chain, to start again.
const chainEnd uint32 = 1 << 31

// ringConsumer and ringProducer are pages of their own, so that a foreign
// process can be given either one read-only.
type ringConsumer struct {
	Pos uint64
}

type ringProducer struct {
	Pos  uint64   // 0
	_    [56]byte // 8
	Lock uint32   // 64: 0, or the id of the process that holds it
}

// Record headers of a ring buffer, as in the kernel's (Documentation/bpf/ringbuf.rst).
const (
	RecordHeader  = 8 // u32 length with the bits below, u32 page of the header counted from the map's start
	RecordBusy    = uint32(1) << 31
	RecordDiscard = uint32(1) << 30
)

var (
	_ [HeaderSize]byte = [unsafe.Sizeof(Header{})]byte{}
	_ [Page]byte       = [unsafe.Sizeof(memoryHeader{})]byte{}
	_ [bucketSize]byte = [unsafe.Sizeof(bucket{})]byte{}
	_ [entrySize]byte  = [unsafe.Sizeof(entry{})]byte{}
)

func align(n, to uint64) uint64 { return (n + to - 1) &^ (to - 1) }
