package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// suspend is the last heartbeat of an agent that stops itself and its job.
func suspend(t *testing.T, s *store.Store, run string, at time.Time) lease.BeatResult {
	t.Helper()
	_, got, err := s.Ingest(t.Context(), nil, []lease.Beat{{
		Run: run, Attempt: 1, At: at, Lease: 24 * time.Hour, Heartbeat: job.Heartbeat{PeriodMS: 10_000, Suspended: true},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return got[0]
}

func suspendedRuns(t *testing.T, s *store.Store) {
	j := running(t, s, journal.Attempt{})
	for n := range 3 { // the owner is known, and its heartbeats change nothing but times
		beatOnce(t, s, j.id, 1, noon.Add(time.Duration(n)*time.Second))
	}
	at := noon.Add(10 * time.Second)
	want := func(what string, got lease.BeatResult, kind string, since *time.Time) {
		t.Helper()
		run := mustRun(t, s, j.id)
		if (run.SuspendedAt == nil) != (since == nil) || since != nil && !run.SuspendedAt.Equal(*since) || run.State != job.Running {
			t.Errorf("%s: the run is %s, suspended at %v", what, run.State, run.SuspendedAt)
		}
		if kind == "" {
			if len(got.Events) != 0 || got.Run != nil || !got.Owner {
				t.Errorf("%s: answered %+v", what, got)
			}
			return
		}
		if len(got.Events) != 1 || got.Events[0].Kind != kind || got.Events[0].Rule != kind || got.Events[0].To != string(job.Running) || got.Events[0].Evidence == "" {
			t.Fatalf("%s: events %+v", what, got.Events)
		}
		if diff := cmp.Diff(run, *got.Run); diff != "" {
			t.Errorf("%s (-stored +returned): %s", what, diff)
		}
	}
	want("suspended", suspend(t, s, j.id, at), job.EventSuspended, &at)
	if l := leaseOf(t, s, j.id); !l.Beat.Suspended || !l.ExpiresAt.Equal(at.Add(24*time.Hour)) {
		t.Errorf("lease %+v", l)
	}
	want("again", suspend(t, s, j.id, at.Add(time.Second)), "", &at)

	j.output("printed before\n")
	offset, data := j.take()
	one(t, s, j.id, 1, offset, data)
	if run := mustRun(t, s, j.id); run.SuspendedAt == nil || !run.SuspendedAt.Equal(at) {
		t.Errorf("an append that was on its way resumes the run: %v", run.SuspendedAt)
	}
	later := at.Add(time.Hour)
	want("resumed", beatOnce(t, s, j.id, 1, later), job.EventResumed, nil)
	want("goes on", beatOnce(t, s, j.id, 1, later.Add(time.Second)), "", nil)
	want("goes on, known", beatOnce(t, s, j.id, 1, later.Add(2*time.Second)), "", nil)
	if l := leaseOf(t, s, j.id); l.Beat.Suspended || !l.ExpiresAt.Equal(later.Add(2*time.Second+time.Minute)) {
		t.Errorf("lease %+v", l)
	}

	at = later.Add(time.Minute)
	want("suspended once more", suspend(t, s, j.id, at), job.EventSuspended, &at)
	lose(t, s, j.id)
	if run := mustRun(t, s, j.id); run.State != job.Lost || run.SuspendedAt != nil {
		t.Errorf("a lost run is %s, suspended at %v", run.State, run.SuspendedAt)
	}
	back := at.Add(3 * time.Hour)
	if got := suspend(t, s, j.id, back); len(got.Events) != 2 || got.Events[0].Rule != string(job.Heard) || got.Events[1].Kind != job.EventSuspended || got.Run.SuspendedAt == nil {
		t.Errorf("reported again while it stops: %+v", got)
	}
	j.end(0)
	offset, data = j.take()
	if got := one(t, s, j.id, 1, offset, data); got.Run.State != job.Succeeded || got.Run.SuspendedAt != nil {
		t.Errorf("ended: %s, suspended at %v", got.Run.State, got.Run.SuspendedAt)
	}
}
