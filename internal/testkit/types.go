package testkit

import (
	"fmt"

	"github.com/cilium/ebpf/btf"
	"github.com/gtrace-dev/gtrace/image"
)

// This file gives the kernel the prototypes of a program's functions.

// funcInfo is struct bpf_func_info (include/uapi/linux/bpf.h).
type funcInfo struct{ insn, typ uint32 }

// giveTypes adds to load the prototypes of img's functions, if it has any. A
// function without gets that of one that takes nothing.
func giveTypes(img *image.Image, load *progLoad) (*btf.Handle, error) {
	some := false
	for _, s := range img.Subprogs {
		some = some || s.BTF != nil
	}
	if !some {
		return nil, nil
	}
	var b btf.Builder
	for i, s := range img.Subprogs {
		fn := s.BTF
		if fn == nil {
			fn = &btf.Func{Name: fmt.Sprintf("f%d", i), Type: &btf.FuncProto{Return: &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}}}
		}
		linked := *fn
		linked.Linkage = btf.StaticFunc
		if s.Global || i == 0 {
			linked.Linkage = btf.GlobalFunc
		}
		id, err := b.Add(&linked)
		if err != nil {
			return nil, err
		}
		load.funcs = append(load.funcs, funcInfo{uint32(s.Start), uint32(id)})
	}
	h, err := btf.NewHandle(&b)
	if err != nil {
		return nil, fmt.Errorf("types: %w", err)
	}
	load.btfFD = uint32(h.FD())
	return h, nil
}
