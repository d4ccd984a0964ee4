package usertype

import (
	"bytes"
	"debug/elf"
	"flag"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// FuzzBinary asks everything of a file that is damaged in two places and maybe
// cut. An error is fine; a panic is not.
func FuzzBinary(f *testing.F) {
	var files [][]byte
	for _, v := range []variant{variants[0], variants[1], variants[2], variants[6]} {
		d, err := os.ReadFile(compile(f, v, "args.c"))
		if err != nil {
			f.Fatal(err)
		}
		files = append(files, d)
		f.Add(byte(len(files)), uint32(0x40), []byte{1}, uint32(len(d)/2), []byte{0xff, 0xff}, uint32(0))
	}
	f.Fuzz(func(t *testing.T, which byte, at1 uint32, patch1 []byte, at2 uint32, patch2 []byte, cut uint32) {
		d := append([]byte(nil), files[int(which)%len(files)]...)
		copy(d[int(at1)%len(d):], patch1)
		copy(d[int(at2)%len(d):], patch2)
		e, err := parseELF("fuzz", d[:len(d)-int(cut)%len(d)])
		if err != nil {
			return
		}
		b, err := newBinary(e, Options{NoCache: true, DebugDirs: []string{}})
		if err != nil {
			return
		}
		ask(b)
	})
}

func ask(b *Binary) {
	for _, name := range []string{"scalars", "many", "by_value", "pointers", "pruned", "ret_pair"} {
		if f, err := b.Func(name); err == nil {
			if enc := encodeFunction(f); enc != nil {
				decodeFunction(enc)
			}
		}
	}
	b.Type("struct", "node", 0)
	b.Type("", "pair_t", 0)
	b.FuncAt(b.main.elf.Entry)
}

// damageRounds is how many damaged files TestDamaged makes of each program.
var damageRounds = flag.Int("damage", 300, "damaged files per program")

// TestDamaged changes bytes all over a program's file, every other time only
// within one of the sections that describe it.
func TestDamaged(t *testing.T) {
	for _, v := range []variant{variants[0], variants[1], variants[2], variants[6]} {
		d, err := os.ReadFile(compile(t, v, "args.c"))
		if err != nil {
			t.Fatal(err)
		}
		sections := described(t, d)
		rnd := rand.New(rand.NewPCG(1, 2))
		for i := range *damageRounds {
			c := bytes.Clone(d)
			low, size := 0, len(c)
			if i%2 == 1 {
				s := sections[rnd.IntN(len(sections))]
				low, size = int(s.Offset), int(s.FileSize)
			}
			for range 1 + rnd.IntN(5) {
				c[low+rnd.IntN(size)] = byte(rnd.Uint32())
			}
			if rnd.IntN(8) == 0 {
				c = c[:rnd.IntN(len(c))]
			}
			e, err := parseELF("damaged", c)
			if err != nil {
				continue
			}
			if b, err := newBinary(e, Options{NoCache: true, DebugDirs: []string{}}); err == nil {
				ask(b)
			}
		}
	}
}

// described are the sections that say what the code means.
func described(t *testing.T, d []byte) []*elf.Section {
	f, err := elf.NewFile(bytes.NewReader(d))
	if err != nil {
		t.Fatal(err)
	}
	var all []*elf.Section
	for _, s := range f.Sections {
		if s.FileSize > 0 && s.Type != elf.SHT_NOBITS && (strings.HasPrefix(s.Name, ".debug_") || s.Name == ".eh_frame" || s.Name == ".symtab") {
			all = append(all, s)
		}
	}
	if len(all) < 5 {
		t.Fatalf("%d sections describe the program", len(all))
	}
	return all
}

// TestDamagedFrames sets every byte of the call frame information to values
// that change lengths and counts.
func TestDamagedFrames(t *testing.T) {
	b := open(t, compile(t, variants[1], "args.c"), Options{})
	h := b.main.header(".eh_frame")
	frames := bytes.Clone(b.main.bytes(h))
	many, err := b.Func("many")
	if err != nil {
		t.Fatal(err)
	}
	fine, refused := 0, 0
	for i, was := range frames {
		for _, v := range []byte{0, 1, was - 1, was + 1, 0x7f, 0x80, 0xff} {
			frames[i] = v
			err := func() (err error) {
				defer guard("damaged", &err)()
				frameRule(frames, ".eh_frame", h.Addr, true, many.PC)
				return nil
			}()
			if err == nil {
				fine++
			} else {
				refused++
			}
		}
		frames[i] = was
	}
	if fine == 0 || refused == 0 {
		t.Errorf("%d tables read and %d refused", fine, refused)
	}
}

func FuzzCache(f *testing.F) {
	f.Add([]byte{0, 1, 'f', 1, 2, 3})
	f.Fuzz(func(t *testing.T, d []byte) {
		decodeFunction(d)
		decodeType(d)
		if ix := loadIndex(d); ix != nil {
			ix.find(kindStruct, "x")
		}
	})
}
