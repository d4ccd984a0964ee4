package object

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gtrace-dev/gtrace/isa"
)

// everyInsn makes valid instructions of every opcode.
func everyInsn() []isa.Insn {
	r := rand.New(rand.NewPCG(5, 6))
	offs := []int16{0, 0, 1, 8, 16, 32, -1, -8, 24}
	imms := []int32{0, 1, 16, 32, 64, -1, 77, 1 << 16, isa.AtomicXchg, isa.AtomicCmpXchg, isa.AtomicOr, isa.AtomicAnd | 1, isa.AtomicXor | 1, isa.LoadAcquire, isa.StoreRelease}
	var out []isa.Insn
	for op := range 256 {
		for range 400 {
			in := isa.Insn{Op: uint8(op), Dst: isa.Reg(r.IntN(11)), Src: isa.Reg(r.IntN(11)), Off: offs[r.IntN(len(offs))], Imm: imms[r.IntN(len(imms))]}
			if r.IntN(2) == 0 {
				in.Src = 0
			}
			if r.IntN(2) == 0 {
				in.Dst = 0
			}
			next := isa.Insn{Imm: int32(r.Uint32())}
			if isa.Validate(in, &next) != nil {
				continue
			}
			out = append(out, in)
			if in.IsWide() {
				out = append(out, next)
			}
		}
	}
	return out
}

// LLVM's disassembly of every instruction that it knows parses to the same bits.
func TestTextAgainstLLVM(t *testing.T) {
	objdump, err := exec.LookPath("llvm-objdump-19")
	if err != nil {
		t.Skip("llvm-objdump-19 is not installed")
	}
	insns := everyInsn()
	b, err := Write(&Object{ByteOrder: binary.LittleEndian, Programs: []*Func{{Name: "f", Section: "xdp", Insns: insns}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "x.o")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(objdump, "-d", "--no-show-raw-insn", "--mcpu=v4", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`^\s*(\d+):\s+(.*?)(\s+<[^ <>]+>)?$`)
	seen := map[uint8]bool{}
	for _, l := range strings.Split(string(out), "\n") {
		m := line.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		slot := 0
		for _, c := range m[1] {
			slot = slot*10 + int(c-'0')
		}
		in := insns[slot]
		if in.IsCall() && in.Src != 0 || strings.HasPrefix(m[2], "ld_pseudo") || strings.Contains(m[2], "<unknown>") {
			continue // numbers whose meaning LLVM does not print
		}
		atomic := in.Class() == isa.ClassSTX && in.Mode() == isa.ModeATOMIC
		if atomic && in.Imm >= isa.LoadAcquire || in.Class() == isa.ClassLD && in.Mode() == isa.ModeIND && in.Imm != 0 {
			continue // LLVM 19 ignores these immediates
		}
		got, err := isa.Parse(m[2])
		if err != nil {
			t.Errorf("%q (ours: %s): %v", m[2], in, err)
			continue
		}
		for i, g := range got.Insns {
			if g != insns[slot+i] {
				t.Errorf("%q parses to %+v, expected %+v (%s)", m[2], g, insns[slot+i], insns[slot+i])
			}
		}
		seen[in.Op] = true
	}
	if len(seen) < 110 {
		t.Errorf("LLVM knows %d opcodes only", len(seen))
	}
}
