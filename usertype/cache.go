package usertype

// cache.go defines cache: what was read from DWARF, on disk, by build-id. A
// file that is not exactly as written is ignored.

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

const (
	cacheMagic   = "gtraceUT"
	cacheVersion = 1 // of the file format and of what is in it: raise it when a reading of DWARF changes
	cacheMaxFile = 256 << 20
	cacheMaxDirs = 256 // binaries that are remembered
)

// cache is a directory of one binary. A nil cache remembers nothing.
type cache struct{ dir string }

func openCache(dir string, b *Binary) *cache {
	if b.BuildID == "" {
		return nil
	}
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return nil
		}
		dir = filepath.Join(base, "gtrace")
	}
	return &cache{filepath.Join(dir, fmt.Sprintf("usertype-%d", cacheVersion), fmt.Sprintf("%s-%x", b.BuildID, b.main.size))}
}

func (c *cache) path(key string) string {
	h := fnv.New128a()
	io.WriteString(h, key)
	return filepath.Join(c.dir, fmt.Sprintf("%x", h.Sum(nil)))
}

// get returns what put has kept under key, or nil.
func (c *cache) get(key string) []byte {
	if c == nil {
		return nil
	}
	f, err := os.Open(c.path(key))
	if err != nil {
		return nil
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() || st.Size() > cacheMaxFile || !ours(st) {
		return nil
	}
	d := make([]byte, st.Size())
	if _, err := io.ReadFull(f, d); err != nil {
		return nil
	}
	head := cacheHeader(key, nil)
	n := len(head)
	if len(d) < n || !bytes.Equal(d[:n-16], head[:n-16]) {
		return nil
	}
	body := d[n:]
	if binary.LittleEndian.Uint64(d[n-16:]) != uint64(len(body)) || binary.LittleEndian.Uint64(d[n-8:]) != checksum(body) {
		return nil
	}
	return body
}

// ours reports whether the file belongs to the user that reads it: what another
// could write is not to be believed.
func ours(st fs.FileInfo) bool {
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && int(sys.Uid) == os.Geteuid()
}

func checksum(d []byte) uint64 { return crc64.Checksum(d, crc64.MakeTable(crc64.ECMA)) }

// cacheHeader is magic, version, key, length of the body and its checksum.
func cacheHeader(key string, body []byte) []byte {
	h := append([]byte(cacheMagic), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(h[len(cacheMagic):], cacheVersion)
	h = binary.LittleEndian.AppendUint32(h, uint32(len(key)))
	h = append(h, key...)
	h = binary.LittleEndian.AppendUint64(h, uint64(len(body)))
	return binary.LittleEndian.AppendUint64(h, checksum(body))
}

// put keeps body under key. Where that can't be done nothing is kept.
func (c *cache) put(key string, body []byte) {
	if c == nil || len(body) > cacheMaxFile-4096 {
		return
	}
	if _, err := os.Stat(c.dir); err != nil {
		if os.MkdirAll(c.dir, 0o700) != nil {
			return
		}
		c.forget()
	}
	f, err := os.CreateTemp(c.dir, "new-*")
	if err != nil {
		return
	}
	_, err = f.Write(append(cacheHeader(key, body), body...))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), c.path(key))
	}
	if err != nil {
		os.Remove(f.Name())
	}
}

// forget removes the binaries that were remembered first when there are too many.
func (c *cache) forget() {
	parent := filepath.Dir(c.dir)
	es, err := os.ReadDir(parent)
	if err != nil || len(es) <= cacheMaxDirs {
		return
	}
	type aged struct {
		name string
		at   int64
	}
	var all []aged
	for _, e := range es {
		if st, err := e.Info(); err == nil && e.IsDir() && e.Name() != filepath.Base(c.dir) {
			all = append(all, aged{e.Name(), st.ModTime().UnixNano()})
		}
	}
	slices.SortFunc(all, func(a, b aged) int { return int(min(max(a.at-b.at, -1), 1)) })
	for _, a := range all[:max(0, len(all)-cacheMaxDirs/2)] {
		os.RemoveAll(filepath.Join(parent, a.name))
	}
}
