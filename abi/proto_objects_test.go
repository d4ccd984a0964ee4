package abi

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// This file makes the objects that calls of helpers take: sockets, typed
// kernel pointers, dynptrs, maps of every type.

// protoMaps creates a map of each type that a helper takes.
func protoMaps(create func(*ebpf.MapSpec) *ebpf.Map) map[MapType]*ebpf.Map {
	out := map[MapType]*ebpf.Map{}
	for mt, key := range map[MapType]uint32{
		MapHash: 8, MapArray: 4, MapProgArray: 4, MapPerfEvent: 4, MapPerCPUArray: 4, MapStackTrace: 4, MapCgroupArray: 4, MapQueue: 0,
		MapDevmap: 4, MapRingBuf: 0, MapUserRingBuf: 0, MapSockmap: 4, MapSockhash: 8, MapReuseport: 4, MapCgroupStor: 16,
		MapSKStorage: 4, MapInodeStorage: 4, MapTaskStorage: 4, MapCgrpStorage: 4,
	} {
		spec := &ebpf.MapSpec{Type: ebpf.MapType(mt), KeySize: key, ValueSize: 8, MaxEntries: 4}
		switch mt {
		case MapRingBuf, MapUserRingBuf:
			spec.ValueSize, spec.MaxEntries = 0, 4096
		case MapProgArray, MapPerfEvent, MapCgroupArray, MapDevmap:
			spec.ValueSize = 4
		case MapCgroupStor:
			spec.MaxEntries = 0
		case MapSKStorage, MapInodeStorage, MapTaskStorage, MapCgrpStorage:
			spec.MaxEntries, spec.Flags = 0, MapNoPrealloc
			spec.Key, spec.Value = &btf.Int{Name: "int", Size: 4}, &btf.Int{Name: "long", Size: 8}
		}
		out[mt] = create(spec)
	}
	return out
}

// protoAttaches are program types that can be loaded without a target, and two of Tracing with one.
var protoAttaches = []Attach{
	{Type: Kprobe}, {Type: Tracepoint}, {Type: PerfEvent}, {Type: RawTracepoint}, {Type: Tracing, Expected: AttachTraceRawTp}, {Type: Tracing, Expected: AttachTraceIter},
	{Type: SocketFilter}, {Type: SchedCLS}, {Type: SchedACT}, {Type: XDP}, {Type: CGroupSKB}, {Type: LWTXmit}, {Type: LWTIn}, {Type: LWTSeg6Local},
	{Type: CGroupSock}, {Type: CGroupSockAddr, Expected: AttachConnect4}, {Type: CGroupSockopt, Expected: AttachSetsockopt}, {Type: CGroupSysctl, Expected: 18},
	{Type: CGroupDevice, Expected: 6}, {Type: SockOps}, {Type: SKSKB}, {Type: SKMsg}, {Type: SKLookup, Expected: 36}, {Type: SKReuseport}, {Type: FlowDissector},
	{Type: Syscall, Sleepable: true},
}

// sockField is where a context has its socket.
var sockField = map[ProgType]int16{
	CGroupSKB: 168, SchedCLS: 168, SchedACT: 168, LWTXmit: 168, LWTIn: 168, LWTSeg6Local: 168, SockOps: 184, SKMsg: 72, CGroupSockopt: 0, SKLookup: 0, CGroupSockAddr: 64,
}

const (
	dynptrSlot = -160 // of a dynptr, made and not made
	freeDynptr = -176
)

// needs tells which objects a call of h in at takes, beyond memory and maps.
type needs struct{ record, task, sock, dynptr, ringDynptr, percpu, special bool }

func (h *Helper) needs() (n needs) {
	for _, k := range h.Args {
		switch k {
		case ArgRingMem:
			n.record = true
		case ArgBTF, ArgBTFOrNull:
			n.task = true
		case ArgSockCommon, ArgSockOrNull, ArgAnySock, ArgAnySockOrNull:
			n.sock = true
		case ArgDynptr:
			n.dynptr = true
		case ArgRingDynptr:
			n.ringDynptr = true
		case ArgPerCPU:
			n.percpu = true
		case ArgSpinLock, ArgTimer, ArgKptr:
			n.special = true
		}
	}
	return n
}

// field is the offset of a member of a kernel struct; -1 for none.
func (p *protoTest) field(t *testing.T, of, name string) int16 {
	t.Helper()
	var s *btf.Struct
	if err := p.types.TypeByName(of, &s); err != nil {
		t.Fatal(err)
	}
	for _, m := range s.Members {
		if m.Name == name {
			return int16(m.Offset / 8)
		}
	}
	t.Fatalf("struct %s has no member %s", of, name)
	return 0
}

// object makes r8 a pointer to a kernel struct; false where that can't be had. r6 is the context.
func (p *protoTest) object(t *testing.T, a *asm, at Attach, name string) bool {
	t.Helper()
	load := func(off int16) { a.op(0x79, 8, 8, off, 0) }
	tp := at.Type == Tracing && at.Expected == AttachTraceRawTp
	switch {
	case name == "task_struct" || name == "cgroup":
		a.call(158).reg(8, 0)
		if name == "cgroup" {
			load(p.field(t, "task_struct", "cgroups"))
			load(p.field(t, "css_set", "dfl_cgrp"))
		}
	case name == "seq_file" && at.Expected == AttachTraceIter:
		a.op(0x79, 8, 6, 0, 0)
		load(0)
	case !tp:
		return false
	default: // a tracepoint with (task, pid, linux_binprm)
		a.op(0x79, 8, 6, 16, 0)
		if name == "linux_binprm" {
			return true
		}
		load(p.field(t, "linux_binprm", "file"))
		switch name {
		case "file":
		case "inode":
			load(p.field(t, "file", "f_inode"))
		case "sock_common":
			a.reg(1, 8).call(162).op(0x55, 0, 0, 2, 0).exit()
			a.reg(8, 0)
			load(p.field(t, "socket", "sk"))
			a.op(0x55, 8, 0, 2, 0).exit()
		default:
			return false
		}
	}
	return true
}

// socket makes r9 a socket; false where that can't be had. give says that it has to be released.
func (p *protoTest) socket(t *testing.T, a *asm, at Attach, kind ArgKind) (ok, give bool) {
	t.Helper()
	if at.Type == Tracing {
		ok := kind == ArgAnySock && p.object(t, a, at, "sock_common")
		a.reg(9, 8)
		return ok, false
	}
	if HelperByID(84).Has(at) {
		a.reg(1, 6).reg(2, 10).add(2, -64).mov(3, 12).mov(4, 0).mov(5, 0).call(84)
		a.op(0x55, 0, 0, 2, 0).exit().reg(9, 0)
		return true, true
	}
	off, ok := sockField[at.Type]
	if !ok {
		return false, false
	}
	a.op(0x79, 9, 6, off, 0).op(0x55, 9, 0, 2, 0).exit()
	return true, false
}

// Views of a socket stand for its reference where the table says so, and no others.
func TestCastsKernel(t *testing.T) {
	p := newProtoTest(t)
	at := Attach{Type: SchedCLS}
	views := 0
	for id := range helpers {
		h := HelperByID(int32(id))
		if h == nil || !h.Has(at) || !h.needs().sock || h.Ret == RetInteger || h.Ret == RetVoid || h.Ret == RetMapValueOrNull {
			continue
		}
		a := &asm{fixup: -1}
		a.reg(6, 1)
		for off := int16(-64); off < 0; off += 8 {
			a.op(0x7a, 10, 0, off, 0)
		}
		if _, give := p.socket(t, a, at, h.Args[0]); !give {
			t.Fatal("no socket with a reference")
		}
		a.reg(1, 9).call(h.ID).op(0x15, 0, 0, 3, 0) // a view: it is released in the socket's place
		a.reg(1, 0).call(86).op(0x05, 0, 0, 2, 0)
		a.reg(1, 9).call(86).exit()
		log, err := tryLoad(at, 0, a.code, "GPL", p.buf)
		if (err == nil) != (h.CastArg != 0) {
			t.Errorf("%s: the view can be released: %v, table: %v\n%s", h.Name, err == nil, h.CastArg != 0, log)
		}
		views++
	}
	if views < 8 {
		t.Errorf("only %d views tested", views)
	}
}
