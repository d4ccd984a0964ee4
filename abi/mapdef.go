package abi

import "fmt"

// Defines what the kernel demands of a map's definition (bpf(2),
// docs.kernel.org/bpf/maps.html); TestMapDefinitionsKernel asks it.

// sizes is a range of sizes in bytes, both ends included.
type sizes struct{ least, most uint32 }

var (
	none     = sizes{0, 0}
	word     = sizes{4, 4}
	wordOr8  = sizes{4, 8} // 4 or 8
	anything = sizes{1, 1 << 30}
)

// mapDef is what holds of maps of one type.
type mapDef struct {
	key, value sizes
	entries    bool   // at least one; else none may be asked for
	flags      uint32 // that must be set
}

var mapDefs = map[MapType]mapDef{
	MapHash: {key: anything, value: anything, entries: true}, MapPerCPUHash: {key: anything, value: anything, entries: true},
	MapLRUHash: {key: anything, value: anything, entries: true}, MapLRUPerCPUHash: {key: anything, value: anything, entries: true},
	MapArray: {key: word, value: anything, entries: true}, MapPerCPUArray: {key: word, value: anything, entries: true},
	MapProgArray: {key: word, value: word, entries: true}, MapPerfEvent: {key: word, value: word, entries: true},
	MapCgroupArray: {key: word, value: word, entries: true}, MapStackTrace: {key: word, value: sizes{8, maxStack * 32}, entries: true},
	MapLPMTrie:     {key: sizes{5, 260}, value: anything, entries: true, flags: MapNoPrealloc},
	MapArrayOfMaps: {key: word, value: word, entries: true}, MapHashOfMaps: {key: anything, value: word, entries: true},
	MapDevmap: {key: word, value: wordOr8, entries: true}, MapDevmapHash: {key: word, value: wordOr8, entries: true},
	MapCpumap: {key: word, value: wordOr8, entries: true}, MapXSKmap: {key: word, value: word, entries: true},
	MapSockmap: {key: word, value: wordOr8, entries: true}, MapSockhash: {key: sizes{1, 512}, value: wordOr8, entries: true},
	MapReuseport: {key: word, value: wordOr8, entries: true},
	MapQueue:     {value: anything, entries: true}, MapStack: {value: anything, entries: true}, MapBloom: {value: anything, entries: true},
	MapSKStorage: {key: word, value: anything, flags: MapNoPrealloc}, MapInodeStorage: {key: word, value: anything, flags: MapNoPrealloc},
	MapTaskStorage: {key: word, value: anything, flags: MapNoPrealloc}, MapCgrpStorage: {key: word, value: anything, flags: MapNoPrealloc},
	MapRingBuf: {key: none, value: none, entries: true}, MapUserRingBuf: {key: none, value: none, entries: true},
	MapArena: {key: none, value: none, entries: true, flags: MapMmapable},
}

// has reports whether n is one of s; where two sizes are meant there is nothing between.
func (s sizes) has(n uint32) bool {
	return n >= s.least && n <= s.most && (s != wordOr8 || n == 4 || n == 8)
}

func (s sizes) String() string {
	switch {
	case s == wordOr8:
		return "4 or 8 bytes"
	case s.least == s.most:
		return fmt.Sprintf("%d bytes", s.least)
	case s == anything:
		return "at least 1 byte"
	}
	return fmt.Sprintf("%d to %d bytes", s.least, s.most)
}

// MapDefinition says why the kernel would not make a map of type t, or "".
// Loaders fill in some numbers that the definition leaves out, so that 0 stands
// for them: sizes of perf event arrays, and how many entries those have.
func MapDefinition(t MapType, key, value, entries, flags uint32) string {
	d, ok := mapDefs[t]
	filled := t == MapPerfEvent
	switch {
	case !ok:
		return ""
	case !d.key.has(key) && !(filled && key == 0):
		return fmt.Sprintf("keys of %d bytes; maps of type %v have keys of %v", key, t, d.key)
	case !d.value.has(value) && !(filled && value == 0):
		return fmt.Sprintf("values of %d bytes; maps of type %v have values of %v", value, t, d.value)
	case t == MapStackTrace && (value%stackEntry(flags) != 0 || value/stackEntry(flags) > maxStack):
		return fmt.Sprintf("values of %d bytes; with flags %#x a stack trace is made of up to %d entries of %d bytes", value, flags, maxStack, stackEntry(flags))
	case d.entries && entries == 0 && !filled:
		return fmt.Sprintf("no max_entries; maps of type %v have at least one", t)
	case !d.entries && entries != 0:
		return fmt.Sprintf("max_entries of %d; maps of type %v have none: their values belong to other objects", entries, t)
	case flags&d.flags != d.flags:
		return fmt.Sprintf("flags %#x; maps of type %v need %#x as well (%s)", flags, t, d.flags, flagNames[d.flags])
	}
	return ""
}

// maxStack is how deep stack traces go (sysctl kernel.perf_event_max_stack, as kernels start).
const maxStack = 127

// stackEntry is the size of an entry of a stack trace: an address, or a
// build id with an offset (struct bpf_stack_build_id).
func stackEntry(flags uint32) uint32 {
	if flags&MapStackBuildID != 0 {
		return 32
	}
	return 8
}

var flagNames = map[uint32]string{MapNoPrealloc: "BPF_F_NO_PREALLOC", MapMmapable: "BPF_F_MMAPABLE"}
