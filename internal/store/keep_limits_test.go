package store_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/keep"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
)

// onBothKeeping runs a test on both databases, with a clock that the test sets and limits that may wait.
func onBothKeeping(t *testing.T, limits store.Keep, test func(t *testing.T, s *store.Store, now *time.Time)) {
	for name, o := range map[string]store.Options{"SQLite": {}, "PostgreSQL": {}} {
		t.Run(name, func(t *testing.T) {
			if name == "SQLite" {
				o.Dir = t.TempDir()
			} else {
				o.URL = postgrestest.URL(t)
			}
			now := noon
			o.Keep, o.SecretKeyFile = limits, filepath.Join(t.TempDir(), "secret.key")
			o.Now = func() time.Time { return now }
			test(t, openWith(t, o), &now)
		})
	}
}

// runsOf makes n runs of a job, a minute apart, the last of which ended at a time.
func runsOf(t *testing.T, s *store.Store, name string, n int, last time.Time) {
	t.Helper()
	for i := range n {
		endedRun(t, s, name, last.Add(time.Duration(i-n+1)*time.Minute), 100)
	}
}

// left returns how many runs each job has.
func left(t *testing.T, s *store.Store, names ...string) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	for _, name := range names {
		n, err := s.CountRunsOf(t.Context(), name)
		must(t, err)
		out[name] = n
	}
	return out
}

// A limit that would delete more than a tenth of all runs waits for 24 hours; one that was in force does not.
func TestALimitThatDeletesManyRunsWaits(t *testing.T) {
	onBothKeeping(t, store.Keep{Runs: 8}, func(t *testing.T, s *store.Store, now *time.Time) {
		runsOf(t, s, "a", 8, noon)
		tidy(t, s, *now) // 8 is in force
		runsOf(t, s, "a", 1, noon.Add(time.Minute))
		s.SetKeep(store.Keep{Runs: 2})
		tidy(t, s, *now)
		if diff := cmp.Diff(map[string]int64{"a": 8}, left(t, s, "a")); diff != "" {
			t.Fatal("what is in force is not applied while another limit waits", diff)
		}
		pending, err := s.PendingLimits(t.Context())
		must(t, err)
		if len(pending) != 1 || pending[0].Limit != 2 || pending[0].Now != 8 || pending[0].Runs != 7 || pending[0].Of != 9 || pending[0].Left() != keep.Delay {
			t.Fatalf("%+v", pending)
		}
		for range 24*6 - 1 {
			*now = now.Add(10 * time.Minute)
			must(t, s.ApplyRetention(t.Context(), *now))
		}
		if n := left(t, s, "a")["a"]; n != 8 {
			t.Fatalf("%d runs are left before the delay has ended", n)
		}
		*now = now.Add(10 * time.Minute)
		must(t, s.ApplyRetention(t.Context(), *now))
		if n := left(t, s, "a")["a"]; n != 2 {
			t.Fatalf("%d runs are left after the delay", n)
		}
		// It is in force: what gathers while no server runs is deleted at once.
		runsOf(t, s, "a", 5, noon.Add(time.Hour))
		*now = now.Add(7 * 24 * time.Hour)
		must(t, s.ApplyRetention(t.Context(), *now))
		if n := left(t, s, "a")["a"]; n != 2 {
			t.Fatalf("%d runs are left by a limit that was in force before", n)
		}
		if pending, err := s.PendingLimits(t.Context()); err != nil || len(pending) != 0 {
			t.Errorf("%+v, %v", pending, err)
		}
	})
}

// A server that is started with --keep-now applies what waits, also what another server has seen.
func TestKeepNow(t *testing.T) {
	onBothKeeping(t, store.Keep{Age: time.Hour}, func(t *testing.T, s *store.Store, now *time.Time) {
		runsOf(t, s, "a", 5, noon.Add(-2*time.Hour))
		tidy(t, s, *now)
		if n := left(t, s, "a")["a"]; n != 5 {
			t.Fatalf("%d runs are left", n)
		}
		s.SetKeep(store.Keep{Age: time.Hour, AtOnce: true})
		tidy(t, s, *now)
		if n := left(t, s, "a")["a"]; n != 0 {
			t.Fatalf("%d runs are left", n)
		}
	})
}

// What a limit would delete is counted without the jobs that have one of their own, also if that is as new.
func TestJobsOfTheirOwnAreNotCounted(t *testing.T) {
	onBothKeeping(t, store.Keep{Runs: 2}, func(t *testing.T, s *store.Store, now *time.Time) {
		runsOf(t, s, "a", 6, noon)
		runsOf(t, s, "b", 6, noon)
		must(t, s.SetPolicy(t.Context(), policy.Stored{Job: "a", YAML: "keep: {runs: 0}", SetAt: *now}, []byte(`{}`)))
		tidy(t, s, *now)
		pending, err := s.PendingLimits(t.Context())
		must(t, err)
		if len(pending) != 1 || pending[0].Runs != 4 || pending[0].Of != 12 {
			t.Errorf("%+v", pending)
		}
	})
}

// A policy keeps the runs of its job for longer or less long than the server keeps others.
func TestJobsKeepTheirRuns(t *testing.T) {
	onBothKeeping(t, store.Keep{Age: 24 * time.Hour, Runs: 4, AtOnce: true}, func(t *testing.T, s *store.Store, now *time.Time) {
		set := func(name, yaml string) {
			t.Helper()
			must(t, s.SetPolicy(t.Context(), policy.Stored{Job: name, YAML: yaml, SetAt: *now}, []byte(`{}`)))
		}
		names := []string{"other", "more", "fewer", "older", "younger", "forever"}
		for _, name := range names {
			runsOf(t, s, name, 3, noon.Add(-30*time.Hour))
			runsOf(t, s, name, 3, noon.Add(-2*time.Hour))
		}
		set("more", "keep: {runs: 5, days: 0}")
		set("fewer", "keep: {runs: 2}")
		set("older", "keep: {days: 2, runs: 0}")
		set("younger", "keep: {days: 0.05}")
		set("forever", "keep: {days: 0, runs: 0}")
		tidy(t, s, *now)
		want := map[string]int64{"other": 3, "more": 5, "fewer": 2, "older": 6, "younger": 0, "forever": 6}
		if diff := cmp.Diff(want, left(t, s, names...)); diff != "" {
			t.Error("(-want +got)", diff)
		}
		must(t, s.DeletePolicy(t.Context(), "forever"))
		s.SetKeep(store.Keep{Age: 24 * time.Hour, Runs: 4})
		tidy(t, s, *now)
		if n := left(t, s, "forever")["forever"]; n != 4 {
			t.Errorf("without its policy the job has %d runs at once, want those 4 that --keep-runs keeps, and --keep-days waits", n)
		}
		s.SetKeep(store.Keep{Age: 24 * time.Hour, Runs: 4, AtOnce: true})
		tidy(t, s, *now)
		if n := left(t, s, "forever")["forever"]; n != 3 {
			t.Errorf("without its policy the job has %d runs", n)
		}
		set("older", "keep: {days: soon}") // as a newer version may have written
		tidy(t, s, *now)
		if n := left(t, s, "older")["older"]; n != 6 {
			t.Errorf("with a policy that cannot be read the job has %d runs", n)
		}
		rows, err := s.ReadTexts(t.Context(), `SELECT DISTINCT job FROM keep_limits WHERE job <> '' ORDER BY job`)
		must(t, err)
		if got := strings.Join(rows, " "); got != "fewer more older younger" {
			t.Errorf("jobs with limits: %s", got)
		}
	})
}
