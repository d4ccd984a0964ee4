package helper

import (
	"bytes"
	"syscall"
)

// This file defines the helpers that read memory of the traced task and of the kernel.

const (
	page = 4096
	// userEnd is where user addresses end on 64-bit machines with 4-level
	// page tables; bpf_probe_read chooses by it.
	userEnd = 1 << 47
	// kernelStart is where kernel addresses start, with 5-level page tables.
	kernelStart = 0xff << 56
	// userWord: the kernel copies user strings by words and zeroes the rest of the last.
	userWord = 8
)

type reader func(addr uint64, dst []byte) error

// read fills dst, or zeroes it and returns the error.
func read(from reader, dst []byte, addr uint64) uint64 {
	if len(dst) == 0 {
		return 0
	}
	if addr+uint64(len(dst)) < addr || from(addr, dst) != nil {
		clear(dst)
		return errno(syscall.EFAULT)
	}
	return 0
}

// The kernel's first look at an address: a user address has its top bit
// clear; one for bpf_probe_read_kernel is in the kernel's half, else -ERANGE.

func userAddress(addr uint64) bool   { return int64(addr) >= 0 }
func kernelAddress(addr uint64) bool { return addr >= kernelStart }

// readString copies a string up to its NUL and returns its length with the
// NUL. A longer one is cut, and a NUL put at the end. It reads page by page,
// so that a string that ends before an unmapped page is read, and leaves dst
// behind the NUL as it was, but for what word zeroes.
func (e *Env) readString(from reader, dst []byte, addr uint64, word int) uint64 {
	if e.text == nil {
		e.text = make([]byte, page)
	}
	for n := 0; n < len(dst); {
		at := addr + uint64(n)
		chunk := e.text[:min(len(dst)-n, int(page-at%page))]
		if at < addr || from(at, chunk) != nil {
			clear(dst)
			return errno(syscall.EFAULT)
		}
		i := bytes.IndexByte(chunk, 0)
		if i < 0 {
			n += copy(dst[n:], chunk)
			continue
		}
		n += copy(dst[n:], chunk[:i+1])
		e.restOfWord(from, dst, addr, n, word)
		return uint64(n)
	}
	if len(dst) > 0 {
		dst[len(dst)-1] = 0
	}
	return uint64(len(dst))
}

// restOfWord zeroes what the word with the NUL has behind byte n, if the word
// could be read as one: else the kernel goes on by bytes.
func (e *Env) restOfWord(from reader, dst []byte, addr uint64, n, word int) {
	end := (n + word - 1) / word * word
	if end == n || end > len(dst) {
		return
	}
	if last := addr + uint64(end) - 1; last/page != (addr+uint64(n)-1)/page && from(last, e.text[:1]) != nil {
		return
	}
	clear(dst[n:end])
}

func size(n uint64) uint64 { return uint64(uint32(n)) }

func probeReadUser(e *Env, dst, n, addr, _, _ uint64) uint64 {
	if !userAddress(addr) {
		clear(memory(dst, size(n)))
		return errno(syscall.EFAULT)
	}
	return read(e.Host.ReadUser, memory(dst, size(n)), addr)
}

func probeReadKernel(e *Env, dst, n, addr, _, _ uint64) uint64 {
	if !kernelAddress(addr) {
		clear(memory(dst, size(n)))
		return errno(syscall.ERANGE)
	}
	return read(e.Host.ReadKernel, memory(dst, size(n)), addr)
}

func probeReadUserStr(e *Env, dst, n, addr, _, _ uint64) uint64 {
	return e.readString(e.Host.ReadUser, memory(dst, size(n)), addr, userWord)
}

func probeReadKernelStr(e *Env, dst, n, addr, _, _ uint64) uint64 {
	if size(n) > 0 && !kernelAddress(addr) {
		clear(memory(dst, size(n)))
		return errno(syscall.ERANGE)
	}
	return e.readString(e.Host.ReadKernel, memory(dst, size(n)), addr, 1)
}

func probeRead(e *Env, dst, n, addr, _, _ uint64) uint64 {
	if addr < userEnd {
		return probeReadUser(e, dst, n, addr, 0, 0)
	}
	return probeReadKernel(e, dst, n, addr, 0, 0)
}

func probeReadStr(e *Env, dst, n, addr, _, _ uint64) uint64 {
	if addr < userEnd {
		return probeReadUserStr(e, dst, n, addr, 0, 0)
	}
	return probeReadKernelStr(e, dst, n, addr, 0, 0)
}
