package object

import (
	"bytes"
	"testing"
)

func BenchmarkRead(b *testing.B) {
	file := compile(b, variants["core"]...)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read("x", bytes.NewReader(file)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	o := read(b, compile(b, variants["core"]...))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Write(o); err != nil {
			b.Fatal(err)
		}
	}
}
