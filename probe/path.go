package probe

// path.go finds the file that a probe's PATH names.

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gtrace-dev/gtrace/script/env"
	"github.com/gtrace-dev/gtrace/usertype"
)

// targetRoot is /proc/PID/root if the target sees another file tree than gtrace, else "".
func (r *Resolver) targetRoot() string {
	if r.rooted || r.o.PID == 0 {
		return r.root
	}
	r.rooted = true
	proc := fmt.Sprintf("/proc/%d", r.o.PID)
	ours, err1 := os.Readlink("/proc/self/ns/mnt")
	theirs, err2 := os.Readlink(proc + "/ns/mnt")
	if err1 == nil && err2 == nil && ours != theirs || !sameFile("/", proc+"/root/") {
		r.root = proc + "/root"
	}
	return r.root
}

// sameFile reports whether two paths lead to one file; true if that can't be seen.
func sameFile(a, b string) bool {
	var x, y syscall.Stat_t
	if syscall.Stat(a, &x) != nil || syscall.Stat(b, &y) != nil {
		return true
	}
	return x.Dev == y.Dev && x.Ino == y.Ino
}

// findBinary turns a probe's PATH into a path that gtrace can open.
func (r *Resolver) findBinary(name string) (string, error) {
	if wild(name) {
		return "", fmt.Errorf("unsupported: wildcards in the path of a binary (%s)", name)
	}
	if strings.ContainsRune(name, '/') {
		return r.filePath(name)
	}
	if p := r.mapped(name); p != "" {
		return p, nil
	}
	if library(name) {
		if p := r.inDirs(libraryDirs(r.targetRoot()), name); p != "" {
			return p, nil
		}
	}
	if p := r.inDirs(filepath.SplitList(searchPath()), name); p != "" {
		return p, nil
	}
	if p := r.inDirs(libraryDirs(r.targetRoot()), name); p != "" {
		return p, nil
	}
	e := &env.NotFound{What: "binary", Name: name, In: "PATH and the library directories"}
	if st, err := os.Stat("./" + name); err == nil && st.Mode().IsRegular() {
		e.Candidates = []string{"./" + name}
	}
	return "", e
}

func searchPath() string {
	if p := os.Getenv("PATH"); p != "" {
		return p
	}
	return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
}

// filePath handles a name with a slash: absolute ones are the target's, relative ones ours.
func (r *Resolver) filePath(name string) (string, error) {
	path := name
	if filepath.IsAbs(name) {
		if root := r.targetRoot(); root != "" && !strings.HasPrefix(name, "/proc/") {
			path = resolveIn(root, name)
		}
	} else {
		abs, err := filepath.Abs(name)
		if err != nil {
			return "", err
		}
		path = abs
	}
	st, err := os.Stat(path)
	switch {
	case os.IsNotExist(err):
		return "", &env.NotFound{What: "file", Name: name, Candidates: nearFiles(path)}
	case err != nil:
		return "", err
	case !st.Mode().IsRegular():
		return "", env.BadPlace(name + " is not a regular file")
	}
	return path, nil
}

// resolveIn follows symbolic links of path as a process with that root would.
func resolveIn(root, path string) string {
	rest := strings.Split(filepath.Clean(path), "/")
	done := "/"
	for hops := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == "" {
			continue
		}
		next := filepath.Join(done, name)
		link, err := os.Readlink(root + next)
		if err != nil || hops > 40 {
			done = next
			continue
		}
		hops++
		if filepath.IsAbs(link) {
			done = "/"
		}
		rest = append(strings.Split(link, "/"), rest...)
	}
	return root + done
}

// nearFiles gives the names in path's directory that are near to its last part.
func nearFiles(path string) []string {
	dir := filepath.Dir(path)
	es, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	near := usertype.Near(filepath.Base(path), func(yield func(string) bool) {
		for _, e := range es {
			if !yield(e.Name()) {
				return
			}
		}
	}, 3)
	for i, n := range near {
		near[i] = filepath.Join(dir, n)
	}
	return near
}

// library reports whether a bare name looks like a library's: libc, libc.so.6, ld-linux-x86-64.so.2.
func library(name string) bool {
	return strings.HasPrefix(name, "lib") || strings.Contains(name, ".so")
}

// names reports whether a file is what a bare name asks for: itself, or libNAME.so…, libNAME-1.2.so.
func names(name, file string) bool {
	if file == name {
		return true
	}
	if !library(name) {
		return false
	}
	rest, ok := strings.CutPrefix(file, name)
	if !ok {
		return false
	}
	if strings.Contains(name, ".so") {
		return strings.HasPrefix(rest, ".")
	}
	return strings.HasPrefix(rest, ".so") || len(rest) > 1 && rest[0] == '-' && rest[1] >= '0' && rest[1] <= '9' && strings.Contains(rest, ".so")
}

// mapped finds a binary among those that the target has mapped.
func (r *Resolver) mapped(name string) string {
	if r.o.PID == 0 {
		return ""
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/maps", r.o.PID))
	if err != nil {
		return ""
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		head, path, ok := strings.Cut(sc.Text(), "/")
		if !ok || !names(name, filepath.Base(path)) {
			continue
		}
		f := strings.Fields(head)
		inode := f[len(f)-1]
		// After chroot(2) the kernel writes paths as we see them, else as the target does.
		for _, p := range []string{r.targetRoot() + "/" + path, "/" + path} {
			var st syscall.Stat_t
			if syscall.Stat(p, &st) == nil && fmt.Sprint(st.Ino) == inode {
				return p
			}
		}
	}
	return ""
}

// inDirs finds a binary in directories as the target sees them.
func (r *Resolver) inDirs(dirs []string, name string) string {
	root := r.targetRoot()
	for _, d := range dirs {
		if !filepath.IsAbs(d) {
			continue
		}
		if root != "" {
			d = resolveIn(root, d)
		}
		if p := regular(root, filepath.Join(d, name)); p != "" {
			return p
		}
		if !library(name) {
			continue
		}
		found, _ := filepath.Glob(filepath.Join(d, name+"*"))
		for _, p := range found {
			if names(name, filepath.Base(p)) {
				if p := elf(regular(root, p)); p != "" {
					return p
				}
			}
		}
	}
	return ""
}

// elf returns path if the file begins as an ELF file does: libc.so is a linker script.
func elf(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	var magic [4]byte
	if _, err := f.Read(magic[:]); err != nil || string(magic[:]) != "\x7fELF" {
		return ""
	}
	return path
}

func regular(root, path string) string {
	if root != "" {
		path = resolveIn(root, strings.TrimPrefix(path, root))
	}
	if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
		return path
	}
	return ""
}

// libraryDirs is where the dynamic linker looks: ld.so.conf's directories and its built-in ones.
func libraryDirs(root string) []string {
	return append(ldConf(root, "/etc/ld.so.conf", 0),
		"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
		"/lib64", "/usr/lib64", "/lib", "/usr/lib")
}

// ldConf reads ld.so.conf(5) and what it includes.
func ldConf(root, path string, depth int) []string {
	if depth > 4 {
		return nil
	}
	d, err := os.ReadFile(root + path)
	if err != nil || len(d) > 1<<20 {
		return nil
	}
	var dirs []string
	for _, line := range strings.Split(string(d), "\n") {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "include "); ok {
			pat := strings.TrimSpace(rest)
			if !filepath.IsAbs(pat) {
				pat = filepath.Join(filepath.Dir(path), pat)
			}
			files, _ := filepath.Glob(root + pat)
			for _, f := range files {
				dirs = append(dirs, ldConf(root, strings.TrimPrefix(f, root), depth+1)...)
			}
		} else if filepath.IsAbs(line) {
			dirs = append(dirs, line)
		}
	}
	return dirs
}
