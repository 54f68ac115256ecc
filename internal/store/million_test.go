package store

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/plantest"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/internal/store/runs"
	"stint.dev/stint/job"
)

var manyRuns = flag.Int("runs", 50_000, "how many runs the store of BenchmarkManyRuns holds")

// fill makes a store of many runs of 200 jobs in one statement a table: one in ten runs
// failed, and one in twenty thousand has a word and a label that no other has.
func fill(b *testing.B, s *Store, n int) {
	b.Helper()
	series := `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ` + fmt.Sprint(n) + `)`
	number, text := `printf('%012d', i)`, `printf('job-%03d', i % 200)`
	if s.Dialect.Postgres {
		series = `WITH n AS (SELECT generate_series(1, ` + fmt.Sprint(n) + `) AS i)`
		number, text = `lpad(CAST(i AS TEXT), 12, '0')`, `'job-' || lpad(CAST(i % 200 AS TEXT), 3, '0')`
	}
	id := `'0199aaaa-0000-7000-8000-' || ` + number
	at := fmt.Sprintf(`%d + CAST(i AS BIGINT) * 1000000`, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro())
	doc := `'{"command":"python train.py --epochs 90 --batch 256 --data /mnt/data/set","host":"node-17","labels":{"team":"ml"},"args":["python","train.py"],"findings":[],"steps":[],"notes":[],"output":{"bytes":100,"lines":3,"gaps":[]},"usage":{}}'`
	rare := `CASE WHEN i % 20000 = 77 THEN ' needle' ELSE '' END`
	for _, query := range []string{
		series + ` INSERT INTO runs (id, job, number, attempt, state, health, leased, created_at, start_at, started_at, ended_at, reported_at, lease_us, expires_at, period_us, peak_memory, search, doc)
			SELECT ` + id + `, ` + text + `, i / 200 + 1, 1, CASE WHEN i % 10 = 3 THEN 'failed' ELSE 'succeeded' END, '', 0, ` + at + `, ` + at + `, ` + at + `, ` + at + ` + 60000000,
			` + at + `, 0, 0, 0, 1000, ` + text + ` || ' ' || ` + id + ` || ' node-17 python train.py --epochs 90 ml' || ` + rare + `, ` + doc + ` FROM n`,
		series + ` INSERT INTO run_labels (key, value, run_id, start_at) SELECT 'team', 'ml', ` + id + `, ` + at + ` FROM n`,
		series + ` INSERT INTO run_labels (key, value, run_id, start_at) SELECT 'case', 'rare', ` + id + `, ` + at + ` FROM n WHERE i % 20000 = 77`,
		`INSERT INTO jobs (name, next_number) SELECT job, MAX(number) + 1 FROM runs GROUP BY job`,
	} {
		if _, err := s.Writer.Exec(query); err != nil {
			b.Fatal(err)
		}
	}
	for more := true; more; {
		var err error
		if more, err = s.IndexTexts(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.MergeCounts(context.Background()); err != nil {
		b.Fatal(err)
	}
	plantest.Analyze(b, s.DB)
}

// benchStore opens an empty store on SQLite or PostgreSQL, until b ends.
func benchStore(b *testing.B, engine string) *Store {
	o := Options{Dir: b.TempDir()}
	if engine == "PostgreSQL" {
		o = Options{URL: postgrestest.URL(b)}
	}
	s, err := Open(context.Background(), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() }) // what is left goes with the directory
	return s
}

// BenchmarkManyRuns lists and filters in a store of many runs.
func BenchmarkManyRuns(b *testing.B) {
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		b.Run(engine, func(b *testing.B) {
			s := benchStore(b, engine)
			fill(b, s, *manyRuns)
			benchQueries(b, s)
		})
	}
}

func benchQueries(b *testing.B, s *Store) {
	cursor := runs.CursorOf(time.Date(2026, 1, 1, 1, 0, 0, 0, time.UTC).UnixMicro(), "0199aaaa-0000-7000-8000-000000000001")
	for _, q := range []struct {
		name  string
		query query.Runs
	}{
		{"newest", query.Runs{}},
		{"deep page", query.Runs{Cursor: cursor}},
		{"state", query.Runs{States: []job.State{job.Failed}}},
		{"rare state", query.Runs{States: []job.State{job.Lost}}},
		{"job", query.Runs{Job: "job-007"}},
		{"common label", query.Runs{Labels: map[string]string{"team": "ml"}}},
		{"rare label", query.Runs{Labels: map[string]string{"case": "rare"}}},
		{"no such label", query.Runs{Labels: map[string]string{"team": "x"}}},
		{"rare label and state", query.Runs{Labels: map[string]string{"case": "rare"}, States: []job.State{job.Failed}}},
		{"common text", query.Runs{Text: "python"}},
		{"rare text", query.Runs{Text: "needle"}},
		{"no such text", query.Runs{Text: "haystack"}},
		{"rare text of common parts", query.Runs{Text: "epython"}},
		{"common text, deep page", query.Runs{Text: "python", Cursor: cursor}},
		{"common text and rare state", query.Runs{Text: "python", States: []job.State{job.Lost}}},
		{"rare text and state", query.Runs{Text: "needle", States: []job.State{job.Failed}}},
		{"time and text", query.Runs{Text: "needle", Until: time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)}},
	} {
		b.Run(q.name, func(b *testing.B) {
			q.query.Limit = 50
			for b.Loop() {
				if _, err := s.Runs(context.Background(), q.query); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for name, q := range map[string]query.Runs{"all": {}, "job": {Job: "job-007"}, "common text": {Text: "python"}, "rare text": {Text: "needle"}} {
		b.Run("counts, "+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.RunCounts(context.Background(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("overview", func(b *testing.B) {
		q := query.Overview{Now: time.Date(2026, 1, 1, 0, 0, *manyRuns, 0, time.UTC), Limit: 100}
		for b.Loop() {
			o, err := s.Overview(context.Background(), q)
			if err != nil || len(o.Jobs.Jobs) != 100 || len(o.Jobs.Jobs[0].Day.Numbers) != 20 || o.Attention.Count != 20 {
				b.Fatal(len(o.Jobs.Jobs), o.Attention.Count, err)
			}
		}
	})
	b.Run("jobs", func(b *testing.B) {
		for b.Loop() {
			if all, err := s.Jobs(context.Background(), query.Jobs{}); err != nil || len(all.Jobs) != 200 {
				b.Fatal(len(all.Jobs), err)
			}
		}
	})
}
