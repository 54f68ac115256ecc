package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/query"
	rules "stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/queue"
	"stint.dev/stint/job"
)

// gatesOf are the gates of a run in the queue.
func gatesOf(t *testing.T, s *store.Store, run string) string {
	t.Helper()
	q, err := s.ExplainQueued(t.Context(), run)
	must(t, err)
	if q == nil {
		return "not in the queue"
	}
	names := []string{}
	for _, g := range q.Gates {
		names = append(names, g.Gate)
	}
	return fmt.Sprintf("%s, %d ahead", strings.Join(names, " "), q.Ahead)
}

func explainedRuns(t *testing.T, s *store.Store) {
	s.SetClock(func() time.Time { return noon })
	var workers []rules.Worker
	s.UseWorkers(func(context.Context) ([]rules.Worker, error) { return workers, nil })
	applied(t, s, definitionSet(t, "job: a\nscript: echo\n"))
	setGroup(t, s, 1)
	grouped := func(r *job.SubmitRequest) { r.Group = "db" }
	first, second, third := submitCommand(t, s, "x", grouped), submitCommand(t, s, "x", grouped), submitCommand(t, s, "x", grouped)
	matchRound(t, s, false)
	wantText(t, gatesOf(t, s, first), "no_worker, 0 ahead")
	workers = []rules.Worker{{Host: "a", Commands: true, Specs: []int{1}, Slots: 1}}
	wantText(t, gatesOf(t, s, first), "no_slot, 0 ahead")
	workers[0].Free = 1
	wantText(t, gatesOf(t, s, first), ", 0 ahead")
	later := submitCommand(t, s, "y", func(r *job.SubmitRequest) { r.DelayMS = 1000 })
	wantText(t, gatesOf(t, s, later), "not_before, 0 ahead")
	turn := submitCommand(t, s, "y", nil)
	wantText(t, gatesOf(t, s, turn), "turn, 1 ahead")
	follows := submitCommand(t, s, "y", after("ended", later))
	wantText(t, gatesOf(t, s, follows), "after, 0 ahead")
	if got := take(t, s, anyWorker(1)); len(got) != 1 || got[0].Run != first {
		t.Fatalf("%+v", got)
	}
	wantText(t, gatesOf(t, s, first), ", 0 ahead")
	wantText(t, gatesOf(t, s, second), "group, 0 ahead")
	wantText(t, gatesOf(t, s, third), "group, 1 ahead")
	defined := submit(t, s, job.SubmitRequest{Job: "a"})
	must(t, s.Exec(t.Context(), `UPDATE definitions SET paused_at = 1, paused_by = 'bob'`))
	matchRound(t, s, false)
	wantText(t, gatesOf(t, s, defined), "paused, 0 ahead")
	wantText(t, gatesOf(t, s, runID()), "not in the queue")

	q, err := s.ExplainQueued(t.Context(), second)
	if err != nil || q.By != "ada" || q.Number != 2 || q.Attempt != 1 || q.State != job.Queued || q.Group != "db" ||
		q.Priority != job.PriorityNormal || !q.Since.Equal(noon) || q.Gates[0].Text != "The group db has 1 of 1 places taken, by x#1." {
		t.Errorf("%+v, %v", q, err)
	}
	groups, err := s.Groups(t.Context())
	if err != nil || len(groups) != 1 || groups[0] != (job.Group{Name: "db", Limit: 1, Active: 1, Waiting: 2}) {
		t.Errorf("%+v, %v", groups, err)
	}
}

func pagesOfTheQueue(t *testing.T, s *store.Store) {
	now := noon
	s.SetClock(func() time.Time { return now })
	var ids []string
	for i := range 5 {
		ids = append(ids, submitCommand(t, s, fmt.Sprint("job", i%2), nil))
		now = now.Add(time.Duration(i%2) * time.Second)
	}
	var got []string
	cursor := ""
	for range 10 {
		page, err := s.ListQueue(t.Context(), query.Queue{Limit: 2, Cursor: cursor})
		must(t, err)
		if page.Queued != 5 || page.Held != 0 || len(page.Runs) > 2 {
			t.Errorf("%+v", page)
		}
		for _, r := range page.Runs {
			got = append(got, r.Run)
		}
		if page.NextCursor == nil {
			break
		}
		cursor = *page.NextCursor
	}
	wantText(t, strings.Join(got, " "), strings.Join(ids, " "))
	page, err := s.ListQueue(t.Context(), query.Queue{Job: "job1", Limit: 10})
	if err != nil || len(page.Runs) != 2 || page.NextCursor != nil {
		t.Errorf("of a job: %+v, %v", page, err)
	}
	page, err = s.ListQueue(t.Context(), query.Queue{Group: "db", Held: true, Limit: 10})
	if err != nil || len(page.Runs) != 0 {
		t.Errorf("of a group: %+v, %v", page, err)
	}
	var bad *job.InvalidError
	for _, cursor := range []string{"x", "1", "1.x", "x." + ids[0]} {
		if _, err := s.ListQueue(t.Context(), query.Queue{Limit: 2, Cursor: cursor}); !errors.As(err, &bad) {
			t.Errorf("cursor %s: %v", cursor, err)
		}
	}
}

func prioritiesInTheQueue(t *testing.T, s *store.Store) {
	var ids []string
	for range 6 {
		ids = append(ids, submitCommand(t, s, "a", nil))
	}
	submitCommand(t, s, "b", nil)
	run, err := s.SetPriority(t.Context(), ids[5], job.PriorityHigh)
	if err != nil || run.Submitted.Priority != job.PriorityHigh {
		t.Fatal(run, err)
	}
	got := take(t, s, anyWorker(3)) // the ranks of three lanes begin at once
	first := map[string]bool{got[0].Run: true, got[1].Run: true, got[2].Run: true}
	if len(got) != 3 || !first[ids[5]] || !first[ids[0]] || got[0].Job+got[1].Job+got[2].Job == "aaa" {
		t.Errorf("%s", namesOf(got))
	}
	if _, err := s.SetPriority(t.Context(), ids[1], job.PriorityLow); err != nil {
		t.Fatal(err)
	}
	rest := take(t, s, anyWorker(10))
	if len(rest) != 4 {
		t.Errorf("%d runs are left", len(rest))
	}
	var conflict *rules.ConflictError
	if _, err := s.SetPriority(t.Context(), ids[0], job.PriorityLow); !errors.As(err, &conflict) {
		t.Errorf("of a run that was taken: %v", err)
	}
	var bad *job.InvalidError
	if _, err := s.SetPriority(t.Context(), ids[0], "urgent"); !errors.As(err, &bad) {
		t.Errorf("%v", err)
	}
}

func heldQueue(t *testing.T, s *store.Store) {
	now := noon
	s.SetClock(func() time.Time { return now })
	s.UseWorkers(nil)
	for _, name := range []string{"a", "b", "b"} {
		submitCommand(t, s, name, nil)
	}
	claimed := submitCommand(t, s, "c", nil)
	w := anyWorker(1)
	w.Worker.Allow = []string{"c"}
	take(t, s, w)
	if n, err := s.HoldRestored(t.Context(), "restored"); err != nil || n != 4 {
		t.Fatal(n, err)
	}
	matchRound(t, s, true)
	wantText(t, namesOf(take(t, s, anyWorker(10))), "")
	with(t, s, queue.Return, claimed)
	wantText(t, gatesOf(t, s, claimed), "held, 0 ahead")
	page, err := s.ListQueue(t.Context(), query.Queue{Held: true, Limit: 10})
	if err != nil || len(page.Runs) != 4 || page.Held != 4 {
		t.Errorf("%+v, %v", page, err)
	}
	if n, err := s.ReleaseHeld(t.Context(), "b"); err != nil || n != 2 {
		t.Error(n, err)
	}
	matchRound(t, s, true)
	wantText(t, namesOf(take(t, s, anyWorker(10))), "") // agents that live report first
	now = now.Add(rules.RestoredGrace)
	matchRound(t, s, true)
	wantText(t, namesOf(take(t, s, anyWorker(10))), "b b")
	if n, err := s.ReleaseHeld(t.Context(), ""); err != nil || n != 2 {
		t.Error(n, err)
	}
	if got := take(t, s, anyWorker(10)); len(got) != 2 {
		t.Errorf("%s", namesOf(got))
	}
}
