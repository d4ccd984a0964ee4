package engine

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// piped starts argv with its output into a pipe.
func piped(t *testing.T, argv ...string) (*Command, func() string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	c, err := Start(argv, StartOptions{Stdin: null, Stdout: w, Stderr: w})
	w.Close()
	if err != nil {
		r.Close()
		skipWithoutPtrace(t, err)
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, func() string {
		b, _ := io.ReadAll(r)
		r.Close()
		return string(b)
	}
}

func skipWithoutPtrace(t *testing.T, err error) {
	t.Helper()
	if strings.Contains(err.Error(), "operation not permitted") {
		t.Skipf("ptrace is not permitted here: %v", err)
	}
}

// procStatus reads one field of /proc/PID/status.
func procStatus(t *testing.T, pid int, field string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range strings.Split(string(b), "\n") {
		if v, ok := strings.CutPrefix(l, field+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func TestCommandWaitsForRelease(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "ran")
	c, output := piped(t, "sh", "-c", "echo hello; : >"+mark+"; exit 7")
	time.Sleep(20 * time.Millisecond)
	if _, err := os.Stat(mark); err == nil {
		t.Fatal("the command ran before Release")
	}
	if g, _ := unix.Getpgid(c.PID()); g != c.PID() {
		t.Errorf("process group %d, want its own, %d", g, c.PID())
	}
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
	ws, err := c.Wait()
	if err != nil || !ws.Exited() || ws.ExitStatus() != 7 {
		t.Errorf("Wait = %v, %v; want exit status 7", StatusString(ws), err)
	}
	if again, err := c.Wait(); err != nil || again != ws {
		t.Errorf("second Wait = %v, %v; want the same as the first", again, err)
	}
	if out := output(); out != "hello\n" {
		t.Errorf("output %q", out)
	}
	if err := c.Kill(); err != os.ErrProcessDone {
		t.Errorf("Kill of a reaped command = %v", err)
	}
}

func TestCommandCloseBeforeRelease(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "ran")
	c, output := piped(t, "sh", "-c", ": >"+mark)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if ws, err := c.Wait(); err != nil || !ws.Signaled() || ws.Signal() != syscall.SIGKILL {
		t.Errorf("Wait = %s, %v; want killed by SIGKILL", StatusString(ws), err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the command ran though it was never released")
	}
	output()
}

func TestCommandHandover(t *testing.T) {
	c, output := piped(t, "sh", "-c", "echo out; exit 3")
	done := make(chan error, 1)
	go func() { // another thread seizes it and reaps it
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := c.Handover(); err != nil {
			done <- err
			return
		}
		if _, _, e := syscall.RawSyscall6(syscall.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(c.PID()), 0, 0, 0, 0); e != 0 {
			done <- e
			return
		}
		done <- c.Release()
		for {
			var ws unix.WaitStatus
			if err := wait4(c.PID(), &ws); err != nil {
				return
			}
			if ws.Exited() || ws.Signaled() {
				c.Exited(syscall.WaitStatus(ws))
				return
			}
			sig := 0
			if uint32(ws)>>16 == 0 && ws.Stopped() {
				sig = int(ws.StopSignal())
			}
			_ = unix.PtraceCont(c.PID(), sig)
		}
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	ws, err := c.Wait()
	if err != nil || ws.ExitStatus() != 3 {
		t.Errorf("Wait = %s, %v; want exit status 3", StatusString(ws), err)
	}
	if out := output(); out != "out\n" {
		t.Errorf("output %q", out)
	}
}

func TestCommandSignal(t *testing.T) {
	c, output := piped(t, "sh", "-c", "trap 'echo int; exit 5' INT; echo ready; while :; do sleep 0.01; done")
	if c.Foreground() {
		t.Error("Foreground without a terminal")
	}
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if err := c.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	ws, err := c.Wait()
	if err != nil || ws.ExitStatus() != 5 {
		t.Errorf("Wait = %s, %v; want exit status 5", StatusString(ws), err)
	}
	if out := output(); strings.Count(out, "int") != 1 {
		t.Errorf("output %q: want SIGINT once", out)
	}
}

func TestStartErrors(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, tt := range []struct{ argv, want string }{
		{"", "no command"},
		{"gtrace-no-such-command", "no such command in $PATH"},
		{dir + "/nothing", "no such file"},
		{dir, "directory"},
		{write("plain", "x", 0o644), "no permission to execute"},
		{write("garbage", "garbage\n", 0o755), "not a program"},
		{write("interp", "#!/no/such/interpreter\n", 0o755), "interpreter"},
	} {
		c, err := Start([]string{tt.argv}, StartOptions{})
		if err == nil {
			c.Close()
			t.Errorf("Start(%q) succeeded", tt.argv)
			continue
		}
		skipWithoutPtrace(t, err)
		if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Start(%q): %v; want %q in it", tt.argv, err, tt.want)
		}
	}
}

// TestCommandDiesWithUs starts a second copy of the test, which starts a
// command and is killed before it releases it.
func TestCommandDiesWithUs(t *testing.T) {
	if os.Getenv("ENGINE_TEST_HOLD") != "" {
		c, err := Start([]string{"sleep", "60"}, StartOptions{})
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(c.PID())
		time.Sleep(time.Minute)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=TestCommandDiesWithUs$")
	cmd.Env = append(os.Environ(), "ENGINE_TEST_HOLD=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscanln(out, &pid); err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		t.Skipf("ptrace is not permitted here: %v", err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	cmd.Process.Kill()
	cmd.Wait()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, 5000); err != nil || n != 1 {
		unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		t.Errorf("the command outlived its starter (poll %d, %v): state %s", n, err, procStatus(t, pid, "State"))
	}
}

// TestForeground runs a second copy of the test as the leader of a session
// with a pseudo-terminal; the command must get the terminal and give it back.
func TestForeground(t *testing.T) {
	if os.Getenv("ENGINE_TEST_TTY") != "" {
		c, err := Start([]string{"sh", "-c", "trap 'exit 9' INT; echo ready; while :; do sleep 0.01; done"}, StartOptions{})
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println("foreground", c.Foreground())
		c.Release()
		ws, _ := c.Wait()
		fg, _ := unix.IoctlGetInt(0, unix.TIOCGPGRP)
		fmt.Println("status", ws.ExitStatus(), "back", fg == unix.Getpgrp(), "end")
		os.Exit(0)
	}
	ptm, pts := pty(t)
	cmd := exec.Command(os.Args[0], "-test.run=TestForeground$")
	cmd.Env = append(os.Environ(), "ENGINE_TEST_TTY=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = pts, pts, pts
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pts.Close()
	defer cmd.Wait()
	defer cmd.Process.Kill()
	var all strings.Builder
	ptm.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf, sent := make([]byte, 512), false
	for !strings.Contains(all.String(), "end") {
		n, err := ptm.Read(buf)
		all.Write(buf[:n])
		if err != nil {
			break
		}
		if !sent && strings.Contains(all.String(), "ready") {
			sent = true
			time.Sleep(30 * time.Millisecond)
			ptm.Write([]byte{3}) // Ctrl-C
		}
	}
	got := all.String()
	for _, want := range []string{"foreground true", "status 9 back true"} {
		if !strings.Contains(got, want) {
			t.Errorf("want %q in:\n%s", want, got)
		}
	}
}

func pty(t *testing.T) (ptm, pts *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	ptm = os.NewFile(uintptr(fd), "ptmx")
	pts, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { ptm.Close() })
	return ptm, pts
}
