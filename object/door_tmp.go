package object

import "github.com/cilium/ebpf"

func Write(o *Object) ([]byte, error)                     { return nil, unsupported("ELF") }
func FromSpec(spec *ebpf.CollectionSpec) (*Object, error) { return nil, unsupported("CollectionSpec") }
