package helper

import (
	"syscall"
	"unsafe"

	"github.com/gtrace-dev/gtrace/vm/maps"
)

// This file defines the helpers on maps and ring buffers.

func mapLookup(e *Env, m, key, _, _, _ uint64) uint64 {
	p := e.mapArg(m)
	if p == nil {
		return 0
	}
	if p.CPUs() == 1 {
		return address(p.Find(pointer(key), 0))
	}
	return address(p.Find(pointer(key), e.CPU()))
}

func mapLookupPerCPU(e *Env, m, key, cpu, _, _ uint64) uint64 {
	p := e.mapArg(m)
	if p == nil || uint32(cpu) >= uint32(p.CPUs()) {
		return 0
	}
	return address(p.Find(pointer(key), int(uint32(cpu))))
}

func mapUpdate(e *Env, m, key, value, flags, _ uint64) uint64 {
	p := e.mapArg(m)
	if p == nil {
		return 0
	}
	cpu := 0
	if p.CPUs() != 1 {
		cpu = e.CPU()
	}
	return errno(p.Put(pointer(key), pointer(value), flags, cpu))
}

func mapDelete(e *Env, m, key, _, _, _ uint64) uint64 {
	p := e.mapArg(m)
	if p == nil {
		return 0
	}
	return errno(p.Remove(pointer(key)))
}

// maxLoops is the kernel's bound for bpf_loop.
const maxLoops = 1 << 23

func loop(e *Env, n, fn, ctx, flags, _ uint64) uint64 {
	n = uint64(uint32(n))
	if flags != 0 {
		return errno(syscall.EINVAL)
	}
	if n > maxLoops {
		return errno(syscall.E2BIG)
	}
	for i := uint64(0); i < n; i++ {
		stop := e.Call(fn, i, ctx, 0, 0)
		if stop != 0 || e.Err != nil {
			return i + 1
		}
	}
	return n
}

func forEach(e *Env, m, fn, ctx, flags, _ uint64) uint64 {
	p := e.mapArg(m)
	if flags != 0 || p == nil {
		return errno(syscall.EINVAL)
	}
	cpu := 0
	if p.CPUs() != 1 {
		cpu = e.CPU()
	}
	n := uint64(0)
	p.Walk(cpu, func(key, value unsafe.Pointer) bool {
		n++
		e.Keys = append(e.Keys, Record{address(key), uint64(p.KeySize())})
		stop := e.Call(fn, m, address(key), address(value), ctx)
		e.Keys = e.Keys[:len(e.Keys)-1]
		return stop == 0 && e.Err == nil
	})
	return n
}

// Flags of the ring-buffer helpers (include/uapi/linux/bpf.h: BPF_RB_*): how to
// wake the consumer, which looks by itself here.
const ringFlags = 1<<0 | 1<<1

func ringReserve(e *Env, m, size, flags, _, _ uint64) uint64 {
	p := e.mapArg(m)
	if p == nil || flags != 0 {
		return 0
	}
	rec := p.Reserve(size)
	if rec == nil {
		return 0
	}
	e.Records = append(e.Records, Record{address(rec), size})
	return address(rec)
}

// drop forgets a record that is about to be finished.
func (e *Env) drop(addr uint64) {
	for i := len(e.Records) - 1; i >= 0; i-- {
		if e.Records[i].Addr == addr {
			e.Records[i] = e.Records[len(e.Records)-1]
			e.Records = e.Records[:len(e.Records)-1]
			return
		}
	}
}

func ringSubmit(e *Env, rec, _, _, _, _ uint64) uint64 {
	e.drop(rec)
	maps.Submit(pointer(rec))
	return 0
}

func ringDiscard(e *Env, rec, _, _, _, _ uint64) uint64 {
	e.drop(rec)
	maps.Discard(pointer(rec))
	return 0
}

func ringOutput(e *Env, m, data, size, flags, _ uint64) uint64 {
	p := e.mapArg(m)
	if p == nil || flags&^ringFlags != 0 {
		return errno(syscall.EINVAL)
	}
	if !p.Output(pointer(data), size) {
		return errno(syscall.EAGAIN)
	}
	return 0
}

func ringQuery(e *Env, m, what, _, _, _ uint64) uint64 {
	p := e.mapArg(m)
	if p == nil {
		return 0
	}
	s, _ := p.Ring()
	switch what {
	case 0:
		return s.Available
	case 1:
		return s.Size
	case 2:
		return s.Consumer
	case 3:
		return s.Producer
	}
	return 0
}
