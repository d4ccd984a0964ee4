package probe

// hint.go says how to get a binary's debug information.

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"

	"github.com/gtrace-dev/gtrace/usertype"
)

// hint is looked up once for a binary.
func (r *Resolver) hint(b *usertype.Binary) string {
	if r.hints[b.Path] == "" {
		r.hints[b.Path] = hint(b)
	}
	return r.hints[b.Path]
}

func hint(b *usertype.Binary) string {
	var ways []string
	if pkg := debianPackage(b.Path); pkg != "" {
		ways = append(ways, "install Debian's "+debugPackage(pkg))
	} else {
		ways = append(ways, "compile it with -g")
	}
	if b.BuildID != "" {
		ways = append(ways, "or run `debuginfod-find debuginfo "+b.BuildID+"`")
	}
	return strings.Join(ways, ", ")
}

// debugPackage is the package with the debug information of a package.
func debugPackage(pkg string) string {
	if pkg == "libc6" {
		return "libc6-dbg"
	}
	return pkg + "-dbgsym"
}

// debianPackage finds the package that owns a file, "" if none does.
func debianPackage(path string) string {
	const info = "/var/lib/dpkg/info"
	lists, _ := filepath.Glob(info + "/*.list")
	forms := [][]byte{[]byte("\n" + path + "\n")}
	if rest, ok := strings.CutPrefix(path, "/usr"); ok {
		forms = append(forms, []byte("\n"+rest+"\n"))
	} else {
		forms = append(forms, []byte("\n/usr"+path+"\n"))
	}
	for _, l := range lists {
		d, err := os.ReadFile(l)
		if err != nil {
			continue
		}
		for _, f := range forms {
			if bytes.Contains(d, f) {
				pkg, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(l), ".list"), ":")
				return pkg
			}
		}
	}
	return ""
}
