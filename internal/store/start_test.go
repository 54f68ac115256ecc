package store_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// deliver ingests a whole journal of a run that started and reported at times of the
// server's clock.
func deliver(t *testing.T, s *store.Store, a journal.Attempt, code int, started, received time.Time) job.Run {
	t.Helper()
	id, data := whole(t, a, code, "x")
	got := try(t, s, index.Append{Run: id, Attempt: 1, Data: data, At: received, ClockOffset: started.Sub(epoch.Add(time.Second))})
	if got.Err != nil {
		t.Fatal(got.Err)
	}
	return got.Run
}

// numbersOf are the numbers of a page of runs.
func numbersOf(t *testing.T, s *store.Store, q query.Runs) []int64 {
	t.Helper()
	var numbers []int64
	for {
		page, err := s.Runs(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Runs {
			numbers = append(numbers, r.Number)
		}
		if page.NextCursor == "" {
			return numbers
		}
		q.Cursor = page.NextCursor
	}
}

// A run that is delivered hours later, as after an outage, takes its place by its start; only
// its number says when it arrived.
func runsByStart(t *testing.T, s *store.Store) {
	a := journal.Attempt{Job: "nightly", Labels: map[string]string{"team": "ml"}}
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	deliver(t, s, a, 0, at(60), at(60))
	deliver(t, s, a, 0, at(120), at(120))
	late := deliver(t, s, a, 1, at(0), at(120))
	ahead := deliver(t, s, a, 0, at(600), at(90)) // its agent's clock is ahead: it started now
	deliver(t, s, a, 0, at(61), at(121))

	if !late.StartAt.Equal(at(0)) || !late.CreatedAt.Equal(at(120)) || late.DeliveredLateSeconds != 7200 {
		t.Errorf("a late run: start %s, created %s, late %v", late.StartAt, late.CreatedAt, late.DeliveredLateSeconds)
	}
	if !ahead.StartAt.Equal(at(90)) || ahead.DeliveredLateSeconds != 0 {
		t.Errorf("a run from a clock that is ahead: start %s, late %v", ahead.StartAt, ahead.DeliveredLateSeconds)
	}
	if diff := cmp.Diff(late, mustRun(t, s, late.ID)); diff != "" {
		t.Error("a late run (-returned +stored):", diff)
	}
	want := []int64{2, 4, 5, 1, 3}
	lists := func(when string) {
		t.Helper()
		for name, q := range map[string]query.Runs{
			"all": {}, "job": {Job: "nightly"}, "host": {Host: "box"}, "label": {Labels: map[string]string{"team": "ml"}},
			"label and job": {Job: "nightly", Labels: map[string]string{"team": "ml"}}, "text": {Text: "nightly"}, "short text": {Text: "ni"},
			"states":   {States: []job.State{job.Failed, job.Succeeded}},
			"by pages": {Limit: 2}, "states by pages": {States: []job.State{job.Failed, job.Succeeded}, Limit: 1},
			"label by pages": {Labels: map[string]string{"team": "ml"}, Limit: 2}, "text by pages": {Text: "nightly", Limit: 2},
		} {
			if q.Limit == 0 {
				q.Limit = 50
			}
			if diff := cmp.Diff(want, numbersOf(t, s, q)); diff != "" {
				t.Errorf("%s, %s (-want +got): %s", name, when, diff)
			}
		}
		between := query.Runs{Since: at(60), Until: at(120), Limit: 50}
		if diff := cmp.Diff([]int64{4, 5, 1}, numbersOf(t, s, between)); diff != "" {
			t.Errorf("since and until go by the start, %s (-want +got): %s", when, diff)
		}
	}
	lists("before texts are indexed")
	must(t, s.Tidy(t.Context(), noon))
	lists("after")

	for i, number := range want { // the last start first
		run, err := s.FindRun(t.Context(), reference(t, fmt.Sprint("nightly#", number)))
		must(t, err)
		beside, err := s.Neighbors(t.Context(), mustRun(t, s, run))
		must(t, err)
		var previous, next int64
		if beside.Previous != nil {
			previous = beside.Previous.Number
		}
		if beside.Next != nil {
			next = beside.Next.Number
		}
		around := slices.Concat([]int64{0}, want, []int64{0})
		if next != around[i] || previous != around[i+2] {
			t.Errorf("#%d started between #%d and #%d", number, previous, next)
		}
	}

	sum, err := s.Job(t.Context(), "nightly")
	if err != nil || sum.LastRun == nil || sum.LastRun.Number != 2 {
		t.Errorf("the last run of the job: %+v, %v", sum.LastRun, err)
	}
	good, err := s.GoodRunsBefore(t.Context(), mustRun(t, s, sum.LastRun.ID), 10)
	if got := fmt.Sprint(numbers(good)); err != nil || got != "[4 5 1]" {
		t.Errorf("good runs before the last one: %s, %v", got, err)
	}
	if good, err := s.GoodRunsBefore(t.Context(), late, 10); err != nil || len(good) != 0 {
		t.Errorf("good runs before the late one: %+v, %v", good, err)
	}
	for after, want := range map[int]bool{-1: true, 119: true, 120: false} {
		if yes, err := s.SucceededSince(t.Context(), "nightly", at(after), time.Time{}); err != nil || yes != want {
			t.Errorf("succeeded since %s: %t, %v", at(after), yes, err)
		}
	}
}

func numbers(runs []job.Run) []int64 {
	var out []int64
	for _, r := range runs {
		out = append(out, r.Number)
	}
	return out
}

// After the upgrade from a version that listed runs by arrival, all lists and searches go by the
// start: the agent's time, as far as it is not later than the arrival.
func TestUpgradeOrdersRunsByStart(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			dir := t.TempDir()
			o, driver, source := store.Options{Dir: dir}, "sqlite", "file:"+filepath.Join(dir, "stint.db")
			if engine == "postgres" {
				o = store.Options{URL: postgrestest.URL(t), SecretKeyFile: filepath.Join(dir, "secret.key")}
				driver, source = "pgx", o.URL
			}
			s := openAgain(t, o)
			db, err := sql.Open(driver, source)
			must(t, err)
			defer db.Close() //nolint:errcheck // the test is over
			a := journal.Attempt{Job: "nightly", Labels: map[string]string{"team": "ml"}}
			deliver(t, s, a, 0, noon, noon)
			deliver(t, s, a, 0, noon, noon)
			must(t, s.Tidy(t.Context(), noon))
			closeStore(t, s)
			must(t, downgrade(db, engine, 19))
			must(t, asInVersion19(db))
			s = openAgain(t, o)
			defer closeStore(t, s)
			checkUpgraded(t, s, "before texts are indexed anew")
			must(t, s.Tidy(t.Context(), noon))
			checkUpgraded(t, s, "after")
		})
	}
}

// asInVersion19 makes the second run one that was delivered late, and adds one whose agent's
// clock was ahead.
func asInVersion19(db *sql.DB) error {
	_, err := db.Exec(fmt.Sprintf(`UPDATE runs SET started_at = %d - CASE WHEN number = 2 THEN 3600000000 ELSE 0 END`, noon.UnixMicro()))
	if err != nil {
		return err
	}
	_, err = db.Exec(`INSERT INTO runs (id, job, number, attempt, state, health, leased, created_at, started_at, heard_at, lease_us, expires_at, period_us, peak_memory, search, doc)
		SELECT '0199aaaa-0000-7000-8000-000000000003', job, 3, 1, state, health, leased, created_at - 1, created_at + 60000000, heard_at, 0, 0, 0, 0, search, doc FROM runs WHERE number = 1`)
	return err
}

func checkUpgraded(t *testing.T, s *store.Store, when string) {
	t.Helper()
	for name, q := range map[string]query.Runs{"job": {Job: "nightly", Limit: 2}, "text": {Text: "nightly", Limit: 2}} {
		if diff := cmp.Diff([]int64{1, 3, 2}, numbersOf(t, s, q)); diff != "" {
			t.Errorf("%s, %s (-want +got): %s", name, when, diff)
		}
	}
	label := query.Runs{Labels: map[string]string{"team": "ml"}, Limit: 1}
	if diff := cmp.Diff([]int64{1, 2}, numbersOf(t, s, label)); diff != "" {
		t.Errorf("label, %s (-want +got): %s", when, diff)
	}
	page, err := s.Runs(t.Context(), query.Runs{Limit: 3})
	must(t, err)
	if r := page.Runs[2]; !r.StartAt.Equal(noon.Add(-time.Hour)) || r.DeliveredLateSeconds != 3600 {
		t.Errorf("the run that was delivered late: start %s, late %v", r.StartAt, r.DeliveredLateSeconds)
	}
	if r := page.Runs[1]; !r.StartAt.Equal(r.CreatedAt) {
		t.Errorf("the run whose clock was ahead: start %s, created %s", r.StartAt, r.CreatedAt)
	}
}

func openAgain(t *testing.T, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), o)
	must(t, err)
	return s
}
