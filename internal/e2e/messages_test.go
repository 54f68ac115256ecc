package e2e

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// fullPipe is a pipe as a shell makes it, that takes nothing more until it is read: of the
// first bytes in it, as many as it returns.
func fullPipe(t *testing.T) (r, w *os.File, full int) {
	t.Helper()
	r, w = plainPipe(t)
	fd := int(w.Fd())
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{4096, 1} {
		for {
			n, err := unix.Write(fd, bytes.Repeat([]byte("x"), size))
			if err != nil {
				break
			}
			full += n
		}
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
	return r, w, full
}

// plainPipe is a pipe as a shell makes it: both ends block.
func plainPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	r, w = os.NewFile(uintptr(fds[0]), "read end"), os.NewFile(uintptr(fds[1]), "write end")
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// Nobody reads stderr, and it is full: neither the agent nor its end waits for that.
func TestStderrThatNobodyReadsHoldsUpNothing(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		code int
	}{
		"the message at the end":     {[]string{"--timeout", "100ms", "--", "sleep", "600"}, 124},
		"a message between attempts": {[]string{"--retries", "1", "--retry-backoff", "1ms", "--", "false"}, 1},
		"a message before the job":   {[]string{"--dir", "/nonexistent", "--", "true"}, 2},
		"a wrong option":             {[]string{"--stop-grace", "soon", "--", "true"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			_, w, _ := fullPipe(t)
			cmd := h.command(stint, append([]string{"run", "--server", "http://127.0.0.1:9", "--quiet"}, tc.args...)...)
			cmd.Stdout, cmd.Stderr = w, w
			_ = cmd.Run() // the code says how it ended
			if got := cmd.ProcessState.ExitCode(); got != tc.code {
				t.Errorf("it ended with %s, want %d", cmd.ProcessState, tc.code)
			}
		})
	}
}

// What was printed while nobody read is there for a reader that goes on.
func TestMessagesWaitForTheirReader(t *testing.T) {
	h := newHost(t)
	r, w, full := fullPipe(t)
	gate := filepath.Join(t.TempDir(), "gate")
	if err := unix.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := h.command(stint, "run", "--server", "http://127.0.0.1:9", "--quiet", "--retries", "1", "--retry-backoff", "1ms",
		"-c", `[ "$STINT_ATTEMPT" = 2 ] || exit 1; read line < `+gate)
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	open, err := os.OpenFile(gate, os.O_WRONLY, 0) // when the second attempt reads
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(r)
	if _, err := lines.Discard(full); err != nil {
		t.Fatal(err)
	}
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("stderr ended without the message: %v", err)
		}
		if strings.Contains(line, "Attempt 2 begins") {
			break
		}
	}
	if _, err := open.WriteString("go on\n"); err != nil {
		t.Fatal(err)
	}
	open.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("stint run: %v", err)
	}
}
