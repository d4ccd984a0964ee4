package object

import (
	"io"

	"github.com/cilium/ebpf"
)

func Read(name string, r io.ReaderAt) (*Object, error)   { return nil, unsupported("ELF") }
func Write(o *Object) ([]byte, error)                    { return nil, unsupported("ELF") }
func FromSpec(spec *ebpf.CollectionSpec) (*Object, error) { return nil, unsupported("CollectionSpec") }
