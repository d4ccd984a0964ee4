package fault

import (
	"reflect"

	"github.com/gtrace-dev/gtrace/isa"
)

// Subject is the register that f is about: the field Reg, or the argument Arg
// of a call. A fault without such a field is about none.
func Subject(f Fault) (isa.Reg, bool) {
	v := reflect.ValueOf(f)
	if r := v.FieldByName("Reg"); r.IsValid() {
		reg, ok := r.Interface().(isa.Reg)
		return reg, ok
	}
	if a := v.FieldByName("Arg"); a.IsValid() && a.CanInt() && a.Int() >= 1 && a.Int() <= 5 {
		return isa.Reg(a.Int()), true
	}
	return 0, false
}
