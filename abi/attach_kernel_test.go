package abi

import (
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

// kernelType finds a type of the running kernel and its number.
func kernelType[T btf.Type](t *testing.T, spec *btf.Spec, name string) (found T, id uint32) {
	t.Helper()
	if err := spec.TypeByName(name, &found); err != nil {
		return found, 0
	}
	n, err := spec.TypeID(found)
	if err != nil {
		t.Fatal(err)
	}
	return found, uint32(n)
}

func runningSpec(t *testing.T) *btf.Spec {
	t.Helper()
	kernelTypes(t)
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		t.Skip("skipped: no kernel BTF:", err)
	}
	return spec
}

// noteWords begin what the kernel calls an argument with a note.
var noteWords = map[ArgNote][]string{
	ArgAsTyped: {"scalar", "trusted_ptr_"}, ArgMayBeNull: {"trusted_ptr_or_null_"}, ArgLegacyOrNull: {"ptr_or_null_"},
	ArgBufferOrNull: {"buf_or_null"}, ArgReadBufferOrNull: {"rdonly_buf_or_null"},
}

// The running kernel has the same iterators, and says the same of their arguments.
func TestIteratorsKernel(t *testing.T) {
	spec := runningSpec(t)
	buf := make([]byte, 1<<16)
	a := Attach{Type: Tracing, Expected: AttachTraceIter}
	asked := 0
	for typ, err := range spec.All() {
		f, ok := typ.(*btf.Func)
		if err != nil || !ok || !strings.HasPrefix(f.Name, "bpf_iter_") {
			continue
		}
		_, id := kernelType[*btf.Func](t, spec, f.Name)
		end := append(slot(0xb7, 0, 0, 0), slot(0x95, 0, 0, 0)...)
		if _, err := tryLoad(a, id, end, "GPL", buf); err != nil {
			continue // no iterator
		}
		it := IteratorByName(strings.TrimPrefix(f.Name, "bpf_iter_"))
		if it == nil {
			t.Errorf("%s is not in the table", f.Name)
			continue
		}
		for i := 1; i < len(f.Type.(*btf.FuncProto).Params); i++ {
			note := ArgAsTyped
			if i <= len(it.Notes) {
				note = it.Notes[i-1]
			}
			asked++
			log, _ := loadLevel(2, a, id, append(slot(0x79, 1<<4|2, int16(8*i), 0), end...), "GPL", buf)
			m := yielded.FindStringSubmatch(log)
			if m == nil || !slices.ContainsFunc(noteWords[note], func(w string) bool { return strings.HasPrefix(m[1], w) }) ||
				note == ArgAsTyped && strings.Contains(m[1], "or_null") {
				t.Errorf("%s argument %d: the kernel says %q, the table %v", f.Name, i, m, note)
			}
		}
	}
	t.Logf("%d arguments", asked)
}

// The running kernel gives programs for members of its structs the same helpers.
func TestStructOpsKernel(t *testing.T) {
	spec := runningSpec(t)
	buf := make([]byte, 1<<16)
	for _, target := range []string{"tcp_congestion_ops.init", "tcp_congestion_ops.release", "bpf_dummy_ops.test_1"} {
		name, member, _ := strings.Cut(target, ".")
		st, id := kernelType[*btf.Struct](t, spec, name)
		if id == 0 {
			t.Logf("%s: not here", target)
			continue
		}
		at := slices.IndexFunc(st.Members, func(m btf.Member) bool { return m.Name == member })
		for n := range helpers {
			h := HelperByID(int32(n))
			if h == nil || lockedDown[h.Name] {
				continue
			}
			insns := append(append(slot(0x85, 0, 0, h.ID), slot(0xb7, 0, 0, 0)...), slot(0x95, 0, 0, 0)...)
			log, _ := tryLoad(Attach{Type: StructOps, Expected: AttachType(at)}, id, insns, "GPL", buf)
			has := !strings.Contains(log, "unknown func") && !strings.Contains(log, "cannot use helper") && !strings.Contains(log, "invalid func")
			if got := h.Has(Attach{Type: StructOps, Target: target}); got != has {
				t.Errorf("%s, %s: kernel has it: %v, table: %v\n%s", target, h.Name, has, got, log)
			}
		}
	}
}
