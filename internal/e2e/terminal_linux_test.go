package e2e

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"stint.dev/stint/job"
)

// terminal opens a pseudo-terminal: what a person sees, and what the program gets.
func terminal(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("this machine gives no pseudo-terminal: %v", err)
	}
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return screen, tty
}

// The terminal is closed in the middle: the kernel sends SIGHUP, writes fail, and the job
// goes on to its own end with all of its output on the server.
func TestTerminalThatIsClosed(t *testing.T) {
	s, h := startServer(t), newHost(t)
	screen, tty := terminal(t)
	run := h.command(stint, "run", "--server", s.url, "--job", "closed", "-c", counter(60))
	run.Stdin, run.Stdout, run.Stderr = tty, tty, tty
	run.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	tty.Close()
	seen := bufio.NewScanner(screen)
	for seen.Scan() && strings.TrimSpace(seen.Text()) != "5" {
	}
	screen.Close()
	if err := run.Wait(); err != nil {
		t.Errorf("stint run: %v", err)
	}
	r := s.ended("closed#1")
	wantEnd(t, r, job.Succeeded, job.ExitCode, 0)
	wantLog(t, s, r.ID, []byte(counted(60)))
}
