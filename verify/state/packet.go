package state

// This file defines what is known of packet pointers: their Size.

// Values of Size of a packet pointer that a comparison found at the packet's end.
const (
	AtEnd     int32 = -1 // at it or behind
	BeyondEnd int32 = -2 // behind it
)

// InPacket reports whether k is a kind of pointer into packet data or metadata.
func (k Kind) InPacket() bool { return k == Packet || k == PacketMeta }

// AtStart reports whether r points to the very start of what its kind is about.
func (r *Reg) AtStart() bool {
	return r.ID == 0 && r.Off == 0 && r.Val.IsConst() && r.Val.Value() == 0
}

// Reaches records for p and all packet pointers with the same base that n bytes from there on are in the packet.
func (s *State) Reaches(p *Reg, n int32) {
	kind, id := p.Kind, p.ID
	s.each(func(r *Reg) (Reg, bool) {
		if r.Kind != kind || r.ID != id || r.Size >= n {
			return Reg{}, false
		}
		v := *r
		v.Size = n
		return v, true
	})
}

// ForgetPacket makes packet pointers left: the packet may have moved.
func (s *State) ForgetPacket(left Reg) {
	s.each(func(r *Reg) (Reg, bool) {
		return left, r.Kind.InPacket() || r.Kind == PacketEnd
	})
}
