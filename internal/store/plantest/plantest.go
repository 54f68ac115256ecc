// Package plantest opens databases with many runs for tests, and shows how they run queries.
package plantest

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/postgrestest"
)

// Engines are the names of the databases that Open opens.
var Engines = []string{"SQLite", "PostgreSQL"}

// Open opens an empty database of an engine, which is closed at the end of the test.
func Open(t *testing.T, engine string) *db.DB {
	t.Helper()
	var d *db.DB
	var err error
	if engine == "PostgreSQL" {
		d, err = db.OpenPostgres(t.Context(), postgrestest.URL(t), false, false)
	} else {
		d, err = db.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "stint.db"), false, false)
	}
	if err != nil {
		t.Fatal(err)
	}
	d.Log, d.Now = slog.Default(), time.Now
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// Fill stores n active runs of one owner each ten, which report in time, and one in thousand whose lease
// ends within the next seconds.
func Fill(tb testing.TB, d *db.DB, n int, now time.Time) {
	tb.Helper()
	series := `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ` + fmt.Sprint(n) + `)`
	number := `printf('%012d', i)`
	if d.Dialect.Postgres {
		series = `WITH n AS (SELECT generate_series(1, ` + fmt.Sprint(n) + `) AS i)`
		number = `lpad(CAST(i AS TEXT), 12, '0')`
	}
	id := `'0199aaaa-0000-7000-8000-' || ` + number
	at := db.Micros(now)
	evidence := `'{"at":"2026-01-01T00:00:00Z","begun_at":"2026-01-01T00:00:00Z","memory":[{"at":"2026-01-01T00:00:00Z","bytes":1000000},{"at":"2026-01-01T00:00:05Z","bytes":1000100}]}'`
	beat := `'{"sequence":7,"uptime_ms":35000,"output_age_ms":100,"cpu_seconds":1.5,"memory_bytes":1000000,"processes":3,"period_ms":5000}'`
	Exec(tb, d,
		series+fmt.Sprintf(` INSERT INTO runs (id, job, number, attempt, state, health, leased, created_at, start_at, reported_at, beat_at, lease_us, expires_at, period_us, peak_memory, search, doc, beat, evidence)
			SELECT %s, 'job', i, 1, 'running', 'healthy', 1, %d + i, %d + i, %d, %d, 30000000, %d + CASE WHEN i %% 1000 = 0 THEN 5000000 ELSE 25000000 + i END, 5000000, 1000, '', '{}', %s, %s FROM n`,
			id, at, at, at, at, at, beat, evidence),
		series+fmt.Sprintf(` INSERT INTO run_owners (run_id, token_id, owned_since) SELECT %s, 'token' || (i / 10), %d FROM n`, id, at),
	)
	Analyze(tb, d)
}

// FillEnded stores 4,000 runs with a block each, of which 20 have not ended.
func FillEnded(tb testing.TB, d *db.DB, now time.Time) {
	tb.Helper()
	Fill(tb, d, 4_000, now)
	Exec(tb, d,
		`UPDATE runs SET job = 'job' || (number % 20), leased = 0, state = 'succeeded', health = '', ended_at = created_at WHERE number > 20`,
		`INSERT INTO attempts (run_id, attempt, size, doc) SELECT id, 1, 1000, '{}' FROM runs`,
		`INSERT INTO blocks (run_id, attempt, start, size, first_line, lines, head, data) SELECT id, 1, 0, 1000, 0, 1, '{}', '' FROM runs`,
	)
	Analyze(tb, d)
}

// Exec runs statements.
func Exec(tb testing.TB, d *db.DB, statements ...string) {
	tb.Helper()
	for _, one := range statements {
		if _, err := d.Writer.Exec(one); err != nil {
			tb.Fatal(err)
		}
	}
}

// Analyze updates the statistics by which PostgreSQL plans queries.
func Analyze(tb testing.TB, d *db.DB) {
	tb.Helper()
	if d.Dialect.Postgres {
		Exec(tb, d, `ANALYZE`)
	}
}

// Plan returns how a database runs a query.
func Plan(t *testing.T, d *db.DB, query string, args ...any) string {
	t.Helper()
	return explain(t, d, d.Reader, query, args...)
}

// IndexPlan returns how a database runs a query. PostgreSQL reads small tables from their beginning to
// their end, which is forbidden here.
func IndexPlan(t *testing.T, d *db.DB, query string, args ...any) string {
	t.Helper()
	if !d.Dialect.Postgres {
		return Plan(t, d, query, args...)
	}
	tx, err := d.Reader.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // only read
	if _, err := tx.Exec(`SET LOCAL enable_seqscan = off`); err != nil {
		t.Fatal(err)
	}
	return explain(t, d, tx, query, args...)
}

func explain(t *testing.T, d *db.DB, from db.Querier, query string, args ...any) string {
	t.Helper()
	command := "EXPLAIN QUERY PLAN "
	if d.Dialect.Postgres {
		command = "EXPLAIN "
	}
	rows, err := from.QueryContext(context.Background(), command+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var plan strings.Builder
	for rows.Next() {
		var line string
		into := []any{&line}
		if !d.Dialect.Postgres { // id, parent, an unused column, and the text
			into = []any{new(int), new(int), new(int), &line}
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(line + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}
