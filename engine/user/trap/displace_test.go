package trap

// Tests that displaced instructions of every kind have their effect.

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// Each function p_NAME begins with the instruction that is displaced, and
// returns a value that depends on its effect and on untouched flags and registers.
var displaced = []struct{ name, asm string }{
	{"endbr", "endbr64; lea 1(%rdi), %eax; ret"},
	{"push", "push %rdi; pop %rax; ret"},
	{"ripload", "mov table(%rip), %eax; add %edi, %eax; ret"},
	{"ripcmp", "cmpl $77, table(%rip); sete %al; movzbl %al, %eax; ret"},
	{"riplea", "lea table(%rip), %rax; mov 4(%rax), %eax; ret"},
	{"ripstore", "movl $5, scratch(%rip); mov scratch(%rip), %eax; ret"},
	{"ripimm64", "testq $0x4d, table(%rip); setnz %al; movzbl %al, %eax; ret"},
	{"ripsse", "movups vec(%rip), %xmm0; movd %xmm0, %eax; ret"},
	{"ripavx", "vmovdqu vec(%rip), %ymm0; vmovd %xmm0, %eax; vzeroupper; ret"},
	{"callrel", "call helper; add $3, %eax; ret"},
	{"callmem", "call *helperptr(%rip); add $4, %eax; ret"},
	{"callretaddr", "call 1f; 1: pop %rax; lea 1b(%rip), %rcx; sub %rcx, %rax; ret"},
	{"jmp8", "jmp 1f; ud2; 1: lea 6(%rdi), %eax; ret"},
	{"jmp32", "jmp helper"},
	{"jmpmem", "jmp *helperptr(%rip)"},
	{"jrcxz", "jrcxz 1f; lea 2(%rdi), %eax; ret; 1: mov $9, %eax; ret"},
	{"retimm", "ret"},
	{"syscall", "syscall; ret"},
	{"leave", "enter $32, $0; mov %rdi, -8(%rbp); mov -8(%rbp), %rax; leave; ret"},
	{"fsload", "mov %fs:0, %rax; sub %fs:0, %rax; add %rdi, %rax; ret"},
	{"pushf", "pushf; pop %rax; and $0x8d5, %eax; ret"},
	{"lock", "lock incl scratch(%rip); mov scratch(%rip), %eax; ret"},
	{"movabs", "movabs $0x123456789abcdef, %rax; ret"},
	{"rep", "rep stosb; mov %rdi, %rax; ret"},
}

// wrapped functions need a set-up before the displaced instruction.
var wrapped = []struct{ name, asm string }{
	{"jcctaken", "cmp $1, %edi; .globl p_jcctaken; p_jcctaken: jge 1f; mov $8, %eax; ret; 1: mov $80, %eax; ret"},
	{"jccnear", "cmp $1, %edi; .globl p_jccnear; p_jccnear: jl far_away; mov $8, %eax; ret"},
	{"loop", "mov $5, %ecx; xor %eax, %eax; 1: add %edi, %eax; .globl p_loop; p_loop: loop 1b; ret"},
	{"flags", "stc; .globl p_flags; p_flags: adc $7, %edi; mov %edi, %eax; ret"},
	{"callstack", "lea helper(%rip), %rax; push %rax; push %rax; .globl p_callstack; p_callstack: call *8(%rsp); add $16, %rsp; ret"},
	{"callstack0", "lea helper(%rip), %rax; push %rax; push %rax; .globl p_callstack0; p_callstack0: call *(%rsp); add $16, %rsp; ret"},
	{"callstackindex", "lea helper(%rip), %rax; push %rax; push %rax; mov $1, %ecx; .globl p_callstackindex; p_callstackindex: call *(%rsp,%rcx,8); add $16, %rsp; ret"},
	{"callreg", "push %rbx; lea helper(%rip), %rbx; .globl p_callreg; p_callreg: call *%rbx; pop %rbx; ret"},
	{"callr12", "push %r12; lea helperptr(%rip), %r12; .globl p_callr12; p_callr12: call *(%r12); pop %r12; ret"},
	{"redzone", "movl $41, -8(%rsp); .globl p_redzone; p_redzone: addl $1, -8(%rsp); mov -8(%rsp), %eax; ret"},
	{"flagskept", "cmp %edi, %edi; stc; .globl p_flagskept; p_flagskept: mov table(%rip), %eax; setc %al; setz %ah; movzwl %ax, %eax; ret"},
}

func displaceProgram() string {
	var asm, calls strings.Builder
	for _, f := range displaced {
		fmt.Fprintf(&asm, ".globl p_%s\n.type p_%[1]s,@function\np_%[1]s: %s\n", f.name, f.asm)
		fmt.Fprintf(&calls, "X(p_%s)\n", f.name)
	}
	for _, f := range wrapped {
		fmt.Fprintf(&asm, ".globl w_%s\n.type w_%[1]s,@function\nw_%[1]s: %s\n", f.name, f.asm)
		fmt.Fprintf(&calls, "X(w_%s)\n", f.name)
	}
	quote := regexp.MustCompile(`(?m)^(.*)$`).ReplaceAllString(asm.String(), `"$1\n"`)
	return `
#include <stdio.h>
#include <string.h>
int table[2] = {77, 78};
int scratch;
static char buf[64];
unsigned char vec[64] = {33};
int helper(int x) { return x * 2; }
int (*helperptr)(int) = helper;
` + "__asm__(\".text\\n\"\n" + quote + "\n\"far_away: mov $800, %eax; ret\\n\");\n" +
		regexp.MustCompile(`(?m)^X\((.*)\)$`).ReplaceAllString(calls.String(), "extern long $1(long, long, long, long);") + `
static long call(const char *name, long (*f)(long, long, long, long), long x) {
	if (!strcmp(name, "p_syscall")) { long r; __asm__ volatile("call *%1" : "=a"(r) : "r"(f), "a"(39) : "rcx", "r11", "memory"); return r > 0; }
	if (!strcmp(name, "p_retimm")) { f(x, 0, 0, 0); return 1; }
	if (!strcmp(name, "p_rep")) return f((long)buf, 0, 0, 7) - (long)buf;
	if (!strcmp(name, "p_pushf")) { long r; __asm__ volatile("xor %%edx, %%edx; stc; call *%1" : "=a"(r) : "r"(f) : "rdx", "memory"); return r; }
	return f(x, 0, 0, x);
}
#define X(f) printf("%s=%ld,%ld ", #f, call(#f, f, 0), call(#f, f, 3));
int main(void) {
	char line[64];
	puts("ready"); fflush(stdout);
	while (fgets(line, sizeof line, stdin)) { scratch = 0;
` + calls.String() + `
	puts(""); fflush(stdout); }
	return 0;
}
`
}

func TestDisplacedInstructions(t *testing.T) {
	for _, pie := range []string{"-pie", "-no-pie"} {
		bin := build(t, "displace", displaceProgram(), pie, "-mno-red-zone")
		p := start(t, bin)
		want := p.run(t)
		if n := strings.Count(want, "="); n != len(displaced)+len(wrapped) {
			t.Fatalf("%d results in %q", n, want)
		}
		var probes []Probe
		var names []string
		for _, f := range displaced {
			names = append(names, "p_"+f.name)
		}
		for _, f := range wrapped {
			names = append(names, "p_"+f.name)
		}
		for _, n := range names {
			probes = append(probes, probe(t, bin, n, false))
		}
		before := text(t, p.Process.Pid, bin)
		counts := make([]int, len(probes))
		tr := attach(t, Options{PID: p.Process.Pid, Probes: probes, OnHit: func(h *Hit) { counts[h.Probe]++ }})
		got := p.run(t)
		tr.Stop()
		if got != want {
			w, g := strings.Fields(want), strings.Fields(got)
			for i := range w {
				if i < len(g) && w[i] != g[i] {
					t.Errorf("%s: with the probe %s, without %s", pie, g[i], w[i])
				}
			}
		}
		for i, n := range counts {
			if w := map[string]int{"p_loop": 10}[names[i]]; n != max(w, 2) {
				t.Errorf("%s: %d hits", names[i], n)
			}
		}
		left(t, p.Process.Pid, bin, before, -1)
		if again := p.run(t); again != want {
			t.Errorf("after detach: %s, before: %s", again, want)
		}
	}
}
