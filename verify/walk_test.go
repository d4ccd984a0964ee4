package verify

import (
	"context"
	"errors"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify/facts"
	"github.com/gtrace-dev/gtrace/verify/fault"
)

func built(engine image.EngineKind, insns ...isa.Insn) *image.Image {
	point := &btf.Struct{Name: "point", Size: 24, Members: []btf.Member{
		{Name: "x", Type: &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}},
		{Name: "next", Offset: 64},
		{Name: "name", Offset: 128, Type: &btf.Pointer{Target: &btf.Int{Name: "char", Size: 1}}},
	}}
	point.Members[1].Type = &btf.Pointer{Target: point}
	return &image.Image{
		Program: "p", Attach: abi.Attach{Type: abi.Kprobe}, License: "GPL", Insns: insns, Subprogs: []image.Subprog{{Name: "p"}},
		Target:    &image.Target{Version: abi.V(6, 18), Privileged: true, Arch: "amd64", Engine: engine},
		UserTypes: []object.UserType{{Space: "id", Type: point}},
	}
}

var (
	exit   = isa.Insn{Op: isa.ClassJMP | isa.Exit}
	zero   = isa.Insn{Op: isa.ClassALU64 | isa.Mov}
	cast   = isa.Insn{Op: isa.ClassJMP | isa.Call, Src: isa.CallKfunc, Imm: abi.KfuncUserCast}
	ldCtx  = isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeDW, Dst: isa.R1, Src: isa.R1, Off: 112}
	type0  = isa.Insn{Op: isa.ClassALU64 | isa.Mov, Dst: isa.R2}
	type1  = isa.Insn{Op: isa.ClassALU64 | isa.Mov, Dst: isa.R2, Imm: 1}
	ldNext = isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeDW, Dst: isa.R0, Src: isa.R0, Off: 8}
	ldX    = isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeW, Dst: isa.R0, Src: isa.R0}
	ldHalf = isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeW, Dst: isa.R0, Src: isa.R0, Off: 8}
	ldHole = isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeW, Dst: isa.R0, Src: isa.R0, Off: 4}
	ldEnd  = isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeW, Dst: isa.R0, Src: isa.R0, Off: 24}
	stX    = isa.Insn{Op: isa.ClassST | isa.ModeMEM | isa.SizeW, Dst: isa.R0}
)

// TestUserTypes follows typed user pointers, which no kernel has.
func TestUserTypes(t *testing.T) {
	for _, c := range []struct {
		name string
		code string // "": accepted
		img  *image.Image
	}{
		{"chain", "", built(image.EngineUser, ldCtx, type0, cast, ldNext, ldNext, ldX, exit)},
		{"half a pointer", "type-field", built(image.EngineUser, ldCtx, type0, cast, ldHalf, exit)},
		{"a hole", "type-field", built(image.EngineUser, ldCtx, type0, cast, ldHole, exit)},
		{"the end", "type-field", built(image.EngineUser, ldCtx, type0, cast, ldEnd, exit)},
		{"a store", "type-field", built(image.EngineUser, ldCtx, type0, cast, stX, zero, exit)},
		{"no such type", "wrong-argument", built(image.EngineUser, ldCtx, type1, cast, ldX, exit)},
		{"a number", "scalar-deref", built(image.EngineUser, ldCtx, type0, cast, ldX, ldX, exit)},
		{"on the kernel", "unsupported", built(image.EngineKernel, ldCtx, type0, cast, ldX, exit)},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := Verify(context.Background(), c.img, Options{})
			var r *Rejection
			var u *Unsupported
			switch {
			case errors.As(err, &r) && r.Fault.Code() == c.code:
			case errors.As(err, &u) && c.code == "unsupported":
			case err == nil && c.code == "":
				if f := v.Facts().Insns[3]; !f.Faults || f.Mem != facts.UserPtr {
					t.Errorf("facts of the first load: %+v", f)
				}
			default:
				t.Errorf("%v, want %q", err, c.code)
			}
		})
	}
}

// TestInvariant walks a program and checks every state on the way.
func TestInvariant(t *testing.T) {
	img := built(image.EngineUser, ldCtx, type0, cast,
		isa.Insn{Op: isa.ClassSTX | isa.ModeMEM | isa.SizeDW, Dst: isa.R10, Src: isa.R0, Off: -8},
		ldNext, isa.Insn{Op: isa.ClassJMP | isa.Jeq, Dst: isa.R0, Off: 1}, ldX,
		isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeDW, Dst: isa.R0, Src: isa.R10, Off: -8}, ldX, exit)
	walked := 0
	_, err := Verify(context.Background(), img, Options{Trace: func(insn int, v View) {
		walked++
		if err := v.Check(); err != nil {
			t.Errorf("before instruction %d: %v", insn, err)
		}
	}})
	if err != nil || walked < len(img.Insns) {
		t.Errorf("%d instructions walked, %v", walked, err)
	}
}

// TestView reads what is known of values that no kernel has; golden cases show the others.
func TestView(t *testing.T) {
	plus := isa.Insn{Op: isa.ClassALU64 | isa.Add, Dst: isa.R0, Imm: 16}
	img := built(image.EngineUser, ldCtx, type0, cast, ldNext, plus, zero, exit)
	got := ""
	_, err := Verify(context.Background(), img, Options{Trace: func(insn int, v View) {
		if insn < 3 {
			return
		}
		text, err := v.Text("r0")
		if err != nil {
			t.Error(err)
		}
		got += text + "\n"
		if _, err := v.Text("r10"); err == nil {
			t.Error("r10 has a text")
		}
	}})
	const want = "user struct point +0\nuser struct point +0\nuser struct point +16\n0\n"
	if err != nil || got != want {
		t.Errorf("%v; got\n%swant\n%s", err, got, want)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	loop := built(image.EngineUser, zero, isa.Insn{Op: isa.ClassALU64 | isa.Add, Imm: 1}, isa.Insn{Op: isa.ClassJMP | isa.Jlt, Imm: 400_000, Off: -2}, exit)
	if _, err := Verify(ctx, loop, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
}

// TestFaults: each has a code of its own and a text of one line.
func TestFaults(t *testing.T) {
	codes := map[string]bool{}
	for _, f := range fault.All {
		if s := f.String(); s == "" || codes[f.Code()] {
			t.Errorf("%T: code %q, text %q", f, f.Code(), s)
		}
		codes[f.Code()] = true
	}
}

// TestOtherTargets: what the running kernel does not reject, or can't be asked.
func TestOtherTargets(t *testing.T) {
	old := func(v abi.Version, insns ...isa.Insn) *image.Image {
		img := built(image.EngineKernel, insns...)
		img.Target.Version = v
		return img
	}
	loop := []isa.Insn{zero, {Op: isa.ClassALU64 | isa.Add, Imm: 1}, {Op: isa.ClassJMP | isa.Jlt, Imm: 4, Off: -2}, exit}
	unread := []isa.Insn{{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeDW, Src: isa.R10, Off: -8}, exit}
	poison := func(at int) *image.Image {
		img := built(image.EngineKernel, zero, isa.Insn{Op: isa.ClassJMP | isa.Jeq, Off: 1}, zero, exit)
		img.Poison = map[int]image.Poison{at: {Relo: "field_byte_offset struct s.f", Reason: "no such field"}}
		return img
	}
	unprivileged := built(image.EngineKernel, zero, exit)
	unprivileged.Target.Privileged = false
	for _, c := range []struct {
		name, code string
		img        *image.Image
	}{
		{"loop before 5.3", "back-edge", old(abi.V(5, 2), loop...)},
		{"loop", "accept", old(abi.V(5, 3), loop...)},
		{"unwritten stack before 6.3", "uninit-stack", old(abi.V(6, 2), unread...)},
		{"unwritten stack", "accept", old(abi.V(6, 3), unread...)},
		{"reachable poison", "core-poison", poison(1)},
		{"unreachable poison", "accept", poison(2)},
		{"unprivileged", "privileged-only", unprivileged},
	} {
		_, err := Verify(context.Background(), c.img, Options{})
		got := "accept"
		var r *Rejection
		var u *Unsupported
		switch {
		case errors.As(err, &r):
			got = r.Fault.Code()
		case errors.As(err, &u):
			got = "unsupported"
		case err != nil:
			got = err.Error()
		}
		if got != c.code {
			t.Errorf("%s: %s (%v), want %s", c.name, got, err, c.code)
		}
	}
}
