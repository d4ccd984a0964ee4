package usertype

import (
	"os"
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

// TestDamaged changes bytes all over a program's debug information.
func TestDamaged(t *testing.T) {
	for _, v := range []variant{variants[0], variants[1], variants[2], variants[6]} {
		d, err := os.ReadFile(compile(t, v, "args.c"))
		if err != nil {
			t.Fatal(err)
		}
		seed := uint64(1)
		for range 300 {
			c := append([]byte(nil), d...)
			for range 1 + seed%5 {
				seed = seed*6364136223846793005 + 1442695040888963407
				c[(seed>>20)%uint64(len(c))] = byte(seed >> 50)
			}
			if seed>>40%8 == 0 {
				c = c[:(seed>>10)%uint64(len(c))]
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
