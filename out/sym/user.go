package sym

import (
	"bufio"
	"debug/elf"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"
)

// This file names addresses of a process: /proc/PID/maps (man 5 proc_pid_maps)
// says which file lies there, the file's .symtab and .dynsym name its functions.

// process is what is known of a process's address space.
type process struct {
	read     time.Time
	mappings []mapping // executable ones with a file, ascending
}

type mapping struct {
	start, end, offset uint64
	file               fileID
	path               string
}

// fileID tells files apart that have one path in different mount namespaces.
type fileID struct {
	dev   string
	inode uint64
}

// image is a file's functions by file offset.
type image struct {
	symbols
}

// fresh is how long a process's mappings are taken as they were.
const fresh = 100 * time.Millisecond

// Remember reads the mappings of a process now, so that its addresses can be
// named after its end.
func (t *Table) Remember(pid uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.process(pid); p != nil {
		for i := range p.mappings {
			t.image(pid, &p.mappings[i])
		}
	}
}

// User names an address of process pid: "symbol" or "symbol+offset"; "" when
// the name is not known.
func (t *Table) User(pid uint32, addr uint64) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.process(pid)
	if p == nil {
		return ""
	}
	ms := p.mappings
	i := sort.Search(len(ms), func(i int) bool { return ms[i].end > addr })
	if i == len(ms) || addr < ms[i].start {
		return ""
	}
	return t.image(pid, &ms[i]).name(addr - ms[i].start + ms[i].offset)
}

// process reads a process's mappings, or yields the last known of one that has gone.
func (t *Table) process(pid uint32) *process {
	known := t.procs[pid]
	if known != nil && time.Since(known.read) < fresh {
		return known
	}
	f, err := os.Open(fmt.Sprintf("%s/%d/maps", t.proc(), pid))
	if err != nil {
		return known
	}
	defer f.Close()
	p := &process{read: time.Now()}
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		if m, ok := parseMapping(sc.Text()); ok {
			p.mappings = append(p.mappings, m)
		}
	}
	if len(p.mappings) == 0 { // a zombie's is empty
		return known
	}
	if t.procs == nil || len(t.procs) >= maxProcs {
		t.procs = map[uint32]*process{}
	}
	t.procs[pid] = p
	return p
}

// parseMapping parses a line of /proc/PID/maps:
// start-end perms offset dev inode path.
func parseMapping(line string) (mapping, bool) {
	fields := strings.Fields(line)
	if len(fields) < 6 || len(fields[1]) < 3 || fields[1][2] != 'x' {
		return mapping{}, false
	}
	// A path may hold blanks: it is all behind the inode.
	at := strings.Index(line, "/")
	lo, hi, ok := strings.Cut(fields[0], "-")
	if at < 0 || !ok {
		return mapping{}, false
	}
	m := mapping{path: line[at:], file: fileID{dev: fields[3]}}
	var errs [4]error
	m.start, errs[0] = strconv.ParseUint(lo, 16, 64)
	m.end, errs[1] = strconv.ParseUint(hi, 16, 64)
	m.offset, errs[2] = strconv.ParseUint(fields[2], 16, 64)
	m.file.inode, errs[3] = strconv.ParseUint(fields[4], 10, 64)
	for _, err := range errs {
		if err != nil {
			return mapping{}, false
		}
	}
	return m, m.file.inode != 0
}

// image reads the functions of the file behind m. What can't be read is an empty table.
func (t *Table) image(pid uint32, m *mapping) *image {
	if img := t.files[m.file]; img != nil {
		return img
	}
	img := &image{}
	// The file as the process sees it; when it was unlinked or replaced, through the mapping itself.
	for _, path := range []string{
		fmt.Sprintf("%s/%d/map_files/%x-%x", t.proc(), pid, m.start, m.end),
		fmt.Sprintf("%s/%d/root%s", t.proc(), pid, m.path),
	} {
		if f, err := os.Open(path); err == nil {
			img = readImage(f)
			f.Close()
			break
		}
	}
	if t.files == nil || len(t.files) >= maxFiles {
		t.files = map[fileID]*image{}
	}
	t.files[m.file] = img
	return img
}

// readImage reads an ELF file's functions by file offset.
func readImage(r *os.File) *image {
	img := &image{}
	f, err := elf.NewFile(r)
	if err != nil {
		return img
	}
	add := func(syms []elf.Symbol, err error) {
		if err != nil {
			return
		}
		for _, s := range syms {
			kind := elf.ST_TYPE(s.Info)
			if kind != elf.STT_FUNC && kind != elf.STT_GNU_IFUNC || s.Section == elf.SHN_UNDEF || s.Name == "" {
				continue
			}
			if off, ok := fileOffset(f, s.Value); ok {
				img.add(off, s.Size, s.Name)
			}
		}
	}
	add(f.Symbols())
	add(f.DynamicSymbols())
	img.sort()
	return img
}

// fileOffset turns a virtual address into an offset in the file.
func fileOffset(f *elf.File, addr uint64) (uint64, bool) {
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && addr >= p.Vaddr && addr-p.Vaddr < p.Filesz {
			return addr - p.Vaddr + p.Off, true
		}
	}
	return 0, false
}
