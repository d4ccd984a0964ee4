// Package vm makes a Verified program runnable in this process. The
// interpreter is the reference (vm/interp); maps are in shared memory
// (vm/maps); what programs see of the world is a helper.Host (vm/helper).
package vm

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/verify"
	"github.com/gtrace-dev/gtrace/verify/facts"
	"github.com/gtrace-dev/gtrace/vm/helper"
	"github.com/gtrace-dev/gtrace/vm/interp"
	"github.com/gtrace-dev/gtrace/vm/maps"
)

// DefaultFuel is the budget of a run in instructions, when Options has none: a
// verified program ends by itself, but one with may_goto or bpf_loop may take
// its time, and the traced task waits.
const DefaultFuel = 1 << 26

// ErrBudget ends a run that took more instructions than Options.Fuel.
var ErrBudget = interp.ErrBudget

// Error is an instruction that cannot be run, or a run that had to end.
type Error = interp.Error

// Options say how a program is run.
type Options struct {
	// Check checks every access at run time, trusting nothing the verifier
	// said: an access outside of a live object ends the run with an *Error.
	Check bool
	// Fuel bounds a run, in instructions; 0 means DefaultFuel. It is counted
	// exactly with Check, else in whole loops and calls.
	Fuel int64
	// Step, with Check, is called before each instruction with its slot and R0
	// to R10, which it must not keep. An error ends the run.
	Step func(insn int, regs []uint64) error
}

// Program is a program ready to run. Several goroutines may run it at once,
// each run with its own stack; see helper.Host.CPU about per-CPU maps.
type Program struct {
	img  *image.Image
	code *interp.Code
	maps []*maps.Map
	opts Options

	// idle keeps one machine, so that runs one after the other allocate
	// nothing; pool has those of runs at the same time.
	idle atomic.Pointer[interp.Machine]
	pool sync.Pool
}

// Load prepares v. byName has the maps that its image names; the Memory they
// are in must stay open while the program runs. A helper or instruction that
// the vm does not have is an error here, by name.
func Load(v *verify.Verified, byName map[string]*maps.Map, opts Options) (*Program, error) {
	return load(v.Image(), v.Facts(), byName, opts)
}

// load is Load without the proof; without facts every load is of plain memory.
func load(img *image.Image, table *facts.Table, byName map[string]*maps.Map, opts Options) (*Program, error) {
	if opts.Fuel == 0 {
		opts.Fuel = DefaultFuel
	}
	p := &Program{img: img, opts: opts}
	for _, def := range img.Maps {
		m := byName[def.Name]
		if m == nil {
			return nil, fmt.Errorf("program %q: map %q was not created", img.Program, def.Name)
		}
		if m.Type() != def.Type || m.KeySize() != int(def.KeySize) || m.ValueSize() != int(def.ValueSize) || m.MaxEntries() != int(def.MaxEntries) {
			return nil, fmt.Errorf("program %q: map %q is %s (key %d, value %d, max_entries %d), the program wants %s (key %d, value %d, max_entries %d)", img.Program, def.Name,
				m.Type(), m.KeySize(), m.ValueSize(), m.MaxEntries(), def.Type, def.KeySize, def.ValueSize, def.MaxEntries)
		}
		p.maps = append(p.maps, m)
	}
	var err error
	if p.code, err = interp.Decode(img, table, p.maps, opts.Check); err != nil {
		return nil, err
	}
	m, err := p.machine()
	if err != nil {
		return nil, err
	}
	p.idle.Store(m)
	return p, nil
}

func (p *Program) machine() (*interp.Machine, error) {
	m, err := interp.NewMachine(p.code, p.img, p.maps)
	if err == nil {
		m.Step = p.opts.Step
	}
	return m, err
}

// Name is the program's name.
func (p *Program) Name() string { return p.img.Program }

// Run runs the program and returns R0. ctx is the context; it is copied, and
// what is missing of it reads as zero (with Options.Check: ends the run). On
// an error R0 is 0, and ring-buffer records that the run held are discarded.
func (p *Program) Run(host helper.Host, ctx []byte) (r0 uint64, err error) {
	m := p.idle.Swap(nil)
	if m == nil {
		m, _ = p.pool.Get().(*interp.Machine)
	}
	if m == nil {
		if m, err = p.machine(); err != nil {
			return 0, err
		}
	}
	r0, err = m.Run(host, ctx, p.opts.Fuel)
	if !p.idle.CompareAndSwap(nil, m) {
		p.pool.Put(m)
	}
	return r0, err
}
