package usertype

// lookup.go finds types by name and names that are near to what was asked for.

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// Type finds a named type. Keyword is "struct", "union", "enum", "class" or ""
// (typedef, base type). near is an address in the code that sees the type: its
// unit's definition comes first; 0: none in particular.
func (b *Binary) Type(keyword, name string, near uint64) (t btf.Type, err error) {
	defer guard(b.Path, &err)()
	kind, ok := map[string]byte{"struct": kindStruct, "class": kindStruct, "union": kindUnion, "enum": kindEnum, "": kindName}[keyword]
	if !ok {
		return nil, fmt.Errorf("unknown kind of type %q", keyword)
	}
	key := fmt.Sprintf("type:%c:%s:%x", kind, name, near)
	if d := b.cache.get(key); d != nil {
		if t := decodeType(d); t != nil {
			return t, nil
		}
	}
	dw, err := b.dwarfData()
	if err != nil {
		return nil, err
	}
	d, err := b.findType(dw, kind, keyword, name, near)
	if err != nil {
		return nil, err
	}
	if b.types == nil {
		b.types = newTypes(b, dw)
	}
	defer b.dropTypes()
	t = b.types.entry(d)
	b.sound = true
	if enc := encodeType(t); enc != nil {
		b.cache.put(key, enc)
	}
	return t, nil
}

func (b *Binary) findType(dw *dwarf, kind byte, keyword, name string, near uint64) (die, error) {
	var u *unit
	if near != 0 {
		u = dw.unitFor(near)
	}
	names := spellings(kind, name)
	for _, n := range names {
		if u != nil {
			if d, ok := u.local(kind, n); ok {
				return d, nil
			}
		}
	}
	ix := b.index()
	kinds := []byte{kind}
	if kind == kindName && (b.Go || u != nil && u.scoped()) { // C++ and Go name structs without a keyword
		kinds = append(kinds, kindStruct, kindUnion, kindEnum)
	}
	for _, k := range kinds {
		for _, n := range names {
			off, several, ok := ix.find(k, n)
			if !ok {
				continue
			}
			if several {
				return die{}, &Unsupported{b.Path, fmt.Sprintf("%s has several definitions of different sizes, and none where the probe is", strings.TrimSpace(keyword+" "+name))}
			}
			if d := dw.die(off); kindOf(d.ab.tag) == k {
				return d, nil
			}
		}
	}
	return die{}, &NotFound{What: "type", Name: strings.TrimSpace(keyword + " " + name), In: b.Path, Candidates: Near(name, ix.ofKind(kind), 3)}
}

// spellings are the ways in which compilers write the name of a base type.
func spellings(kind byte, name string) []string {
	if kind != kindName {
		return []string{name}
	}
	for _, group := range baseNames {
		if slices.Contains(group, name) {
			return append([]string{name}, group...)
		}
	}
	return []string{name}
}

var baseNames = [][]string{
	{"short", "short int", "signed short", "short signed int"},
	{"unsigned short", "short unsigned int", "unsigned short int"},
	{"unsigned", "unsigned int"},
	{"long", "long int", "signed long"},
	{"unsigned long", "long unsigned int", "unsigned long int"},
	{"long long", "long long int"},
	{"unsigned long long", "long long unsigned int", "unsigned long long int"},
	{"bool", "_Bool"},
}

// ofKind yields the index's names of a kind.
func (ix *index) ofKind(kind byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range ix.n {
			if k := ix.key(i); len(k) > 1 && k[0] == kind && !yield(string(k[1:])) {
				return
			}
		}
	}
}

// near gives function names like name.
func (b *Binary) near(name string) []string {
	b.readSymbols()
	return Near(name, func(yield func(string) bool) {
		for _, s := range b.syms {
			if !yield(s.Name) {
				return
			}
		}
	}, 3)
}

// Near returns the n names that are nearest to name by edit distance, no more
// than a third of its length away, nearest first.
func Near(name string, names iter.Seq[string], n int) []string {
	type scored struct {
		name string
		d    int
	}
	limit := max(1, len(name)/3)
	if len(name) > 256 {
		return nil
	}
	var best []scored
	for s := range names {
		d := distance(name, s, limit)
		if d > limit && len(name) >= 4 && len(s) < len(name)+16 && strings.Contains(s, name) {
			d = limit // part of a longer name
		}
		if d > limit || s == name || slices.ContainsFunc(best, func(o scored) bool { return o.name == s }) {
			continue
		}
		best = append(best, scored{s, d})
		slices.SortStableFunc(best, func(a, b scored) int { return a.d - b.d })
		best = best[:min(len(best), n)]
	}
	var out []string
	for _, s := range best {
		out = append(out, s.name)
	}
	return out
}

// distance is the edit distance of a and b (insert, delete, change, swap of neighbours), or more than limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	var rows [3][320]uint16
	if len(b) >= 320 {
		return limit + 1
	}
	before, prev, cur := rows[0][:len(b)+1], rows[1][:len(b)+1], rows[2][:len(b)+1]
	for j := range prev {
		prev[j] = uint16(j)
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = uint16(i)
		least := cur[0]
		for j := 1; j <= len(b); j++ {
			cost := uint16(1)
			if a[i-1] == b[j-1] {
				cost = 0
			}
			v := min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				v = min(v, before[j-2]+1)
			}
			cur[j] = v
			least = min(least, v)
		}
		if int(least) > limit {
			return limit + 1
		}
		before, prev, cur = prev, cur, before
	}
	return int(prev[len(b)])
}
