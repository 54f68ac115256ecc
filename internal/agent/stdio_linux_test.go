package agent

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"stint.dev/stint/internal/agent/process/terminal"
	"stint.dev/stint/job"
)

// With a terminal both streams are stdout, every byte arrives, and the end of the terminal
// is a normal end.
func TestJobWithATerminal(t *testing.T) {
	s := newMemoryServer()
	c, messages := config(t, s, "test -t 1 && test -t 2 && ! test -t 0 && echo terminal >&2; stty size <&1; seq 1 50000; exit 3")
	c.TTY, c.Install = true, []string{"test -t 1 || echo pipe"}
	got := Run(t.Context(), c)
	if got.ExitCode != 3 || !got.Complete {
		t.Fatalf("result %+v, messages %q", got, messages.text())
	}
	var want bytes.Buffer
	want.WriteString("terminal\r\n24 80\r\n")
	for i := range 50000 {
		fmt.Fprintf(&want, "%d\r\n", i+1)
	}
	v := s.read(t, testRun)
	if out := v.output[streamKey{1, job.Stdout}]; !bytes.Equal(out, want.Bytes()) {
		t.Errorf("%d bytes of output, beginning with %.60q; want %d", len(out), out, want.Len())
	}
	if out := v.output[streamKey{0, job.Stdout}]; string(out) != "pipe\n" {
		t.Errorf("the install step printed %q", out)
	}
	if len(v.output) != 2 || len(v.notes) != 0 {
		t.Errorf("%d streams, notes %q", len(v.output), v.notes)
	}
}

// A process that holds the terminal when the command has ended cannot hold up the end.
func TestTerminalThatIsHeldOpen(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, "trap '' HUP; sleep 300 & echo last")
	c.TTY = true
	got := Run(t.Context(), c)
	v := s.read(t, testRun)
	if out := v.output[streamKey{0, job.Stdout}]; got.ExitCode != 0 || string(out) != "last\r\n" {
		t.Errorf("result %+v, printed %q", got, out)
	}
	if notes := strings.Join(v.notes, "\n"); !strings.Contains(notes, "left 1 process: sleep") {
		t.Errorf("notes %q", notes)
	}
}

func TestStdinIsTheFileItself(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, "head -c 5 >/dev/null; cat")
	c.Install = []string{"cat; echo done"}
	path := filepath.Join(t.TempDir(), "input")
	if err := os.WriteFile(path, []byte("five.and more"), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	c.Stdin = in
	if got := Run(t.Context(), c); got.ExitCode != 0 {
		t.Fatalf("result %+v", got)
	}
	v := s.read(t, testRun)
	if out := v.output[streamKey{1, job.Stdout}]; string(out) != "and more" {
		t.Errorf("the command read %q", out)
	}
	if out := v.output[streamKey{0, job.Stdout}]; string(out) != "done\n" {
		t.Errorf("the install step read %q, and the input is the command's", out)
	}
}

// The job's terminal follows the agent's.
func TestTerminalFollowsTheSize(t *testing.T) {
	screen, own, err := terminal.Open(terminal.Size{Columns: 100, Rows: 30})
	if err != nil {
		t.Skipf("this machine gives no pseudo-terminal: %v", err)
	}
	defer own.Close()
	defer screen.Close()
	s := newMemoryServer()
	c, _ := config(t, s, "trap 'stty size <&1; exit 0' WINCH; stty size <&1; printf 'ready\n'; while :; do sleep 0.05; done")
	signals := make(chan os.Signal, 1)
	c.TTY, c.Stderr, c.Signals = true, own, signals
	done := make(chan Result, 1)
	go func() { done <- Run(t.Context(), c) }()
	s.wait(t, func() bool { return strings.Contains(string(s.journals[c.Run]), "ready\r\n") })
	if err := terminal.Resize(screen, terminal.Size{Columns: 77, Rows: 11}); err != nil {
		t.Fatal(err)
	}
	signals <- syscall.SIGWINCH
	got := result(t, done)
	if out := s.read(t, testRun).output[streamKey{0, job.Stdout}]; string(out) != "30 100\r\nready\r\n11 77\r\n" {
		t.Errorf("sizes %q, result %+v", out, got)
	}
}

// A command that has redirected everything holds its terminal no more. It is not hung up
// for that, and may come back to it.
func TestCommandThatLeavesItsTerminal(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, "echo first; exec >log 2>&1; trap 'echo hung up; exit 9' HUP; sleep 0.5; echo logged; echo last >/dev/tty")
	c.TTY = true
	got := Run(t.Context(), c)
	if out := s.read(t, testRun).output[streamKey{0, job.Stdout}]; got.ExitCode != 0 || string(out) != "first\r\nlast\r\n" {
		t.Errorf("result %+v, printed %q", got, out)
	}
	if log := readAll(t, filepath.Join(c.Dir, "log")); log != "logged\n" {
		t.Errorf("the command's own log has %q", log)
	}
}
