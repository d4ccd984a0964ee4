package verify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/mem"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file defines what a program's type and attach target demand of it and give it.

// trustedArgs is the release from which on arguments of attach targets are trusted.
var trustedArgs = abi.V(6, 2)

// attach finds the row of the program's type, as its attach target changes it,
// and what it is attached to; "" or what is not supported.
func attach(img *image.Image) (*abi.Program, *mem.Target, string) {
	a, t := img.Attach, img.Target
	row := abi.ProgramFor(a)
	switch {
	case row == nil || row.Context.Name == "":
		return nil, nil, "program type " + a.Type.String()
	case !row.Context.BTFArgs:
		return row, nil, ""
	}
	target := &mem.Target{Proto: img.Ctx, Trust: state.Trusted}
	if t.Version < trustedArgs {
		target.Trust = state.Legacy
	}
	if img.Ctx == nil {
		return nil, nil, "typed arguments without the attach target's prototype"
	}
	switch a.Type {
	case abi.Tracing:
		return row, target, tracing(img, target)
	case abi.StructOps:
		return structOps(img, *row, target)
	}
	return nil, nil, "program type " + row.Name
}

// tracing completes the target of a program of type Tracing.
func tracing(img *image.Image, target *mem.Target) string {
	a := img.Attach
	switch a.Expected {
	case abi.AttachTraceRawTp:
		target.Notes = nullNotes(nullArgs(a, img.Target.Version))
	case abi.AttachTraceIter:
		it := abi.IteratorByName(a.Target)
		if it == nil {
			return fmt.Sprintf("iterator %s: which of its arguments may be NULL", a.Target)
		}
		target.Notes = append([]abi.ArgNote{abi.ArgAsTyped}, it.Notes...)
	default:
		return fmt.Sprintf("program type tracing with attach type %d", a.Expected)
	}
	return ""
}

// nullNotes are the notes on arguments of which mask has a bit.
func nullNotes(mask uint64) []abi.ArgNote {
	var notes []abi.ArgNote
	for i := 0; mask>>i != 0; i++ {
		notes = append(notes, abi.ArgAsTyped)
		if mask>>i&1 != 0 {
			notes[i] = abi.ArgMayBeNull
		}
	}
	return notes
}

// nullArgs are the arguments of an attach target that may be NULL, as bits.
func nullArgs(a abi.Attach, v abi.Version) uint64 {
	if v < abi.V(6, 14) {
		return 0
	}
	return nullableArgs[a.Target]
}

// structOps completes row and target of a program that implements a member of a kernel struct.
func structOps(img *image.Image, row abi.Program, target *mem.Target) (*abi.Program, *mem.Target, string) {
	name, member, _ := strings.Cut(img.Attach.Target, ".")
	op := abi.StructOpByName(name)
	if op == nil {
		return nil, nil, fmt.Sprintf("programs that implement members of struct %s", name)
	}
	if _, ok := state.Strip(target.Proto.Return).(*btf.Pointer); ok {
		return nil, nil, fmt.Sprintf("%s: programs that return pointers", img.Attach.Target)
	}
	target.From, target.To = op.From, op.To
	row.RetVoid = state.IsVoid(target.Proto.Return)
	for _, m := range op.Writable {
		p, err := writablePart(img.Target, m)
		if err != nil {
			return nil, nil, err.Error()
		}
		target.Writable = append(target.Writable, p)
	}
	notes, err := stubNotes(img, name+"__"+member)
	if err != nil {
		return nil, nil, err.Error()
	}
	target.Notes = notes
	return &row, target, ""
}

// writablePart finds where a member lies in the target's kernel.
func writablePart(t *image.Target, m abi.WritableMember) (mem.Part, error) {
	typ, err := kernelStruct(t, m.Struct)
	if err != nil {
		return mem.Part{}, err
	}
	p := mem.Part{Struct: m.Struct}
	for _, name := range m.Path {
		off, next := mem.Member(typ, name)
		if next == nil {
			return mem.Part{}, fmt.Errorf("struct %s: the target has no member %s", m.Struct, strings.Join(m.Path, "."))
		}
		p.Lo, typ = p.Lo+off, next
	}
	size, err := btf.Sizeof(typ)
	if err != nil {
		return mem.Part{}, err
	}
	p.Hi = p.Lo + int64(size)
	return p, nil
}

// stubNotes reads the endings of the parameters' names of the kernel's own
// function for a member, if there is one.
func stubNotes(img *image.Image, stub string) ([]abi.ArgNote, error) {
	spec, err := img.Target.BTF()
	if err != nil {
		return nil, err
	}
	var fn *btf.Func
	if spec.TypeByName(stub, &fn) != nil {
		return nil, nil
	}
	proto, ok := fn.Type.(*btf.FuncProto)
	if !ok {
		return nil, nil
	}
	notes := make([]abi.ArgNote, len(proto.Params))
	for i, p := range proto.Params {
		switch {
		case strings.HasSuffix(p.Name, "__nullable"):
			notes[i] = abi.ArgMayBeNull
		case strings.HasSuffix(p.Name, "__ref"):
			notes[i] = abi.ArgReference
		}
	}
	return notes, nil
}

// attachable judges whether there can be such a program at all.
func (w *walk) attachable() (int, fault.Fault) {
	a := w.img.Attach
	if a.Type != abi.StructOps {
		return 0, nil
	}
	name, member, _ := strings.Cut(a.Target, ".")
	op := abi.StructOpByName(name)
	switch {
	case !w.rules.GPL:
		return 0, fault.AttachTarget{Target: a.Target, Reason: fault.AttachLicense}
	case slices.Contains(op.Forbidden, member):
		return 0, fault.AttachTarget{Target: a.Target, Reason: fault.AttachMember}
	case a.Sleepable && op.Sleepable != nil && !slices.Contains(op.Sleepable, member):
		return 0, fault.AttachTarget{Target: a.Target, Reason: fault.AttachSleeps}
	}
	return 0, nil
}
