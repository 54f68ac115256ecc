package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/recovery"
	"stint.dev/stint/job"
)

// A run belongs to the job that its journal names, with its number, or the next one if another run has it.
func TestRepairOfJobs(t *testing.T) {
	onBoth(t, store.Keep{}, func(t *testing.T, s *store.Store, _ string) {
		s.SetClock(func() time.Time { return noon })
		ids := []string{endedRun(t, s, "a", noon, 100), endedRun(t, s, "a", noon.Add(time.Minute), 100), endedRun(t, s, "b", noon, 100)}
		numbers := func() (all []string) {
			t.Helper()
			for _, id := range ids {
				r := mustRun(t, s, id)
				all = append(all, fmt.Sprint(r.Job, "#", r.Number))
			}
			return all
		}
		wantText(t, strings.Join(numbers(), " "), "a#1 a#2 b#1")
		must(t, s.Exec(t.Context(), `UPDATE runs SET job = 'b', number = 7 WHERE id = $1`, ids[0]))
		if found := check(t, s, false); len(found) != 3 || found[0].Run != ids[0] || found[1].Run+found[2].Run != "" {
			t.Errorf("found %+v, want the run, and the counts of two jobs", found)
		}
		for n, f := range check(t, s, true) {
			if f.Repaired == "" {
				t.Errorf("finding %d is not repaired: %+v", n, f)
			}
		}
		wantText(t, strings.Join(numbers(), " "), "a#7 a#2 b#1")
		must(t, s.Exec(t.Context(), `UPDATE runs SET job = 'b', number = 2 WHERE id = $1`, ids[0])) // a has another #2
		check(t, s, true)
		wantText(t, strings.Join(numbers(), " "), "a#8 a#2 b#1")
		ids = append(ids, endedRun(t, s, "a", noon.Add(time.Hour), 100), endedRun(t, s, "b", noon.Add(time.Hour), 100))
		wantText(t, strings.Join(numbers(), " "), "a#8 a#2 b#1 a#9 b#2")
		if found := check(t, s, false); len(found) != 0 {
			t.Errorf("after: %+v", found)
		}
	})
}

// The table of counts has as many runs as there are.
func TestRepairOfCounts(t *testing.T) {
	onBoth(t, store.Keep{}, func(t *testing.T, s *store.Store, _ string) {
		s.SetClock(func() time.Time { return noon })
		ids := runsOfAllStates(t, s)
		counts := func() string {
			t.Helper()
			all, err := s.RunCounts(t.Context(), query.Runs{})
			must(t, err)
			jobs, err := s.Jobs(t.Context(), query.Jobs{Limit: 100})
			must(t, err)
			text := fmt.Sprint(all.State)
			for _, j := range jobs.Jobs {
				text += fmt.Sprint(" ", j.Name, " ", j.Runs, " ", j.Active, " ", j.Succeeded)
			}
			for _, j := range jobFigures(t, s).Jobs {
				text += fmt.Sprint(" ", j.Ended[job.Succeeded], " ", j.Ended[job.Failed])
			}
			return text
		}
		want := counts()
		for what, damage := range map[string]struct {
			statement string
			findings  int
		}{
			"too many":   {`UPDATE run_counts SET n = n + 5 WHERE job = 'failed' AND state = 'failed'`, 1},
			"none":       {`DELETE FROM run_counts`, len(ids)},
			"of no runs": {`INSERT INTO run_counts (job, state, n) VALUES ('nobody', 'running', 3)`, 1},
			"ends":       {`UPDATE run_counts SET ended = 0 WHERE job = 'failed' AND state = 'failed'`, 1},
			"too few":    {`UPDATE run_counts SET n = -1 WHERE job = 'running' AND state = 'running'`, 1},
		} {
			must(t, s.Exec(t.Context(), damage.statement))
			for _, repair := range []bool{false, true} {
				found := check(t, s, repair)
				if len(found) != damage.findings {
					t.Errorf("%s: found %+v, want %d", what, found, damage.findings)
				}
				for _, f := range found {
					if !strings.Contains(f.What, "the table of counts") || (f.Repaired != "") != repair {
						t.Errorf("%s: found %+v", what, f)
					}
				}
			}
			if got := counts(); got != want {
				t.Errorf("%s: repaired to\n%s, want\n%s", what, got, want)
			}
		}
		lose(t, s, ids["running"]) // the triggers go on with what was repaired
		if found := check(t, s, false); len(found) != 0 {
			t.Errorf("after: %+v", found)
		}
		var sum recovery.Checked
		sum, err := recovery.Check(t.Context(), s, true, func(recovery.Finding) {})
		if err != nil || sum.Findings != 0 || mustRun(t, s, ids["running"]).State != job.Lost {
			t.Errorf("%+v, %v", sum, err)
		}
	})
}
