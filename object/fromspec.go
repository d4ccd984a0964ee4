package object

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
)

// FromSpec turns what users of cilium/ebpf hold into an Object. Programs come
// in the order of their names, and externs count as strong: a CollectionSpec
// knows neither the order of the file nor weak bindings. What it has lost and
// a program needs (configuration values, maps by descriptor) is a
// RelocUnknown, and what no program can do without an error that wraps ErrUnsupported.
func FromSpec(spec *ebpf.CollectionSpec) (*Object, error) {
	if spec == nil {
		return nil, fmt.Errorf("no CollectionSpec")
	}
	o := &Object{Name: "CollectionSpec", ByteOrder: spec.ByteOrder, Types: spec.Types}
	if o.ByteOrder == nil {
		o.ByteOrder = binary.LittleEndian
	}
	for _, name := range sortedKeys(spec.Maps) {
		m, err := mapFromSpec(name, spec.Maps[name], true)
		if err != nil {
			return nil, fmt.Errorf("map %s: %w", name, err)
		}
		o.Maps = append(o.Maps, m)
	}
	for _, name := range sortedKeys(spec.Programs) {
		if err := o.addSpec(name, spec, spec.Programs[name]); err != nil {
			return nil, fmt.Errorf("program %s: %w", name, err)
		}
	}
	return o, nil
}

func mapFromSpec(name string, s *ebpf.MapSpec, outer bool) (*Map, error) {
	if s == nil {
		return nil, fmt.Errorf("no MapSpec")
	}
	m := &Map{
		Name: name, Type: abi.MapType(s.Type), KeySize: s.KeySize, ValueSize: s.ValueSize, MaxEntries: s.MaxEntries, Flags: s.Flags,
		Key: s.Key, Value: s.Value, Pinning: uint32(s.Pinning), NumaNode: s.NumaNode, Extra: s.MapExtra,
	}
	if s.Extra != nil && s.Extra.Len() > 0 {
		return nil, unsupported("bytes behind the definition of a legacy map")
	}
	if s.InnerMap != nil {
		if !outer {
			return nil, unsupported("maps of maps of maps")
		}
		var err error
		if m.Inner, err = mapFromSpec(name+".inner", s.InnerMap, false); err != nil {
			return nil, err
		}
	}
	if dataSection(name) || name == ".kconfig" {
		m.Section, m.Frozen, m.Data = name, readOnlySection(name), make([]byte, s.ValueSize)
		for _, c := range s.Contents {
			b, ok := c.Value.([]byte)
			if !ok || len(b) != len(m.Data) {
				return nil, unsupported("initial value of type %T, expected %d bytes", c.Value, len(m.Data))
			}
			m.Data = bytes.Clone(b)
		}
		return m, nil
	}
	if !holdsObjects(m.Type) {
		return m, nil // what a map starts with does not matter to verification
	}
	for _, c := range s.Contents {
		k, ok1 := c.Key.(uint32)
		v, ok2 := c.Value.(string)
		if !ok1 || !ok2 {
			return nil, unsupported("initial element %v = %v: expected the name of a map or program", c.Key, c.Value)
		}
		m.Entries = append(m.Entries, MapEntry{k, v})
	}
	return m, nil
}

// holdsObjects reports whether the elements of a map of type t are maps or programs.
func holdsObjects(t abi.MapType) bool {
	return t == abi.MapProgArray || t == abi.MapArrayOfMaps || t == abi.MapHashOfMaps
}

// sleepableFlag is BPF_F_SLEEPABLE.
const sleepableFlag = 1 << 4

func (o *Object) addSpec(name string, spec *ebpf.CollectionSpec, s *ebpf.ProgramSpec) error {
	if s == nil {
		return fmt.Errorf("no ProgramSpec")
	}
	if s.AttachTarget != nil {
		return unsupported("an attach target that is a loaded program")
	}
	if o.License != "" && s.License != "" && o.License != s.License {
		return unsupported("two licenses in one object: %q and %q", o.License, s.License)
	}
	if s.License != "" {
		o.License = s.License
	}
	o.Version = max(o.Version, s.KernelVersion)
	c := &specCode{o: o, spec: spec, insns: s.Instructions}
	funcs, err := c.cut(name)
	if err != nil {
		return err
	}
	section := s.SectionName
	if section == "" {
		section = abi.ProgType(s.Type).String()
	}
	for i, f := range funcs {
		f.Section = textSection
		if i == 0 {
			f.Section, f.Global = section, false
			f.Attach = abi.Attach{
				Type: abi.ProgType(s.Type), Expected: abi.AttachType(s.AttachType), Target: s.AttachTo, Sleepable: s.Flags&sleepableFlag != 0,
			}
			if f.Attach.Type == abi.StructOps {
				f.Attach.Target = strings.Replace(s.AttachTo, ":", ".", 1) // struct:member
			}
			o.Programs = append(o.Programs, f)
			continue
		}
		if spec.Programs[f.Name] != nil {
			continue
		}
		if old := o.function(f.Name); old == nil {
			o.Subprogs = append(o.Subprogs, f)
		} else if !slices.Equal(old.Insns, f.Insns) || !slices.Equal(old.Relocs, f.Relocs) {
			return unsupported("two different functions %s", f.Name)
		}
	}
	return nil
}

// specCode turns the instructions of one program, with the functions that
// cilium/ebpf has appended to it, into functions.
type specCode struct {
	o     *Object
	spec  *ebpf.CollectionSpec
	insns asm.Instructions
	slots map[string]int // symbol → slot in the whole program
	at    map[int]string // slot → symbol
}

func (c *specCode) cut(name string) ([]*Func, error) {
	c.slots, c.at = map[string]int{}, map[int]string{}
	called := map[string]bool{}
	for it := c.insns.Iterate(); it.Next(); {
		if s := it.Ins.Symbol(); s != "" {
			c.slots[s], c.at[int(it.Offset)] = int(it.Offset), s
		}
	}
	for it := c.insns.Iterate(); it.Next(); {
		if it.Ins.IsFunctionReference() {
			called[c.callee(it.Ins, int(it.Offset))] = true
		}
	}
	var funcs []*Func
	var f *Func
	start := 0
	for it := c.insns.Iterate(); it.Next(); {
		slot, sym := int(it.Offset), it.Ins.Symbol()
		fn := btf.FuncMetadata(it.Ins)
		if f == nil || sym != "" && (called[sym] || fn != nil) {
			f, start = &Func{Name: sym, BTF: fn, Global: fn != nil && fn.Linkage == btf.GlobalFunc}, slot
			if len(funcs) == 0 {
				f.Name = name
			}
			funcs = append(funcs, f)
		} else if sym != "" {
			if f.Labels == nil {
				f.Labels = map[string]int{}
			}
			f.Labels[sym] = slot - start
		}
		if err := c.instruction(f, it.Ins, slot, start); err != nil {
			return nil, fmt.Errorf("instruction %d (%v): %w", it.Index, it.Ins, err)
		}
	}
	if f == nil {
		return nil, fmt.Errorf("no instructions")
	}
	return funcs, nil
}

// callee is the name of the function that an instruction refers to.
func (c *specCode) callee(in *asm.Instruction, slot int) string {
	if r := in.Reference(); r != "" {
		return r
	}
	return c.at[slot+1+int(int32(in.Constant))]
}

func (c *specCode) instruction(f *Func, in *asm.Instruction, slot, start int) error {
	here := len(f.Insns)
	slots, err := encodeSpec(in)
	if err != nil {
		return err
	}
	rel, found, err := c.reloc(in, slot)
	if err != nil {
		return err
	}
	if found {
		rel.Insn = here
		f.Relocs = append(f.Relocs, rel)
		if rel.Kind != RelocUnknown {
			slots[0] = isa.Ref{Kind: refKinds[rel.Kind], Addend: rel.Addend}.Base(slots[0].Dst)
			for i := range slots[1:] {
				slots[1+i] = isa.Insn{}
			}
		}
	} else if ref := in.Reference(); ref != "" {
		to, ok := c.slots[ref]
		if !ok {
			return fmt.Errorf("no symbol %q", ref)
		}
		switch {
		case slots[0].Op == isa.ClassJMP32|isa.Ja && in.Constant == -1:
			slots[0].Imm = int32(to - slot - 1)
		case slots[0].Off == -1:
			if d := to - slot - 1; d != int(int16(d)) {
				return fmt.Errorf("symbol %q is %d slots away: the offset has 16 bits", ref, d)
			}
			slots[0].Off = int16(to - slot - 1)
		}
	}
	if l, ok := in.Source().(*btf.Line); ok && l != nil {
		f.Lines = append(f.Lines, Line{here, l.FileName(), int(l.LineNumber()), int(l.LineColumn()), l.Line()})
	}
	if r := btf.CORERelocationMetadata(in); r != nil {
		relo, err := c.core(r)
		if err != nil {
			return err
		}
		relo.Insn = here
		f.CORE = append(f.CORE, relo)
	}
	f.Insns = append(f.Insns, slots...)
	return nil
}

// encodeSpec gives the slots of an instruction. cilium/ebpf drops the offset
// of arithmetic that it does not know (address space casts) when it encodes.
func encodeSpec(in *asm.Instruction) ([]isa.Insn, error) {
	var b bytes.Buffer
	if _, err := in.Marshal(&b, binary.LittleEndian); err != nil {
		return nil, err
	}
	var out []isa.Insn
	for raw := b.Bytes(); len(raw) >= isa.Slot; raw = raw[isa.Slot:] {
		out = append(out, isa.Decode(raw, binary.LittleEndian))
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no encoding")
	}
	if c := out[0].Class(); (c == isa.ClassALU || c == isa.ClassALU64) && in.Offset != 0 {
		out[0].Off = in.Offset
	}
	return out, nil
}

// reloc finds what an instruction refers to outside of its function.
func (c *specCode) reloc(in *asm.Instruction, slot int) (Reloc, bool, error) {
	ref := in.Reference()
	switch {
	case in.IsLoadFromMap():
		if ref == "" || c.spec.Maps[ref] == nil {
			return Reloc{Kind: RelocUnknown}, true, nil // a value of .kconfig, or a descriptor
		}
		if in.Src == asm.PseudoMapValue {
			return Reloc{Kind: RelocMapValue, Symbol: ref, Addend: int64(uint64(in.Constant) >> 32)}, true, nil
		}
		return Reloc{Kind: RelocMap, Symbol: ref}, true, nil
	case in.IsFunctionReference():
		name := c.callee(in, slot)
		if _, ok := c.slots[name]; !ok && c.spec.Programs[name] == nil {
			return Reloc{}, false, unsupported("reference to function %q, which is not in the program", name)
		}
		if in.IsFunctionCall() {
			return Reloc{Kind: RelocCall, Symbol: name}, true, nil
		}
		return Reloc{Kind: RelocFuncAddr, Symbol: name}, true, nil
	case in.IsKfuncCall() && ref != "":
		c.o.addExtern(c.externType(ref, ExternKfunc))
		return Reloc{Kind: RelocKfunc, Symbol: ref}, true, nil
	case in.OpCode.IsDWordLoad() && ref != "" && c.spec.Maps[ref] != nil:
		return Reloc{Kind: RelocMap, Symbol: ref}, true, nil
	case in.OpCode.IsDWordLoad() && ref != "":
		c.o.addExtern(c.externType(ref, ExternKsym))
		return Reloc{Kind: RelocKsym, Symbol: ref}, true, nil
	}
	return Reloc{}, false, nil
}

func (c *specCode) externType(name string, kind ExternKind) Extern {
	e := Extern{Name: name, Kind: kind}
	var fn *btf.Func
	if c.spec.Types != nil && c.spec.Types.TypeByName(name, &fn) == nil {
		e.Kind, e.Type = ExternKfunc, fn
	}
	return e
}

// coreKinds are enum bpf_core_relo_kind as cilium/ebpf prints it.
var coreKinds = []string{
	"byte_off", "byte_sz", "field_exists", "signed", "lshift_u64", "rshift_u64", "local_type_id", "target_type_id",
	"type_exists", "type_size", "enumval_exists", "enumval_value", "type_matches",
}

// core reads a relocation's fields out of its text,
// "CORERelocation(kind, type[access], local_id=n)": they are not exported.
func (c *specCode) core(r *btf.CORERelocation) (CORERelo, error) {
	s := strings.TrimSuffix(strings.TrimPrefix(r.String(), "CORERelocation("), ")")
	kind, rest, _ := strings.Cut(s, ", ")
	open, end, local := strings.LastIndexByte(rest, '['), strings.LastIndexByte(rest, ']'), strings.LastIndex(rest, "local_id=")
	k := slices.Index(coreKinds, kind)
	if k < 0 || open < 0 || end < open || local < 0 || c.spec.Types == nil {
		return CORERelo{}, unsupported("CO-RE relocation %v", r)
	}
	var id btf.TypeID
	if _, err := fmt.Sscan(rest[local+len("local_id="):], &id); err != nil {
		return CORERelo{}, unsupported("CO-RE relocation %v", r)
	}
	t, err := c.spec.Types.TypeByID(id)
	if err != nil {
		return CORERelo{}, fmt.Errorf("CO-RE relocation %v: %w", r, err)
	}
	return CORERelo{Kind: uint32(k), Type: t, Access: rest[open+1 : end], Parsed: r}, nil
}
