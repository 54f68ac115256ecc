package store_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

func TestHealthOnSQLite(t *testing.T)     { healthConformance(t, openSQLite) }
func TestHealthOnPostgreSQL(t *testing.T) { healthConformance(t, openPostgres) }

func healthConformance(t *testing.T, open func(*testing.T) *store.Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *store.Store)
	}{
		{"heartbeats are kept for the judge", evidence},
		{"connections that closed", connections},
		{"a heartbeat that is stored late", lateHeartbeat},
		{"policies", policies},
		{"policies at the end of a run", policiesAtTheEnd},
		{"bands", bands},
		{"diagnoses", diagnoses},
		{"diagnosis before a late delivery", diagnosisBeforeLateDelivery},
		{"diagnosis of a stall", stallDiagnosis},
		{"outbox of a verdict", verdictOutbox},
		{"runs that wait for too long", waitingRuns},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

func evidence(t *testing.T, s *store.Store) {
	j := running(t, s, journal.Attempt{TimeoutMS: 60_000, ExpectMS: 30_000, MemoryLimitBytes: 1 << 20})
	l := leaseOf(t, s, j.id)
	if l.Beat != nil || l.Evidence.Limits != (index.Limits{Timeout: time.Minute, Expect: 30 * time.Second, MemoryBytes: 1 << 20}) || !l.Evidence.BegunAt.Equal(noon) {
		t.Errorf("lease before the first heartbeat: %+v", l)
	}
	beat := func(hb job.Heartbeat, at time.Time, appends ...index.Append) {
		t.Helper()
		if _, _, err := s.Ingest(t.Context(), appends, []lease.Beat{{Run: j.id, Attempt: 1, At: at, Lease: time.Minute, Heartbeat: hb}}); err != nil {
			t.Fatal(err)
		}
	}
	hb := job.Heartbeat{Sequence: 1, UptimeMS: 1000, MemoryBytes: 5, Processes: 1, OutputAgeMS: -1, Pressure: &job.Pressure{CPU: 1.5}}
	beat(hb, noon.Add(time.Second))
	l = leaseOf(t, s, j.id)
	if diff := cmp.Diff(&hb, l.Beat); diff != "" || !l.BeatAt.Equal(noon.Add(time.Second)) {
		t.Errorf("heartbeat at %s (-sent +kept): %s", l.BeatAt, diff)
	}
	// One that comes together with an append of its run is kept as well, and the job's word.
	j.json(journal.TypeStatus, journal.Status{Text: "half"})
	offset, data := j.take()
	hb.Sequence = 2
	beat(hb, noon.Add(2*time.Second), index.Append{Run: j.id, Attempt: 1, Offset: offset, Data: data, At: noon.Add(2 * time.Second)})
	l = leaseOf(t, s, j.id)
	if l.Beat.Sequence != 2 || l.Status != "half" {
		t.Errorf("lease %+v", l)
	}
	e := l.Evidence.Observe(*l.Beat, l.BeatAt, l.Status)
	if err := s.StoreEvidence(t.Context(), []lease.StoredEvidence{{Run: j.id, Attempt: 1, Evidence: e}, {Run: runID(), Attempt: 1}}); err != nil {
		t.Fatal(err)
	}
	one, err := s.Lease(t.Context(), j.id)
	if diff := cmp.Diff(e, one.Evidence); diff != "" || err != nil {
		t.Errorf("%v (-stored +read) %s", err, diff)
	}
	var gone *query.NotFoundError
	if _, err := s.Lease(t.Context(), runID()); !errors.As(err, &gone) {
		t.Errorf("lease of no run: %v", err)
	}
}

func connections(t *testing.T, s *store.Store) {
	j := running(t, s, journal.Attempt{})
	beatOnce(t, s, j.id, 1, noon)
	near := func() bool {
		due, err := s.Due(t.Context(), noon.Add(-time.Hour), 10)
		return err == nil && len(due) == 1 && due[0].Closed == (lease.Closure{At: noon.Add(time.Second), Confirm: 3 * time.Second})
	}
	note := func(attempt int, at time.Time) {
		t.Helper()
		c := lease.Closure{At: at, Confirm: 3 * time.Second}
		if err := s.NoteClosed(t.Context(), []lease.ClosedRun{{Run: j.id, Attempt: attempt, Closure: c}, {Run: runID(), Attempt: 1, Closure: c}}); err != nil {
			t.Fatal(err)
		}
	}
	note(2, noon.Add(time.Second))
	note(1, noon.Add(-time.Second)) // reported since
	if near() {
		t.Error("a connection that says nothing makes a run due")
	}
	note(1, noon.Add(time.Second))
	if !near() {
		t.Error("a closed connection does not make its run due")
	}
	beatOnce(t, s, j.id, 1, noon.Add(2*time.Second))
	if near() {
		t.Error("a heartbeat does not end it")
	}
}

// A heartbeat that a server stores late, because it was stopped meanwhile, does not shorten the lease that another server
// has renewed; neither alone nor beside more of the journal.
func lateHeartbeat(t *testing.T, s *store.Store) {
	for name, more := range map[string]bool{"a heartbeat": false, "a heartbeat beside an append": true} {
		j := running(t, s, journal.Attempt{})
		report := func(at time.Time) lease.Lease {
			t.Helper()
			var appends []index.Append
			if more {
				j.output("more\n")
				offset, data := j.take()
				appends = append(appends, index.Append{Run: j.id, Attempt: 1, Offset: offset, Data: data, At: at})
			}
			beat := lease.Beat{Run: j.id, Attempt: 1, At: at, Lease: time.Minute, Heartbeat: job.Heartbeat{PeriodMS: 10_000}}
			appended, beats, err := s.Ingest(t.Context(), appends, []lease.Beat{beat})
			if err != nil || beats[0].Err != nil || more && appended[0].Err != nil {
				t.Fatal(err, appended, beats)
			}
			l, err := s.Lease(t.Context(), j.id)
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		before := report(noon.Add(time.Hour))
		if after := report(noon.Add(time.Minute)); !after.ReportedAt.Equal(noon.Add(time.Hour)) || after.ExpiresAt.Before(before.ExpiresAt) {
			t.Errorf("%s: reported at %s until %s, then at %s until %s", name, before.ReportedAt, before.ExpiresAt, after.ReportedAt, after.ExpiresAt)
		}
	}
}

func policies(t *testing.T, s *store.Store) {
	all, version, err := s.Policies(t.Context(), "")
	if err != nil || len(all) != 0 || version == "" {
		t.Errorf("no policies: %v %q %v", all, version, err)
	}
	p := policy.Stored{Job: "train", YAML: "rules: {}\n", SetAt: noon, SetBy: "ada"}
	if err := s.SetPolicy(t.Context(), p, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := s.SetPolicy(t.Context(), p, []byte("nonsense")); err == nil {
		t.Error("actions that are no JSON were stored")
	}
	all, next, err := s.Policies(t.Context(), version)
	if diff := cmp.Diff([]policy.Stored{p}, all); diff != "" || next == version || err != nil {
		t.Errorf("%q after %q, %v: %s", next, version, err, diff)
	}
	if err := s.Exec(t.Context(), `UPDATE job_policies SET actions = '{' WHERE job = 'train'`); err != nil {
		t.Fatal(err)
	}
	if all, _, err := s.Policies(t.Context(), version); err != nil || len(all) != 1 || all[0].Unreadable == nil || all[0].YAML != p.YAML {
		t.Errorf("a policy whose actions cannot be read: %+v, %v", all, err)
	}
	if again, same, err := s.Policies(t.Context(), next); again != nil || same != next || err != nil {
		t.Errorf("nothing new: %v %q %v", again, same, err)
	}
	p.YAML, p.SetAt = "actions: {}\n", noon.Add(time.Second)
	if err := s.SetPolicy(t.Context(), p, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Policy(t.Context(), "train"); err != nil || got != p {
		t.Errorf("policy %+v, %v", got, err)
	}
	if _, later, err := s.Policies(t.Context(), next); later == next || err != nil {
		t.Errorf("a changed policy has the same version %q, %v", later, err)
	}
	var none *query.NotFoundError
	if err := errors.Join(s.DeletePolicy(t.Context(), "train")); err != nil {
		t.Error(err)
	}
	if err := s.DeletePolicy(t.Context(), "train"); !errors.As(err, &none) {
		t.Errorf("deleted twice: %v", err)
	}
	if _, err := s.Policy(t.Context(), "train"); !errors.As(err, &none) {
		t.Errorf("a deleted policy: %v", err)
	}
}

// kinds is what is asked for because of a run, oldest first.
func kinds(t *testing.T, s *store.Store, run string) []string {
	t.Helper()
	rows, err := s.Actions(t.Context(), query.Actions{Run: run, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, a := range slices.Backward(rows) {
		out = append(out, a.Kind+" "+a.What+" "+string(a.Severity))
	}
	return out
}

func policiesAtTheEnd(t *testing.T, s *store.Store) {
	set := func(actions string) {
		t.Helper()
		if err := s.SetPolicy(t.Context(), policy.Stored{Job: "train", SetAt: noon}, []byte(actions)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		actions string
		want    []string
	}{
		{`{"failed":{"notify":true}}`, []string{"notify failed critical"}},
		{`{"failed":{"notify":true,"severity":"warning"}}`, []string{"notify failed warning"}},
		{`{"failed":{"notify":false}}`, nil},
		{`{"failed":{"notify":false,"retry":1,"backoff_seconds":10}}`, []string{"retry failed "}},
		{`{`, []string{"notify failed critical"}}, // damaged: the default holds, and the run ends
	} {
		if set("{}"); c.actions != "{" {
			set(c.actions)
		} else if err := s.Exec(t.Context(), `UPDATE job_policies SET actions = $1`, c.actions); err != nil {
			t.Fatal(err)
		}
		id, data := whole(t, journal.Attempt{}, 3, "x")
		one(t, s, id, 1, 0, data)
		if diff := cmp.Diff(c.want, kinds(t, s, id)); diff != "" {
			t.Errorf("%s (-want +got) %s", c.actions, diff)
		}
	}
}

func bands(t *testing.T, s *store.Store) {
	for i := range 4 {
		id, data := whole(t, journal.Attempt{}, 0, "x")
		one(t, s, id, 1, 0, data)
		if run := mustRun(t, s, id); (run.Expected != nil) != (i >= 3) {
			t.Errorf("run %d expects %+v", i, run.Expected)
		}
	}
	id, data := whole(t, journal.Attempt{}, 1, "x") // not a good one
	one(t, s, id, 1, 0, data)
	if run := mustRun(t, s, id); run.Expected == nil || run.Expected.Runs != 4 || run.Expected.DurationSeconds.P50 <= 0 {
		t.Errorf("expects %+v", run.Expected)
	}
	all, err := s.Expected(t.Context(), "a", "train", "zzz")
	if err != nil || len(all) != 1 || all["train"].Runs != 4 {
		t.Errorf("bands of several jobs: %+v, %v", all, err)
	}
	if none, err := s.Expected(t.Context()); err != nil || len(none) != 0 {
		t.Errorf("bands of no job: %+v, %v", none, err)
	}
	if none, err := s.Expected(t.Context(), "other"); err != nil || len(none) != 0 {
		t.Errorf("band of another job: %+v, %v", none, err)
	}
	third, err := s.FindRun(t.Context(), reference(t, "train#3"))
	must(t, err)
	good, err := s.GoodRunsBefore(t.Context(), mustRun(t, s, third), 10)
	if err != nil || len(good) != 2 || good[0].Number != 2 {
		t.Errorf("good runs before the third: %+v, %v", good, err)
	}
}

func diagnoses(t *testing.T, s *store.Store) {
	id, data := whole(t, journal.Attempt{}, 1, "x")
	one(t, s, id, 1, 0, data)
	j := running(t, s, journal.Attempt{})
	lose(t, s, j.id)
	waiting, err := s.Undiagnosed(t.Context(), 10)
	if err != nil || len(waiting) != 2 {
		t.Fatalf("waiting: %+v, %v", waiting, err)
	}
	d := &job.Diagnosis{Sentence: "It was the disk.", Causes: []job.Cause{{Cause: "disk_full", Weight: 1, Evidence: "x"}}}
	lost := mustRun(t, s, j.id)
	beatOnce(t, s, j.id, 1, noon.Add(time.Hour)) // it reports again
	if stored, err := s.StoreDiagnosis(t.Context(), lost, d); stored || err != nil {
		t.Errorf("a diagnosis of a run that changed: %v, %v", stored, err)
	}
	failed := mustRun(t, s, id)
	if stored, err := s.StoreDiagnosis(t.Context(), failed, d); !stored || err != nil {
		t.Errorf("diagnosis: %v, %v", stored, err)
	}
	if diff := cmp.Diff(d, mustRun(t, s, id).Diagnosis); diff != "" {
		t.Error("(-made +stored)", diff)
	}
	// Followers of all runs receive it, once.
	for range 2 {
		events, err := s.Events(t.Context(), id, 0, 100)
		must(t, err)
		found := 0
		for _, e := range events {
			if e.Kind == job.EventDiagnosed && e.Evidence == d.Sentence {
				found++
			}
		}
		if found != 1 {
			t.Errorf("events %+v", events)
		}
		if stored, err := s.StoreDiagnosis(t.Context(), failed, d); !stored || err != nil {
			t.Errorf("the same diagnosis: %v, %v", stored, err)
		}
	}
	lose(t, s, j.id)
	if stored, err := s.StoreDiagnosis(t.Context(), mustRun(t, s, j.id), d); !stored || err != nil {
		t.Errorf("diagnosis of the lost: %v, %v", stored, err)
	}
	if waiting, err = s.Undiagnosed(t.Context(), 10); err != nil || len(waiting) != 0 {
		t.Errorf("still waiting: %+v, %v", waiting, err)
	}
	if back := beatOnce(t, s, j.id, 1, noon.Add(2*time.Hour)); back.Run == nil || back.Run.Diagnosis != nil {
		t.Errorf("a run that was healed: %+v", back.Run)
	}
	heads, err := s.LastBlocks(t.Context(), id, 1, 5)
	if err != nil || len(heads) == 0 {
		t.Errorf("last blocks %+v, %v", heads, err)
	}
}

// The diagnosis of a lost run is kept aside while the rest of its journal arrives, and shown to
// who diagnoses it again. One that was made of less of the journal is not stored.
func diagnosisBeforeLateDelivery(t *testing.T, s *store.Store) {
	d := &job.Diagnosis{Sentence: "The agent was killed.", Causes: []job.Cause{{Cause: "agent_killed", Weight: 0.7, Evidence: "x"}}}
	j := running(t, s, journal.Attempt{})
	lose(t, s, j.id)
	early := mustRun(t, s, j.id)
	if stored, err := s.StoreDiagnosis(t.Context(), early, d); !stored || err != nil {
		t.Fatalf("diagnosis: %v, %v", stored, err)
	}
	deliver := func(write func()) job.Run {
		t.Helper()
		write()
		offset, data := j.take()
		return one(t, s, j.id, 1, offset, data).Run
	}
	for range 2 {
		if run := deliver(func() { j.output("more\n") }); run.State != job.Running || run.Diagnosis != nil {
			t.Errorf("while the rest arrives: %+v", run)
		}
	}
	run := deliver(func() {
		if err := j.w.Finish(j.tick(), journal.Final{Outcome: job.Unfinished(false, noon)}); err != nil {
			t.Fatal(err)
		}
	})
	if run.State != job.Lost {
		t.Fatalf("in the end: %+v", run)
	}
	if stored, err := s.StoreDiagnosis(t.Context(), early, d); stored || err != nil {
		t.Errorf("a diagnosis of the beginning: %v, %v", stored, err)
	}
	waiting, err := s.Undiagnosed(t.Context(), 10)
	if err != nil || len(waiting) != 1 {
		t.Fatalf("waiting: %+v, %v", waiting, err)
	}
	if diff := cmp.Diff(d, waiting[0].Diagnosis); diff != "" {
		t.Error("(-made +kept)", diff)
	}
	if stored, err := s.StoreDiagnosis(t.Context(), waiting[0], waiting[0].Diagnosis); !stored || err != nil {
		t.Errorf("diagnosis: %v, %v", stored, err)
	}
	if waiting, err = s.Undiagnosed(t.Context(), 10); err != nil || len(waiting) != 0 {
		t.Errorf("still waiting: %+v, %v", waiting, err)
	}

	// A further attempt knows nothing of it.
	again := running(t, s, journal.Attempt{})
	lose(t, s, again.id)
	if stored, err := s.StoreDiagnosis(t.Context(), mustRun(t, s, again.id), d); !stored || err != nil {
		t.Fatalf("diagnosis: %v, %v", stored, err)
	}
	beatOnce(t, s, again.id, 1, noon.Add(2*time.Hour))
	lose(t, s, again.id)
	second := newJournal(t, journal.Attempt{Run: again.id, Attempt: 2})
	second.command()
	_, data := second.take()
	one(t, s, again.id, 2, 0, data)
	lose(t, s, again.id)
	if waiting, err = s.Undiagnosed(t.Context(), 10); err != nil || len(waiting) != 1 || waiting[0].Diagnosis != nil {
		t.Errorf("of the second attempt: %+v, %v", waiting, err)
	}
}

// The diagnosis of a stall goes with the stall, but not while the run stops, perhaps because
// of it.
func stallDiagnosis(t *testing.T, s *store.Store) {
	d := &job.Diagnosis{Sentence: "It waits for a lock.", Causes: []job.Cause{{Cause: "stalled", Weight: 1, Evidence: "x"}}}
	for _, stops := range []bool{false, true} {
		j := running(t, s, journal.Attempt{})
		judge := func(worst job.Health, findings ...job.Finding) {
			t.Helper()
			_, err := s.Judge(t.Context(), []lease.Verdict{{
				Run: j.id, Attempt: 1, ReportedAt: leaseOf(t, s, j.id).ReportedAt, At: noon, Findings: findings, Health: worst, Evidence: "x",
			}})
			if err != nil {
				t.Fatal(err)
			}
		}
		judge(job.Warning, job.Finding{Rule: "stalled", Health: job.Warning, Since: noon, Evidence: "x"})
		if stored, err := s.StoreDiagnosis(t.Context(), mustRun(t, s, j.id), d); !stored || err != nil {
			t.Fatalf("diagnosis: %v, %v", stored, err)
		}
		if stops {
			if _, _, err := s.RequestCancel(t.Context(), j.id, job.Cancel{By: "ada", At: noon}); err != nil {
				t.Fatal(err)
			}
		}
		judge(job.Healthy)
		if got := mustRun(t, s, j.id); (got.Diagnosis != nil) != stops || len(got.Findings) != 0 {
			t.Errorf("the stall is over, and the run is %s with %+v", got.State, got.Diagnosis)
		}
	}
}

// A run in the queue that has a finding is listed with those that need attention, and found by its health.
func waitingRuns(t *testing.T, s *store.Store) {
	waits := func() (listed, found int) {
		t.Helper()
		o, err := s.Overview(t.Context(), query.Overview{Now: noon, Limit: 10})
		must(t, err)
		page, err := s.Runs(t.Context(), query.Runs{Health: []job.Health{job.Warning}, Limit: 10})
		must(t, err)
		for _, health := range [][]job.Health{nil, {job.Warning}} {
			counts, err := s.RunCounts(t.Context(), query.Runs{Health: health})
			must(t, err)
			if n := int64(len(page.Runs)); counts.Health[job.Warning] != n || health != nil && (counts.Total != n || counts.State[job.Queued] != n) || health == nil && (counts.Total != 1 || counts.State[job.Queued] != 1) {
				t.Errorf("%d runs of %v, counted as %+v", n, health, counts)
			}
		}
		return o.Attention.Count, len(page.Runs)
	}
	id := submitCommand(t, s, "train", nil)
	if listed, found := waits(); listed != 0 || found != 0 {
		t.Errorf("%d listed, %d found", listed, found)
	}
	v := lease.Verdict{Run: id, At: noon, Waiting: true, Health: job.Warning, Findings: []job.Finding{{Rule: "waiting", Health: job.Warning, Since: noon, Evidence: "It waits."}}, Evidence: "It waits."}
	judge := func(v lease.Verdict, want int) {
		t.Helper()
		if got, err := s.Judge(t.Context(), []lease.Verdict{v}); err != nil || len(got) != want {
			t.Errorf("judged: %+v, %v", got, err)
		}
	}
	active := v
	active.Waiting = false
	judge(active, 0)
	judge(v, 1)
	judge(v, 0)
	if listed, found := waits(); listed != 1 || found != 1 {
		t.Errorf("%d listed, %d found", listed, found)
	}
	over := lease.Verdict{Run: id, At: noon, Waiting: true, Evidence: "No longer true: It waits."}
	judge(over, 1)
	if listed, found := waits(); listed != 0 || found != 0 {
		t.Errorf("%d listed, %d found", listed, found)
	}
	events, err := s.Events(t.Context(), id, 0, 10)
	must(t, err)
	var texts []string
	for _, e := range events {
		texts = append(texts, e.Kind+" "+e.From+" "+e.To+" "+e.Rule)
	}
	if diff := cmp.Diff([]string{"health healthy warning waiting", "health warning healthy recovered"}, texts[len(texts)-2:]); diff != "" {
		t.Error("(-want +got)", diff)
	}
}

func verdictOutbox(t *testing.T, s *store.Store) {
	j := running(t, s, journal.Attempt{})
	l := leaseOf(t, s, j.id)
	v := lease.Verdict{
		Run: j.id, Attempt: 1, ReportedAt: l.ReportedAt, At: noon, Health: job.Warning,
		Findings: []job.Finding{{Rule: "stalled", Health: job.Warning, Since: noon, Evidence: "x", Facts: map[string]any{"a": 1.0}}},
		Outbox:   []outbox.Entry{{Kind: outbox.Notify, Run: j.id, Attempt: 1, What: "stalled", Severity: job.Warning, Message: "x", At: noon}},
	}
	late := v
	late.ReportedAt = noon.Add(-time.Second)
	for range 3 {
		for _, one := range []lease.Verdict{late, v} {
			if _, err := s.Judge(t.Context(), []lease.Verdict{one}); err != nil {
				t.Fatal(err)
			}
		}
		v.Findings[0].Facts = map[string]any{"a": 2.0} // figures alone are no change
	}
	if diff := cmp.Diff([]string{"notify stalled warning"}, kinds(t, s, j.id)); diff != "" {
		t.Error("(-want +got)", diff)
	}
	if waiting, err := s.Undiagnosed(t.Context(), 10); err != nil || len(waiting) != 1 {
		t.Errorf("a stalled run waits for a diagnosis: %+v, %v", waiting, err)
	}
	if got := leaseOf(t, s, j.id); len(got.Findings) != 1 || got.Health != job.Warning || got.Findings[0].Facts["a"] != 1.0 {
		t.Errorf("lease %+v", got)
	}
}

// Of two servers on one database one judges; when it ends the other one does at once.
func TestOneOfSeveralServersLeads(t *testing.T) {
	url := postgrestest.URL(t)
	first, second := openURL(t, url), openURL(t, url)
	leads := func(s *store.Store) bool {
		t.Helper()
		got, err := s.Lead(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for range 3 {
		if !leads(first) || leads(second) {
			t.Fatal("the first server does not lead, or the second does")
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for !leads(second) {
		if time.Now().After(deadline) {
			t.Fatal("the second server does not take over")
		}
	}
	third := openURL(t, url)
	if leads(third) || !leads(second) {
		t.Error("the third server leads")
	}
	alone := openSQLite(t)
	if !leads(alone) {
		t.Error("a server with its own database does not lead")
	}
}
