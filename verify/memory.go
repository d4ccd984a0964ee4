package verify

import (
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/mem"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file walks loads, stores and atomics.

func (w *walk) load(in isa.Insn) fault.Fault {
	q := mem.Query{Base: in.Src, Off: int(in.Off), Size: in.Bytes(), Signed: in.Mode() == isa.ModeMEMSX}
	r, f := w.layout.Access(w.s, q)
	if f != nil {
		return f
	}
	if f := w.note(&r); f != nil {
		return f
	}
	if q.Signed && r.Value.Kind.Pointer() {
		return fault.Unsupported{What: "sign-extending load of a pointer"}
	}
	if r.Value.Nullable && r.Value.ID == 0 {
		r.Value.ID = w.s.NewID()
	}
	w.s.Set(in.Dst, r.Value)
	return nil
}

func (w *walk) store(in isa.Insn, v *state.Reg) fault.Fault {
	q := mem.Query{Base: in.Dst, Off: int(in.Off), Size: in.Bytes(), Write: true, Value: v}
	r, f := w.layout.Access(w.s, q)
	if f != nil {
		return f
	}
	return w.note(&r)
}

// atomic walks read-modify-write operations, load-acquire and store-release.
func (w *walk) atomic(in isa.Insn) fault.Fault {
	switch in.Imm {
	case isa.LoadAcquire, isa.StoreRelease:
		return w.ordered(in)
	}
	v, f := w.read(in.Src)
	if f != nil {
		return f
	}
	into := in.Src
	if in.Imm == isa.AtomicCmpXchg {
		into = isa.R0
		if v, f = w.read(isa.R0); f != nil {
			return f
		}
	}
	if f := w.leak(into, v, fault.LeakStore); f != nil {
		return f
	}
	q := mem.Query{Base: in.Dst, Off: int(in.Off), Size: in.Bytes(), Atomic: true}
	r, f := w.layout.Access(w.s, q)
	if f != nil {
		return f
	}
	if f := w.leak(in.Dst, &r.Value, fault.LeakRead); f != nil {
		return f
	}
	if r.Value.Kind.Pointer() && in.Imm&isa.AtomicFetch != 0 {
		return fault.Unsupported{What: "atomic operation that fetches a stored pointer"}
	}
	if in.Imm&isa.AtomicFetch != 0 { // before the store is judged: it may be the register with the address
		w.s.Set(into, r.Value)
	}
	q.Write = true
	if r, f = w.layout.Access(w.s, q); f != nil {
		return f
	}
	return w.note(&r)
}

// ordered walks load-acquire and store-release (Linux 6.15).
func (w *walk) ordered(in isa.Insn) fault.Fault {
	if w.img.Target.Version < abi.V(6, 15) {
		return fault.Unsupported{What: "load-acquire and store-release: the target is older than Linux 6.15"}
	}
	q := mem.Query{Base: in.Dst, Off: int(in.Off), Size: in.Bytes(), Atomic: true, Write: in.Imm == isa.StoreRelease}
	if !q.Write {
		q.Base = in.Src
	} else {
		v, f := w.read(in.Src)
		if f != nil {
			return f
		}
		c := *v
		q.Value = &c
	}
	r, f := w.layout.Access(w.s, q)
	if f != nil {
		return f
	}
	if f := w.note(&r); f != nil {
		return f
	}
	if !q.Write {
		w.s.Set(in.Dst, r.Value)
	}
	return nil
}
