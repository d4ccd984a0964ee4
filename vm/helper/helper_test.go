package helper

import (
	"errors"
	"slices"
	"syscall"
	"testing"

	"github.com/gtrace-dev/gtrace/abi"
)

// TestTable: every helper here is one that abi knows, with a prototype.
func TestTable(t *testing.T) {
	for id, fn := range table {
		if fn == nil {
			continue
		}
		if h := abi.HelperByID(int32(id)); h == nil {
			t.Errorf("helper #%d has no prototype in abi", id)
		}
	}
	for _, id := range []int32{0, -1, 12, 1 << 20} {
		if _, err := ByID(id); !errors.As(err, new(*Unsupported)) {
			t.Errorf("helper #%d: %v", id, err)
		}
	}
}

// book is a Host with one page of memory at 0x10000, and nothing behind it.
type book struct {
	Host
	page  [page]byte
	calls int
}

func (b *book) ReadUser(addr uint64, dst []byte) error {
	b.calls++
	if addr < 0x10000 || addr > 0x10000+page-uint64(len(dst)) {
		return syscall.EFAULT
	}
	copy(dst, b.page[addr-0x10000:])
	return nil
}

func TestReadString(t *testing.T) {
	b := &book{}
	copy(b.page[page-6:], "hello\x00")
	copy(b.page[100:], "abc\x00")
	for _, c := range []struct {
		addr uint64
		size int
		n    int64
		want string
	}{
		{0x10000 + page - 6, 10, 6, "hello\x00...."},
		{0x10000 + page - 6, 6, 6, "hello\x00"},
		{0x10000 + page - 6, 4, 4, "hel\x00"},
		{0x10000 + 100, 10, 4, "abc\x00\x00\x00\x00\x00.."},
		{0x10000 + page, 4, -14, "\x00\x00\x00\x00"},
		{0xffff, 4, -14, "\x00\x00\x00\x00"},
		{^uint64(0), 4, -14, "\x00\x00\x00\x00"},
		{0x10000 + 100, 0, 0, ""},
	} {
		dst := slices.Repeat([]byte{'.'}, c.size)
		e := &Env{Host: b}
		if n := int64(e.readString(b.ReadUser, dst, c.addr, userWord)); n != c.n || string(dst) != c.want {
			t.Errorf("%#x, %d bytes: %d %q, want %d %q", c.addr, c.size, n, dst, c.n, c.want)
		}
	}
}

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		format string
		args   []uint64
		want   string // "" for EINVAL
	}{
		{"%d|%5d|%-5d|%05d\x00", []uint64{^uint64(0), 7, 7, ^uint64(6)}, "-1|    7|7    |-0007"},
		{"%u %lu\x00", []uint64{^uint64(0), ^uint64(0)}, "4294967295 18446744073709551615"},
		{"%x %X %#x %p\x00", []uint64{0xabc, 0xabc, 0xabc, 0xffff_8000_0000_0000}, "abc ABC 0xabc 0xffff800000000000"},
		{"100%% %c\x00", []uint64{'x'}, "100% x"},
		{"no end", nil, ""},
		{"%d\x00", nil, ""},
		{"%q\x00", []uint64{1}, ""},
		{"%\x00", []uint64{1}, ""},
	} {
		out, err := new(Env).format([]byte(c.format), c.args)
		if c.want == "" && err != syscall.EINVAL || c.want != "" && string(out) != c.want {
			t.Errorf("%q: %q, %v, want %q", c.format, out, err, c.want)
		}
	}
}

func FuzzFormat(f *testing.F) {
	f.Add([]byte("%d %-5lx %s%c\x00"))
	f.Fuzz(func(t *testing.T, format []byte) {
		e := &Env{Host: &book{}}
		e.Host = hostless{e.Host}
		e.format(format, []uint64{1, 2, 3})
	})
}

// hostless reads nothing.
type hostless struct{ Host }

func (hostless) ReadUser(uint64, []byte) error   { return syscall.EFAULT }
func (hostless) ReadKernel(uint64, []byte) error { return syscall.EFAULT }
