package verify

import (
	"github.com/cilium/ebpf/btf"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/cfg"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/prune"
	"github.com/gtrace-dev/gtrace/verify/scalar"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file says what comparisons of packet pointers show, and walks the loads of classic BPF.

// packetPair finds a packet pointer compared with what ends the packet, or its
// metadata: (data, data_end) or (data_meta, data). turned: they are the other way round.
func packetPair(a, b *state.Reg) (turned, ok bool) {
	ends := func(p, end *state.Reg) bool {
		return p.Kind == state.Packet && end.Kind == state.PacketEnd ||
			p.Kind == state.PacketMeta && end.Kind == state.Packet && end.AtStart()
	}
	if ends(a, b) {
		return false, true
	}
	return true, ends(b, a)
}

// swapped is the comparison that says of (b, a) what code says of (a, b).
func swapped(code uint8) uint8 {
	switch code {
	case isa.Jgt:
		return isa.Jlt
	case isa.Jlt:
		return isa.Jgt
	case isa.Jge:
		return isa.Jle
	case isa.Jle:
		return isa.Jge
	}
	return code
}

// decidePacket tells how a comparison with the packet's end goes that a comparison before has shown.
func decidePacket(c scalar.Cond, dst, src *state.Reg) (taken, known bool) {
	code, p := c.Code, dst
	switch {
	case c.Is32:
		return false, false
	case src.Kind == state.PacketEnd:
	case dst.Kind == state.PacketEnd:
		code, p = swapped(code), src
	default:
		return false, false
	}
	if !p.Kind.InPacket() || p.Size >= 0 {
		return false, false
	}
	switch code {
	case isa.Jgt, isa.Jle:
		return code == isa.Jgt, p.Size == state.BeyondEnd
	case isa.Jge, isa.Jlt:
		return code == isa.Jge, true
	}
	return false, false
}

// refinePacket notes on both branches what the comparison of packet pointers shows.
func refinePacket(taken, not *state.State, in isa.Insn) {
	if !in.UsesReg() || in.Class() == isa.ClassJMP32 {
		return
	}
	code, p := in.Operation(), in.Dst
	turned, ok := packetPair(taken.Reg(in.Dst), taken.Reg(in.Src))
	if !ok {
		return
	}
	if turned {
		code, p = swapped(code), in.Src
	}
	// in: where p is not beyond the end; out: where it is.
	var inside, outside *state.State
	open := false // p itself is below the end
	switch code {
	case isa.Jgt:
		inside, outside = not, taken
	case isa.Jle:
		inside, outside = taken, not
	case isa.Jge:
		inside, outside, open = not, taken, true
	case isa.Jlt:
		inside, outside, open = taken, not, true
	default:
		return
	}
	reaches(inside, p, open)
	if v := *outside.Reg(p); v.Kind == state.Packet {
		v.Size = state.BeyondEnd
		if open {
			v.Size = state.AtEnd
		}
		outside.Set(p, v)
	}
}

// reaches notes in s that register r points to the packet's end or below; open: below.
func reaches(s *state.State, r isa.Reg, open bool) {
	p := *s.Reg(r)
	if p.Off < 0 || p.Off == 0 && open {
		return // nothing, or nothing that the kernel takes note of
	}
	if p.Val.UMax > abi.MaxPacketOff || p.Val.UMax+uint64(p.Off) > abi.MaxPacketOff {
		return // it may have run over
	}
	n := p.Off
	if open {
		n++
	}
	s.Reaches(&p, n)
}

// legacyLoad walks LD_ABS and LD_IND. Where the packet is too short they end
// the program, or the function that they are in.
func (w *walk) legacyLoad(in isa.Insn) (int, fault.Fault) {
	if !w.row.LegacyLoads() {
		return 0, fault.LegacyLoad{Reason: fault.LegacyProgram, Program: w.row.Name}
	}
	ctx, f := w.read(isa.R6)
	if f != nil {
		return 0, f
	}
	if f := w.leave("a load by LD_ABS or LD_IND"); f != nil {
		return 0, f
	}
	if ctx.Kind != state.Ctx {
		return 0, fault.LegacyLoad{Reason: fault.LegacyContext, Found: ctx.Describe()}
	}
	if in.Mode() == isa.ModeIND {
		if _, f := w.read(in.Src); f != nil {
			return 0, f
		}
	}
	if off, ok := ctx.ConstOff(); !ok || off != 0 {
		return 0, fault.CtxModified{Reg: isa.R6, Off: ctx.Span(0), Variable: !ok}
	}
	w.s.Clobber()
	w.s.Set(isa.R0, state.Number(scalar.Unknown))
	if w.s.Depth() == 1 || w.img.Target.Version < legacyEnds {
		return w.pc + 1, nil
	}
	if w.s.Top().Callback != nil {
		return 0, fault.Unsupported{What: "LD_ABS and LD_IND in callbacks"}
	}
	if len(w.pending) >= w.opts.MaxPending {
		return 0, fault.TooComplex{What: "pending branches", Limit: w.opts.MaxPending}
	}
	loaded := branch{s: w.s.Clone(), path: w.path.Fork(), pc: w.pc + 1}
	loaded.path.Log(w.step)
	w.pending = append(w.pending, loaded)
	w.s.Set(isa.R0, state.Constant(0))
	w.step.Kind = prune.TailReturn
	return w.s.Pop() + 1, nil
}

// legacyEnds is the first release that was seen to know that LD_ABS and LD_IND
// may end a function: 6.1 and 6.12 have it as a fix.
var legacyEnds = abi.V(6, 1)

// legacyReturns requires that functions that may end so return an int.
func (w *walk) legacyReturns() (int, fault.Fault) {
	for f := 1; f < len(w.graph.Funcs) && f < len(w.img.Subprogs); f++ {
		sub := &w.img.Subprogs[f]
		if sub.BTF != nil {
			if p, ok := sub.BTF.Type.(*btf.FuncProto); ok && isInt(p.Return) {
				continue
			}
		}
		shape := &w.graph.Funcs[f]
		for i := shape.Start; i < shape.End; i = cfg.Next(w.insns, i) {
			if in := w.insns[i]; in.Class() == isa.ClassLD && !in.IsWide() {
				return i, fault.LegacyLoad{Reason: fault.LegacyReturn, Program: sub.Name}
			}
		}
	}
	return 0, nil
}

func isInt(t btf.Type) bool {
	switch u := state.Strip(t).(type) {
	case *btf.Int:
		return u.Size <= 8
	case *btf.Enum:
		return true
	}
	return false
}
