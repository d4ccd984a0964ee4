// Command parity compares gtrace's verifier with the running kernel's over the
// kernel's own BPF selftests, a program at a time, and prints where they differ.
//
// The selftests come from Debian's linux-source-6.12 package. They are
// unpacked and compiled in a cache folder outside this tree; nothing of them is
// copied here. The kernel's side is taken from veristat, built from the same
// package: a loader that shares no code with gtrace's object and image, so that
// a mistake there cannot cancel out.
package main
