package kernel

import (
	"context"
	"testing"

	"github.com/gtrace-dev/gtrace/engine"
	"github.com/gtrace-dev/gtrace/place"
	"github.com/gtrace-dev/gtrace/verify"
)

var _ engine.Engine = (*Engine)(nil)

// The door: programs that gtrace verified, through the interface.
func TestEngine(t *testing.T) {
	permitted(t)
	bin, off := binaryOf(t)
	var bound []engine.Bound
	imgs := images(t, uprobeAsm)
	add := func(name string, p place.Place) {
		v, err := verify.Verify(context.Background(), imgs[name], verify.Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		bound = append(bound, engine.Bound{Program: v, Place: p})
	}
	add("begin", place.Place{Kind: place.Begin})
	add("entry", place.Place{Kind: place.Uprobe, Path: bin, Offset: off})
	add("end", place.Place{Kind: place.End})
	cmd := child(t, bin, "3", "1")
	s, err := New(Options{}).Attach(context.Background(), bound, engine.Target{Command: cmd})
	if err != nil {
		t.Fatal(err)
	}
	if got := collect(t, s); len(got) != 5 || got[0][0] != 1 || got[3][1] != 3 || got[4][0] != 4 {
		t.Errorf("records %v", got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error("closing twice:", err)
	}
	if s, err := New(Options{}).Attach(context.Background(), bound, engine.Target{PID: 1 << 30}); err == nil || s != nil {
		t.Errorf("a process that cannot exist: session %v, error %v", s, err)
	}
}
