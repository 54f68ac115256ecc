package store_test

import (
	"testing"
	"time"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/store/postgrestest"
)

// A version stays with which another server has just submitted a run, whose transaction ends after the sweep has begun.
func TestVersionOfARunThatIsBeingSubmitted(t *testing.T) {
	url := postgrestest.URL(t)
	s, other := openURL(t, url), connect(t, url)
	old := defined(t, "job: gone\nscript: echo old\n")
	applied(t, s, definition.Set{New: []definition.New{old}})
	must(t, s.DeleteDefinition(t.Context(), "gone"))
	run := endedRun(t, s, "other", noon, 100)
	tx, err := other.Begin(t.Context())
	must(t, err)
	for _, statement := range []string{ // as a submission does it
		`SELECT hash FROM definition_versions v WHERE job = 'gone' FOR KEY SHARE OF v`,
		`INSERT INTO submissions (run_id, job, definition, request, selector, group_name, weight, spec) SELECT id, 'gone', '` + old.Version + `', '', '{}', '', 1, '{}' FROM runs WHERE id = '` + run + `'`,
		`UPDATE runs SET job = 'gone' WHERE id = '` + run + `'`,
	} {
		_, err := tx.Exec(t.Context(), statement)
		must(t, err)
	}
	swept := make(chan error, 1)
	go func() { swept <- s.Tidy(t.Context(), noon.Add(31*24*time.Hour)) }()
	for waits := 0; waits == 0; {
		select {
		case err := <-swept:
			t.Fatalf("the sweep did not wait: %v", err)
		default:
		}
		must(t, s.Reader.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waits))
	}
	must(t, tx.Commit(t.Context()))
	must(t, <-swept)
	if _, err := s.DefinitionVersion(t.Context(), "gone", old.Version); err != nil {
		t.Errorf("the version of a submitted run: %v", err)
	}
}
