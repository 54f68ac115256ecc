package flush

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/internal/agent/spool/owner"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const here = "http://server"

// run is the id of a run; those of larger numbers are younger.
func run(n int) string { return fmt.Sprintf("01890a5d-ac96-774b-bcce-b3020000%04d", n) }

// server keeps journals by run, unless it has an error for one.
type server struct {
	mu       sync.Mutex
	errs     map[string]error
	blocked  map[string]chan struct{} // closed when an append for that run has come, which gets no reply
	journals map[string][]byte
	asked    []string // runs, once each, in order
}

func (s *server) Append(ctx context.Context, run string, _ int, offset int64, data []byte) (job.AppendReply, error) {
	s.mu.Lock()
	if !slices.Contains(s.asked, run) {
		s.asked = append(s.asked, run)
	}
	err, blocked := s.errs[run], s.blocked[run]
	s.mu.Unlock()
	if blocked != nil {
		close(blocked)
		<-ctx.Done()
		return job.AppendReply{}, ctx.Err()
	}
	if err != nil {
		return job.AppendReply{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if size := int64(len(s.journals[run])); offset != size {
		return job.AppendReply{}, &job.Problem{Type: job.ProblemWrongOffset, Status: 409, Size: &size}
	}
	s.journals[run] = append(s.journals[run], data...)
	return job.AppendReply{Size: int64(len(s.journals[run]))}, nil
}

func (s *server) Beat(context.Context, string, int, job.Heartbeat) (job.HeartbeatReply, error) {
	return job.HeartbeatReply{}, errors.New("not asked for here")
}

// wait puts a whole journal into the spool of a state directory.
func wait(t *testing.T, state string, n int, forServer string) {
	t.Helper()
	s, err := spool.Open(state)
	if err != nil {
		t.Fatal(err)
	}
	j, err := s.Create(spool.Meta{Run: run(n), Attempt: 1, Job: "test", Server: forServer}, spool.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	err = errors.Join(
		j.AppendJSON(journal.TypeAttempt, now, journal.Attempt{Run: run(n), Attempt: 1, Job: "test", Host: "here", AgentVersion: "test"}),
		j.Append(journal.OutputRecord(now, journal.Output{Stream: job.Stdout, Data: bytes.Repeat([]byte("x"), 1000)})),
		j.Finish(now, journal.Final{Outcome: job.Classify(job.Ending{Step: "command", Kind: job.CommandStep})}),
		j.Close(),
	)
	if err != nil {
		t.Fatal(err)
	}
}

func problem(status int, kind string) *job.Problem {
	return &job.Problem{Type: kind, Status: status, Title: kind}
}

// What the server says of one journal says nothing of the others; that it does not answer, or
// does not know the token, does. Nothing is marked but what it refuses for good.
func TestWhatBecomesOfWaitingJournals(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		stops bool
		mark  bool
	}{
		{"nobody there", &client.UnreachableError{URL: here, Err: errors.New("refused")}, true, false},
		{"something else", &client.ForeignReplyError{URL: here, Status: 404}, true, false},
		{"something else, gone", &client.ForeignReplyError{URL: here, Status: 410}, true, false},
		{"something else, too large", &client.ForeignReplyError{URL: here, Status: 413}, true, false},
		{"no time", problem(503, job.ProblemUnavailable), true, false},
		{"token not known", problem(401, job.ProblemUnauthorized), true, false},
		{"run of another token", problem(403, job.ProblemForbidden), false, false},
		{"an error of the server", problem(500, job.ProblemInternal), false, false},
		{"invalid", problem(400, job.ProblemInvalid), false, false},
		{"refused", problem(422, job.ProblemJournalRefused), false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				state := t.TempDir()
				for _, n := range []int{3, 1, 2} {
					wait(t, state, n, here)
				}
				s := &server{errs: map[string]error{run(1): c.err}, journals: map[string][]byte{}}
				f := Config{StateDir: state, Server: s, ServerURL: here}
				got, err := Run(t.Context(), f)
				if err != nil || got.Journals[0].Err == nil || got.Journals[0].Run != run(1) {
					t.Fatalf("report %+v, error %v", got, err)
				}
				if c.stops {
					if len(got.Journals) != 1 || got.Untried != 2 {
						t.Errorf("report %+v, want two untried", got)
					}
				} else if len(got.Journals) != 3 || !got.Journals[1].Delivered || !got.Journals[2].Delivered || got.Untried != 0 {
					t.Errorf("report %+v, want the others delivered", got)
				}
				s.errs = nil
				got, err = Run(t.Context(), f)
				if err != nil || (got.Journals[0].Skipped == Refused) != c.mark || got.Journals[0].Delivered == c.mark {
					t.Errorf("the next time: %+v, error %v", got, err)
				}
				if c.mark {
					f.Any = true
					if got, err := Run(t.Context(), f); err != nil || !got.Journals[0].Delivered {
						t.Errorf("with --any: %+v, error %v", got, err)
					}
				}
			})
		})
	}
}

func TestWhatIsLeftAlone(t *testing.T) {
	state := t.TempDir()
	wait(t, state, 1, "http://elsewhere")
	wait(t, state, 2, "")
	wait(t, state, 3, "http://ada:pw@server")
	s := &server{journals: map[string][]byte{}}
	got, err := Run(t.Context(), Config{StateDir: state, Server: s, ServerURL: "http://ada:pw@server"})
	if err != nil || len(got.Journals) != 3 {
		t.Fatalf("report %+v, error %v", got, err)
	}
	if j := got.Journals[0]; j.Skipped != OtherServer || j.Server != "http://elsewhere" || j.Err != nil {
		t.Errorf("journal %+v", j)
	}
	if !got.Journals[1].Delivered {
		t.Errorf("journal %+v", got.Journals[1])
	}
}

// A journal whose meta file was lost, as in a power cut, is delivered all the same.
func TestJournalWithoutItsMeta(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"empty":   func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"zeros":   func(path string) error { return os.WriteFile(path, make([]byte, 100), 0o600) },
		"missing": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			state := t.TempDir()
			wait(t, state, 1, here)
			wait(t, state, 2, here)
			if err := damage(filepath.Join(state, "spool", run(1)+".1", "meta.json")); err != nil {
				t.Fatal(err)
			}
			s := &server{journals: map[string][]byte{}}
			got, err := Run(t.Context(), Config{StateDir: state, Server: s, ServerURL: here, Host: owner.Host{Name: "here"}})
			if err != nil || len(got.Journals) != 2 || !got.Journals[0].Delivered || !got.Journals[1].Delivered || got.Journals[0].Job != "test" {
				t.Errorf("report %+v, error %v", got, err)
			}
			// It still is of the host that its first record names.
			wait(t, state, 3, here)
			if err := damage(filepath.Join(state, "spool", run(3)+".1", "meta.json")); err != nil {
				t.Fatal(err)
			}
			got, err = Run(t.Context(), Config{StateDir: state, Server: s, ServerURL: here, Host: owner.Host{Name: "there"}})
			if err != nil || got.Journals[0].Skipped != OtherHost {
				t.Errorf("report %+v, error %v", got, err)
			}
		})
	}
}

// Where hosts share a state directory, one leaves the journals of others alone: their agents
// may live, and locks need not reach from host to host.
func TestJournalsOfOtherHosts(t *testing.T) {
	state := t.TempDir()
	s, err := spool.Open(state)
	if err != nil {
		t.Fatal(err)
	}
	mine, other := owner.Host{Name: "node1", BootID: "a"}, owner.Host{Name: "node2", BootID: "b"}
	for n, host := range []owner.Host{mine, other} {
		j, err := s.Create(spool.Meta{Run: run(n), Attempt: 1, Job: "test", Server: here, Host: host}, spool.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		a := journal.Attempt{Run: run(n), Attempt: 1, Job: "test", Host: host.Name, BootID: host.BootID, AgentVersion: "test"}
		if err := errors.Join(j.AppendJSON(journal.TypeAttempt, time.Now(), a), j.Close()); err != nil {
			t.Fatal(err)
		}
	}
	srv := &server{journals: map[string][]byte{}}
	c := Config{StateDir: state, Server: srv, ServerURL: here, AnyServer: true, Host: owner.Host{Name: "node1", BootID: "later"}}
	got, err := Run(t.Context(), c)
	if err != nil || len(got.Journals) != 2 || !got.Journals[0].Delivered || got.Journals[1].Skipped != OtherHost || got.Journals[1].Host != "node2" {
		t.Fatalf("report %+v, error %v", got, err)
	}
	if reason := outcomeOf(t, srv.journals[run(0)]).Reason; reason != job.HostRebooted {
		t.Errorf("of this host: %s", reason)
	}
	c.Any = true
	if got, err = Run(t.Context(), c); err != nil || len(got.Journals) != 1 || !got.Journals[0].Delivered {
		t.Fatalf("with any: report %+v, error %v", got, err)
	}
	if reason := outcomeOf(t, srv.journals[run(1)]).Reason; reason != job.AgentLost {
		t.Errorf("of the other host, of which no reboot is known: %s", reason)
	}
}

func outcomeOf(t *testing.T, data []byte) job.Outcome {
	t.Helper()
	for at := journal.HeaderSize; at < len(data); {
		rec, size, err := journal.Next(data[at:], int64(at))
		if err != nil {
			t.Fatal(err)
		}
		if rec.Type == journal.TypeOutcome {
			var f journal.Final
			if err := journal.Decode(rec, &f); err != nil {
				t.Fatal(err)
			}
			return f.Outcome
		}
		at += size
	}
	t.Fatal("no outcome")
	return job.Outcome{}
}

// closed returns a channel that is closed.
func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// The backlog goes out oldest first, but for the run that is at work, and is read again:
// soon after an outage.
func TestBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := t.TempDir()
		for n := range 5 {
			wait(t, state, n, here)
		}
		s := &server{journals: map[string][]byte{}, errs: map[string]error{run(2): &client.ForeignReplyError{URL: here, Status: 502}}}
		sp, err := spool.Open(state)
		if err != nil {
			t.Fatal(err)
		}
		b := NewBacklog(sp, Config{Server: s, ServerURL: here}, run(3), 1)
		known := make(chan struct{})
		b.Start(t.Context(), known, make(chan struct{}))
		<-time.After(time.Hour)
		synctest.Wait()
		if len(s.asked) != 0 {
			t.Fatalf("asked for %v before the server was known to answer", s.asked)
		}
		close(known)
		synctest.Wait()
		s.mu.Lock()
		if want := []string{run(0), run(1), run(2)}; !slices.Equal(s.asked, want) {
			t.Errorf("asked for %v, want %v", s.asked, want)
		}
		s.errs = nil
		s.mu.Unlock()
		<-time.After(outageInterval + outageInterval/4)
		synctest.Wait()
		if want := []string{run(0), run(1), run(2), run(4)}; !slices.Equal(s.asked, want) || len(s.journals) != 4 {
			t.Errorf("asked for %v, want %v", s.asked, want)
		}
		wait(t, state, 6, here)
		<-time.After(idleInterval + idleInterval/4)
		synctest.Wait()
		if s.journals[run(6)] == nil {
			t.Error("what came later was not delivered")
		}
		begun := time.Now()
		b.Stop()
		if left, _ := filepath.Glob(filepath.Join(state, "spool", "*")); len(left) != 1 || !strings.Contains(left[0], run(3)) || time.Since(begun) != 0 {
			t.Errorf("stopped after %s; left: %v", time.Since(begun), left)
		}
	})
}

// A backlog that is stopped in the middle of a journal leaves it as it was.
func TestBacklogStopsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := t.TempDir()
		wait(t, state, 1, here)
		came := make(chan struct{})
		s := &server{journals: map[string][]byte{}, blocked: map[string]chan struct{}{run(1): came}}
		sp, err := spool.Open(state)
		if err != nil {
			t.Fatal(err)
		}
		b := NewBacklog(sp, Config{Server: s, ServerURL: here}, run(9), 1)
		b.Start(t.Context(), make(chan struct{}), closed()) // a job that has ended already
		<-came
		begun := time.Now()
		b.Stop()
		if time.Since(begun) != 0 {
			t.Errorf("it took %s to stop", time.Since(begun))
		}
		s.blocked = nil
		got, err := Run(t.Context(), Config{StateDir: state, Server: s, ServerURL: here})
		if err != nil || len(got.Journals) != 1 || !got.Journals[0].Delivered || got.Journals[0].Unfinished {
			t.Errorf("report %+v, error %v", got, err)
		}
	})
}

// A flush that is interrupted reports that, and nothing about the server.
func TestInterruptedFlush(t *testing.T) {
	state := t.TempDir()
	wait(t, state, 1, here)
	came := make(chan struct{})
	s := &server{blocked: map[string]chan struct{}{run(1): came}, journals: map[string][]byte{}}
	ctx, stop := context.WithCancelCause(t.Context())
	go func() { <-came; stop(errors.New("terminated signal received")) }()
	report, err := Run(ctx, Config{StateDir: state, Server: s, ServerURL: here, Host: owner.Host{Name: "here"}})
	if err != nil || len(report.Journals) != 1 {
		t.Fatalf("report %+v, error %v", report, err)
	}
	if got := fmt.Sprint(report.Journals[0].Err); got != "interrupted: terminated signal received" {
		t.Errorf("error %q", got)
	}
}
