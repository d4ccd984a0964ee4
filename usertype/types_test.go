package usertype

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

// layout writes a type so that a test can compare it: members with bit offsets, one level deep.
func layout(t btf.Type) string {
	var b strings.Builder
	members := func(kind, name string, size uint32, ms []btf.Member) {
		fmt.Fprintf(&b, "%s %s %d {", kind, name, size)
		for _, m := range ms {
			fmt.Fprintf(&b, " %s@%d", m.Name, m.Offset)
			if m.BitfieldSize > 0 {
				fmt.Fprintf(&b, ":%d", m.BitfieldSize)
			}
		}
		b.WriteString(" }")
	}
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		members("struct", t.Name, t.Size, t.Members)
	case *btf.Union:
		members("union", t.Name, t.Size, t.Members)
	case *btf.Enum:
		fmt.Fprintf(&b, "enum %s %d signed=%v", t.Name, t.Size, t.Signed)
		for _, v := range t.Values {
			fmt.Fprintf(&b, " %s=%d", v.Name, int64(v.Value))
		}
	default:
		fmt.Fprintf(&b, "%v", t)
	}
	return b.String()
}

var layouts = map[string]string{
	"struct point": "struct point 32 { a@0 in@64 name@128 lo@192:3 mid@195:7 hi@202:5 tail@208 }",
	"struct node":  "struct node 40 { next@0 u@64 grid@96 }",
	"struct small": "struct small 4 { c@0 s@16 }",
	"enum colour":  "enum colour 4 signed=true RED=-1 GREEN=5",
	" pair_t":      "struct pair 16 { first@0 second@64 }",
}

func TestTypes(t *testing.T) {
	for _, v := range append(variants, variant{"gcc-dwarf2", "gcc", []string{"-O0", "-gdwarf-2", "-gstrict-dwarf"}}, variant{"gcc-dwarf3", "gcc", []string{"-O1", "-gdwarf-3", "-gstrict-dwarf"}}) {
		t.Run(v.name, func(t *testing.T) {
			b := open(t, compile(t, v, "args.c"), Options{})
			for name, want := range layouts {
				keyword, n, _ := strings.Cut(name, " ")
				typ, err := b.Type(keyword, n, 0)
				if err != nil {
					t.Error(err)
					continue
				}
				if got := layout(typ); got != want {
					t.Errorf("%s is %s\nwant %s", name, got, want)
				}
			}
			typ, err := b.Type("struct", "node", 0)
			if err != nil {
				t.Fatal(err)
			}
			node := typ.(*btf.Struct)
			if p, ok := node.Members[0].Type.(*btf.Pointer); !ok || p.Target != typ {
				t.Errorf("node.next does not lead back to node: %v", node.Members[0].Type)
			}
			grid := node.Members[2].Type.(*btf.Array)
			if inner, ok := grid.Type.(*btf.Array); !ok || grid.Nelems != 2 || inner.Nelems != 3 {
				t.Errorf("node.grid is %v of %v", grid, grid.Type)
			}
		})
	}
}

func TestTypeNotFound(t *testing.T) {
	b := open(t, compile(t, variants[0], "args.c"), Options{})
	_, err := b.Type("struct", "piont", 0)
	nf, ok := err.(*NotFound)
	if !ok || len(nf.Candidates) == 0 || nf.Candidates[0] != "point" {
		t.Errorf("got %v with %+v", err, nf)
	}
}

func TestReturns(t *testing.T) {
	for _, v := range variants[:2] {
		b := open(t, compile(t, v, "args.c"), Options{})
		for name, want := range map[string]string{
			"scalars":     "int [{InReg 0 rax}]",
			"ret_pair":    "pair [{InReg 8 rax} {InReg 8 rdx}]",
			"ret_big":     "big [{AtReg 0 rax}]",
			"ret_double":  "double [] bytes 0 to 7 are in an SSE register",
			"ret_mixed":   "mixed [] bytes 0 to 7 are in an SSE register",
			"ret_small":   "small [{InReg 0 rax}]",
			"ret_nothing": " [] the function returns nothing",
		} {
			f, err := b.Func(name)
			if err != nil {
				t.Fatal(err)
			}
			var ps []string
			for _, p := range f.Ret.Loc.Pieces {
				ps = append(ps, fmt.Sprintf("{%s %d %s}", [...]string{"", "InReg", "AtReg", "Const"}[p.Kind], p.Size, gdbRegs[p.Reg]))
			}
			got := strings.TrimSpace(fmt.Sprintf("%s %v %s", f.Ret.Type.TypeName(), ps, f.Ret.Loc.Unsupported))
			if got != strings.TrimSpace(want) {
				t.Errorf("%s: %s returns %q, want %q", v.name, name, got, want)
			}
		}
		if f, err := b.Func("variadic"); err != nil || !f.Variadic || len(f.Params) != 1 {
			t.Errorf("%s: variadic: %+v, %v", v.name, f, err)
		}
	}
}

// GCC clones pruned as pruned.isra.0 or .constprop.0, without the parameter that nobody reads.
func TestClones(t *testing.T) {
	b := open(t, compile(t, variant{"gcc-O2", "gcc", []string{"-O2", "-g"}}, "args.c"), Options{})
	syms, err := b.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range syms {
		if !strings.HasPrefix(s.Name, "pruned") {
			continue
		}
		f, err := b.Func(s.Name)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range f.Params {
			names = append(names, p.Name)
		}
		if got := strings.Join(names, " "); f.Name != "pruned" || got != "unused p used" {
			t.Errorf("%s: %s(%s)", s.Name, f.Name, got)
		}
		if !strings.Contains(f.Params[0].Loc.Unsupported, "optimized out") && s.Name != "pruned" {
			t.Errorf("%s: unused is at %+v", s.Name, f.Params[0].Loc)
		}
		if f.Params[2].Loc.Unsupported != "" {
			t.Errorf("%s: used is %s", s.Name, f.Params[2].Loc.Unsupported)
		}
		return
	}
	t.Error("there is no pruned")
}

// An address inside of the prologue has no arguments yet, and says so.
func TestInsideThePrologue(t *testing.T) {
	b := open(t, compile(t, variants[0], "args.c"), Options{})
	f, err := b.Func("by_value")
	if err != nil {
		t.Fatal(err)
	}
	if f.PC == f.Entry {
		t.Fatal("-O0 code has its arguments at the entry")
	}
	g, err := b.FuncAt(f.Entry + 1)
	if err != nil || g.PC != f.Entry+1 || !strings.Contains(g.Params[0].Loc.Unsupported, "not filled yet") {
		t.Errorf("%+v, %v", g, err)
	}
	if g, err = b.FuncAt(f.PC); err != nil || g.Params[0].Loc.Unsupported != "" {
		t.Errorf("%+v, %v", g, err)
	}
}

func TestSections(t *testing.T) {
	for name, flags := range map[string][]string{
		"type-units":  {"-O0", "-gdwarf-5", "-fdebug-types-section"},
		"debug_types": {"-O0", "-gdwarf-4", "-fdebug-types-section"},
		"zstd":        {"-O2", "-g", "-gz=zstd"},
		"zdebug":      {"-O2", "-g", "-gz=zlib-gnu"},
		"lto":         {"-O2", "-g", "-flto"},
	} {
		t.Run(name, func(t *testing.T) {
			v := variant{name, "gcc", flags}
			if out, err := exec.Command("gcc", append(flags, "-o", "/dev/null", "testdata/args.c")...).CombinedOutput(); err != nil {
				t.Skipf("gcc %v: %s", flags, out)
			}
			f, err := open(t, compile(t, v, "args.c"), Options{}).Func("pointers")
			if name == "debug_types" {
				if u, ok := err.(*Unsupported); !ok || !strings.Contains(u.What, ".debug_types") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			node := btf.UnderlyingType(f.Params[1].Type.(*btf.Pointer).Target)
			if got := layout(node); got != layouts["struct node"] {
				t.Errorf("node is %s", got)
			}
		})
	}
}

func TestCxx(t *testing.T) {
	b := open(t, compile(t, variant{"g++", "g++", []string{"-O2", "-g"}}, "cxx.cc"), Options{})
	for sym, want := range map[string]string{
		"_ZN3app6Server6handleERNS_7RequestEi": "handle(this,req,n) int rdi,rsi,rdx",
		"_ZN3app4makeEl":                       "make(n) AtReg",
	} {
		f, err := b.Func(sym)
		if err != nil {
			t.Error(err)
			continue
		}
		var names, regs []string
		for _, p := range f.Params {
			names = append(names, p.Name)
			if len(p.Loc.Pieces) == 1 && p.Loc.Pieces[0].Kind == InReg {
				regs = append(regs, gdbRegs[p.Loc.Pieces[0].Reg])
			}
		}
		got := f.Name + "(" + strings.Join(names, ",") + ") " + f.Ret.Type.TypeName() + " " + strings.Join(regs, ",")
		if f.Ret.Type.TypeName() == "Owner" { // not trivially copyable: returned through memory
			got = f.Name + "(" + strings.Join(names, ",") + ") " + [...]string{"?", "InReg", "AtReg"}[f.Ret.Loc.Pieces[0].Kind]
		}
		if got != want {
			t.Errorf("%s: %s, want %s", sym, got, want)
		}
	}
	typ, err := b.Type("struct", "app::Server", 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := layout(typ); got != "struct Server 16 { @0 hits@64 }" {
		t.Errorf("Server is %s", got)
	}
}
