package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
)

// Old versions of a definition end, except those that are needed.
func TestVersionsOfDefinitionsEnd(t *testing.T) {
	onBoth(t, store.Keep{}, func(t *testing.T, s *store.Store, _ string) {
		s.SetClock(func() time.Time { return noon })
		version := func(name string, n int) definition.New {
			return defined(t, fmt.Sprintf("job: %s\nscript: echo %d\n", name, n))
		}
		apply := func(name string, n int, at time.Time) string {
			t.Helper()
			v := version(name, n)
			applied(t, s, definition.Set{New: []definition.New{v}, At: at})
			return v.Version
		}
		want := func(when, name string, hashes ...string) {
			t.Helper()
			all, err := s.DefinitionVersions(t.Context(), name, 1000)
			var none *query.NotFoundError
			if err != nil && !errors.As(err, &none) {
				t.Fatal(err)
			}
			var got []string
			for _, v := range all {
				got = append(got, v.Hash)
			}
			if fmt.Sprint(got) != fmt.Sprint(hashes) {
				t.Errorf("%s: job %s has %d versions, want %d: %v, %v", when, name, len(got), len(hashes), got, hashes)
			}
		}
		const kept = 50
		var many []string // the last one first
		for n := range kept + 3 {
			many = append([]string{apply("many", n, noon.Add(time.Duration(n)*time.Minute))}, many...)
		}
		few := apply("few", 0, noon.Add(-1000*24*time.Hour))
		tidy(t, s, noon.Add(time.Hour))
		want("more than are kept", "many", many[:kept]...)
		want("the only one", "few", few)

		// The definition is an old version again, which is the last one then. The version of a definition
		// stays, whenever it became the definition.
		again := apply("many", kept, noon.Add(2*time.Hour)) // many[2]
		must(t, s.Exec(t.Context(), `UPDATE definition_versions SET applied_at = 7 WHERE job = 'many' AND hash = $1`, again))
		late := apply("many", 1000, noon.Add(3*time.Hour))
		must(t, s.Exec(t.Context(), `UPDATE definitions SET version = $1 WHERE job = 'many'`, again))
		tidy(t, s, noon.Add(4*time.Hour))
		left := append([]string{late}, many[:2]...)
		left = append(append(left, many[3:kept]...), again)
		want("the definition is an old one", "many", left...)

		// A version stays as long as the run that was submitted with it.
		submitted := endedRun(t, s, "many", noon, 100)
		must(t, s.Exec(t.Context(), `INSERT INTO submissions (run_id, job, definition, request, selector, group_name, weight, spec)
			VALUES ($1, 'many', $2, '', '{}', '', 1, '{}')`, submitted, many[2]))
		must(t, s.Exec(t.Context(), `UPDATE definitions SET version = $1 WHERE job = 'many'`, late))
		tidy(t, s, noon.Add(5*time.Hour))
		want("a run was submitted with an old one", "many", left...)
		must(t, s.DeleteRun(t.Context(), submitted))
		tidy(t, s, noon.Add(6*time.Hour))
		want("the run is deleted", "many", left[:kept]...)

		// Without a definition they stay as long as the job has runs, or for 30 days.
		endedRun(t, s, "few", noon, 100)
		apply("gone", 0, noon)
		for _, name := range []string{"many", "few", "gone"} {
			must(t, s.DeleteDefinition(t.Context(), name))
		}
		tidy(t, s, noon.Add(30*24*time.Hour))
		if _, err := s.DefinitionVersion(t.Context(), "gone", version("gone", 0).Version); err != nil {
			t.Errorf("30 days later: %v", err)
		}
		want("30 days later", "few", few)
		tidy(t, s, noon.Add(31*24*time.Hour))
		want("31 days later", "gone")
		want("31 days later", "many")
		want("with a run", "few", few)
		if _, err := s.DeleteJob(t.Context(), "few", "mia"); err != nil {
			t.Fatal(err)
		}
		want("the job is deleted", "few")
	})
}
