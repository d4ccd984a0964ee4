package verify

import (
	"context"
	"fmt"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/call"
	"github.com/gtrace-dev/gtrace/verify/cfg"
	"github.com/gtrace-dev/gtrace/verify/facts"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/live"
	"github.com/gtrace-dev/gtrace/verify/mem"
	"github.com/gtrace-dev/gtrace/verify/prune"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file defines the walk: every path, one instruction at a time.

type walk struct {
	img    *image.Image
	insns  []isa.Insn
	opts   Options
	row    *abi.Program
	rules  call.Rules
	layout mem.Layout
	graph  *cfg.Graph
	live   *live.Table
	stack  *live.Stack
	table  *prune.Table
	facts  *facts.Table
	used   []int // stack per function, bytes
	// callMap is the map of each call seen, -1 for several.
	callMap map[int]int
	funcs   []function // what is known of each function
	// exception is the function that handles exceptions; 0: none.
	exception int
	missing   map[int]fault.Unsupported // by slot: what the target's instruction set lacks
	may       abi.Privileges
	maskings  map[int]masking // by slot: how the kernel bounds an operand

	ids       uint32
	processed int
	pending   []branch

	// The path being walked.
	branch
	step prune.Step
	tracked
}

// branch is a path to be walked.
type branch struct {
	s    *state.State
	path prune.Path
	pc   int
}

// end is the next slot of a path that is finished.
const end = -1

// checkEvery is how many instructions go by between looks at the context.
const checkEvery = 4096

// paths walks everything that can follow the current branch.
func (w *walk) paths(ctx context.Context) (int, fault.Fault, error) {
	w.adopt()
	for {
		next, f := w.one()
		if f != nil {
			return w.pc, f, nil
		}
		if w.processed%checkEvery == 0 {
			if err := ctx.Err(); err != nil {
				return 0, nil, fmt.Errorf("%s: verification stopped: %w", w.img.Program, err)
			}
		}
		if next != end {
			w.pc = next
			continue
		}
		w.path.End()
		if len(w.pending) == 0 {
			return 0, nil, nil
		}
		n := len(w.pending) - 1
		w.branch = w.pending[n]
		w.pending[n] = branch{}
		w.pending = w.pending[:n]
		w.adopt()
	}
}

// one walks the instruction at pc and tells where to go on.
func (w *walk) one() (next int, f fault.Fault) {
	pc := w.pc
	w.processed++
	w.table.Tick()
	if w.opts.Trace != nil {
		w.opts.Trace(pc, View{s: w.s, layout: &w.layout})
	}
	if w.processed > w.opts.MaxProcessed {
		return 0, fault.TooComplex{What: "instructions", Limit: w.opts.MaxProcessed}
	}
	if w.graph.Head[pc] && !w.opts.NoPrune {
		switch w.table.Visit(pc, w.s, &w.path) {
		case prune.Done:
			return end, nil
		case prune.Cycles:
			w.pc = w.path.LoopHead(w.graph, pc)
			return 0, fault.InfiniteLoop{Head: w.pc}
		}
	}
	if f, ok := w.missing[pc]; ok {
		return 0, f
	}
	if p, ok := w.img.Poison[pc]; ok {
		return 0, fault.CorePoison{Relo: p.Relo, Reason: p.Reason}
	}
	w.facts.Insns[pc].Reached = true
	w.step = prune.Step{Insn: int32(pc), Frame: uint8(w.s.Depth() - 1)}
	in := w.insns[pc]
	if f := w.writable(in); f != nil {
		return 0, f
	}
	depth := w.s.Depth()
	w.track(in)
	next, f = w.dispatch(in)
	w.tracks(in, depth)
	if f == nil && next != end && !w.opts.NoPrune {
		w.path.Log(w.step)
	}
	return next, f
}

// constantToContext is the release from which on constants are stored to the context without a register.
var constantToContext = abi.V(6, 4)

// dispatch executes one instruction on the state.
func (w *walk) dispatch(in isa.Insn) (int, fault.Fault) {
	next := cfg.Next(w.insns, w.pc)
	switch in.Class() {
	case isa.ClassALU, isa.ClassALU64:
		return next, w.alu(in)
	case isa.ClassLD:
		if !in.IsWide() {
			return w.legacyLoad(in)
		}
		return next, w.wide(in)
	case isa.ClassLDX:
		return next, w.load(in)
	case isa.ClassST:
		if w.s.Reg(in.Dst).Kind == state.Ctx && w.img.Target.Version < constantToContext {
			return 0, fault.CtxAccess{Context: w.row.Context.Name, Off: int64(in.Off), Size: int64(in.Bytes()), Write: true}
		}
		v := state.Constant(uint64(int64(in.Imm)))
		return next, w.store(in, &v)
	case isa.ClassSTX:
		if in.Mode() == isa.ModeATOMIC {
			return next, w.atomic(in)
		}
		v, f := w.read(in.Src)
		if f != nil {
			return 0, f
		}
		if v.Kind == state.Scalar && !w.older(storesTied) {
			w.s.Link(in.Src)
		}
		c := *w.s.Reg(in.Src)
		return next, w.store(in, &c)
	}
	return w.jump(in)
}

// read is register r, which must have a value.
func (w *walk) read(r isa.Reg) (*state.Reg, fault.Fault) {
	v := w.s.Reg(r)
	if v.Kind == state.Uninit {
		return nil, fault.UninitRegister{Reg: r}
	}
	return v, nil
}

// writable rejects writes to the frame pointer.
func (w *walk) writable(in isa.Insn) fault.Fault {
	dst := in.Dst
	switch in.Class() {
	case isa.ClassALU, isa.ClassALU64, isa.ClassLDX:
	case isa.ClassLD:
		if !in.IsWide() {
			return nil
		}
	case isa.ClassSTX:
		switch {
		case in.Mode() != isa.ModeATOMIC, in.Imm == isa.StoreRelease, in.Imm == isa.AtomicCmpXchg:
			return nil
		case in.Imm == isa.LoadAcquire:
		case in.Imm&isa.AtomicFetch == 0:
			return nil
		default:
			dst = in.Src
		}
	default:
		return nil
	}
	if dst == isa.R10 {
		return fault.FramePointerWrite{}
	}
	return nil
}

// exact records that the verdict rests on the numbers in registers of the current frame.
func (w *walk) exact(regs ...isa.Reg) {
	var buf [5]prune.Place
	places := buf[:0]
	for _, r := range regs {
		if w.s.Reg(r).Kind == state.Scalar {
			places = append(places, prune.Place{Frame: w.step.Frame, Index: uint8(r)})
		}
	}
	if len(places) > 0 {
		w.path.Exact(w.insns, places...)
	}
}

// note adds what was learnt of the access at pc to the facts.
func (w *walk) note(r *mem.Result) fault.Fault {
	i := &w.facts.Insns[w.pc]
	if r.Map >= len(w.img.Maps) {
		r.Map = -1
	}
	if r.Region == facts.Stack {
		w.touch(r.Frame, r.Lo)
		w.step.HasSlot = true
		w.step.SlotFrame = uint8(r.Frame)
		w.step.SlotLo, w.step.SlotHi = int8(state.SlotOf(r.Hi)), int8(state.SlotOf(r.Lo))
		w.accessed(r)
	}
	switch {
	case i.Mem == facts.None:
		i.Mem, i.Map = r.Region, r.Map
	case i.Mem != r.Region:
		if exclusive(i.Mem) || exclusive(r.Region) {
			return fault.MixedAccess{Kind: regionNames[r.Region], Other: regionNames[i.Mem]}
		}
		i.Mem, i.Map = facts.Mem, -1
	case i.Map != r.Map:
		i.Map = -1
	}
	i.Faults = i.Faults || r.Faults
	return nil
}

// exclusive: an instruction that accesses this region can't access another one.
func exclusive(r facts.Region) bool {
	switch r {
	case facts.Ctx, facts.KernelPtr, facts.UserPtr, facts.Sock, facts.SockCommon, facts.TCPSock, facts.XDPSock:
		return true
	}
	return false
}

var regionNames = map[facts.Region]string{
	facts.Stack: "stack", facts.Ctx: "context", facts.MapValue: "map value", facts.RingRecord: "ring buffer record",
	facts.KernelPtr: "typed kernel memory", facts.UserPtr: "typed user memory", facts.Mem: "memory",
	facts.Sock: "socket", facts.SockCommon: "common socket", facts.TCPSock: "TCP socket", facts.XDPSock: "XDP socket",
}

// touch notes that the function of a frame uses its stack down to off.
func (w *walk) touch(frame, off int) {
	sub := w.s.Frame(frame).Sub
	w.used[sub] = max(w.used[sub], -off)
}

// fork is another way on which the walk may go on behind the current instruction.
func (w *walk) fork() (branch, fault.Fault) {
	if len(w.pending) >= w.opts.MaxPending {
		return branch{}, fault.TooComplex{What: "pending branches", Limit: w.opts.MaxPending}
	}
	return branch{s: w.s.Clone(), path: w.path.Fork(), pc: w.pc + 1}, nil
}

// queue leaves b, which the current instruction led to, to be walked later.
func (w *walk) queue(b branch) {
	if !w.opts.NoPrune {
		b.path.Log(w.step)
	}
	w.pending = append(w.pending, b)
}
