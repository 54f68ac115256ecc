package store_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/queue"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// matchRound is a round of the matcher. It returns the runs that ended.
func matchRound(t *testing.T, s *store.Store, sweep bool) (ended []string) {
	t.Helper()
	must(t, s.MatchQueue(t.Context(), sweep, func(run job.Run) { ended = append(ended, run.ID) }))
	return ended
}

func after(how string, runs ...string) func(*job.SubmitRequest) {
	return func(r *job.SubmitRequest) {
		for _, run := range runs {
			r.After = append(r.After, job.Dependency{Run: run, When: how})
		}
	}
}

func dependenciesOfTheQueue(t *testing.T, s *store.Store) {
	s.SetClock(func() time.Time { return noon })
	j := newJournal(t, journal.Attempt{Job: "by hand"})
	j.command()
	offset, data := j.take()
	one(t, s, j.id, 1, offset, data)
	first := submitCommand(t, s, "first", nil)
	submitCommand(t, s, "good", after("succeeded", j.id))
	bad := submitCommand(t, s, "bad", after("failed", j.id))
	chained := submitCommand(t, s, "chained", after("succeeded", bad))
	submitCommand(t, s, "ended", after("ended", bad))
	submitCommand(t, s, "both", after("ended", j.id, first))
	matchRound(t, s, true)
	wantText(t, namesOf(take(t, s, anyWorker(10))), "first")
	with(t, s, queue.Return, first)

	j.end(0)
	offset, data = j.take()
	one(t, s, j.id, 1, offset, data)
	ended := matchRound(t, s, false) // its end is known
	ended = append(ended, matchRound(t, s, false)...)
	ended = append(ended, matchRound(t, s, false)...)
	if !slices.Equal(ended, []string{bad, chained}) {
		t.Errorf("ended: %v", ended)
	}
	run := mustRun(t, s, bad)
	if run.State != job.Canceled || run.Outcome.Reason != job.DependencyEnd || run.EndedAt == nil ||
		!strings.HasPrefix(run.Submitted.Reason, "dependency failed: run "+j.id+" is succeeded") {
		t.Errorf("%+v %+v", run, run.Outcome)
	}
	got := namesOf(take(t, s, anyWorker(10)))
	if parts := strings.Fields(got); len(parts) != 3 || !slices.Contains(parts, "good") || !slices.Contains(parts, "ended") || !slices.Contains(parts, "first") {
		t.Errorf("ready: %s", got)
	}
	if _, _, err := s.RequestCancel(t.Context(), first, job.Cancel{By: "ada", At: noon}); err != nil {
		t.Fatal(err)
	}
	matchRound(t, s, false)
	wantText(t, namesOf(take(t, s, anyWorker(10))), "both")
	if n, err := s.CountRows(t.Context(), "queue_after"); err != nil || n != 0 {
		t.Errorf("%d dependencies are left, %v", n, err)
	}
}

// A server that died after an end, and before the matcher knew of it, loses nothing; nor does the deletion of
// a run for which others wait.
func dependenciesAreSwept(t *testing.T, s *store.Store) {
	s.SetClock(func() time.Time { return noon })
	first := submitCommand(t, s, "first", nil)
	submitCommand(t, s, "second", after("ended", first))
	third := submitCommand(t, s, "third", after("succeeded", first))
	must(t, s.Exec(t.Context(), `UPDATE queue_after SET needs = 'x'`)) // a run that is not there
	if ended := matchRound(t, s, false); len(ended) != 0 {
		t.Errorf("ended: %v", ended)
	}
	if ended := matchRound(t, s, true); !slices.Equal(ended, []string{third}) {
		t.Errorf("ended: %v", ended)
	}
	wantText(t, namesOf(take(t, s, anyWorker(10))), "first second")
}

func expiredRuns(t *testing.T, s *store.Store) {
	now := noon
	s.SetClock(func() time.Time { return now })
	applied(t, s, definitionSet(t, "job: a\nscript: echo\nstart_within: 1h\ngroup: db\n"))
	blocked := submit(t, s, job.SubmitRequest{Job: "a"})
	claimed := submit(t, s, job.SubmitRequest{Job: "a", Labels: map[string]string{"x": "y"}})
	setGroup(t, s, 1)
	matchRound(t, s, true)
	w := anyWorker(1)
	w.Worker.Commands = false
	got := take(t, s, w)
	if len(got) != 1 || got[0].Run != blocked || got[0].StartBy == nil {
		t.Fatalf("%+v", got)
	}
	blocked, claimed = claimed, blocked
	now = noon.Add(time.Hour - time.Second)
	if ended := matchRound(t, s, true); len(ended) != 0 {
		t.Errorf("in time: %v", ended)
	}
	now = noon.Add(time.Hour)
	if ended := matchRound(t, s, true); !slices.Equal(ended, []string{blocked}) {
		t.Errorf("ended: %v, want %s", ended, blocked)
	}
	run := mustRun(t, s, blocked)
	if run.State != job.Canceled || run.Outcome.Reason != job.Expired || run.Submitted.Reason != "expired" || run.Attempt != 0 {
		t.Errorf("%+v %+v", run, run.Outcome)
	}
	with(t, s, queue.Return, claimed)
	if ended := matchRound(t, s, true); !slices.Equal(ended, []string{claimed}) {
		t.Errorf("ended when its claim did: %v", ended)
	}
	for _, table := range []string{"queue_entries", "queue_places", "queue_ready"} {
		if n, err := s.CountRows(t.Context(), table); err != nil || n != 0 {
			t.Errorf("%s: %d rows are left, %v", table, n, err)
		}
	}
}

func canceledInTheQueue(t *testing.T, s *store.Store) {
	s.SetClock(func() time.Time { return noon })
	setGroup(t, s, 1)
	grouped := func(r *job.SubmitRequest) { r.Group = "db" }
	first, second := submitCommand(t, s, "a", grouped), submitCommand(t, s, "b", grouped)
	ready := submitCommand(t, s, "c", nil)
	matchRound(t, s, true)
	if got := take(t, s, anyWorker(1)); len(got) != 1 {
		t.Fatalf("%+v", got)
	}
	for _, id := range []string{first, ready} {
		run, _, err := s.RequestCancel(t.Context(), id, job.Cancel{By: "ada", Why: "enough", At: noon})
		if err != nil || run.State != job.Canceled || run.Outcome.By != "ada" {
			t.Errorf("%+v, %v", run, err)
		}
	}
	matchRound(t, s, false)
	if got := take(t, s, anyWorker(10)); len(got) != 1 || got[0].Run != second {
		t.Errorf("%+v", got)
	}
}

// The loop makes runs ready when it is woken, and ends with its context.
func loopOfTheQueue(t *testing.T, s *store.Store) {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.RunQueue(ctx, slog.Default(), nil)
	}()
	submitCommand(t, s, "a", func(r *job.SubmitRequest) { r.Group = "db" })
	for {
		raised := s.Signals.Ready.Raised()
		if got := take(t, s, anyWorker(1)); len(got) == 1 {
			break
		}
		select {
		case <-raised:
		case <-time.After(20 * time.Second):
			t.Fatal("nothing becomes ready")
		}
	}
	stop()
	<-done
}
