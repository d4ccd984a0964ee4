package isa

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// randomInsn fills the fields so that valid values come up often.
func randomInsn(r *rand.Rand, op uint8) Insn {
	offs := []int16{0, 0, 0, 1, 8, 16, 32, -1, -4, 1<<15 - 1, -1 << 15}
	imms := []int32{0, 0, 0, 1, 16, 32, 64, -1, 1 << 16, 1<<31 - 1, -1 << 31, AtomicXchg, AtomicCmpXchg, AtomicOr, AtomicAnd | 1, AtomicXor | 1, LoadAcquire, StoreRelease}
	i := Insn{Op: op, Dst: Reg(r.IntN(12)), Src: Reg(r.IntN(12)), Off: offs[r.IntN(len(offs))], Imm: imms[r.IntN(len(imms))]}
	if r.IntN(2) == 0 {
		i.Src = 0
	}
	if r.IntN(3) == 0 {
		i.Dst = 0
	}
	return i
}

// Every slot sequence prints to text that parses back to the same bits, and a
// valid instruction needs no .insn.
func TestTextRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	valid := map[uint8]bool{}
	for op := 0; op < 256; op++ {
		for range 600 {
			insns := []Insn{randomInsn(r, uint8(op)), {Imm: int32(r.Uint32())}}
			if r.IntN(4) == 0 {
				insns[1] = randomInsn(r, uint8(r.IntN(256)))
			} else if r.IntN(2) == 0 {
				insns[1].Imm = 0
			}
			text := Listing(insns)
			got, err := Parse(text)
			if err != nil {
				t.Fatalf("%#v\n%s%v", insns, text, err)
			}
			if d := cmp.Diff(insns, got.Insns); d != "" {
				t.Fatalf("%s%s", text, d)
			}
			first, _, _ := strings.Cut(text, "\n")
			if Validate(insns[0], &insns[1]) == nil {
				valid[uint8(op)] = true
				if strings.HasPrefix(first, ".insn") {
					t.Fatalf("%#v is valid but prints %s", insns, first)
				}
			}
		}
	}
	if len(valid) != 128 {
		t.Errorf("%d opcodes have valid forms", len(valid))
	}
}

var textCases = []struct {
	text string
	want Insn
}{
	{"r0 += r1", Insn{0x0f, 0, 1, 0, 0}},
	{"w3 = w4", Insn{0xbc, 3, 4, 0, 0}},
	{"r1 s/= -3", Insn{0x37, 1, 0, 1, -3}},
	{"w1 s%= w2", Insn{0x9c, 1, 2, 1, 0}},
	{"r1 s>>= 63", Insn{0xc7, 1, 0, 0, 63}},
	{"r1 = -r1", Insn{0x87, 1, 0, 0, 0}},
	{"r1 = be16 r1", Insn{0xdc, 1, 0, 0, 16}},
	{"r1 = le64 r1", Insn{0xd4, 1, 0, 0, 64}},
	{"r2 = bswap32 r2", Insn{0xd7, 2, 0, 0, 32}},
	{"r1 = (s8)r2", Insn{0xbf, 1, 2, 8, 0}},
	{"w1 = (s16)w2", Insn{0xbc, 1, 2, 16, 0}},
	{"r1 = addr_space_cast(r2, 0, 1)", Insn{0xbf, 1, 2, 1, 1}},
	{"r1 = addr_space_cast(r2, 1, 0)", Insn{0xbf, 1, 2, 1, 1 << 16}},
	{"r1 = *(u64 *)(r2 + 8)", Insn{0x79, 1, 2, 8, 0}},
	{"r1 = *(s8 *)(r2 - 1)", Insn{0x91, 1, 2, -1, 0}},
	{"*(u32 *)(r10 - 4) = 7", Insn{0x62, 10, 0, -4, 7}},
	{"*(u8 *)(r10 - 4) = r3", Insn{0x73, 10, 3, -4, 0}},
	{"lock *(u64 *)(r1 + 0) += r2", Insn{0xdb, 1, 2, 0, 0}},
	{"w2 = atomic_fetch_or((u32 *)(r1 + 4), w2)", Insn{0xc3, 1, 2, 4, 0x41}},
	{"r2 = xchg_64(r1 + 0, r2)", Insn{0xdb, 1, 2, 0, 0xe1}},
	{"w0 = cmpxchg32_32(r1 - 8, w0, w2)", Insn{0xc3, 1, 2, -8, 0xf1}},
	{"w1 = load_acquire((u8 *)(r2 + 0))", Insn{0xd3, 1, 2, 0, 0x100}},
	{"store_release((u64 *)(r1 + 0), r2)", Insn{0xdb, 1, 2, 0, 0x110}},
	{"r0 = *(u8 *)skb[4]", Insn{0x30, 0, 0, 0, 4}},
	{"r0 = *(u16 *)skb[r6 + 2]", Insn{0x48, 0, 6, 0, 2}},
	{"if w1 s> 5 goto +3", Insn{0x66, 1, 0, 3, 5}},
	{"if r1 & r2 goto -2", Insn{0x4d, 1, 2, -2, 0}},
	{"goto +1", Insn{0x05, 0, 0, 1, 0}},
	{"gotol -70000", Insn{0x06, 0, 0, 0, -70000}},
	{"may_goto +1", Insn{0xe5, 0, 0, 1, 0}},
	{"call 12", Insn{0x85, 0, 0, 0, 12}},
	{"call pc+3", Insn{0x85, 0, 1, 0, 3}},
	{"call kfunc#77@1", Insn{0x85, 0, 2, 1, 77}},
	{"callx r4", Insn{0x8d, 4, 0, 0, 0}},
	{"exit", Insn{0x95, 0, 0, 0, 0}},
	{".insn op=0x07 dst=15 src=3 off=-1 imm=5", Insn{0x07, 15, 3, -1, 5}},
}

func TestText(t *testing.T) {
	for _, c := range textCases {
		got, err := Parse(c.text + " ; a comment")
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if len(got.Insns) != 1 || got.Insns[0] != c.want {
			t.Errorf("%s: %+v, expected %+v", c.text, got.Insns, c.want)
		}
		if s := c.want.String(); s != c.text {
			t.Errorf("prints %q, expected %q", s, c.text)
		}
	}
}

func TestLabelsAndRefs(t *testing.T) {
	got, err := Parse(`
start:	r1 = map[counts] ll
	r2 = mapvalue[".data x"]+8 ll
	r3 = func[cb] ll
	call bpf_ktime_get_ns
	call kfunc gtrace_user_cast
	call inner
	if r0 == 0 goto start ; back
	goto end
inner:
	exit
end: exit`)
	if err != nil {
		t.Fatal(err)
	}
	wantRefs := []Ref{
		{0, RefMap, "counts", 0}, {2, RefMapValue, ".data x", 8}, {4, RefFunc, "cb", 0},
		{6, RefCall, "bpf_ktime_get_ns", 0}, {7, RefKfunc, "gtrace_user_cast", 0},
	}
	if d := cmp.Diff(wantRefs, got.Refs); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]int{"start": 0, "inner": 11, "end": 12}, got.Labels); d != "" {
		t.Error(d)
	}
	if in := got.Insns[8]; in != (Insn{0x85, 0, 1, 0, 2}) {
		t.Errorf("local call: %+v", in)
	}
	if in := got.Insns[9]; in.Off != -10 {
		t.Errorf("backward jump: %+v", in)
	}
	if got.Lines[0] != 2 || got.Lines[12] != 12 {
		t.Errorf("lines %v", got.Lines)
	}
}

func TestSyntaxErrors(t *testing.T) {
	for text, want := range map[string]string{
		"r1 = ":                     `line 1: expected a value, found "end of line"`,
		"\nr11 = 1":                 `line 2: expected an instruction, found "r11"`,
		"r1 = w2":                   `line 1: expected a register r0 to r10, found "w2"`,
		"goto nowhere":              `line 1: no label "nowhere" in this function`,
		"a:\na: exit":               `line 2: label "a" is already defined`,
		"r1 = 0x1ffffffff":          `line 1: 0x1ffffffff is out of range: expected -2147483648 to 4294967295`,
		"exit exit":                 `line 1: unexpected "exit" after the instruction`,
		"r1 = -r2":                  `line 1: negation works in place: expected r1, found r2`,
		"r1 = xchg_64(r2 + 0, r3)":  `line 1: xchg_64 returns its value in the last operand`,
		"r1 = *(u64 *)(r2 + 99999)": `line 1: 99999 is out of range: expected -32768 to 32767`,
		"r1 ? 3":                    `line 1: unexpected "?"`,
	} {
		_, err := Parse(text)
		var se *SyntaxError
		if !errors.As(err, &se) || err.Error() != want {
			t.Errorf("%q: %v, expected %s", text, err, want)
		}
	}
}

func TestValidateNamesField(t *testing.T) {
	for _, c := range []struct {
		in   Insn
		next *Insn
		want Field
	}{
		{Insn{Op: 0x07, Dst: 11}, nil, FieldDst},
		{Insn{Op: 0x0f, Imm: 1}, nil, FieldImm},
		{Insn{Op: 0xbf, Off: 9}, nil, FieldOff},
		{Insn{Op: 0x85, Src: 3}, nil, FieldSrc},
		{Insn{Op: 0xff}, nil, FieldOp},
		{Insn{Op: 0x18}, nil, FieldSecond},
		{Insn{Op: 0x18}, &Insn{Op: 1}, FieldSecond},
		{Insn{Op: 0xdb, Imm: 2}, nil, FieldImm},
	} {
		var e *EncodingError
		if err := Validate(c.in, c.next); !errors.As(err, &e) || e.Field != c.want {
			t.Errorf("%+v: %v, expected a fault in the %s", c.in, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range textCases {
		f.Add(c.text)
	}
	f.Add("a: r1 = map[\"x y\"]+8 ll\n goto a")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Parse(text)
		if err != nil {
			return
		}
		refs := map[int]Ref{}
		for _, r := range got.Refs {
			refs[r.Slot] = r
		}
		st := &Style{Ref: func(s int) (Ref, bool) { r, ok := refs[s]; return r, ok }}
		var b strings.Builder
		for i := 0; i < len(got.Insns); {
			s, n := Format(got.Insns, i, st)
			b.WriteString(s + "\n")
			i += n
		}
		again, err := Parse(b.String())
		if err != nil {
			t.Fatalf("%v in\n%s", err, b.String())
		}
		if d := cmp.Diff(got.Insns, again.Insns) + cmp.Diff(got.Refs, again.Refs); d != "" {
			t.Fatalf("%s%s", b.String(), d)
		}
	})
}
