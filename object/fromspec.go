package object

import "github.com/cilium/ebpf"

func FromSpec(spec *ebpf.CollectionSpec) (*Object, error) { return nil, unsupported("CollectionSpec") }
