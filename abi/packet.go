package abi

// Defines what program types may do with packet data directly, and with the
// instructions LD_ABS and LD_IND of classic BPF. Asked of Linux 6.18;
// TestPacketRightsKernel asks the running kernel again.

// PacketRights says what a program may do with packet data that its context leads to.
type PacketRights uint8

const (
	PacketNone   PacketRights = iota // read it, but neither write it nor pass it to helpers
	PacketRead                       // and pass it to helpers
	PacketWrite                      // and write it
	PacketBuffer                     // and any helper takes it: it is no packet, but the value of a socket option
)

var packetRights = map[ProgType]PacketRights{
	LWTIn: PacketRead, LWTOut: PacketRead, LWTSeg6Local: PacketRead, SKReuseport: PacketRead, FlowDissector: PacketRead, CGroupSKB: PacketRead,
	SchedCLS: PacketWrite, SchedACT: PacketWrite, XDP: PacketWrite, LWTXmit: PacketWrite, SKSKB: PacketWrite, SKMsg: PacketWrite,
	CGroupSockopt: PacketBuffer,
}

// Packet says what programs of row p may do with packet data.
func (p *Program) Packet() PacketRights { return packetRights[p.Type] }

// LegacyLoads reports whether programs of row p may use LD_ABS and LD_IND.
func (p *Program) LegacyLoads() bool {
	return p.Type == SocketFilter || p.Type == SchedCLS || p.Type == SchedACT
}

// MaxPacketOff is the most by which a packet pointer's offset may vary to be of use in a comparison.
const MaxPacketOff = 0xffff

// Alignment says how accesses must be aligned. The stack and atomic operations are not asked.
type Alignment uint8

const (
	AlignDefault Alignment = iota // as the CPU needs it
	AlignStrict                   // all naturally: BPF_F_STRICT_ALIGNMENT
	AlignAny                      // not at all: BPF_F_ANY_ALIGNMENT
)

// unaligned are the CPUs (GOARCH) for which the kernel takes unaligned accesses as fast.
var unaligned = map[string]bool{
	"386": true, "amd64": true, "arm": true, "arm64": true, "loong64": true, "ppc64": true, "ppc64le": true, "s390x": true,
}

// Strict reports whether accesses on arch must be aligned.
func (a Alignment) Strict(arch string) bool {
	return a == AlignStrict || a == AlignDefault && !unaligned[arch]
}

// NetIPAlign is how far behind an aligned address packets are taken to begin when accesses must be aligned.
const NetIPAlign = 2
