package abi

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"slices"
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

// verboseLoad loads insns and returns what the kernel says of every instruction.
func verboseLoad(a Attach, insns, buf []byte) string {
	log, _ := loadLevel(2, a, 0, insns, "GPL", buf)
	return log
}

// tryLoad loads insns (8 bytes each) and returns the kernel's words.
func tryLoad(a Attach, btfID uint32, insns []byte, license string, buf []byte) (string, error) {
	log, err := loadLevel(1, a, btfID, insns, license, buf)
	if err == nil {
		log = ""
	}
	return log, err
}

func loadLevel(level uint32, a Attach, btfID uint32, insns []byte, license string, buf []byte) (string, error) {
	lic := append([]byte(license), 0)
	attr := loadAttr{
		progType: uint32(a.Type), expected: uint32(a.Expected), attachType: btfID,
		insnCnt: uint32(len(insns) / 8), insns: unsafe.Pointer(&insns[0]),
		license: unsafe.Pointer(&lic[0]), logLevel: level,
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
	log, _, _ := bytes.Cut(buf, []byte{0})
	if errno == 0 {
		unix.Close(int(fd))
		return string(log), nil
	}
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
	for a, fn := range trampolines {
		var f *btf.Func
		if spec.TypeByName(fn, &f) != nil {
			continue
		}
		id, err := spec.TypeID(f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tryLoad(a, uint32(id), append(slot(0xb7, 0, 0, 0), slot(0x95, 0, 0, 0)...), "GPL", buf); err != nil {
			t.Logf("%s %d is left out: %v", a.Type, a.Expected, err)
			continue
		}
		ids[a] = uint32(id)
		types = append(types, a)
	}
	return types, ids
}

// trampolines are programs at functions, which a host's policy may refuse.
var trampolines = map[Attach]string{
	{Type: Tracing, Expected: AttachFEntry, Target: "bpf_fentry_test1"}:                   "bpf_fentry_test1",
	{Type: Tracing, Expected: AttachFExit, Target: "bpf_fentry_test1"}:                    "bpf_fentry_test1",
	{Type: Tracing, Expected: AttachFEntry, Target: "vfs_getattr"}:                        "vfs_getattr",
	{Type: Tracing, Expected: AttachModifyRet, Target: "bpf_modify_return_test"}:          "bpf_modify_return_test",
	{Type: LSM, Expected: AttachLSMMac, Target: "file_open"}:                              "bpf_lsm_file_open",
	{Type: LSM, Expected: AttachLSMMac, Target: "file_open", Sleepable: true}:             "bpf_lsm_file_open",
	{Type: LSM, Expected: AttachLSMCgroup, Target: "socket_bind"}:                         "bpf_lsm_socket_bind",
	{Type: LSM, Expected: AttachLSMMac, Target: "bprm_committed_creds", Sleepable: false}: "bpf_lsm_bprm_committed_creds",
}

// lockedDown are helpers that a host's security policy may take from every program.
var lockedDown = map[string]bool{"bpf_probe_write_user": true, "bpf_override_return": true}

func runningVersion(t *testing.T) Version {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	v, err := ParseVersion(unix.ByteSliceToString(u.Release[:]))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// The running kernel gives the same answers as the table: which helpers a type has, which want GPL, which sleep.
func TestHelpersKernel(t *testing.T) {
	types, ids := kernelTypes(t)
	for _, a := range protoAttaches {
		if !slices.Contains(types, a) {
			types = append(types, a)
		}
	}
	running := runningVersion(t)
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
			for _, w := range []string{"unknown func", "cannot use helper", "invalid func", "supported only for", "not supported for program type", "not allowed in probe"} {
				has = has && !strings.Contains(log, w)
			}
			pairs++
			if want := h.Has(a) && HelperSince(h, p) <= running; has != want {
				t.Errorf("%s %d %q (sleepable %v), %s: kernel %v has it: %v, table: %v\n%s", p.Name, a.Expected, a.Target, a.Sleepable, h.Name, running, has, want, log)
				continue
			}
			if !has {
				continue
			}
			if sleeps := strings.Contains(log, "might sleep"); sleeps != (h.Sleepable && !a.Sleepable) {
				t.Errorf("%s, %s: kernel wants a sleepable program: %v\n%s", p.Name, h.Name, sleeps, log)
			}
			log, _ = tryLoad(a, ids[a], insns, "Proprietary", buf)
			if gpl := strings.Contains(log, "GPL"); gpl != h.GPL && !(a.Type == PerfEvent && h.ID == 27) && a.Type != LSM && !(h.Sleepable && !a.Sleepable) {
				t.Errorf("%s, %s: kernel wants GPL: %v, table: %v\n%s", p.Name, h.Name, gpl, h.GPL, log)
			}
		}
	}
	t.Logf("%d pairs of program type and helper", pairs)
}

// kindWords begin what the kernel calls the values that fields yield.
var kindWords = map[CtxKind]string{
	CtxScalar: "scalar", CtxPacket: "pkt(", CtxPacketEnd: "pkt_end", CtxPacketMeta: "pkt_meta", CtxSock: "sock", CtxSockCommon: "sock_common",
	CtxFlowKeys: "flow_keys", CtxTPBuffer: "tp_buffer", CtxKernel: "trusted_ptr_",
}

var yielded = regexp.MustCompile(`R2(?:_w)?=([a-z_]*\(?)`)

// exits are the ends of a program that return what p allows.
func exits(p *Program) []byte {
	return append(slot(0xb7, 0, 0, int32(p.RetMin)), slot(0x95, 0, 0, 0)...)
}

// The running kernel accepts and rejects the same accesses to contexts, byte by
// byte and size by size, and loads yield the same kinds of values.
func TestContextsKernel(t *testing.T) {
	kernelTypes(t)
	buf := make([]byte, 1<<16)
	asked := 0
	for i := range programs {
		p := &programs[i]
		if p.Context.Name == "" || p.Context.BTFArgs {
			continue
		}
		a := Attach{Type: p.Type, Expected: p.Expected, Sleepable: p.Type == Syscall}
		if a.Expected == 0 {
			a.Expected = onlyExpected[a.Type]
		}
		if log, err := tryLoad(a, 0, exits(p), "GPL", buf); err != nil {
			t.Logf("%s with attach type %d can't be loaded here: %v %s", p.Name, p.Expected, err, log)
			continue
		}
		asked++
		compareContext(t, a, p, buf)
	}
	t.Logf("%d program and attach types", asked)
}

// onlyExpected are the attach types without which a type is not loaded.
var onlyExpected = map[ProgType]AttachType{
	SockOps: AttachSockOps, CGroupDevice: AttachCGroupDevice, SKMsg: AttachSKMsgVerdict, LIRCMode2: AttachLIRCMode2,
	FlowDissector: AttachFlowDissector, CGroupSysctl: AttachSysctl, SKLookup: AttachSKLookup, Netfilter: AttachNetfilter,
}

func compareContext(t *testing.T, a Attach, p *Program, buf []byte) {
	sizes := map[int]byte{1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18}
	for off := 0; off < min(p.Context.Size, 256)+8; off++ {
		for size, bits := range sizes {
			load := append(slot(0x61&^0x18|bits, 1<<4|2, int16(off), 0), exits(p)...)
			store := append(append(slot(0xb7, 0, 0, 0), slot(0x63&^0x18|bits, 0<<4|1, int16(off), 0)...), exits(p)...)
			log, err := tryLoad(a, 0, load, "GPL", buf)
			if got := p.Context.CanLoad(off, size); got != (err == nil) {
				t.Errorf("%s/%d: load of %d at %d: kernel allows it: %v, table: %v\n%s", p.Name, p.Expected, size, off, err == nil, got, log)
			}
			f := p.Context.Field(off, size)
			if err == nil && f != nil {
				compareKind(t, p, f, verboseLoad(a, load, buf))
			}
			_, err = tryLoad(a, 0, store, "GPL", buf)
			if got := p.Context.CanStore(off, size); got != (err == nil) {
				t.Errorf("%s/%d: store of %d at %d: kernel allows it: %v, table: %v", p.Name, p.Expected, size, off, err == nil, got)
			}
		}
	}
}

func compareKind(t *testing.T, p *Program, f *CtxField, log string) {
	m := yielded.FindStringSubmatch(log)
	want := kindWords[f.Kind] + f.Struct
	if f.Nullable {
		want += "_or_null"
	}
	if !strings.HasSuffix(want, "(") && want != "scalar" {
		want += "("
	}
	if m == nil || strings.TrimSuffix(m[1], "(") != strings.TrimSuffix(want, "(") {
		t.Errorf("%s/%d: field %s yields %q, table: %q\n%s", p.Name, p.Expected, f.Name, m, want, log)
	}
}

// The running kernel allows the same values in R0 at exit.
func TestReturnsKernel(t *testing.T) {
	kernelTypes(t)
	buf := make([]byte, 1<<16)
	for i := range programs {
		p := &programs[i]
		a := Attach{Type: p.Type, Expected: p.Expected, Sleepable: p.Type == Syscall}
		if a.Expected == 0 {
			a.Expected = onlyExpected[a.Type]
		}
		if p.Context.Name == "" || p.Context.BTFArgs {
			continue
		}
		if _, err := tryLoad(a, 0, exits(p), "GPL", buf); err != nil {
			continue // TestContextsKernel says so
		}
		for v := int64(-2); v < 6; v++ {
			log, err := tryLoad(a, 0, append(slot(0xb7, 0, 0, int32(v)), slot(0x95, 0, 0, 0)...), "GPL", buf)
			if want := p.RetAny || v >= p.RetMin && v <= p.RetMax; want != (err == nil) {
				t.Errorf("%s/%d: kernel takes %d: %v, table: %v\n%s", p.Name, p.Expected, v, err == nil, want, log)
			}
		}
		log, err := tryLoad(a, 0, append(slot(0xbf, 1<<4, 0, 0), slot(0x95, 0, 0, 0)...), "GPL", buf)
		if p.RetAny != (err == nil) {
			t.Errorf("%s/%d: kernel takes a pointer: %v, table: %v\n%s", p.Name, p.Expected, err == nil, p.RetAny, log)
		}
	}
}
