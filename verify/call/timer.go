package call

import (
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/verify/fault"
	"github.com/gtrace-dev/gtrace/verify/state"
)

// This file judges timers, which live in values of maps.

// timer judges the timer that argument r points to.
func (c *checker) timer(r isa.Reg, v *state.Reg, wrong fault.WrongArgument) fault.Fault {
	if _, f := c.field(r, v, abi.Timer, wrong); f != nil {
		return f
	}
	if c.l.Maps[v.Map].Flags&abi.MapInnerMap != 0 || isTemplate(c.l.Inner, v.Map) {
		return fault.Unsupported{What: "timers in maps within maps"}
	}
	c.fieldMap, c.hasField = v.Map, true
	return nil
}

// isTemplate reports whether map m stands for the maps within another one.
func isTemplate(inner []int32, m int32) bool {
	for _, i := range inner {
		if i == m {
			return true
		}
	}
	return false
}

// sameMap requires that a map that is given beside a field in one of its values is that map.
func (c *checker) sameMap(v *state.Reg, wrong fault.WrongArgument) fault.Fault {
	if !c.hasField || c.fieldMap == v.Map {
		return nil
	}
	wrong.Want = "the map that holds argument 1, " + c.l.Maps[c.fieldMap].Name
	wrong.Got = "map " + c.l.Maps[v.Map].Name
	return wrong
}
