package kernel

// Defines the session's view of kernel maps.

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/object"
	"golang.org/x/sys/unix"
)

type kernelMap struct {
	m    *object.Map
	km   *ebpf.Map
	cpus int // values per key
	size int // bytes of one CPU's value, rounded up as bpf(2) does
}

func newKernelMap(m *object.Map, km *ebpf.Map) (*kernelMap, error) {
	k := &kernelMap{m: m, km: km, cpus: 1, size: int(m.ValueSize)}
	if m.Type.PerCPU() {
		n, err := ebpf.PossibleCPU()
		if err != nil {
			return nil, err
		}
		k.cpus, k.size = n, (k.size+7)&^7
	}
	return k, nil
}

func (k *kernelMap) array() bool { return k.m.Type == abi.MapArray || k.m.Type == abi.MapPerCPUArray }

func (k *kernelMap) fail(what string, err error) error {
	return fmt.Errorf("map %s: %s: %w", k.m.Name, what, err)
}

func (k *kernelMap) checkKey(key []byte) error {
	if len(key) != int(k.m.KeySize) {
		return fmt.Errorf("map %s: a key of %d bytes, its keys have %d", k.m.Name, len(key), k.m.KeySize)
	}
	return nil
}

// Lookup implements engine.Map.
func (k *kernelMap) Lookup(key []byte) ([][]byte, error) {
	if err := k.checkKey(key); err != nil {
		return nil, err
	}
	buf := make([]byte, k.size*k.cpus)
	err := mapElem(unix.BPF_MAP_LOOKUP_ELEM, k.km.FD(), key, buf)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, k.fail("lookup", err)
	}
	return k.split(buf), nil
}

func (k *kernelMap) split(buf []byte) [][]byte {
	values := make([][]byte, k.cpus)
	for i := range values {
		values[i] = buf[i*k.size:][:k.m.ValueSize]
	}
	return values
}

// keys are all keys at some time during the call. Programs change the map
// meanwhile: a key that goes away makes the walk start over, so that it must
// know what it has seen, and end although the walk may not.
func (k *kernelMap) keys() ([][]byte, error) {
	var out [][]byte
	seen := map[string]bool{}
	var at []byte
	for steps := 0; steps < 4*int(k.m.MaxEntries)+16; steps++ {
		next := make([]byte, k.m.KeySize)
		err := mapElem(unix.BPF_MAP_GET_NEXT_KEY, k.km.FD(), at, next)
		if errors.Is(err, unix.ENOENT) {
			return out, nil
		}
		if err != nil {
			return nil, k.fail("walking its keys", err)
		}
		if !seen[string(next)] {
			seen[string(next)] = true
			out = append(out, next)
		}
		at = next
	}
	return out, nil
}

// Each implements engine.Map.
func (k *kernelMap) Each(f func(key []byte, values [][]byte) error) error {
	keys, err := k.keys()
	if err != nil {
		return err
	}
	buf := make([]byte, k.size*k.cpus)
	values := k.split(buf)
	for _, key := range keys {
		err := mapElem(unix.BPF_MAP_LOOKUP_ELEM, k.km.FD(), key, buf)
		if errors.Is(err, unix.ENOENT) {
			continue // deleted meanwhile
		}
		if err != nil {
			return k.fail("lookup", err)
		}
		if err := f(key, values); err != nil {
			return err
		}
	}
	return nil
}

// Delete implements engine.Map. A key that is not there is no error.
func (k *kernelMap) Delete(key []byte) error {
	if err := k.checkKey(key); err != nil {
		return err
	}
	if k.array() {
		return k.zero(key)
	}
	if err := mapElem(unix.BPF_MAP_DELETE_ELEM, k.km.FD(), key, nil); err != nil && !errors.Is(err, unix.ENOENT) {
		return k.fail("delete", err)
	}
	return nil
}

func (k *kernelMap) zero(key []byte) error {
	err := mapElem(unix.BPF_MAP_UPDATE_ELEM, k.km.FD(), key, make([]byte, k.size*k.cpus))
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return k.fail("zeroing", err)
	}
	return nil
}

// Clear implements engine.Map.
func (k *kernelMap) Clear() error { return k.all(k.Delete) }

// Zero implements engine.Map.
func (k *kernelMap) Zero() error { return k.all(k.zero) }

func (k *kernelMap) all(do func(key []byte) error) error {
	keys, err := k.keys()
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := do(key); err != nil {
			return err
		}
	}
	return nil
}
