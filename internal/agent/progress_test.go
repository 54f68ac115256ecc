package agent

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/stall"
	"stint.dev/stint/job"
)

// sending is an attempt of this test binary, which sends messages (see childSend) and then
// runs a script.
func sending(t *testing.T, s delivery.Server, script string, messages ...string) Config {
	t.Helper()
	c, _ := config(t, s, script)
	c.Args = append(child(messages...), "--", "sh", "-c", script)
	c.Env = append(c.Env, "AGENT_TEST_CHILD=send")
	return c
}

func TestStatusAndReadiness(t *testing.T) {
	s := newMemoryServer()
	c := sending(t, s, "true", "READY=1\nSTATUS=loading", "READY=1", "STATUS=half", "STATUS=\x1bdone\nSTOPPING=1")
	got := Run(t.Context(), c)
	v := s.read(t, testRun)
	if got.ExitCode != 0 || !got.Complete || !slices.Equal(v.statuses, []string{"loading", "done"}) {
		t.Errorf("result %+v, statuses %q", got, v.statuses)
	}
	if notes := strings.Join(v.notes, "\n"); strings.Count(notes, "is ready") != 1 || strings.Count(notes, "is stopping") != 1 {
		t.Errorf("notes %q", notes)
	}
}

func TestSystemdNotify(t *testing.T) {
	if _, err := exec.LookPath("systemd-notify"); err != nil {
		t.Skip("systemd-notify is not installed")
	}
	s := newMemoryServer()
	c, _ := config(t, s, "systemd-notify --ready --status='step 1 of 2' && echo $WATCHDOG_USEC $WATCHDOG_PID.")
	c.NoProgressTimeout = time.Minute
	c.Env = append(c.Env, "NOTIFY_SOCKET=/nowhere", "WATCHDOG_PID=1")
	got := Run(t.Context(), c)
	v := s.read(t, testRun)
	if got.ExitCode != 0 || !slices.Equal(v.statuses, []string{"step 1 of 2"}) {
		t.Errorf("result %+v, statuses %q", got, v.statuses)
	}
	if notes := strings.Join(v.notes, "\n"); !strings.Contains(notes, "not handed on") {
		t.Errorf("a manager that is not there is not in the notes: %q", notes)
	}
	if out := v.output[streamKey{0, job.Stdout}]; string(out) != "60000000 .\n" {
		t.Errorf("watchdog in the environment: %q", out)
	}
}

func TestNoProgress(t *testing.T) {
	const (
		limit = 400 * time.Millisecond
		// A job that has sent a message must then be seen at work: that takes 15 ms of CPU, or 1 % of a core,
		// within the limit. Of this one it is 1 %, which a job gets beside a hundred others.
		workLimit = 1500 * time.Millisecond
	)
	cases := map[string]struct {
		script  string
		sends   []string
		message string
		limit   time.Duration
		least   time.Duration // the job is not stopped before
	}{
		"sleeps":                 {"echo ready; exec sleep 60", nil, "no output, no CPU, no IO", limit, limit},
		"waits for a lock":       {"exec 9>lock; flock 9; (flock 9) 9>lock", nil, "no output, no CPU, no IO", limit, limit},
		"waits for a pipe":       {"mkfifo fifo; read x < fifo", nil, "no output, no CPU, no IO", limit, limit},
		"watchdog falls silent":  {"while :; do :; done", []string{"WATCHDOG=1"}, stall.WatchdogStopped, workLimit, workLimit},
		"asks for a little time": {"exec sleep 60", []string{"EXTEND_TIMEOUT_USEC=2500000"}, "no output, no CPU, no IO", workLimit, 2500 * time.Millisecond},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath("flock"); err != nil && strings.Contains(tc.script, "flock") {
				t.Skip("flock is not installed")
			}
			s := newMemoryServer()
			c := sending(t, s, tc.script, tc.sends...)
			c.NoProgressTimeout = tc.limit
			begun := time.Now()
			got := Run(t.Context(), c)
			if got.ExitCode != 124 || got.Outcome.State != job.TimedOut || got.Outcome.Reason != job.NoProgress || !strings.Contains(got.Outcome.Message, tc.message) {
				t.Errorf("result %+v", got)
			}
			if took := time.Since(begun); took < tc.least {
				t.Errorf("stopped after %s", took)
			}
			if v := s.read(t, testRun); len(v.stopping) != 1 || v.stopping[0].Reason != job.NoProgress || v.attempt.NoProgressTimeoutMS != tc.limit.Milliseconds() {
				t.Errorf("stopping %+v, attempt %+v", v.stopping, v.attempt)
			}
		})
	}
}

// Each of these makes progress of its own kind for twice the limit.
func TestProgressIsLeftAlone(t *testing.T) {
	const limit = 700 * time.Millisecond
	cases := map[string]struct {
		script string
		sends  []string
	}{
		"busy":          {"timeout 1.5 sh -c 'while :; do :; done'; true", nil},
		"prints":        {"for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.2; done", nil},
		"has a pipe":    {"timeout 1.5 sh -c 'while head -c 4194304 /dev/zero; do sleep 0.05; done | cat >/dev/null'; true", nil},
		"asks for time": {"sleep 1.5", []string{"EXTEND_TIMEOUT_USEC=20000000"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newMemoryServer()
			c := sending(t, s, tc.script, tc.sends...)
			c.NoProgressTimeout = limit
			if got := Run(t.Context(), c); got.ExitCode != 0 {
				t.Errorf("result %+v, notes %q", got, s.read(t, testRun).notes)
			}
		})
	}
}

// A job that says nothing is not slowed, and nothing is left of the socket.
func TestSocketEndsWithTheAttempt(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, "echo $NOTIFY_SOCKET")
	Run(t.Context(), c)
	address := strings.TrimSpace(string(s.read(t, testRun).output[streamKey{0, job.Stdout}]))
	if !strings.Contains(address, "notify") {
		t.Fatalf("address %q", address)
	}
	if _, err := os.Lstat(address); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", address, err)
	}
	open, err := os.ReadFile("/proc/net/unix")
	if err == nil && strings.Contains(string(open), address) {
		t.Errorf("%s is still open", address)
	}
}

// A service manager that watches the agent gets the messages of the job, without what is about processes.
func TestManagerOfTheAgentHearsTheJob(t *testing.T) {
	dir, err := os.MkdirTemp("", "manager-") // short: a socket's address is
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: dir + "/s", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	s := newMemoryServer()
	c := sending(t, s, "true", "READY=1\nMAINPID=1\nSTATUS=up\n", "BARRIER=1", "WATCHDOG=1")
	c.Env = append(c.Env, "NOTIFY_SOCKET="+dir+"/s")
	if got := Run(t.Context(), c); got.ExitCode != 0 || !slices.Equal(s.read(t, testRun).statuses, []string{"up"}) {
		t.Errorf("result %+v", got)
	}
	if err := manager.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"READY=1\nSTATUS=up", "WATCHDOG=1"} {
		buf := make([]byte, 4096)
		if n, err := manager.Read(buf); err != nil || string(buf[:n]) != want {
			t.Errorf("%q, %v; want %q", buf[:n], err, want)
		}
	}
}
