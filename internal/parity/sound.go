package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/rand"
	"regexp"
	"slices"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/internal/testkit/sound"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify"
	"github.com/gtrace-dev/gtrace/verify/facts"
	"github.com/gtrace-dev/gtrace/vm"
	vmmaps "github.com/gtrace-dev/gtrace/vm/maps"
)

// This file runs every program that gtrace accepts in gtrace's interpreter,
// every access checked, on random contexts and maps, and holds what it
// computes against what the verifier knows.

// Of each program: how many states are kept, how often it runs, for how many instructions.
const (
	soundStates = 50_000
	soundRuns   = 10
	soundFuel   = 1_000_000
	// soundContext is the most that the interpreter takes; some may be larger.
	soundContext = 8192
)

// soundness counts what became of the programs.
type soundness struct {
	ran, reached, compared int // programs run; of these, held only against what is reached; instructions compared
	lacks                  map[string]int
	broken                 []string
}

// sound runs what of the subjects' programs can be run.
func (k *oracle) sound(ctx context.Context, subjects []subject, w, progress io.Writer) error {
	out := soundness{lacks: map[string]int{}}
	for i, s := range subjects {
		if i%100 == 0 {
			fmt.Fprintf(progress, "parity: %d of %d tests\n", i, len(subjects))
		}
		o, err := readObject(s.object)
		if err != nil {
			continue
		}
		for _, f := range o.Programs {
			if err := ctx.Err(); err != nil {
				return err
			}
			guessType(f)
			img, err := image.Build(o, f.Name, k.target)
			if err != nil {
				continue
			}
			v, err := verify.Verify(ctx, img, verify.Options{})
			if err != nil {
				continue
			}
			name := s.test + "/" + f.Name
			if err := out.program(v, name); err != nil {
				out.broken = append(out.broken, fmt.Sprintf("%s: %v", name, err))
			}
		}
	}
	out.report(w)
	if len(out.broken) > 0 {
		return errors.New("runs that the verifier does not allow for")
	}
	return nil
}

// program runs one program; an error is a run that the verifier did not allow for.
func (o *soundness) program(v *verify.Verified, name string) (err error) {
	defer catch(&err)
	row := abi.ProgramFor(v.Image().Attach)
	if row == nil || row.Context.BTFArgs || pointers(v, &row.Context) {
		o.lacks["a context with pointers of the kernel"]++
		return nil
	}
	mem, err := vmmaps.NewMemory()
	if err != nil {
		return err
	}
	defer mem.Close()
	byName := map[string]*vmmaps.Map{}
	for _, def := range v.Image().Maps {
		if byName[def.Name], err = mem.Create(def); err != nil {
			o.lacks[lack(err)]++
			return nil
		}
	}
	reached := func(insn int, _ []uint64) error {
		if rows := v.Facts().Insns; insn >= len(rows) || !rows[insn].Reached {
			return fmt.Errorf("instruction %d runs, but the verifier never came there", insn)
		}
		return nil
	}
	opts, begin := vm.Options{Check: true, Fuel: soundFuel, Step: reached}, func() {}
	var run *sound.Run
	if seen, err := sound.Walk(v.Image(), soundStates); err == nil {
		run = seen.Run(byName)
		opts.Step, begin = run.Step, run.Begin
	} else if !errors.Is(err, sound.ErrIncomplete) {
		return fmt.Errorf("accepted, but not when every path is walked to its end: %w", err)
	}
	p, err := vm.Load(v, byName, opts)
	if err != nil {
		o.lacks[lack(err)]++
		return nil
	}
	o.ran++
	if run == nil {
		o.reached++
	}
	fills := map[string]*vmmaps.Map{}
	for _, def := range v.Image().Maps {
		if !def.Frozen { // the verifier took what never changes for what it is
			fills[def.Name] = byName[def.Name]
		}
	}
	err = runs(p, name, min(row.Context.Size+7, soundContext)/8*8, fills, begin)
	if run != nil {
		o.compared += run.Compared
	}
	return err
}

// runs runs p soundRuns times, each after begin, on a context and maps filled at random: the same for the same name.
func runs(p *vm.Program, name string, context int, fills map[string]*vmmaps.Map, begin func()) error {
	h := fnv.New64()
	io.WriteString(h, name)
	world := sound.World{Rand: rand.New(rand.NewSource(int64(h.Sum64())))}
	for range soundRuns {
		world.Fill(fills)
		begin()
		// Loops of many millions of turns run out of budget.
		if _, err := p.Run(world, world.Context(context)); err != nil && !errors.Is(err, vm.ErrBudget) {
			return err
		}
	}
	return nil
}

// names are what differs between messages about like things.
var names = regexp.MustCompile(`(program|map) "[^"]*":? ?|instruction [0-9]+:? ?`)

// lack is a reason not to run a program, without what names the program.
func lack(err error) string { return names.ReplaceAllString(oneLine(err.Error()), "") }

// pointers reports whether a program reads fields of its context that are pointers.
func pointers(v *verify.Verified, c *abi.Context) bool {
	for i, f := range v.Facts().Insns {
		in := v.Image().Insns[i]
		if !f.Reached || f.Mem != facts.Ctx || in.Class() != isa.ClassLDX {
			continue
		}
		if field := c.Field(int(in.Off), in.Bytes()); field != nil && field.Kind != abi.CtxScalar {
			return true
		}
	}
	return false
}

func (o *soundness) report(w io.Writer) {
	fmt.Fprintf(w, "%d programs ran %d times each, %d of them held against the verifier's states (%d instructions compared), %d only against where it came\n",
		o.ran, soundRuns, o.ran-o.reached, o.compared, o.reached)
	fmt.Fprintln(w, "not run, by what the interpreter lacks:")
	for _, what := range slices.SortedFunc(maps.Keys(o.lacks), func(a, b string) int { return cmp.Or(o.lacks[b]-o.lacks[a], cmp.Compare(a, b)) }) {
		fmt.Fprintf(w, "%6d  %s\n", o.lacks[what], what)
	}
	fmt.Fprintf(w, "runs that the verifier does not allow for: %d (must be none)\n", len(o.broken))
	for _, b := range o.broken {
		fmt.Fprintln(w, " ", b)
	}
}
