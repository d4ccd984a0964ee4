package maps

import (
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// This file defines the locks: words in shared memory.

const (
	spins    = 100
	lockWait = 200 * time.Millisecond // then EBUSY: better an error than a tracer that hangs
	deadWait = 2 * time.Millisecond   // then look whether the holder still lives
)

// lock takes the lock word, or gives up after lockWait. A lock whose holder
// died is taken over: what locks protect is whole between any two stores.
func lock(w *uint32) bool {
	if atomic.CompareAndSwapUint32(w, 0, owner) {
		return true
	}
	return lockSlow(w)
}

func lockSlow(w *uint32) bool {
	for range spins {
		if atomic.LoadUint32(w) == 0 && atomic.CompareAndSwapUint32(w, 0, owner) {
			return true
		}
		runtime.Gosched()
	}
	start := time.Now()
	for {
		holder := atomic.LoadUint32(w)
		if holder == 0 && atomic.CompareAndSwapUint32(w, 0, owner) {
			return true
		}
		waited := time.Since(start)
		if waited > deadWait && holder != 0 && holder != owner && unix.Kill(int(holder), 0) == unix.ESRCH &&
			atomic.CompareAndSwapUint32(w, holder, owner) {
			return true
		}
		if waited > lockWait {
			return false
		}
		time.Sleep(20 * time.Microsecond)
	}
}

func unlock(w *uint32) { atomic.StoreUint32(w, 0) }
