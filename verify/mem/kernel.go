package mem

import (
	"slices"

	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/verify/facts"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file judges typed kernel memory.

func (l *Layout) kernel(s *state.State, base *state.Reg, q Query, r *Result) fault.Fault {
	r.Region = facts.KernelPtr
	name := l.Types.Name(base.Type)
	bad := fault.TypeField{Reg: q.Base, Type: name, Off: int64(base.Off) + int64(q.Off), Size: int64(q.Size)}
	switch {
	case !l.GPL:
		bad.Reason = fault.FieldLicense
		return bad
	case !base.Val.IsConst() || base.Val.Value() != 0:
		return fault.PointerOffset{Reg: q.Base, Kind: base.Describe(), Off: base.Span(0), Variable: true}
	case bad.Off < 0:
		bad.Reason = fault.FieldNegative
		return bad
	case base.Tagged == state.UserTag:
		bad.Reason = fault.FieldUser
		return bad
	case base.Tagged == state.PerCPUTag:
		bad.Reason = fault.FieldPerCPU
		return bad
	case q.Write:
		if l.Target != nil && l.Target.mayWrite(l.Types.At(base.Type).Type, bad.Off, bad.Size) || l.writes(base, int(bad.Off), q.Size) {
			return nil
		}
		bad.Reason = fault.FieldWrite
		return bad
	}
	f, reason := find(l.Types.At(base.Type).Type, int(bad.Off), q.Size)
	if reason != 0 {
		bad.Reason = reason
		return bad
	}
	if f.crosses && l.Version < untrustedUnions {
		bad.Reason = fault.FieldPartial
		return bad
	}
	r.Faults = base.Trust != state.Trusted
	if f.pointer == nil {
		return nil
	}
	return l.follow(base, f, s.InRCU(l.Sleepable), r)
}

// writes reports whether the program may write size bytes at off of what base points to.
func (l *Layout) writes(base *state.Reg, off, size int) bool {
	t := l.Types.At(base.Type).Type
	names := l.Writes[structName(t)]
	if len(names) == 0 || base.Ref == 0 {
		return false
	}
	for range 4 {
		st, ok := state.Strip(t).(*btf.Struct)
		if !ok || len(st.Members) == 0 {
			return false
		}
		for _, m := range st.Members {
			if !slices.Contains(names, m.Name) {
				continue
			}
			n, err := btf.Sizeof(m.Type)
			at := int(m.Offset.Bytes())
			return err == nil && off >= at && off+size <= at+n
		}
		t = st.Members[0].Type
	}
	return false
}

// untrustedUnions is the release from which on nothing is guaranteed of what
// lies in a union, so that numbers there may be read across its members.
var untrustedUnions = abi.V(6, 2)

// untypedMemory is the release from which on memory behind pointers to no
// struct may be read; before, such pointers were numbers.
var untypedMemory = abi.V(6, 17)

// follow makes the pointer that a load of a pointer member gives. protected
// tells whether RCU protects what is loaded now.
func (l *Layout) follow(base *state.Reg, f field, protected bool, r *Result) fault.Fault {
	target, tag := pointee(f.pointer)
	if aggregate(target) == nil {
		if l.Version >= untypedMemory {
			r.Value = state.Untyped()
		}
		return nil
	}
	v := state.Pointer(state.BTF)
	v.Type = l.Types.ID(state.Kernel, target)
	v.Tagged = tag.space
	switch base.Trust {
	case state.Untrusted:
		v.Trust = state.Untrusted
	case state.Trusted, state.RCU:
		how, known := safeFields[member{structName(l.Types.At(base.Type).Type), f.name}]
		if l.Version < how.since {
			how, known = how.before()
		}
		switch {
		case known && how.trust == state.Trusted, known && protected:
			v.Trust, v.Nullable = how.trust, how.nullable
		case !protected:
			v.Trust = state.Untrusted
		case tag.rcu:
			v.Trust, v.Nullable = state.RCU, true
		}
	}
	if f.union {
		v.Trust, v.Nullable = state.Untrusted, false
	}
	r.Value = v
	return nil
}

func structName(t btf.Type) string {
	if s, ok := t.(*btf.Struct); ok {
		return s.Name
	}
	return ""
}

type member struct{ of, name string }

type safe struct {
	trust    state.Trust
	nullable bool
	since    abi.Version // 0: since there is trust at all
	// certain: before since it was trusted and not NULL.
	certain bool
}

// before is what was true before since.
func (s safe) before() (old safe, known bool) {
	return safe{trust: state.Trusted}, s.certain
}

// safeFields are members whose pointer stays trusted or protected by RCU when
// it is loaded through a pointer that is. Asked of Linux 6.18 and 6.12: what
// changed in between is given as of 6.18.
var safeFields = map[member]safe{
	{"task_struct", "cpus_ptr"}:       {trust: state.RCU},
	{"task_struct", "cgroups"}:        {trust: state.RCU},
	{"task_struct", "real_parent"}:    {trust: state.RCU},
	{"task_struct", "group_leader"}:   {trust: state.RCU},
	{"cgroup", "kn"}:                  {trust: state.RCU},
	{"css_set", "dfl_cgrp"}:           {trust: state.RCU},
	{"cgroup_subsys_state", "cgroup"}: {trust: state.RCU},
	{"mm_struct", "exe_file"}:         {trust: state.RCU, nullable: true},
	{"sk_buff", "sk"}:                 {trust: state.RCU, nullable: true},
	{"request_sock", "sk"}:            {trust: state.RCU, nullable: true},
	{"bpf_iter_meta", "seq"}:          {trust: state.Trusted},
	{"bpf_iter__task", "meta"}:        {trust: state.Trusted},
	{"bpf_iter__task", "task"}:        {trust: state.Trusted},
	{"linux_binprm", "file"}:          {trust: state.Trusted},
	{"file", "f_inode"}:               {trust: state.Trusted},
	{"socket", "sk"}:                  {trust: state.Trusted, nullable: true},
	{"vm_area_struct", "vm_mm"}:       {trust: state.Trusted, nullable: true, since: abi.V(6, 18)},
	{"vm_area_struct", "vm_file"}:     {trust: state.Trusted, nullable: true, since: abi.V(6, 18)},
	{"dentry", "d_inode"}:             {trust: state.Trusted, nullable: true, since: abi.V(6, 18), certain: true},
}
