package abi

import (
	"strings"
	"testing"
)

// This file asks the running kernel who may do what with packets.

// withPacket loads a program of a that checks 64 bytes of its packet, at r7, and goes on with code; "" without a packet.
func withPacket(a Attach, code []byte, buf []byte) (log string, ok, has bool) {
	p := ProgramFor(a)
	var data, end *CtxField
	for i := range p.Context.Fields {
		switch f := &p.Context.Fields[i]; f.Kind {
		case CtxPacket:
			data = f
		case CtxPacketEnd:
			end = f
		}
	}
	if data == nil || end == nil {
		return "", false, false
	}
	ld := map[int]byte{4: 0x61, 8: 0x79}
	x := &asm{}
	x.reg(6, 1).op(ld[data.Size], 7, 1, int16(data.Off), 0).op(ld[end.Size], 8, 1, int16(end.Off), 0)
	x.reg(2, 7).add(2, 64).op(0x3d, 8, 2, 2, 0).exit() // if r8 >= r2 goto over
	x.code = append(x.code, code...)
	x.exit()
	log, err := tryLoad(a, 0, x.code, "GPL", buf)
	return log, err == nil, true
}

// TestPacketRightsKernel asks who may write packets, pass them to helpers, and load with LD_ABS.
func TestPacketRightsKernel(t *testing.T) {
	types, _ := kernelTypes(t)
	buf := make([]byte, 1<<16)
	lookup := (&asm{}).reg(2, 7)
	more := []Attach{{Type: CGroupSockopt, Expected: AttachSetsockopt}, {Type: CGroupSockopt, Expected: AttachGetsockopt}, {Type: SockOps, Expected: AttachSockOps},
		{Type: SKMsg}, {Type: SKSKB}, {Type: LWTIn}, {Type: LWTXmit}, {Type: LWTSeg6Local}, {Type: FlowDissector}, {Type: SKReuseport, Expected: AttachReuseport}}
	for _, a := range append(types[:len(types):len(types)], more...) {
		p := ProgramFor(a)
		log, ok, has := withPacket(a, (&asm{}).op(0x72, 7, 0, 0, 1).code, buf)
		if !has {
			continue
		}
		if ok != (p.Packet() >= PacketWrite) {
			t.Errorf("%s: kernel lets it write: %v\n%s", p.Name, ok, log)
		}
		// bpf_map_lookup_elem takes packets, bpf_trace_printk does not.
		log, _, _ = withPacket(a, lookup.reg(1, 7).call(1).code, buf)
		pass := !strings.Contains(log, "helper access to the packet is not allowed")
		if pass != (p.Packet() != PacketNone) {
			t.Errorf("%s: kernel lets it pass packets: %v\n%s", p.Name, pass, log)
		}
		log, _, _ = withPacket(a, (&asm{}).mov(2, 4).reg(1, 7).call(6).code, buf)
		if any := !strings.Contains(log, "helper access to the packet is not allowed"); any != (p.Packet() == PacketBuffer) {
			t.Errorf("%s: kernel lets it pass packets to all helpers: %v\n%s", p.Name, any, log)
		}
	}
	for _, a := range types {
		p := ProgramFor(a)
		log, err := tryLoad(a, 0, (&asm{}).reg(6, 1).op(0x20, 0, 0, 0, 0).exit().code, "GPL", buf)
		if (err == nil) != p.LegacyLoads() && !strings.Contains(log, "attach_btf_id") && p.Type != Tracing && p.Type != LSM {
			t.Errorf("%s: kernel lets it use LD_ABS: %v\n%s", p.Name, err == nil, log)
		}
	}
}

// TestPacketHelpersKernel asks which helpers take packets as memory.
func TestPacketHelpersKernel(t *testing.T) {
	types, _ := kernelTypes(t)
	buf := make([]byte, 1<<16)
	for id := range helpers {
		h := HelperByID(int32(id))
		if h == nil || h.Name == "" {
			continue
		}
		for _, a := range types {
			p := ProgramFor(a)
			if p.Packet() == PacketNone || h.Sleepable || a.Type == CGroupSockopt || !h.Has(a) {
				continue
			}
			arg := -1
			for i, k := range h.For(a.Type, V(6, 18)).Args {
				if k != ArgAnything {
					arg = i
					break
				}
			}
			if arg < 0 {
				continue
			}
			x := &asm{}
			for r := byte(1); r <= 5; r++ {
				x.mov(r, 0)
			}
			log, _, has := withPacket(a, x.reg(byte(arg)+1, 7).call(h.ID).code, buf)
			if !has {
				continue
			}
			takes := !strings.Contains(log, "helper access to the packet is not allowed")
			if takes != h.PacketAccess {
				lines := strings.Split(strings.TrimSpace(log), "\n")
				t.Errorf("%d %s, %s: kernel takes packets: %v\n%s", h.ID, h.Name, p.Name, takes, strings.Join(lines[max(0, len(lines)-2):], "\n"))
			}
			break
		}
	}
}
