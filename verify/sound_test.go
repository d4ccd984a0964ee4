package verify_test

import (
	"context"
	"errors"
	"flag"
	"math/rand"
	"testing"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/internal/testkit/sound"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify"
	"github.com/gtrace-dev/gtrace/vm"
	"github.com/gtrace-dev/gtrace/vm/maps"
)

// This file runs random programs that are accepted: whatever they compute has
// to be inside of what the verifier knows at that instruction.

var soundCount = flag.Int("sound", 2000, "random programs to run against what the verifier knows, from -seed on")

// keptStates bounds the states of a program, and runs is how often each program runs.
const (
	keptStates = 4_000
	runs       = 12
)

// soundly runs an accepted program and returns how many instructions were compared.
func soundly(t *testing.T, seed int64, v *verify.Verified, byName map[string]*maps.Map) int {
	t.Helper()
	seen, err := sound.Walk(v.Image(), keptStates)
	if errors.Is(err, sound.ErrIncomplete) {
		return 0
	}
	if err != nil {
		t.Errorf("seed %d: accepted, but not when every path is walked to its end: %v", seed, err)
		return 0
	}
	w := sound.World{Rand: rand.New(rand.NewSource(seed))}
	run := seen.Run(byName)
	p, err := vm.Load(v, byName, vm.Options{Check: true, Step: run.Step})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	for range runs {
		w.Fill(byName)
		run.Begin()
		if _, err := p.Run(w, w.Context(21*8)); err != nil {
			t.Errorf("seed %d: %v", seed, err)
			if *soundCount == 1 {
				t.Logf("%s", isa.Listing(v.Image().Insns))
			}
			break
		}
	}
	return run.Compared
}

// testMaps makes maps for programs to run on.
func testMaps(t *testing.T, defs []*object.Map) map[string]*maps.Map {
	t.Helper()
	mem, err := maps.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mem.Close() })
	byName := map[string]*maps.Map{}
	for _, def := range defs {
		if byName[def.Name], err = mem.Create(def); err != nil {
			t.Fatal(err)
		}
	}
	return byName
}

func TestRandomSound(t *testing.T) {
	byName := testMaps(t, randomMaps)
	target := &image.Target{Version: abi.V(6, 18), Privileged: true, Arch: "amd64"}
	accepted, large, compared := 0, 0, 0
	for i := range *soundCount {
		if t.Failed() {
			return // one is enough to look at
		}
		seed := *randomSeed + int64(i)
		v, err := verify.Verify(context.Background(), randomImage(rand.New(rand.NewSource(seed)), target), verify.Options{MaxProcessed: 50_000})
		if err != nil {
			continue
		}
		accepted++
		n := soundly(t, seed, v, byName)
		compared += n
		if n == 0 {
			large++
		}
	}
	if *soundCount >= 500 && accepted-large < *soundCount/10 {
		t.Errorf("only %d of %d programs ran: they test nothing", accepted-large, *soundCount)
	}
	t.Logf("%d programs: %d accepted, %d of them not compared: not every path can be walked to its end; %d instructions compared", *soundCount, accepted, large, compared)
}
