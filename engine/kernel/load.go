package kernel

// Defines loading: maps are created, programs patched with them and given to the kernel.

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
	"golang.org/x/sys/unix"
)

// RejectedError says that the kernel did not load a program that gtrace's
// verifier accepted.
type RejectedError struct {
	Program string
	Log     string // the kernel's words, whole
	Err     error
}

// logTail is how many lines of the kernel's log an error shows: the verdict is at the end.
const logTail = 25

func (e *RejectedError) Error() string {
	lines := strings.Split(strings.TrimSpace(e.Log), "\n")
	cut := ""
	if n := len(lines) - logTail; n > 0 {
		lines, cut = lines[n:], fmt.Sprintf("(%d lines left out)\n", n)
	}
	return fmt.Sprintf("the kernel rejects program %s, which gtrace accepted: a bug of gtrace: %v; log:\n%s%s",
		e.Program, e.Err, cut, strings.Join(lines, "\n"))
}

func (e *RejectedError) Unwrap() error { return e.Err }

// Sizes of the log buffer: most logs fit the first, the kernel's limit is far above the second.
var logSizes = []int{1 << 20, 16 << 20}

// createMap makes m in the kernel and fills it.
func createMap(m *object.Map) (*ebpf.Map, error) {
	if m.Inner != nil || len(m.Entries) > 0 || m.Type == abi.MapArena {
		return nil, &image.Unsupported{What: fmt.Sprintf("map %s: %s on the kernel engine", m.Name, m.Type)}
	}
	spec := &ebpf.MapSpec{
		// Without its dot: cilium/ebpf freezes a map named .rodata before it is filled.
		Name: objectName(strings.TrimPrefix(m.Name, ".")), Type: ebpf.MapType(m.Type), KeySize: m.KeySize, ValueSize: m.ValueSize,
		MaxEntries: m.MaxEntries, Flags: m.Flags, MapExtra: m.Extra,
	}
	km, err := ebpf.NewMap(spec)
	if errors.Is(err, unix.EPERM) && raiseMemlock() {
		km, err = ebpf.NewMap(spec)
	}
	if err != nil {
		return nil, fmt.Errorf("map %s (%s, key %d bytes, value %d bytes, %d entries): %w", m.Name, m.Type, m.KeySize, m.ValueSize, m.MaxEntries, err)
	}
	if err := fillMap(km, m); err != nil {
		km.Close()
		return nil, fmt.Errorf("map %s: %w", m.Name, err)
	}
	return km, nil
}

func fillMap(km *ebpf.Map, m *object.Map) error {
	if m.Data != nil {
		if len(m.Data) > int(m.ValueSize) {
			return fmt.Errorf("%d bytes of data for a value of %d", len(m.Data), m.ValueSize)
		}
		value := make([]byte, m.ValueSize)
		copy(value, m.Data)
		if err := mapElem(unix.BPF_MAP_UPDATE_ELEM, km.FD(), make([]byte, 4), value); err != nil {
			return fmt.Errorf("initial content: %w", err)
		}
	}
	if !m.Frozen {
		return nil
	}
	if err := km.Freeze(); err != nil {
		return fmt.Errorf("freezing: %w", err)
	}
	return nil
}

// raiseMemlock lifts the limit that kernels before 5.11 put on the memory of maps and programs.
func raiseMemlock() bool {
	inf := &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	return unix.Setrlimit(unix.RLIMIT_MEMLOCK, inf) == nil
}

// patched is img's instructions with the maps' descriptors in place.
func patched(img *image.Image, maps map[string]*ebpf.Map) ([]isa.Insn, error) {
	insns := append([]isa.Insn(nil), img.Insns...)
	for i := 0; i < len(insns); i++ {
		in := &insns[i]
		switch {
		case in.IsCall() && in.Src == isa.CallKfunc && in.Imm < 0:
			return nil, &image.Unsupported{What: fmt.Sprintf("program %s: a pseudo-kfunc on the kernel engine", img.Program), How: "build its image for the kernel"}
		case !in.IsWide():
			continue
		case in.Src == isa.PseudoMapIdx, in.Src == isa.PseudoMapIdxValue:
			if in.Imm < 0 || int(in.Imm) >= len(img.Maps) {
				return nil, fmt.Errorf("program %s: instruction %d refers to map %d of %d", img.Program, i, in.Imm, len(img.Maps))
			}
			pseudo := isa.PseudoMapFD
			if in.Src == isa.PseudoMapIdxValue {
				pseudo = isa.PseudoMapValue
			}
			in.Src, in.Imm = pseudo, int32(maps[img.Maps[in.Imm].Name].FD())
		}
		i++ // the wide instruction's second slot
	}
	return insns, nil
}

// load gives img to the kernel. Line information makes the kernel's log show
// the script; a kernel that does not like it gets the program without.
func load(img *image.Image, maps map[string]*ebpf.Map, expected abi.AttachType) (int, error) {
	insns, err := patched(img, maps)
	if err != nil {
		return -1, err
	}
	a := &loadAttr{progType: uint32(img.Attach.Type), expected: uint32(expected)}
	copy(a.name[:], objectName(img.Program))
	if img.Attach.Sleepable {
		a.flags = unix.BPF_F_SLEEPABLE
	}
	if a.attachBTFID, err = attachTarget(img); err != nil {
		return -1, err
	}
	info, err := debugInfo(img)
	if err == nil {
		defer info.Close()
		info.put(a)
	}
	fd, _, err := progLoad(a, insns, img.License, 0)
	if errors.Is(err, unix.EPERM) && raiseMemlock() {
		fd, _, err = progLoad(a, insns, img.License, 0)
	}
	if err == nil {
		return fd, nil
	}
	return rejected(img, a, insns, err)
}

// rejected loads once more, with a log, and says what the kernel says.
func rejected(img *image.Image, a *loadAttr, insns []isa.Insn, first error) (int, error) {
	var log string
	for _, size := range logSizes {
		fd, text, err := progLoad(a, insns, img.License, size)
		if err == nil {
			return fd, nil
		}
		if log = text; !errors.Is(err, unix.ENOSPC) {
			first = err
			break
		}
	}
	if log == "" { // not the verifier's verdict: a policy, memory, an unknown program type
		if errors.Is(first, unix.EPERM) {
			return -1, fmt.Errorf("program %s (%s): bpf(2) does not permit this type of program (capabilities, lockdown or another policy): %w", img.Program, img.Attach.Type, first)
		}
		return -1, fmt.Errorf("program %s (%s) cannot be loaded: %w", img.Program, img.Attach.Type, first)
	}
	if errors.Is(first, unix.ENOENT) { // a symbol that BTF knows and the running kernel does not give the address of
		return -1, fmt.Errorf("program %s: the kernel does not have what it refers to: %s", img.Program, strings.TrimSpace(log))
	}
	return -1, &RejectedError{Program: img.Program, Log: log, Err: first}
}

// attachTarget is the BTF id of what a program of type Tracing is loaded for.
func attachTarget(img *image.Image) (uint32, error) {
	if img.Attach.Type != abi.Tracing {
		return 0, nil
	}
	if img.Attach.Expected != abi.AttachTraceRawTp {
		return 0, &image.Unsupported{What: fmt.Sprintf("program %s: attach type %d on the kernel engine", img.Program, img.Attach.Expected)}
	}
	spec, err := img.Target.BTF()
	if err != nil {
		return 0, err
	}
	var td *btf.Typedef
	if err := spec.TypeByName("btf_trace_"+img.Attach.Target, &td); err != nil {
		return 0, fmt.Errorf("raw tracepoint %s: the kernel has none of that name", img.Attach.Target)
	}
	id, err := spec.TypeID(td)
	return uint32(id), err
}
