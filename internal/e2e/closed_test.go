package e2e

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"stint.dev/stint/job"
)

// afterOneLine starts a command, reads one line of what it prints, closes the pipe, calls
// then, and waits for the command's end. wire connects the write end.
func afterOneLine(t *testing.T, cmd *exec.Cmd, wire func(cmd *exec.Cmd, w *os.File), then func()) (code int) {
	t.Helper()
	r, w := plainPipe(t)
	return closedAfterOneLine(t, cmd, wire, then, r, w)
}

func closedAfterOneLine(t *testing.T, cmd *exec.Cmd, wire func(cmd *exec.Cmd, w *os.File), then func(), r, w *os.File) (code int) {
	t.Helper()
	wire(cmd, w)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if line, err := bufio.NewReader(r).ReadString('\n'); err != nil {
		t.Fatalf("the first line: %q, %v", line, err)
	}
	r.Close()
	then()
	_ = cmd.Wait() // the code says how it ended
	return cmd.ProcessState.ExitCode()
}

func toStdout(cmd *exec.Cmd, w *os.File) { cmd.Stdout = w }
func toStderr(cmd *exec.Cmd, w *os.File) { cmd.Stderr = w }
func toBoth(cmd *exec.Cmd, w *os.File)   { cmd.Stdout, cmd.Stderr = w, w }

// A job ends as it would without an agent when its reader goes away, and nobody calls that
// a failure.
func TestReaderThatLeavesEndsTheJob(t *testing.T) {
	s, h := startServer(t), newHost(t)
	for name, tc := range map[string]struct {
		wire  func(*exec.Cmd, *os.File)
		flags []string
		args  []string
		state job.State
	}{
		"stdout":                     {toStdout, nil, []string{"yes"}, job.Canceled},
		"stderr":                     {toStderr, nil, []string{"sh", "-c", "exec yes >&2"}, job.Canceled},
		"both are one pipe":          {toBoth, nil, []string{"sh", "-c", "exec yes >&2"}, job.Canceled},
		"merged":                     {toBoth, []string{"--merge-output"}, []string{"sh", "-c", "exec yes >&2"}, job.Canceled},
		"a shell reports the signal": {toStdout, nil, []string{"bash", "-o", "pipefail", "-c", "yes | cat"}, job.Canceled},
		"the shell's own code":       {toStdout, nil, []string{"sh", "-c", "yes; exit 3"}, job.Failed},
		"a job that does not mind":   {toStdout, nil, []string{"sh", "-c", "trap '' PIPE; yes; exit 0"}, job.Succeeded},
	} {
		t.Run(name, func(t *testing.T) {
			plain := afterOneLine(t, h.command(tc.args[0], tc.args[1:]...), tc.wire, func() {})
			name := strings.ReplaceAll(name, " ", "-")
			args := append([]string{"run", "--server", s.url, "--job", name}, tc.flags...)
			got := afterOneLine(t, h.command(stint, append(append(args, "--"), tc.args...)...), tc.wire, func() {})
			r := s.ended(name + "#1")
			if plain == -1 {
				plain = 141 // it died of SIGPIPE itself
			}
			if got != plain {
				t.Errorf("stint run ended with %d, the bare command with %d; outcome %+v", got, plain, r.Outcome)
			}
			if r.State != tc.state || (r.Outcome.Reason == job.OutputClosed) != (tc.state == job.Canceled) || !r.Output.Complete {
				t.Errorf("the run is %s, outcome %+v, output %+v", r.State, r.Outcome, r.Output)
			}
		})
	}
}

func TestReaderThatLeavesHangsUpATerminal(t *testing.T) {
	s, h := startServer(t), newHost(t)
	got := afterOneLine(t, h.command(stint, "run", "--server", s.url, "--job", "left", "-t", "--", "yes"), toStdout, func() {})
	r := s.ended("left#1")
	if got != 129 || r.State != job.Canceled || r.Outcome.Reason != job.OutputClosed || r.Outcome.Signal != "SIGHUP" {
		t.Errorf("stint run -t ended with %d, the run is %s, outcome %+v", got, r.State, r.Outcome)
	}
}

// The very first write after the reader has gone away ends the job, also when nothing was
// printed meanwhile, through a pipe and through a socket.
func TestReaderThatLeavesAQuietJob(t *testing.T) {
	for name, pair := range map[string]func(*testing.T) (r, w *os.File){"pipe": plainPipe, "socket": socketPair} {
		t.Run(name, func(t *testing.T) {
			h, dir := newHost(t), t.TempDir()
			gate, wrote := filepath.Join(dir, "gate"), filepath.Join(dir, "wrote")
			if err := unix.Mkfifo(gate, 0o600); err != nil {
				t.Fatal(err)
			}
			r, w := pair(t)
			cmd := h.command(stint, "run", "--server", "http://127.0.0.1:9", "-c", "echo first; read line <"+gate+"; echo second; : >"+wrote)
			got := closedAfterOneLine(t, cmd, toStdout, func() {
				eventually(t, "the agent has closed the job's stdout", func() bool { return h.spooled(t, "stdout was closed for the job") })
				if err := os.WriteFile(gate, []byte("go on\n"), 0); err != nil {
					t.Error(err)
				}
			}, r, w)
			if _, err := os.Stat(wrote); err == nil || got != 141 {
				t.Errorf("stint run ended with %d, and the job went on behind the failed write: %v", got, err == nil)
			}
		})
	}
}

// spooled reports whether a journal in the host's spool has a text.
func (h *host) spooled(t *testing.T, text string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(h.state, "spool", "*", "journal*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err == nil && bytes.Contains(data, []byte(text)) {
			return true
		}
	}
	return false
}

func socketPair(t *testing.T) (r, w *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, w = os.NewFile(uintptr(fds[0]), "reader"), os.NewFile(uintptr(fds[1]), "writer")
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// With --ignore-closed-output the job goes on, and so does the record.
func TestIgnoreClosedOutput(t *testing.T) {
	s, h := startServer(t), newHost(t)
	got := afterOneLine(t, h.command(stint, "run", "--server", s.url, "--job", "on", "--ignore-closed-output", "--", "seq", "200000"), toStdout, func() {})
	if got != 0 {
		t.Errorf("stint run ended with %d", got)
	}
	r := s.ended("on#1")
	wantEnd(t, r, job.Succeeded, job.ExitCode, 0)
	wantLog(t, s, r.ID, numbers(t, h, "200000"))
}
