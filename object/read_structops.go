package object

import (
	"debug/elf"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/abi"
)

// This file reads sections .struct_ops: variables of a kernel struct whose
// members are programs of the object.

// arenaSection holds the globals that live in the object's arena map.
const arenaSection = ".addr_space.1"

// structOpsSection: ".struct_ops", ".struct_ops.link", and with a '?' in front
// where libbpf is not to load them unless asked.
func structOpsSection(name string) bool {
	name = strings.TrimPrefix(name, "?")
	return name == ".struct_ops" || name == ".struct_ops.link"
}

// relocateStructOps finds which program stands in which member, and makes
// "struct.member" the program's attach target.
func (r *reader) relocateStructOps(s *elf.Section, name string) error {
	recs, err := r.relEntries(s)
	if err != nil {
		return err
	}
	ds, err := r.datasec(name)
	if err != nil {
		return err
	}
	if ds == nil {
		return fmt.Errorf("no BTF for it: compile with -g")
	}
	for _, e := range recs {
		if err := r.structOp(ds, e); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) structOp(ds *btf.Datasec, e relEntry) error {
	outside := fmt.Errorf("relocation at %d is in no member of a struct", e.offset)
	t, at := varAt(ds, e.offset)
	if t == nil {
		return outside
	}
	st, ok := btf.UnderlyingType(t.Type).(*btf.Struct)
	if !ok {
		return fmt.Errorf("variable %s has type %v, expected a struct", t.Name, t.Type)
	}
	for _, m := range st.Members {
		if uint64(m.Offset.Bytes()) != at {
			continue
		}
		p := r.funcStart(e.sym, int64(min(e.sym.Value, 1<<31)/8))
		if p == nil {
			return fmt.Errorf("%s.%s: %q is no program", t.Name, m.Name, e.sym.Name)
		}
		if p.Attach.Type == abi.StructOps {
			essential, _, _ := strings.Cut(st.Name, "___")
			p.Attach.Target = essential + "." + m.Name
		}
		return nil
	}
	return outside
}
