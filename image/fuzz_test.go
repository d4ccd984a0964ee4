package image

import (
	"testing"

	"github.com/gtrace-dev/gtrace/isa"
	"github.com/gtrace-dev/gtrace/object"
)

// FuzzBuild: whatever an object holds, Build ends with an image whose parts
// fit together, or with an error.
func FuzzBuild(f *testing.F) {
	f.Add(".license GPL\n.map m type=hash key=4 value=8 entries=1\n.section raw_tp\n.func p\n\tr1 = map[m] ll\n\tcall f\n\texit\n.section .text\n.func f\n\tr1 = func[f] ll\n\texit\n")
	f.Add(".data .rodata size=8 frozen\n.section uprobe\n.func p\nl:\tr1 = mapvalue[.rodata]+9 ll\n\tcall l\n\tr0 = 0\n\texit\n")
	f.Add(".extern gtrace_fault kfunc\n.extern x ksym weak\n.section raw_tp\n.func p\n\tcall kfunc gtrace_fault\n\texit\n")
	f.Fuzz(func(t *testing.T, text string) {
		o, err := object.ParseAsm("fuzz", text)
		if err != nil {
			return
		}
		for _, p := range o.Programs {
			for _, e := range []EngineKind{EngineKernel, EngineUser} {
				img, err := Build(o, p.Name, &Target{Name: "fuzz", Engine: e})
				if err == nil {
					checkImage(t, img)
				}
			}
		}
	})
}

// checkImage asserts what everything behind an Image relies on.
func checkImage(t *testing.T, img *Image) {
	t.Helper()
	last := -1
	for i, s := range img.Subprogs {
		if s.Start <= last || s.Start >= len(img.Insns) || i == 0 && s.Start != 0 {
			t.Errorf("subprograms %+v of %d instructions", img.Subprogs, len(img.Insns))
		}
		last = s.Start
	}
	for i := 0; i < len(img.Insns); i++ {
		in := img.Insns[i]
		if !in.IsWide() {
			continue
		}
		known := in.Src == isa.PseudoMapIdx || in.Src == isa.PseudoMapIdxValue
		if known && (in.Imm < 0 || int(in.Imm) >= len(img.Maps)) {
			t.Errorf("instruction %d refers to map %d of %d", i, in.Imm, len(img.Maps))
		}
		i++
	}
}
