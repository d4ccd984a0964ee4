package abi

// Defines what dynptrs there are (Documentation/bpf/kfuncs.rst, bpf-helpers(7)).

// DynptrKind is what a dynptr gives access to.
type DynptrKind int32

const (
	NoDynptr      DynptrKind = iota
	DynptrLocal              // memory of the program
	DynptrRing               // a reserved record of a ring buffer, to be submitted or discarded
	DynptrSKB                // a packet
	DynptrXDP                // a packet
	DynptrSKBMeta            // a packet's metadata
	DynptrSame               // of a call: what the dynptr that it is given gives access to
)

// Packet reports whether the memory goes when the packet changes.
func (k DynptrKind) Packet() bool { return k == DynptrSKB || k == DynptrXDP || k == DynptrSKBMeta }

// WriteChanges reports whether writing to such a dynptr may move the packet, so
// that pointers to it are void: a socket buffer may have to be copied first.
func (k DynptrKind) WriteChanges() bool { return k == DynptrSKB || k == DynptrSKBMeta }

// DynptrSize is the size of struct bpf_dynptr in bytes.
const DynptrSize = 16

// WritesPackets reports whether programs of type t may write to packet data.
func (t ProgType) WritesPackets() bool { return packetRights[t] >= PacketWrite }

// Projections are the structs that programs see of a kernel's struct: kernel
// functions that are declared with one take pointers to the other.
var Projections = map[string]string{"__sk_buff": "sk_buff", "xdp_md": "xdp_buff"}
