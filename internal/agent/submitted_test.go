package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/agent/delivery"
	"stint.dev/stint/internal/agent/permit"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/internal/clock"
	"stint.dev/stint/job"
)

const attemptToken = "sta_token"

// permitServer is a memoryServer that grants a permit to the first incarnation, and takes what
// follows with the token of the attempt only.
type permitServer struct {
	*memoryServer
	token string
	*permits
}

// permits is what all tokens of a permitServer share.
type permits struct {
	lease   int64 // of the permit, in milliseconds
	refusal string
	fails   atomic.Int32 // how many questions are not answered, after they were acted on
	// beforeAnswer is called before a question is answered; may be nil.
	beforeAnswer func()
	granted      string // the incarnation
	asked        atomic.Int32
	wrong        atomic.Int32 // requests with a wrong token
}

func newPermitServer() *permitServer {
	return &permitServer{newMemoryServer(), "worker", &permits{lease: 30000}}
}

func (s *permitServer) withToken(token string) delivery.Server {
	return &permitServer{s.memoryServer, token, s.permits}
}

func (s *permitServer) AskPermit(_ context.Context, r client.PermitRequest) (client.PermitReply, error) {
	s.asked.Add(1)
	if s.beforeAnswer != nil {
		s.beforeAnswer()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.touch()
	if s.refusal != "" || r.Claim != "claim" || s.granted != "" && s.granted != r.Incarnation {
		return client.PermitReply{Permit: job.Permit{Answer: job.PermitRefused, Why: s.refusal}}, nil
	}
	s.granted = r.Incarnation
	if len(s.journals[r.Run]) == 0 {
		s.journals[r.Run] = bytes.Clone(r.Journal)
	}
	if s.fails.Add(-1) >= 0 {
		return client.PermitReply{}, errAway
	}
	return client.PermitReply{
		Permit: job.Permit{Answer: job.PermitGranted, LeaseMS: s.lease, AttemptToken: attemptToken},
		Size:   int64(len(s.journals[r.Run])),
	}, nil
}

func (s *permitServer) check() {
	if s.token != attemptToken {
		s.wrong.Add(1)
	}
}

func (s *permitServer) Append(ctx context.Context, run string, attempt int, offset int64, data []byte) (job.AppendReply, error) {
	s.check()
	return s.memoryServer.Append(ctx, run, attempt, offset, data)
}

func (s *permitServer) AppendFrom(ctx context.Context, run string, attempt int, offset, size int64, src io.ReaderAt) (job.AppendReply, error) {
	s.check()
	return s.memoryServer.AppendFrom(ctx, run, attempt, offset, size, src)
}

func (s *permitServer) Beat(ctx context.Context, run string, attempt int, hb job.Heartbeat) (job.HeartbeatReply, error) {
	s.check()
	return s.memoryServer.Beat(ctx, run, attempt, hb)
}

// submitted is an attempt of a submitted run, whose claim lasts as long as the test may take.
func submitted(t *testing.T, s *permitServer, script string) (Config, *says) {
	t.Helper()
	c, messages := config(t, s, script)
	c.WithToken = s.withToken
	c.Submitted = &Submitted{
		Server: s, Claim: "claim", Until: clock.SinceBoot() + time.Minute, Definition: "d1", Worker: "w7",
		Parameters: map[string]string{"DAY": "2026-11-27"}, Incarnation: permit.NewIncarnation(),
	}
	return c, messages
}

// inSpool are the names of what is in the spool of a state directory.
func inSpool(t *testing.T, state string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(state, "spool", "*"))
	hidden, herr := filepath.Glob(filepath.Join(state, "spool", ".*"))
	if err != nil || herr != nil {
		t.Fatal(err, herr)
	}
	return append(found, hidden...)
}

func TestSubmittedRun(t *testing.T) {
	s := newPermitServer()
	s.fails.Store(2) // answers that are lost change nothing
	c, messages := submitted(t, s, "echo ready; while [ ! -e go ]; do sleep 0.01; done; exit 3")
	before := true
	s.beforeAnswer = func() { before = before && len(inSpool(t, c.StateDir)) == 0 }
	done := make(chan Result, 1)
	go func() { done <- Run(t.Context(), c) }()
	s.wait(t, func() bool { return strings.Contains(string(s.journals[c.Run]), "ready\n") && len(s.beats) > 0 })
	if !before {
		t.Error("something was in the spool before the permit")
	}
	dir := filepath.Join(c.StateDir, "spool", c.Run+".1")
	text, err := os.ReadFile(filepath.Join(dir, "token"))
	info, serr := os.Stat(filepath.Join(dir, "token"))
	if err != nil || serr != nil || strings.TrimSpace(string(text)) != attemptToken || info.Mode().Perm() != 0o600 {
		t.Errorf("the token beside the journal: %q, %v, %v, %v", text, info, err, serr)
	}
	sp, err := spool.Open(c.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	if e, there := sp.Entry(c.Run + ".1"); !there || e.Meta.Worker != "w7" || e.Meta.Token != attemptToken || !sp.InUse(e) {
		t.Errorf("the journal in the spool: %v, %+v", there, e)
	}
	if err := os.WriteFile(filepath.Join(c.Dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got := result(t, done)
	if got.ExitCode != 3 || !got.Complete || got.Err != nil || len(inSpool(t, c.StateDir)) > 0 {
		t.Errorf("result %+v, messages %q, spool %v", got, messages.text(), inSpool(t, c.StateDir))
	}
	id := s.read(t, c.Run).attempt
	if id.Definition != "d1" || id.Worker != "w7" || id.Incarnation != c.Submitted.Incarnation || id.Parameters["DAY"] != "2026-11-27" {
		t.Errorf("identity %+v", id)
	}
	if s.asked.Load() != 3 || s.wrong.Load() != 0 {
		t.Errorf("asked %d times, %d requests without the token of the attempt", s.asked.Load(), s.wrong.Load())
	}
}

// Without a permit nothing runs and nothing is left.
func TestNoPermit(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*permitServer, *Config)
		says    string
	}{
		"refused":         {func(s *permitServer, _ *Config) { s.refusal = "canceled by ada" }, "nothing was started: the server refuses the start: canceled by ada"},
		"another has it":  {func(s *permitServer, _ *Config) { s.granted = "somebody" }, "nothing was started: the server refuses the start: "},
		"the claim ended": {func(s *permitServer, c *Config) { c.Submitted.Until = clock.SinceBoot() }, "nothing was started: the claim had ended before the server was asked"},
		"no answer at all": {func(s *permitServer, c *Config) {
			s.fails.Store(100)
			c.Submitted.Until = clock.SinceBoot() + 300*time.Millisecond
		}, "nothing was started: the claim ended before the server answered: connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newPermitServer()
			cfg, _ := submitted(t, s, "echo > ran")
			c.prepare(s, &cfg)
			got := Run(t.Context(), cfg)
			if got.ExitCode != 125 || got.Err == nil || got.Err.Error() != c.says {
				t.Errorf("result %+v, want %q", got, c.says)
			}
			if _, err := os.Stat(filepath.Join(cfg.Dir, "ran")); err == nil {
				t.Error("the command ran")
			}
			if left := inSpool(t, cfg.StateDir); len(left) > 0 {
				t.Errorf("left in the spool: %v", left)
			}
			if s.appends != 0 || len(s.beats) != 0 {
				t.Errorf("%d appends, %d heartbeats", s.appends, len(s.beats))
			}
		})
	}
}

// Two processes with one claim: one starts the attempt.
func TestTwoAgentsWithOneClaim(t *testing.T) {
	s := newPermitServer()
	first, _ := submitted(t, s, "echo >> ran")
	second := first
	other := *first.Submitted
	other.Incarnation, second.StateDir = permit.NewIncarnation(), t.TempDir()
	second.Submitted = &other
	results := make(chan Result, 2)
	for _, c := range []Config{first, second} {
		go func() { results <- Run(t.Context(), c) }()
	}
	a, b := result(t, results), result(t, results)
	if a.ExitCode+b.ExitCode != 125 || (a.Err == nil) == (b.Err == nil) {
		t.Errorf("results %+v, %+v", a, b)
	}
	if text, err := os.ReadFile(filepath.Join(first.Dir, "ran")); err != nil || string(text) != "\n" {
		t.Errorf("ran %q, %v", text, err)
	}
}

// A host that was suspended between the permit and the start asks whether it still may.
func TestOldPermit(t *testing.T) {
	for name, c := range map[string]struct {
		owner  bool
		away   bool
		state  job.State
		reason job.Reason
		ran    bool
	}{
		"still the owner": {owner: true, state: job.Succeeded, reason: job.ExitCode, ran: true},
		"superseded":      {state: job.Canceled, reason: job.Superseded},
		"no answer":       {away: true, state: job.Lost, reason: job.AgentLost},
	} {
		t.Run(name, func(t *testing.T) {
			s := newPermitServer()
			s.reply.Owner = c.owner
			cfg, _ := submitted(t, s, "echo > ran")
			var suspended atomic.Int64 // of the clock, since the permit was granted
			cfg.Submitted.Clock = func() time.Duration { return clock.SinceBoot() + time.Duration(suspended.Load()) }
			cfg.WithToken = func(token string) delivery.Server {
				suspended.Store(int64(time.Duration(s.lease) * time.Millisecond / 2))
				if c.away {
					return &awayAfterPermit{s.withToken(token).(*permitServer), &suspended}
				}
				return s.withToken(token)
			}
			got := Run(t.Context(), cfg)
			if got.Outcome.State != c.state || got.Outcome.Reason != c.reason {
				t.Errorf("result %+v", got)
			}
			if _, err := os.Stat(filepath.Join(cfg.Dir, "ran")); (err == nil) != c.ran {
				t.Errorf("ran: %v, want %v", err == nil, c.ran)
			}
			v := s.read(t, cfg.Run)
			if v.final == nil || v.final.Outcome.State != c.state || !c.ran && len(v.started) > 0 {
				t.Errorf("journal: outcome %+v, steps %+v", v.final, v.started)
			}
		})
	}
}

// awayAfterPermit answers no heartbeat; each takes a while on the clock of the permit.
type awayAfterPermit struct {
	*permitServer
	clock *atomic.Int64
}

func (s *awayAfterPermit) Beat(context.Context, string, int, job.Heartbeat) (job.HeartbeatReply, error) {
	s.clock.Add(int64(5 * time.Second))
	return job.HeartbeatReply{}, errAway
}

// A signal to the agent of a submitted run ends it as evicted: the host or the worker goes away.
func TestEvicted(t *testing.T) {
	s := newPermitServer()
	c, _ := submitted(t, s, "echo ready; exec sleep 60")
	signals := make(chan os.Signal, 4)
	c.Signals = signals
	done := running(t, s.memoryServer, c)
	signals <- syscall.SIGTERM
	got := result(t, done)
	if got.Outcome.State != job.Canceled || got.Outcome.Reason != job.Evicted || got.Outcome.By != "signal SIGTERM" {
		t.Errorf("result %+v", got)
	}
}

// An agent that is asked to end before it has the permit asks no more.
func TestAskedToEndBeforeThePermit(t *testing.T) {
	s := newPermitServer()
	s.fails.Store(1000)
	c, _ := submitted(t, s, "echo > ran")
	signals := make(chan os.Signal, 4)
	c.Signals = signals
	s.beforeAnswer = func() {
		if s.asked.Load() == 2 {
			signals <- syscall.SIGTERM
		}
	}
	got := Run(t.Context(), c)
	if got.ExitCode != 125 || !errors.Is(got.Err, errAskedToEnd) || s.asked.Load() > 4 || len(inSpool(t, c.StateDir)) > 0 {
		t.Errorf("result %+v, asked %d times", got, s.asked.Load())
	}
}
