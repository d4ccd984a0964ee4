package verify_test

import (
	"context"
	"errors"
	"testing"

	"github.com/gtrace-dev/gtrace/abi"
	"github.com/gtrace-dev/gtrace/image"
	"github.com/gtrace-dev/gtrace/object"
	"github.com/gtrace-dev/gtrace/verify"
)

// TestHost: a kernel's build and lockdown decide which helpers programs have.
func TestHost(t *testing.T) {
	const override = "\tr2 = 0\n\tcall bpf_override_return\n"
	const write = "\tr2 = r10\n\tr2 += -8\n\t*(u64 *)(r10 - 8) = 0\n\tr1 = 0\n\tr3 = 8\n\tcall bpf_probe_write_user\n"
	const read = "\tr1 = r10\n\tr1 += -8\n\tr2 = 8\n\tr3 = 0\n\tcall bpf_probe_read_kernel\n"
	for _, c := range []struct {
		name, body, want string // want: fault code, "" for accept, "unsupported"
		config           map[string]string
	}{
		{"override", override, "", map[string]string{"CONFIG_BPF_KPROBE_OVERRIDE": "y"}},
		{"override not built", override, "forbidden-helper", map[string]string{}},
		{"override not known", override, "unsupported", nil},
		{"write", write, "", nil},
		{"write, locked down", write, "forbidden-helper", map[string]string{"CONFIG_LOCK_DOWN_KERNEL_FORCE_INTEGRITY": "y"}},
		{"read, locked down", read, "", map[string]string{"CONFIG_LOCK_DOWN_KERNEL_FORCE_INTEGRITY": "y"}},
		{"read, confidential", read, "forbidden-helper", map[string]string{"CONFIG_LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY": "y"}},
	} {
		o, err := object.ParseAsm("host.s", ".license GPL\n.section kprobe/x\n.func prog\n"+c.body+"\tr0 = 0\n\texit\n")
		if err != nil {
			t.Fatal(err)
		}
		img, err := image.Build(o, "prog", &image.Target{Version: abi.V(6, 18), Privileged: true, Arch: "amd64", Config: c.config})
		if err != nil {
			t.Fatal(err)
		}
		_, err = verify.Verify(context.Background(), img, verify.Options{})
		var rej *verify.Rejection
		got := ""
		switch {
		case errors.As(err, &rej):
			got = rej.Fault.Code()
		case err != nil:
			got = "unsupported"
		}
		if got != c.want {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
