package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
	"stint.dev/stint/journal"
)

// ended stores a run of a job that has ended.
func ended(t *testing.T, s *store.Store, name string) (id string) {
	t.Helper()
	id, data := whole(t, journal.Attempt{Job: name}, 0, "line\n")
	one(t, s, id, 1, 0, data)
	return id
}

func pagesOfJobs(t *testing.T, s *store.Store) {
	for i := range 7 {
		ended(t, s, fmt.Sprintf("job-%d", i))
		ended(t, s, fmt.Sprintf("job-%d", i))
	}
	var names []string
	q := query.Jobs{Limit: 3}
	for pages := 1; ; pages++ {
		page, err := s.Jobs(t.Context(), q)
		if err != nil || len(page.Jobs) > 3 || pages > 3 {
			t.Fatalf("page %d: %+v, %v", pages, page, err)
		}
		for _, j := range page.Jobs {
			if j.Runs != 2 || j.LastRun == nil || j.LastRun.Number != 2 || j.Usual == nil {
				t.Errorf("%+v", j)
			}
			names = append(names, j.Name)
		}
		if q.Cursor = page.Cursor; q.Cursor == "" {
			break
		}
	}
	long := newJournal(t, journal.Attempt{
		Job: "long", Args: []string{"echo", strings.Repeat("x", 9000)}, Labels: map[string]string{"team": strings.Repeat("l", 200)}, Dir: strings.Repeat("d", 900),
	})
	long.command()
	long.json(journal.TypeStatus, journal.Status{Text: strings.Repeat("s", 900)})
	long.json(journal.TypeNote, journal.Note{Text: strings.Repeat("n", 900)})
	long.json(journal.TypeGap, job.Gap{Stream: job.Stdout, Bytes: 1, Reason: strings.Repeat("r", 100)})
	_, data := long.take()
	one(t, s, long.id, 1, 0, data)
	before, err := s.Jobs(t.Context(), query.Jobs{Limit: 7})
	must(t, err)
	page, err := s.Jobs(t.Context(), query.Jobs{Cursor: before.Cursor})
	if err != nil || len(page.Jobs) != 1 || page.Jobs[0].LastRun == nil || page.Jobs[0].LastRun.ID != long.id {
		t.Fatalf("%+v, %v", page, err)
	}
	if text, err := json.Marshal(page.Jobs[0]); err != nil || len(text) > 3000 {
		t.Errorf("a job takes %d bytes of a page, %v", len(text), err)
	}
	if fmt.Sprint(names) != "[job-0 job-1 job-2 job-3 job-4 job-5 job-6]" {
		t.Errorf("%v", names)
	}
	var invalid *job.InvalidError
	for _, cursor := range []string{"!", "aGVsbG8v"} {
		if _, err := s.Jobs(t.Context(), query.Jobs{Cursor: cursor}); !errors.As(err, &invalid) {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
}

// Whatever the filters and the size of a page are, all pages together have the jobs whose names and last runs match, each once,
// with the same figures as without filters.
func filtersOfJobs(t *testing.T, s *store.Store) {
	teams := []string{"db", "web", "50%"}
	team := map[string]string{} // of the last run
	for i := range 40 {
		name := fmt.Sprintf("%s-%02d", []string{"backup", "Bäckerei", "etl_x"}[i%3], i)
		for n := range 2 {
			team[name] = teams[(i+n)%3]
			id, data := whole(t, journal.Attempt{Job: name, Labels: map[string]string{"team": team[name], "all": "yes"}}, (i/3+n)%2, "line\n")
			one(t, s, id, 1, 0, data)
		}
	}
	for _, name := range []string{"backup of a host", "zoo"} {
		must(t, s.SetDue(t.Context(), name, job.Expectation{EverySeconds: 60, GraceSeconds: 60}, "ada", noon))
	}
	all, err := s.Jobs(t.Context(), query.Jobs{})
	if err != nil || len(all.Jobs) != 42 {
		t.Fatalf("%d jobs, %v", len(all.Jobs), err)
	}
	found := 0
	for _, text := range []string{"", "backup", "BÄCK", "_x-1", "%", "none"} {
		for _, states := range [][]job.State{nil, {job.Failed}, {job.Failed, job.Succeeded}, {job.Lost}} {
			for _, labels := range []map[string]string{nil, {"team": "web"}, {"team": "50%", "all": "yes"}, {"team": "none"}} {
				var want []api.Summary
				for _, j := range all.Jobs {
					named := strings.Contains(strings.ToLower(j.Name), strings.ToLower(text))
					stated := states == nil || j.LastRun != nil && slices.Contains(states, j.LastRun.State)
					labeled := labels == nil || j.LastRun != nil && labels["team"] == team[j.Name]
					if named && stated && labeled {
						want = append(want, j)
					}
				}
				for _, limit := range []int{1, 5, 0} {
					var got []api.Summary
					for q := (query.Jobs{Text: text, States: states, Labels: labels, Limit: limit}); ; {
						page, err := s.Jobs(t.Context(), q)
						must(t, err)
						if got = append(got, page.Jobs...); limit > 0 && len(page.Jobs) > limit {
							t.Fatalf("a page of %d has %d jobs", limit, len(page.Jobs))
						}
						if q.Cursor = page.Cursor; q.Cursor == "" {
							break
						}
					}
					if found += len(got); !reflect.DeepEqual(got, want) {
						t.Errorf("%q, %v, %v, %d on a page: %d jobs, want %d", text, states, labels, limit, len(got), len(want))
					}
				}
			}
		}
	}
	if found == 0 {
		t.Error("no filter matches anything")
	}
}

func deleteJob(t *testing.T, s *store.Store) {
	for range 25 {
		ended(t, s, "gone")
	}
	ended(t, s, "stays")
	if err := s.SetPolicy(t.Context(), policy.Stored{Job: "gone", YAML: "rules: {}", SetAt: noon}, []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	live := running(t, s, journal.Attempt{Job: "gone"})
	var active *query.ActiveJobError
	if n, err := s.DeleteJob(t.Context(), "gone", "mia"); !errors.As(err, &active) || active.Runs != 1 || n != 0 {
		t.Fatalf("a job with an active run: %d, %v", n, err)
	}
	live.end(0)
	offset, data := live.take()
	one(t, s, live.id, 1, offset, data)
	if n, err := s.DeleteJob(t.Context(), "gone", "mia"); err != nil || n != 26 {
		t.Fatalf("deleted %d runs: %v", n, err)
	}
	var missing *query.NotFoundError
	if _, err := s.Job(t.Context(), "gone"); !errors.As(err, &missing) {
		t.Errorf("the job: %v", err)
	}
	if _, err := s.Policy(t.Context(), "gone"); !errors.As(err, &missing) {
		t.Errorf("its policy: %v", err)
	}
	if _, err := s.DeleteJob(t.Context(), "gone", "mia"); !errors.As(err, &missing) {
		t.Errorf("again: %v", err)
	}
	page, err := s.Jobs(t.Context(), query.Jobs{})
	if err != nil || len(page.Jobs) != 1 || page.Jobs[0].Name != "stays" {
		t.Errorf("%+v, %v", page.Jobs, err)
	}
	id := ended(t, s, "gone")
	if run, err := s.Run(t.Context(), id); err != nil || run.Number != 1 {
		t.Errorf("a job that begins anew: number %d, %v", run.Number, err)
	}
}

// A run that begins again while its job is deleted keeps the job, and its policy.
func deleteJobThatGoesOn(t *testing.T, s *store.Store) {
	deleted, stays := ended(t, s, "nightly"), ended(t, s, "nightly")
	must(t, s.SetPolicy(t.Context(), policy.Stored{Job: "nightly", YAML: "rules: {}", SetAt: noon}, []byte(`{}`)))
	// With the first run that goes somebody asks for a retry of the second.
	retry := `UPDATE runs SET state = 'retrying' WHERE id = '` + stays + `'`
	if s.Postgres() {
		must(t, s.Exec(t.Context(), `CREATE FUNCTION ask_for_retry() RETURNS trigger AS $$ BEGIN `+retry+`; RETURN NULL; END $$ LANGUAGE plpgsql`))
		must(t, s.Exec(t.Context(), `CREATE TRIGGER ask_for_retry AFTER DELETE ON runs FOR EACH ROW EXECUTE FUNCTION ask_for_retry()`))
	} else {
		must(t, s.Exec(t.Context(), `CREATE TRIGGER ask_for_retry AFTER DELETE ON runs BEGIN `+retry+`; END`))
	}
	var active *query.ActiveJobError
	if n, err := s.DeleteJob(t.Context(), "nightly", "mia"); !errors.As(err, &active) || active.Runs != 1 || active.Deleted != 1 || n != 1 {
		t.Errorf("deleted %d runs: %v; want 1, and the other one is active", n, err)
	}
	if !gone(t, s, deleted) || gone(t, s, stays) {
		t.Error("the run that is retried goes, or the one that has ended stays")
	}
	if _, err := s.Policy(t.Context(), "nightly"); err != nil {
		t.Errorf("its policy: %v", err)
	}
	must(t, s.Exec(t.Context(), `UPDATE runs SET state = 'failed' WHERE id = '`+stays+`'`))
	if n, err := s.DeleteJob(t.Context(), "nightly", "mia"); err != nil || n != 1 {
		t.Errorf("once it has ended: %d, %v", n, err)
	}
	var missing *query.NotFoundError
	if _, err := s.Policy(t.Context(), "nightly"); !errors.As(err, &missing) {
		t.Errorf("its policy: %v", err)
	}
}

// A job that has a policy and no runs can be deleted, and ends with its policy.
func deleteJobWithoutRuns(t *testing.T, s *store.Store) {
	for name, remove := range map[string]func(string) error{
		"deleted":        func(name string) error { _, err := s.DeleteJob(t.Context(), name, "mia"); return err },
		"without policy": func(name string) error { return s.DeletePolicy(t.Context(), name) },
	} {
		must(t, s.SetPolicy(t.Context(), policy.Stored{Job: name, YAML: "rules: {}", SetAt: noon}, []byte(`{}`)))
		must(t, s.DeleteRun(t.Context(), ended(t, s, name)))
		must(t, remove(name))
		for _, table := range []string{"jobs", "job_policies", "job_bands", "run_counts"} {
			if n, err := s.CountRows(t.Context(), table); err != nil || n > 0 {
				t.Errorf("%s: %d rows of %s are left: %v", name, n, table, err)
			}
		}
	}
}

// A job is forgotten with its last run, unless somebody has set a policy for it.
func TestJobsWithoutRunsAreForgotten(t *testing.T) {
	onBoth(t, store.Keep{Age: 24 * time.Hour}, func(t *testing.T, s *store.Store, _ string) {
		old := noon.Add(-48 * time.Hour)
		endedRun(t, s, "forgotten", old, 10)
		endedRun(t, s, "with-policy", old, 10)
		endedRun(t, s, "still-runs", old, 10)
		endedRun(t, s, "still-runs", noon, 10)
		if err := s.SetPolicy(t.Context(), policy.Stored{Job: "with-policy", YAML: "rules: {}", SetAt: noon}, []byte(`{}`)); err != nil {
			t.Fatal(err)
		}
		if err := s.Tidy(t.Context(), noon); err != nil {
			t.Fatal(err)
		}
		for name, number := range map[string]int64{"forgotten": 1, "with-policy": 2, "still-runs": 3} {
			if run, err := s.Run(t.Context(), endedRun(t, s, name, noon, 10)); err != nil || run.Number != number {
				t.Errorf("%s: the next run has number %d, want %d: %v", name, run.Number, number, err)
			}
		}
	})
}

func settingsLeft(t *testing.T, s *store.Store) {
	want := func(want ...string) {
		t.Helper()
		if left, err := s.SettingsLeft(t.Context(), "python", "train"); err != nil || !slices.Equal(left, want) {
			t.Errorf("got %q, %v; want %q", left, err, want)
		}
	}
	set := func(name string) {
		t.Helper()
		if err := s.SetPolicy(t.Context(), policy.Stored{Job: name, YAML: "rules: {}", SetAt: noon}, []byte(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
	want()
	set("python")
	want("policy")
	if err := s.SetDue(t.Context(), "python", job.Expectation{EverySeconds: 3600, GraceSeconds: 60}, "ada", noon); err != nil {
		t.Fatal(err)
	}
	want("policy", "expectation")
	set("train")
	want("expectation")
}

// A client that has begun too many jobs can go on with the existing ones.
func knownJobsOnly(t *testing.T, s *store.Store) {
	first, data := whole(t, journal.Attempt{Job: "known"}, 0)
	if got := one(t, s, first, 1, 0, data); !got.NewJob {
		t.Error("the first run of a job makes a job")
	}
	again, data := whole(t, journal.Attempt{Job: "known"}, 0)
	got := try(t, s, index.Append{Run: again, Attempt: 1, Data: data, At: noon, KnownJobsOnly: true})
	if got.Err != nil || got.NewJob {
		t.Errorf("a run of a job that is there: %+v", got)
	}
	other := newJournal(t, journal.Attempt{Job: "new"})
	_, data = other.take()
	var many *index.TooManyJobsError
	if got := try(t, s, index.Append{Run: other.id, Attempt: 1, Data: data, At: noon, KnownJobsOnly: true}); !errors.As(got.Err, &many) || got.Size != 0 {
		t.Errorf("a run of a new job: %+v", got)
	}
	one(t, s, other.id, 1, 0, data)
	other.command()
	offset, data := other.take()
	if got := try(t, s, index.Append{Run: other.id, Attempt: 1, Offset: offset, Data: data, At: noon, KnownJobsOnly: true}); got.Err != nil {
		t.Errorf("more of a run that is there: %v", got.Err)
	}
}
