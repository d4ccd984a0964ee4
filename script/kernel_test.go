package script

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/event"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
	"golang.org/x/sys/unix"
)

// loaded is a script in the running kernel.
type loaded struct {
	c     *Compiled
	maps  map[string]*ebpf.Map
	progs []int // file descriptors
}

// needBPF skips where bpf(2) is not permitted.
func needBPF(t testing.TB) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		t.Skipf("bpf(2) is not permitted: %v", err)
	}
	m.Close()
}

// loadKernel creates the maps and loads every program.
func loadKernel(t testing.TB, c *Compiled) *loaded {
	t.Helper()
	l := &loaded{c: c, maps: map[string]*ebpf.Map{}}
	for _, m := range c.Object.Maps {
		spec := &ebpf.MapSpec{Type: ebpf.MapType(m.Type), KeySize: m.KeySize, ValueSize: m.ValueSize, MaxEntries: m.MaxEntries, Flags: m.Flags}
		km, err := ebpf.NewMap(spec)
		if err != nil {
			t.Fatalf("map %s: %v", m.Name, err)
		}
		if m.Data != nil {
			if err := km.Put(uint32(0), m.Data); err != nil {
				t.Fatal(err)
			}
			if err := km.Freeze(); err != nil {
				t.Fatal(err)
			}
		}
		l.maps[m.Name] = km
		t.Cleanup(func() { km.Close() })
	}
	for _, f := range c.Object.Programs {
		fd, log, err := l.load(f)
		if err != nil {
			t.Fatalf("program %s: %v\n%s", f.Name, err, tail(log, 3000))
		}
		l.progs = append(l.progs, fd)
		t.Cleanup(func() { unix.Close(fd) })
	}
	return l
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// load loads one program by BPF_PROG_LOAD.
func (l *loaded) load(f *object.Func) (fd int, log string, err error) {
	insns := append([]isa.Insn{}, f.Insns...)
	for _, r := range f.Relocs {
		m := l.maps[r.Symbol]
		if m == nil {
			return 0, "", fmt.Errorf("no map %q", r.Symbol)
		}
		insns[r.Insn].Imm = int32(m.FD())
		if r.Kind == object.RelocMapValue {
			insns[r.Insn+1].Imm = int32(r.Addend)
		}
	}
	code := make([]byte, len(insns)*isa.Slot)
	for i, in := range insns {
		in.Encode(code[i*isa.Slot:], binary.LittleEndian)
	}
	license := []byte("GPL\x00")
	logBuf := make([]byte, 4<<20)
	attr := make([]byte, 148)
	le := binary.LittleEndian
	le.PutUint32(attr[0:], uint32(f.Attach.Type))
	le.PutUint32(attr[4:], uint32(len(insns)))
	le.PutUint64(attr[8:], uint64(uintptr(unsafe.Pointer(&code[0]))))
	le.PutUint64(attr[16:], uint64(uintptr(unsafe.Pointer(&license[0]))))
	le.PutUint32(attr[24:], 1)
	le.PutUint32(attr[28:], uint32(len(logBuf)))
	le.PutUint64(attr[32:], uint64(uintptr(unsafe.Pointer(&logBuf[0]))))
	le.PutUint32(attr[68:], uint32(f.Attach.Expected))
	if f.Attach.Type == abi.Tracing {
		id, err := tracepointID(f.Attach.Target)
		if err != nil {
			return 0, "", err
		}
		le.PutUint32(attr[108:], uint32(id))
	}
	r, _, errno := unix.Syscall(unix.SYS_BPF, 5, uintptr(unsafe.Pointer(&attr[0])), uintptr(len(attr)))
	for try := 0; errno == unix.EAGAIN && try < 100; try++ { // a signal came in between
		r, _, errno = unix.Syscall(unix.SYS_BPF, 5, uintptr(unsafe.Pointer(&attr[0])), uintptr(len(attr)))
	}
	runtime.KeepAlive(code)
	runtime.KeepAlive(license)
	log = string(logBuf[:max(bytes.IndexByte(logBuf, 0), 0)])
	if errno != 0 {
		return 0, log, errno
	}
	return int(r), log, nil
}

func tracepointID(name string) (btf.TypeID, error) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return 0, err
	}
	t, err := spec.AnyTypeByName("btf_trace_" + name)
	if err != nil {
		return 0, err
	}
	return spec.TypeID(t)
}

// run runs a raw tracepoint program by BPF_PROG_TEST_RUN.
func (l *loaded) run(t testing.TB, i int) {
	t.Helper()
	attr := make([]byte, 80)
	args := make([]byte, 96)
	binary.LittleEndian.PutUint32(attr[0:], uint32(l.progs[i]))
	binary.LittleEndian.PutUint32(attr[40:], uint32(len(args)))
	binary.LittleEndian.PutUint64(attr[48:], uint64(uintptr(unsafe.Pointer(&args[0]))))
	_, _, errno := unix.Syscall(unix.SYS_BPF, 10, uintptr(unsafe.Pointer(&attr[0])), uintptr(len(attr)))
	runtime.KeepAlive(args)
	if errno != 0 {
		t.Fatalf("test run: %v", errno)
	}
}

// records reads what is in the ring buffer.
func (l *loaded) records(t testing.TB) [][]byte {
	t.Helper()
	r, err := ringbuf.NewReader(l.maps[event.RingMap])
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.SetDeadline(unixEpoch)
	var out [][]byte
	for {
		rec, err := r.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, append([]byte{}, rec.RawSample...))
	}
}

// stats sums the statistics of a probe.
func (l *loaded) stats(t testing.TB, row uint32) (s event.Stats) {
	t.Helper()
	var per []event.Stats
	if err := l.maps[event.StatsMap].Lookup(row, &per); err != nil {
		t.Fatal(err)
	}
	for _, p := range per {
		s.Hits += p.Hits
		s.Lost += p.Lost
		s.Failed += p.Failed
		s.Full += p.Full
	}
	return s
}

// text is a record as a reader sees it: the values by their schema.
func (l *loaded) text(rec []byte) string {
	a := l.c.Schema.Actions[binary.LittleEndian.Uint64(rec)]
	fail := binary.LittleEndian.Uint64(rec[8:])
	var out []string
	for i, arg := range a.Args {
		switch event.Fail(fail >> (2 * i) & 3) {
		case event.Fault:
			out = append(out, "<fault>")
			continue
		case event.Null:
			out = append(out, "<null>")
			continue
		}
		out = append(out, valueText(arg.Type, rec[arg.Offset:]))
	}
	return a.Format + "|" + strings.Join(out, ",")
}

func valueText(t event.Type, b []byte) string {
	switch t.Kind {
	case event.String:
		return string(b[:bytes.IndexByte(b[:t.Size], 0)])
	case event.Int, event.Bool, event.Enum, event.Ptr, event.KSym:
		var w [8]byte
		copy(w[:], b[:t.Size])
		u := binary.LittleEndian.Uint64(w[:])
		if t.Signed {
			sh := 64 - 8*t.Size
			return fmt.Sprint(int64(u<<sh) >> sh)
		}
		return fmt.Sprint(u)
	}
	return fmt.Sprintf("%x", b[:t.Size])
}
