package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

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

// A reader that takes nothing and stays: the job goes on to its own end, and so does its
// record. The agent waits for the reader, and a signal ends that.
func TestReaderThatStalls(t *testing.T) {
	s, h := startServer(t), newHost(t)
	_, w := plainPipe(t)
	run := h.command(stint, "run", "--server", s.url, "--job", "stalled", "--", "seq", "500000")
	var stderr bytes.Buffer
	run.Stdout, run.Stderr = w, &stderr
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	r := s.ended("stalled#1")
	wantEnd(t, r, job.Succeeded, job.ExitCode, 0)
	wantLog(t, s, r.ID, numbers(t, h, "500000"))
	if err := syscall.Kill(run.Process.Pid, 0); err != nil {
		t.Fatalf("the agent did not wait for its reader: %v", err)
	}
	if err := run.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = run.Wait() // the code says how it ended
	if code := run.ProcessState.ExitCode(); code != 125 || !strings.Contains(stderr.String(), "bytes of the job's output were not passed on") {
		t.Errorf("stint run ended with %d, and printed %q", code, stderr.String())
	}
}

// A reader that pauses again and again, at its own pace: it gets every byte, also what the
// server has had for long, and the job does not wait for it.
func TestReaderThatPausesAgainAndAgain(t *testing.T) {
	for _, state := range []string{"", "/dev/null"} { // with a spool, and without
		t.Run("state"+state, func(t *testing.T) {
			s, h := startServer(t), newHost(t)
			r, w := plainPipe(t)
			run := h.command(stint, "run", "--server", s.url, "--job", "paused", "--", "seq", "1000000")
			if run.Stdout = w; state != "" {
				run.Env = append(run.Env, "STINT_STATE="+state)
			}
			if err := run.Start(); err != nil {
				t.Fatal(err)
			}
			w.Close()
			want := numbers(t, h, "1000000")
			got := make([]byte, 0, len(want))
			buf := make([]byte, 300_000)
			read := func() {
				n, err := io.ReadFull(r, buf)
				if got = append(got, buf[:n]...); err != nil && n == 0 {
					t.Fatal(err)
				}
			}
			read()
			ended := s.ended("paused#1") // the reader pauses until the job is over, and delivered
			wantEnd(t, ended, job.Succeeded, job.ExitCode, 0)
			for len(got) < len(want) {
				read()
			}
			if err := run.Wait(); err != nil || !bytes.Equal(got, want) {
				t.Errorf("stint run: %v; the reader got %d bytes of %d, or others", err, len(got), len(want))
			}
		})
	}
}

// Beyond --spool-limit output for a reader that pauses is dropped: stderr says how much, the
// exit code is 125, and the job has not waited.
func TestReaderThatPausesBeyondTheSpoolLimit(t *testing.T) {
	s, h := startServer(t), newHost(t)
	r, w := plainPipe(t)
	run := h.command(stint, "run", "--server", s.url, "--job", "limited", "--spool-limit", "1MiB", "--", "seq", "1000000")
	var stderr bytes.Buffer
	run.Stdout, run.Stderr = w, &stderr
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if end := s.ended("limited#1"); end.State != job.Succeeded {
		t.Errorf("the run is %s", end.State)
	}
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = run.Wait() // the code says how it ended
	var lost int
	for line := range strings.Lines(stderr.String()) {
		_, _ = fmt.Sscanf(line, "stint: %d bytes of the job's output were not passed on", &lost)
	}
	if all := len(numbers(t, h, "1000000")); lost == 0 || len(got)+lost != all || run.ProcessState.ExitCode() != 125 || len(got) < 1<<19 {
		t.Errorf("%d bytes arrived and %d are reported lost of %d; exit code %d, stderr %q", len(got), lost, all, run.ProcessState.ExitCode(), stderr.String())
	}
}

// Files that cannot take the output: the job is not harmed, and the caller is notified.
func TestOutputThatCannotBePassedOn(t *testing.T) {
	s, h := startServer(t), newHost(t)
	for name, tc := range map[string]struct {
		redirect string
		code     int
		says     string
	}{
		"a full device": {">/dev/full", 125, "no space left on device"},
		"stdout closed": {">&-", 0, ""},
		"both closed":   {">&- 2>&-", 0, ""},
		"stderr closed": {"2>&- >/dev/null", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			name := strings.ReplaceAll(name, " ", "-")
			got := finish(t, h.command("sh", "-c", stint+" run --server "+s.url+" --job "+name+" -- seq 50000 "+tc.redirect))
			if got.code != tc.code || !strings.Contains(got.stderr, tc.says) || tc.says == "" && got.stderr != "" {
				t.Errorf("stint run %s: %+v", tc.redirect, got)
			}
			r := s.ended(name + "#1")
			wantEnd(t, r, job.Succeeded, job.ExitCode, 0)
			wantLog(t, s, r.ID, numbers(t, h, "50000"))
		})
	}
}

// The caller's pipe does not block, because a program that shares it made it so: nothing is
// lost through any kind of pipe, and bytes are bytes.
func TestOutputThroughPipesThatDoNotBlock(t *testing.T) {
	s, h := startServer(t), newHost(t)
	file := filepath.Join(t.TempDir(), "bytes")
	want := make([]byte, 5<<20)
	rand.NewChaCha8([32]byte{1}).Read(want)
	if err := os.WriteFile(file, want, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string]func(*testing.T) (r, w *os.File){"pipe": plainPipe, "socket": socketPair} {
		for _, when := range []string{"before", "later", "never"} {
			t.Run(name+" "+when, func(t *testing.T) {
				r, w := pair(t)
				fd := int(w.Fd())
				if err := unix.SetNonblock(fd, when == "before"); err != nil {
					t.Fatal(err)
				}
				run := h.command(stint, "run", "--server", s.url, "--job", name+"-"+when, "--", "cat", file)
				run.Stdout = w
				if err := run.Start(); err != nil {
					t.Fatal(err)
				}
				s.ended(name + "-" + when + "#1") // the pipe is full by now
				if err := unix.SetNonblock(fd, when != "never"); err != nil {
					t.Fatal(err)
				}
				w.Close()
				got, err := io.ReadAll(r)
				if err != nil {
					t.Fatal(err)
				}
				if err := run.Wait(); err != nil || !bytes.Equal(got, want) {
					t.Errorf("stint run: %v; %d bytes of %d arrived, or others", err, len(got), len(want))
				}
			})
		}
	}
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
