// Package sym names addresses: kernel addresses by /proc/kallsyms, addresses of
// a process by its mappings and the symbol tables of the files behind them.
// Tables are read when the first address asks for them, and kept.
package sym

import (
	"fmt"
	"sort"
	"sync"
)

// New returns an empty Table over /proc.
func New() *Table { return &Table{} }

// Table names addresses; it satisfies out.Symbols. The zero value is ready to
// use, from any goroutine.
type Table struct {
	// Proc is where procfs is mounted; "" means /proc.
	Proc string

	mu     sync.Mutex
	kernel *symbols // nil until read
	procs  map[uint32]*process
	files  map[fileID]*image
}

// maxProcs and maxFiles bound what is kept; beyond that all is forgotten and read again.
const (
	maxProcs = 256
	maxFiles = 64
)

func (t *Table) proc() string {
	if t.Proc == "" {
		return "/proc"
	}
	return t.Proc
}

// symbols is a sorted symbol table. All names lie in one buffer: a kernel has
// some 200,000.
type symbols struct {
	addrs []uint64
	ends  []uint64 // 0: up to the next symbol; nil: all of them
	at    []uint32 // where the name starts in names; it ends with a NUL
	names []byte
}

func (s *symbols) add(addr, size uint64, name string) {
	if uint64(len(s.names))+uint64(len(name)) >= 1<<31 {
		return
	}
	s.addrs = append(s.addrs, addr)
	if s.ends != nil || size != 0 {
		for len(s.ends) < len(s.addrs)-1 {
			s.ends = append(s.ends, 0)
		}
		end := uint64(0)
		if size != 0 {
			end = addr + size
		}
		s.ends = append(s.ends, end)
	}
	s.at = append(s.at, uint32(len(s.names)))
	s.names = append(append(s.names, name...), 0)
}

func (s *symbols) Len() int { return len(s.addrs) }

func (s *symbols) Less(i, j int) bool { return s.addrs[i] < s.addrs[j] }

func (s *symbols) Swap(i, j int) {
	s.addrs[i], s.addrs[j] = s.addrs[j], s.addrs[i]
	s.at[i], s.at[j] = s.at[j], s.at[i]
	if s.ends != nil {
		s.ends[i], s.ends[j] = s.ends[j], s.ends[i]
	}
}

func (s *symbols) sort() {
	if s.ends != nil {
		for len(s.ends) < len(s.addrs) {
			s.ends = append(s.ends, 0)
		}
	}
	if !sort.IsSorted(s) {
		sort.Stable(s)
	}
}

// name is the symbol that addr lies in, with the offset in decimal as in
// bpftrace's stacks; "" when there is none.
func (s *symbols) name(addr uint64) string {
	i := sort.Search(len(s.addrs), func(i int) bool { return s.addrs[i] > addr }) - 1
	if i < 0 {
		return ""
	}
	// Of several symbols at one address the first in the table's order.
	for i > 0 && s.addrs[i-1] == s.addrs[i] {
		i--
	}
	if s.ends != nil && s.ends[i] != 0 && addr >= s.ends[i] {
		return ""
	}
	end := s.at[i]
	for s.names[end] != 0 {
		end++
	}
	name := string(s.names[s.at[i]:end])
	if off := addr - s.addrs[i]; off != 0 {
		return fmt.Sprintf("%s+%d", name, off)
	}
	return name
}
