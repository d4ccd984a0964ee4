package typed

// Arch is where an architecture keeps things in struct pt_regs.
type Arch struct {
	Name  string
	DWARF []int64 // byte offset of each DWARF register
	Args  []int64 // byte offset of the registers with integer arguments
	Ret   int64   // byte offset of the register with a return value
	SP    int64
	// StackArg is how far behind the stack pointer the first argument on the
	// stack is when a function is entered.
	StackArg int64
}

// archs are the architectures that a script can be compiled for. x86-64:
// System V ABI, figure 3.36 (DWARF numbers) and §3.2.3; arch/x86/include/uapi/asm/ptrace.h.
var archs = []Arch{{
	Name: "amd64",
	DWARF: []int64{
		80, 96, 88, 40, // rax rdx rcx rbx
		104, 112, 32, 152, // rsi rdi rbp rsp
		72, 64, 56, 48, // r8 to r11
		24, 16, 8, 0, // r12 to r15
		128, // rip
	},
	Args:     []int64{112, 104, 96, 88, 72, 64}, // rdi rsi rdx rcx r8 r9
	Ret:      80,
	SP:       152,
	StackArg: 8,
}}

// ArchByName finds an architecture by its GOARCH; nil when scripts can't be
// compiled for it.
func ArchByName(name string) *Arch {
	for i := range archs {
		if archs[i].Name == name {
			return &archs[i]
		}
	}
	return nil
}
