package vm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify/facts"
	"github.com/gtrace-dev/gtrace/vm/helper"
	"github.com/gtrace-dev/gtrace/vm/maps"
	"golang.org/x/sys/unix"
)

// This file tests calls, memory, helpers and faults: against the kernel where it can say.

var everyMode = []Options{{}, {Check: true}}

// same runs insns in both modes and in the kernel, and compares R0.
func same(t *testing.T, insns []isa.Insn, ctx []byte, want uint64) {
	t.Helper()
	for _, opts := range everyMode {
		p, _ := start(t, opts, insns)
		got, err := p.Run(&self{}, ctx)
		if err != nil || got != want {
			t.Errorf("check %v: got %#x, %v; want %#x", opts.Check, got, err, want)
		}
	}
	if bpfPermitted() == nil {
		if got := kernel(t, insns).run(t, ctx); got != uint32(want) {
			t.Errorf("kernel: %#x, want %#x", got, want)
		}
	}
}

func TestLocalCalls(t *testing.T) {
	// Three levels, each with its own stack and registers.
	same(t, prog(
		movK(6, 1000), st(isa.SizeDW, 10, -8, 5), movK(1, 1), callLocal(4),
		ldx(isa.SizeDW, 1, 10, -8), alu64(isa.Add, 0, 1), alu64(isa.Add, 0, 6), exit(),
		// first: stack slot of its own, R6 changed, calls second
		movK(6, 7), st(isa.SizeDW, 10, -8, 20), callLocal(3),
		ldx(isa.SizeDW, 1, 10, -8), alu64(isa.Add, 0, 1), exit(),
		// second: 300 + R1 + R6 is its caller's
		movR(0, 1), alu64K(isa.Add, 0, 300), st(isa.SizeDW, 10, -512, 9), exit(),
	), nil, 1000+5+20+301)
	// A pointer to the caller's stack.
	same(t, prog(
		st(isa.SizeDW, 10, -8, 0), movR(1, 10), alu64K(isa.Add, 1, -8), callLocal(2), ldx(isa.SizeDW, 0, 10, -8), exit(),
		st(isa.SizeDW, 1, 0, 77), movK(0, 0), exit(),
	), nil, 77)
}

func TestGotol(t *testing.T) {
	same(t, prog(movK(0, 1), ldx(isa.SizeDW, 2, 1, 0), jmpK(isa.Jeq, 2, 5, 1), isa.Insn{Op: isa.ClassJMP32 | isa.Ja, Imm: 1}, movK(0, 2), alu64K(isa.Add, 0, 10), exit()), words(6), 11)
}

func TestLoadSigned(t *testing.T) {
	for i, size := range []uint8{isa.SizeB, isa.SizeH, isa.SizeW} {
		want := []uint64{0xffff_ffff_ffff_fffe, 0xffff_ffff_ffff_fefe, 0xffff_ffff_fefe_fefe}[i]
		for shift, part := range []uint64{want, want >> 32} {
			same(t, prog(st(isa.SizeDW, 10, -8, -0x01010102), ldxs(size, 0, 10, -8), alu64K(isa.Rsh, 0, int32(shift)*32), exit()), nil, part)
		}
	}
}

func TestAcquireRelease(t *testing.T) {
	for i, size := range []uint8{isa.SizeB, isa.SizeH, isa.SizeW, isa.SizeDW} {
		n := 1 << i
		for off := -8; off+n <= 0; off += n {
			insns := prog(wide(2, 0, 0x1122_3344_5566_7788), stx(isa.SizeDW, 10, -8, 2), movK(3, -1),
				atomicOp(size, 10, int16(off), 3, isa.StoreRelease), // to the stack
				atomicOp(size, 4, 0, 10, isa.LoadAcquire))
			insns[len(insns)-1].Off = int16(off)
			insns = append(insns, prog(ldx(isa.SizeDW, 0, 10, -8), alu64(isa.Xor, 0, 4), exit())...)
			for _, opts := range everyMode {
				p, _ := start(t, opts, insns)
				got, err := p.Run(&self{}, nil)
				b := words(0x1122_3344_5566_7788)
				for j := range n {
					b[8+off+j] = 0xff
				}
				ones := uint64(math.MaxUint64) >> (64 - 8*n)
				if want := binary.NativeEndian.Uint64(b) ^ ones; err != nil || got != want {
					t.Errorf("%d bytes at %d: got %#x, %v, want %#x", n, off, got, err, want)
				}
			}
		}
	}
}

func TestMayGoto(t *testing.T) {
	// Counts until may_goto has had enough: the kernel's bound is by count or by time, ours 8 Mi.
	insns := prog(movK(0, 0), isa.Insn{Op: isa.ClassJMP | isa.Jcond, Off: 2}, alu64K(isa.Add, 0, 1), ja(-3), exit())
	p, _ := start(t, Options{}, insns)
	if got, err := p.Run(&self{}, nil); err != nil || got != 1<<23 {
		t.Errorf("got %d, %v", got, err)
	}
}

func TestBudget(t *testing.T) {
	insns := prog(mapIdx(1, 0), movK(2, 8), movK(3, 0), call(131), ja(-1))
	ring := &object.Map{Name: "ring", Type: abi.MapRingBuf, MaxEntries: 4096}
	for _, check := range []bool{false, true} {
		p, byName := start(t, Options{Check: check, Fuel: 1000}, insns, ring)
		if _, err := p.Run(&self{}, nil); !errors.Is(err, ErrBudget) {
			t.Errorf("check %v: %v", check, err)
		}
		byName["ring"].Output(unsafe.Pointer(&[8]byte{}), 8)
		if n, err := byName["ring"].Consume(func([]byte) error { return nil }); n != 1 || err != nil {
			t.Errorf("check %v: a record behind the one that the ended run held: %d, %v", check, n, err)
		}
	}
}

func TestTypedLoads(t *testing.T) {
	// R1's value is a user address; loads of it are marked by facts.
	insns := prog(ldx(isa.SizeDW, 1, 1, 0),
		isa.Insn{Op: isa.ClassJMP | isa.Call, Src: isa.CallKfunc, Imm: abi.KfuncUserCast},
		ldx(isa.SizeDW, 6, 0, 0), ldxs(isa.SizeH, 7, 0, 8),
		isa.Insn{Op: isa.ClassJMP | isa.Call, Src: isa.CallKfunc, Imm: abi.KfuncFault},
		movR(8, 0),
		isa.Insn{Op: isa.ClassJMP | isa.Call, Src: isa.CallKfunc, Imm: abi.KfuncFault},
		alu64K(isa.Lsh, 0, 1), alu64(isa.Or, 0, 8), alu64K(isa.Lsh, 0, 56),
		alu64(isa.Add, 0, 6), alu64(isa.Add, 0, 7), exit())
	table := &facts.Table{Insns: make([]facts.Insn, len(insns))}
	for i := range table.Insns {
		table.Insns[i] = facts.Insn{Reached: true, Map: -1}
	}
	for _, i := range []int{2, 3} {
		table.Insns[i].Mem, table.Insns[i].Faults = facts.UserPtr, true
	}
	mem := offHeap(t, 2*4096)
	unix.Mprotect(mem[4096:], unix.PROT_NONE)
	copy(mem[4096-16:], words(0x1000, 0xfffe))
	copy(mem[4096-8:], words(0x2000))
	for _, opts := range everyMode {
		p, err := load(imageOf(insns), table, nil, opts)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct{ addr, want uint64 }{
			{addr(mem[4096-16:]), 0x3000},
			{addr(mem[4096-8:]), 1<<56 + 0x2000}, // the second load is behind the end
			{8, 1 << 56},
			{math.MaxUint64 - 3, 1 << 56},
		} {
			if got, err := p.Run(&self{}, words(c.addr)); err != nil || got != c.want {
				t.Errorf("check %v, address %#x: got %#x, %v, want %#x", opts.Check, c.addr, got, err, c.want)
			}
		}
	}
}

func offHeap(t *testing.T, n int) []byte {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(b) })
	return b
}

// TestReadHelpers reads memory and strings into a map's value in our vm and in
// the kernel, near the end of a page, and compares every byte.
func TestReadHelpers(t *testing.T) {
	mem := offHeap(t, 3*4096)
	unix.Mprotect(mem[2*4096:], unix.PROT_NONE)
	for i := range mem[:2*4096] {
		mem[i] = 'a' + byte(i%26)
	}
	end := 2 * 4096
	mem[end-1], mem[end-20], mem[4096+5] = 0, 0, 0
	const size = 64
	out := &object.Map{Name: "out", Type: abi.MapArray, KeySize: 4, ValueSize: size, MaxEntries: 1}
	for _, id := range []int32{112, 114, 113, 115} {
		for _, n := range []int32{0, 1, 7, 8, 9, 16, 63, 64} {
			insns := prog(movR(6, 1), st(isa.SizeW, 10, -4, 0), mapIdx(1, 0), movR(2, 10), alu64K(isa.Add, 2, -4), call(1),
				jmpK(isa.Jne, 0, 0, 2), movK(0, 1), exit(),
				movR(1, 0), movK(2, n), ldx(isa.SizeDW, 3, 6, 0), call(id), exit())
			p, byName := start(t, Options{Check: true}, insns, out)
			var k *kernelProgram
			if bpfPermitted() == nil {
				k = kernel(t, insns, out)
			}
			for _, a := range []uint64{addr(mem), addr(mem[4096-3:]), addr(mem[end-3:]), addr(mem[end-19:]), addr(mem[end-28:]), addr(mem[end-8:]),
				addr(mem[end-64:]), addr(mem[end-1:]), addr(mem) + uint64(end), 0, 1 << 63} {
				fill := bytes.Repeat([]byte{0xee}, size)
				byName["out"].Update(make([]byte, 4), fill, maps.Any)
				got, err := p.Run(&self{}, words(a))
				if err != nil {
					t.Fatal(err)
				}
				v, _ := byName["out"].Lookup(make([]byte, 4))
				if k == nil {
					continue
				}
				k.maps[0].Put(uint32(0), fill)
				want := k.run(t, words(a))
				var w []byte
				k.maps[0].Lookup(uint32(0), &w)
				if uint32(got) != want || !bytes.Equal(v[0], w) {
					t.Errorf("helper %d, %d bytes at end%+d:\nours   %d %q\nkernel %d %q", id, n, int64(a-addr(mem))-int64(end), int32(got), v[0], int32(want), w)
				}
			}
		}
	}
}

func TestTaskHelpers(t *testing.T) {
	out := &object.Map{Name: "out", Type: abi.MapArray, KeySize: 4, ValueSize: 64, MaxEntries: 1}
	insns := prog(st(isa.SizeW, 10, -4, 0), mapIdx(1, 0), movR(2, 10), alu64K(isa.Add, 2, -4), call(1),
		jmpK(isa.Jne, 0, 0, 2), movK(0, 1), exit(), movR(6, 0),
		call(15), stx(isa.SizeDW, 6, 8, 0), movR(1, 6), alu64K(isa.Add, 1, 16), movK(2, 16), call(16), stx(isa.SizeDW, 6, 32, 0),
		call(14), stx(isa.SizeDW, 6, 0, 0), call(5), stx(isa.SizeDW, 6, 40, 0), call(125), stx(isa.SizeDW, 6, 48, 0), call(8), call(7), movK(0, 0), exit())
	p, byName := start(t, Options{Check: true}, insns, out)
	if _, err := p.Run(&self{}, nil); err != nil {
		t.Fatal(err)
	}
	v, _ := byName["out"].Lookup(make([]byte, 4))
	if bpfPermitted() != nil {
		t.Skip("bpf(2) is not permitted here: not compared with the kernel")
	}
	k := kernel(t, insns, out)
	k.run(t, nil)
	var w []byte
	k.maps[0].Lookup(uint32(0), &w)
	if !bytes.Equal(v[0][4:40], w[4:40]) { // the thread may be another
		t.Errorf("ours   %q\nkernel %q", v[0][4:40], w[4:40])
	}
	for off := 40; off < 56; off += 8 {
		a, b := binary.NativeEndian.Uint64(v[0][off:]), binary.NativeEndian.Uint64(w[off:])
		if b < a || b-a > 5e9 {
			t.Errorf("clock at %d: ours %d, the kernel later %d", off, a, b)
		}
	}
}

// TestCounting runs a counting probe in our vm and in the kernel.
func TestCounting(t *testing.T) {
	for _, typ := range []abi.MapType{abi.MapHash, abi.MapPerCPUHash} {
		for _, opts := range everyMode {
			p, byName := start(t, opts, countProgram(), countMap(typ))
			for range 10 {
				if _, err := p.Run(&self{}, nil); err != nil {
					t.Fatal(err)
				}
			}
			v, err := byName["counts"].Lookup(words(uint64(unix.Getpid())))
			if err != nil || v == nil || binary.NativeEndian.Uint64(v[0]) != 10 {
				t.Errorf("%v: %v, %v, want 10", typ, v, err)
			}
		}
	}
	if bpfPermitted() == nil {
		k := kernel(t, countProgram(), countMap(abi.MapHash))
		for range 10 {
			k.run(t, nil)
		}
		var n uint64
		if err := k.maps[0].Lookup(uint64(unix.Getpid()), &n); err != nil || n != 10 {
			t.Errorf("kernel: %d, %v", n, err)
		}
	}
}

// TestCallbacks: bpf_loop and bpf_for_each_map_elem, also in the kernel.
func TestCallbacks(t *testing.T) {
	loop := func(n int32) []isa.Insn {
		return prog(st(isa.SizeDW, 10, -8, 0), movK(1, n), wide(2, isa.PseudoFunc, 9), movR(3, 10), alu64K(isa.Add, 3, -8), movK(4, 0), call(181),
			alu64K(isa.Lsh, 0, 16), ldx(isa.SizeDW, 1, 10, -8), alu64(isa.Add, 0, 1), exit(),
			ldx(isa.SizeDW, 3, 2, 0), alu64(isa.Add, 3, 1), stx(isa.SizeDW, 2, 0, 3), movK(0, 0), jmpK(isa.Jlt, 1, 100, 1), movK(0, 1), exit())
	}
	for n, want := range map[int32]uint64{0: 0, 1: 1 << 16, 5: 5<<16 + 10, 1000: 101<<16 + 5050} {
		insns := loop(n)
		insns[3].Imm = 0
		// The function starts behind the first exit.
		for i, in := range insns {
			if in.IsExit() {
				insns[2].Imm = int32(i + 1 - 3)
				break
			}
		}
		for _, opts := range everyMode {
			p, _ := start(t, opts, insns)
			if got, err := p.Run(&self{}, nil); err != nil || got != want {
				t.Errorf("bpf_loop %d: got %#x, %v, want %#x", n, got, err, want)
			}
		}
	}
	m := &object.Map{Name: "m", Type: abi.MapHash, KeySize: 4, ValueSize: 8, MaxEntries: 8}
	insns := prog(st(isa.SizeDW, 10, -8, 0), mapIdx(1, 0), wide(2, isa.PseudoFunc, 7), movR(3, 10), alu64K(isa.Add, 3, -8), movK(4, 0), call(164),
		ldx(isa.SizeDW, 0, 10, -8), exit(),
		ldx(isa.SizeW, 2, 2, 0), ldx(isa.SizeDW, 3, 3, 0), alu64(isa.Mul, 3, 2), ldx(isa.SizeDW, 5, 4, 0), alu64(isa.Add, 5, 3), stx(isa.SizeDW, 4, 0, 5), movK(0, 0), exit())
	for _, opts := range everyMode {
		p, byName := start(t, opts, insns, m)
		for i := range uint32(4) {
			byName["m"].Update(binary.NativeEndian.AppendUint32(nil, i), words(10), maps.Any)
		}
		if got, err := p.Run(&self{}, nil); err != nil || got != 60 {
			t.Errorf("bpf_for_each_map_elem: got %d, %v, want 60", got, err)
		}
	}
}

func TestText(t *testing.T) {
	data := &object.Map{Name: ".rodata", Type: abi.MapArray, KeySize: 4, ValueSize: 64, MaxEntries: 1, Frozen: true, Flags: abi.MapRdonlyProg,
		Data: []byte("pid %d is %5s%% %-4u|%08llx %c\x00kernel\x00-0x1f\x00")}
	format := prog(wide(1, isa.PseudoMapIdxValue, 0), movK(2, 31), movK(3, -7), wide(4, isa.PseudoMapIdxValue, 31<<32), movK(5, 42), call(6), exit())
	p, _ := start(t, Options{Check: true}, format, data)
	h := &self{}
	if got, err := p.Run(h, nil); err != nil || int64(got) != -22 { // four conversions want more than three arguments
		t.Errorf("too many conversions: %d, %v", int64(got), err)
	}
	cmp := prog(wide(1, isa.PseudoMapIdxValue, 31<<32), movK(2, 7), wide(3, isa.PseudoMapIdxValue, 31<<32), call(182), exit())
	p, _ = start(t, Options{Check: true}, cmp, data)
	if got, err := p.Run(h, nil); err != nil || got != 0 {
		t.Errorf("bpf_strncmp: %d, %v", got, err)
	}
	number := prog(wide(1, isa.PseudoMapIdxValue, 38<<32), movK(2, 6), movK(3, 0), movR(4, 10), alu64K(isa.Add, 4, -8), call(105),
		ldx(isa.SizeDW, 1, 10, -8), alu64K(isa.Mul, 1, 100), alu64(isa.Add, 0, 1), exit())
	p, _ = start(t, Options{Check: true}, number, data)
	if got, err := p.Run(h, nil); err != nil || int64(got) != -3100+5 {
		t.Errorf("bpf_strtol: %d, %v", int64(got), err)
	}
	short := &object.Map{Name: ".rodata", Type: abi.MapArray, KeySize: 4, ValueSize: 32, MaxEntries: 1, Frozen: true, Data: []byte("%d %-4u|%06llx\x00")}
	p, _ = start(t, Options{Check: true}, prog(wide(1, isa.PseudoMapIdxValue, 0), movK(2, 15), movK(3, -7), movK(4, 42), movK(5, 0xbee), call(6), exit()), short)
	if got, err := p.Run(h, nil); err != nil || len(h.printed) != 1 || h.printed[0] != "-7 42  |000bee" || got != 14 {
		t.Errorf("bpf_trace_printk: %d, %v, %q", int64(got), err, h.printed)
	}
}

// TestChecks: what checking mode must catch, with the words it must use.
func TestChecks(t *testing.T) {
	hash := &object.Map{Name: "m", Type: abi.MapHash, KeySize: 4, ValueSize: 12, MaxEntries: 4}
	ro := &object.Map{Name: ".rodata", Type: abi.MapArray, KeySize: 4, ValueSize: 8, MaxEntries: 1, Frozen: true}
	ring := &object.Map{Name: "ring", Type: abi.MapRingBuf, MaxEntries: 4096}
	defs := []*object.Map{hash, ro, ring}
	lookup := prog(st(isa.SizeW, 10, -4, 1), mapIdx(1, 0), movR(2, 10), alu64K(isa.Add, 2, -4), call(1))
	reserve := prog(mapIdx(1, 2), movK(2, 16), movK(3, 0), call(131))
	done := prog(movK(0, 0), exit())
	for _, c := range []struct {
		name  string
		insns []isa.Insn
		insn  int
		want  string // "" for none
	}{
		{"stack", prog(st(isa.SizeDW, 10, -512, 1), st(isa.SizeB, 10, -1, 1), done), 0, ""},
		{"below the stack", prog(st(isa.SizeDW, 10, -520, 1), done), 0, "writes 8 bytes"},
		{"above the stack", prog(ldx(isa.SizeW, 0, 10, -2), done), 0, "offset 510 of stack frame 0, which has 512 bytes"},
		{"callee's stack after it returned", prog(callLocal(2), ldx(isa.SizeDW, 0, 0, -8), exit(), st(isa.SizeDW, 10, -8, 1), movR(0, 10), exit()), 1, "outside of every live object"},
		{"context", prog(ldx(isa.SizeDW, 0, 1, 16), exit()), 0, ""},
		{"behind the context", prog(ldx(isa.SizeDW, 0, 1, 24), exit()), 0, "offset 24 of the context, which has 24 bytes"},
		{"context written", prog(st(isa.SizeDW, 1, 0, 0), done), 0, "context, which is read-only there"},
		{"null", prog(movK(1, 0), ldx(isa.SizeDW, 0, 1, 0), exit()), 1, "reads 8 bytes at 0x0, outside of every live object"},
		{"map value", prog(lookup, ldx(isa.SizeW, 0, 0, 8), exit()), 0, ""},
		{"behind a map value", prog(lookup, ldx(isa.SizeDW, 0, 0, 8), exit()), 6, `in the memory of map "m" (hash), but not inside a value of 12 bytes`},
		{"map value before its start", prog(lookup, ldx(isa.SizeDW, 0, 0, -8), exit()), 6, `in the memory of map "m"`},
		{"read-only value", prog(wide(1, isa.PseudoMapIdxValue, 1), st(isa.SizeB, 1, 0, 1), done), 2, `a value of map ".rodata", which is read-only`},
		{"key outside", prog(mapIdx(1, 0), movR(2, 10), call(1), exit()), 3, "bpf_map_lookup_elem: argument 2: reads 4 bytes"},
		{"value outside", prog(mapIdx(1, 0), movR(2, 10), alu64K(isa.Add, 2, -8), movR(3, 10), alu64K(isa.Add, 3, -8), movK(4, 0), call(2), exit()), 7, "bpf_map_update_elem: argument 3: reads 12 bytes"},
		{"no map", prog(movK(1, 5), movR(2, 10), alu64K(isa.Add, 2, -8), call(1), exit()), 3, "0x5 is not a map"},
		{"record", prog(reserve, stx(isa.SizeDW, 0, 8, 0), movR(1, 0), movK(2, 0), call(132), done), 0, ""},
		{"behind a record", prog(reserve, stx(isa.SizeDW, 0, 16, 0), movR(1, 0), movK(2, 0), call(132), done), 5, "offset 16 of a ring-buffer record, which has 16 bytes"},
		{"record after submit", prog(reserve, movR(6, 0), movR(1, 0), movK(2, 0), call(132), st(isa.SizeB, 6, 0, 0), done), 9, "outside of every live object"},
		{"record twice", prog(reserve, movR(6, 0), movR(1, 0), movK(2, 0), call(132), movR(1, 6), call(133), done), 10, "not the start of a live ring-buffer record"},
		{"record kept", prog(reserve, done), -1, "1 ring-buffer records neither submitted nor discarded"},
		{"r10", prog(alu64K(isa.Add, 10, -8), done), 0, "writes r10"},
		{"size", prog(movR(1, 10), alu64K(isa.Add, 1, -8), movK(2, 9), movK(3, 0), call(112), done), 4, "bpf_probe_read_user: argument 1: writes 9 bytes"},
		{"fell off", prog(movK(0, 0)), 1, "ran past the last instruction"},
	} {
		p, byName := start(t, Options{Check: true}, c.insns, defs...)
		byName["m"].Update([]byte{1, 0, 0, 0}, make([]byte, 12), maps.Any)
		_, err := p.Run(&self{}, words(1, 2, 3))
		var e *Error
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want == "":
		case !errors.As(err, &e) || !strings.Contains(e.Why, c.want) || e.Insn != c.insn:
			t.Errorf("%s: got %v, want %q at instruction %d", c.name, err, c.want, c.insn)
		}
	}
}

func TestStep(t *testing.T) {
	var trace []string
	p, _ := start(t, Options{Check: true, Step: func(insn int, regs []uint64) error {
		trace = append(trace, fmt.Sprintf("%d:%d", insn, regs[0]))
		return nil
	}}, prog(movK(0, 1), wide(1, 0, 5), alu64(isa.Add, 0, 1), exit()))
	if _, err := p.Run(&self{}, nil); err != nil || len(trace) != 4 || strings.Join(trace[1:], " ") != "1:1 3:1 4:6" {
		t.Errorf("%v, %v", trace, err)
	}
}

func TestNotLoaded(t *testing.T) {
	for _, c := range []struct {
		name  string
		insns []isa.Insn
		want  string
	}{
		{"helper", prog(call(27), exit()), "instruction 0: unsupported: helper bpf_get_stackid (#27)"},
		{"no such helper", prog(call(9999), exit()), "unsupported: helper #9999"},
		{"kfunc", prog(isa.Insn{Op: isa.ClassJMP | isa.Call, Src: isa.CallKfunc, Imm: 1234}, exit()), "unsupported: kernel function #1234"},
		{"jump out", prog(ja(5), exit()), "leads to slot 6"},
		{"jump back out", prog(ja(-2), exit()), "leads to slot -1"},
		{"jump into a wide load", prog(ja(1), wide(0, 0, 0), exit()), "leads to slot 2"},
		{"half a wide load", prog(wide(0, 0, 0)[:1]), "without its second slot"},
		{"opcode", prog(isa.Insn{Op: 0xff}), "unsupported: opcode 0xff"},
		{"packet access", prog(isa.Insn{Op: isa.ClassLD | isa.ModeABS}), "unsupported: opcode 0x20"},
		{"cast of address space", prog(isa.Insn{Op: isa.ClassALU64 | isa.Mov | isa.SrcX, Off: 1}), "unsupported: opcode 0xbf with offset 1"},
		{"register", prog(movK(11, 0)), "registers r11"},
		{"map index", prog(mapIdx(1, 3), exit()), "map index 3, there are 0 maps"},
		{"atomic", prog(atomicOp(isa.SizeB, 10, -8, 0, isa.AtomicAdd)), "atomic operation 0x0 of 1 bytes"},
	} {
		_, err := load(imageOf(c.insns), nil, nil, Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	named := imageOf(prog(isa.Insn{Op: isa.ClassJMP | isa.Call, Src: isa.CallKfunc, Imm: 1234}, exit()))
	named.Kfuncs = map[int32]*btf.Func{1234: {Name: "bpf_some_kfunc"}}
	if _, err := load(named, nil, nil, Options{}); err == nil || !strings.Contains(err.Error(), "kernel function bpf_some_kfunc") {
		t.Error(err)
	}
	m := countMap(abi.MapHash)
	if _, err := load(imageOf(countProgram(), m), nil, nil, Options{}); err == nil || !strings.Contains(err.Error(), `map "counts" was not created`) {
		t.Error(err)
	}
	other := *m
	other.KeySize = 4
	if _, err := load(imageOf(countProgram(), m), nil, memory(t, &other), Options{}); err == nil || !strings.Contains(err.Error(), "key 4") {
		t.Error(err)
	}
	u := new(helper.Unsupported)
	if _, err := load(imageOf(prog(call(27), exit())), nil, nil, Options{}); !errors.As(err, &u) || u.Name != "bpf_get_stackid" {
		t.Error(err)
	}
}

// TestUnreachable: dead code may call what is not there; when it is reached after all, the run ends.
func TestUnreachable(t *testing.T) {
	insns := prog(movK(0, 1), ja(2), wide(0, isa.PseudoBTFID, 5), exit(), call(27))
	table := &facts.Table{Insns: make([]facts.Insn, len(insns))}
	for _, i := range []int{0, 1, 4} {
		table.Insns[i].Reached = true
	}
	p, err := load(imageOf(insns), table, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Run(&self{}, nil); err != nil || got != 1 {
		t.Errorf("%d, %v", got, err)
	}
	table.Insns[4].Reached = false
	if p, err = load(imageOf(insns), table, nil, Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(&self{}, nil); err == nil || !strings.Contains(err.Error(), "instruction 4: the verifier took this instruction for unreachable") {
		t.Error(err)
	}
}

func TestNoAllocations(t *testing.T) {
	p, _ := start(t, Options{}, countProgram(), countMap(abi.MapHash))
	host, ctx := &fixed{}, make([]byte, 168)
	if n := testing.AllocsPerRun(100, func() { p.Run(host, ctx) }); n != 0 {
		t.Errorf("%v allocations a run", n)
	}
}

// TestManyAtOnce runs one program from several goroutines.
func TestManyAtOnce(t *testing.T) {
	p, byName := start(t, Options{}, countProgram(), countMap(abi.MapHash))
	host := &fixed{}
	p.Run(host, nil)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				if _, err := p.Run(host, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	v, err := byName["counts"].Lookup(words(17))
	if err != nil || binary.NativeEndian.Uint64(v[0]) != 4001 {
		t.Errorf("%v, %v, want 4001", v, err)
	}
}

// FuzzLoad: any bytes as instructions are refused or run in checking mode without a crash.
func FuzzLoad(f *testing.F) {
	for _, insns := range [][]isa.Insn{countProgram(), prog(movK(0, 0), exit())} {
		b := make([]byte, 8*len(insns))
		for i, in := range insns {
			in.Encode(b[8*i:], binary.NativeEndian)
		}
		f.Add(b)
	}
	mem, err := maps.NewMemory()
	if err != nil {
		f.Fatal(err)
	}
	m, err := mem.Create(countMap(abi.MapHash))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var insns []isa.Insn
		for ; len(b) >= 8; b = b[8:] {
			insns = append(insns, isa.Decode(b, binary.NativeEndian))
		}
		p, err := load(imageOf(insns, countMap(abi.MapHash)), nil, map[string]*maps.Map{"counts": m}, Options{Check: true, Fuel: 10000})
		if err == nil {
			p.Run(&fixed{}, make([]byte, 168))
		}
	})
}
