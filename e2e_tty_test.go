package gtrace_test

// gtrace on a terminal: who owns the foreground, and whom Ctrl-C reaches.

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal: the user's side and the program's.
func terminal(t *testing.T) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { user.Close() })
	fd := int(user.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return user, program
}

// TestTerminal types Ctrl-C into a terminal that the command owns.
func TestTerminal(t *testing.T) {
	engines(t, func(t *testing.T, engine string) {
		user, program := terminal(t)
		// A shell around gtrace shows that it gets the terminal back.
		const inner = `n=0; trap 'n=$((n+1))' INT; echo ready; sleep 1; echo "$n signals"`
		cmd := exec.Command("/bin/bash", "-c", `trap : INT; "$0" run --engine `+engine+
			` -e 'uprobe:/bin/bash:xmalloc { @calls = count(); } END { printf("the end\n"); }' -- /bin/bash -c '`+
			strings.ReplaceAll(inner, "'", `'\''`)+`'; echo "status $?"; read line < /dev/tty; echo "read $line"`, binary)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		program.Close()
		watchdog := time.AfterFunc(30*time.Second, func() { endSession(cmd.Process.Pid) })
		defer watchdog.Stop()
		var all bytes.Buffer
		buf := make([]byte, 4096)
		for typed := 0; ; {
			n, err := user.Read(buf)
			if err != nil {
				break
			}
			all.Write(buf[:n])
			switch {
			case typed == 0 && strings.Contains(all.String(), "ready"):
				typed++
				user.Write([]byte{3})
			case typed == 1 && strings.Contains(all.String(), "status "):
				typed++
				user.Write([]byte("typed\n"))
			}
		}
		cmd.Wait()
		out := strings.ReplaceAll(all.String(), "\r\n", "\n")
		t.Log(out)
		result{stdout: out}.want(t, 0, "ready\n", "1 signals\n", "the end\n", "@calls: ", "status 0\n", "read typed\n")
	})
}

// TestJobControl stops the command by Ctrl-Z: the shell takes over, and fg
// lets both go on.
func TestJobControl(t *testing.T) {
	engines(t, func(t *testing.T, engine string) {
		user, program := terminal(t)
		cmd := exec.Command("/bin/bash", "--norc", "--noprofile", "-i")
		cmd.Env = append(os.Environ(), "PS1=$ ", "TERM=dumb", "G="+binary, "HISTFILE=")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		program.Close()
		watchdog := time.AfterFunc(20*time.Second, func() { endSession(cmd.Process.Pid) })
		defer watchdog.Stop()
		steps := []struct{ see, typ string }{
			{"$ ", `"$G" run --engine ` + engine + ` -e 'uprobe:/bin/bash:xmalloc { @calls = count(); }' -- /bin/bash -c 'echo rea""dy; sleep 0.5; echo do""ne'` + "\n"},
			{"ready", "\x1a"},
			{"Stopped", "echo shell is ba''ck; fg\n"},
			{"shell is back", ""},
			{"done", ""},
			{"@calls: ", "echo st''atus $?\n"},
			{"status 0", "exit\n"},
		}
		var all bytes.Buffer
		buf, from := make([]byte, 4096), 0
		for {
			for len(steps) > 0 {
				i := strings.Index(all.String()[from:], steps[0].see)
				if i < 0 {
					break
				}
				from += i + len(steps[0].see)
				user.Write([]byte(steps[0].typ))
				steps = steps[1:]
			}
			n, err := user.Read(buf)
			if err != nil {
				break
			}
			all.Write(buf[:n])
		}
		cmd.Wait()
		t.Log(strings.ReplaceAll(all.String(), "\r\n", "\n"))
		if len(steps) > 0 {
			t.Errorf("%q was not seen", steps[0].see)
		}
	})
}

// endSession kills what a test started on its terminal: the processes of the session.
func endSession(sid int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		pid, err := strconv.Atoi(filepath.Base(d))
		if err != nil {
			continue
		}
		if s, err := unix.Getsid(pid); err == nil && s == sid {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
