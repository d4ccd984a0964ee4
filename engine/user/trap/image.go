package trap

// This file defines image, what a target's address space holds of ours:
// breakpoints and the pages with the displaced instructions.

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/gtrace-dev/gtrace/internal/x86"
	"golang.org/x/sys/unix"
)

const (
	pageSize = 4096
	slotSize = x86.MaxMoved
	// reach is how far a page with copies may be from its sites: 32-bit
	// displacements, less room for operands on the far side.
	reach = 1<<31 - 1<<28
)

// site is an instruction with a breakpoint on it.
type site struct {
	addr uint64
	orig byte
	copy uint64 // where the displaced instruction runs
	body uint64 // offset in the copy of the jump back
	len  uint64 // of the instruction

	entries []int // probes that fire here
	returns []int // probes that fire when the function entered here returns
	isRet   bool  // calls return here
	loader  bool  // the dynamic loader comes by here with new libraries
}

// area is a page in the target with copies.
type area struct {
	base  uint64
	slots []*site
}

// image is an address space; an exec makes a new one.
type image struct {
	tid     int // a thread in it that is alive: /proc/PID shows nothing once the first thread has ended
	arch    *arch
	mem     *os.File // /proc/PID/mem
	maps    []mapping
	sites   map[uint64]*site
	areas   []*area
	gadget  uint64 // address of a system call instruction
	placed  map[placement]bool
	foreign string // why no probe can be placed in it; "" when they can
	pinned  bool   // something may still return into a copy: the pages must stay
	noCalls bool   // shadow stacks are on: a call cannot be displaced
}

// placement is a probe at an address.
type placement struct {
	probe int
	addr  uint64
}

func newImage(tid int, a *arch) (*image, error) {
	im := &image{tid: tid, arch: a, sites: map[uint64]*site{}, placed: map[placement]bool{}}
	var err error
	if im.mem, err = os.OpenFile(fmt.Sprintf("/proc/%d/mem", tid), os.O_RDWR, 0); err != nil {
		return nil, err
	}
	if err := im.readMaps(); err != nil {
		im.close()
		return nil, err
	}
	im.foreign = foreignProgram(tid, a)
	im.noCalls = bytes.Contains([]byte(statusField(tid, shadowStackField)), []byte("shstk"))
	return im, nil
}

func (im *image) close() { im.mem.Close() }

func (im *image) readMaps() error {
	maps, err := readMappings(im.tid)
	if err == nil {
		im.maps = maps
	}
	return err
}

// foreignProgram says why a process's program is not one we can probe.
func foreignProgram(pid int, a *arch) string {
	f, err := os.Open(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return "" // a kernel without /proc/PID/exe for us: sites are checked one by one anyway
	}
	defer f.Close()
	var h [20]byte
	if _, err := f.ReadAt(h[:], 0); err != nil || string(h[:4]) != "\x7fELF" {
		return ""
	}
	if h[4] != 2 || uint16(h[18])|uint16(h[19])<<8 != a.elfMachine {
		return fmt.Sprintf("unsupported: the target's program is not a 64-bit %s program", a.goarch)
	}
	return ""
}

// mappingAt finds the mapping that holds addr.
func (im *image) mappingAt(addr uint64) *mapping {
	for i := range im.maps {
		if im.maps[i].contains(addr) {
			return &im.maps[i]
		}
	}
	return nil
}

// copyAt finds the site whose copy holds addr.
func (im *image) copyAt(addr uint64) *site {
	for _, a := range im.areas {
		if d := addr - a.base; d < pageSize {
			if i := int(d / slotSize); i < len(a.slots) {
				return a.slots[i]
			}
		}
	}
	return nil
}

// write puts bytes into the target, read-only text included.
func (im *image) write(addr uint64, b []byte) error {
	if _, err := im.mem.WriteAt(b, int64(addr)); err == nil {
		return nil
	}
	// A kernel may forbid forced writes through /proc/PID/mem (proc_mem.force_override); ptrace's own remain.
	for i := range b {
		word := (addr + uint64(i)) &^ 7
		var w [8]byte
		if err := readMemory(im.tid, word, w[:]); err != nil {
			return err
		}
		w[addr+uint64(i)-word] = b[i]
		if err := ptrace(ptracePokeData, im.tid, uintptr(word), uintptr(le64(w[:]))); err != nil {
			return err
		}
	}
	return nil
}

func le64(b []byte) (v uint64) {
	for i := range 8 {
		v |= uint64(b[i]) << (8 * i)
	}
	return v
}

// instruction reads the bytes at addr, up to the longest instruction, and
// puts back what our own breakpoints hide.
func (im *image) instruction(addr uint64) ([]byte, error) {
	m := im.mappingAt(addr)
	if m == nil || !m.exec {
		return nil, fmt.Errorf("address %#x is not in executable memory", addr)
	}
	b := make([]byte, min(x86.MaxLen, m.end-addr))
	if _, err := im.mem.ReadAt(b, int64(addr)); err != nil {
		return nil, fmt.Errorf("reading instruction at %#x: %w", addr, err)
	}
	for i := 1; i < len(b); i++ {
		if s := im.sites[addr+uint64(i)]; s != nil {
			b[i] = s.orig
		}
	}
	return b, nil
}

// addSite puts a breakpoint at addr. t must be stopped: it makes the system
// call for a page where there is none near. A breakpoint is a single byte, so
// other threads may run: they see the old instruction or the trap.
func (tr *Tracer) addSite(t *thread, addr uint64) (*site, error) {
	im := tr.img
	im.tid = t.tid
	if s := im.sites[addr]; s != nil {
		return s, nil
	}
	code, err := im.instruction(addr)
	if err != nil {
		return nil, err
	}
	if in, err := x86.Decode(code); err == nil && im.noCalls && isCall(code, in) {
		return nil, fmt.Errorf("unsupported: the instruction at %#x is a call, and the target uses a shadow stack", addr)
	}
	s := &site{addr: addr, orig: code[0]}
	moved, a, err := tr.makeCopy(t, s, code)
	if err != nil {
		return nil, fmt.Errorf("breakpoint at %#x: %w", addr, err)
	}
	s.body, s.len = uint64(moved.Body), uint64(moved.Len)
	if err := im.write(s.copy, moved.Code); err != nil {
		return nil, fmt.Errorf("writing the copy of the instruction at %#x: %w", addr, err)
	}
	if err := im.write(addr, []byte{im.arch.breakpoint}); err != nil {
		return nil, fmt.Errorf("writing a breakpoint at %#x: %w", addr, err)
	}
	a.slots = append(a.slots, s)
	im.sites[addr] = s
	return s, nil
}

func isCall(code []byte, in x86.Inst) bool {
	return in.Map == x86.OneByte && !in.Vector && (in.Opcode == 0xe8 || in.Opcode == 0xff && code[in.ModRM]>>3&7 == 2)
}

// makeCopy relocates the instruction into the first area that it can run in,
// or into a new one.
func (tr *Tracer) makeCopy(t *thread, s *site, code []byte) (x86.Moved, *area, error) {
	var last error
	for _, a := range tr.img.areas {
		if d := max(a.base, s.addr) - min(a.base, s.addr); d > reach || len(a.slots) == pageSize/slotSize {
			continue
		}
		s.copy = a.base + uint64(len(a.slots))*slotSize
		moved, err := x86.Relocate(code, s.addr, s.copy)
		if err == nil {
			return moved, a, nil
		}
		last = err
	}
	if last == nil { // what cannot be moved at all needs no page
		if _, last = x86.Relocate(code, s.addr, s.addr); last != nil {
			return x86.Moved{}, nil, last
		}
	}
	a, err := tr.newArea(t, s.addr)
	if err != nil {
		return x86.Moved{}, nil, err
	}
	s.copy = a.base
	moved, err := x86.Relocate(code, s.addr, s.copy)
	return moved, a, err
}

// newArea maps a page near addr. It is executable and never writable: bytes
// get in through ptrace.
func (tr *Tracer) newArea(t *thread, addr uint64) (*area, error) {
	im := tr.img
	for range 4 { // the target may map something at the same moment
		at, ok := gapNear(im.maps, addr, pageSize, reach)
		if !ok {
			return nil, fmt.Errorf("no free page within 2 GiB of %#x in the target", addr)
		}
		got, err := tr.remoteCall(t, im.arch.sysMmap, at, pageSize, unix.PROT_READ|unix.PROT_EXEC,
			unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED_NOREPLACE, ^uint64(0), 0)
		if merr := im.readMaps(); merr != nil {
			return nil, merr
		}
		switch {
		case err == nil && got == at:
			a := &area{base: at}
			im.areas = append(im.areas, a)
			return a, nil
		case err == nil: // a kernel before 4.17 takes the address as a hint
			_, _ = tr.remoteCall(t, im.arch.sysMunmap, got, pageSize, 0, 0, 0, 0)
			return nil, errors.New("the kernel does not know MAP_FIXED_NOREPLACE (Linux 4.17 or newer is needed)")
		case !errors.Is(err, unix.EEXIST):
			return nil, fmt.Errorf("mapping a page in the target: %w", err)
		}
	}
	return nil, errors.New("mapping a page in the target: its memory keeps changing")
}

// restore puts the original bytes back into the memory behind mem, where our
// breakpoints are still there.
func (im *image) restore(mem *os.File) error {
	var first error
	var b [1]byte
	for _, s := range im.sites {
		if _, err := mem.ReadAt(b[:], int64(s.addr)); err != nil || b[0] != im.arch.breakpoint {
			continue // unmapped, or overwritten by the target itself
		}
		var err error
		if mem == im.mem {
			err = im.write(s.addr, []byte{s.orig})
		} else {
			_, err = mem.WriteAt([]byte{s.orig}, int64(s.addr))
		}
		if err != nil && first == nil {
			first = fmt.Errorf("restoring the instruction at %#x: %w", s.addr, err)
		}
	}
	return first
}
