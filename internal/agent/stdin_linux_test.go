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

	"stint.dev/stint/job"
)

// pipeWith is the read end of a pipe that holds data; its write end is closed if ended.
func pipeWith(t *testing.T, data string, ended bool) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return readEnd(t, r, w, data, ended)
}

// socketWith is one end of a pair of sockets, as pipeWith is of a pipe.
func socketWith(t *testing.T, data string, ended bool) *os.File {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return readEnd(t, os.NewFile(uintptr(pair[0]), "read"), os.NewFile(uintptr(pair[1]), "write"), data, ended)
}

func readEnd(t *testing.T, r, w *os.File, data string, ended bool) *os.File {
	t.Helper()
	t.Cleanup(func() { r.Close() })
	if _, err := io.WriteString(w, data); err != nil {
		t.Fatal(err)
	}
	if ended {
		w.Close()
	} else {
		t.Cleanup(func() { w.Close() })
	}
	return r
}

// fileAt is a file whose offset stands behind its first bytes.
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

func TestOneReader(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, c := range []struct {
		name string
		file *os.File
		want string
	}{
		{"no file", nil, ""},
		{"/dev/null", null, ""},
		{"a file", fileAt(t, "data", 1), ""},
		{"a pipe with data", pipeWith(t, "data", false), "a pipe"},
		{"a pipe with data that has ended", pipeWith(t, "data", true), "a pipe"},
		{"a pipe that brings nothing yet", pipeWith(t, "", false), "a pipe"},
		{"a pipe that has ended without data", pipeWith(t, "", true), ""},
		{"a socket with data", socketWith(t, "data", false), "a socket"},
		{"a socket with data that has ended", socketWith(t, "data", true), "a socket"},
		{"a socket that brings nothing yet", socketWith(t, "", false), "a socket"},
		{"a socket that has ended without data", socketWith(t, "", true), ""},
	} {
		if got := OneReader(c.file); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// A pipe that ends while it is watched is empty, and what it holds is not read.
func TestOneReaderWaitsForTheEnd(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	time.AfterFunc(time.Millisecond, func() { w.Close() })
	if !atEnd(int(r.Fd()), time.Minute) {
		t.Error("a pipe that ended without data counts as one with data")
	}
	full := pipeWith(t, "data", true)
	if OneReader(full) == "" {
		t.Error("a pipe with data counts as empty")
	}
	if data, err := io.ReadAll(full); string(data) != "data" || err != nil {
		t.Errorf("afterwards the pipe has %q, %v", data, err)
	}
}

// Each attempt reads the same of a file, from where it stood at the start.
func TestFurtherAttemptsReadTheFileAgain(t *testing.T) {
	s, c, _ := retrying(t, `cat; [ $STINT_ATTEMPT = 3 ]`, Retry{Most: 2, Backoff: time.Millisecond})
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

// Whoever writes into the command's stdin learns when the command closes it, although the
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
				t.Errorf("the writer does not learn that nobody reads: %d, %v, events %x", n, err, fds[0].Revents)
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
		cfg.TTY, cfg.TypeStdin, cfg.Stdin = true, c.typed, pipeWith(t, "text\n", true)
		if got := Run(t.Context(), cfg); got.ExitCode != 0 {
			t.Fatalf("result %+v, said %q", got, messages.text())
		}
		if out := s.read(t, testRun).output[streamKey{0, job.Stdout}]; string(out) != c.want {
			t.Errorf("typed %v: printed %q, want %q", c.typed, out, c.want)
		}
	}
}
