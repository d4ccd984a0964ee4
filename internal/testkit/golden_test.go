package testkit

import (
	"strings"
	"testing"
)

func TestVerify(t *testing.T) { Golden(t, "../../testdata/verify/*.txtar") }

func TestRun(t *testing.T) { Golden(t, "../../testdata/run/*.txtar") }

func TestParseCaseErrors(t *testing.T) {
	const prog = "-- prog --\n.section raw_tp\n.func f\nr0 = 0\nexit\n"
	for _, c := range []struct{ text, want string }{
		{"kernel: same\n-- --\n" + prog, "without a name"},
		{prog + "-- verdict --\naccept\n", "no line kernel"},
		{"kernel: odd\n" + prog, "expected kernel"},
		{"kernel: looser\n" + prog, "WHY"},
		{"kernel: same\n" + prog, "neither"},
		{"kernel: same\nsince: now\n" + prog, "now"},
		{"kernel: same\n-- verdict --\naccept\n", "no section prog"},
		{"kernel: same\n" + prog + "-- verdict --\nmaybe\n", "expected accept"},
		{"kernel: same\n" + prog + "-- verdict --\nreject x\n", "expected accept"},
		{"kernel: same\n" + prog + "-- states --\nr0=1\n", "unknown section"},
		{"kernel: same\n" + prog + "-- state @ --\nr0 = 1\n", "expected state @label"},
		{"kernel: same\n" + prog + "-- state @a --\nr0\n-- state @a --\nr0\n", "there already is"},
		{"kernel: same\n" + prog + "-- state @a --\nr0 is 1\n", "expected REGISTER"},
		{"kernel: same\n" + prog + "-- run --\n\n", "nothing to run"},
		{"kernel: same\n" + prog + "-- run --\nr0 x\n", "no number"},
		{"kernel: same\n" + prog + "-- run --\njump 1\n", "unknown word"},
		{"kernel: same\n" + prog + "-- run --\nctx 1\n", "no kind"},
		{"kernel: same\n" + prog + "-- run --\nctx u8 256\n", "does not fit"},
		{"kernel: same\n" + prog + "-- run --\nmap m u32 1\n", "expected"},
		{"kernel: same\n" + prog + "-- verdict --\nreject x @y\n-- run --\nr0 1\n", "cannot run"},
	} {
		_, err := ParseCase([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want one with %q", c.text, err, c.want)
		}
	}
}

func TestParseBytes(t *testing.T) {
	b, err := parseBytes(strings.Fields(`u8 1 -1 u16 0x102 u32 7 u64 -2 str4 "ab" hex 00ff`))
	const want = "\x01\xff\x02\x01\x07\x00\x00\x00\xfe\xff\xff\xff\xff\xff\xff\xffab\x00\x00\x00\xff"
	if err != nil || string(b) != want {
		t.Errorf("%x, %v, want %x", b, err, want)
	}
}

// FuzzParseCase reads any text as a case.
func FuzzParseCase(f *testing.F) {
	f.Add("kernel: same\n-- prog --\n.section raw_tp\n.func f\nr0 = 0\nexit\n-- run --\nctx u64 1\nr0 0\nmap m u32 1 = u64 2\n")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := ParseCase([]byte(text)); err == nil && c.Prog == "" {
			t.Error("a case without a program was accepted")
		}
	})
}
