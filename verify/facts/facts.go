// Package facts is what the verifier learnt about each instruction. Engines,
// the vm, the disassembler and the debugger read it; none computes it again.
package facts

// Table holds the facts of a verified program, one row a slot.
type Table struct {
	Insns      []Insn
	StackDepth int // bytes, the deepest call chain
	Processed  int // instructions walked
	States     int // states kept
}

// Insn is what is known of one slot.
type Insn struct {
	Reached bool
	// Mem is the region that a load, store or atomic accesses; Kind None for others.
	Mem Region
	// Faults: the access may fault at run time; the destination becomes 0 and the program goes on.
	Faults bool
	// Map indexes Image.Maps for a helper call that takes a map, or an access to a map value; -1 for none.
	Map int
}

// Region is the kind of memory an access touches.
type Region uint8

const (
	None Region = iota
	Stack
	Ctx
	MapValue
	RingRecord
	KernelPtr // typed kernel memory
	UserPtr   // typed user memory
	Mem       // memory with a size
	Sock
	SockCommon
	TCPSock
	XDPSock
	Packet
)
