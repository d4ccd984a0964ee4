package gtrace

import (
	"bufio"
	"fmt"
	"io"

	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/probe"
)

// List prints the places that a probe pattern names, one a line; with
// c.Verbose, their arguments' types.
func List(w io.Writer, pattern string, c Config) error {
	target, err := c.target(image.EngineKernel)
	if err != nil {
		return err
	}
	r := probe.New(probe.Options{PID: c.PID, KernelBTF: target.BTF, CacheDir: c.CacheDir, Signatures: c.Verbose})
	defer r.Close()
	found, err := r.List(pattern)
	if err != nil {
		return err
	}
	b := bufio.NewWriter(w)
	for _, l := range found {
		fmt.Fprint(b, l.Place)
		if c.Verbose && l.Signature != "" {
			fmt.Fprintf(b, "\t%s", l.Signature)
		}
		fmt.Fprintln(b)
	}
	return b.Flush()
}
