package kernel

// Defines the calls of bpf(2) that the engine makes itself, because each bit
// of an instruction must reach the kernel as it was verified.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"unsafe"

	"github.com/gtrace-dev/gtrace/isa"
	"golang.org/x/sys/unix"
)

// loadAttr is the start of union bpf_attr for BPF_PROG_LOAD (include/uapi/linux/bpf.h).
type loadAttr struct {
	progType, insnCnt     uint32
	insns, license        unsafe.Pointer
	logLevel, logSize     uint32
	logBuf                unsafe.Pointer
	kernVersion, flags    uint32
	name                  [16]byte
	ifindex, expected     uint32
	btfFD, funcRecSize    uint32
	funcInfo              unsafe.Pointer
	funcCnt, lineRecSize  uint32
	lineInfo              unsafe.Pointer
	lineCnt, attachBTFID  uint32
	attachFD, coreReloCnt uint32
}

// elemAttr is union bpf_attr for the calls on map elements.
type elemAttr struct {
	fd, _     uint32
	key, next unsafe.Pointer // next: also the value
	flags     uint64
}

// rawTpAttr is union bpf_attr for BPF_RAW_TRACEPOINT_OPEN.
type rawTpAttr struct {
	name      uint64
	prog, pad uint32
}

// multiAttr is union bpf_attr for BPF_LINK_CREATE of a uprobe_multi link.
type multiAttr struct {
	prog, target       uint32
	attachType, flags  uint32
	path, offsets      unsafe.Pointer
	refCounts, cookies unsafe.Pointer
	count, multiFlags  uint32
	pid, pad           uint32
}

// Values of include/uapi/linux/bpf.h that x/sys/unix does not have.
const (
	attachUprobeMulti = 48 // BPF_TRACE_UPROBE_MULTI
	uprobeMultiReturn = 1  // BPF_F_UPROBE_MULTI_RETURN
)

// uprobeMulti attaches prog to an offset of a file, in one process or, with pid 0, in all.
func uprobeMulti(prog int, path string, offset uint64, ret bool, pid int) (int, error) {
	name, err := unix.ByteSliceFromString(path)
	if err != nil {
		return -1, err
	}
	a := multiAttr{
		prog: uint32(prog), attachType: attachUprobeMulti, path: ptr(name),
		offsets: unsafe.Pointer(&offset), count: 1, pid: uint32(pid),
	}
	if ret {
		a.multiFlags = uprobeMultiReturn
	}
	return bpf(unix.BPF_LINK_CREATE, unsafe.Pointer(&a), unsafe.Sizeof(a))
}

// testAttr is union bpf_attr for BPF_PROG_TEST_RUN.
type testAttr struct {
	prog, retval      uint32
	sizeIn, sizeOut   uint32
	dataIn, dataOut   uint64
	repeat, duration  uint32
	ctxSizeIn, ctxOut uint32
	ctxIn, ctxOutPtr  unsafe.Pointer
	flags, cpu        uint32
	batch, pad        uint32
}

func bpf(cmd int, attr unsafe.Pointer, size uintptr) (int, error) {
	for {
		fd, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(cmd), uintptr(attr), size)
		switch errno {
		case 0:
			return int(fd), nil
		case unix.EINTR:
			continue
		}
		return -1, errno
	}
}

// ptr is what goes into an attribute. Attributes hold pointers as pointers,
// of eight bytes on each of the machines that gtrace runs on, so that they
// stay right when Go moves a stack.
func ptr(b []byte) unsafe.Pointer {
	if len(b) == 0 {
		return nil
	}
	return unsafe.Pointer(&b[0])
}

// loadTries bounds how often a load is repeated: the verifier gives up with
// EAGAIN when a signal is pending, which Go's scheduler sends at any time.
const loadTries = 50

// progLoad loads insns. With a log size the kernel's log comes back too.
func progLoad(a *loadAttr, insns []isa.Insn, license string, logSize int) (fd int, log string, err error) {
	code := make([]byte, len(insns)*isa.Slot)
	for i, in := range insns {
		in.Encode(code[i*isa.Slot:], binary.NativeEndian)
	}
	lic := append([]byte(license), 0)
	var buf []byte
	a.insns, a.insnCnt, a.license = ptr(code), uint32(len(insns)), ptr(lic)
	a.logLevel, a.logSize, a.logBuf = 0, 0, nil
	if logSize > 0 {
		buf = make([]byte, logSize)
		a.logLevel, a.logSize, a.logBuf = 1, uint32(logSize), ptr(buf)
	}
	for range loadTries {
		fd, err = bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(a), unsafe.Sizeof(*a))
		if !errors.Is(err, unix.EAGAIN) {
			break
		}
	}
	if text, _, ok := bytes.Cut(buf, []byte{0}); ok {
		log = string(text)
	}
	return fd, log, err
}

// rawTracepointOpen attaches a program whose attach target is part of it.
func rawTracepointOpen(prog int) (int, error) {
	a := rawTpAttr{prog: uint32(prog)}
	return bpf(unix.BPF_RAW_TRACEPOINT_OPEN, unsafe.Pointer(&a), unsafe.Sizeof(a))
}

// testRun runs a raw tracepoint program once, with arguments of 0.
func testRun(prog int) error {
	ctx := make([]byte, 96)
	a := testAttr{prog: uint32(prog), ctxSizeIn: uint32(len(ctx)), ctxIn: ptr(ctx)}
	_, err := bpf(unix.BPF_PROG_TEST_RUN, unsafe.Pointer(&a), unsafe.Sizeof(a))
	return err
}

// mapElem makes one of the calls on map elements; other is the value or the
// next key. An update is one of a key that is there.
func mapElem(cmd, fd int, key, other []byte) error {
	a := elemAttr{fd: uint32(fd), key: ptr(key), next: ptr(other)}
	if cmd == unix.BPF_MAP_UPDATE_ELEM {
		a.flags = unix.BPF_EXIST
	}
	_, err := bpf(cmd, unsafe.Pointer(&a), unsafe.Sizeof(a))
	return err
}

// objectName makes a name that the kernel takes for maps and programs.
func objectName(s string) string {
	b := []byte(s)
	for i, c := range b {
		ok := c == '_' || c == '.' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !ok {
			b[i] = '_'
		}
	}
	return string(b[:min(len(b), 15)])
}
