package object

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// This file reads and writes prototypes of functions in assembly text:
//
//	.proto int u64 mem8*:nonnull void*:ctx      what the function returns, then its arguments
//	.tag exception_callback:handler             a decl tag of the function
//
// A type is void, one of the numbers below, memN (a struct of N bytes),
// struct:NAME (an empty struct) or fwd:NAME (one that is only declared);
// a * behind it makes it a pointer. What follows a colon behind that is a
// decl tag of the argument, without its "arg:".

var protoInts = map[string]*btf.Int{
	"int": {Name: "int", Size: 4, Encoding: btf.Signed}, "long": {Name: "long", Size: 8, Encoding: btf.Signed},
	"u8": {Name: "u8", Size: 1}, "u16": {Name: "u16", Size: 2}, "u32": {Name: "u32", Size: 4}, "u64": {Name: "u64", Size: 8},
}

const argTag = "arg:"

// proto reads .proto.
func (p *asmParser) proto(f []string) error {
	if p.fn == nil || len(f) == 0 {
		return fmt.Errorf("expected .proto RESULT ARGUMENT… behind .func")
	}
	proto := &btf.FuncProto{}
	tags := make([][]string, len(f)-1)
	for i, w := range f {
		word, rest, tagged := cutTags(w)
		t, err := protoType(word)
		if err != nil {
			return err
		}
		if i == 0 {
			proto.Return = t
			continue
		}
		proto.Params = append(proto.Params, btf.FuncParam{Name: fmt.Sprintf("a%d", i), Type: t})
		if tagged {
			for _, tag := range strings.Split(rest, ",") {
				tags[i-1] = append(tags[i-1], argTag+tag)
			}
		}
	}
	linkage := btf.GlobalFunc
	if p.section == textSection && !p.fn.Global {
		linkage = btf.StaticFunc
	}
	p.fn.BTF = &btf.Func{Name: p.fn.Name, Type: proto, Linkage: linkage}
	for _, t := range tags {
		if t != nil {
			p.fn.BTF.ParamTags = tags
		}
	}
	return nil
}

// cutTags cuts "mem8*:nonnull" in two; the colon of "struct:NAME" is no end.
func cutTags(w string) (word, tags string, ok bool) {
	for _, kind := range [...]string{"struct:", "fwd:"} {
		if rest, is := strings.CutPrefix(w, kind); is {
			word, tags, ok = strings.Cut(rest, ":")
			return kind + word, tags, ok
		}
	}
	return strings.Cut(w, ":")
}

func protoType(w string) (btf.Type, error) {
	if to, ok := strings.CutSuffix(w, "*"); ok {
		t, err := protoType(to)
		return &btf.Pointer{Target: t}, err
	}
	if t := protoInts[w]; t != nil {
		return t, nil
	}
	if w == "void" {
		return &btf.Void{}, nil
	}
	if name, ok := strings.CutPrefix(w, "struct:"); ok {
		return &btf.Struct{Name: name}, nil
	}
	if name, ok := strings.CutPrefix(w, "fwd:"); ok {
		return &btf.Fwd{Name: name}, nil
	}
	if n, ok := strings.CutPrefix(w, "mem"); ok {
		if size, err := strconv.ParseUint(n, 10, 16); err == nil {
			return memType(uint32(size)), nil
		}
	}
	return nil, fmt.Errorf("unknown type %q in .proto", w)
}

// memType is a struct of size bytes.
func memType(size uint32) *btf.Struct {
	array := &btf.Array{Index: protoInts["u32"], Type: protoInts["u8"], Nelems: size}
	return &btf.Struct{Name: fmt.Sprintf("mem%d", size), Size: size, Members: []btf.Member{{Name: "bytes", Type: array}}}
}

// tag reads .tag.
func (p *asmParser) tag(f []string) error {
	if p.fn == nil || p.fn.BTF == nil {
		return fmt.Errorf(".tag belongs behind .proto")
	}
	tag, err := one(f, "tag")
	p.fn.BTF.Tags = append(p.fn.BTF.Tags, tag)
	return err
}

// formatProto writes the prototype of f, if there are words for it.
func formatProto(b *strings.Builder, f *Func) {
	if f.BTF == nil {
		return
	}
	proto, ok := f.BTF.Type.(*btf.FuncProto)
	if !ok {
		return
	}
	words := []string{protoWord(proto.Return)}
	for i, p := range proto.Params {
		w := protoWord(p.Type)
		if i < len(f.BTF.ParamTags) {
			for j, t := range f.BTF.ParamTags[i] {
				w += map[bool]string{true: ":", false: ","}[j == 0] + strings.TrimPrefix(t, argTag)
			}
		}
		words = append(words, w)
	}
	line := ".proto"
	for _, w := range words {
		if w == "" {
			return
		}
		line += " " + asmWord(w)
	}
	b.WriteString(line + "\n")
	for _, t := range f.BTF.Tags {
		fmt.Fprintf(b, ".tag %s\n", asmWord(t))
	}
}

// protoWord is the word for t, "" when there is none.
func protoWord(t btf.Type) string {
	switch t := t.(type) {
	case *btf.Void:
		return "void"
	case *btf.Int:
		if k := protoInts[t.Name]; k != nil && *k == *t {
			return t.Name
		}
	case *btf.Fwd:
		return "fwd:" + t.Name
	case *btf.Struct:
		switch {
		case len(t.Members) == 0 && t.Size == 0:
			return "struct:" + t.Name
		case t.Name == fmt.Sprintf("mem%d", t.Size):
			return t.Name
		}
	case *btf.Pointer:
		if w := protoWord(t.Target); w != "" {
			return w + "*"
		}
	}
	return ""
}
