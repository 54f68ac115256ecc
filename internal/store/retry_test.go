package store_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

func cancelWithoutAgent(t *testing.T, s *store.Store) {
	j := running(t, s, journal.Attempt{})
	ask := job.Cancel{By: "ada", Why: "enough", At: noon}
	if _, _, err := s.RequestCancel(t.Context(), j.id, ask); err != nil {
		t.Fatal(err)
	}
	wantWords(t, s, j.id, "cancel canceled")
	follow := func(at time.Time, force bool) outbox.Progress {
		t.Helper()
		got, err := s.FollowCancel(t.Context(), j.id, 1, job.Cancel{By: "x", At: at}, force)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	beatOnce(t, s, j.id, 1, noon.Add(time.Minute)) // alive: a job may take its time to end
	if got := follow(noon.Add(time.Minute), true); got.Over || got.Run != nil {
		t.Errorf("while the agent lives: %+v", got)
	}
	if got := follow(noon.Add(time.Hour), false); got.Over {
		t.Errorf("before the deadline: %+v", got)
	}
	got := follow(noon.Add(time.Hour), true)
	if !got.Over || got.Run == nil || got.Run.State != job.Canceled || got.Run.EndedAt != nil || got.Run.Outcome.By != "ada" ||
		!strings.Contains(got.Run.Outcome.Message, "nobody saw the job end") || len(got.Events) != 1 {
		t.Fatalf("forced: %+v", got)
	}
	wantWords(t, s, j.id, "cancel canceled", "notify canceled")
	if again := follow(noon.Add(time.Hour), true); !again.Over || again.Run != nil {
		t.Errorf("again: %+v", again)
	}
	// The agent comes back after all: it is asked to stop, and the verdict stays.
	if b := beatOnce(t, s, j.id, 1, noon.Add(2*time.Hour)); b.Cancel == nil || b.Ended {
		t.Errorf("back: %+v", b)
	}
	j.output("late\n")
	offset, data := j.take()
	if a := one(t, s, j.id, 1, offset, data); a.Run.State != job.Canceled || a.Run.Outcome == nil || a.Run.Output.Bytes == 0 {
		t.Errorf("late bytes: %+v", a.Run)
	}
	j.end(0)
	offset, data = j.take()
	if a := one(t, s, j.id, 1, offset, data); a.Run.State != job.Canceled || a.Run.Outcome.State != job.Canceled {
		t.Errorf("late end: %+v", a.Run)
	}

	// A cancel that a policy asks for is first asked of the agent.
	p := running(t, s, journal.Attempt{Job: "policy"})
	first, err := s.FollowCancel(t.Context(), p.id, 1, job.Cancel{By: "policy of job policy", Why: "stalled", At: noon}, false)
	if err != nil || first.Over || first.Run == nil || first.Run.State != job.Stopping || first.Run.Cancel.By != "policy of job policy" {
		t.Errorf("policy: %+v %v", first, err)
	}
	if other, err := s.FollowCancel(t.Context(), p.id, 2, ask, true); err != nil || !other.Over || other.Run != nil {
		t.Errorf("a cancel of another attempt: %+v %v", other, err)
	}
}

// retrying writes the end of an attempt that another one is to follow.
func (j *testJournal) retrying(at time.Time) {
	j.t.Helper()
	o := job.Classify(job.Ending{Step: "command", Kind: job.CommandStep, ExitCode: 1})
	o.RetryAt = &at
	if err := j.w.Finish(j.tick(), journal.Final{Outcome: o}); err != nil {
		j.t.Fatal(err)
	}
}

func retryInPlace(t *testing.T, s *store.Store) {
	j := running(t, s, journal.Attempt{})
	j.retrying(noon.Add(time.Minute))
	offset, data := j.take()
	got := one(t, s, j.id, 1, offset, data)
	if got.Run.State != job.Retrying || got.Run.Outcome.State != job.Failed || got.Run.Health != "" {
		t.Fatalf("after the first attempt: %+v", got.Run)
	}
	row := wantWords(t, s, j.id, "retry retry")[0] // nobody is notified of a failure that is tried again
	if row.Attempt != 2 || row.NextAt.Before(noon.Add(time.Minute)) {
		t.Errorf("watch: %+v", row)
	}
	waiting, err := s.Undiagnosed(t.Context(), 10)
	if err != nil || len(waiting) != 1 || waiting[0].ID != j.id {
		t.Fatalf("the first attempt waits for a diagnosis: %+v, %v", waiting, err)
	}
	if stored, err := s.StoreDiagnosis(t.Context(), waiting[0], &job.Diagnosis{Sentence: "x", Causes: []job.Cause{}}); err != nil || !stored {
		t.Errorf("diagnosis: %v, %v", stored, err)
	}
	second := newJournal(t, journal.Attempt{Run: j.id, Attempt: 2})
	second.command()
	_, data = second.take()
	if got = one(t, s, j.id, 2, 0, data); got.Run.State != job.Running || got.Run.Attempt != 2 || got.Run.Number != 1 || got.Run.Diagnosis != nil {
		t.Fatalf("second attempt: %+v", got.Run)
	}
	if over, err := s.WatchRetry(t.Context(), j.id, 2, noon, noon.Add(time.Hour)); err != nil || !over.Over || over.Run != nil {
		t.Errorf("watch over an attempt that began: %+v %v", over, err)
	}
	if run, err := s.RunAttempt(t.Context(), j.id, 1); err != nil || run.State != job.Failed {
		t.Errorf("first attempt: %+v %v", run, err)
	}

	// An attempt that never begins is given up, and then people are notified.
	lost := running(t, s, journal.Attempt{Job: "lost"})
	lost.retrying(noon)
	offset, data = lost.take()
	one(t, s, lost.id, 1, offset, data)
	if early, err := s.WatchRetry(t.Context(), lost.id, 2, noon, noon.Add(time.Minute)); err != nil || early.Over || early.Run != nil {
		t.Errorf("watch over an attempt that may still begin: %+v %v", early, err)
	}
	over, err := s.WatchRetry(t.Context(), lost.id, 2, noon, noon.Add(time.Hour))
	if err != nil || !over.Over || over.Run == nil || over.Run.State != job.Failed {
		t.Fatalf("given up: %+v %v", over, err)
	}
	wantWords(t, s, lost.id, "retry retry", "notify failed")

	// Canceled while it waits: the agent learns it, and its next attempt is refused.
	wait := running(t, s, journal.Attempt{Job: "wait"})
	wait.retrying(noon.Add(time.Hour))
	offset, data = wait.take()
	one(t, s, wait.id, 1, offset, data)
	run, _, err := s.RequestCancel(t.Context(), wait.id, job.Cancel{By: "ada", At: noon})
	if err != nil || run.State != job.Canceled {
		t.Fatalf("cancel: %+v %v", run, err)
	}
	if b := waitingBeat(t, s, wait.id, 1); b.Cancel == nil || b.Ended || b.Retry != nil {
		t.Errorf("beat of the waiting agent: %+v", b)
	}
	next := newJournal(t, journal.Attempt{Run: wait.id, Attempt: 2, Job: "wait"})
	_, data = next.take()
	var refused *index.RefusedError
	if got := try(t, s, index.Append{Run: wait.id, Attempt: 2, Data: data, At: noon}); !errors.As(got.Err, &refused) {
		t.Errorf("attempt after a cancel: %+v", got)
	}
	if b := beatOnce(t, s, wait.id, 2, noon); b.Cancel == nil {
		t.Errorf("an attempt that began all the same is not asked to stop: %+v", b)
	}
}

// An announced attempt is due a pause after its run's end, on the server's clock, whatever
// the agent's says, and is not given up while the agent sends heartbeats.
func retryOnTheServersClock(t *testing.T, s *store.Store) {
	const pause = 5 * time.Minute
	var ended time.Time // when the server learned of it
	over := func(run string, after time.Duration) bool {
		t.Helper()
		got, err := s.WatchRetry(t.Context(), run, 2, ended, ended.Add(after))
		if err != nil {
			t.Fatal(err)
		}
		return got.Over
	}
	announced := func(clock time.Duration) string {
		t.Helper()
		j := running(t, s, journal.Attempt{Job: "clock" + clock.String()})
		j.at = noon.Add(clock)
		j.retrying(j.at.Add(time.Second + pause))
		offset, data := j.take()
		one(t, s, j.id, 1, offset, data)
		row := wantWords(t, s, j.id, "retry retry")[0]
		if ended = row.CreatedAt; !row.NextAt.Equal(ended.Add(pause)) {
			t.Errorf("with a clock that is off by %s the watch begins at %s, want %s", clock, row.NextAt, ended.Add(pause))
		}
		return j.id
	}
	for _, clock := range []time.Duration{-10 * time.Minute, 0, 10 * time.Minute, -24 * time.Hour} {
		run := announced(clock)
		if over(run, pause+outbox.RetryTimeout-time.Second) {
			t.Errorf("with a clock that is off by %s the attempt is given up early", clock)
		} else if !over(run, pause+outbox.RetryTimeout) {
			t.Errorf("with a clock that is off by %s the attempt is never given up", clock)
		}
	}
	run := announced(0)
	beatAt := func(after time.Duration, hb job.Heartbeat) {
		t.Helper()
		beat := lease.Beat{Run: run, Attempt: 1, At: ended.Add(after), Lease: 20 * time.Second, Heartbeat: hb}
		if _, got, err := s.Ingest(t.Context(), nil, []lease.Beat{beat}); err != nil || got[0].Err != nil {
			t.Fatal(err, got)
		}
	}
	beatAt(time.Hour, job.Heartbeat{WaitingMS: 1, PeriodMS: 5000})
	if over(run, time.Hour+outbox.RetryTimeout-time.Second) {
		t.Error("given up although its agent waits for the reader of its output")
	}
	if !over(run, time.Hour+outbox.RetryTimeout+time.Second) {
		t.Error("not given up although its agent is silent")
	}
}

func waitingBeat(t *testing.T, s *store.Store, run string, attempt int) lease.BeatResult {
	t.Helper()
	beat := lease.Beat{Run: run, Attempt: attempt, At: noon, Lease: 15 * time.Second, Heartbeat: job.Heartbeat{WaitingMS: 60_000, PeriodMS: 5000}}
	_, got, err := s.Ingest(t.Context(), nil, []lease.Beat{beat})
	if err != nil || got[0].Err != nil {
		t.Fatal(err, got)
	}
	return got[0]
}

func retryAskedFor(t *testing.T, s *store.Store) {
	id, data := whole(t, journal.Attempt{}, 1)
	one(t, s, id, 1, 0, data)
	ask := func(run string, at time.Time) error {
		_, _, err := s.RequestRetry(t.Context(), run, 0, "ada", "try again", at)
		return err
	}
	var no *outbox.NoRetryError
	if err := ask(id, noon); !errors.As(err, &no) || no.Run.ID != id {
		t.Errorf("nobody waits: %v", err)
	}
	if b := waitingBeat(t, s, id, 1); b.Retry != nil || !b.Owner {
		t.Errorf("beat: %+v", b)
	}
	if err := ask(id, noon.Add(time.Hour)); !errors.As(err, &no) {
		t.Errorf("the agent has gone: %v", err)
	}
	if err := ask(id, noon); err != nil {
		t.Fatal(err)
	}
	if err := ask(id, noon); err != nil {
		t.Errorf("asked twice: %v", err)
	}
	if run := mustRun(t, s, id); run.State != job.Retrying {
		t.Errorf("run: %+v", run)
	}
	wantWords(t, s, id, "notify failed", "retry retry")
	for range 2 { // the command is repeated until the attempt begins
		if b := waitingBeat(t, s, id, 1); b.Retry == nil || b.Retry.Attempt != 2 || b.Retry.By != "ada" || b.Retry.Why != "try again" {
			t.Errorf("beat: %+v", b)
		}
	}
	_, data = whole(t, journal.Attempt{Run: id, Attempt: 2}, 0)
	if got := one(t, s, id, 2, 0, data); got.Run.State != job.Succeeded || got.Run.Attempt != 2 {
		t.Errorf("second attempt: %+v", got.Run)
	}
	wantWords(t, s, id, "notify failed", "retry retry", "notify recovered")
	if err := ask(id, noon); !errors.As(err, &no) {
		t.Errorf("a run that succeeded: %v", err)
	}
	j := running(t, s, journal.Attempt{Job: "live"})
	if err := ask(j.id, noon); !errors.As(err, &no) {
		t.Errorf("beside a live attempt: %v", err)
	}
}

func acknowledging(t *testing.T, s *store.Store) {
	id, data := whole(t, journal.Attempt{}, 1)
	one(t, s, id, 1, 0, data)
	acknowledged := func(since time.Time) bool {
		t.Helper()
		yes, err := s.Acknowledged(t.Context(), id, since)
		if err != nil {
			t.Fatal(err)
		}
		return yes
	}
	if acknowledged(noon) {
		t.Error("acknowledged by nobody")
	}
	run, events, err := s.Acknowledge(t.Context(), id, "ada", "on it", noon.Add(time.Minute))
	if err != nil || run.ID != id || len(events) != 1 || events[0].Evidence != "Acknowledged by ada: on it" {
		t.Fatalf("%+v %+v %v", run, events, err)
	}
	if !acknowledged(noon) || acknowledged(noon.Add(time.Hour)) {
		t.Error("an acknowledgement counts for what was before it, and for nothing else")
	}
	if yes, err := s.SucceededSince(t.Context(), "train", noon.Add(-time.Hour), time.Time{}); err != nil || yes {
		t.Errorf("succeeded: %v %v", yes, err)
	}
}

// What a policy requests is marked for readers, in the run, its events and its actions.
func requestedByPolicy(t *testing.T, s *store.Store) {
	byPolicy := func(id string) (marked []string) {
		t.Helper()
		run, err := s.Run(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if run.Cancel != nil && run.Cancel.ByPolicy {
			marked = append(marked, "cancel")
		}
		events, err := s.Events(t.Context(), id, 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.ByPolicy {
				marked = append(marked, "event "+e.Rule)
			}
		}
		actions, err := s.Actions(t.Context(), query.Actions{Run: id, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range actions {
			if a.ByPolicy {
				marked = append(marked, "action "+a.Kind)
			}
		}
		return marked
	}
	for by, want := range map[string][]string{
		job.PolicyAuthor:          {"cancel", "event stop_requested", "action cancel"},
		"ada":                     nil,
		"ada by the policy of it": nil,
	} {
		j := running(t, s, journal.Attempt{})
		why := "stalled: no output for 5 min, by " + job.PolicyAuthor
		if _, _, err := s.RequestCancel(t.Context(), j.id, job.Cancel{By: by, Why: why, At: noon}); err != nil {
			t.Fatal(err)
		}
		if got := byPolicy(j.id); !slices.Equal(got, want) {
			t.Errorf("canceled by %s: %v, want %v", by, got, want)
		}
		// The agent's record of the stop is all that a server has whose database was rebuilt.
		k := running(t, s, journal.Attempt{})
		k.json(journal.TypeStopping, journal.Stopping{Reason: job.ByCancel, By: by, Why: why})
		offset, data := k.take()
		one(t, s, k.id, 1, offset, data)
		if got, marked := slices.Equal(byPolicy(k.id), []string{"event stop_requested"}), want != nil; got != marked {
			t.Errorf("stopped by the agent for %s: marked %v, want %v", by, got, marked)
		}
	}
	j := running(t, s, journal.Attempt{})
	j.end(1)
	offset, data := j.take()
	one(t, s, j.id, 1, offset, data)
	waitingBeat(t, s, j.id, 1)
	if _, _, err := s.RequestRetry(t.Context(), j.id, 1, job.PolicyAuthor, "failed", noon); err != nil {
		t.Fatal(err)
	}
	if got, want := byPolicy(j.id), []string{"event retry_requested", "action retry"}; !slices.Equal(got, want) {
		t.Errorf("retried: %v, want %v", got, want)
	}
}
