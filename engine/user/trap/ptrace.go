package trap

// This file wraps ptrace(2) and the other calls that this package makes on
// other processes. Everything here but readMemory must run on the thread that
// traces. Source: ptrace(2), include/uapi/linux/ptrace.h.

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	ptraceGetRegs  = 12
	ptraceSetRegs  = 13
	ptracePokeUser = 6
	ptracePokeData = 5
	siKernel       = 0x80 // si_code of a trap that an instruction raised
	seizeOptions   = unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_TRACEEXIT | unix.PTRACE_O_TRACEVFORKDONE
	suspendSeccomp = 0x200000 // PTRACE_O_SUSPEND_SECCOMP
	kcmpVM         = 1
	siginfoSize    = 128
	sigsetSize     = 8
	// allSignals is every signal but SIGTRAP: a trap that is raised while its
	// signal is blocked makes the kernel reset the target's handler.
	allSignals       = ^uint64(1 << (unix.SIGTRAP - 1))
	seccompDisabled  = "0"
	shadowStackField = "x86_Thread_features"
)

// ptrace makes the call without telling Go's scheduler: none of these blocks.
//
//go:uintptrescapes
func ptrace(req, tid int, addr, data uintptr) error {
	_, _, e := syscall.RawSyscall6(syscall.SYS_PTRACE, uintptr(req), uintptr(tid), addr, data, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

func seize(tid, options int) error { return ptrace(unix.PTRACE_SEIZE, tid, 0, uintptr(options)) }
func interrupt(tid int) error      { return ptrace(unix.PTRACE_INTERRUPT, tid, 0, 0) }
func listen(tid int) error         { return ptrace(unix.PTRACE_LISTEN, tid, 0, 0) }
func setOptions(tid, o int) error  { return ptrace(unix.PTRACE_SETOPTIONS, tid, 0, uintptr(o)) }

func cont(tid int, sig syscall.Signal) error {
	return ptrace(unix.PTRACE_CONT, tid, 0, uintptr(sig))
}

func singleStep(tid int) error { return ptrace(unix.PTRACE_SINGLESTEP, tid, 0, 0) }

func detachThread(tid int, sig syscall.Signal) error {
	return ptrace(unix.PTRACE_DETACH, tid, 0, uintptr(sig))
}

func getRegs(tid int, r *registers) error {
	return ptrace(ptraceGetRegs, tid, 0, uintptr(unsafe.Pointer(r)))
}

func setRegs(tid int, r *registers) error {
	return ptrace(ptraceSetRegs, tid, 0, uintptr(unsafe.Pointer(r)))
}

// setReg writes one register: struct user begins with struct user_regs_struct.
func setReg(tid, index int, v uint64) error {
	return ptrace(ptracePokeUser, tid, uintptr(index*8), uintptr(v))
}

// siginfo is siginfo_t: si_signo, si_errno, si_code, padding, then a union.
type siginfo [siginfoSize / 4]int32

func (s *siginfo) code() int32 { return s[2] }

func getSiginfo(tid int, s *siginfo) error {
	return ptrace(unix.PTRACE_GETSIGINFO, tid, 0, uintptr(unsafe.Pointer(s)))
}

func setSiginfo(tid int, s *siginfo) error {
	return ptrace(unix.PTRACE_SETSIGINFO, tid, 0, uintptr(unsafe.Pointer(s)))
}

func getSigmask(tid int, mask *uint64) error {
	return ptrace(unix.PTRACE_GETSIGMASK, tid, sigsetSize, uintptr(unsafe.Pointer(mask)))
}

func setSigmask(tid int, mask uint64) error {
	return ptrace(unix.PTRACE_SETSIGMASK, tid, sigsetSize, uintptr(unsafe.Pointer(&mask)))
}

func eventMessage(tid int) (int, error) {
	var msg uintptr
	err := ptrace(unix.PTRACE_GETEVENTMSG, tid, 0, uintptr(unsafe.Pointer(&msg)))
	return int(msg), err
}

// wait4 waits for tid, or any tracee of this thread with -1.
func wait4(tid, options int) (int, unix.WaitStatus, error) {
	var ws int32
	n, _, e := syscall.Syscall6(syscall.SYS_WAIT4, uintptr(tid), uintptr(unsafe.Pointer(&ws)), uintptr(unix.WALL|unix.WNOTHREAD|options), 0, 0, 0)
	if e != 0 {
		return 0, 0, e
	}
	return int(n), unix.WaitStatus(ws), nil
}

const (
	cldExited = 1
	cldKilled = 2
	cldDumped = 3
)

// peekWait waits for an event of any tracee and leaves it to be waited for again.
func peekWait() (pid int, code int32, err error) {
	var info siginfo
	opts := unix.WEXITED | unix.WSTOPPED | unix.WNOWAIT | unix.WALL | unix.WNOTHREAD
	_, _, e := syscall.Syscall6(unix.SYS_WAITID, unix.P_ALL, 0, uintptr(unsafe.Pointer(&info)), uintptr(opts), 0, 0)
	if e != 0 {
		return 0, 0, e
	}
	return int(info[4]), info.code(), nil // the union is aligned to 8 bytes; si_pid comes first
}

// hasPending reports whether a signal waits for one thread.
func hasPending(tid int, sig syscall.Signal) bool {
	v, err := strconv.ParseUint(statusField(tid, "SigPnd"), 16, 64)
	return err == nil && v>>(uint(sig)-1)&1 == 1
}

// sharesMemory reports whether two tasks have one address space; ok is false
// where the kernel cannot say (kcmp(2) not built in, or not permitted).
func sharesMemory(a, b int) (same, ok bool) {
	r, _, e := syscall.RawSyscall6(unix.SYS_KCMP, uintptr(a), uintptr(b), kcmpVM, 0, 0, 0)
	return r == 0, e == 0
}

// readMemory fills dst from the memory of process pid, all of it or an error.
// It may be called on any thread.
func readMemory(pid int, addr uint64, dst []byte) error {
	if len(dst) == 0 {
		return nil
	}
	local := unix.Iovec{Base: &dst[0], Len: uint64(len(dst))}
	remote := unix.RemoteIovec{Base: uintptr(addr), Len: len(dst)}
	n, err := unix.ProcessVMReadv(pid, []unix.Iovec{local}, []unix.RemoteIovec{remote}, 0)
	if err != nil {
		return err
	}
	if n != len(dst) {
		return unix.EFAULT
	}
	return nil
}

// statusField reads one field of /proc/PID/status; "" when there is none.
func statusField(pid int, field string) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return ""
	}
	for l := range bytes.Lines(b) {
		if v, ok := bytes.CutPrefix(l, []byte(field+":")); ok {
			return string(bytes.TrimSpace(v))
		}
	}
	return ""
}

// threadState is the letter of proc(5)'s state: R, S, D, T, t, Z, X.
func threadState(tid int) byte {
	if s := statusField(tid, "State"); s != "" {
		return s[0]
	}
	return 'X'
}

// ended reports whether a thread is dead, reaped or not.
func ended(tid int) bool {
	s := threadState(tid)
	return s == 'X' || s == 'Z'
}

func statusInt(pid int, field string) int {
	n, _ := strconv.Atoi(statusField(pid, field))
	return n
}

// tasks lists the threads of a process.
func tasks(pid int) ([]int, error) {
	d, err := os.Open(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	tids := make([]int, 0, len(names))
	for _, n := range names {
		if tid, err := strconv.Atoi(n); err == nil {
			tids = append(tids, tid)
		}
	}
	return tids, nil
}

// children lists the processes that a thread started; none where the kernel
// does not tell (CONFIG_PROC_CHILDREN).
func children(pid, tid int) (pids []int) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, tid))
	for _, f := range bytes.Fields(b) {
		if p, err := strconv.Atoi(string(f)); err == nil {
			pids = append(pids, p)
		}
	}
	return pids
}

func commandName(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(b))
}
