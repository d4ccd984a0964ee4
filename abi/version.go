package abi

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseVersion reads a kernel release: "6.18", "6.18.44-generic", "5.10.0+".
// What comes behind the minor number is ignored.
func ParseVersion(s string) (Version, error) {
	bad := func() (Version, error) {
		return 0, fmt.Errorf("kernel release %q: expected MAJOR.MINOR, as in \"6.18\"", s)
	}
	major, rest, ok := strings.Cut(s, ".")
	if !ok {
		return bad()
	}
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	a, err1 := strconv.ParseUint(major, 10, 15)
	b, err2 := strconv.ParseUint(rest[:digits], 10, 8)
	if err1 != nil || err2 != nil {
		return bad()
	}
	return V(int(a), int(b)), nil
}

// String is the version as "6.18".
func (v Version) String() string { return fmt.Sprintf("%d.%d", v>>16, v>>8&0xff) }
