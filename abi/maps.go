package abi

import (
	"slices"
	"strconv"
)

// Defines what is true of map types: names, and which helpers take which maps.

// Map types that a helper's map argument may have.
var (
	mapsProgArray     = []MapType{MapProgArray}
	mapsPerfEvent     = []MapType{MapPerfEvent}
	mapsRingBuf       = []MapType{MapRingBuf}
	mapsStackTrace    = []MapType{MapStackTrace}
	mapsCgroup        = []MapType{MapCgroupArray}
	mapsRedirect      = []MapType{MapDevmap, MapDevmapHash, MapCpumap, MapXSKmap}
	mapsPush          = []MapType{MapQueue, MapStack, MapBloom}
	mapsPop           = []MapType{MapQueue, MapStack}
	mapsPerCPU        = []MapType{MapPerCPUArray, MapPerCPUHash, MapLRUPerCPUHash}
	mapsSockmap       = []MapType{MapSockmap}
	mapsSockhash      = []MapType{MapSockhash}
	mapsReuseport     = []MapType{MapReuseport, MapSockmap, MapSockhash}
	mapsCgroupStorage = []MapType{MapCgroupStor, MapPerCPUCgStor}
	mapsSKStorage     = []MapType{MapSKStorage}
	mapsInodeStorage  = []MapType{MapInodeStorage}
	mapsTaskStorage   = []MapType{MapTaskStorage}
	mapsCgrpStorage   = []MapType{MapCgrpStorage}
	mapsUserRingBuf   = []MapType{MapUserRingBuf}
	mapsForEach       = []MapType{MapHash, MapArray, MapPerCPUHash, MapPerCPUArray, MapLRUHash, MapLRUPerCPUHash}
)

var mapNames = [...]string{
	MapHash: "hash", MapArray: "array", MapProgArray: "prog_array", MapPerfEvent: "perf_event_array",
	MapPerCPUHash: "percpu_hash", MapPerCPUArray: "percpu_array", MapStackTrace: "stack_trace",
	MapCgroupArray: "cgroup_array", MapLRUHash: "lru_hash", MapLRUPerCPUHash: "lru_percpu_hash",
	MapLPMTrie: "lpm_trie", MapArrayOfMaps: "array_of_maps", MapHashOfMaps: "hash_of_maps",
	MapDevmap: "devmap", MapSockmap: "sockmap", MapCpumap: "cpumap", MapXSKmap: "xskmap",
	MapSockhash: "sockhash", MapCgroupStor: "cgroup_storage", MapReuseport: "reuseport_sockarray",
	MapPerCPUCgStor: "percpu_cgroup_storage", MapQueue: "queue", MapStack: "stack",
	MapSKStorage: "sk_storage", MapDevmapHash: "devmap_hash", MapStructOps: "struct_ops",
	MapRingBuf: "ringbuf", MapInodeStorage: "inode_storage", MapTaskStorage: "task_storage",
	MapBloom: "bloom_filter", MapUserRingBuf: "user_ringbuf", MapCgrpStorage: "cgrp_storage",
	MapArena: "arena",
}

// mapStructs are the kernel's structures of maps, as its BTF names them.
var mapStructs = map[MapType]string{
	MapHash: "bpf_htab", MapArray: "bpf_array", MapProgArray: "bpf_array", MapPerfEvent: "bpf_array", MapPerCPUHash: "bpf_htab",
	MapPerCPUArray: "bpf_array", MapStackTrace: "bpf_stack_map", MapCgroupArray: "bpf_array", MapLRUHash: "bpf_htab",
	MapLRUPerCPUHash: "bpf_htab", MapLPMTrie: "lpm_trie", MapArrayOfMaps: "bpf_array", MapHashOfMaps: "bpf_htab",
	MapDevmap: "bpf_dtab", MapDevmapHash: "bpf_dtab", MapCpumap: "bpf_cpu_map", MapXSKmap: "xsk_map", MapSockmap: "bpf_stab",
	MapSockhash: "bpf_shtab", MapQueue: "bpf_queue_stack", MapStack: "bpf_queue_stack", MapRingBuf: "bpf_ringbuf_map",
	MapUserRingBuf: "bpf_ringbuf_map", MapBloom: "bpf_bloom_filter", MapSKStorage: "bpf_local_storage_map",
	MapCgroupStor: "bpf_cgroup_storage_map", MapPerCPUCgStor: "bpf_cgroup_storage_map", MapReuseport: "reuseport_array", MapArena: "bpf_arena",
	MapInodeStorage: "bpf_local_storage_map", MapTaskStorage: "bpf_local_storage_map", MapCgrpStorage: "bpf_local_storage_map",
}

// MapStruct is the kernel's structure of a map of type t, whose fields
// privileged programs may read; "" where they may not.
func MapStruct(t MapType) string { return mapStructs[t] }

// String is the map type's name, as bpftool prints it.
func (t MapType) String() string {
	if int(t) < len(mapNames) && mapNames[t] != "" {
		return mapNames[t]
	}
	return "map type " + strconv.FormatUint(uint64(t), 10)
}

// MapTypeByName finds a map type by the name that String gives.
func MapTypeByName(name string) (MapType, bool) {
	i := slices.Index(mapNames[:], name)
	return MapType(i), i > 0
}

// String is the program type's name, as bpftool prints it.
func (t ProgType) String() string {
	if p := ProgramByType(t); p != nil {
		return p.Name
	}
	return "program type " + strconv.FormatUint(uint64(t), 10)
}

// ProgTypeByName finds a program type by the name that String gives.
func ProgTypeByName(name string) (ProgType, bool) {
	for i := range programs {
		if programs[i].Name == name {
			return programs[i].Type, true
		}
	}
	return 0, false
}

// onlyHelpers lists the helpers that take a map of a type that has its own; a
// type that is not here is taken by every helper whose MapTypes allow it.
var onlyHelpers = map[MapType][]int32{
	MapProgArray:    {12},
	MapPerfEvent:    {22, 25, 55, 111, 121},
	MapStackTrace:   {27},
	MapCgroupArray:  {33, 37},
	MapCgroupStor:   {81},
	MapPerCPUCgStor: {81},
	MapDevmap:       {1, 51},
	MapDevmapHash:   {1, 51},
	MapCpumap:       {51},
	MapXSKmap:       {1, 51},
	MapArrayOfMaps:  {1},
	MapHashOfMaps:   {1},
	MapSockmap:      {1, 2, 3, 52, 53, 60, 82},
	MapSockhash:     {1, 2, 3, 70, 71, 72, 82},
	MapReuseport:    {82},
	MapQueue:        {87, 88, 89},
	MapStack:        {87, 88, 89},
	MapSKStorage:    {107, 108, 194},
	MapInodeStorage: {145, 146, 194},
	MapTaskStorage:  {156, 157, 194},
	MapCgrpStorage:  {210, 211, 194},
	MapRingBuf:      {130, 131, 134, 198},
	MapUserRingBuf:  {209},
	MapBloom:        {87, 89},
	MapArena:        {},
}

// sockmapUpdaters are the program types that may change a map of sockets with
// bpf_map_update_elem and bpf_map_delete_elem; of Tracing only iterators.
var sockmapUpdaters = []ProgType{SocketFilter, SchedCLS, SchedACT, XDP, SKReuseport, FlowDissector, SKLookup, Tracing}

// MayChangeSockmap reports whether programs of row p may call update or delete on a map of sockets.
func MayChangeSockmap(p *Program, helperID int32) bool {
	switch p.Type {
	case Tracing:
		return p.Expected == AttachTraceIter
	case SockOps:
		return helperID == 3 // updates have helpers of their own: 53 and 70
	}
	return slices.Contains(sockmapUpdaters, p.Type)
}

// MapAllowsHelper reports whether the helper takes a map of type t: false for
// pairs that the kernel rejects with "cannot pass map_type".
func MapAllowsHelper(t MapType, helperID int32) bool {
	if only, ok := onlyHelpers[t]; ok && !slices.Contains(only, helperID) {
		return false
	}
	h := HelperByID(helperID)
	return h != nil && (h.MapTypes == nil || slices.Contains(h.MapTypes, t))
}
