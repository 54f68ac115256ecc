package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

func beatOnce(t *testing.T, s *store.Store, run string, attempt int, at time.Time) lease.BeatResult {
	t.Helper()
	got := takeBeats(t, s, []lease.Beat{{
		Run: run, Attempt: attempt, At: at, Lease: time.Minute, Heartbeat: job.Heartbeat{PeriodMS: 10_000},
	}})
	if got[0].Err != nil {
		t.Fatal(got[0].Err)
	}
	return got[0]
}

// takeBeats stores heartbeats as the server does: those whose owners are known at once, and the
// others in a transaction.
func takeBeats(t testing.TB, s *store.Store, beats []lease.Beat) []lease.BeatResult {
	t.Helper()
	out := make([]lease.BeatResult, len(beats))
	var others []lease.Beat
	var places []int
	for i, done := range s.Renew(beats) {
		if done != nil {
			out[i] = *done
			continue
		}
		others, places = append(others, beats[i]), append(places, i)
	}
	if len(others) == 0 {
		return out
	}
	_, got, err := s.Ingest(t.Context(), nil, others)
	if err != nil {
		t.Fatal(err)
	}
	for i, place := range places {
		out[place] = got[i]
	}
	return out
}

// running stores a run that has started its command and says no more.
func running(t *testing.T, s *store.Store, a journal.Attempt) *testJournal {
	t.Helper()
	j := newJournal(t, a)
	j.command()
	j.output("hello\n")
	offset, data := j.take()
	one(t, s, j.id, max(a.Attempt, 1), offset, data)
	return j
}

func mustRun(t *testing.T, s *store.Store, id string) job.Run {
	t.Helper()
	run, err := s.Run(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func leaseOf(t *testing.T, s *store.Store, run string) lease.Lease {
	t.Helper()
	due, err := s.Due(t.Context(), noon.Add(1000*time.Hour), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range due {
		if l.Run == run {
			return l
		}
	}
	t.Fatalf("run %s has no lease among %d", run, len(due))
	return lease.Lease{}
}

func heartbeats(t *testing.T, s *store.Store) {
	if got := beatOnce(t, s, runID(), 1, noon); got.Known || !got.Owner {
		t.Errorf("beat before the first append: %+v", got)
	}
	j := running(t, s, journal.Attempt{HeartbeatPeriodMS: 20_000})
	if l := leaseOf(t, s, j.id); !l.ReportedAt.Equal(noon) || !l.ExpiresAt.Equal(noon.Add(time.Minute)) || l.State != job.Running || l.Job != "train" || l.Number != 1 {
		t.Errorf("first lease: %+v", l)
	}
	at := noon.Add(30*time.Second + 123456*time.Nanosecond)
	if got := beatOnce(t, s, j.id, 1, at); !got.Known || !got.Owner || got.Ended || got.Run != nil {
		t.Errorf("beat: %+v", got)
	}
	want := at.Truncate(time.Microsecond)
	if run := mustRun(t, s, j.id); run.LastHeartbeatAt == nil || !run.LastHeartbeatAt.Equal(want) {
		t.Errorf("last heartbeat %v, want %v", run.LastHeartbeatAt, want)
	}
	if l := leaseOf(t, s, j.id); l.Length != time.Minute || !l.ExpiresAt.Equal(want.Add(time.Minute)) || l.EveryPeriod != 10*time.Second {
		t.Errorf("lease: %+v", l)
	}
	if got := beatOnce(t, s, j.id, 2, at); got.Known {
		t.Errorf("beat of an attempt that has not begun: %+v", got)
	}
	j.end(0)
	offset, data := j.take()
	one(t, s, j.id, 1, offset, data)
	if got := beatOnce(t, s, j.id, 1, at); !got.Ended || !got.Owner {
		t.Errorf("beat after the end: %+v", got)
	}
	if due, err := s.Due(t.Context(), noon.Add(1000*time.Hour), 10); err != nil || len(due) != 0 {
		t.Errorf("an ended run is due: %+v, %v", due, err)
	}
}

func lose(t *testing.T, s *store.Store, id string) lease.VerdictResult {
	t.Helper()
	l := leaseOf(t, s, id)
	judged, err := s.Judge(t.Context(), []lease.Verdict{{
		Run: id, Attempt: l.Attempt, ReportedAt: l.ReportedAt, At: noon.Add(time.Hour), Lost: true, Evidence: "No heartbeat for an hour.",
	}})
	if err != nil || len(judged) != 1 {
		t.Fatalf("judged %+v, %v", judged, err)
	}
	return judged[0]
}

func lostAndReported(t *testing.T, s *store.Store) {
	j := running(t, s, journal.Attempt{})
	lost := lose(t, s, j.id)
	run := mustRun(t, s, j.id)
	if run.State != job.Lost || run.Health != "" || run.Outcome == nil || run.Outcome.Reason != job.AgentLost || run.EndedAt != nil {
		t.Errorf("lost run: %+v", run)
	}
	if diff := cmp.Diff(run, lost.Run); diff != "" {
		t.Error("judged run (-stored +returned):", diff)
	}
	back := beatOnce(t, s, j.id, 1, noon.Add(2*time.Hour))
	if back.Run == nil || back.Run.State != job.Running || back.Run.Outcome != nil || back.Run.Health != job.Healthy || len(back.Events) != 1 {
		t.Fatalf("healed by a beat: %+v", back)
	}
	if diff := cmp.Diff(mustRun(t, s, j.id), *back.Run); diff != "" {
		t.Error("healed run (-stored +returned):", diff)
	}
	lose(t, s, j.id)
	j.output("still here\n")
	offset, data := j.take()
	got := one(t, s, j.id, 1, offset, data)
	if got.Run.State != job.Running || len(got.Events) != 1 || got.Events[0].Rule != string(job.Heard) || got.Events[0].Clock != "server" {
		t.Errorf("healed by an append: %+v", got)
	}
	lose(t, s, j.id)
	j.end(0)
	offset, data = j.take()
	if got := one(t, s, j.id, 1, offset, data); got.Run.State != job.Succeeded || !got.Run.Output.Complete {
		t.Errorf("ended after it was lost: %+v", got.Run)
	}
}

func attempts(t *testing.T, s *store.Store) {
	first := running(t, s, journal.Attempt{})
	second := newJournal(t, journal.Attempt{Run: first.id, Attempt: 2, Labels: map[string]string{"try": "2"}})
	second.command()
	_, data := second.take()
	var refused *index.RefusedError
	var early *index.TooEarlyError
	if got := try(t, s, index.Append{Run: first.id, Attempt: 2, Data: data, At: noon}); !errors.As(got.Err, &early) {
		t.Errorf("a second attempt beside a live one: %+v", got)
	}
	lose(t, s, first.id)
	got := one(t, s, first.id, 2, 0, data)
	if got.Run.Attempt != 2 || got.Run.State != job.Running || got.Run.Number != 1 || got.Run.Outcome != nil || got.Run.Output.Bytes != 0 {
		t.Errorf("second attempt: %+v", got.Run)
	}
	if b := beatOnce(t, s, first.id, 1, noon); b.Owner || !b.Known {
		t.Errorf("beat of the superseded attempt: %+v", b)
	}
	if run, err := s.RunAttempt(t.Context(), first.id, 1); err != nil || run.State != job.Lost || run.Attempt != 1 || run.Outcome == nil || run.Output.Bytes != 6 {
		t.Errorf("first attempt: %+v, %v", run, err)
	}
	first.end(1)
	offset, late := first.take()
	if got := one(t, s, first.id, 1, offset, late); got.Run.Attempt != 2 || got.Run.State != job.Running || len(got.Events) != 0 {
		t.Errorf("late bytes of the first attempt: %+v", got)
	}
	if run, err := s.RunAttempt(t.Context(), first.id, 1); err != nil || run.State != job.Failed || !run.Output.Complete || run.Number != 1 {
		t.Errorf("first attempt: %+v, %v", run, err)
	}
	if run, err := s.RunAttempt(t.Context(), first.id, 2); err != nil || run.State != job.Running {
		t.Errorf("second attempt: %+v, %v", run, err)
	}
	var missing *query.NotFoundError
	if _, err := s.RunAttempt(t.Context(), first.id, 3); !errors.As(err, &missing) {
		t.Errorf("third attempt: %v", err)
	}
	page, err := s.Runs(t.Context(), query.Runs{Limit: 5, Labels: map[string]string{"try": "2"}})
	if err != nil || len(page.Runs) != 1 {
		t.Errorf("by the label of the second attempt: %+v, %v", page, err)
	}
	other := newJournal(t, journal.Attempt{Run: first.id, Attempt: 3, Job: "another"})
	_, data = other.take()
	if got := try(t, s, index.Append{Run: first.id, Attempt: 3, Data: data, At: noon}); !errors.As(got.Err, &refused) {
		t.Errorf("an attempt of another job: %+v", got)
	}
}

func cancel(t *testing.T, s *store.Store) {
	j := running(t, s, journal.Attempt{})
	ask := job.Cancel{By: "ada\x00", Why: "enough", At: noon.Add(time.Minute)}
	run, changes, err := s.RequestCancel(t.Context(), j.id, ask)
	if err != nil || run.State != job.Stopping || run.Cancel == nil || len(changes) != 1 || changes[0].ID == 0 {
		t.Fatalf("cancel: %+v %+v %v", run, changes, err)
	}
	again, more, err := s.RequestCancel(t.Context(), j.id, job.Cancel{By: "bob", At: noon})
	if err != nil || len(more) != 0 || again.Cancel.Why != "enough" {
		t.Errorf("cancel again: %+v %+v %v", again.Cancel, more, err)
	}
	if b := beatOnce(t, s, j.id, 1, noon); b.Cancel == nil || b.Cancel.Why != "enough" {
		t.Errorf("beat: %+v", b)
	}
	if diff := cmp.Diff(mustRun(t, s, j.id).Cancel, run.Cancel); diff != "" {
		t.Error("stored cancel:", diff)
	}
	id, data := whole(t, journal.Attempt{}, 0)
	one(t, s, id, 1, 0, data)
	if run, changes, err := s.RequestCancel(t.Context(), id, ask); err != nil || run.Cancel != nil || len(changes) != 0 {
		t.Errorf("cancel of an ended run: %+v %+v %v", run.Cancel, changes, err)
	}
	var missing *query.NotFoundError
	if _, _, err := s.RequestCancel(t.Context(), runID(), ask); !errors.As(err, &missing) {
		t.Errorf("cancel of no run: %v", err)
	}
}

func leases(t *testing.T, s *store.Store) {
	a, b := running(t, s, journal.Attempt{}), running(t, s, journal.Attempt{})
	if due, err := s.Due(t.Context(), noon.Add(10*time.Second), 10); err != nil || len(due) != 0 {
		t.Errorf("due at once: %+v, %v", due, err)
	}
	beatOnce(t, s, b.id, 1, noon.Add(20*time.Second))
	due, err := s.Due(t.Context(), noon.Add(31*time.Second), 10)
	if err != nil || len(due) != 1 || due[0].Run != a.id {
		t.Fatalf("due: %+v, %v", due, err)
	}
	next := noon.Add(time.Minute)
	quiet := lease.Verdict{
		Run: a.id, Attempt: 1, ReportedAt: due[0].ReportedAt, At: noon.Add(31 * time.Second), Health: job.Warning, Evidence: "No heartbeat for 31s.",
		Findings: []job.Finding{{Rule: "quiet", Health: job.Warning, Since: noon, Evidence: "e", Next: "lost", NextAt: &next}},
	}
	stale := quiet
	stale.Run, stale.ReportedAt = b.id, noon
	missing := quiet
	missing.Run = runID()
	judged, err := s.Judge(t.Context(), []lease.Verdict{quiet, stale, missing})
	if err != nil || len(judged) != 1 || judged[0].Run.Health != job.Warning || judged[0].Events[0].Rule != "quiet" {
		t.Fatalf("judged: %+v, %v", judged, err)
	}
	if run := mustRun(t, s, a.id); len(run.Findings) != 1 || run.Findings[0].NextAt == nil {
		t.Errorf("findings: %+v", run.Findings)
	}
	if judged, err = s.Judge(t.Context(), []lease.Verdict{quiet}); err != nil || len(judged) != 0 {
		t.Errorf("the same verdict again: %+v, %v", judged, err)
	}
	due, err = s.Due(t.Context(), noon, 10)
	if err != nil || len(due) != 1 || due[0].Run != a.id || len(due[0].Findings) != 1 {
		t.Errorf("a run with a finding is looked at again: %+v, %v", due, err)
	}
	well := lease.Verdict{Run: a.id, Attempt: 1, ReportedAt: noon, At: noon.Add(time.Minute), Health: job.Healthy, Evidence: "Reported again."}
	judged, err = s.Judge(t.Context(), []lease.Verdict{well})
	if err != nil || len(judged) != 1 || judged[0].Events[0].To != "healthy" || judged[0].Events[0].Rule != "recovered" {
		t.Errorf("recovered: %+v, %v", judged, err)
	}
}

// A lease that was granted by a clock that was ahead begins again at the time of the clock now. Others stay.
func leasesOfAClockAhead(t *testing.T, s *store.Store) {
	ahead, usual := running(t, s, journal.Attempt{}).id, running(t, s, journal.Attempt{}).id
	now := noon.Add(time.Hour)
	takeBeats(t, s, []lease.Beat{
		{Run: ahead, Attempt: 1, At: now.Add(365 * 24 * time.Hour), Lease: time.Minute},
		{Run: usual, Attempt: 1, At: now.Add(-time.Second), Lease: time.Minute},
	})
	if err := s.ResetLeases(t.Context(), []string{ahead, usual}, now); err != nil {
		t.Fatal(err)
	}
	for run, reported := range map[string]time.Time{ahead: now, usual: now.Add(-time.Second)} {
		leases, err := s.Leases(t.Context(), []string{run})
		if err != nil || len(leases) != 1 {
			t.Fatal(leases, err)
		}
		if l := leases[0]; !l.ReportedAt.Equal(reported) || !l.ExpiresAt.Equal(reported.Add(time.Minute)) || !l.BeatAt.Equal(reported) {
			t.Errorf("reported at %v, ends at %v, heartbeat at %v; want it reported at %v", l.ReportedAt, l.ExpiresAt, l.BeatAt, reported)
		}
	}
}
