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
	"github.com/gtrace-dev/gtrace/verify/scalar"
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
	case a.Type == abi.Ext:
		return nil, nil, fmt.Sprintf("program type ext: its type and context are those of the program whose function %s it replaces", a.Target)
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
	case abi.LSM:
		return lsm(img, *row, target)
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
	case abi.AttachFEntry:
		target.Trust = state.Legacy
	case abi.AttachFExit:
		target.Trust, target.Result = state.Legacy, mem.AnyResult
	case abi.AttachModifyRet:
		target.Trust, target.Result = state.Legacy, mem.IntResult
	default:
		return fmt.Sprintf("program type tracing with attach type %d", a.Expected)
	}
	return ""
}

// lsmReturns is the release from which on LSM programs return what their hook may.
var lsmReturns = abi.V(6, 12)

// maxErrno is the largest error number (include/linux/err.h).
const maxErrno = 4095

// lsm completes row and target of a program at a hook of the kernel's security modules.
func lsm(img *image.Image, row abi.Program, target *mem.Target) (*abi.Program, *mem.Target, string) {
	hook := abi.LSMHookByName(img.Attach.Target)
	if hook.Untrusted {
		target.Trust = state.Legacy
	}
	target.Result, target.Notes = mem.AnyResult, nameNotes(target.Proto)
	void := state.IsVoid(target.Proto.Return)
	if row.Expected == abi.AttachLSMCgroup {
		if void {
			row.RetMin = 1
		}
		return &row, target, ""
	}
	switch {
	case void:
		row.RetVoid = true
	case img.Target.Version < lsmReturns:
	default:
		row.RetAny, row.RetMin, row.RetMax, row.Ret32 = false, -maxErrno, 0, true
		if hook.Bool {
			row.RetMin, row.RetMax = 0, 1
		}
		returns := scalar.Signed(row.RetMin, row.RetMax)
		target.ResultRange = &returns
	}
	return &row, target, ""
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
		if img.Target.Version < m.Since {
			continue
		}
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
	return nameNotes(proto), nil
}

// nameNotes are the notes that the endings of parameters' names make.
func nameNotes(proto *btf.FuncProto) []abi.ArgNote {
	notes := make([]abi.ArgNote, len(proto.Params))
	for i, p := range proto.Params {
		switch {
		case strings.HasSuffix(p.Name, "__nullable"):
			notes[i] = abi.ArgMayBeNull
		case strings.HasSuffix(p.Name, "__ref"):
			notes[i] = abi.ArgReference
		}
	}
	return notes
}

// attachable judges whether there can be such a program at all.
func (w *walk) attachable() (int, fault.Fault) {
	a := w.img.Attach
	bad := fault.AttachTarget{Target: a.Target}
	var ok bool
	var f fault.Fault
	switch a.Type {
	case abi.StructOps:
		bad.Reason, ok = w.structOpAllowed()
	case abi.LSM:
		bad.Reason, ok = w.hookAllowed()
	case abi.Tracing:
		bad.Reason, ok, f = w.functionAllowed()
	default:
		return 0, nil
	}
	if f == nil && !ok {
		f = bad
	}
	return 0, f
}

func (w *walk) structOpAllowed() (fault.AttachReason, bool) {
	name, member, _ := strings.Cut(w.img.Attach.Target, ".")
	op := abi.StructOpByName(name)
	switch {
	case !w.rules.GPL:
		return fault.AttachLicense, false
	case slices.Contains(op.Forbidden, member):
		return fault.AttachMember, false
	case w.img.Attach.Sleepable && op.Sleepable != nil && !slices.Contains(op.Sleepable, member):
		return fault.AttachSleeps, false
	}
	return 0, true
}

func (w *walk) hookAllowed() (fault.AttachReason, bool) {
	hook := abi.LSMHookByName(w.img.Attach.Target)
	switch {
	case !w.rules.GPL:
		return fault.AttachLicense, false
	case hook.Disabled:
		return fault.AttachHook, false
	case w.img.Attach.Sleepable && !hook.Sleepable:
		return fault.AttachSleeps, false
	}
	return 0, true
}

// functionAllowed judges a program at a kernel function. What only the list of
// functions whose errors may be injected tells is unsupported.
func (w *walk) functionAllowed() (r fault.AttachReason, ok bool, f fault.Fault) {
	a := w.img.Attach
	switch a.Expected {
	case abi.AttachFEntry, abi.AttachFExit, abi.AttachModifyRet:
	default:
		return 0, true, nil
	}
	fn := a.Target
	if abi.Untraceable(fn, a.Expected, w.img.Target.Version) {
		return fault.AttachFunction, false, nil
	}
	injectable := w.injectable(fn)
	if a.Expected == abi.AttachModifyRet && !strings.HasPrefix(fn, "security_") && !w.modifiable(fn, false) && injectable != yes {
		return fault.AttachReturn, false, unknown(injectable, "fmod_ret/"+fn)
	}
	if a.Sleepable && !w.modifiable(fn, true) && injectable != yes {
		return fault.AttachSleeps, false, unknown(injectable, "sleepable program at "+fn)
	}
	return 0, true, nil
}

func (w *walk) modifiable(fn string, sleepable bool) bool {
	return !w.older(abi.ModifiableSince) && abi.Modifiable(fn, sleepable)
}

// answer is what is known of a question.
type answer uint8

const (
	no answer = iota
	yes
	perhaps
)

func unknown(a answer, what string) fault.Fault {
	if a != perhaps {
		return nil
	}
	return fault.Unsupported{What: what + ": whether the kernel lets errors be injected into the function"}
}

// injectable tells whether errors may be injected into a kernel function: such
// functions may be changed, and programs at them may sleep.
func (w *walk) injectable(fn string) answer {
	t := w.img.Target
	config := t.Config
	if config == nil && t.LoadConfig != nil {
		config, _ = t.LoadConfig()
	}
	switch {
	case config == nil:
		return perhaps
	case config["CONFIG_FUNCTION_ERROR_INJECTION"] != "y":
		return no
	case strings.HasPrefix(fn, "__x64_sys_"):
		return yes
	}
	return perhaps
}
