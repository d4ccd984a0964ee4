package trap

import (
	"bufio"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/gtrace-dev/gtrace/engine"
)

// startCommand starts a command stopped, with pipes.
func startCommand(t testing.TB, argv ...string) (*engine.Command, io.WriteCloser, *bufio.Reader) {
	t.Helper()
	inR, inW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd, err := engine.Start(argv, engine.StartOptions{Stdin: inR, Stdout: outW, Stderr: null})
	inR.Close()
	outW.Close()
	null.Close()
	if err != nil {
		if strings.Contains(err.Error(), "operation not permitted") {
			t.Skipf("ptrace is not permitted here: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Kill()
		cmd.Wait()
		cmd.Close()
		inW.Close()
		outR.Close()
	})
	return cmd, inW, bufio.NewReader(outR)
}
