package sym

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
)

// This file reads the kernel's own symbol table, /proc/kallsyms
// (man 5 proc_kallsyms): lines of address, type, name and, for modules, [module].

// Kernel names a kernel address: "symbol" or "symbol+offset"; "" when the name
// is not known, which is always so where kernel.kptr_restrict hides addresses.
func (t *Table) Kernel(addr uint64) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kernel == nil {
		t.kernel = readKallsyms(t.proc() + "/kallsyms")
	}
	return t.kernel.name(addr)
}

// readKallsyms reads the functions in path. What can't be read is an empty table.
func readKallsyms(path string) *symbols {
	s := &symbols{}
	f, err := os.Open(path)
	if err != nil {
		return s
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	var highest uint64
	for sc.Scan() {
		addr, rest, ok := bytes.Cut(sc.Bytes(), []byte(" "))
		if !ok || len(rest) < 3 || rest[1] != ' ' {
			continue
		}
		v, err := strconv.ParseUint(string(addr), 16, 64)
		if err != nil || v == 0 {
			continue
		}
		switch rest[0] {
		case 't', 'T', 'w', 'W':
		default:
			continue
		}
		name := rest[2:]
		if i := bytes.IndexByte(name, '\t'); i >= 0 {
			name = name[:i]
		}
		s.add(v, 0, string(name))
		highest = max(highest, v)
	}
	// The table tells no sizes: what lies far beyond the last function is not in it.
	const reach = 1 << 20
	if highest != 0 {
		s.add(highest+reach, 1, "")
		s.sort()
	}
	return s
}
