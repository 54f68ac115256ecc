package health

import (
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/plantest"
	"stint.dev/stint/internal/store/troubled"
)

// What the monitor selects each second is found by indexes, however many runs are active: it reads
// what is due, and one page.
func TestDueRunsAreFoundByIndexes(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	before, after := db.Micros(now.Add(20*time.Second)), db.Micros(now)
	for _, engine := range plantest.Engines {
		t.Run(engine, func(t *testing.T) {
			d := plantest.Open(t, engine)
			plantest.Fill(t, d, 20_000, now)
			plantest.Exec(t, d, `UPDATE runs SET leased = 0, state = 'succeeded', health = '' WHERE number > 5000`)
			plantest.Analyze(t, d)
			table, args := d.Dialect.Table(1, db.Column{Texts: []string{"a", "b"}})
			for _, q := range []struct {
				name, query string
				args        []any
				indexes     []string
			}{
				{"due", dueQuery, []any{before, 100}, []string{"runs_leased", "runs_health", "runs_disconnected"}},
				{"page", activeQuery, []any{after, "", 100}, []string{"runs_health"}},
				{"some", leasesQuery(table), args, nil},
			} {
				plan := plantest.Plan(t, d, q.query, q.args...)
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
			pagesOfActive(t, New(d, troubled.New(d), nil), 5000)
		})
	}
}

// pagesOfActive walks through all pages of active runs: each comes once.
func pagesOfActive(t *testing.T, s *Health, n int) {
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
