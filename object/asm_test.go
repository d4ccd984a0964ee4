package object

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/isa"
)

const asmSample = `
.license GPL                ; a comment
.map counts type=hash key=4 value=8 entries=16
.map outer type=array_of_maps key=4 value=4 entries=2
.inner type=array key=4 value=8 entries=1
.entry 1 small
.map small type=array key=4 value=8 entries=1
.data .rodata size=8 frozen flags=0x80
.string "hi"
.bytes 01 ff
.section kprobe/do_exit
.func probe
	r1 = map[counts] ll
	r2 = mapvalue[.rodata]+3 ll
again:
	call bpf_ktime_get_ns
	call sub
	call kfunc gtrace_fault
	r2 = func[cb] ll
	if r0 == 0 goto again
	exit
.section .text
.func sub
	r0 = 7
	exit
.func cb
	r0 = 1
	exit
`

func parse(t testing.TB, text string) *Object {
	t.Helper()
	o, err := ParseAsm("x.s", text)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestParseAsm(t *testing.T) {
	o := parse(t, asmSample)
	p := o.Programs[0]
	if p.Attach != (abi.Attach{Type: abi.Kprobe, Target: "do_exit"}) || p.Labels["again"] != 4 || len(o.Subprogs) != 2 {
		t.Errorf("%+v", p)
	}
	want := []Reloc{
		{0, RelocMap, "counts", 0}, {2, RelocMapValue, ".rodata", 3}, {5, RelocCall, "sub", 0},
		{6, RelocKfunc, "gtrace_fault", 0}, {7, RelocFuncAddr, "cb", 0},
	}
	if d := cmp.Diff(want, p.Relocs); d != "" {
		t.Error(d)
	}
	if in := p.Insns[4]; in != (isa.Insn{Op: 0x85, Imm: 5}) {
		t.Errorf("helper call %+v", in)
	}
	if m := o.mapByName("outer"); m.Inner.ValueSize != 8 || m.Entries[0] != (MapEntry{1, "small"}) {
		t.Errorf("%+v", m)
	}
}

func TestAsmRoundTrip(t *testing.T) {
	o := parse(t, asmSample)
	if d := cmp.Diff(o, parse(t, FormatAsm(o)), sameObject); d != "" {
		t.Error(FormatAsm(o), d)
	}
	for name, args := range variants {
		t.Run(name, func(t *testing.T) {
			o := read(t, compile(t, args...))
			text := FormatAsm(o)
			got := parse(t, text)
			for _, fs := range [][2][]*Func{{o.Programs, got.Programs}, {o.Subprogs, got.Subprogs}} {
				for i, f := range fs[0] {
					g := fs[1][i]
					if d := cmp.Diff(f.Insns, g.Insns) + cmp.Diff(f.Relocs, g.Relocs) + cmp.Diff(f.Attach, g.Attach); d != "" || f.Global != g.Global {
						t.Error(f.Name, d)
					}
				}
			}
			if FormatAsm(got) != text {
				t.Error(cmp.Diff(text, FormatAsm(got)))
			}
		})
	}
}

func TestAsmErrors(t *testing.T) {
	for text, want := range map[string]string{
		"exit":                                  "x.s: line 1: an instruction outside of a function: expected .func NAME before it",
		".section xdp\n.func a\n\n.func b":      `x.s: line 4: function "a" has no instructions`,
		".section xdp\n.func a\ncall nothing":   `x.s: line 3: no function or helper "nothing"`,
		".section xdp\n.func a\nr1 = map[m] ll": `x.s: line 3: no map "m": expected a .map or .data of this name`,
		".map m type=nonsense":                  `x.s: line 1: unknown map type "nonsense"`,
		".bytes 00":                             "x.s: line 1: data belongs behind .data",
		".data .data size=0xffffffff":           "x.s: line 1: more than 67108864 bytes of data",
		".nonsense":                             "x.s: line 1: unknown directive .nonsense",
		".section xdp\n.func a\ngoto b":         `x.s: line 3: no label "b" in this function`,
	} {
		if _, err := ParseAsm("x.s", text); err == nil || err.Error() != want {
			t.Errorf("%q: %v, expected %s", text, err, want)
		}
	}
}

func FuzzParseAsm(f *testing.F) {
	f.Add(asmSample)
	f.Add(".section x\n.func \"a b\" weak\nexit\n.attach type=5 target=\"a;b\"\n.extern e kconfig weak offset=4")
	f.Fuzz(func(t *testing.T, text string) {
		o, err := ParseAsm("x.s", text)
		if err != nil || strings.Contains(text, "size=") {
			return
		}
		again, err := ParseAsm("x.s", FormatAsm(o))
		if err != nil {
			t.Fatalf("%v\n%s", err, FormatAsm(o))
		}
		for _, fs := range [][2][]*Func{{o.Programs, again.Programs}, {o.Subprogs, again.Subprogs}} {
			for i, fn := range fs[0] {
				if d := cmp.Diff(fn.Insns, fs[1][i].Insns) + cmp.Diff(fn.Relocs, fs[1][i].Relocs); d != "" {
					t.Fatalf("%s%s", FormatAsm(o), d)
				}
			}
		}
		_, _ = Write(o)
	})
}
