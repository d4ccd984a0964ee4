package helper

import "math/rand/v2"

// This file defines the helpers about the task, the CPU and time.

func pidTgid(e *Env, _, _, _, _, _ uint64) uint64 {
	t := e.Host.Task()
	return uint64(t.TGID)<<32 | uint64(t.TID)
}

func uidGid(e *Env, _, _, _, _, _ uint64) uint64 {
	t := e.Host.Task()
	return uint64(t.GID)<<32 | uint64(t.UID)
}

func comm(e *Env, dst, n, _, _, _ uint64) uint64 {
	b := memory(dst, size(n))
	if len(b) == 0 {
		return 0
	}
	t := e.Host.Task()
	clear(b[copy(b, t.Comm[:]):])
	b[len(b)-1] = 0
	return 0
}

func processorID(e *Env, _, _, _, _, _ uint64) uint64 { return uint64(e.CPU()) }

func prandom(_ *Env, _, _, _, _, _ uint64) uint64 { return uint64(rand.Uint32()) }

func ktimeMonotonic(e *Env, _, _, _, _, _ uint64) uint64 { return e.Host.Monotonic() }

func ktimeBoot(e *Env, _, _, _, _, _ uint64) uint64 { return e.Host.Boottime() }
