// Package user is the engine that needs no kernel support: programs run in
// gtrace's own virtual machine, on breakpoints in the traced process.
//
// It knows programs, maps and sessions; how a process is stopped and watched
// is in package trap.
package user

import (
	"context"
	"errors"
	"fmt"

	"github.com/gtrace-dev/gtrace/engine"
	"github.com/gtrace-dev/gtrace/engine/user/trap"
	"github.com/gtrace-dev/gtrace/event"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/place"
	"github.com/gtrace-dev/gtrace/vm"
	"github.com/gtrace-dev/gtrace/vm/maps"
)

// Options configure the engine. The zero value is fine.
type Options struct {
	VM vm.Options // how programs are run
	// Printk takes the text of bpf_trace_printk; nil: it is dropped.
	Printk func(text string)
}

// Engine attaches programs to places in one process.
type Engine struct {
	opt Options
}

// New makes an engine. It touches nothing.
func New(opt Options) *Engine { return &Engine{opt: opt} }

// Name is "user".
func (e *Engine) Name() string { return "user" }

// Attach implements engine.Engine.
func (e *Engine) Attach(ctx context.Context, bound []engine.Bound, t engine.Target) (engine.Session, error) {
	if err := check(bound, t); err != nil {
		return nil, err
	}
	s, err := newSession(e.opt, bound, t)
	if err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		s.abandon()
		return nil, err
	}
	return s, nil
}

// check finds what this engine cannot do before anything is attached.
func check(bound []engine.Bound, t engine.Target) error {
	for _, b := range bound {
		switch p := b.Place; {
		case p.Kind.Kernel():
			return fmt.Errorf("unsupported: %s on the user engine: a %s is in the kernel; use the kernel engine", p, p.Kind)
		case p.Kind.User() && t.PID == 0 && t.Command == nil:
			return fmt.Errorf("%s: the user engine traces one process and got none: give it a process (-p PID) or a command to start (-c CMD)", p)
		case p.Kind == place.Interval && p.PeriodNS == 0:
			return fmt.Errorf("%s: the period is zero", p)
		case p.Kind < place.Begin || p.Kind > place.RawTracepoint:
			return fmt.Errorf("unsupported: probe type %s on the user engine", p.Kind)
		case b.Program == nil:
			return fmt.Errorf("%s: no verified program", p)
		}
	}
	return nil
}

// program is a loaded program with what it asks of its host.
type program struct {
	*vm.Program
	place place.Place
	needs needs
}

// needs are the facts about a task that cost a system call to find out.
type needs struct{ cpu, ids, comm bool }

// Helpers that ask for such facts (include/uapi/linux/bpf.h: enum bpf_func_id).
const (
	helperProcessorID = 8
	helperUIDGID      = 15
	helperComm        = 16
)

func needsOf(insns []isa.Insn) (n needs) {
	for _, i := range insns {
		if !i.IsCall() || i.Src != isa.CallHelper {
			continue
		}
		switch i.Imm {
		case helperProcessorID:
			n.cpu = true
		case helperUIDGID:
			n.ids = true
		case helperComm:
			n.comm = true
		}
	}
	return n
}

// loadAll creates the maps that the programs share by name, and loads the programs.
func loadAll(mem *maps.Memory, bound []engine.Bound, opt vm.Options) (map[string]*maps.Map, []*program, error) {
	byName := map[string]*maps.Map{}
	for _, b := range bound {
		for _, def := range b.Program.Image().Maps {
			if byName[def.Name] != nil {
				continue
			}
			m, err := mem.Create(def)
			if err != nil {
				return nil, nil, err
			}
			byName[def.Name] = m
		}
	}
	var programs []*program
	for _, b := range bound {
		p, err := vm.Load(b.Program, byName, opt)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", b.Place, err)
		}
		programs = append(programs, &program{Program: p, place: b.Place, needs: needsOf(b.Program.Image().Insns)})
	}
	return byName, programs, nil
}

// trapProbes lists the places that need a breakpoint, and which program each belongs to.
func trapProbes(programs []*program) (probes []trap.Probe, index []int) {
	for i, p := range programs {
		if p.place.Kind.User() {
			probes = append(probes, trap.Probe{Name: p.place.String(), Path: p.place.Path, Addr: p.place.Addr, Offset: p.place.Offset, Return: p.place.Kind == place.Uretprobe})
			index = append(index, i)
		}
	}
	return probes, index
}

var errClosed = errors.New("the session is closed")

// ringOf is the ring buffer that programs write records to; nil when none does.
func ringOf(byName map[string]*maps.Map) *maps.Map { return byName[event.RingMap] }
