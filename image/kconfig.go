package image

// Defines how externs of the kernel's configuration (__kconfig) get their
// values, by libbpf's rules.

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/object"
)

func (t *Target) config() (map[string]string, error) {
	if t.Config != nil {
		return t.Config, nil
	}
	if t.LoadConfig == nil {
		return nil, fmt.Errorf("target %s has no configuration", t.Name)
	}
	return t.LoadConfig()
}

// kconfigName is the map of configuration values.
const kconfigName = ".kconfig"

// filled is m, with a .kconfig map's data from the target's configuration. A
// value that the target lacks is an error only for what refers to it.
func (l *linker) filled(m *object.Map) (*object.Map, error) {
	if m.Name != kconfigName {
		return m, nil
	}
	c := *m
	c.Data = make([]byte, m.ValueSize)
	c.Frozen, c.Flags = true, c.Flags|abi.MapRdonlyProg
	l.lacking = map[int64]error{}
	for _, x := range l.o.Externs {
		if x.Kind != object.ExternKconfig {
			continue
		}
		size, err := btf.Sizeof(x.Type)
		if err != nil || size <= 0 || int64(x.Offset)+int64(size) > int64(len(c.Data)) {
			return nil, fmt.Errorf("extern %s: no room for its type %v in %s", x.Name, x.Type, kconfigName)
		}
		if err := l.t.fillConfig(x.Name, x.Type, x.Weak, c.Data[x.Offset:][:size]); err != nil {
			l.lacking[int64(x.Offset)] = err
		}
	}
	return &c, nil
}

// fillConfig writes the configuration value name, of type typ, into dst.
func (t *Target) fillConfig(name string, typ btf.Type, weak bool, dst []byte) error {
	kind := configKind(typ)
	if kind == configUnknown {
		return fmt.Errorf("extern %s: its type %v is none that a configuration value can have: bool, char, an integer, enum libbpf_tristate or an array of char", name, typ)
	}
	v := configValue{name: name, kind: kind, typ: typ, dst: dst}
	clear(dst)
	if strings.HasPrefix(name, "LINUX_") {
		n, known := t.virtualConfig(name)
		switch {
		case known:
			return v.number(strconv.FormatUint(n, 10))
		case weak:
			return nil
		}
		return &Unsupported{What: "extern " + name, How: "declare it __weak"}
	}
	config, err := t.config()
	if err != nil {
		return &Unsupported{What: fmt.Sprintf("configuration value %s: %v", name, err), How: "give the kernel's configuration (--config FILE)"}
	}
	val, ok := config[name]
	if !ok {
		if weak {
			return nil
		}
		return &Unsupported{What: fmt.Sprintf("configuration value %s: target %s does not have it", name, t.Name), How: "declare it __weak"}
	}
	return v.put(val)
}

// virtualConfig are the names that libbpf documents as not coming from the configuration.
func (t *Target) virtualConfig(name string) (v uint64, ok bool) {
	switch name {
	case "LINUX_KERNEL_VERSION":
		patch, release := uint64(0), t.Release
		if t.Exact != "" {
			release = t.Exact
		}
		if p := strings.SplitN(release, ".", 3); len(p) == 3 {
			digits := len(p[2]) - len(strings.TrimLeft(p[2], "0123456789"))
			patch, _ = strconv.ParseUint(p[2][:digits], 10, 32)
		}
		return uint64(t.Version) | min(patch, 255), true
	case "LINUX_HAS_BPF_COOKIE":
		return b2u(t.Version >= abi.V(5, 15)), true
	case "LINUX_HAS_SYSCALL_WRAPPER":
		return b2u(t.Arch == "amd64" && t.Version >= abi.V(4, 17)), true
	}
	return 0, false
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// The kinds of types that a configuration value may be declared with.
const (
	configUnknown = iota
	configBool
	configChar
	configInt
	configTristate
	configString
)

func configKind(typ btf.Type) int {
	switch t := btf.UnderlyingType(typ).(type) {
	case *btf.Int:
		switch {
		case t.Encoding&btf.Bool != 0 && t.Size == 1:
			return configBool
		case t.Encoding&btf.Bool != 0:
			return configUnknown
		case t.Size == 1:
			return configChar
		case t.Size == 2, t.Size == 4, t.Size == 8:
			return configInt
		}
	case *btf.Enum:
		if t.Name == "libbpf_tristate" {
			return configTristate
		}
	case *btf.Array:
		if t.Nelems > 0 && configKind(t.Type) == configChar {
			return configString
		}
	}
	return configUnknown
}

// configValue is a place for a value.
type configValue struct {
	name string
	kind int
	typ  btf.Type
	dst  []byte
}

// put writes val as the kernel's build wrote it: y, n, m, "text" or a number.
func (v *configValue) put(val string) error {
	switch {
	case strings.HasPrefix(val, `"`):
		return v.text(val)
	case val == "y", val == "n", val == "m":
		return v.tristate(val[0])
	}
	return v.number(val)
}

func (v *configValue) mismatch(val string) error {
	return fmt.Errorf("extern %s has type %v, but the target's value is %s", v.name, v.typ, val)
}

func (v *configValue) text(val string) error {
	body, ok := strings.CutSuffix(val[1:], `"`)
	if v.kind != configString || !ok {
		return v.mismatch(val)
	}
	copy(v.dst[:len(v.dst)-1], body)
	return nil
}

// tristate writes y, n or m; in a char it is the letter itself.
func (v *configValue) tristate(c byte) error {
	n := map[byte]byte{'n': 0, 'y': 1, 'm': 2}[c]
	switch {
	case v.kind == configChar:
		v.dst[0] = c
	case v.kind == configTristate, v.kind == configBool && c != 'm':
		v.dst[0] = n
	default:
		return v.mismatch(string(c))
	}
	return nil
}

func (v *configValue) number(val string) error {
	if v.kind != configInt && v.kind != configChar && (v.kind != configBool || val != "0" && val != "1") {
		return v.mismatch(val)
	}
	u, err := strconv.ParseUint(val, 0, 64)
	if err != nil {
		s, err := strconv.ParseInt(val, 0, 64)
		if err != nil {
			return fmt.Errorf("extern %s: the target's value %q is no number", v.name, val)
		}
		u = uint64(s)
	}
	if i, ok := btf.UnderlyingType(v.typ).(*btf.Int); len(v.dst) < 8 {
		bits := uint(len(v.dst)) * 8
		if ok && i.Encoding&btf.Signed != 0 && (u+1<<(bits-1))>>bits != 0 || (!ok || i.Encoding&btf.Signed == 0) && u>>bits != 0 {
			return fmt.Errorf("extern %s: the target's value %s does not fit %d bytes", v.name, val, len(v.dst))
		}
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], u)
	copy(v.dst, b[:])
	return nil
}
