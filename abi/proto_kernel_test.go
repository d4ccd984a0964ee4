package abi

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// This file makes a valid call of each helper that the table has a prototype
// of, and invalid near-twins, and compares with what the kernel says.

// asm is a program under construction.
type asm struct {
	code  []byte
	fixup int // slot of a 64-bit load of the callback's address, -1 for none
}

func (a *asm) op(op, dst, src byte, off int16, imm int32) *asm {
	a.code = append(a.code, slot(op, dst|src<<4, off, imm)...)
	return a
}

func (a *asm) mov(dst byte, imm int32) *asm { return a.op(0xb7, dst, 0, 0, imm) }
func (a *asm) reg(dst, src byte) *asm       { return a.op(0xbf, dst, src, 0, 0) }
func (a *asm) add(dst byte, imm int32) *asm { return a.op(0x07, dst, 0, 0, imm) }
func (a *asm) call(id int32) *asm           { return a.op(0x85, 0, 0, 0, id) }
func (a *asm) exit() *asm                   { return a.mov(0, 0).op(0x95, 0, 0, 0, 0) }
func (a *asm) mapFD(dst byte, m *ebpf.Map) *asm {
	return a.op(0x18, dst, 1, 0, int32(m.FD())).op(0, 0, 0, 0, 0)
}
func (a *asm) mapValue(dst byte, m *ebpf.Map) *asm {
	return a.op(0x18, dst, 2, 0, int32(m.FD())).op(0, 0, 0, 0, 0)
}

// protoTest has what calls need.
type protoTest struct {
	maps   map[MapType]*ebpf.Map
	rodata *ebpf.Map
	buf    []byte
	ids    map[Attach]uint32
	types  *btf.Spec
	give   bool // the call's socket has to be released behind it
}

func newProtoTest(t *testing.T) *protoTest {
	_, ids := kernelTypes(t)
	p := &protoTest{buf: make([]byte, 1<<18), ids: ids}
	var err error
	if p.types, err = btf.LoadKernelSpec(); err != nil {
		t.Skip("skipped: no kernel BTF:", err)
	}
	create := func(spec *ebpf.MapSpec) *ebpf.Map {
		m, err := ebpf.NewMap(spec)
		if err != nil {
			t.Logf("%s is left out: %v", spec.Type, err)
			return nil
		}
		t.Cleanup(func() { m.Close() })
		return m
	}
	p.maps = protoMaps(create)
	p.callbackInfo(t)
	p.rodata = create(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 16, MaxEntries: 1, Flags: MapRdonlyProg})
	if err := p.rodata.Put(uint32(0), []byte("abc\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")); err != nil {
		t.Fatal(err)
	}
	if err := p.rodata.Freeze(); err != nil {
		t.Fatal(err)
	}
	return p
}

// callbackInfo makes the BTF that the kernel wants of programs with callbacks.
func (p *protoTest) callbackInfo(t *testing.T) {
	t.Helper()
	i32 := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	proto := &btf.FuncProto{Return: i32, Params: []btf.FuncParam{{Name: "a", Type: &btf.Pointer{Target: &btf.Void{}}}}}
	b, err := btf.NewBuilder([]btf.Type{&btf.Func{Name: "main", Type: proto, Linkage: btf.GlobalFunc}, &btf.Func{Name: "callback", Type: proto}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	h, err := btf.NewHandle(b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	spec, err := b.Spec()
	if err != nil {
		t.Fatal(err)
	}
	callbackBTF = uint32(h.FD())
	for i, n := range []string{"main", "callback"} {
		var f *btf.Func
		if err := spec.TypeByName(n, &f); err != nil {
			t.Fatal(err)
		}
		id, err := spec.TypeID(f)
		if err != nil {
			t.Fatal(err)
		}
		callbackFuncs[2*i+1] = uint32(id)
	}
}

// mapFor picks a map that h takes.
func (p *protoTest) mapFor(h *Helper) *ebpf.Map {
	if h.MapTypes == nil {
		return p.maps[MapHash]
	}
	for _, mt := range h.MapTypes {
		if m := p.maps[mt]; m != nil {
			return m
		}
	}
	return nil
}

// valid loads register r with a valid argument of kind k; size is the memory's.
func (p *protoTest) valid(a *asm, h *Helper, k ArgKind, r byte, size int32) {
	switch k {
	case ArgAnything:
		a.mov(r, 0)
	case ArgConstMapPtr:
		a.mapFD(r, p.mapFor(h))
	case ArgMapKey, ArgMapValue, ArgMem, ArgMemOrNull:
		a.reg(r, 10).add(r, -64)
	case ArgUninitMapValue, ArgUninitMem, ArgUninitMemOrNull:
		a.reg(r, 10).add(r, -128)
	case ArgUninitU64:
		a.reg(r, 10).add(r, -136)
	case ArgWritableMem:
		a.reg(r, 10).add(r, -64)
	case ArgFixedMem, ArgFixedWritableMem:
		a.reg(r, 10).add(r, -48)
	case ArgMapValueOrNull:
		a.reg(r, 10).add(r, -64)
		if h.Ret == RetMapValueOrNull {
			a.mov(r, 0)
		}
	case ArgSockCommon, ArgSockOrNull, ArgAnySock, ArgAnySockOrNull:
		a.reg(r, 9)
	case ArgDynptr, ArgRingDynptr:
		a.reg(r, 10).add(r, dynptrSlot)
	case ArgUninitDynptr:
		a.reg(r, 10).add(r, freeDynptr)
	case ArgConstSize, ArgConstSizeOrZero:
		a.mov(r, size)
	case ArgCtx, ArgCtxOrNull:
		a.reg(r, 6)
	case ArgConstAllocSize:
		a.mov(r, 8)
	case ArgRingMem:
		a.reg(r, 7)
	case ArgConstStr:
		a.mapValue(r, p.rodata)
	case ArgBTF, ArgBTFOrNull:
		a.reg(r, 8)
	case ArgFuncPtr:
		a.fixup = len(a.code) / 8
		a.op(0x18, r, 4, 0, 0).op(0, 0, 0, 0, 0)
	case ArgStackOrNull:
		a.mov(r, 0)
	}
}

// unknown is where in the stack a number lies that the verifier cannot know.
const unknown = -144

// before makes what a call of h needs: memory, a record, an object; nil where that can't be had. r6 is the context.
func (p *protoTest) before(t *testing.T, h *Helper, at Attach) *asm {
	t.Helper()
	a := &asm{fixup: -1}
	a.reg(6, 1).call(7).op(0x7b, 10, 0, unknown, 0)
	for off := int16(-64); off < 0; off += 8 {
		a.op(0x7a, 10, 0, off, 0)
	}
	p.give = false
	n := h.needs()
	if !n.task {
		a.call(158).reg(8, 0) // typed kernel memory
	}
	if n.record {
		a.mapFD(1, p.maps[MapRingBuf]).mov(2, 8).mov(3, 0).call(131)
		a.reg(7, 0).op(0x55, 7, 0, 2, 0).exit()
	}
	if n.task && !p.object(t, a, at, h.Type) {
		return nil
	}
	if n.sock {
		ok, give := p.socket(t, a, at, h.Args[0])
		if !ok || h.ReleaseArg != 0 && !give {
			return nil
		}
		p.give = give && h.ReleaseArg == 0
	}
	if n.dynptr || n.ringDynptr {
		a.mapFD(1, p.maps[MapRingBuf]).mov(2, 8).mov(3, 0).reg(4, 10).add(4, dynptrSlot).call(198)
	}
	if n.percpu || n.special {
		return nil
	}
	return a
}

// after ends the program: a record is given back, a callback follows.
func (p *protoTest) after(h *Helper, a *asm) []byte {
	if h.Ret == RetRingMemOrNull {
		a.op(0x15, 0, 0, 3, 0).reg(1, 0).mov(2, 0).call(133)
	}
	if p.give {
		a.reg(1, 9).call(86)
	}
	switch n := h.needs(); {
	case n.dynptr:
		a.reg(1, 10).add(1, dynptrSlot).mov(2, 0).call(200)
	case h.ID == 198:
		a.reg(1, 10).add(1, freeDynptr).mov(2, 0).call(200)
	}
	if h.AcquiresRef && h.Ret != RetRingMemOrNull {
		a.op(0x15, 0, 0, 2, 0).reg(1, 0).call(86)
	}
	a.exit()
	if a.fixup >= 0 {
		at := len(a.code)/8 - a.fixup - 1
		callbackFuncs[2] = uint32(len(a.code) / 8)
		copy(a.code[a.fixup*8:], slot(0x18, a.code[a.fixup*8+1], 0, int32(at)))
		a.exit()
	}
	return a.code
}

// build makes a call of h; change may replace argument i.
func (p *protoTest) build(t *testing.T, h *Helper, at Attach, change func(a *asm, i int, k ArgKind, r byte) bool) []byte {
	t.Helper()
	a := p.before(t, h, at)
	if a == nil {
		return nil
	}
	for i, k := range h.Args {
		if change == nil || !change(a, i, k, byte(i+1)) {
			p.valid(a, h, k, byte(i+1), 8)
		}
	}
	a.call(h.ID)
	return p.after(h, a)
}

// attachesFor are the program types that have h and can be loaded here.
func (p *protoTest) attachesFor(h *Helper) (out []Attach) {
	if hasMap(h) && p.mapFor(h) == nil {
		return nil
	}
	for _, a := range protoAttaches {
		if a.Type == Tracing && p.ids[a] == 0 || !h.Has(a) {
			continue
		}
		if h.Sleepable && a.Type != Kprobe || a.Type == Syscall && h.notSleepable() {
			continue
		}
		a.Sleepable = a.Sleepable || h.Sleepable
		if out = append(out, a); h.ID == 12 {
			break // a program array belongs to the type that uses it first
		}
	}
	return out
}

// notSleepable: the map that the test gives to h is none for sleepable programs, or its object is not safe there.
func (h *Helper) notSleepable() bool {
	return h.Type == "cgroup" || len(h.MapTypes) > 0 && h.MapTypes[0] != MapRingBuf && h.MapTypes[0] != MapTaskStorage
}

func TestPrototypesKernel(t *testing.T) {
	p := newProtoTest(t)
	tested := 0
	for id := range helpers {
		h := HelperByID(int32(id))
		if h == nil || h.Lock != NoLock || lockedDown[h.Name] || h.ID == 197 { // golden cases ask of locks; 197 takes no stack

			continue
		}
		ats := p.attachesFor(h)
		if len(ats) == 0 {
			t.Logf("%s: no program type here to test it with", h.Name)
		}
		for _, at := range ats {
			if p.testPrototype(t, h.For(at.Type, V(6, 18)), at) {
				tested++
			}
		}
	}
	t.Logf("%d pairs of program type and prototype", tested)
}

func (p *protoTest) testPrototype(t *testing.T, h *Helper, at Attach) bool {
	t.Helper()
	load := func(code []byte) (bool, string) {
		log, err := tryLoad(at, p.ids[Attach{Type: at.Type, Expected: at.Expected}], code, "GPL", p.buf)
		return err == nil, log
	}
	code := p.build(t, h, at, nil)
	if code == nil {
		return false
	}
	if ok, log := load(code); !ok {
		t.Errorf("%s in %s: the kernel does not take a valid call:\n%s", h.Name, at.Type, log)
		return false
	}
	for i := range h.Args {
		for name, change := range p.twins(h, i) {
			code := p.build(t, h, at, func(a *asm, j int, k ArgKind, r byte) bool { return change(a, j, r) })
			want := name[0] == '+'
			if ok, log := load(code); ok != want {
				t.Errorf("%s in %s, argument %d, %s: accepted %v\n%s", h.Name, at.Type, i+1, name[1:], ok, log)
			}
		}
	}
	p.testReturn(t, h, at, load)
	return true
}

// twins are changes of argument i; the name's first character says whether the kernel must accept.
func (p *protoTest) twins(h *Helper, i int) map[string]func(a *asm, j int, r byte) bool {
	k, m := h.Args[i], map[string]func(*asm, int, byte) bool{}
	with := func(name string, f func(a *asm, r byte)) {
		m[name] = func(a *asm, j int, r byte) bool {
			if j == i {
				f(a, r)
			}
			return j == i
		}
	}
	rodata := func(a *asm, r byte) { a.mapValue(r, p.rodata) }
	switch k {
	case ArgConstSize:
		with("-size 0", func(a *asm, r byte) { a.mov(r, 0) })
		with("-size -1", func(a *asm, r byte) { a.mov(r, -1) })
	case ArgConstSizeOrZero:
		with("+size 0", func(a *asm, r byte) { a.mov(r, 0) })
		with("-size -1", func(a *asm, r byte) { a.mov(r, -1) })
	case ArgAnything:
		if h.ZeroFlags && i == len(h.Args)-1 {
			with("-a number", func(a *asm, r byte) { a.mov(r, 1) })
			break
		}
		with("+any number", func(a *asm, r byte) { a.op(0x79, r, 10, unknown, 0) })
	case ArgStackOrNull:
		with("+the stack", func(a *asm, r byte) { a.reg(r, 10).add(r, -64) })
		with("-a number", func(a *asm, r byte) { a.mov(r, 1) })
	case ArgConstAllocSize:
		with("-unknown", func(a *asm, r byte) { a.op(0x79, r, 10, unknown, 0) })
	default:
		with("-a number", func(a *asm, r byte) { a.mov(r, 1) })
	}
	typed := func(a *asm, r byte) { a.reg(r, 8) }
	switch k {
	case ArgMem, ArgMemOrNull:
		if !h.needs().task && !h.needs().sock {
			with("+typed kernel memory", typed)
		}
	}
	switch k {
	case ArgMem, ArgMapKey, ArgMapValue, ArgMemOrNull:
		with("+read-only memory", rodata)
	case ArgUninitMem, ArgUninitMapValue, ArgUninitMemOrNull, ArgUninitU64, ArgWritableMem, ArgFixedWritableMem:
		with("-read-only memory", rodata)
	case ArgCtxOrNull:
		with("+NULL", func(a *asm, r byte) { a.mov(r, 0) })
	case ArgCtx:
		with("-moved context", func(a *asm, r byte) { a.reg(r, 6).add(r, 8) })
	case ArgBTF, ArgAnySock, ArgSockCommon:
		with("-NULL", func(a *asm, r byte) { a.mov(r, 0) })
	case ArgBTFOrNull, ArgAnySockOrNull, ArgSockOrNull, ArgMapValueOrNull:
		with("+NULL", func(a *asm, r byte) { a.mov(r, 0) })
	case ArgConstStr:
		with("-the stack", func(a *asm, r byte) { a.reg(r, 10).add(r, -64) })
	}
	null := func(sign string) {
		m[sign+"NULL and 0"] = func(a *asm, j int, r byte) bool {
			if j == i || j == i+1 {
				a.mov(r, 0)
			}
			return j == i || j == i+1
		}
	}
	switch k {
	case ArgMemOrNull, ArgUninitMemOrNull:
		null("+")
	case ArgMem, ArgUninitMem:
		null("-")
	}
	return m
}

// testReturn asks whether r0 is a number, by arithmetic that no pointer survives.
func (p *protoTest) testReturn(t *testing.T, h *Helper, at Attach, load func([]byte) (bool, string)) {
	t.Helper()
	if h.AcquiresRef {
		return // it has to be given back; the valid call shows what it is
	}
	a := p.before(t, h, at)
	for i, k := range h.Args {
		p.valid(a, h, k, byte(i+1), 8)
	}
	a.call(h.ID).op(0x57, 0, 0, 0, 1)
	if ok, log := load(p.after(h, a)); ok != (h.Ret == RetInteger) {
		t.Errorf("%s: the kernel takes its result for a number: %v, table: %v\n%s", h.Name, ok, h.Ret == RetInteger, log)
	}
}

// Packet pointers are void behind the helpers that the table says, and behind no others.
func TestPacketKernel(t *testing.T) {
	p := newProtoTest(t)
	tested := 0
	for id := range helpers {
		h := HelperByID(int32(id))
		if h == nil || h.Lock != NoLock {
			continue
		}
		for _, at := range []Attach{{Type: SchedCLS}, {Type: XDP}} {
			if !h.Has(at) || h.Sleepable || h.ReleaseArg != 0 || h.ID == 12 {
				continue // tail calls end the program
			}
			data := int16(76)
			if at.Type == XDP {
				data = 0
			}
			h := h.For(at.Type, V(6, 18))
			if n := h.needs(); n.sock || n.dynptr || n.record || h.ID == 197 {
				continue // what is acquired would leak where the packet is too short
			}
			a := p.before(t, h, at)
			if a == nil {
				continue
			}
			a.op(0x61, 7, 6, data, 0).op(0x61, 2, 6, data+4, 0).reg(3, 7).add(3, 8).op(0xbd, 3, 2, 2, 0).exit()
			for i, k := range h.Args {
				p.valid(a, h, k, byte(i+1), 8)
			}
			a.call(h.ID)
			if h.Ret == RetRingMemOrNull || h.AcquiresRef {
				continue
			}
			a.op(0x71, 1, 7, 0, 0)
			log, err := tryLoad(at, 0, p.after(h, a), "GPL", p.buf)
			if (err != nil) != h.InvalidatesPacket {
				t.Errorf("%s in %s: packet pointers survive: %v, table says void: %v\n%s", h.Name, at.Type, err == nil, h.InvalidatesPacket, log)
			}
			tested++
		}
	}
	if tested < 100 {
		t.Errorf("only %d calls tested", tested)
	}
}
