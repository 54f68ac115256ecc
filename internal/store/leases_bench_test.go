package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"stint.dev/stint/internal/store/db"
)

// fillActive makes n active runs of one owner each ten, which beat in time, and one in
// thousand whose lease ends within the next seconds.
func fillActive(tb testing.TB, s *Store, n int, now time.Time) {
	tb.Helper()
	series := `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ` + fmt.Sprint(n) + `)`
	number := `printf('%012d', i)`
	if s.Dialect.Postgres {
		series = `WITH n AS (SELECT generate_series(1, ` + fmt.Sprint(n) + `) AS i)`
		number = `lpad(CAST(i AS TEXT), 12, '0')`
	}
	id := `'0199aaaa-0000-7000-8000-' || ` + number
	at := db.Micros(now)
	evidence := `'{"at":"2026-01-01T00:00:00Z","begun_at":"2026-01-01T00:00:00Z","memory":[{"at":"2026-01-01T00:00:00Z","bytes":1000000},{"at":"2026-01-01T00:00:05Z","bytes":1000100}]}'`
	beat := `'{"sequence":7,"uptime_ms":35000,"output_age_ms":100,"cpu_seconds":1.5,"memory_bytes":1000000,"processes":3,"period_ms":5000}'`
	for _, query := range []string{
		series + fmt.Sprintf(` INSERT INTO runs (id, job, number, attempt, state, health, leased, created_at, start_at, reported_at, beat_at, lease_us, expires_at, period_us, peak_memory, search, doc, beat, evidence)
			SELECT %s, 'job', i, 1, 'running', 'healthy', 1, %d + i, %d + i, %d, %d, 30000000, %d + CASE WHEN i %% 1000 = 0 THEN 5000000 ELSE 25000000 + i END, 5000000, 1000, '', '{}', %s, %s FROM n`,
			id, at, at, at, at, at, beat, evidence),
		series + fmt.Sprintf(` INSERT INTO run_owners (run_id, token_id, owned_since) SELECT %s, 'token' || (i / 10), %d FROM n`, id, at),
	} {
		if _, err := s.Writer.Exec(query); err != nil {
			tb.Fatal(err)
		}
	}
	analyze(tb, s)
}

// BenchmarkRound is what a round of the monitor asks the store, with very many active runs.
func BenchmarkRound(b *testing.B) {
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		for _, n := range []int{50_000, 200_000} {
			b.Run(fmt.Sprintf("%s/%d", engine, n), func(b *testing.B) {
				s := benchStore(b, engine)
				now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
				fillActive(b, s, n, now)
				benchRound(b, s, n, now)
			})
		}
	}
}

func benchRound(b *testing.B, s *Store, n int, now time.Time) {
	b.Run("due", func(b *testing.B) {
		for b.Loop() {
			if due, err := s.Due(context.Background(), now.Add(20*time.Second), 50_000); err != nil || len(due) != n/1000 {
				b.Fatal(len(due), err)
			}
		}
	})
	b.Run("count", func(b *testing.B) {
		for b.Loop() {
			if active, err := s.ActiveRuns(context.Background()); err != nil || len(active) != n/10+1 {
				b.Fatal(len(active), err)
			}
		}
	})
	b.Run("page", func(b *testing.B) {
		after := ""
		for b.Loop() {
			var err error
			if _, after, err = s.Active(context.Background(), after, 2000); err != nil {
				b.Fatal(err)
			}
		}
	})
}
