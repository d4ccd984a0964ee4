package probe

// ctype.go reads the C types of format files and writes BTF types as C.

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// known are sizes of C types by name; negative for signed ones.
var known = map[string]int{
	"char": -1, "signed char": -1, "unsigned char": 1, "short": -2, "unsigned short": 2, "int": -4, "unsigned int": 4, "unsigned": 4, "uint": 4,
	"long": -8, "unsigned long": 8, "long long": -8, "unsigned long long": 8, "size_t": 8, "ssize_t": -8, "loff_t": -8, "off_t": -8,
	"u8": 1, "u16": 2, "u32": 4, "u64": 8, "s8": -1, "s16": -2, "s32": -4, "s64": -8,
	"__u8": 1, "__u16": 2, "__u32": 4, "__u64": 8, "__s8": -1, "__s16": -2, "__s32": -4, "__s64": -8,
	"uint8_t": 1, "uint16_t": 2, "uint32_t": 4, "uint64_t": 8, "int8_t": -1, "int16_t": -2, "int32_t": -4, "int64_t": -8,
	"pid_t": -4, "uid_t": 4, "gid_t": 4, "tid_t": -4, "umode_t": 2, "key_t": -4, "clockid_t": -4, "timer_t": -4, "mqd_t": -4, "qid_t": 4,
	"dev_t": 4, "gfp_t": 4, "key_serial_t": -4, "rwf_t": -4, "aio_context_t": 8, "cap_user_header_t": 8, "cap_user_data_t": 8,
}

// elemType is the type of a field, or of its elements: size bytes, 0 if only the name tells.
// A register of a system call is wider than its type: the type's own bytes come first.
func (r *Resolver) elemType(f field, size int, user bool) btf.Type {
	c := strings.TrimPrefix(f.ctype, "const ")
	if strings.HasSuffix(c, "*") {
		return r.pointer(strings.TrimSpace(strings.TrimSuffix(c, "*")), user)
	}
	c = strings.Join(strings.Fields(strings.ReplaceAll(c, "volatile ", "")), " ")
	if c == "bool" && size <= 1 {
		return &btf.Int{Name: "bool", Size: 1, Encoding: btf.Bool}
	}
	if keyword, name, ok := strings.Cut(c, " "); ok && (keyword == "struct" || keyword == "union" || keyword == "enum") {
		if t, err := r.kernelType(keyword, name); err == nil {
			if n, err := btf.Sizeof(t); err == nil && (n == size || size == 0 || keyword == "enum" && n < size) {
				return t
			}
		}
		if keyword != "enum" {
			return &btf.Struct{Name: name, Size: uint32(size)}
		}
	}
	n := known[c]
	if n < 0 {
		if size == 0 || -n <= size {
			return integer(c, -n, f.signed || c != "char")
		}
	} else if n > 0 && (size == 0 || n <= size) {
		return integer(c, n, false)
	}
	if size == 0 {
		size = 1
	}
	return integer(c, size, f.signed)
}

// integer is an integer type; an opaque struct where the size is none of an integer.
func integer(name string, size int, signed bool) btf.Type {
	if size != 1 && size != 2 && size != 4 && size != 8 && size != 16 {
		return &btf.Struct{Name: name, Size: uint32(size)}
	}
	t := &btf.Int{Name: name, Size: uint32(size)}
	if signed || name == "char" {
		t.Encoding = btf.Signed
	}
	return t
}

// pointer is a pointer to a type that is written in C. Those of system calls lead to user memory.
func (r *Resolver) pointer(c string, user bool) btf.Type {
	var target btf.Type
	c = strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(c, "const "), " const"))
	switch {
	case c == "void" || c == "":
		target = (*btf.Void)(nil)
	case strings.HasSuffix(c, "*"):
		target = r.pointer(strings.TrimSpace(strings.TrimSuffix(c, "*")), user)
	default:
		if n := known[c]; n != 0 {
			target = integer(c, max(n, -n), n < 0)
			break
		}
		keyword, name, ok := strings.Cut(c, " ")
		if !ok {
			keyword, name = "", c
		}
		t, err := r.kernelType(keyword, name)
		if err != nil {
			t = &btf.Fwd{Name: name}
		}
		target = t
	}
	if user {
		target = &btf.TypeTag{Value: "user", Type: target}
	}
	return &btf.Pointer{Target: target}
}

// CType writes a declaration of name with type t in C.
func CType(t btf.Type, name string) string { return declare(t, name, 0) }

func declare(t btf.Type, name string, depth int) string {
	if depth > 32 {
		return "… " + name
	}
	with := func(s string) string {
		if name == "" {
			return s
		}
		if strings.HasSuffix(s, "*") {
			return s + name
		}
		return s + " " + name
	}
	switch t := t.(type) {
	case *btf.Pointer:
		switch t.Target.(type) {
		case *btf.Array, *btf.FuncProto:
			return declare(t.Target, "(*"+name+")", depth+1)
		}
		return declare(t.Target, "*"+name, depth+1)
	case *btf.Array:
		return declare(t.Type, fmt.Sprintf("%s[%d]", name, t.Nelems), depth+1)
	case *btf.FuncProto:
		var ps []string
		for _, p := range t.Params {
			ps = append(ps, declare(p.Type, p.Name, depth+1))
		}
		return declare(t.Return, name+"("+strings.Join(ps, ", ")+")", depth+1)
	case *btf.Const:
		if _, ok := t.Type.(*btf.Pointer); ok {
			return declare(t.Type, "const "+name, depth+1)
		}
		return "const " + declare(t.Type, name, depth+1)
	case *btf.Volatile:
		return "volatile " + declare(t.Type, name, depth+1)
	case *btf.Restrict:
		return declare(t.Type, name, depth+1)
	case *btf.TypeTag:
		return declare(t.Type, name, depth+1)
	case *btf.Struct:
		return with("struct " + tag(t.Name))
	case *btf.Union:
		return with("union " + tag(t.Name))
	case *btf.Enum:
		return with("enum " + tag(t.Name))
	case *btf.Fwd:
		return with(t.Kind.String() + " " + t.Name)
	case *btf.Void:
		return with("void")
	}
	return with(t.TypeName())
}

func tag(name string) string {
	if name == "" {
		return "{…}"
	}
	return name
}
