// Package emit turns a checked script into BPF: an Object with one program a
// place, its maps, BTF and line information, and the schema of what it sends.
// It knows no syntax and judges no types.
//
// Registers: R6 is the context, R7 and R8 hold temporaries, R9 the record that
// is being filled. The stack's first slot is the address of the probe's
// statistics; behind it are variables, then temporaries.
package emit

import (
	"encoding/binary"
	"fmt"
	"sort"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/event"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/place"
	"github.com/gtrace-dev/gtrace/script/diag"
	"github.com/gtrace-dev/gtrace/script/typed"
)

// rodata is the map with constant data.
const rodata = ".rodata"

// Options are what emission depends on.
type Options struct {
	Native     bool // reads of user memory as typed loads of gtrace's engine
	MaxEntries int
	RingSize   int
	StartNS    uint64
	Source     *diag.Source
	TargetBTF  *btf.Spec
}

type emitter struct {
	opts   Options
	script *typed.Script
	diags  *diag.List
	obj    *object.Object
	schema *event.Schema
	zeros  int // bytes of zeros wanted in .rodata
	casts  map[string]int
	kfuncs map[string]bool
}

// Emit emits s. The result is only usable when diags got nothing.
func Emit(s *typed.Script, diags *diag.List, opts Options) (*object.Object, *event.Schema) {
	e := &emitter{opts: opts, script: s, diags: diags, casts: map[string]int{}, kfuncs: map[string]bool{}}
	e.obj = &object.Object{Name: opts.Source.File, ByteOrder: binary.LittleEndian, License: "GPL", TargetBTF: opts.TargetBTF}
	e.schema = &event.Schema{}
	for _, m := range s.Maps {
		e.schema.Maps = append(e.schema.Maps, mapSchema(m))
	}
	for _, a := range s.Actions {
		e.schema.Actions = append(e.schema.Actions, actionSchema(a))
	}
	for i, p := range s.Programs {
		e.schema.Probes = append(e.schema.Probes, p.Probe)
		if fn := e.program(i, p); fn != nil {
			e.obj.Programs = append(e.obj.Programs, fn)
		}
	}
	e.maps()
	for n := range e.kfuncs {
		e.obj.Externs = append(e.obj.Externs, object.Extern{Name: n, Kind: object.ExternKfunc})
	}
	sort.Slice(e.obj.Externs, func(i, j int) bool { return e.obj.Externs[i].Name < e.obj.Externs[j].Name })
	return e.obj, e.schema
}

// mapSchema describes a script's map.
func mapSchema(m *typed.Map) event.Map {
	s := event.Map{Name: m.Name, Agg: m.Agg, Signed: m.Signed, HasFail: m.CanFail, Lo: m.Lo, Hi: m.Hi, Step: m.Step, PerCPU: m.Agg != event.Plain}
	for _, k := range m.Keys {
		s.Keys = append(s.Keys, event.Field{Offset: s.KeySize, Type: k.Event()})
		s.KeySize += round8(k.Size)
	}
	if m.Agg == event.Plain && m.Value != nil {
		s.Value = m.Value.Event()
	}
	return s
}

// actionSchema lays a record out: every argument begins at a multiple of eight.
func actionSchema(a *typed.Action) event.Action {
	s := event.Action{Kind: a.Kind, Probe: a.Probe, Format: a.Format, Size: event.RecordArgs, Top: a.Top, Div: a.Div}
	if a.Map != nil {
		s.Map = a.Map.Name
	}
	for _, x := range a.Args {
		t := x.T().Event()
		s.Args = append(s.Args, event.Arg{Offset: s.Size, Type: t})
		s.Size += round8(t.Size)
	}
	return s
}

// maps declares the maps.
func (e *emitter) maps() {
	e.obj.Maps = append(e.obj.Maps,
		&object.Map{Name: event.RingMap, Type: abi.MapRingBuf, MaxEntries: uint32(e.opts.RingSize)},
		&object.Map{Name: event.StatsMap, Type: abi.MapPerCPUArray, KeySize: 4, ValueSize: event.StatsSize, MaxEntries: uint32(max(len(e.schema.Probes), 1))})
	for _, m := range e.schema.Maps {
		e.obj.Maps = append(e.obj.Maps, declare(m, uint32(e.opts.MaxEntries)))
	}
	if e.zeros > 0 {
		e.obj.Maps = append(e.obj.Maps, &object.Map{
			Name: rodata, Type: abi.MapArray, KeySize: 4, ValueSize: uint32(e.zeros), MaxEntries: 1,
			Flags: abi.MapRdonlyProg, Section: rodata, Data: make([]byte, e.zeros), Frozen: true,
		})
	}
}

// declare makes the BPF map of m. A plain map without keys is a hash with one
// possible entry, so that "never set" differs from 0.
func declare(m event.Map, entries uint32) *object.Map {
	o := &object.Map{Name: m.BPFName(), KeySize: uint32(m.KeySize), ValueSize: uint32(m.ValueSize()), MaxEntries: entries, Type: abi.MapHash}
	if m.KeySize == 0 {
		o.KeySize, o.MaxEntries = 4, 1
	}
	switch {
	case m.PerCPU && m.KeySize == 0:
		o.Type = abi.MapPerCPUArray
	case m.PerCPU:
		o.Type = abi.MapPerCPUHash
		if o.ValueSize > 64 {
			o.Flags = abi.MapNoPrealloc // else every entry of every CPU is taken at once
		}
	}
	return o
}

// program emits one program; nil after an error.
func (e *emitter) program(row int, p *typed.Program) *object.Func {
	f := &fn{e: e, p: p, row: row, vars: map[*typed.Variable]varSlot{}}
	f.done = f.newLabel()
	f.prologue()
	f.stmts(p.Body)
	f.place(f.done)
	f.imm(isa.R0, 0)
	f.put(isa.Insn{Op: isa.ClassJMP | isa.Exit})
	if f.deep > MaxStack {
		e.stackError(f)
		return nil
	}
	if !f.link() {
		e.diags.Unsupported(p.Span, "a clause of %d instructions", len(f.insns))
		return nil
	}
	out := &object.Func{
		Name: fmt.Sprintf("%s_%d", p.Place.Kind, row), Insns: f.insns, Relocs: f.relocs, CORE: f.core, Lines: f.lines, Global: true,
	}
	out.Section, out.Attach = section(p.Place, p.Inside)
	out.BTF = &btf.Func{Name: out.Name, Linkage: btf.GlobalFunc, Type: &btf.FuncProto{
		Return: &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed},
		Params: []btf.FuncParam{{Name: "ctx", Type: &btf.Pointer{Target: &btf.Void{}}}},
	}}
	return out
}

// section names the program for libbpf and says what it attaches to. Where
// libbpf's names can't express the place the section says only the type: who
// loads the object then attaches it by hand, and nothing is attached elsewhere.
func section(p place.Place, inside bool) (string, abi.Attach) {
	switch p.Kind {
	case place.Uprobe, place.Uretprobe:
		target := fmt.Sprintf("%s:%s", p.Path, p.Symbol)
		if p.Symbol == "" || inside {
			target = fmt.Sprintf("%s:%#x", p.Path, p.Offset)
			return p.Kind.String(), abi.Attach{Type: abi.Kprobe, Target: target}
		}
		return p.Kind.String() + "/" + target, abi.Attach{Type: abi.Kprobe, Target: target}
	case place.Tracepoint:
		target := p.Category + "/" + p.Event
		return "tracepoint/" + target, abi.Attach{Type: abi.Tracepoint, Target: target}
	case place.RawTracepoint:
		return "tp_btf/" + p.Event, abi.Attach{Type: abi.Tracing, Expected: abi.AttachTraceRawTp, Target: p.Event}
	}
	return "raw_tp", abi.Attach{Type: abi.RawTracepoint}
}

// stackError says which strings to shorten.
func (e *emitter) stackError(f *fn) {
	d := e.diags.Add(f.p.Span, "the clause at `%s` needs %d bytes of stack", f.p.Place, f.deep)
	d.Expected = fmt.Sprintf("at most %d", MaxStack)
	sort.SliceStable(f.big, func(i, j int) bool { return f.big[i].size > f.big[j].size })
	seen := map[diag.Span]bool{}
	for _, b := range f.big {
		if !seen[b.at] && len(seen) < 3 {
			seen[b.at] = true
			e.diags.Note(d, b.at, "%d bytes for this", b.size)
		}
	}
	d.Hint = "read shorter strings, str(pointer, 31), or print them instead of keeping them: printf needs no stack for them"
}

// prologue finds the statistics, counts the hit and looks at the predicate.
func (f *fn) prologue() {
	f.line(f.p.Span)
	f.alloc(8, f.p.Span) // statsSlot
	f.mov(regCtx, isa.R1)
	key := onStack(f.alloc(8, f.p.Span))
	f.storeImm(4, key, int32(f.row))
	f.loadMap(isa.R1, event.StatsMap)
	f.addr(isa.R2, key)
	f.call(mapLookup)
	f.jumpImm(isa.Jeq, isa.R0, 0, f.done)
	f.store(8, onStack(statsSlot), isa.R0)
	f.stack = 8
	f.count(statHits)
	if f.p.Pred == nil {
		return
	}
	f.line(f.p.PredAt)
	f.guarded(func() { f.branch(f.p.Pred, false, f.done) }, func() { f.jumpTo(f.done) })
	f.stack = 8
}
