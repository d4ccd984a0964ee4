package abi

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// loadAttr is the start of union bpf_attr for BPF_PROG_LOAD.
type loadAttr struct {
	progType, insnCnt   uint32
	insns, license      unsafe.Pointer
	logLevel, logSize   uint32
	logBuf              unsafe.Pointer
	kernVersion, flags  uint32
	name                [16]byte
	ifindex, expected   uint32
	btfFD, funcRecSize  uint32
	funcInfo            unsafe.Pointer
	funcCnt, lineRec    uint32
	lineInfo            unsafe.Pointer
	lineCnt, attachType uint32
}

// tryLoad loads insns (8 bytes each) and returns the kernel's words.
func tryLoad(a Attach, btfID uint32, insns []byte, license string, buf []byte) (string, error) {
	lic := append([]byte(license), 0)
	attr := loadAttr{
		progType: uint32(a.Type), expected: uint32(a.Expected), attachType: btfID,
		insnCnt: uint32(len(insns) / 8), insns: unsafe.Pointer(&insns[0]),
		license: unsafe.Pointer(&lic[0]), logLevel: 1,
		logBuf: unsafe.Pointer(&buf[0]), logSize: uint32(len(buf)),
	}
	if bytes.Contains(insns, []byte{0x18, 0x42}) || bytes.Contains(insns, []byte{0x18, 0x43}) { // loads a callback's address
		attr.btfFD, attr.funcRecSize, attr.funcInfo, attr.funcCnt = callbackBTF, 8, unsafe.Pointer(&callbackFuncs[0]), 2
	}
	if a.Sleepable {
		attr.flags = 1 << 4 // BPF_F_SLEEPABLE
	}
	buf[0] = 0
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	for errno == unix.EAGAIN || errno == unix.EINTR { // the verifier gives up when a signal is pending
		fd, _, errno = unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	}
	if errno == 0 {
		unix.Close(int(fd))
		return "", nil
	}
	log, _, _ := bytes.Cut(buf, []byte{0})
	return string(log), errno
}

// callbackBTF and callbackFuncs are BTF and struct bpf_func_info for programs with a callback.
var (
	callbackBTF   uint32
	callbackFuncs [4]uint32
)

func slot(op, regs byte, off int16, imm int32) []byte {
	b := []byte{op, regs, 0, 0, 0, 0, 0, 0}
	binary.NativeEndian.PutUint16(b[2:], uint16(off))
	binary.NativeEndian.PutUint32(b[4:], uint32(imm))
	return b
}

// kernelTypes are the program types that can be loaded without an attach
// target, and two of Tracing with one.
func kernelTypes(t *testing.T) ([]Attach, map[Attach]uint32) {
	t.Helper()
	buf := make([]byte, 1<<16)
	if _, err := tryLoad(Attach{Type: SocketFilter}, 0, append(slot(0xb7, 0, 0, 0), slot(0x95, 0, 0, 0)...), "GPL", buf); err != nil {
		t.Skip("skipped: bpf(2) is not permitted here:", err)
	}
	types := []Attach{
		{Type: Kprobe}, {Type: Kprobe, Sleepable: true}, {Type: Tracepoint}, {Type: RawTracepoint}, {Type: RawTracepointWrit},
		{Type: PerfEvent}, {Type: SocketFilter}, {Type: SchedCLS}, {Type: SchedACT}, {Type: XDP}, {Type: CGroupSKB}, {Type: Syscall, Sleepable: true},
	}
	ids := map[Attach]uint32{}
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		t.Log("tp_btf and iter are left out: no kernel BTF:", err)
		return types, ids
	}
	tp, it := Attach{Type: Tracing, Expected: AttachTraceRawTp}, Attach{Type: Tracing, Expected: AttachTraceIter}
	for a, n := range map[Attach]btf.Type{tp: &btf.Typedef{Name: "btf_trace_sched_process_exec"}, it: &btf.Func{Name: "bpf_iter_task"}} {
		found, err := spec.AnyTypesByName(n.TypeName())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if _, isFunc := f.(*btf.Func); isFunc == (a == it) {
				id, err := spec.TypeID(f)
				if err != nil {
					t.Fatal(err)
				}
				ids[a] = uint32(id)
			}
		}
		types = append(types, a)
	}
	return types, ids
}

// lockedDown are helpers that a host's security policy may take from every program.
var lockedDown = map[string]bool{"bpf_probe_write_user": true, "bpf_override_return": true}

// The running kernel gives the same answers as the table: which helpers a type has, which want GPL, which sleep.
func TestHelpersKernel(t *testing.T) {
	types, ids := kernelTypes(t)
	buf := make([]byte, 1<<16)
	pairs := 0
	for _, a := range types {
		p := ProgramFor(a)
		for id := range helpers {
			h := HelperByID(int32(id))
			if h == nil || lockedDown[h.Name] {
				continue
			}
			insns := append(append(slot(0x85, 0, 0, h.ID), slot(0xb7, 0, 0, 0)...), slot(0x95, 0, 0, 0)...)
			log, _ := tryLoad(a, ids[a], insns, "GPL", buf)
			has := true
			for _, w := range []string{"unknown func", "cannot use helper", "invalid func", "supported only for", "not supported for program type"} {
				has = has && !strings.Contains(log, w)
			}
			pairs++
			if has != h.Has(p) {
				t.Errorf("%s (sleepable %v), %s: kernel has it: %v, table: %v\n%s", p.Name, a.Sleepable, h.Name, has, h.Has(p), log)
				continue
			}
			if !has {
				continue
			}
			if sleeps := strings.Contains(log, "might sleep"); sleeps != (h.Sleepable && !a.Sleepable) && !h.Named {
				t.Errorf("%s, %s: kernel wants a sleepable program: %v\n%s", p.Name, h.Name, sleeps, log)
			}
			log, _ = tryLoad(a, ids[a], insns, "Proprietary", buf)
			if gpl := strings.Contains(log, "GPL"); gpl != h.GPL && !(a.Type == PerfEvent && h.ID == 27) && !(h.Sleepable && !a.Sleepable) {
				t.Errorf("%s, %s: kernel wants GPL: %v, table: %v\n%s", p.Name, h.Name, gpl, h.GPL, log)
			}
		}
	}
	t.Logf("%d pairs of program type and helper", pairs)
}

// The running kernel accepts and rejects the same accesses to contexts, byte by byte and size by size.
func TestContextsKernel(t *testing.T) {
	types, ids := kernelTypes(t)
	buf := make([]byte, 1<<16)
	sizes := map[int]byte{1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18}
	for _, a := range types {
		p := ProgramFor(a)
		if p.Context.Name == "" || p.Context.BTFArgs {
			continue
		}
		limit := min(p.Context.Size, 256)
		for off := 0; off < limit+8; off++ {
			for size, bits := range sizes {
				load := append(append(slot(0x61&^0x18|bits, 1<<4, int16(off), 0), slot(0xb7, 0, 0, 0)...), slot(0x95, 0, 0, 0)...)
				store := append(append(slot(0xb7, 0, 0, 0), slot(0x63&^0x18|bits, 0<<4|1, int16(off), 0)...), slot(0x95, 0, 0, 0)...)
				_, err := tryLoad(a, ids[a], load, "GPL", buf)
				if got := p.Context.CanLoad(off, size); got != (err == nil) {
					t.Errorf("%s: load of %d at %d: kernel allows it: %v, table: %v", p.Name, size, off, err == nil, got)
				}
				_, err = tryLoad(a, ids[a], store, "GPL", buf)
				if got := p.Context.CanStore(off, size); got != (err == nil) {
					t.Errorf("%s: store of %d at %d: kernel allows it: %v, table: %v", p.Name, size, off, err == nil, got)
				}
			}
		}
	}
}
