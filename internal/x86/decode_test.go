package x86

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	for _, tt := range []struct {
		code string
		len  int
		rip  bool
		rel  int
	}{
		{"f3 0f 1e fa", 4, false, 0},          // endbr64
		{"55", 1, false, 0},                   // push rbp
		{"83 3d 11 22 33 44 00", 7, true, 0},  // cmpl $0, disp(%rip)
		{"e8 01 02 03 04", 5, false, 4},       // call
		{"66 48 e8 01 02 03 04", 7, false, 4}, // data16 rex.W call
		{"0f 84 01 02 03 04", 6, false, 4},    // je
		{"eb 10", 2, false, 1},                // jmp
		{"e3 10", 2, false, 1},                // jrcxz
		{"48 b8 01 02 03 04 05 06 07 08", 10, false, 0},
		{"66 b8 01 02", 4, false, 0},
		{"f6 05 01 02 03 04 05", 7, true, 0},     // testb $5, disp(%rip)
		{"f7 d8", 2, false, 0},                   // neg eax
		{"48 f7 04 24 01 02 03 04", 8, false, 0}, // testq $imm, (%rsp)
		{"a1 01 02 03 04 05 06 07 08", 9, false, 0},
		{"c8 10 00 01", 4, false, 0},                       // enter
		{"c5 f8 77", 3, false, 0},                          // vzeroupper
		{"c4 e3 7d 19 c1 01", 6, false, 0},                 // vextractf128
		{"62 f1 7c 48 28 05 01 02 03 04", 10, true, 0},     // vmovaps disp(%rip), zmm0
		{"62 f3 fd 48 1b c1 01", 7, false, 0},              // vextractf64x4
		{"c5 fa 6f 04 25 01 02 03 04", 9, false, 0},        // vmovdqu abs
		{"0f 22 04", 3, false, 0},                          // mov cr0: mod ignored
		{"8f e8 78 c0 c1 02", 6, false, 0},                 // xop vprotb
		{"8f 40 10", 3, false, 0},                          // popq 0x10(%rax)
		{"66 66 2e 0f 1f 84 00 00 00 00 00", 11, false, 0}, // nopw
		{"64 48 8b 04 25 28 00 00 00", 9, false, 0},        // mov fs:0x28, rax
		{"f2 0f 38 f1 c1", 5, false, 0},                    // crc32
		{"c7 f8 01 02 03 04", 6, false, 4},                 // xbegin
		{"0f 05", 2, false, 0},                             // syscall
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(tt.code, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		in, err := Decode(append(b, 0x90, 0x90))
		if err != nil || in.Len != tt.len || in.RIPRel != tt.rip || in.Rel != tt.rel {
			t.Errorf("%s: len %d rip %v rel %d, %v; want %d %v %d", tt.code, in.Len, in.RIPRel, in.Rel, err, tt.len, tt.rip, tt.rel)
		}
		for n := range len(b) {
			if _, err := Decode(b[:n]); !errors.Is(err, ErrTruncated) {
				t.Errorf("%s cut to %d bytes: %v, want ErrTruncated", tt.code, n, err)
			}
		}
	}
	for _, code := range []string{"06", "0f04", "d6", "66666666666666666666666666666690", "62f47c482805", "ea"} {
		b, _ := hex.DecodeString(code)
		if in, err := Decode(append(b, make([]byte, 8)...)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %+v, %v; want ErrInvalid", code, in, err)
		}
	}
}

const vectorProgram = `
#include <stddef.h>
#include <stdint.h>
void f(float *a, float *b, double *c, size_t n) { for (size_t i = 0; i < n; i++) { a[i] = a[i] * b[i] + 1.5f; c[i] += a[i] > 2 ? b[i] : 3.25; } }
uint64_t g(uint8_t *p, size_t n) { uint64_t s = 0; for (size_t i = 0; i < n; i++) s += p[i] ^ (p[i] >> 3) * 17; return s; }
void h(int16_t *a, int32_t *b, int64_t *c, size_t n) { for (size_t i = 0; i < n; i++) { c[i] = a[i] * b[i]; b[i] = b[i] < a[i] ? __builtin_popcount(b[i]) : a[i] >> (c[i] & 7); } }
int sw(int x) { switch (x) { case 0: return 9; case 1: return 4; case 2: return 77; case 3: return 1; case 4: return 12; case 5: return 3; } return x * 1000003; }
int main(int argc, char **argv) { float a[64], b[64]; double c[64]; (void)argv; f(a, b, c, argc & 63); return sw(argc) + (int)g((uint8_t *)a, argc & 63); }
`

// TestDecodeAgainstObjdump compares the length of every instruction of real
// binaries with what objdump says.
func TestDecodeAgainstObjdump(t *testing.T) {
	objdump, err := exec.LookPath("objdump")
	if err != nil {
		t.Skip("objdump is not installed")
	}
	files := []string{"/bin/bash", "/lib/x86_64-linux-gnu/libc.so.6", "/lib/x86_64-linux-gnu/libm.so.6", "/lib/x86_64-linux-gnu/libstdc++.so.6"} // no tables between the functions
	if clang, err := exec.LookPath("clang-19"); err == nil {
		dir := t.TempDir()
		src := filepath.Join(dir, "v.c")
		if err := os.WriteFile(src, []byte(vectorProgram), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, arch := range []string{"x86-64-v3", "x86-64-v4", "sapphirerapids", "bdver4"} {
			out := filepath.Join(dir, arch)
			if msg, err := exec.Command(clang, "-O3", "-march="+arch, "-mprefer-vector-width=512", "-o", out, src).CombinedOutput(); err != nil {
				t.Fatalf("clang: %v\n%s", err, msg)
			}
			files = append(files, out)
		}
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if _, err := os.Stat(file); err != nil {
				t.Skip("not installed")
			}
			compareObjdump(t, objdump, file)
		})
	}
}

func compareObjdump(t *testing.T, objdump, file string) {
	cmd := exec.Command(objdump, "-d", "-w", file)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	sc := bufio.NewScanner(out)
	sc.Buffer(nil, 1<<20)
	var total, skipped, wrong int
	for sc.Scan() {
		parts := strings.SplitN(sc.Text(), "\t", 3)
		if len(parts) < 3 {
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(parts[1]), " ", ""))
		if err != nil {
			continue
		}
		total++
		in, err := Decode(b)
		switch {
		case strings.Contains(parts[2], "(bad)"), loneprefix(parts[2]), b[0] == 0x9b && in.Len == 1:
			skipped++
		case err != nil || in.Len != len(b):
			if wrong++; wrong <= 10 {
				t.Errorf("%s: len %d, %v", strings.TrimSpace(sc.Text()), in.Len, err)
			}
		case in.RIPRel != strings.Contains(parts[2], "(%rip)"):
			if wrong++; wrong <= 10 {
				t.Errorf("%s: RIPRel %v", strings.TrimSpace(sc.Text()), in.RIPRel)
			}
		}
	}
	t.Logf("%d instructions, %d wrong, %d not instructions to objdump", total, wrong, skipped)
	if total == 0 || skipped*100 > total {
		t.Errorf("only %d of %d lines compared", total-skipped, total)
	}
}

// loneprefix: objdump shows a prefix that no instruction takes as a line of its own.
func loneprefix(text string) bool {
	f := strings.Fields(text)
	if len(f) != 1 {
		return false
	}
	return strings.HasPrefix(f[0], "rex") || f[0] == "data16" || f[0] == "lock" || f[0] == "repz" || f[0] == "repnz" || f[0] == "addr32" || f[0] == "cs" || f[0] == "ds" || f[0] == "es" || f[0] == "ss" || f[0] == "fs" || f[0] == "gs"
}

func FuzzRelocate(f *testing.F) {
	f.Add([]byte{0xe8, 1, 2, 3, 4}, uint64(0x400000), int64(0x10000))
	f.Add([]byte{0x83, 0x3d, 1, 2, 3, 4, 0}, uint64(0x7f0000000000), int64(-0x7fff0000))
	f.Fuzz(func(t *testing.T, b []byte, from uint64, dist int64) {
		m, err := Relocate(b, from, from+uint64(dist))
		if err != nil {
			return
		}
		if len(m.Code) > MaxMoved || m.Len < 1 || m.Len > MaxLen || m.Body > len(m.Code) {
			t.Errorf("% x: %+v", b, m)
		}
		for off := 0; off < m.Body; {
			if bytes.HasPrefix(m.Code[off:], []byte{0xff, 0x25, 0, 0, 0, 0}) && off+14 <= len(m.Code) {
				off += 14 // the address lies behind the jump
				continue
			}
			in, err := Decode(m.Code[off:])
			if err != nil {
				t.Fatalf("% x moved to % x: at %d: %v", b, m.Code, off, err)
			}
			off += in.Len
		}
	})
}

func TestBoundary(t *testing.T) {
	code := []byte{0x55, 0xb8, 1, 0, 0, 0, 0x06, 0xc3} // push %rbp; mov $1,%eax; nothing; ret
	for off, want := range []bool{true, true, false, false, false, false, true, true} {
		if got := Boundary(code, off); got != want {
			t.Errorf("byte %d: %t, want %t", off, got, want)
		}
		if got := Boundary(code[:off], off); got != want {
			t.Errorf("byte %d, the end: %t, want %t", off, got, want)
		}
	}
}
