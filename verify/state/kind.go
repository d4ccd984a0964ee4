// Package state defines what is known at one point of one path through a
// program: registers, stack slots, frames, ids and references.
package state

import "fmt"

// Kind is the kind of a register's value. What varies within a kind (may be
// NULL, trusted, read-only) is in fields of Reg of its own.
type Kind uint8

const (
	Uninit Kind = iota
	Scalar
	Ctx         // the program's context
	MapPtr      // a map itself
	MapValue    // within a value of a map
	Stack       // within a stack frame
	Packet      // within packet data
	PacketMeta  // within packet metadata
	PacketEnd   // the end of packet data
	RingRecord  // within a reserved record of a ring buffer
	Mem         // within memory of known size
	BTF         // within typed kernel memory
	User        // within typed user memory, or what a program takes for it
	Func        // a subprogram, for callbacks
	Sock        // a full socket (struct bpf_sock)
	SockCommon  // what every socket has (struct bpf_sock)
	TCPSock     // a TCP socket (struct bpf_tcp_sock)
	XDPSock     // an XDP socket (struct bpf_xdp_sock)
	FlowKeys    // the flow dissector's keys
	TPBuffer    // the buffer of a writable tracepoint; its size is known when the program is attached
	Buffer      // a buffer of the context; its size is known when the program is attached
	MapKey      // within a key of a map, which may not change
	ConstDynptr // a dynptr that may only be read: of a callback or a global function
	Iter        // no pointer: an open-coded iterator, in stack slots only
	IRQFlag     // no pointer: a saved flag of interrupts, in stack slots only
	Dynptr      // no pointer: a dynptr, in stack slots only
	numKinds
)

var kindNames = [numKinds]string{
	Uninit: "uninitialised value", Scalar: "number", Ctx: "context pointer", MapPtr: "map pointer", MapValue: "map value pointer",
	Stack: "stack pointer", Packet: "packet pointer", PacketMeta: "packet metadata pointer", PacketEnd: "packet end pointer",
	RingRecord: "ring buffer record pointer", Mem: "memory pointer", BTF: "typed kernel pointer", User: "typed user pointer",
	Func: "function pointer", MapKey: "map key pointer", Sock: "socket pointer", SockCommon: "common socket pointer", TCPSock: "TCP socket pointer",
	XDPSock: "XDP socket pointer", FlowKeys: "flow keys pointer", TPBuffer: "tracepoint buffer pointer", Buffer: "buffer pointer",
	ConstDynptr: "dynptr pointer", Dynptr: "dynptr", Iter: "iterator", IRQFlag: "saved interrupt flag",
}

func (k Kind) String() string {
	if k < numKinds {
		return kindNames[k]
	}
	return fmt.Sprintf("state.Kind(%d)", uint8(k))
}

// Pointer reports whether values of kind k are pointers.
func (k Kind) Pointer() bool { return k > Scalar && k < Iter }

// Socket reports whether values of kind k point to a socket's copy of fields.
func (k Kind) Socket() bool { return k >= Sock && k <= XDPSock }

// Trust says what is guaranteed of a typed kernel pointer.
type Trust uint8

const (
	Legacy    Trust = iota // valid or NULL or stale: loads are protected, old helpers take it
	Trusted                // valid now
	RCU                    // valid within the read-side section
	Untrusted              // any number: loads are protected
)
