package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/definition"
	rules "stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// covered is a row of occurrences.
type covered struct {
	at, last time.Time
	count    int64
	result   string
	run      bool
}

func occurrencesOf(t *testing.T, s *store.Store, name string, number int) (all []covered) {
	t.Helper()
	rows, err := s.Reader.QueryContext(t.Context(), `SELECT at, last, count, result, run_id IS NOT NULL FROM occurrences WHERE job = $1 AND number = $2 ORDER BY at`, name, number)
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var at, last int64
		var c covered
		must(t, rows.Scan(&at, &last, &c.count, &c.result, &c.run))
		c.at, c.last = db.FromMicros(at), db.FromMicros(last)
		all = append(all, c)
	}
	must(t, rows.Err())
	return all
}

// failing makes transactions fail at one of their statements, as if the server had been killed there.
func failing(t *testing.T, s *store.Store, table, when string) (restore func()) {
	t.Helper()
	if s.Postgres() {
		must(t, s.Exec(t.Context(), `CREATE OR REPLACE FUNCTION die() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'killed'; END $$ LANGUAGE plpgsql`))
		must(t, s.Exec(t.Context(), `CREATE TRIGGER die BEFORE `+when+` ON `+table+` FOR EACH ROW EXECUTE FUNCTION die()`))
		return func() { must(t, s.Exec(t.Context(), `DROP TRIGGER die ON `+table)) }
	}
	must(t, s.Exec(t.Context(), `CREATE TRIGGER die BEFORE `+when+` ON `+table+` BEGIN SELECT RAISE(ABORT, 'killed'); END`))
	return func() { must(t, s.Exec(t.Context(), `DROP TRIGGER die`)) }
}

// modelSchedule is a schedule of the test: a naive model counts its times minute by minute.
type modelSchedule struct {
	job    string
	number int
	every  time.Duration
	spread bool
}

// Random looks at the schedules, kills at any statement, pauses, outages and clocks that are set: each time has one
// row, no time has two runs, and nothing is started during a pause.
func randomSchedules(t *testing.T, s *store.Store) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	begin := noon.Truncate(time.Hour)
	now := begin
	s.SetClock(func() time.Time { return now })
	var all []modelSchedule
	for i, every := range []time.Duration{time.Minute, 7 * time.Minute, time.Hour} {
		name := fmt.Sprintf("job%d", i)
		text := fmt.Sprintf("every: %dm, anchor: '2026-01-01T00:00:00Z'", every/time.Minute)
		scheduled(t, s, name, "overlap: "+[]string{"allow", "skip", "queue"}[i], text, text+", catch_up: none, spread: 5m")
		all = append(all, modelSchedule{name, 1, every, false}, modelSchedule{name, 2, every, true})
	}
	latest := begin // of all that the clock showed
	for range 120 {
		switch r.IntN(8) {
		case 0:
			now = now.Add(time.Duration(r.IntN(600)) * time.Minute)
		case 1: // set back, so far that it is noticed
			if back := now.Add(-time.Duration(2+r.IntN(180)) * time.Minute); back.After(begin) {
				now = back
			}
		case 2:
			name := all[r.IntN(len(all))].job
			pause := &api.Pause{At: now, By: "bob"}
			if r.IntN(3) > 0 {
				pause = nil
			}
			_, err := s.PauseJob(t.Context(), name, pause)
			must(t, err)
		case 3:
			one := all[r.IntN(len(all))]
			_, err := s.PauseSchedule(t.Context(), one.job, one.number, map[bool]*api.Pause{true: {At: now, By: "bob"}}[r.IntN(3) == 0])
			must(t, err)
		case 4:
			at := [][2]string{{"occurrences", "INSERT"}, {"schedules", "UPDATE"}, {"runs", "INSERT"}, {"queue_entries", "INSERT"}, {"submissions", "INSERT"}}[r.IntN(5)]
			restore := failing(t, s, at[0], at[1])
			now = now.Add(time.Duration(r.IntN(90)) * time.Second)
			_ = s.TickSchedules(t.Context(), nil) // it fails, unless it came to no such statement
			restore()
			continue
		default:
			now = now.Add(time.Duration(1+r.IntN(120)) * time.Second)
		}
		if now.After(latest) {
			latest = now
		}
		must(t, s.TickSchedules(t.Context(), nil))
	}
	if now.Before(latest) {
		now = latest
	}
	now = now.Add(10 * time.Minute)
	for _, one := range all {
		_, err := s.PauseSchedule(t.Context(), one.job, one.number, nil)
		must(t, err)
	}
	must(t, s.TickSchedules(t.Context(), nil))
	for _, one := range all {
		checkCovered(t, s, one, begin, now)
	}
	checkRunsOfOccurrences(t, s)
}

// checkCovered compares the occurrences of a schedule with each minute of a time.
func checkCovered(t *testing.T, s *store.Store, one modelSchedule, begin, now time.Time) {
	t.Helper()
	until := now
	if one.spread {
		until = now.Add(-5 * time.Minute)
	}
	rows := occurrencesOf(t, s, one.job, one.number)
	var previous time.Time
	counted, wanted, inRows := int64(0), int64(0), int64(0)
	for _, c := range rows {
		if !c.at.After(previous) || c.last.Before(c.at) || c.count < 1 || c.run != (c.result == "ran" || c.result == "ran_late") || c.run && c.count > 1 {
			t.Errorf("%s %d: %+v after %s", one.job, one.number, c, previous)
		}
		previous = c.last
		counted += c.count
	}
	at := 0
	for minute := begin.Add(time.Minute); !minute.After(now); minute = minute.Add(time.Minute) {
		due := minute.Sub(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))%one.every == 0
		for at < len(rows) && rows[at].last.Before(minute) {
			at++
		}
		has := at < len(rows) && !rows[at].at.After(minute)
		if due && !minute.After(until) {
			wanted++
		}
		if has && due {
			inRows++
		}
		if due && !minute.After(until) && !has {
			t.Fatalf("%s %d: no row for %s", one.job, one.number, minute)
		}
	}
	if counted != inRows || counted < wanted {
		t.Errorf("%s %d: the rows count %d times, and there are %d, of which %d must be there", one.job, one.number, counted, inRows, wanted)
	}
}

// checkRunsOfOccurrences compares the runs with the occurrences.
func checkRunsOfOccurrences(t *testing.T, s *store.Store) {
	t.Helper()
	var runs, occurrences, distinct int
	must(t, s.Reader.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM runs`).Scan(&runs))
	must(t, s.Reader.QueryRowContext(t.Context(), `SELECT COUNT(*), COUNT(DISTINCT run_id) FROM occurrences WHERE run_id IS NOT NULL`).Scan(&occurrences, &distinct))
	if runs != occurrences || runs != distinct || runs == 0 {
		t.Errorf("%d runs, %d occurrences with a run, of %d runs", runs, occurrences, distinct)
	}
	wrong, err := s.CheckQueue(t.Context())
	must(t, err)
	if len(wrong) > 0 {
		t.Errorf("%+v", wrong)
	}
}

// Several servers on one database look at the same schedules at the same time.
func TestServersShareSchedules(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	servers := []*store.Store{openURL(t, url), openURL(t, url), openURL(t, url)}
	now := noon
	for _, s := range servers {
		s.SetClock(func() time.Time { return now })
	}
	var set definition.Set
	for i := range 150 {
		set.New = append(set.New, defined(t, fmt.Sprintf("job: job%d\nscript: echo\noverlap: allow\nschedules: [{cron: '* * * * *'}, {every: 1m}]\n", i)))
	}
	applied(t, servers[0], set)
	made := map[string]int{}
	var mu sync.Mutex
	for range 4 {
		now = now.Add(time.Minute)
		var all sync.WaitGroup
		for _, s := range servers {
			all.Go(func() {
				err := s.TickSchedules(t.Context(), func(run job.Run) {
					mu.Lock()
					made[run.ID]++
					mu.Unlock()
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	for id, n := range made {
		if n != 1 {
			t.Errorf("run %s was made %d times", id, n)
		}
	}
	if len(made) != 150*2*4 {
		t.Errorf("%d runs", len(made))
	}
	checkRunsOfOccurrences(t, servers[0])
}

// Two servers make the first runs of a job at the same time: the second one waits for the first, and is skipped because of
// it.
func TestServersMindOverlapOfFirstRuns(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	one, other := openURL(t, url), openURL(t, url)
	scheduled(t, one, "report", "", `cron: "0 * * * *"`, `cron: "0 * * * *"`)
	submit := func(s *store.Store, number int, before func()) error {
		return s.Write(t.Context(), db.None, func(tx *db.Tx) error {
			done, err := s.SubmitOccurrences(t.Context(), tx, []rules.Occurrence{{Run: uuid.NewString(), Job: "report", Schedule: number, At: noon, Zone: time.UTC}})
			before()
			if err != nil {
				return err
			}
			return done[0].Err
		})
	}
	second := make(chan error, 1)
	must(t, submit(one, 1, func() {
		go func() { second <- submit(other, 2, func() {}) }()
		for waiting := int64(0); waiting == 0; {
			select {
			case err := <-second:
				second <- err
				return
			default:
			}
			must(t, one.Reader.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM pg_locks WHERE NOT granted`).Scan(&waiting))
		}
	}))
	err := <-second
	var overlap *rules.OverlapError
	if !errors.As(err, &overlap) || err.Error() != "report#1 is queued" {
		t.Errorf("the second run: %v", err)
	}
}

// Ten thousand schedules are due in one minute: all are started within five seconds, and no other transaction waits long.
func BenchmarkSchedulesOfOneMinute(b *testing.B) {
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		b.Run(engine, func(b *testing.B) {
			o := store.Options{Dir: b.TempDir()}
			if engine == "PostgreSQL" {
				o = store.Options{URL: postgrestest.URL(b)}
			}
			s, err := store.Open(b.Context(), o)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close() //nolint:errcheck // the end of a benchmark
			now := noon
			s.SetClock(func() time.Time { return now })
			const schedules = 10_000
			for first := 0; first < schedules; first += 500 {
				var set definition.Set
				for i := range 500 {
					d, _ := definition.Parse(fmt.Appendf(nil, "job: job%d\nscript: echo\nschedules: [{cron: '* * * * *'}]\n", first+i), nil)
					canonical, _ := d.Canonical()
					set.New = append(set.New, definition.New{Job: d.Job, Version: definition.Hash(canonical), Canonical: canonical})
				}
				set.At = now
				if _, err := s.ApplyDefinitions(b.Context(), set); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				now = now.Add(time.Minute)
				done := make(chan struct{})
				var worst time.Duration
				go func() {
					defer close(done)
					if err := s.TickSchedules(b.Context(), nil); err != nil {
						b.Error(err)
					}
				}()
				for waiting := true; waiting; {
					begin := time.Now()
					if err := s.WriteAll(b.Context()); err != nil {
						b.Fatal(err)
					}
					worst = max(worst, time.Since(begin))
					select {
					case <-done:
						waiting = false
					case <-time.After(5 * time.Millisecond):
					}
				}
				b.ReportMetric(float64(worst.Milliseconds()), "worst-ms")
			}
			var n int
			if err := s.Reader.QueryRowContext(b.Context(), `SELECT COUNT(*) FROM occurrences WHERE run_id IS NOT NULL`).Scan(&n); err != nil || n < schedules {
				b.Fatal(n, err)
			}
		})
	}
}
