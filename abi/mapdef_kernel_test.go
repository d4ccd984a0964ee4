package abi

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The running kernel makes the maps that the table allows, and no others.
func TestMapDefinitionsKernel(t *testing.T) {
	type attr struct {
		typ, key, value, entries, flags uint32
		_                               [100]byte
	}
	create := func(m MapType, key, value, entries, flags uint32) error {
		a := attr{typ: uint32(m), key: key, value: value, entries: entries, flags: flags}
		fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_MAP_CREATE, uintptr(unsafe.Pointer(&a)), unsafe.Sizeof(a))
		if errno != 0 {
			return errno
		}
		return unix.Close(int(fd))
	}
	if err := create(MapArray, 4, 8, 1, 0); err != nil {
		t.Skip("skipped: bpf(2) is not permitted here:", err)
	}
	running := runningVersion(t)
	pairs := 0
	for m := range mapDefs {
		switch m {
		case MapArrayOfMaps, MapHashOfMaps, MapSKStorage, MapInodeStorage, MapTaskStorage, MapCgrpStorage:
			continue // want another map, or types
		}
		if MapSince(m) > running {
			continue
		}
		for _, key := range []uint32{0, 1, 4, 5, 8, 12, 16, 260, 261, 512, 513} {
			for _, value := range []uint32{0, 1, 4, 5, 8, 12, 16, 32, 1016, 1024, 4064, 4096} {
				for _, entries := range []uint32{0, 1, 4096} {
					for _, flags := range []uint32{0, MapNoPrealloc, MapMmapable, MapStackBuildID} {
						if (m == MapRingBuf || m == MapUserRingBuf) && entries == 1 {
							continue // loaders round it up
						}
						err := create(m, key, value, entries, flags)
						if err == unix.EPERM || err == unix.ENOMEM || err == unix.E2BIG {
							continue
						}
						pairs++
						why := MapDefinition(m, key, value, entries, flags)
						if m == MapPerfEvent && (key == 0 || value == 0 || entries == 0) {
							continue
						}
						if err == nil && why != "" {
							t.Errorf("%v key %d value %d entries %d flags %#x: the kernel makes it, the table says %s", m, key, value, entries, flags, why)
						}
						if err != nil && why == "" && (flags == mapDefs[m].flags || m == MapStackTrace && flags == MapStackBuildID) {
							t.Errorf("%v key %d value %d entries %d flags %#x: the table allows it, the kernel says %v", m, key, value, entries, flags, err)
						}
					}
				}
			}
		}
	}
	t.Logf("%d definitions", pairs)
}
