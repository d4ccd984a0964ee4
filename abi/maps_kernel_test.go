package abi

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf"
)

// everyMap creates a map of every type but struct_ops, by protoMaps' rules and its own.
func everyMap(t *testing.T) map[MapType]*ebpf.Map {
	t.Helper()
	create := func(spec *ebpf.MapSpec) *ebpf.Map {
		m, err := ebpf.NewMap(spec)
		if err != nil {
			t.Logf("%s is left out: %v", spec.Type, err)
			return nil
		}
		t.Cleanup(func() { m.Close() })
		return m
	}
	maps := protoMaps(create)
	inner := &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1}
	for mt, s := range map[MapType]ebpf.MapSpec{
		MapPerCPUHash: {KeySize: 8, ValueSize: 8}, MapLRUHash: {KeySize: 8, ValueSize: 8}, MapLRUPerCPUHash: {KeySize: 8, ValueSize: 8},
		MapLPMTrie: {KeySize: 8, ValueSize: 8, Flags: MapNoPrealloc}, MapArrayOfMaps: {KeySize: 4, ValueSize: 4, InnerMap: inner}, MapHashOfMaps: {KeySize: 4, ValueSize: 4, InnerMap: inner},
		MapDevmapHash: {KeySize: 4, ValueSize: 4}, MapCpumap: {KeySize: 4, ValueSize: 4}, MapXSKmap: {KeySize: 4, ValueSize: 4}, MapStack: {ValueSize: 8}, MapBloom: {ValueSize: 8},
		MapArena: {Flags: MapMmapable}, MapPerCPUCgStor: {KeySize: 16, ValueSize: 8},
	} {
		s.Type, s.MaxEntries = ebpf.MapType(mt), 4
		if mt == MapPerCPUCgStor {
			s.MaxEntries = 0
		}
		maps[mt] = create(&s)
	}
	return maps
}

// The running kernel takes the same maps for the same helpers as the table.
func TestMapHelpersKernel(t *testing.T) {
	p := newProtoTest(t)
	maps := everyMap(t)
	pairs, unknown := 0, 0
	for id := range helpers {
		base := HelperByID(int32(id))
		if base == nil || base.Lock != NoLock || base.ID == 197 {
			continue
		}
		for _, at := range p.attachesFor(base) {
			h := base.For(at.Type, V(6, 18))
			if at.Type == Syscall || !hasMap(h) {
				continue // sleepable programs can't use every map, whatever the helper
			}
			built := true
			for mt, m := range maps {
				if m == nil || sockets(mt) && (h.ID == 2 || h.ID == 3) {
					continue
				}
				code := p.build(t, h, at, func(a *asm, _ int, k ArgKind, r byte) bool {
					if k == ArgConstMapPtr {
						a.mapFD(r, m)
					}
					return k == ArgConstMapPtr
				})
				if built = code != nil; !built {
					break
				}
				log, err := tryLoad(at, p.ids[Attach{Type: at.Type, Expected: at.Expected}], code, "GPL", p.buf)
				refused := strings.Contains(log, "cannot pass map_type")
				allowed := MapAllowsHelper(mt, h.ID)
				switch {
				case err != nil && !refused:
					unknown++ // another argument does not fit this map, or the map belongs to another program type
				case refused == allowed:
					t.Errorf("%s of a %v in %s: table allows it: %v, the kernel: %v\n%s", h.Name, mt, at.Type, allowed, err, log)
				}
				pairs++
			}
			if built {
				break // the program type does not matter
			}
		}
	}
	t.Logf("%d pairs of helper and map type, %d of them refused for another reason", pairs, unknown)
}

func hasMap(h *Helper) bool {
	for _, k := range h.Args {
		if k == ArgConstMapPtr {
			return true
		}
	}
	return false
}

func sockets(t MapType) bool { return t == MapSockmap || t == MapSockhash }

// Who may change maps of sockets is as the running kernel has it.
func TestSockmapKernel(t *testing.T) {
	p := newProtoTest(t)
	for _, at := range protoAttaches {
		if at.Type == Tracing && p.ids[at] == 0 || at.Type == Syscall {
			continue
		}
		row := ProgramFor(at)
		for _, id := range []int32{2, 3} {
			a := &asm{fixup: -1}
			a.reg(6, 1).op(0x7a, 10, 0, -8, 0)
			if id == 2 {
				if ok, give := p.socket(t, a, at, ArgAnySock); !ok || give {
					continue // no socket to be had, or one that has to be given back
				}
				a.reg(3, 9)
			}
			a.reg(2, 10).add(2, -8).mapFD(1, p.maps[MapSockmap]).mov(4, 0).call(id).exit()
			log, err := tryLoad(at, p.ids[at], a.code, "GPL", p.buf)
			if want := MayChangeSockmap(row, id); (err == nil) != want {
				t.Errorf("%s of a sockmap in %s: table allows it: %v, the kernel: %v\n%s", HelperByID(id).Name, at.Type, want, err, log)
			}
		}
	}
}
