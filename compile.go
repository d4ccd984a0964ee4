package gtrace

// This file defines Script, a script compiled and verified for an engine, and
// the choice of that engine.

import (
	"context"
	"errors"
	"fmt"

	"github.com/gtrace-dev/gtrace/engine"
	"github.com/gtrace-dev/gtrace/engine/kernel"
	"github.com/gtrace-dev/gtrace/engine/user"
	"github.com/gtrace-dev/gtrace/event"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/probe"
	"github.com/gtrace-dev/gtrace/script"
	"github.com/gtrace-dev/gtrace/verify"
	"golang.org/x/sys/unix"
)

// Script is a compiled and verified script, bound to its places.
type Script struct {
	Object *object.Object
	Schema *event.Schema
	Bound  []engine.Bound

	choice choice
}

// choice is the engine that a script runs on.
type choice struct {
	kind image.EngineKind
	why  string
	// forced: the kernel engine is not to be had, for the reason in why.
	forced bool
}

func (c choice) name() string {
	if c.kind == image.EngineKernel {
		return "kernel"
	}
	return "user"
}

// choose picks the engine: the one asked for, else the kernel's where it is permitted.
func choose(name string) (choice, error) {
	switch name {
	case "user":
		return choice{image.EngineUser, "asked for", false}, nil
	case "kernel":
		if err := kernel.Permitted(); err != nil {
			return choice{}, fmt.Errorf("the kernel engine cannot be used: %w", err)
		}
		return choice{image.EngineKernel, "asked for", false}, nil
	case "", "auto":
		if err := kernel.Permitted(); err != nil {
			return choice{image.EngineUser, fmt.Sprintf("the kernel engine cannot be used: %v", err), true}, nil
		}
		return choice{image.EngineKernel, "bpf(2) is permitted", false}, nil
	}
	return choice{}, fmt.Errorf("no engine %q: there are auto, kernel and user", name)
}

func (c choice) engine() engine.Engine {
	if c.kind == image.EngineKernel {
		return kernel.New(kernel.Options{})
	}
	return user.New(user.Options{})
}

// target is what scripts are compiled and verified for.
func (c Config) target(kind image.EngineKind) (*image.Target, error) {
	t, err := image.Running()
	if err != nil {
		return nil, err
	}
	t.Engine = kind
	if c.BTFFile == "" {
		return t, nil
	}
	t.UseBTF(c.BTFFile)
	return t, nil
}

// Compile compiles the script text, resolves its probes, and verifies every
// program. An error is script.Diagnostics, a *verify.Rejection, or says what
// gtrace could not do.
func Compile(ctx context.Context, file, text string, c Config) (*Script, error) {
	ch, err := choose(c.Engine)
	if err != nil {
		return nil, err
	}
	return compile(ctx, file, text, c, ch, 0)
}

func compile(ctx context.Context, file, text string, c Config, ch choice, cpid int) (*Script, error) {
	target, err := c.target(ch.kind)
	if err != nil {
		return nil, err
	}
	compiled, err := c.compileObject(file, text, target, cpid)
	if err != nil {
		return nil, err
	}
	if err := ch.canAttach(compiled.Probes); err != nil {
		return nil, err
	}
	s := &Script{Object: compiled.Object, Schema: compiled.Schema, choice: ch}
	for _, p := range compiled.Probes {
		v, err := verifyProgram(ctx, compiled.Object, p.Program, target)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Place, err)
		}
		s.Bound = append(s.Bound, engine.Bound{Program: v, Place: p.Place})
	}
	return s, nil
}

// compileObject turns text into an Object; reads that may fail are written as target's engine wants them.
func (c Config) compileObject(file, text string, target *image.Target, cpid int) (*script.Compiled, error) {
	pid := c.PID
	if pid == 0 {
		pid = cpid
	}
	env := probe.New(probe.Options{PID: pid, KernelBTF: target.BTF, CacheDir: c.CacheDir})
	defer env.Close()
	lower := script.Kernel
	if target.Engine == image.EngineUser {
		lower = script.Native
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return nil, err
	}
	return script.Compile(file, text, env, script.Options{
		Lower: lower, Params: c.Params, CPID: cpid, StrSize: c.StrSize, MaxEntries: c.MaxEntries,
		StartNS: uint64(now.Nano()), Arch: target.Arch,
	})
}

// canAttach says which probe needs the kernel engine where that is not the one chosen.
func (ch choice) canAttach(probes []script.Probe) error {
	if ch.kind == image.EngineKernel {
		return nil
	}
	for _, p := range probes {
		switch {
		case !p.Place.Kind.Kernel():
		case ch.forced:
			return fmt.Errorf("%s needs the kernel engine: %s", p.Place, ch.why)
		default:
			return fmt.Errorf("unsupported on the user engine: %s (use --engine kernel)", p.Place)
		}
	}
	return nil
}

func verifyProgram(ctx context.Context, o *object.Object, program string, t *image.Target) (*verify.Verified, error) {
	img, err := image.Build(o, program, t)
	if err != nil {
		return nil, err
	}
	return verify.Verify(ctx, img, verify.Options{})
}

// needsTarget reports whether the script has probes in user programs.
func (s *Script) needsTarget() bool {
	for _, b := range s.Bound {
		if b.Place.Kind.User() {
			return true
		}
	}
	return false
}

var errNoTarget = errors.New("the user engine traces one process: give its number with -p, or a command behind --")

// Build compiles the script text to an ELF object that libbpf loads.
func Build(file, text string, c Config) ([]byte, error) {
	target, err := c.target(image.EngineKernel)
	if err != nil {
		return nil, err
	}
	compiled, err := c.compileObject(file, text, target, 0)
	if err != nil {
		return nil, err
	}
	return object.Write(compiled.Object)
}
