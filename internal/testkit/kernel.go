package testkit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
	"golang.org/x/sys/unix"
)

// This file defines Kernel, the oracle: an image goes to the running kernel
// bit by bit, not through an encoder that might change it.

// Kernel is an image that the running kernel has accepted, with its maps.
type Kernel struct {
	img  *image.Image
	fd   int
	maps map[string]*ebpf.Map
	ring map[string]*ringbuf.Reader
}

// KernelRejection is the kernel's no.
type KernelRejection struct {
	Err error
	Log string
}

// Error is the errno and the log's last lines.
func (r *KernelRejection) Error() string {
	lines := strings.Split(strings.TrimSpace(r.Log), "\n")
	return fmt.Sprintf("the kernel rejects: %v\n%s", r.Err, strings.Join(lines[max(0, len(lines)-6):], "\n"))
}

// Unwrap is the errno.
func (r *KernelRejection) Unwrap() error { return r.Err }

// LoadKernel creates img's maps and loads it. The error is *KernelRejection
// when it was the program that the kernel did not take.
func LoadKernel(img *image.Image) (*Kernel, error) {
	k := &Kernel{img: img, fd: -1, maps: map[string]*ebpf.Map{}, ring: map[string]*ringbuf.Reader{}}
	fds := make([]int32, 0, len(img.Maps)+1)
	for _, m := range img.Maps {
		km, err := createMap(m)
		if err != nil {
			k.Close()
			return nil, fmt.Errorf("map %s: %w", m.Name, err)
		}
		k.maps[m.Name] = km
		fds = append(fds, int32(km.FD()))
	}
	fds = append(fds, 0) // never empty
	code := make([]byte, isa.Slot*len(img.Insns))
	for i, in := range img.Insns {
		in.Encode(code[isa.Slot*i:], binary.LittleEndian)
	}
	load := &progLoad{typ: uint32(img.Attach.Type), expected: uint32(img.Attach.Expected), license: img.License,
		insns: unsafe.Pointer(unsafe.SliceData(code)), count: uint32(len(img.Insns)), fds: unsafe.Pointer(unsafe.SliceData(fds))}
	if img.Attach.Sleepable {
		load.flags = unix.BPF_F_SLEEPABLE
	}
	switch img.Attach.Alignment {
	case abi.AlignStrict:
		load.flags |= unix.BPF_F_STRICT_ALIGNMENT
	case abi.AlignAny:
		load.flags |= unix.BPF_F_ANY_ALIGNMENT
	}
	if err := attachTo(img, load); err != nil {
		k.Close()
		return nil, err
	}
	types, err := giveTypes(img, load)
	if err != nil {
		k.Close()
		return nil, err
	}
	if types != nil {
		defer types.Close()
	}
	fd, log, err := loadProgram(load)
	runtime.KeepAlive(code)
	runtime.KeepAlive(fds)
	if err != nil {
		k.Close()
		return nil, &KernelRejection{Err: err, Log: log}
	}
	k.fd = fd
	return k, nil
}

// attachTo fills in what a program with typed arguments is attached to.
func attachTo(img *image.Image, load *progLoad) error {
	a := img.Attach
	name, member, _ := strings.Cut(a.Target, ".")
	var target btf.Type
	switch {
	case a.Type == abi.StructOps:
		target = &btf.Struct{Name: name}
	case a.Type == abi.LSM:
		target = &btf.Func{Name: "bpf_lsm_" + name}
	case a.Type != abi.Tracing:
		return nil
	case a.Expected == abi.AttachTraceRawTp:
		target = &btf.Typedef{Name: "btf_trace_" + name}
	case a.Expected == abi.AttachTraceIter:
		target = &btf.Func{Name: "bpf_iter_" + name}
	default:
		target = &btf.Func{Name: name}
	}
	spec, err := img.Target.BTF()
	if err != nil {
		return err
	}
	found, err := spec.AnyTypesByName(target.TypeName())
	if err != nil {
		return err
	}
	for _, t := range found {
		if reflect.TypeOf(t) != reflect.TypeOf(target) {
			continue
		}
		id, err := spec.TypeID(t)
		if err != nil {
			return err
		}
		load.btfID = uint32(id)
		if st, ok := t.(*btf.Struct); ok {
			load.expected = uint32(slices.IndexFunc(st.Members, func(m btf.Member) bool { return m.Name == member }))
		}
		return nil
	}
	return fmt.Errorf("the kernel has no %v", target)
}

// mapSpec describes m for the kernel.
func mapSpec(m *object.Map) *ebpf.MapSpec {
	s := &ebpf.MapSpec{Type: ebpf.MapType(m.Type), KeySize: m.KeySize, ValueSize: m.ValueSize,
		MaxEntries: m.MaxEntries, Flags: m.Flags, MapExtra: m.Extra, Key: m.Key, Value: m.Value}
	if m.Inner != nil {
		s.InnerMap = mapSpec(m.Inner)
	}
	return s
}

// createMap creates m with its initial data.
func createMap(m *object.Map) (*ebpf.Map, error) {
	km, err := ebpf.NewMap(mapSpec(m))
	if err != nil {
		return nil, err
	}
	if m.Section != "" && len(m.Data) > 0 {
		data := append(slices.Clone(m.Data), make([]byte, max(0, int(m.ValueSize)-len(m.Data)))...)
		if err := km.Put(uint32(0), data); err != nil {
			km.Close()
			return nil, err
		}
	}
	if m.Frozen {
		if err := km.Freeze(); err != nil {
			km.Close()
			return nil, err
		}
	}
	return km, nil
}

// Close gives program and maps back.
func (k *Kernel) Close() {
	for _, r := range k.ring {
		r.Close()
	}
	for _, m := range k.maps {
		m.Close()
	}
	if k.fd >= 0 {
		unix.Close(k.fd)
	}
}

// progLoad is what loadProgram passes on.
type progLoad struct {
	typ, expected, flags, btfID, count uint32
	insns, fds                         unsafe.Pointer
	license                            string
	btfFD                              uint32
	funcs                              []funcInfo
}

// progLoadAttr is the BPF_PROG_LOAD member of union bpf_attr (include/uapi/linux/bpf.h).
type progLoadAttr struct {
	typ, count                         uint32
	insns, license                     unsafe.Pointer
	logLevel, logSize                  uint32
	log                                unsafe.Pointer
	version, flags                     uint32
	name                               [16]byte
	ifindex, expected, btfFD           uint32
	funcInfoSize                       uint32
	funcInfo                           unsafe.Pointer
	funcInfoCount, lineInfoSize        uint32
	lineInfo                           unsafe.Pointer
	lineInfoCount, attachBTF, attachFD uint32
	coreCount                          uint32
	fds                                unsafe.Pointer
}

// loadProgram loads a program; on failure it returns the verifier's log.
func loadProgram(p *progLoad) (fd int, log string, err error) {
	license := append([]byte(p.license), 0)
	attr := progLoadAttr{typ: p.typ, expected: p.expected, flags: p.flags, attachBTF: p.btfID,
		insns: p.insns, count: p.count, fds: p.fds, license: unsafe.Pointer(&license[0])}
	copy(attr.name[:15], "gtrace_test")
	if len(p.funcs) > 0 {
		attr.btfFD, attr.funcInfoSize = p.btfFD, uint32(unsafe.Sizeof(funcInfo{}))
		attr.funcInfo, attr.funcInfoCount = unsafe.Pointer(&p.funcs[0]), uint32(len(p.funcs))
	}
	fd, err = bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err == nil {
		return fd, "", nil
	}
	buf := make([]byte, 1<<20)
	attr.logLevel, attr.logSize, attr.log = 1, uint32(len(buf)), unsafe.Pointer(&buf[0])
	if fd, again := bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); again == nil {
		return fd, "", nil
	}
	runtime.KeepAlive(license)
	if n := bytes.IndexByte(buf, 0); n >= 0 {
		buf = buf[:n]
	}
	return -1, string(buf), err
}

func bpf(cmd int, attr unsafe.Pointer, size uintptr) (int, error) {
	for {
		r, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(cmd), uintptr(attr), size)
		switch errno {
		case 0:
			return int(r), nil
		case unix.EAGAIN, unix.EINTR:
			continue
		}
		return -1, errno
	}
}

// testRunAttr is the BPF_PROG_TEST_RUN member of union bpf_attr.
type testRunAttr struct {
	fd, retval, dataSizeIn, dataSizeOut uint32
	dataIn, dataOut                     unsafe.Pointer
	repeat, duration                    uint32
	ctxSizeIn, ctxSizeOut               uint32
	ctxIn, ctxOut                       unsafe.Pointer
	flags, cpu, batch, _                uint32
}

// Run runs the program once. The kernel tells the lower half of R0. For socket
// filters ctx is the packet.
func (k *Kernel) Run(ctx []byte) (uint32, error) {
	attr := testRunAttr{fd: uint32(k.fd)}
	data := append(slices.Clone(ctx), 0) // never empty
	if k.img.Attach.Type == abi.SocketFilter {
		attr.dataIn, attr.dataSizeIn = unsafe.Pointer(&data[0]), uint32(len(ctx))
	} else if len(ctx) > 0 {
		attr.ctxIn, attr.ctxSizeIn = unsafe.Pointer(&data[0]), uint32(len(ctx))
	}
	_, err := bpf(unix.BPF_PROG_TEST_RUN, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(data)
	if err != nil {
		return 0, fmt.Errorf("BPF_PROG_TEST_RUN: %w", err)
	}
	return attr.retval, nil
}

// Update sets a map's entry, on all CPUs.
func (k *Kernel) Update(name string, key, value []byte) error {
	m := k.maps[name]
	if m == nil {
		return fmt.Errorf("no map %q", name)
	}
	if !abi.MapType(m.Type()).PerCPU() {
		return m.Put(key, value)
	}
	values := make([][]byte, ebpf.MustPossibleCPU())
	for i := range values {
		values[i] = value
	}
	return m.Put(key, values)
}

// Lookup returns the values of all CPUs, or nil for no such key.
func (k *Kernel) Lookup(name string, key []byte) ([][]byte, error) {
	m := k.maps[name]
	if m == nil {
		return nil, fmt.Errorf("no map %q", name)
	}
	var err error
	var values [][]byte
	if abi.MapType(m.Type()).PerCPU() {
		err = m.Lookup(key, &values)
	} else {
		var v []byte
		err = m.Lookup(key, &v)
		values = [][]byte{v}
	}
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil, nil
	}
	return values, err
}

// Record takes the next record out of a ring buffer; nil when there is none.
func (k *Kernel) Record(name string) ([]byte, error) {
	r := k.ring[name]
	if r == nil {
		m := k.maps[name]
		if m == nil {
			return nil, fmt.Errorf("no map %q", name)
		}
		var err error
		if r, err = ringbuf.NewReader(m); err != nil {
			return nil, err
		}
		k.ring[name] = r
	}
	r.SetDeadline(time.Now().Add(-time.Second)) // what is there is there
	rec, err := r.Read()
	if err != nil {
		return nil, nil //nolint:nilerr // the deadline is the only way to see an empty buffer
	}
	return rec.RawSample, nil
}
