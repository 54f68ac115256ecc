package e2e

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"stint.dev/stint/job"
)

// notifySocket sends a message to NOTIFY_SOCKET: this test binary as the client in a job.
func notifySocket(message string) int {
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: os.Getenv("NOTIFY_SOCKET"), Net: "unixgram"})
	if err == nil {
		_, err = c.Write([]byte(message))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// The job's own word is on the server while it runs; then it stands still, and what it
// waits for is on the server too.
func TestStatusThenStall(t *testing.T) {
	s, h := startServer(t), newHost(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := `E2E_NOTIFY="READY=1
STATUS=epoch 3 of 10" ` + self + `; exec cat <&5`
	done := make(chan result, 1)
	go func() {
		done <- h.run("run", "--server", s.url, "--job", "stall", "--dir", t.TempDir(), "--no-progress-timeout", "2s", "--stop-grace", "2s",
			"-c", "mkfifo fifo; exec 5<>fifo; "+script)
	}()
	eventually(t, "the status is on the server while the job runs", func() bool {
		r, known := s.find("stall#1")
		return known && !r.State.Terminal() && r.Status == "epoch 3 of 10"
	})
	if got := <-done; got.code != 124 || !strings.Contains(got.stderr, "no progress") {
		t.Errorf("stint run: %+v", got)
	}
	r := s.ended("stall#1")
	if r.State != job.TimedOut || r.Outcome == nil || r.Outcome.Reason != job.NoProgress || r.Status != "epoch 3 of 10" {
		t.Errorf("run %+v", r)
	}
	notes := strings.Join(r.Notes, "\n")
	if !strings.Contains(notes, "the job reports that it is ready") || !strings.Contains(notes, "diagnosis before the stop") ||
		runtime.GOOS == "linux" && (!strings.Contains(notes, "in read on fd 0: ") || !strings.Contains(notes, "/fifo")) {
		t.Errorf("notes:\n%s", notes)
	}
	if got := h.run("show", "--server", s.url, "stall#1"); !strings.Contains(got.stdout, "epoch 3 of 10") {
		t.Errorf("stint show: %s", got.stdout)
	}
}
