package store

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/health"
	"stint.dev/stint/internal/store/postgrestest"
)

// What the monitor asks each second is found by indexes, however many runs are active: it reads
// what is due, and one page.
func TestDueRunsAreFoundByIndexes(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	before, after := db.Micros(now.Add(20*time.Second)), db.Micros(now)
	for _, engine := range []string{"SQLite", "PostgreSQL"} {
		t.Run(engine, func(t *testing.T) {
			o := Options{Dir: t.TempDir()}
			if engine == "PostgreSQL" {
				o = Options{URL: postgrestest.URL(t)}
			}
			s, err := Open(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close() //nolint:errcheck // only read
			fillActive(t, s, 20_000, now)
			if _, err := s.Writer.Exec(`UPDATE runs SET leased = 0, state = 'succeeded', health = '' WHERE number > 5000`); err != nil {
				t.Fatal(err)
			}
			if s.Dialect.Postgres {
				if _, err := s.Writer.Exec(`ANALYZE`); err != nil {
					t.Fatal(err)
				}
			}
			table, args := s.Dialect.Table(1, db.Column{Texts: []string{"a", "b"}})
			for _, q := range []struct {
				name, query string
				args        []any
				indexes     []string
			}{
				{"due", health.DueQuery, []any{before, 100}, []string{"runs_leased", "runs_health", "runs_disconnected"}},
				{"page", health.ActiveQuery, []any{after, "", 100}, []string{"runs_health"}},
				{"some", health.LeasesQuery(table), args, nil},
			} {
				var plan string
				if s.Dialect.Postgres {
					plan = explainPostgres(t, s, q.query, q.args...)
				} else {
					plan = explain(t, s, q.query, q.args...)
				}
				for _, index := range q.indexes {
					if !strings.Contains(plan, index) {
						t.Errorf("the plan of %q does not use %s:\n%s", q.name, index, plan)
					}
				}
				for _, whole := range []string{"Seq Scan on runs", "SCAN runs\n", "SCAN run_owners", "Seq Scan on run_owners", "SCAN runs USING INDEX runs_leased"} {
					if strings.Contains(plan, whole) {
						t.Errorf("the plan of %q reads too much:\n%s", q.name, plan)
					}
				}
			}
			pagesOfActive(t, s, 5000)
		})
	}
}

// pagesOfActive walks through all pages of active runs: each comes once.
func pagesOfActive(t *testing.T, s *Store, n int) {
	t.Helper()
	seen, after, pages := map[string]bool{}, "", 0
	for {
		leases, last, err := s.Active(t.Context(), after, 700)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range leases {
			if seen[l.Run] {
				t.Fatalf("run %s is on two pages", l.Run)
			}
			seen[l.Run] = true
		}
		if pages++; last == "" {
			break
		}
		after = last
	}
	if len(seen) != n || pages != n/700+1 {
		t.Errorf("%d runs on %d pages", len(seen), pages)
	}
	some, err := s.Leases(t.Context(), []string{"0199aaaa-0000-7000-8000-000000000007", "0199aaaa-0000-7000-8000-000000000009", "0199aaaa-0000-7000-8000-999999999999"})
	if err != nil || len(some) != 2 || some[0].Owner == "" {
		t.Errorf("some leases: %+v, %v", some, err)
	}
}

func explainPostgres(t *testing.T, s *Store, query string, args ...any) string {
	t.Helper()
	rows, err := s.Reader.QueryContext(context.Background(), "EXPLAIN "+query, args...)
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
		fmt.Fprintln(&plan, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}
