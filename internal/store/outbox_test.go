package store_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
	"stint.dev/stint/journal"
)

func TestOutboxSQLite(t *testing.T)     { outboxSuite(t, openSQLite) }
func TestOutboxPostgreSQL(t *testing.T) { outboxSuite(t, openPostgres) }

func outboxSuite(t *testing.T, open func(*testing.T) *store.Store) {
	t.Parallel() // it waits for disks
	for name, test := range map[string]func(*testing.T, *store.Store){
		"causes come with changes":     causesWithChanges,
		"good news":                    goodNews,
		"dispatch":                     dispatching,
		"results and repeats":          storingResults,
		"routes":                       routeRows,
		"verdicts bring their entries": verdictEntries,
		"lost is withdrawn":            lostWithdrawn,
		"failure before a withdrawal":  failureBeforeWithdrawal,
		"lost, and flushed later":      lostAndFlushed,
		"lost, and flushed in parts":   lostAndDelivered,
		"late journals in parts":       lateInParts,
		"a host's journals in parts":   lateHostInParts,
		"a late journal without end":   lateWithoutEnd,
		"late, and alive":              lateAndAlive,
		"outage of a night":            outageOfANight,
		"the last of a night failed":   lastOfANightFailed,
		"failure after the success":    failureAfterTheSuccess,
		"failures of parallel runs":    parallelFailures,
		"late success":                 lateSuccess,
		"long delivery":                longDelivery,
		"a late run that is damaged":   lateAndDamaged,
		"late from several hosts":      lateFromHosts,
		"retention of late runs":       lateAndOld,
		"cancel without the agent":     cancelWithoutAgent,
		"retry in place":               retryInPlace,
		"requested by a policy":        requestedByPolicy,
		"retry by the server's clock":  retryOnTheServersClock,
		"retry that was asked for":     retryAskedFor,
		"acknowledge":                  acknowledging,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// outboxOf lists what the outbox holds, oldest first.
func outboxOf(t *testing.T, s *store.Store, run string) []api.Action {
	t.Helper()
	actions, err := s.Actions(t.Context(), query.Actions{Run: run, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(actions)
	return actions
}

func words(actions []api.Action) []string {
	var out []string
	for _, a := range actions {
		out = append(out, a.Kind+" "+a.What)
	}
	return out
}

func wantWords(t *testing.T, s *store.Store, run string, want ...string) []api.Action {
	t.Helper()
	actions := outboxOf(t, s, run)
	if diff := cmp.Diff(want, words(actions)); diff != "" {
		t.Errorf("outbox (-want +got):\n%s", diff)
	}
	return actions
}

func causesWithChanges(t *testing.T, s *store.Store) {
	id, data := whole(t, journal.Attempt{}, 3)
	one(t, s, id, 1, 0, data)
	got := wantWords(t, s, id, "notify failed")[0]
	if got.Severity != job.Critical || got.Message != "Exited with code 3." || got.Status != outbox.Pending || got.Attempt != 1 || got.Cause != got.ID {
		t.Errorf("action: %+v", got)
	}
	// The same bytes again change nothing, and neither does an append that is refused.
	try(t, s, index.Append{Run: id, Attempt: 1, Offset: 0, Data: data, At: noon})
	wantWords(t, s, id, "notify failed")

	j := running(t, s, journal.Attempt{Job: "other"})
	lose(t, s, j.id)
	wantWords(t, s, j.id) // the monitor decides what a verdict notifies of
	beatOnce(t, s, j.id, 1, noon.Add(time.Hour))
	wantWords(t, s, j.id, "notify healed")
}

// loseAndNotify stores that a running job is lost at noon, which is to be notified after a time.
func loseAndNotify(t *testing.T, s *store.Store, name string, wait time.Duration) *testJournal {
	t.Helper()
	j := running(t, s, journal.Attempt{Job: name})
	l := leaseOf(t, s, j.id)
	judged, err := s.Judge(t.Context(), []lease.Verdict{{
		Run: j.id, Attempt: 1, ReportedAt: l.ReportedAt, At: noon, Lost: true, Evidence: "No heartbeat.",
		Outbox: []outbox.Entry{{
			Kind: outbox.Notify, Run: j.id, Attempt: 1, What: outbox.WhatLost, Severity: job.Critical, At: noon, After: noon.Add(wait),
		}},
	}})
	if err != nil || len(judged) != 1 {
		t.Fatalf("judged %+v, %v", judged, err)
	}
	return j
}

// A notification that a run is lost, which waits, is withdrawn when the agent reports again or the
// job has succeeded since, and with it what would have ended it; the history keeps both.
func lostWithdrawn(t *testing.T, s *store.Store) {
	const wait = time.Minute
	lost := func(name string) string {
		t.Helper()
		return loseAndNotify(t, s, name, wait).id
	}
	dispatch := func() {
		t.Helper()
		if _, err := s.Dispatch(t.Context(), noon, 10, func(api.Action, *job.Run) ([]string, string) { return []string{"a", "b"}, "" }); err != nil {
			t.Fatal(err)
		}
	}
	for name, before := range map[string]func(){"before": func() {}, "after": dispatch} {
		id := lost("reported in time, " + name)
		before()
		beatOnce(t, s, id, 1, noon.Add(wait-time.Second))
		for _, a := range outboxOf(t, s, id) {
			if a.What != outbox.WhatLost || a.Status != outbox.Dropped || a.LastError != "the agent reported again" {
				t.Errorf("reported again in time, %s it was dispatched: %+v", name, a)
			}
		}
		events, err := s.Events(t.Context(), id, 0, 10)
		if n := len(events); err != nil || n < 2 || events[n-2].To != "lost" || events[n-1].From != "lost" {
			t.Errorf("history: %+v, %v", events, err)
		}
	}
	for after, want := range map[time.Duration]time.Duration{wait - time.Second: 0, wait + time.Second: wait + time.Second} {
		lost("figures")
		f, err := s.Figures(t.Context(), noon.Add(after))
		if err != nil || f.OutboxPending == 0 || f.OutboxOldest != want {
			t.Errorf("figures %s after: %+v, %v", after, f, err)
		}
	}
	late := lost("reported too late")
	beatOnce(t, s, late, 1, noon.Add(wait))
	wantWords(t, s, late, "notify lost", "notify healed")

	again := lost("a good run followed")
	id, data := whole(t, journal.Attempt{Job: "a good run followed"}, 0)
	try(t, s, index.Append{Run: id, Attempt: 1, Data: data, At: noon.Add(wait / 2)})
	wantWords(t, s, id)
	if a := wantWords(t, s, again, "notify lost")[0]; a.Status != outbox.Dropped {
		t.Errorf("a good run followed in time: %+v", a)
	}
	notified := lost("a good run followed later")
	id, data = whole(t, journal.Attempt{Job: "a good run followed later"}, 0)
	try(t, s, index.Append{Run: id, Attempt: 1, Data: data, At: noon.Add(2 * wait)})
	wantWords(t, s, notified, "notify lost")
	wantWords(t, s, id, "notify recovered")
}

// The journal of a dead agent, delivered in several appends, changes a lost run only with the outcome;
// where that is lost, too, people are notified once.
func lostAndDelivered(t *testing.T, s *store.Store) {
	failed := job.Classify(job.Ending{Step: "command", Kind: job.CommandStep, ExitCode: 3})
	for name, c := range map[string]struct {
		outcome       job.Outcome
		events, words []string
	}{
		"lost":   {job.Unfinished(false, noon), []string{"lost to lost"}, []string{"notify lost"}},
		"failed": {failed, []string{"lost to stopping", "stopping to failed"}, []string{"notify lost", "notify healed", "notify failed"}},
	} {
		j := loseAndNotify(t, s, name, 0)
		lost, before := mustRun(t, s, j.id), history(t, s, j.id)
		deliver := func(write func()) job.Run {
			t.Helper()
			write()
			offset, data := j.take()
			got := try(t, s, index.Append{Run: j.id, Attempt: 1, Offset: offset, Data: data, Writer: 1, At: noon.Add(time.Second)})
			if got.Err != nil {
				t.Fatal(got.Err)
			}
			return mustRun(t, s, j.id)
		}
		try(t, s, index.Append{Run: j.id, Attempt: 1, Offset: j.w.Size(), Writer: 1, At: noon}) // takes it over
		for i, write := range []func(){
			func() { j.output("more\n") },
			func() { j.json(journal.TypeStopping, journal.Stopping{Reason: job.Timeout}) },
			func() { j.json(journal.TypeStepEnded, journal.StepEnded{Index: 0, Outcome: c.outcome}) },
		} {
			run := deliver(write)
			if run.State != job.Lost || run.EndedAt != nil || cmp.Diff(lost.Outcome, run.Outcome) != "" || run.Output.Bytes <= lost.Output.Bytes {
				t.Errorf("%s, after append %d: %+v", name, i, run)
			}
			if diff := cmp.Diff(before, history(t, s, j.id)); diff != "" {
				t.Errorf("%s, after append %d the history (-before +after):\n%s", name, i, diff)
			}
		}
		run := deliver(func() { must(t, j.w.Finish(j.tick(), journal.Final{Outcome: c.outcome})) })
		if run.State != c.outcome.State || run.EndedAt == nil || run.Outcome.Message != c.outcome.Message || !run.Output.Complete {
			t.Errorf("%s, in the end: %+v", name, run)
		}
		if diff := cmp.Diff(append(before, c.events...), history(t, s, j.id)); diff != "" {
			t.Errorf("%s: history (-want +got):\n%s", name, diff)
		}
		wantWords(t, s, j.id, c.words...)
		if waiting, err := s.Undiagnosed(t.Context(), 10); err != nil || !slices.ContainsFunc(waiting, func(r job.Run) bool { return r.ID == j.id }) {
			t.Errorf("%s: no diagnosis is asked for: %v", name, err)
		}
	}
}

// history is the changes of state of a run.
func history(t *testing.T, s *store.Store, run string) []string {
	t.Helper()
	events, err := s.Events(t.Context(), run, 0, 100)
	must(t, err)
	var states []string
	for _, e := range events {
		if e.Kind == "state" {
			states = append(states, e.From+" to "+e.To)
		}
	}
	return states
}

// A good run withdraws the notifications of lost runs that wait, and ends the failure before them
// that people were notified of, once.
func failureBeforeWithdrawal(t *testing.T, s *store.Store) {
	const name = "nightly"
	deliver(t, s, journal.Attempt{Job: name}, 1, noon.Add(-time.Minute), noon.Add(-time.Minute))
	deliver(t, s, journal.Attempt{Job: name}, 1, noon.Add(-30*time.Second), noon.Add(-30*time.Second))
	loseAndNotify(t, s, name, time.Minute)
	loseAndNotify(t, s, name, time.Minute)
	wantPending(t, s, "failed nightly#1", "failed nightly#2", "lost nightly#3", "lost nightly#4")
	deliver(t, s, journal.Attempt{Job: name}, 0, noon.Add(20*time.Second), noon.Add(25*time.Second))
	want := []string{"failed nightly#1", "failed nightly#2", "recovered nightly#5: Succeeded again, after run #2 had not."}
	wantPending(t, s, want...)
	deliver(t, s, journal.Attempt{Job: name}, 0, noon.Add(40*time.Second), noon.Add(45*time.Second))
	wantPending(t, s, want...)

	// Nobody was notified of a failure before.
	loseAndNotify(t, s, "other", time.Minute)
	loseAndNotify(t, s, "other", time.Minute)
	deliver(t, s, journal.Attempt{Job: "other"}, 0, noon.Add(20*time.Second), noon.Add(25*time.Second))
	wantPending(t, s, want...)
}

func goodNews(t *testing.T, s *store.Store) {
	run := func(code int) string {
		id, data := whole(t, journal.Attempt{}, code)
		one(t, s, id, 1, 0, data)
		return id
	}
	wantWords(t, s, run(0)) // no news
	wantWords(t, s, run(1), "notify failed")
	got := wantWords(t, s, run(0), "notify recovered")
	if got[0].Message != "Succeeded again, after run #2 had not." {
		t.Errorf("message %q", got[0].Message)
	}
	wantWords(t, s, run(0))
	// Both may come in one group, from a spool that waited.
	bad, first := whole(t, journal.Attempt{}, 1)
	good, second := whole(t, journal.Attempt{}, 0)
	behind := noon.Sub(epoch)
	_, _, err := s.Ingest(t.Context(), []index.Append{
		{Run: bad, Attempt: 1, Data: first, At: noon, ClockOffset: behind}, {Run: good, Attempt: 1, Data: second, At: noon, ClockOffset: behind},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantWords(t, s, good, "notify recovered")
	if err := s.SetRoute(t.Context(), api.Route{Name: "all", Match: api.RouteMatch{Events: []string{"succeeded"}}}); err != nil {
		t.Fatal(err)
	}
	wantWords(t, s, run(0), "notify succeeded")
}

func dispatching(t *testing.T, s *store.Store) {
	id, data := whole(t, journal.Attempt{Labels: map[string]string{"team": "ml"}}, 3)
	one(t, s, id, 1, 0, data)
	if err := s.AddOutbox(t.Context(), []outbox.Entry{{Kind: outbox.Notify, What: "network", Severity: job.Warning, At: noon}}); err != nil {
		t.Fatal(err)
	}
	n, err := s.Dispatch(t.Context(), noon, 10, func(a api.Action, run *job.Run) ([]string, string) {
		if run == nil {
			return nil, "nobody asked"
		}
		if run.Labels["team"] != "ml" {
			t.Errorf("run: %+v", run)
		}
		return []string{"one", "two"}, ""
	})
	if err != nil || n != 2 {
		t.Fatalf("%d %v", n, err)
	}
	rows := outboxOf(t, s, "")
	var seen []string
	for _, a := range rows {
		seen = append(seen, fmt.Sprint(a.What, " ", a.Route, " ", a.Status, " ", a.LastError, " ", a.Cause != a.ID))
	}
	slices.Sort(seen)
	want := []string{"failed one pending  true", "failed two pending  true", "network  dropped nobody asked false"}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
	if n, err := s.Dispatch(t.Context(), noon, 10, nil); err != nil || n != 0 {
		t.Errorf("again: %d %v", n, err)
	}
}

// Two servers dispatch at once: each cause goes to its route once, and in order.
func TestTwoServersDispatch(t *testing.T) {
	url := postgrestest.URL(t)
	a, b := openURL(t, url), openURL(t, url)
	for n := range 50 {
		entry := outbox.Entry{Kind: outbox.Notify, What: "network", Message: fmt.Sprint(n), At: noon}
		if err := a.AddOutbox(t.Context(), []outbox.Entry{entry}); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for _, s := range []*store.Store{a, b} {
		wg.Go(func() {
			for range 25 {
				if _, err := s.Dispatch(t.Context(), noon, 7, func(api.Action, *job.Run) ([]string, string) { return []string{"r"}, "" }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	rows, err := b.RouteRows(t.Context(), "r", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for n, row := range rows {
		if row.Message != fmt.Sprint(n) {
			t.Fatalf("row %d is %s", n, row.Message)
		}
	}
	if len(rows) != 50 {
		t.Errorf("%d rows", len(rows))
	}
}

func storingResults(t *testing.T, s *store.Store) {
	id, data := whole(t, journal.Attempt{}, 3)
	one(t, s, id, 1, 0, data)
	if _, err := s.Dispatch(t.Context(), noon, 10, func(api.Action, *job.Run) ([]string, string) { return []string{"r"}, "" }); err != nil {
		t.Fatal(err)
	}
	row := outboxOf(t, s, id)[0]
	storeResult := func(one outbox.Result) api.Action {
		t.Helper()
		if err := s.StoreResults(t.Context(), []outbox.Result{one}); err != nil {
			t.Fatal(err)
		}
		return outboxOf(t, s, id)[0]
	}
	later := noon.Add(time.Minute)
	got := storeResult(outbox.Result{ID: row.ID, Status: outbox.Pending, Tries: 1, NextAt: later, Batch: row.ID, Error: "no\x1b[0m", At: noon})
	if got.Tries != 1 || !got.NextAt.Equal(later) || got.Batch != row.ID || got.LastError == "" || got.DoneAt != nil {
		t.Errorf("tried: %+v", got)
	}
	again := later.Add(time.Hour)
	got = storeResult(outbox.Result{ID: row.ID, Status: outbox.Done, Tries: 2, Batch: row.ID, At: later, Again: again})
	if got.Status != outbox.Done || !got.DoneAt.Equal(later) || got.NextAt != nil {
		t.Errorf("done: %+v", got)
	}
	rows := outboxOf(t, s, id)
	if len(rows) != 2 || rows[1].Repeat != 1 || rows[1].Cause != row.Cause || !rows[1].NextAt.Equal(again) || rows[1].Batch != 0 || !rows[1].CreatedAt.Equal(row.CreatedAt) {
		t.Fatalf("repetition: %+v", rows)
	}
	// What is finished stays so, and makes no second repetition.
	if got = storeResult(outbox.Result{ID: row.ID, Status: outbox.Failed, At: later, Again: again}); got.Status != outbox.Done || len(outboxOf(t, s, id)) != 2 {
		t.Errorf("finished twice: %+v", got)
	}
	if err := s.TidyOutbox(t.Context(), again, later.Add(time.Second), 10); err != nil {
		t.Fatal(err)
	}
	if rows = outboxOf(t, s, id); len(rows) != 1 || rows[0].Status != outbox.Dropped || rows[0].LastError != "the route was deleted" {
		t.Errorf("tidied: %+v", rows)
	}
}

func routeRows(t *testing.T, s *store.Store) {
	ctx := t.Context()
	var missing *query.NotFoundError
	if _, err := s.Route(ctx, "x"); !errors.As(err, &missing) {
		t.Errorf("no route: %v", err)
	}
	r := api.Route{Name: "x", URL: "https://example.org/hook", Secret: "whsec_c2VjcmV0", Enabled: true, ChangedAt: noon, Match: api.RouteMatch{Job: "n*"}, Quiet: &api.QuietHours{Cron: "0 22 * * *", Duration: "9h"}}
	if err := s.SetRoute(ctx, r); err != nil {
		t.Fatal(err)
	}
	got, err := s.Route(ctx, "x")
	if diff := cmp.Diff(r, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	reserve := func(owner string, at, until time.Time) bool {
		t.Helper()
		mine, err := s.ReserveRoute(ctx, "x", owner, at, until)
		if err != nil {
			t.Fatal(err)
		}
		return mine
	}
	minute := noon.Add(time.Minute)
	if !reserve("a", noon, minute) || reserve("b", noon, minute) || !reserve("a", noon, minute) || !reserve("b", minute, minute.Add(time.Minute)) || reserve("a", minute, minute) {
		t.Error("a reservation does not hold, or holds too long")
	}
	year := minute.Add(365 * 24 * time.Hour)
	if !reserve("b", year, year.Add(time.Minute)) || !reserve("a", minute, minute.Add(time.Minute)) || !reserve("b", minute.Add(time.Minute), minute.Add(2*time.Minute)) {
		t.Error("a reservation by a clock that was ahead holds until that time")
	}
	r.URL = "https://example.org/other"
	if err := s.SetRoute(ctx, r); err != nil {
		t.Fatal(err)
	}
	if reserve("a", minute, minute) {
		t.Error("a change of the route gave it to somebody else")
	}
	if err := s.AddOutbox(ctx, []outbox.Entry{{Kind: outbox.Notify, What: "network", At: noon}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Dispatch(ctx, noon, 10, func(api.Action, *job.Run) ([]string, string) { return []string{"x"}, "" }); err != nil {
		t.Fatal(err)
	}
	all, err := s.Deliveries(ctx)
	if err != nil || len(all) != 1 || !all[0].Pending || all[0].Route.URL != r.URL || all[0].Route.Secret != r.Secret {
		t.Errorf("deliveries: %+v %v", all, err)
	}
	if err := s.DeleteRoute(ctx, "x", noon); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteRoute(ctx, "x", noon); !errors.As(err, &missing) {
		t.Errorf("deleted twice: %v", err)
	}
	if rows := outboxOf(t, s, ""); len(rows) != 1 || rows[0].Status != outbox.Dropped {
		t.Errorf("after the route: %+v", rows)
	}
}

func verdictEntries(t *testing.T, s *store.Store) {
	j := running(t, s, journal.Attempt{})
	l := leaseOf(t, s, j.id)
	entry := outbox.Entry{Kind: outbox.Notify, Run: j.id, Attempt: 1, What: "lost", Severity: job.Critical, Message: "gone", At: noon}
	v := lease.Verdict{Run: j.id, Attempt: 1, ReportedAt: l.ReportedAt.Add(-time.Second), At: noon, Lost: true, Evidence: "gone", Outbox: []outbox.Entry{entry}}
	judge := func() {
		t.Helper()
		if _, err := s.Judge(t.Context(), []lease.Verdict{v}); err != nil {
			t.Fatal(err)
		}
	}
	judge()
	wantWords(t, s, j.id) // the verdict was not applied, so nobody is notified of it
	v.ReportedAt = l.ReportedAt
	judge()
	judge()
	wantWords(t, s, j.id, "notify lost")
}
