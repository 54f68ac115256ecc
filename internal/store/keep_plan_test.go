package store

import (
	"context"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/store/access"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/maintenance"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
)

// What retention asks once a minute reads none of the runs, or of their blocks, from the
// beginning of the table to its end, and sorts none.
func TestRetentionReadsNoTableWhole(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		t.Run(engine, func(t *testing.T) {
			s := storeOfEndedRuns(t, engine, now)
			for _, q := range []struct {
				name, query string
				args        []any
				indexes     []string
			}{
				{"old runs", maintenance.OldRuns, []any{db.Micros(now.Add(-time.Hour)), 20, db.Micros(now)}, []string{"runs_newest"}},
				{"oldest run", maintenance.OldestRun, []any{db.Micros(now)}, []string{"runs_newest"}},
				{"oldest run with a later one", maintenance.OldestWithLater, []any{db.Micros(now)}, []string{"runs_newest"}},
				{"all but the last runs", maintenance.BeyondLastRuns, []any{"job1", 20, 5, db.Micros(now)}, []string{"runs_of_job"}},
				{"bytes of active runs", maintenance.BytesOfActive, nil, []string{"runs_of_state"}},
			} {
				plan := planOf(t, s, q.query, q.args...)
				for _, index := range q.indexes {
					if !strings.Contains(plan, index) {
						t.Errorf("the plan of %q does not use %s:\n%s", q.name, index, plan)
					}
				}
				for _, whole := range []string{"Seq Scan on runs", "Seq Scan on blocks", "SCAN runs\n", "SCAN blocks", "TEMP B-TREE", "Sort Key"} {
					if strings.Contains(plan, whole) {
						t.Errorf("the plan of %q reads or sorts a whole table:\n%s", q.name, plan)
					}
				}
			}
		})
	}
}

// storeOfEndedRuns makes a store of 4,000 runs with a block each, of which 20 have not ended.
func storeOfEndedRuns(t *testing.T, engine string, now time.Time) *Store {
	t.Helper()
	o := Options{Dir: t.TempDir()}
	if engine == "PostgreSQL" {
		o = Options{URL: postgrestest.URL(t)}
	}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // only read
	fillActive(t, s, 4_000, now)
	for _, query := range []string{
		`UPDATE runs SET job = 'job' || (number % 20), leased = 0, state = 'succeeded', health = '', ended_at = created_at WHERE number > 20`,
		`INSERT INTO attempts (run_id, attempt, size, doc) SELECT id, 1, 1000, '{}' FROM runs`,
		`INSERT INTO blocks (run_id, attempt, start, size, first_line, lines, head, data) SELECT id, 1, 0, 1000, 0, 1, '{}', '' FROM runs`,
	} {
		if _, err := s.Writer.Exec(query); err != nil {
			t.Fatal(err)
		}
	}
	analyze(t, s)
	return s
}

// planOf is how a store's engine would run a query. PostgreSQL reads small tables whole, so
// that is forbidden here.
func planOf(t *testing.T, s *Store, query string, args ...any) string {
	t.Helper()
	if !s.Dialect.Postgres {
		return explain(t, s, query, args...)
	}
	tx, err := s.Reader.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // only read
	if _, err := tx.Exec(`SET LOCAL enable_seqscan = off`); err != nil {
		t.Fatal(err)
	}
	rows, err := tx.Query("EXPLAIN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var plan strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(line + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}

// PostgreSQL, too, finds by an index what has expired.
func TestPostgresFindsWhatHasExpiredByAnIndex(t *testing.T) {
	s, err := Open(context.Background(), Options{URL: postgrestest.URL(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // only read
	for _, e := range append(access.ExpiringAccess, maintenance.ExpiringAttempts) {
		plan := planOf(t, s, e.Statement(), 1, 1)
		if !strings.Contains(plan, "Index Cond: ("+e.At+" < ") || strings.Contains(plan, "Seq Scan on "+e.Table) {
			t.Errorf("%s:\n%s", e.Table, plan)
		}
	}
}

// Each state is one in which a run has ended, or one in which it has not.
func TestStatesAreOverOrNot(t *testing.T) {
	for _, state := range job.States() {
		quoted := "'" + string(state) + "'"
		if in, out := strings.Contains(maintenance.EndedStates, quoted), strings.Contains(maintenance.OtherStates, quoted); in != state.Terminal() || out == in {
			t.Errorf("%s: among those that have ended: %t, among the others: %t; it has ended: %t", state, in, out, state.Terminal())
		}
	}
}
