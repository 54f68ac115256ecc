package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/retry"
	"stint.dev/stint/job"
)

// phase is a time in the life of an agent at which a signal comes.
type phase struct {
	name string
	// set prepares the run and returns a wait for the time to send the signal.
	set func(t *testing.T, s attemptsServer, c *Config, messages *says) (reached func())
	// job is true when a process of the job runs, or is about to.
	job bool
	// code is the exit code of a run that SIGTERM stops; die says whether the agent dies of
	// the signal.
	code int
	die  bool
}

func seen(t *testing.T, s attemptsServer, c *Config, text string) func() {
	return func() {
		s.wait(t, func() bool { return strings.Contains(string(s.journals[attemptName(c.Run, 1)]), text) })
	}
}

var runs atomic.Int64

// parallel lets a test run beside others: processes are recognised by the run's id.
func parallel(t *testing.T, c *Config) {
	t.Helper()
	c.Run = fmt.Sprintf("01890a5d-ac96-774b-bcce-%012d", runs.Add(1))
	t.Parallel()
}

// printed returns a function that waits until a line with a text is printed.
func printed(t *testing.T, c *Config, text string) (reached func()) {
	print, came := c.Print, make(chan struct{}, 1)
	c.Print = func(line string) {
		print(line)
		if strings.Contains(line, text) {
			select {
			case came <- struct{}{}:
			default:
			}
		}
	}
	return func() {
		select {
		case <-came:
		case <-time.After(20 * time.Second):
			t.Fatalf("%q was not printed", text)
		}
	}
}

// leftover fails and leaves a process behind that does not end when it is asked to.
const leftover = `(trap 'echo > asked' TERM; echo > up; while :; do sleep 0.1; done) & while [ ! -e up ]; do sleep 0.01; done; exit 7`

// inClearUp prepares a run of leftover; reached returns when that was asked to end.
func inClearUp(t *testing.T, c *Config) (reached func()) {
	c.StopGrace = time.Second
	asked := filepath.Join(c.Dir, "asked")
	if err := syscall.Mkfifo(asked, 0o600); err != nil {
		t.Fatal(err)
	}
	return func() { _ = readAll(t, asked) }
}

func phases() []phase {
	const ended = `"reason":"exit_code"`
	return []phase{
		{"before anything runs", func(*testing.T, attemptsServer, *Config, *says) func() { return func() {} }, true, 143, true},
		{"install step", func(t *testing.T, s attemptsServer, c *Config, _ *says) func() {
			c.Install = []string{"echo ready; exec sleep 60"}
			return seen(t, s, c, "ready\n")
		}, true, 143, true},
		{"command", func(t *testing.T, s attemptsServer, c *Config, _ *says) func() {
			c.Args = []string{"sh", "-c", "echo ready; exec sleep 60"}
			return seen(t, s, c, "ready\n")
		}, true, 143, true},
		{"command before a wait for stint retry", func(t *testing.T, s attemptsServer, c *Config, _ *says) func() {
			c.Args = []string{"sh", "-c", "echo ready; exec sleep 60"}
			c.Retry = retry.Policy{Wait: time.Hour}
			return seen(t, s, c, "ready\n")
		}, true, 143, true},
		{"clear-up", func(t *testing.T, s attemptsServer, c *Config, _ *says) func() {
			c.Args = []string{"sh", "-c", leftover}
			return inClearUp(t, c)
		}, false, 7, false},
		{"between attempts", func(t *testing.T, s attemptsServer, c *Config, _ *says) func() {
			return printed(t, c, "Attempt 2 begins")
		}, false, 143, true},
		{"waiting for stint retry", func(t *testing.T, s attemptsServer, c *Config, _ *says) func() {
			c.Retry = retry.Policy{Wait: time.Hour}
			return printed(t, c, "for a retry")
		}, false, 143, true},
		{"delivery", func(t *testing.T, s attemptsServer, c *Config, _ *says) func() {
			c.Retry = retry.Policy{}
			away := make(chan struct{})
			known := filepath.Join(c.Dir, "known")
			s.before = func(n int, _ int64, data []byte) error {
				if n == 1 { // the job goes on until then, so its end comes with a later one
					return os.WriteFile(known, nil, 0o600)
				}
				if strings.Contains(string(data), ended) {
					select {
					case <-away:
					default:
						close(away)
					}
				}
				return errAway
			}
			c.Args = []string{"sh", "-c", "echo ready; while [ ! -e known ]; do sleep 0.01; done; exit 7"}
			return func() { <-away }
		}, false, 7, false},
		{"delivery before another attempt", func(t *testing.T, s attemptsServer, c *Config, _ *says) func() {
			reached := phases()[7].set(t, s, c, nil)
			c.Retry = retry.Policy{Most: 3, Backoff: time.Hour}
			return reached
		}, false, 143, true},
		{"reader that pauses", func(t *testing.T, s attemptsServer, c *Config, _ *says) func() {
			c.Retry = retry.Policy{}
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { r.Close(); w.Close() })
			c.Stdout, c.Quiet = w, false
			c.Args = []string{"sh", "-c", "head -c 1000000 /dev/zero; exit 7"}
			return seen(t, s, c, ended)
		}, false, 7, false},
	}
}

// A signal in each phase: SIGINT and SIGTERM stop once, no attempt begins afterwards, and the
// agent ends. The others reach a job that is there and end it, and nothing else.
func TestEverySignalInEveryPhase(t *testing.T) {
	for _, p := range phases() {
		for _, sig := range []syscall.Signal{
			syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGABRT, syscall.SIGALRM,
		} {
			t.Run(fmt.Sprintf("%s/%v", p.name, sig), func(t *testing.T) {
				stops := sig == syscall.SIGINT || sig == syscall.SIGTERM
				s, c, messages := retrying(t, "exit 7", retry.Policy{Most: 3, Backoff: time.Hour})
				parallel(t, &c)
				c.FlushTimeout = time.Hour
				reached := p.set(t, s, &c, messages)
				signals := make(chan os.Signal, 2)
				c.Signals = signals
				if p.name == "before anything runs" {
					c.Args = []string{"sh", "-c", "exec sleep 60"}
					signals <- sig
				}
				if !stops && p.job {
					c.Retry = retry.Policy{} // the job fails, and would be tried again
				}
				done := make(chan Result, 1)
				go func() { done <- Supervise(t.Context(), c) }()
				reached()
				if p.name != "before anything runs" {
					signals <- sig
				}
				want, wantDie := p.code, syscall.Signal(0)
				switch {
				case stops && p.die:
					want, wantDie = 128+int(sig), sig
				case !stops && p.job:
					want = 128 + int(sig)
				case !stops: // nothing happened
					signals <- syscall.SIGTERM
					if p.die {
						wantDie = syscall.SIGTERM
					}
				}
				got := result(t, done)
				if got.ExitCode != want || got.Signal != wantDie || got.Err != nil {
					t.Errorf("ended with %d and %v, want %d and %v: %+v, messages %s", got.ExitCode, got.Signal, want, wantDie, got, messages.text())
				}
				s.set(func() {
					if len(s.journals) != 1 {
						t.Errorf("%d attempts", len(s.journals))
					}
				})
				if p.name == "delivery" && (got.WaitsAt == "" || !strings.Contains(messages.text(), got.WaitsAt)) {
					t.Errorf("the journal waits at %q, messages %s", got.WaitsAt, messages.text())
				}
				if p.name == "delivery" || p.name == "delivery before another attempt" {
					return // its journal is not here
				}
				stopped := len(s.read(t, attemptName(c.Run, 1)).stopping)
				if wanted := stops && p.job || p.name == "clear-up"; stopped > 1 || (stopped == 1) != wanted {
					t.Errorf("%d stops were recorded, wanted: %v", stopped, wanted)
				}
			})
		}
	}
}

// What supervisors repeat within a second is one request; later ones cut the grace to a
// second, and kill.
func TestRepeatedStopRequests(t *testing.T) {
	for name, tc := range map[string]struct {
		script string
		grace  time.Duration
		pauses []time.Duration // before each further SIGTERM
		code   int
		die    syscall.Signal
	}{
		"repeated at once":    {"trap 'sleep 0.5; exit 3' TERM", time.Hour, []time.Duration{0, 50 * time.Millisecond}, 3, 0},
		"a second, later one": {"trap '' TERM", time.Hour, []time.Duration{1100 * time.Millisecond}, 143, syscall.SIGTERM},
		"three":               {"trap '' TERM", time.Hour, []time.Duration{1100 * time.Millisecond, 0}, 143, syscall.SIGTERM},
		"a shorter grace":     {"trap '' TERM", 1200 * time.Millisecond, []time.Duration{1100 * time.Millisecond}, 143, syscall.SIGTERM},
	} {
		t.Run(name, func(t *testing.T) {
			s := newMemoryServer()
			c, messages := config(t, s, tc.script+"; echo ready; while :; do sleep 0.05; done")
			parallel(t, &c)
			signals := make(chan os.Signal, 4)
			c.Signals, c.StopGrace = signals, tc.grace
			done := running(t, s, c)
			signals <- syscall.SIGTERM
			for _, pause := range tc.pauses {
				<-time.After(pause)
				signals <- syscall.SIGTERM
			}
			if got := result(t, done); got.ExitCode != tc.code || got.Signal != tc.die {
				t.Errorf("%+v, messages %s", got, messages.text())
			}
			if says := strings.Contains(messages.text(), "another second"); says == (tc.code == 3) {
				t.Errorf("messages %q", messages.text())
			}
		})
	}
}

// The job gets the signal that came, unless the caller names another one.
func TestTheJobGetsTheSignalThatCame(t *testing.T) {
	const script = `for s in INT TERM USR1; do trap "echo got $s; exit 5" $s; done; echo ready; while :; do sleep 0.05; done`
	for _, tc := range []struct {
		came, stopSignal syscall.Signal
		got              string
	}{
		{syscall.SIGINT, 0, "INT"},
		{syscall.SIGTERM, 0, "TERM"},
		{0, 0, "TERM"}, // the time limit
		{syscall.SIGINT, syscall.SIGUSR1, "USR1"},
		{0, syscall.SIGUSR1, "USR1"},
	} {
		s := newMemoryServer()
		c, _ := config(t, s, script)
		signals := make(chan os.Signal, 1)
		c.Signals, c.StopSignal = signals, tc.stopSignal
		if tc.came == 0 {
			c.Timeout = 500 * time.Millisecond
		}
		done := running(t, s, c)
		if tc.came != 0 {
			signals <- tc.came
		}
		got := result(t, done)
		out := string(s.read(t, testRun).output[streamKey{0, job.Stdout}])
		if out != "ready\ngot "+tc.got+"\n" || tc.came != 0 && got.ExitCode != 5 {
			t.Errorf("%+v: printed %q, ended with %+v", tc, out, got)
		}
	}
}

// A cancel that comes while leftovers are ended keeps further attempts from beginning, too.
func TestCancelInClearUp(t *testing.T) {
	s, c, _ := retrying(t, leftover, retry.Policy{Most: 3, Backoff: time.Millisecond})
	c.HeartbeatPeriod = 20 * time.Millisecond
	reached := inClearUp(t, &c)
	done := make(chan Result, 1)
	go func() { done <- Supervise(t.Context(), c) }()
	reached()
	s.set(func() { s.reply.Commands = []job.Command{{Kind: "cancel", By: "ada"}} })
	got := result(t, done)
	if got.ExitCode != 7 || got.Outcome.RetryAt != nil || len(s.journals) != 1 {
		t.Errorf("%+v, %d attempts", got, len(s.journals))
	}
}
