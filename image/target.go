package image

// Defines targets that are not the running kernel: a release by its number,
// with types and configuration from files.

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/abi"
)

// ForRelease is a kernel known by its release alone: "6.1", "5.10.223". It has
// no types and no configuration until UseBTF and UseConfig give them.
func ForRelease(release string) (*Target, error) {
	v, err := abi.ParseVersion(release)
	if err != nil {
		return nil, err
	}
	if v < abi.Oldest || v > abi.Newest {
		return nil, fmt.Errorf("kernel %s is not described: known are %v to %v", release, abi.Oldest, abi.Newest)
	}
	return &Target{Arch: "amd64", Release: release, Version: v, Name: release, Privileged: true}, nil
}

// UseBTF takes the kernel's types from a file: raw BTF or an ELF file with it.
func (t *Target) UseBTF(file string) {
	t.note("types of " + file)
	t.BTF = sync.OnceValues(func() (*btf.Spec, error) {
		s, err := btf.LoadSpec(file)
		if err != nil {
			return nil, fmt.Errorf("cannot read kernel types: %w", err)
		}
		return s, nil
	})
	t.Symbols = nil // the running kernel's addresses are not this one's
}

// UseConfig takes the kernel's configuration from a file, as /boot/config-* or /proc/config.gz have it.
func (t *Target) UseConfig(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("cannot read the kernel's configuration: %w", err)
	}
	if t.Config, err = readConfigText(b); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	t.note("configuration of " + file)
	t.LoadConfig, t.LoadLockdown, t.CPUs, t.Symbols = nil, nil, nil, nil
	return nil
}

// note adds where things come from to the target's name.
func (t *Target) note(what string) {
	name, old, ok := strings.Cut(strings.TrimSuffix(t.Name, ")"), " (")
	if ok && !strings.HasPrefix(old, "running") {
		what = old + ", " + what
	}
	t.Name = name + " (" + what + ")"
}

func readConfigText(b []byte) (map[string]string, error) {
	r, err := maybeGzip(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	m, err := parseConfig(r)
	if err != nil {
		return nil, err
	}
	if len(m) == 0 {
		return nil, fmt.Errorf("no CONFIG_ values: expected the configuration of a kernel's build, as in /boot/config-*")
	}
	return m, nil
}

var configTitle = regexp.MustCompile(`^# Linux/\S+ (\d+\.\d+\S*) Kernel Configuration`)

// ConfigRelease is the release that a configuration file names in its title, or "".
func ConfigRelease(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	r, err := maybeGzip(f)
	if err != nil {
		return ""
	}
	s := bufio.NewScanner(io.LimitReader(r, 1<<12))
	for s.Scan() {
		if m := configTitle.FindStringSubmatch(s.Text()); m != nil {
			return m[1]
		}
	}
	return ""
}
