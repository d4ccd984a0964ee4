package trap

// This file places probes in the target's mappings, now and when libraries come.

import (
	"debug/elf"
	"fmt"
	"os"
	"slices"
)

// placeFirst places what can be placed in the target as it is now. A running
// process must have every probe's file mapped; a command gets its libraries later.
func (tr *Tracer) placeFirst(t *thread) error {
	if tr.img.foreign != "" && tr.opt.Command == nil {
		return fmt.Errorf("process %d: %s", tr.pid, tr.img.foreign)
	}
	for i, err := range tr.place(t) {
		if err != nil {
			return fmt.Errorf("%s: %w", tr.opt.Probes[i].Name, err)
		}
	}
	if tr.opt.Command == nil {
		for i, s := range tr.States() {
			if s.Sites == 0 {
				return fmt.Errorf("%s: process %d has not mapped %s as a program or library", tr.opt.Probes[i].Name, tr.pid, tr.opt.Probes[i].Path)
			}
		}
	}
	return tr.watchLoader(t)
}

// placePending does the same for a new program; errors become the probe's state.
func (tr *Tracer) placePending(t *thread) {
	if tr.img.foreign != "" {
		for i := range tr.opt.Probes {
			tr.note(i, fmt.Errorf("after exec: %s", tr.img.foreign))
		}
		return
	}
	for i, err := range tr.place(t) {
		if err != nil {
			tr.note(i, err)
		}
	}
	if err := tr.watchLoader(t); err != nil {
		tr.fail(err)
	}
}

// place puts breakpoints wherever a probe's file is mapped and none is yet.
// It returns an error, or nil, for each probe.
func (tr *Tracer) place(t *thread) []error {
	im := tr.img
	errs := make([]error, len(tr.opt.Probes))
	if im.foreign != "" {
		return errs
	}
	for i, p := range tr.opt.Probes {
		off := tr.offsets[i]
		// A copy of the list: placing may map a page, which reads it anew.
		for _, m := range slices.Clone(im.maps) {
			if !m.exec || off < m.off || off-m.off >= m.end-m.start || !tr.files[i].isMapped(t.tid, &m) {
				continue
			}
			addr := m.start + off - m.off
			if im.placed[placement{i, addr}] {
				continue
			}
			s, err := tr.addSite(t, addr)
			if err != nil {
				errs[i] = err
				continue
			}
			im.placed[placement{i, addr}] = true
			if p.Return {
				s.returns = append(s.returns, i)
			} else {
				s.entries = append(s.entries, i)
			}
			tr.mu.Lock()
			tr.states[i].Sites++
			tr.mu.Unlock()
		}
	}
	return errs
}

// watchLoader puts a breakpoint where the dynamic loader announces libraries,
// unless every probe is in the program itself.
func (tr *Tracer) watchLoader(t *thread) error {
	if tr.img.foreign != "" || len(tr.opt.Probes) == 0 {
		return nil
	}
	program, err := statFile(fmt.Sprintf("/proc/%d/exe", t.tid))
	if err == nil && !slices.ContainsFunc(tr.files, func(f file) bool { return f != program }) {
		return nil
	}
	addr, err := tr.loaderAddress(t.tid)
	if err != nil || addr == 0 {
		return err
	}
	s, err := tr.addSite(t, addr)
	if err != nil {
		return fmt.Errorf("watching the dynamic loader: %w", err)
	}
	s.loader = true
	return nil
}

// loaderAddress finds the function that the dynamic loader calls, for
// debuggers, around each change of the list of libraries. 0: the program has
// no dynamic loader. Source: glibc's elf/link.h, struct r_debug; musl has it too.
func (tr *Tracer) loaderAddress(tid int) (uint64, error) {
	const atBase = 7 // AT_BASE
	aux, err := os.ReadFile(fmt.Sprintf("/proc/%d/auxv", tid))
	if err != nil {
		return 0, fmt.Errorf("process %d: %w", tr.pid, err)
	}
	var base uint64
	for ; len(aux) >= 16; aux = aux[16:] {
		if le64(aux) == atBase {
			base = le64(aux[8:])
		}
	}
	m := tr.img.mappingAt(base)
	if base == 0 || m == nil {
		return 0, nil
	}
	f, err := elf.Open(fmt.Sprintf("/proc/%d/root%s", tid, m.path))
	if err != nil {
		if f, err = elf.Open(fmt.Sprintf("/proc/%d/map_files/%x-%x", tid, m.start, m.end)); err != nil {
			return 0, fmt.Errorf("the target's dynamic loader %s: %w", m.path, err)
		}
	}
	defer f.Close()
	syms, err := f.DynamicSymbols()
	if err != nil {
		return 0, fmt.Errorf("the target's dynamic loader %s: %w", m.path, err)
	}
	for _, s := range syms {
		if s.Name == "_dl_debug_state" {
			return base + s.Value, nil
		}
	}
	for _, s := range syms {
		if s.Name == "_r_debug" {
			var brk [8]byte
			if err := readMemory(tid, base+s.Value+16, brk[:]); err == nil && le64(brk[:]) != 0 {
				return le64(brk[:]), nil
			}
		}
	}
	return 0, fmt.Errorf("unsupported: the target's dynamic loader %s has no _dl_debug_state: libraries that come later cannot be seen", m.path)
}

// librariesChanged places probes in new libraries and forgets unloaded ones.
func (tr *Tracer) librariesChanged(t *thread) {
	im := tr.img
	im.tid = t.tid
	old := im.maps
	if im.readMaps() != nil {
		return
	}
	sameFile := func(addr uint64) bool {
		m := im.mappingAt(addr)
		if m == nil || !m.exec {
			return false
		}
		for i := range old {
			if o := &old[i]; o.contains(addr) {
				return o.ino == m.ino && o.dev == m.dev && addr-o.start+o.off == addr-m.start+m.off
			}
		}
		return true
	}
	for addr, s := range im.sites {
		if !sameFile(addr) {
			delete(im.sites, addr)
			for i := range tr.opt.Probes {
				delete(im.placed, placement{i, addr})
			}
			s.entries, s.returns, s.isRet = nil, nil, false
		}
	}
	for i, err := range tr.place(t) {
		if err != nil {
			tr.note(i, err)
		}
	}
}
