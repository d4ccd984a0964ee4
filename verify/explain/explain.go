// Package explain turns a fault and what led to it into a report at source level.
package explain

import (
	"fmt"
	"sort"

	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify/fault"
)

// Line is the source line that slot insn belongs to, nil when unknown.
func Line(lines []object.Line, insn int) *object.Line {
	i := sort.Search(len(lines), func(i int) bool { return lines[i].Insn > insn })
	if i == 0 {
		return nil
	}
	l := lines[i-1]
	return &l
}

// Explain reports fault f at slot insn: what is wrong, and where in the source.
func Explain(f fault.Fault, insn int, lines []object.Line) string {
	l := Line(lines, insn)
	if l == nil {
		return fmt.Sprintf("%s: %s\n  at instruction %d", f.Code(), f, insn)
	}
	s := fmt.Sprintf("%s: %s\n  at %s:%d (instruction %d)", f.Code(), f, l.File, l.Line, insn)
	if l.Text != "" {
		s += "\n    " + l.Text
	}
	return s
}
