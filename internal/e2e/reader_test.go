package e2e

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"testing"
	"time"

	"stint.dev/stint/job"
)

// numbers is what seq prints up to n.
func numbers(t *testing.T, h *host, n string) []byte {
	t.Helper()
	got := finish(t, h.command("seq", n))
	if got.code != 0 {
		t.Fatalf("seq: %+v", got)
	}
	return []byte(got.stdout)
}

func wantLog(t *testing.T, s *server, ref string, want []byte) {
	t.Helper()
	if log := s.log(ref, ""); !bytes.Equal(log, want) {
		t.Errorf("%d bytes of %d are on the server, or others", len(log), len(want))
	}
}

// A reader that takes nothing and stays: the job goes on to its own end, and the agent does
// not wait for ever.
func TestReaderThatStalls(t *testing.T) {
	s, h := startServer(t), newHost(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	run := h.command(stint, "run", "--server", s.url, "--job", "stalled", "--", "seq", "500000")
	run.Stdout = w
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	began := time.Now()
	if err := run.Wait(); err != nil {
		t.Errorf("stint run: %v", err)
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("a reader that stalls held the agent for %s", took)
	}
	run2 := s.ended("stalled#1")
	wantEnd(t, run2, job.Succeeded, job.ExitCode, 0)
	wantLog(t, s, run2.ID, numbers(t, h, "500000"))
}

// A slow reader gets everything.
func TestSlowReaderGetsEverything(t *testing.T) {
	s, h := startServer(t), newHost(t)
	run := h.command(stint, "run", "--server", s.url, "--job", "slow", "--", "seq", "300000")
	out, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the run is known", func() bool { _, known := s.find("slow#1"); return known })
	got, err := io.ReadAll(bufio.NewReaderSize(out, 512))
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Wait(); err != nil {
		t.Errorf("stint run: %v", err)
	}
	if want := numbers(t, h, "300000"); !bytes.Equal(got, want) {
		t.Errorf("the reader got %d bytes of %d", len(got), len(want))
	}
}
