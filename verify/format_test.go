package verify_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"testing"

	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/internal/testkit"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify"
)

// formatProgram prints values in a format.
func formatProgram(t *testing.T, target *image.Target, format []byte, values int) *image.Image {
	t.Helper()
	text := fmt.Sprintf(`.license GPL
.data .rodata size=%d frozen flags=0x80
.bytes % x 00
.section raw_tp
.func prog
	*(u64 *)(r10 - 8) = 0
	*(u64 *)(r10 - 16) = 0
	*(u64 *)(r10 - 24) = 0
	r1 = 0
	r2 = 0
	r3 = mapvalue[.rodata] ll
	r4 = r10
	r4 += -24
	r5 = %d
	call bpf_snprintf
	r0 = 0
	exit
`, len(format)+1, format, 8*values)
	o, err := object.ParseAsm("format.s", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	img, err := image.Build(o, "prog", target)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// TestFormatsAgainstKernel reads random formats, as the kernel does.
func TestFormatsAgainstKernel(t *testing.T) {
	testkit.RequireBPF(t)
	target, err := image.Running()
	if err != nil {
		t.Fatal(err)
	}
	formats := []string{"", "%", "%%", "%d %5d %0900000X", "%pi4 %pI6 %pks", "%ps %pS %pB", "%pK%px%p", "%llu %-3c %+05s", "%lld%lc", "%p4", "%pi5", "a\xffb", "\x01", "\t", "%u%", "%lls", "%1$d"}
	r := rand.New(rand.NewSource(1))
	for range 300 {
		f := make([]byte, r.Intn(6))
		for i := range f {
			f[i] = "%%%%plsdiuxXcoKSBkhI4605+- #a.\x80\n\x02"[r.Intn(33)]
		}
		formats = append(formats, string(f))
	}
	accepted := 0
	for i, f := range formats {
		img := formatProgram(t, target, []byte(f), i%4)
		_, ours := verify.Verify(context.Background(), img, verify.Options{})
		k, theirs := testkit.LoadKernel(img)
		var rej *testkit.KernelRejection
		switch {
		case theirs == nil:
			accepted++
			k.Close()
		case !errors.As(theirs, &rej):
			t.Fatal(theirs)
		}
		if (ours == nil) != (theirs == nil) {
			t.Errorf("format %q of %d values: we say %v, the kernel %v", f, i%4, ours, theirs)
		}
	}
	t.Logf("%d of %d formats are right", accepted, len(formats))
}
