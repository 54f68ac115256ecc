package store_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
	"stint.dev/stint/journal"
)

// Why rows of a table do not pile up for ever. The test fails for a
// table that has no row here.
const (
	withRuns    = "goes with the run, which retention (--keep-days, --keep-runs, --keep-bytes) or DELETE /jobs deletes"
	withJob     = "goes with the last run of the job, or with its policy or expectation if that goes later"
	withQueue   = "goes when the run starts or ends, or once no run waits that needs it"
	byPeople    = "goes when somebody deletes it"
	byTime      = "goes some time after it was written, or has expired"
	withObjects = "goes when the object is deleted from the archive, once no block refers to it"
	bounded     = "is bounded in number"
	byTidying   = "goes with the next tidying"
	ofSchema    = "has a row for each migration"
	byDeletion  = "stays: a small row for each run that an admin has deleted, which is refused for ever"
)

var endOfRows = map[string]string{
	"runs": withRuns, "run_labels": withRuns, "run_texts": withRuns, "stale_texts": byTidying, "attempts": withRuns + "; " + byTime + " while its identity is not whole",
	"blocks": withRuns, "events": withRuns, "waiting_agents": withRuns, "run_owners": withRuns + "; " + byTime + " if there never is one",
	"jobs": withJob, "job_bands": withJob, "run_counts": withJob, "job_policies": byPeople,
	"outbox": byTime + ", and " + withRuns, "troubled": byTime, "audit": byTime, "sessions": byTime, "logins": byTime,
	"tokens": byPeople + ", or a while after it has expired", "routes": byPeople, "objects": withObjects,
	"definitions": byPeople, "definition_versions": "is one of the last of a job, or " + withRuns + ", or " + byTime + " if the job has no definition and no runs",
	"submissions": withRuns, "queue_entries": withRuns + "; earlier when the run starts", "queue_ready": withQueue, "queue_after": withQueue,
	"queue_places": withRuns + "; earlier when the run ends", "queue_selectors": withQueue, "queue_lanes": withQueue, "queue_groups": byPeople,
	"workers": byTime, "claims": withQueue, "permits": withRuns, "ended_claims": withRuns,
	"job_due": byPeople, "job_due_missed_times": byPeople + ", with the expectation; or " + byTime, "job_due_days": byPeople + ", with the expectation; or " + byTime, "due_watch": bounded,
	"job_pulses": byPeople + ", with the expectation", "wire_runs": withRuns,
	"schedules": byPeople, "occurrences": withRuns + "; without one " + byTime,
	"keep_limits": bounded, "stored_bytes": bounded, "installation": bounded, "schema_version": ofSchema, "deleted_runs": byDeletion,
}

// mostBounded is the most rows of a table that is bounded in number, in this test.
const mostBounded = 40

// Every table has rows in this test, and loses them: a table that is new must get both here.
func TestRowsOfEveryTableEnd(t *testing.T) {
	onBoth(t, store.Keep{Age: 24 * time.Hour}, func(t *testing.T, s *store.Store, _ string) {
		now := noon
		s.SetClock(func() time.Time { return now })
		tables, err := s.Tables(t.Context())
		must(t, err)
		known := maps.Clone(endOfRows)
		if s.Postgres() {
			delete(known, "stale_texts") // PostgreSQL has none
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(known)), tables); diff != "" {
			t.Fatalf("tables in endOfRows (-) and in the database (+):\n%s", diff)
		}
		waiting := fillTables(t, s)
		most := map[string]int{bounded: mostBounded}
		for _, table := range tables {
			n, err := s.CountRows(t.Context(), table)
			if err != nil || n == 0 {
				t.Errorf("%s has %d rows, %v: this test needs some", table, n, err)
			}
			if end := endOfRows[table]; end == ofSchema || end == byDeletion {
				most[end] = n
			}
		}

		now = noon.Add(100 * 24 * time.Hour)
		must(t, s.DeletePolicy(t.Context(), "nightly"))
		if _, err := s.DeleteJob(t.Context(), "defined", "mia"); err != nil {
			t.Fatal(err)
		}
		must(t, s.DeleteGroup(t.Context(), "db"))
		for _, id := range waiting {
			if _, _, err := s.RequestCancel(t.Context(), id, job.Cancel{By: "ada", At: noon}); err != nil {
				t.Error(err)
			}
		}
		must(t, s.TidyQueue(t.Context()))
		must(t, s.DeleteRoute(t.Context(), "chat", now))
		must(t, s.RevokeToken(t.Context(), "for ever"))
		tidy(t, s, now)
		must(t, s.DeleteDue(t.Context(), "nightly")) // after the last run
		must(t, s.TidyOutbox(t.Context(), now, now, 1000))
		must(t, s.TidyOutbox(t.Context(), now, now.Add(time.Second), 1000))
		now = noon.Add(500 * 24 * time.Hour)
		must(t, s.SweepAccess(t.Context(), now))
		must(t, s.TidyWorkers(t.Context(), now))
		must(t, s.ExpireOccurrences(t.Context(), now))
		if _, err := s.EndOverdueClaims(t.Context()); err != nil {
			t.Fatal(err)
		}
		tidy(t, s, now)
		for _, table := range tables {
			n, err := s.CountRows(t.Context(), table)
			if err != nil || n > most[endOfRows[table]] {
				t.Errorf("%s: %d rows are left, %v: %s", table, n, err, endOfRows[table])
			}
		}
	})
}

// fillTables makes rows in every table. It returns the runs that wait in the queue.
func fillTables(t *testing.T, s *store.Store) (waiting []string) {
	ctx, soon := t.Context(), noon.Add(time.Hour)
	run := endedRun(t, s, "nightly", noon.Add(-time.Hour), 100<<10)
	if _, err := s.EraseRun(ctx, endedRun(t, s, "leaky", noon.Add(-time.Hour), 100), "mia"); err != nil {
		t.Fatal(err)
	}
	must(t, s.SetPolicy(ctx, policy.Stored{Job: "nightly", YAML: "rules: {}", SetAt: noon}, []byte(`{}`)))
	set := definition.Set{New: []definition.New{defined(t, "job: defined\ncommand: [a]\nschedules: [{cron: '@daily'}]\n")}, By: "ada", At: noon}
	if _, err := s.ApplyDefinitions(ctx, set); err != nil {
		t.Fatal(err)
	}
	must(t, s.SetDue(ctx, "nightly", job.Expectation{EverySeconds: 86400}, "ada", noon))
	must(t, s.Exec(ctx, `INSERT INTO job_due_missed_times (job, due_at, last_at, times, from_at, until_at, missed_at) VALUES ('nightly', 0, 0, 1, 0, 0, 0)`))
	must(t, s.Exec(ctx, `INSERT INTO job_due_days (job, day, kept) VALUES ('nightly', 0, 1)`))
	must(t, s.CountPulse(ctx, "nightly", nil, noon))
	must(t, s.Exec(ctx, `INSERT INTO job_bands (job, figures) VALUES ('nightly', '[]')`))
	must(t, s.Exec(ctx, `INSERT INTO wire_runs (job, wire, rid, run_id) VALUES ('nightly', 'compat', '', '`+run+`')`))
	must(t, s.SetRoute(ctx, api.Route{Name: "chat", URL: "https://example.org/", Enabled: true, ChangedAt: noon}))
	must(t, s.AddOutbox(ctx, []outbox.Entry{
		{Kind: outbox.Notify, Run: run, Attempt: 1, What: "failed", Severity: job.Critical, Message: "m", At: noon},
		{Kind: outbox.Notify, What: "network", Severity: job.Warning, Message: "about no run", At: noon},
	}))
	if _, err := s.Dispatch(ctx, noon, 100, func(api.Action, *job.Run) ([]string, string) { return []string{"chat"}, "" }); err != nil {
		t.Fatal(err)
	}
	must(t, s.Exec(ctx, `INSERT INTO waiting_agents (run_id, attempt, until, requested_by, why) VALUES ('`+run+`', 1, 0, '', '')`))
	for _, id := range []string{"for an hour", "for ever"} {
		k := access.Token{ID: id, Name: id, Scope: "agent", Prefix: id, Hash: []byte(id), CreatedAt: noon}
		if id == "for an hour" {
			k.ExpiresAt = &soon
		}
		must(t, s.CreateToken(ctx, k))
	}
	for _, owned := range []string{run, runID()} {
		must(t, s.Exec(ctx, `INSERT INTO run_owners (run_id, token_id, owned_since) VALUES ('`+owned+`', 'for ever', 0)`))
	}
	must(t, s.Exec(ctx, `INSERT INTO workers (name, id, host, doc, first_at, asked_at, lease_until) VALUES ('w1', 'i', 'h', '{}', 0, 0, 0)`))
	must(t, s.Exec(ctx, `INSERT INTO permits (run_id, attempt, incarnation, claim, worker, host, at, memory, avoided) VALUES ('`+run+`', 1, 'i', 'c', 'w1', 'h', 0, 0, '[]')`))
	must(t, s.Exec(ctx, `INSERT INTO occurrences (job, number, at, last, count, result, why, nth, expire_from) VALUES ('gone', 1, 0, 0, 1, 'missed', '', 1, `+fmt.Sprint(noon.UnixMicro())+`)`))
	must(t, s.Exec(ctx, `INSERT INTO ended_claims (id, run_id, attempt, worker, work, at, reason) VALUES ('c', '`+run+`', 1, 'w1', 'w', 0, '')`))
	torn, data := whole(t, journal.Attempt{}, 0)
	one(t, s, torn, 1, 0, data[:20])
	must(t, s.CreateSession(ctx, access.Session{Hash: []byte("h"), Who: "ada", Scope: "read", CreatedAt: noon, ExpiresAt: soon, UsedAt: noon}))
	must(t, s.BeginLogin(ctx, access.Login{Hash: []byte("h"), ExpiresAt: soon}, noon))
	must(t, s.Audit(ctx, access.AuditEntry{At: noon, Who: "ada", Action: "POST", Target: "/"}))
	setGroup(t, s, 1)
	waiting = append(waiting, submitCommand(t, s, "first", func(r *job.SubmitRequest) { r.Group = "db" }))
	must(t, s.Match(ctx))
	if n := len(take(t, s, anyWorker(1))); n != 1 {
		t.Fatalf("%d runs were taken", n)
	}
	must(t, s.Exec(ctx, `INSERT INTO claims (id, run_id, attempt, worker, poll, work, given_at, until, avoided, doc) VALUES ('c', '`+waiting[0]+`', 2, 'w1', 'p', 'w', 0, 0, '[]', '{}')`))
	waiting = append(waiting, submitCommand(t, s, "second", nil))
	waiting = append(waiting, submitCommand(t, s, "third", func(r *job.SubmitRequest) {
		r.After = []job.Dependency{{Run: waiting[0], When: "ended"}}
	}))
	tidy(t, s, noon.Add(time.Hour)) // packs, and makes searchable
	if !s.Postgres() {
		must(t, s.Exec(ctx, `INSERT INTO stale_texts (text_id) VALUES (1)`))
	}
	must(t, s.Exec(ctx, `INSERT INTO troubled (kind, id, error, tries, since_at, last_at, next_at) VALUES ('run', 'x', 'e', 1, 0, 0, 0)`))
	return waiting
}
