package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

func jobFigures(t *testing.T, s *store.Store, labels ...string) query.JobsFigures {
	t.Helper()
	got, err := s.JobFigures(t.Context(), labels)
	must(t, err)
	return got
}

func figuresOfJobs(t *testing.T, s *store.Store) {
	if diff := cmp.Diff(query.JobsFigures{Jobs: []query.JobFigures{}}, jobFigures(t, s)); diff != "" {
		t.Error("an empty store (-want +got):", diff)
	}
	must(t, s.SetDue(t.Context(), "a new one", job.Expectation{EverySeconds: 60, GraceSeconds: 60}, "ada", noon))
	must(t, s.CountPulse(t.Context(), "a new one", nil, noon.Add(time.Minute)))
	_, good := whole(t, journal.Attempt{Job: "daily", Run: "0199aaaa-0000-7000-8000-000000000001"}, 0, "x\n")
	one(t, s, "0199aaaa-0000-7000-8000-000000000001", 1, 0, good)
	bad, data := whole(t, journal.Attempt{Job: "daily", Labels: map[string]string{"team": "red"}}, 3, "x\n")
	try(t, s, appendAfter(bad, data, time.Hour))
	active := newJournal(t, journal.Attempt{Job: "daily", Labels: map[string]string{"team": "blue", "other": "x"}})
	active.command()
	_, data = active.take()
	try(t, s, appendAfter(active.id, data, 2*time.Hour))
	l := leaseOf(t, s, active.id)
	_, err := s.Judge(t.Context(), []lease.Verdict{{
		Run: active.id, Attempt: 1, ReportedAt: l.ReportedAt, At: noon.Add(2 * time.Hour), Health: job.Warning,
		Findings: []job.Finding{{Rule: "quiet", Health: job.Warning, Since: noon, Evidence: "It prints nothing."}},
	}})
	must(t, err)
	lost := running(t, s, journal.Attempt{Job: "lost"})
	s.SetClock(func() time.Time { return noon.Add(time.Hour) })
	lose(t, s, lost.id)

	run := func(id string) job.Run { return mustRun(t, s, id) }
	failed, three := run(bad), 3
	want := query.JobsFigures{
		Jobs: []query.JobFigures{
			{Name: "a new one", Labels: []string{"", ""}, Duration: -1, LastSuccess: noon.Add(time.Minute), Due: noon.Add(2 * time.Minute), Ended: map[job.State]int64{}, Expected: true},
			{
				Name: "daily", Labels: []string{"blue", ""}, LastStart: run(active.id).StartAt,
				LastEnd: *failed.EndedAt, LastSuccess: *run("0199aaaa-0000-7000-8000-000000000001").EndedAt,
				Duration: failed.EndedAt.Sub(*failed.StartedAt), PeakMemory: failed.Usage.PeakMemoryBytes, ExitCode: &three, Active: 1, FailuresInARow: 1,
				Ended: map[job.State]int64{job.Succeeded: 1, job.Failed: 1},
			},
			{
				Name: "lost", Labels: []string{"", ""}, LastStart: run(lost.id).StartAt, LastEnd: noon.Add(time.Hour),
				Duration: -1, FailuresInARow: 1, Ended: map[job.State]int64{job.Lost: 1},
			},
		},
		Findings: []query.JobFindings{{Job: "daily", Rule: "quiet", Severity: job.Warning, Runs: 1}},
	}
	if diff := cmp.Diff(want, jobFigures(t, s, "team", "never")); diff != "" {
		t.Error("figures (-want +got):", diff)
	}
}

// appendAfter is an append of a whole journal of a run that started some time after noon.
func appendAfter(id string, data []byte, by time.Duration) index.Append {
	return index.Append{Run: id, Attempt: 1, Data: data, At: noon.Add(by)}
}

// Retention, and the sums of the table of counts, take nothing off what a job has ended, as long as there is the job.
func endsNeverFall(t *testing.T, s *store.Store) {
	must(t, s.SetDue(t.Context(), "kept", job.Expectation{EverySeconds: 60, GraceSeconds: 60}, "ada", noon))
	ends := func(name string) string {
		for _, j := range jobFigures(t, s).Jobs {
			if j.Name == name {
				return fmt.Sprint(j.Ended[job.Succeeded], " ", j.Ended[job.Failed], " ", j.Ended[job.Lost])
			}
		}
		return "none"
	}
	check := func(when, name, want string) {
		t.Helper()
		if got := ends(name); got != want {
			t.Errorf("%s, %s has ended %s, want %s", when, name, got, want)
		}
	}
	var ids []string
	for _, name := range []string{"kept", "gone"} {
		for range 3 {
			ids = append(ids, ended(t, s, name))
		}
	}
	id, data := whole(t, journal.Attempt{Job: "kept"}, 1)
	one(t, s, id, 1, 0, data)
	check("at first", "kept", "3 1 0")
	must(t, s.DeleteRun(t.Context(), ids[0]))
	must(t, s.DeleteRun(t.Context(), ids[3]))
	check("after one was deleted", "kept", "3 1 0")
	check("after one was deleted", "gone", "3 0 0")
	if s.Postgres() { // where changes are rows until they are added up
		must(t, s.Exec(t.Context(), `INSERT INTO run_counts (job, state, n) SELECT 'kept', 'running', 0 FROM generate_series(1, 3000)`))
		must(t, s.MergeCounts(t.Context()))
		check("after the sums were made", "kept", "3 1 0")
	}
	for _, id := range append(ids[1:3], ids[4], ids[5], id) {
		must(t, s.DeleteRun(t.Context(), id))
	}
	check("after all were deleted", "kept", "3 1 0")
	check("after all were deleted", "gone", "none")
	ended(t, s, "kept")
	ended(t, s, "gone")
	check("after another", "kept", "4 1 0")
	check("after another", "gone", "1 0 0")

	j := running(t, s, journal.Attempt{Job: "kept"})
	lose(t, s, j.id)
	check("after a loss", "kept", "4 1 1")
	j.end(0)
	offset, data := j.take()
	one(t, s, j.id, 1, offset, data)
	check("after the end of the lost one", "kept", "5 1 1")
}

// Failures in a row end with a success, also one that is only counted, and not with a cancellation.
func failuresInARow(t *testing.T, s *store.Store) {
	must(t, s.SetDue(t.Context(), "train", job.Expectation{EverySeconds: 60, GraceSeconds: 60}, "ada", noon))
	check := func(when string, want int) {
		t.Helper()
		if got := jobFigures(t, s).Jobs[0].FailuresInARow; got != want {
			t.Errorf("%s: %d failures in a row, want %d", when, got, want)
		}
	}
	at := time.Duration(0)
	run := func(code int) {
		t.Helper()
		at += time.Hour
		id, data := whole(t, journal.Attempt{}, code)
		if got := try(t, s, appendAfter(id, data, at)); got.Err != nil {
			t.Fatal(got.Err)
		}
	}
	check("no run", 0)
	for i := range 12 {
		run(1)
		check("failed", min(i+1, 10))
	}
	run(0)
	check("succeeded", 0)
	run(1)
	run(2)
	check("failed again", 2)
	must(t, s.Exec(t.Context(), `UPDATE runs SET state = 'canceled' WHERE id = (SELECT id FROM runs ORDER BY start_at DESC LIMIT 1)`))
	check("canceled", 1)
	must(t, s.CountPulse(t.Context(), "train", nil, noon.Add(at+time.Hour)))
	check("counted a success", 0)
}
