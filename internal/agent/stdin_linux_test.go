package agent

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/retry"
	"stint.dev/stint/job"
)

// fileAt is a file whose offset is after its first bytes.
func fileAt(t *testing.T, data string, offset int64) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "input")
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	return f
}

// endedPipe is the read end of a pipe that holds a text and has ended.
func endedPipe(t *testing.T, text string) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	defer w.Close()
	if _, err := w.WriteString(text); err != nil {
		t.Fatal(err)
	}
	return r
}

// Each attempt reads the same of a file, from where it stood at the start.
func TestFurtherAttemptsReadTheFileAgain(t *testing.T) {
	s, c, _ := retrying(t, `cat; [ $STINT_ATTEMPT = 3 ]`, retry.Policy{Most: 2, Backoff: time.Millisecond})
	c.Stdin = fileAt(t, "read before\none\ntwo\n", int64(len("read before\n")))
	if got := Supervise(t.Context(), c); got.ExitCode != 0 {
		t.Fatalf("result %+v", got)
	}
	for attempt := 1; attempt <= 3; attempt++ {
		if out := s.read(t, attemptName(testRun, attempt)).output[streamKey{0, job.Stdout}]; string(out) != "one\ntwo\n" {
			t.Errorf("attempt %d read %q", attempt, out)
		}
	}
	if at, err := c.Stdin.Seek(0, io.SeekCurrent); at != int64(len("read before\none\ntwo\n")) || err != nil {
		t.Errorf("the file stands at %d, %v", at, err)
	}
}

// A process that writes into the command's stdin learns when the command closes it, although the
// agent lives on.
func TestTheAgentHoldsNoPipeOpen(t *testing.T) {
	for name, pair := range map[string]func() (*os.File, *os.File){
		"pipe": func() (*os.File, *os.File) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			return r, w
		},
		"socket": func() (*os.File, *os.File) {
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			return os.NewFile(uintptr(fds[0]), "read"), os.NewFile(uintptr(fds[1]), "write")
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, w := pair()
			defer r.Close()
			defer w.Close()
			s := newMemoryServer()
			gate := filepath.Join(t.TempDir(), "gate")
			if err := syscall.Mkfifo(gate, 0o600); err != nil {
				t.Fatal(err)
			}
			c, _ := config(t, s, fmt.Sprintf("exec 0</dev/null; read line <%s", gate))
			c.Stdin = r
			done := make(chan Result, 1)
			go func() { done <- Run(t.Context(), c) }()
			fds := []unix.PollFd{{Fd: int32(w.Fd()), Events: 0}}
			if n, err := unix.Poll(fds, 30_000); n != 1 || fds[0].Revents&(unix.POLLERR|unix.POLLHUP) == 0 {
				t.Errorf("the writer does not learn that it has no reader: %d, %v, events %x", n, err, fds[0].Revents)
			}
			if err := os.WriteFile(gate, []byte("go\n"), 0); err != nil {
				t.Fatal(err)
			}
			if got := result(t, done); got.ExitCode != 0 {
				t.Errorf("result %+v", got)
			}
		})
	}
}

// With a terminal for its output the command still reads the caller's own pipe or file, and
// only -it types it.
func TestStdinBesideATerminal(t *testing.T) {
	for _, c := range []struct {
		typed bool
		want  string
	}{
		{false, "no terminal\r\ntext\r\n"},
		{true, "text\r\nterminal\r\ntext\r\n"},
	} {
		s := newMemoryServer()
		cfg, messages := config(t, s, `if [ -t 0 ]; then read line; echo terminal; else read line; echo no terminal; fi; echo "$line"`)
		cfg.TTY, cfg.TypeStdin, cfg.Stdin = true, c.typed, endedPipe(t, "text\n")
		if got := Run(t.Context(), cfg); got.ExitCode != 0 {
			t.Fatalf("result %+v, messages %q", got, messages.text())
		}
		if out := s.read(t, testRun).output[streamKey{0, job.Stdout}]; string(out) != c.want {
			t.Errorf("typed %v: printed %q, want %q", c.typed, out, c.want)
		}
	}
}
