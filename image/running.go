package image

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/abi"
	"golang.org/x/sys/unix"
)

// runningBTF reads the running kernel's types once a process: objects
// compiled against them recognise them by identity.
var runningBTF = sync.OnceValues(func() (*btf.Spec, error) {
	s, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, fmt.Errorf("the running kernel's types (/sys/kernel/btf/vmlinux, CONFIG_DEBUG_INFO_BTF): %w", err)
	}
	return s, nil
})

// Running is the kernel that this process runs on. Only uname is asked; types
// and configuration are read when something needs them.
func Running() (*Target, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return nil, fmt.Errorf("uname: %w", err)
	}
	release := unix.ByteSliceToString(u.Release[:])
	v, err := abi.ParseVersion(release)
	if err != nil {
		return nil, err
	}
	return &Target{
		Exact: exactRelease(unix.ByteSliceToString(u.Version[:])),
		Arch:  runtime.GOARCH, Release: release, Version: v, Name: v.String() + " (running kernel's BTF)",
		Privileged: true, BTF: runningBTF,
		LoadConfig: sync.OnceValues(func() (map[string]string, error) { return readConfig(release) }),
		Symbols:    runningSymbols, LoadLockdown: sync.OnceValue(runningLockdown), CPUs: sync.OnceValue(runningCPUs),
	}, nil
}

// exactRelease is the release that a distribution's kernel was made from,
// where its own number hides the last part; "" when it does not.
func exactRelease(version string) string {
	if _, rest, ok := strings.Cut(version, "Debian "); ok { // "#1 SMP … Debian 6.1.129-1 (2025-03-06)"
		exact, _, _ := strings.Cut(rest, "-")
		return exact
	}
	b, err := os.ReadFile("/proc/version_signature") // "Ubuntu 5.4.0-12.15-generic 5.4.8"
	if w := strings.Fields(string(b)); err == nil && len(w) == 3 {
		return w[2]
	}
	return ""
}

// readConfig reads the configuration that the running kernel was built with.
func readConfig(release string) (map[string]string, error) {
	if f, err := os.Open("/proc/config.gz"); err == nil {
		defer f.Close()
		z, err := maybeGzip(f)
		if err != nil {
			return nil, fmt.Errorf("/proc/config.gz: %w", err)
		}
		return parseConfig(z)
	}
	f, err := os.Open("/boot/config-" + release)
	if err != nil {
		return nil, fmt.Errorf("the kernel's configuration is neither in /proc/config.gz (CONFIG_IKCONFIG_PROC) nor in /boot/config-%s", release)
	}
	defer f.Close()
	return parseConfig(f)
}

// maybeGzip reads through compression where there is some.
func maybeGzip(r io.Reader) (io.Reader, error) {
	b := bufio.NewReader(r)
	if magic, err := b.Peek(2); err != nil || magic[0] != 0x1f || magic[1] != 0x8b {
		return b, nil
	}
	return gzip.NewReader(b)
}

// maxConfig bounds how much of a configuration is read; real ones have about 300 kB.
const maxConfig = 8 << 20

func parseConfig(r io.Reader) (map[string]string, error) {
	m := map[string]string{}
	s := bufio.NewScanner(io.LimitReader(r, maxConfig))
	for s.Scan() {
		if k, v, ok := strings.Cut(s.Text(), "="); ok && strings.HasPrefix(k, "CONFIG_") {
			m[k] = v
		}
	}
	return m, s.Err()
}

// runningSymbols reads /proc/kallsyms once a process. Modules' symbols are
// among them; of two with one name the first counts, as for libbpf.
var runningSymbols = sync.OnceValues(func() (map[string]uint64, error) {
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return nil, fmt.Errorf("the kernel's symbols: %w", err)
	}
	defer f.Close()
	m := map[string]uint64{}
	s := bufio.NewScanner(f)
	for s.Scan() {
		w := strings.Fields(s.Text())
		if len(w) < 3 {
			continue
		}
		addr, err := strconv.ParseUint(w[0], 16, 64)
		if err != nil {
			return nil, fmt.Errorf("/proc/kallsyms: %q", s.Text())
		}
		if _, ok := m[w[2]]; !ok {
			m[w[2]] = addr
		}
	}
	return m, s.Err()
})
