package trap

// This file reads a process's mappings and finds a probe's file among them.

import (
	"bufio"
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// mapping is a line of /proc/PID/maps.
type mapping struct {
	start, end uint64
	off        uint64 // in the file
	exec       bool
	dev        uint64 // as struct stat has it
	ino        uint64
	path       string // "" for anonymous; "[vdso]" and the like
}

func (m *mapping) contains(addr uint64) bool { return addr >= m.start && addr < m.end }

func readMappings(pid int) ([]mapping, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return nil, err
	}
	return parseMappings(b)
}

// parseMappings reads lines such as "1000-2000 r-xp 00001000 08:01 1234   /bin/x" (proc_pid_maps(5)).
func parseMappings(b []byte) ([]mapping, error) {
	var maps []mapping
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(nil, 1<<16)
	for sc.Scan() {
		line := sc.Text()
		var f [5]string
		rest := line
		for i := range f {
			f[i], rest, _ = strings.Cut(strings.TrimLeft(rest, " "), " ")
		}
		lo, hi, ok1 := strings.Cut(f[0], "-")
		major, minor, ok2 := strings.Cut(f[3], ":")
		if !ok1 || !ok2 || len(f[1]) < 4 {
			return nil, fmt.Errorf("/proc/PID/maps: cannot read line %q", line)
		}
		var n [5]uint64
		for i, s := range [...]string{lo, hi, f[2], major, minor} {
			v, err := strconv.ParseUint(s, 16, 64)
			if err != nil {
				return nil, fmt.Errorf("/proc/PID/maps: cannot read line %q: %w", line, err)
			}
			n[i] = v
		}
		ino, err := strconv.ParseUint(f[4], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("/proc/PID/maps: cannot read line %q: %w", line, err)
		}
		maps = append(maps, mapping{start: n[0], end: n[1], off: n[2], exec: f[1][2] == 'x', dev: makedev(n[3], n[4]), ino: ino, path: strings.TrimLeft(rest, " ")})
	}
	return maps, sc.Err()
}

// makedev is the encoding of struct stat's st_dev (glibc's makedev(3)).
func makedev(major, minor uint64) uint64 {
	return major&0xfff<<8 | major&^0xfff<<32 | minor&0xff | minor&^0xff<<12
}

// file identifies a file on this machine.
type file struct{ dev, ino uint64 }

func statFile(path string) (file, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return file{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return file{st.Dev, st.Ino}, nil
}

// isMapped reports whether m maps f in process pid. Some file systems (btrfs,
// overlayfs) show another device number in maps than stat gives: there the
// file is asked for again by the name it has for the process.
func (f file) isMapped(pid int, m *mapping) bool {
	if m.ino == f.ino && m.dev == f.dev {
		return true
	}
	if !strings.HasPrefix(m.path, "/") || m.dev == f.dev {
		return false
	}
	g, err := statFile(fmt.Sprintf("/proc/%d/root%s", pid, m.path))
	return err == nil && g == f
}

// fileOffset turns an address in an ELF file's own terms into a file offset.
func fileOffset(path string, addr uint64) (uint64, error) {
	f, err := elf.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && addr >= p.Vaddr && addr < p.Vaddr+p.Filesz {
			return addr - p.Vaddr + p.Off, nil
		}
	}
	return 0, fmt.Errorf("%s: address %#x is in no segment of the file", path, addr)
}

// isGo reports whether an ELF file is a Go program.
func isGo(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return f.Section(".gopclntab") != nil || f.Section(".go.buildinfo") != nil || f.Section(".data.rel.ro.gopclntab") != nil
}

// gapNear finds a page-aligned hole of size bytes near addr: the closest that
// starts less than reach away. Holes where a heap or stack grows are left alone.
func gapNear(maps []mapping, addr, size, reach uint64) (uint64, bool) {
	const (
		lowest  = 1 << 16 // vm.mmap_min_addr's usual value
		highest = 1<<47 - 1<<16
		room    = 1 << 30 // for a stack to grow into
	)
	var best uint64
	found := false
	try := func(at uint64) {
		d := max(at, addr) - min(at, addr)
		if d < reach && (!found || d < max(best, addr)-min(best, addr)) {
			best, found = at, true
		}
	}
	prevEnd, afterHeap := uint64(lowest), false
	for i := 0; i <= len(maps); i++ {
		end, stack := uint64(highest), false
		if i < len(maps) {
			if maps[i].start >= highest {
				break
			}
			end, stack = maps[i].start, maps[i].path == "[stack]"
		}
		if stack {
			end -= min(end, room)
		}
		if end >= prevEnd+size && end > prevEnd {
			if !stack && i < len(maps) {
				try(end - size)
			}
			if !afterHeap && prevEnd > lowest {
				try(prevEnd)
			}
		}
		if i < len(maps) {
			prevEnd, afterHeap = max(prevEnd, maps[i].end), maps[i].path == "[heap]"
		}
	}
	return best, found
}
