package image

// Defines how CO-RE relocations are applied. What a relocation means is
// computed by cilium/ebpf/btf; instructions stay ours, bit by bit.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
)

// poisonedCall is the helper number that stands for a relocation that could
// not be applied; libbpf and the kernel's log readers know it.
const poisonedCall = btf.COREBadRelocationSentinel

// poison replaces the instruction at slot at by one that no verifier accepts.
func (l *linker) poison(at int, relo, reason string) {
	if l.img.Poison == nil {
		l.img.Poison = map[int]Poison{}
	}
	call := isa.Insn{Op: isa.ClassJMP | isa.Call, Imm: poisonedCall}
	if l.img.Insns[at].IsWide() && at+1 < len(l.img.Insns) {
		l.img.Insns[at+1] = call
		l.img.Poison[at+1] = Poison{Relo: relo, Reason: reason}
	}
	l.img.Insns[at] = call
	l.img.Poison[at] = Poison{Relo: relo, Reason: reason}
}

// parsedCORE returns o, or, when relocations lack what cilium/ebpf needs to
// compute them, the object that comes back from being written and read.
func parsedCORE(o *object.Object, entry *object.Func, t *Target) (*object.Object, *object.Func, error) {
	parsed, unparsed := false, false
	for _, fs := range [][]*object.Func{o.Programs, o.Subprogs} {
		for _, f := range fs {
			for _, c := range f.CORE {
				parsed, unparsed = parsed || c.Parsed != nil, unparsed || c.Parsed == nil
			}
		}
	}
	if !unparsed {
		return o, entry, nil
	}
	if o.TargetBTF != nil && !parsed {
		spec, err := t.btf("CO-RE")
		if err != nil {
			return nil, nil, err
		}
		if spec == o.TargetBTF {
			return o, entry, nil
		}
	}
	elf, err := object.Write(o)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: CO-RE relocations for another target: %w", o.Name, err)
	}
	again, err := object.Read(o.Name, bytes.NewReader(elf))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: CO-RE relocations for another target: %w", o.Name, err)
	}
	f := find(again.Programs, entry.Name)
	if f == nil {
		return nil, nil, fmt.Errorf("%s: program %s got lost on the way through ELF", o.Name, entry.Name)
	}
	again.UserTypes = o.UserTypes
	f.Attach = entry.Attach
	return again, f, nil
}

// relocation is one CO-RE relocation, with the slot it applies to.
type relocation struct {
	at int
	r  object.CORERelo
}

// applyCORE applies the relocations of the functions laid out.
func (l *linker) applyCORE(order []*object.Func) error {
	byType := map[btf.Type][]relocation{}
	var types []btf.Type
	for _, f := range order {
		for _, r := range f.CORE {
			if r.Insn < 0 || r.Insn >= len(f.Insns) {
				return fmt.Errorf("%s: CO-RE relocation at instruction %d of %d", f.Name, r.Insn, len(f.Insns))
			}
			if r.Parsed == nil {
				continue // already applied, see parsedCORE
			}
			if byType[r.Type] == nil {
				types = append(types, r.Type)
			}
			byType[r.Type] = append(byType[r.Type], relocation{l.starts[f] + r.Insn, r})
		}
	}
	if len(types) == 0 {
		return nil
	}
	spec, err := l.t.btf("CO-RE")
	if err != nil {
		return err
	}
	for _, t := range types {
		l.applyGroup(spec, byType[t])
	}
	return nil
}

// applyGroup applies the relocations of one local type together: the target
// type is the one that suits most of them. One that cannot be computed must
// not take the others with it, so that they are then tried alone.
func (l *linker) applyGroup(spec *btf.Spec, group []relocation) {
	relos := make([]*btf.CORERelocation, len(group))
	for i, g := range group {
		relos[i] = g.r.Parsed
	}
	fixups, err := btf.CORERelocate(relos, []*btf.Spec{spec}, binary.LittleEndian, l.localID)
	if err != nil && len(group) > 1 {
		for i := range group {
			l.applyGroup(spec, group[i:i+1])
		}
		return
	}
	for i, g := range group {
		name := describe(g.r)
		if err == nil && (g.r.Kind == typeIDTarget || g.r.Kind == typeSize) && poisoned(&fixups[i]) {
			err = l.zero(g.at) // absence is an answer here
			if err == nil {
				continue
			}
		}
		if err != nil {
			l.poison(g.at, name, err.Error())
		} else if err := l.fix(g.at, &fixups[i]); err != nil {
			l.poison(g.at, name, err.Error())
		} else if why := l.resize(spec, g); why != "" {
			l.poison(g.at, name, why)
		}
	}
}

// localID keeps local type ids as they are: the program goes with its object's BTF.
func (l *linker) localID(t btf.Type) (btf.TypeID, error) {
	if l.o.Types == nil {
		return 0, errors.New("the object has no BTF")
	}
	return l.o.Types.TypeID(t)
}

var errNoMatch = errors.New("the target has nothing that matches")

func poisoned(f *btf.COREFixup) bool { return strings.HasSuffix(f.String(), "=poison") }

// zero makes the instruction at slot at yield 0.
func (l *linker) zero(at int) error {
	in := &l.img.Insns[at]
	switch {
	case in.IsWide() && at+1 < len(l.img.Insns):
		in.Imm, l.img.Insns[at+1].Imm = 0, 0
	case in.Class() == isa.ClassALU || in.Class() == isa.ClassALU64:
		in.Imm = 0
	default:
		return fmt.Errorf("%v is no instruction with a value", in)
	}
	return nil
}

// fix applies one fixup through a one-instruction copy in cilium/ebpf's form,
// of which only the field that a fixup can change is taken back.
func (l *linker) fix(at int, f *btf.COREFixup) error {
	if poisoned(f) {
		return errNoMatch
	}
	in := &l.img.Insns[at]
	c := asm.Instruction{OpCode: asm.OpCode(in.Op), Offset: in.Off, Constant: int64(in.Imm)}
	if in.IsWide() {
		if at+1 >= len(l.img.Insns) {
			return errors.New("on half of a 64-bit load")
		}
		c.Constant = int64(isa.Imm64(*in, l.img.Insns[at+1]))
	}
	if err := f.Apply(&c); err != nil {
		return err
	}
	switch {
	case in.IsWide():
		w := isa.Wide(in.Dst, in.Src, uint64(c.Constant))
		in.Imm, l.img.Insns[at+1].Imm = w[0].Imm, w[1].Imm
	case c.Constant < math.MinInt32 || c.Constant > math.MaxUint32:
		return fmt.Errorf("value %d does not fit the instruction", c.Constant)
	default:
		in.Off, in.Imm = c.Offset, int32(c.Constant)
	}
	return nil
}

var reloKinds = [...]string{
	"field_byte_offset", "field_byte_size", "field_exists", "field_signed", "field_lshift_u64", "field_rshift_u64",
	"type_id_local", "type_id_target", "type_exists", "type_size", "enumval_exists", "enumval_value", "type_matches",
}

// describe names a relocation: "field_byte_offset struct task_struct.foo".
func describe(r object.CORERelo) string {
	kind := fmt.Sprintf("kind_%d", r.Kind)
	if int(r.Kind) < len(reloKinds) {
		kind = reloKinds[r.Kind]
	}
	var keyword string
	members, _ := memberPath(r.Type, r.Access)
	switch t := r.Type.(type) {
	case *btf.Struct:
		keyword = "struct "
	case *btf.Union:
		keyword = "union "
	case *btf.Enum:
		keyword = "enum "
		if i := accessIndex(r.Access); i < len(t.Values) && strings.HasPrefix(kind, "enumval") {
			members = []string{t.Values[i].Name}
		}
	}
	name := "?"
	if r.Type != nil {
		name = r.Type.TypeName()
	}
	return strings.Join(append([]string{kind + " " + keyword + name}, members...), ".")
}
