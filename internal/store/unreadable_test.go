package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
	"stint.dev/stint/journal"
)

func TestUnreadableRowsInSQLite(t *testing.T)     { unreadableConformance(t, openSQLite) }
func TestUnreadableRowsInPostgreSQL(t *testing.T) { unreadableConformance(t, openPostgres) }

// In each of these something stored is damaged, and what is beside or behind it goes on.
func unreadableConformance(t *testing.T, open func(*testing.T) *store.Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *store.Store)
	}{
		{"a run, among appends and heartbeats", unreadableRunInAGroup},
		{"an attempt, among appends", unreadableAttemptInAGroup},
		{"a request to stop, among heartbeats", unreadableCancel},
		{"what is usual for a job", unreadableFigures},
		{"a text that cannot be made searchable", refusedText},
		{"a run whose closed connection cannot be noted", refusedClosing},
		{"a notification that cannot be dispatched", refusedDispatch},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			s.SetClock(func() time.Time { return noon })
			c.test(t, s)
		})
	}
}

// damageRows changes rows behind the back of the store.
func damageRows(t *testing.T, s *store.Store, query string, args ...any) {
	t.Helper()
	if err := s.Exec(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

// sorted starts some runs, and returns them in the order of their ids: that of groups.
func sorted(t *testing.T, s *store.Store, n int) []*testJournal {
	t.Helper()
	all := make([]*testJournal, n)
	for i := range all {
		all[i] = running(t, s, journal.Attempt{})
	}
	slices.SortFunc(all, func(a, b *testJournal) int { return strings.Compare(a.id, b.id) })
	return all
}

// group appends to all runs, and lets all beat, in one group.
func group(t *testing.T, s *store.Store, all []*testJournal) (appends []index.Append, appended []index.Appended, results []lease.BeatResult) {
	t.Helper()
	var beats []lease.Beat
	for _, j := range all {
		j.output("x\n")
		offset, data := j.take()
		appends = append(appends, index.Append{Run: j.id, Attempt: 1, Offset: offset, Data: data, At: noon})
		beats = append(beats, lease.Beat{Run: j.id, Attempt: 1, At: noon.Add(time.Second), Lease: time.Minute})
	}
	var err error
	if appended, results, err = s.Ingest(t.Context(), appends, beats); err != nil {
		t.Fatalf("the group as a whole: %v", err)
	}
	return appends, appended, results
}

func unreadableRunInAGroup(t *testing.T, s *store.Store) {
	all := sorted(t, s, 5)
	doc, err := json.Marshal(mustRun(t, s, all[0].id))
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range all[:3] { // as many as make a server believe that it is the database
		damageRows(t, s, `UPDATE runs SET doc = '{' WHERE id = $1`, j.id)
	}
	appends, appended, results := group(t, s, all)
	var bad *query.UnreadableError
	for i := range all {
		// A heartbeat needs no document: the agent stays trusted.
		if errors.As(appended[i].Err, &bad) != (i < 3) || results[i].Err != nil || !results[i].Owner {
			t.Errorf("run %d of 5, of which the first 3 cannot be read: append %v, heartbeat %+v", i, appended[i].Err, results[i])
		}
	}
	wantTroubled(t, s, "read_run "+all[0].id, "read_run "+all[1].id, "read_run "+all[2].id)
	damageRows(t, s, `UPDATE runs SET doc = $2 WHERE id = $1`, all[0].id, string(doc))
	if again := try(t, s, appends[0]); again.Err != nil {
		t.Errorf("after it was repaired: %v", again.Err)
	}
	wantTroubled(t, s, "read_run "+all[1].id, "read_run "+all[2].id)
}

func unreadableAttemptInAGroup(t *testing.T, s *store.Store) {
	all := sorted(t, s, 3)
	damageRows(t, s, `UPDATE attempts SET doc = '{' WHERE run_id = $1`, all[0].id)
	_, appended, results := group(t, s, all)
	var bad *query.UnreadableError
	if !errors.As(appended[0].Err, &bad) || results[0].Err != nil {
		t.Errorf("the damaged one: append %v, heartbeat %v", appended[0].Err, results[0].Err)
	}
	for i := 1; i < 3; i++ {
		if appended[i].Err != nil || results[i].Err != nil {
			t.Errorf("one behind it: append %v, heartbeat %v", appended[i].Err, results[i].Err)
		}
	}
	wantTroubled(t, s, "read_attempt "+all[0].id+"/1")
}

func unreadableCancel(t *testing.T, s *store.Store) {
	all := sorted(t, s, 3)
	beat := func(at time.Time) {
		t.Helper()
		var beats []lease.Beat
		for _, j := range all {
			beats = append(beats, lease.Beat{Run: j.id, Attempt: 1, At: at, Lease: time.Minute})
		}
		_, results, err := s.Ingest(t.Context(), nil, beats)
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range results {
			if b.Err != nil || !b.Owner {
				t.Errorf("heartbeat of run %d: %+v", i, b)
			}
		}
	}
	if _, _, err := s.RequestCancel(t.Context(), all[0].id, job.Cancel{By: "ada", At: noon}); err != nil {
		t.Fatal(err)
	}
	beat(noon.Add(time.Second)) // from now on the owners are known, and the database is written later
	damageRows(t, s, `UPDATE runs SET cancel = '{' WHERE id = $1`, all[0].id)
	beat(noon.Add(2 * time.Second))
	leases, err := s.Due(t.Context(), noon.Add(time.Hour), 10)
	if err != nil || len(leases) != 3 {
		t.Fatalf("%d of 3 runs are due, %v", len(leases), err)
	}
	for _, l := range leases {
		if !l.ReportedAt.Equal(noon.Add(2 * time.Second)) {
			t.Errorf("the last sign of life of run %s is of %s", l.Run, l.ReportedAt)
		}
	}
	_, results, err := s.Ingest(t.Context(), nil, []lease.Beat{{Run: all[0].id, Attempt: 1, At: noon.Add(3 * time.Second), Lease: time.Minute}})
	if err != nil || results[0].Cancel == nil || results[0].Cancel.By != "ada" {
		t.Errorf("the agent is not asked to stop: %+v, %v", results, err)
	}
}

func unreadableFigures(t *testing.T, s *store.Store) {
	for range 4 {
		for _, name := range []string{"a", "b"} {
			id, data := whole(t, journal.Attempt{Job: name}, 0, "x")
			one(t, s, id, 1, 0, data)
		}
	}
	damageRows(t, s, `UPDATE job_bands SET figures = '{' WHERE job = 'a'`)
	all, err := s.Expected(t.Context(), "a", "b")
	if err != nil || all["a"] != nil || all["b"] == nil {
		t.Errorf("what is usual: %+v, %v", all, err)
	}
	for range 4 { // runs of the job begin and end, and it is learned again
		id, data := whole(t, journal.Attempt{Job: "a"}, 0, "x")
		one(t, s, id, 1, 0, data)
	}
	if all, err := s.Expected(t.Context(), "a", "b"); err != nil || all["a"] == nil {
		t.Errorf("learned again: %+v, %v", all, err)
	}
}

// refuseUpdate makes the database refuse a change of one run.
func refuseUpdate(t *testing.T, s *store.Store, column, id string) {
	t.Helper()
	if !s.Postgres() {
		damageRows(t, s, `CREATE TRIGGER refuse BEFORE UPDATE OF `+column+` ON runs WHEN OLD.id = '`+id+`' BEGIN SELECT RAISE(ABORT, 'refused'); END`)
		return
	}
	damageRows(t, s, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$`)
	damageRows(t, s, `CREATE TRIGGER refuse BEFORE UPDATE OF `+column+` ON runs FOR EACH ROW WHEN (OLD.id = '`+id+`') EXECUTE FUNCTION refuse()`)
}

func refusedText(t *testing.T, s *store.Store) {
	all := sorted(t, s, 5)
	bad := all[4].id // the newest comes first
	refuseUpdate(t, s, "text_id", bad)
	if err := s.Tidy(t.Context(), noon); err != nil {
		t.Errorf("tidying as a whole: %v", err)
	}
	n, err := s.CountRows(t.Context(), "run_texts")
	if err != nil || n != 4 {
		t.Errorf("%d of 4 texts are searchable, %v", n, err)
	}
	wantTroubled(t, s, "index_text "+bad)
	if page, err := s.Runs(t.Context(), query.Runs{Limit: 10, Text: bad}); err != nil || len(page.Runs) != 1 {
		t.Errorf("the other one is not found: %+v, %v", page, err)
	}
}

func refusedClosing(t *testing.T, s *store.Store) {
	all := sorted(t, s, 3)
	refuseUpdate(t, s, "disconnected_at", all[0].id)
	var closed []lease.ClosedRun
	for _, j := range all {
		closed = append(closed, lease.ClosedRun{Run: j.id, Attempt: 1, Closure: lease.Closure{At: noon.Add(time.Second), Confirm: time.Second}})
	}
	if err := s.NoteClosed(t.Context(), closed); err != nil {
		t.Errorf("all of them: %v", err)
	}
	for i, j := range all {
		if got := leaseOf(t, s, j.id).Closed.At; got.IsZero() != (i == 0) {
			t.Errorf("run %d closed at %s", i, got)
		}
	}
	wantTroubled(t, s, "evidence "+all[0].id)
}

func refusedDispatch(t *testing.T, s *store.Store) {
	now := noon
	s.SetClock(func() time.Time { return now })
	var runs []string
	for range 3 {
		id, data := whole(t, journal.Attempt{}, 1, "x")
		one(t, s, id, 1, 0, data)
		runs = append(runs, id)
	}
	first, err := s.Actions(t.Context(), query.Actions{Run: runs[0], Limit: 1})
	if err != nil || len(first) != 1 {
		t.Fatal(first, err)
	}
	allow := `DROP TRIGGER refuse`
	if s.Postgres() {
		damageRows(t, s, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$`)
		damageRows(t, s, `CREATE TRIGGER refuse BEFORE DELETE ON outbox FOR EACH ROW WHEN (OLD.run_id = '`+runs[0]+`') EXECUTE FUNCTION refuse()`)
		allow += ` ON outbox`
	} else {
		damageRows(t, s, `CREATE TRIGGER refuse BEFORE DELETE ON outbox WHEN OLD.run_id = '`+runs[0]+`' BEGIN SELECT RAISE(ABORT, 'refused'); END`)
	}
	dispatch := func() (sent []string) {
		t.Helper()
		for n := 1; n > 0; {
			if n, err = s.Dispatch(t.Context(), now, 10, func(a api.Action, _ *job.Run) ([]string, string) { return []string{"team"}, "" }); err != nil {
				t.Fatal(err)
			}
		}
		rows, err := s.RouteRows(t.Context(), "team", 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			sent = append(sent, row.Run)
		}
		return sent
	}
	if sent := dispatch(); !slices.Equal(sent, runs[1:]) {
		t.Errorf("dispatched: %q, want %q", sent, runs[1:])
	}
	wantTroubled(t, s, fmt.Sprint("notify ", first[0].ID))
	damageRows(t, s, allow)
	now = now.Add(time.Minute)
	if sent := dispatch(); len(sent) != 3 {
		t.Errorf("dispatched in the end: %q", sent)
	}
	wantTroubled(t, s)
}
