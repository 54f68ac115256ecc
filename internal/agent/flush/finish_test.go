package flush

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// abandon makes a journal as an agent does that is killed while its command runs. It returns
// what holds its lock.
func abandon(t *testing.T, state string, n int) *spool.Journal {
	t.Helper()
	s, err := spool.Open(state)
	if err != nil {
		t.Fatal(err)
	}
	j, err := s.Create(spool.Meta{Run: run(n), Attempt: 1, Job: "test", Server: here}, spool.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	err = errors.Join(
		j.AppendJSON(journal.TypeAttempt, now, journal.Attempt{Run: run(n), Attempt: 1, Job: "test", Host: "here", AgentVersion: "test"}),
		j.AppendJSON(journal.TypeStepStarted, now, journal.StepStarted{Name: "command", Kind: job.CommandStep}),
		j.Append(journal.OutputRecord(now, journal.Output{Stream: job.Stdout, Data: []byte("the last words\n")})),
	)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// FinishAttempt waits for the lock that the dead agent held, and for a server that does not answer, and
// delivers its own journal and no other.
func TestOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := t.TempDir()
		wait(t, state, 1, here)
		held := abandon(t, state, 2)
		s := &server{journals: map[string][]byte{}, errs: map[string]error{run(2): &client.UnreachableError{URL: here, Err: errors.New("refused")}}}
		begun := time.Now()
		time.AfterFunc(3*busyInterval, func() {
			if err := held.Close(); err != nil {
				t.Error(err)
			}
		})
		const back = 3 * time.Second
		time.AfterFunc(back, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.errs = nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		j, err := FinishAttempt(ctx, Config{StateDir: state, Server: s, ServerURL: "http://ada:pw@" + strings.TrimPrefix(here, "http://")}, run(2), 1, "what was left")
		if err != nil || !j.Delivered || !j.Unfinished || j.Err != nil {
			t.Fatalf("%+v, %v", j, err)
		}
		if took := time.Since(begun); took < back || took > back+longRetryPause {
			t.Errorf("delivered after %s", took)
		}
		r, err := journal.Recover(strings.NewReader(string(s.journals[run(2)])))
		if err != nil || !r.Ended {
			t.Fatalf("%+v, %v", r, err)
		}
		text := string(s.journals[run(2)])
		if strings.Count(text, "what was left") != 1 || strings.Count(text, string(job.AgentLost)) == 0 || !strings.Contains(text, "the last words") {
			t.Errorf("the journal: %q", text)
		}
		if s.journals[run(1)] != nil {
			t.Error("delivered another run's journal")
		}
		// Again there is nothing to do.
		if j, err := FinishAttempt(ctx, Config{StateDir: state, Server: s, ServerURL: here}, run(2), 1, ""); err != nil || j.Skipped != Gone {
			t.Errorf("again: %+v, %v", j, err)
		}
	})
}

// A journal that somebody else delivers, or a server that stays away, is left alone in the end.
func TestOneGivesUp(t *testing.T) {
	for name, busy := range map[string]bool{"busy": true, "away": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				state := t.TempDir()
				held := abandon(t, state, 1)
				if !busy {
					if err := held.Close(); err != nil {
						t.Fatal(err)
					}
				}
				s := &server{journals: map[string][]byte{}, errs: map[string]error{run(1): &client.UnreachableError{URL: here, Err: errors.New("refused")}}}
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				begun := time.Now()
				j, err := FinishAttempt(ctx, Config{StateDir: state, Server: s, ServerURL: here}, run(1), 1, "")
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 30*time.Second || (j.Skipped == InUse) != busy {
					t.Errorf("after %s: %+v, %v", time.Since(begun), j, err)
				}
				if busy {
					if err := held.Close(); err != nil {
						t.Fatal(err)
					}
				}
				// The next flush delivers it, once.
				s.errs = nil
				report, err := Run(t.Context(), Config{StateDir: state, Server: s, ServerURL: here})
				if err != nil || len(report.Journals) != 1 || !report.Journals[0].Delivered {
					t.Errorf("flush: %+v, %v", report, err)
				}
			})
		})
	}
}

// An attempt whose agent just died ended then, and its step with it, however long the server stays away.
// Of one that nobody saw die, the last record is the last that is known.
func TestEndOfADeadAgentsAttempt(t *testing.T) {
	const silence = 2 * time.Second
	for name, c := range map[string]struct {
		finish func(ctx context.Context, c Config) error
		want   time.Duration // after the last record
	}{
		"watched":   {func(ctx context.Context, c Config) error { _, err := FinishAttempt(ctx, c, run(1), 1, ""); return err }, silence},
		"unwatched": {func(ctx context.Context, c Config) error { _, err := Run(ctx, c); return err }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				state, last := t.TempDir(), time.Now()
				if err := abandon(t, state, 1).Close(); err != nil {
					t.Fatal(err)
				}
				<-time.After(silence)
				s := &server{journals: map[string][]byte{}, errs: map[string]error{run(1): &client.UnreachableError{URL: here, Err: errors.New("refused")}}}
				config := Config{StateDir: state, Server: s, ServerURL: here}
				time.AfterFunc(time.Minute, func() {
					s.mu.Lock()
					defer s.mu.Unlock()
					s.errs = nil
				})
				if c.want == 0 { // a flush does not wait for the server
					<-time.After(2 * time.Minute)
				}
				if err := c.finish(t.Context(), config); err != nil {
					t.Fatal(err)
				}
				var ends []time.Duration
				records := journal.NewReader(strings.NewReader(string(s.journals[run(1)])))
				for {
					rec, err := records.Next()
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					if rec.Type == journal.TypeStepEnded || rec.Type == journal.TypeOutcome {
						ends = append(ends, rec.At.Sub(last))
					}
				}
				if want := []time.Duration{c.want, c.want}; !slices.Equal(ends, want) {
					t.Errorf("step and attempt ended %v after the last record, want %v", ends, want)
				}
			})
		})
	}
}
