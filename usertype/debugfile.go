package usertype

// debugfile.go finds the file that holds a binary's DWARF: the binary itself,
// or a separate file by build-id or .gnu_debuglink.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// debugFile returns the file with the debug information, nil if there is none.
// It is opened once.
func (b *Binary) debugFile() (*elfFile, error) {
	if b.debugTried {
		return b.debug, b.debugErr
	}
	b.debugTried = true
	if b.main.header(".debug_info") != nil || b.main.header(".zdebug_info") != nil {
		b.debug = b.main
		return b.debug, nil
	}
	b.debug = b.separateFile()
	return b.debug, nil
}

// separateFile looks where gdb does, and remembers in debugWhy what was wrong
// with a file that it found.
func (b *Binary) separateFile() *elfFile {
	dirs := b.o.DebugDirs
	if dirs == nil {
		dirs = []string{"/usr/lib/debug"}
	}
	for _, path := range b.buildIDPaths(dirs) {
		if e := b.try(path, func(e *elfFile) error { return b.sameBuildID(e) }); e != nil {
			return e
		}
	}
	name, crc, ok := b.debugLink()
	if !ok {
		return nil
	}
	for _, path := range b.debugLinkPaths(dirs, name) {
		check := func(e *elfFile) error {
			if b.BuildID != "" && e.buildID != "" {
				return b.sameBuildID(e)
			}
			if crc32.ChecksumIEEE(e.data) != crc {
				return fmt.Errorf("%s has another checksum than the binary's .gnu_debuglink asks for", path)
			}
			return nil
		}
		if e := b.try(path, check); e != nil {
			return e
		}
	}
	return nil
}

func (b *Binary) buildIDPaths(dirs []string) []string {
	if len(b.BuildID) < 4 {
		return nil
	}
	var paths []string
	for _, d := range dirs {
		p := filepath.Join(d, ".build-id", b.BuildID[:2], b.BuildID[2:]+".debug")
		if b.o.Root != "" {
			paths = append(paths, filepath.Join(b.o.Root, p))
		}
		paths = append(paths, p)
	}
	if dir, err := os.UserCacheDir(); err == nil && b.o.DebugDirs == nil { // what debuginfod-find has fetched
		paths = append(paths, filepath.Join(dir, "debuginfod_client", b.BuildID, "debuginfo"))
	}
	return paths
}

func (b *Binary) debugLinkPaths(dirs []string, name string) []string {
	// The path behind symbolic links is the one that packages use.
	real, err := filepath.EvalSymlinks(b.Path)
	if err != nil || b.o.Root != "" {
		real = b.Path
	}
	dir := filepath.Dir(real)
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	paths := []string{filepath.Join(dir, name), filepath.Join(dir, ".debug", name)}
	inRoot := strings.TrimPrefix(dir, strings.TrimSuffix(b.o.Root, "/"))
	for _, d := range dirs {
		paths = append(paths, filepath.Join(b.o.Root, d, inRoot, name))
		if rest, ok := strings.CutPrefix(inRoot, "/usr"); ok {
			paths = append(paths, filepath.Join(b.o.Root, d, rest, name))
		} else {
			paths = append(paths, filepath.Join(b.o.Root, d, "usr", inRoot, name))
		}
	}
	return paths
}

// try opens a candidate and keeps it if check accepts it.
func (b *Binary) try(path string, check func(*elfFile) error) *elfFile {
	if path == b.Path {
		return nil
	}
	e, err := openELF(path)
	if err == nil {
		if err = check(e); err == nil && e.header(".debug_info") == nil && e.header(".zdebug_info") == nil && e.header(".symtab") == nil {
			err = fmt.Errorf("%s holds no debug information", path)
		}
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			b.debugWhy = err.Error()
		}
		e.close()
		return nil
	}
	return e
}

func (b *Binary) sameBuildID(e *elfFile) error {
	if e.buildID != b.BuildID {
		return fmt.Errorf("%s is of another build (build-id %s)", e.path, e.buildID)
	}
	return nil
}

// debugLink reads .gnu_debuglink: a file name, padding, a CRC-32.
func (b *Binary) debugLink() (name string, crc uint32, ok bool) {
	h := b.main.header(".gnu_debuglink")
	if h == nil {
		return "", 0, false
	}
	d := b.main.slice(h.Offset, h.FileSize)
	end := bytes.IndexByte(d, 0)
	if end <= 0 {
		return "", 0, false
	}
	at := (end + 4) &^ 3
	if at+4 > len(d) || strings.ContainsRune(string(d[:end]), '/') {
		return "", 0, false
	}
	return string(d[:end]), binary.LittleEndian.Uint32(d[at:]), true
}
