package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
	"stint.dev/stint/journal"
)

func TestOverviewOnSQLite(t *testing.T)     { overviewConformance(t, openSQLite) }
func TestOverviewOnPostgreSQL(t *testing.T) { overviewConformance(t, openPostgres) }

func overviewConformance(t *testing.T, open func(*testing.T) *store.Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *store.Store)
	}{
		{"nothing", overviewOfNothing},
		{"which runs need attention", overviewAttention},
		{"order of attention", overviewOrder},
		{"quick runs move no row", overviewQuickRuns},
		{"old failures are folded", overviewOld},
		{"retried runs ended with their last attempt", overviewRetried},
		{"last day of jobs", overviewDays},
		{"retries", overviewRetries},
		{"an acknowledgement ends with what it is about", acknowledgementEnds},
		{"acknowledgement removed", unacknowledging},
		{"unreadable runs are listed", overviewUnreadable},
		{"pages", overviewPages},
		{"random runs", overviewRandom},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

func overviewAt(t *testing.T, s *store.Store, now time.Time) api.Overview {
	t.Helper()
	got, err := s.Overview(t.Context(), query.Overview{Now: now, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// wantAttention compares what needs attention at a time with "job#number state", in order. The
// acknowledged ones stand in brackets.
func wantAttention(t *testing.T, s *store.Store, now time.Time, want ...string) {
	t.Helper()
	a := overviewAt(t, s, now).Attention
	var got []string
	counted := 0
	for _, r := range a.Runs {
		line := fmt.Sprintf("%s#%d %s", r.Job, r.Number, r.State)
		if !r.State.Terminal() {
			line += " " + string(r.Health)
		}
		if r.Acknowledged != nil {
			line = "[" + line + "]"
		} else {
			counted++
		}
		got = append(got, line)
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("attention (-want +got):\n%s", diff)
	}
	if a.Count != counted || a.Acknowledged != len(a.Runs)-counted {
		t.Errorf("counted %d and %d acknowledged, of %q", a.Count, a.Acknowledged, got)
	}
}

func overviewOfNothing(t *testing.T, s *store.Store) {
	want := api.Overview{
		At: noon, Attention: api.Attention{Runs: []api.OverviewRun{}},
		Active: api.ActiveRuns{Runs: []api.OverviewRun{}}, Waiting: api.WaitingRuns{Runs: []api.OverviewRun{}}, Jobs: api.JobDays{Jobs: []api.JobDay{}}, Findings: []api.JobFinding{},
	}
	if diff := gocmp.Diff(want, overviewAt(t, s, noon)); diff != "" {
		t.Errorf("of nothing (-want +got):\n%s", diff)
	}
	var invalid *job.InvalidError
	for _, q := range []query.Overview{{AttentionCursor: "x"}, {AttentionCursor: "MSwyLDM"}, {JobsCursor: "x!"}} {
		if _, err := s.Overview(t.Context(), q); !errors.As(err, &invalid) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// judge stores what the monitor found of an active run.
func judge(t *testing.T, s *store.Store, id string, health job.Health) {
	t.Helper()
	var findings []job.Finding
	if health != job.Healthy {
		findings = []job.Finding{
			{Rule: "quiet", Health: job.Warning, Since: noon, Evidence: "No output.", Facts: map[string]any{"seconds": 1}},
			{Rule: "stalled", Health: health, Since: noon, Evidence: "No progress.", Facts: map[string]any{"seconds": 1}},
		}
	}
	l := leaseOf(t, s, id)
	judged, err := s.Judge(t.Context(), []lease.Verdict{{
		Run: id, Attempt: l.Attempt, ReportedAt: l.ReportedAt, At: noon.Add(time.Minute), Health: health, Findings: findings, Evidence: "Because.",
	}})
	if err != nil || len(judged) != 1 {
		t.Fatalf("judged %+v, %v", judged, err)
	}
}

// begin stores a run that starts at a time and goes on.
func begin(t *testing.T, s *store.Store, name string, at time.Time) *testJournal {
	t.Helper()
	j := newJournal(t, journal.Attempt{Job: name})
	j.command()
	offset, data := j.take()
	if got := try(t, s, index.Append{Run: j.id, Attempt: 1, Offset: offset, Data: data, At: at}); got.Err != nil {
		t.Fatal(got.Err)
	}
	return j
}

func (j *testJournal) send(s *store.Store, at time.Time) {
	j.t.Helper()
	offset, data := j.take()
	if got := try(j.t, s, index.Append{Run: j.id, Attempt: 1, Offset: offset, Data: data, At: at}); got.Err != nil {
		j.t.Fatal(got.Err)
	}
}

// endAs writes the end of the attempt in a state.
func (j *testJournal) endAs(state job.State) {
	j.t.Helper()
	o := job.Classify(job.Ending{Step: "command", Kind: job.CommandStep, ExitCode: 1})
	switch state {
	case job.Succeeded:
		o = job.Classify(job.Ending{Step: "command", Kind: job.CommandStep})
	case job.Canceled:
		o = job.Outcome{State: state, Reason: job.ByCancel, By: "ada", Message: "Canceled."}
	case job.TimedOut:
		o = job.Outcome{State: state, Reason: job.Timeout, Message: "Timed out."}
	}
	if err := j.w.Finish(j.tick(), journal.Final{Outcome: o}); err != nil {
		j.t.Fatal(err)
	}
}

// endedAs stores a run that started at a time and has ended in a state.
func endedAs(t *testing.T, s *store.Store, name string, state job.State, started time.Time) string {
	t.Helper()
	j := newJournal(t, journal.Attempt{Job: name})
	j.command()
	j.endAs(state)
	offset, data := j.take()
	got := try(t, s, index.Append{Run: j.id, Attempt: 1, Offset: offset, Data: data, At: later(started.Add(2*time.Second), noon), ClockOffset: started.Sub(epoch.Add(time.Second))})
	if got.Err != nil || got.Run.State != state || !got.Run.StartAt.Equal(started) {
		t.Fatalf("%+v, want %s of %s", got, state, started)
	}
	return j.id
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func overviewAttention(t *testing.T, s *store.Store) {
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	endedAs(t, s, "passed", job.Failed, at(1))
	endedAs(t, s, "passed", job.Succeeded, at(2))
	endedAs(t, s, "failed", job.Succeeded, at(1))
	endedAs(t, s, "failed", job.Failed, at(3))
	// Delivered late, or slower than a good run that started later: the failure has passed.
	endedAs(t, s, "late", job.Succeeded, at(5))
	endedAs(t, s, "late", job.Failed, at(-300))
	parallel := begin(t, s, "parallel", at(1))
	endedAs(t, s, "parallel", job.Succeeded, at(2))
	parallel.endAs(job.Failed)
	parallel.send(s, at(9))
	// A good run that started before the failure is none that follows it, whenever it ends.
	overtaken := begin(t, s, "overtaken", at(1))
	endedAs(t, s, "overtaken", job.Failed, at(2))
	overtaken.endAs(job.Succeeded)
	overtaken.send(s, at(9))
	// A next run that is stopped, or still waits, does not show that the failure has passed.
	endedAs(t, s, "stopped", job.TimedOut, at(3))
	endedAs(t, s, "stopped", job.Canceled, at(4))
	endedAs(t, s, "only-stopped", job.Canceled, at(4))
	endedAs(t, s, "again", job.Failed, at(4))
	begin(t, s, "again", at(5))
	begin(t, s, "first", at(5))
	lost := begin(t, s, "lost", at(5))
	lose(t, s, lost.id)
	slow := begin(t, s, "slow", at(5))
	judge(t, s, slow.id, job.Warning)
	wantAttention(t, s, at(100), "lost#1 lost", "again#1 failed", "failed#2 failed", "overtaken#2 failed", "stopped#1 timed_out", "slow#1 running warning")

	rows := overviewAt(t, s, at(100)).Attention.Runs
	if r := rows[5]; len(r.Findings) != 1 || r.Findings[0].Rule != "quiet" || r.Findings[0].Facts != nil || r.Recent != nil {
		t.Errorf("an unwell run: %+v", r)
	}
	want := &api.RecentRuns{Ended: 2, Wrong: 1, JobEnded: 2, JobSucceeded: 1}
	if diff := gocmp.Diff(want, rows[2].Recent); diff != "" {
		t.Errorf("recent runs of failed (-want +got):\n%s", diff)
	}
	// A lost run that comes back goes on, and a job that is deleted needs nothing.
	lost.output("still here\n")
	lost.send(s, at(101))
	if _, err := s.DeleteJob(t.Context(), "failed", "mia"); err != nil {
		t.Fatal(err)
	}
	wantAttention(t, s, at(102), "again#1 failed", "overtaken#2 failed", "stopped#1 timed_out", "slow#1 running warning")
}

func overviewOrder(t *testing.T, s *store.Store) {
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	for i, health := range []job.Health{job.Warning, job.Critical, job.Critical} {
		judge(t, s, begin(t, s, fmt.Sprint("active", i), at(i)).id, health)
	}
	ids := []string{
		endedAs(t, s, "old", job.Failed, at(-60)), endedAs(t, s, "new", job.Failed, at(1)), endedAs(t, s, "slow", job.TimedOut, at(2)),
		endedAs(t, s, "known", job.Failed, at(3)),
	}
	lose(t, s, begin(t, s, "gone", at(-90)).id)
	if _, _, err := s.Acknowledge(t.Context(), ids[3], "ada", "on it", at(4)); err != nil {
		t.Fatal(err)
	}
	active := begin(t, s, "active3", at(3))
	judge(t, s, active.id, job.Critical)
	if _, _, err := s.Acknowledge(t.Context(), active.id, "ada", "", at(4)); err != nil {
		t.Fatal(err)
	}
	wantAttention(t, s, at(100),
		"active2#1 running critical", "active1#1 running critical", "gone#1 lost", "new#1 failed", "old#1 failed", "slow#1 timed_out",
		"active0#1 running warning", "[active3#1 running critical]", "[known#1 failed]")
	o := overviewAt(t, s, at(100))
	if a := o.Active; a.Count != 4 || a.Healthy != 0 || a.Warning != 1 || a.Critical != 3 || len(a.Runs) != 4 || a.Runs[0].Job != "active3" || a.Runs[3].Job != "active0" {
		t.Errorf("active runs: %+v", a)
	}
	if r := o.Attention.Runs[8].Acknowledged; r == nil || r.By != "ada" || r.Why != "on it" || !r.At.Equal(at(4)) {
		t.Errorf("acknowledged: %+v", r)
	}
}

// Two thousand quick runs of another job move no row of attention.
func overviewQuickRuns(t *testing.T, s *store.Store) {
	endedAs(t, s, "payroll", job.Failed, noon)
	endedAs(t, s, "train", job.TimedOut, noon)
	judge(t, s, begin(t, s, "backup", noon).id, job.Critical)
	before := overviewAt(t, s, noon.Add(time.Hour)).Attention
	if len(before.Runs) != 3 {
		t.Fatalf("attention: %+v", before)
	}
	const quick = 2000
	var group []index.Append
	for i := range quick / 20 {
		id, data := whole(t, journal.Attempt{Job: "every-minute"}, 0)
		at := noon.Add(time.Duration(i+1) * time.Second)
		group = append(group, index.Append{Run: id, Attempt: 1, Data: data, At: at, ClockOffset: at.Sub(epoch.Add(time.Second))})
	}
	if _, _, err := s.Ingest(t.Context(), group, nil); err != nil {
		t.Fatal(err)
	}
	for i := 1; i < 20; i++ { // the others are copies of them
		must(t, s.Exec(t.Context(), `INSERT INTO runs (id, job, number, attempt, state, health, leased, created_at, start_at, started_at, ended_at,
			reported_at, lease_us, expires_at, period_us, peak_memory, search, doc)
			SELECT CAST($1 AS TEXT) || substr(id, 3), job, number + $2, attempt, state, health, leased, created_at + $3, start_at + $3, started_at, ended_at,
			reported_at, lease_us, expires_at, period_us, peak_memory, search, doc FROM runs WHERE job = 'every-minute' AND number <= $4`,
			fmt.Sprint(10+i), i*len(group), i*100_000_000, len(group)))
	}
	after := overviewAt(t, s, noon.Add(time.Hour))
	if diff := gocmp.Diff(before, after.Attention); diff != "" {
		t.Errorf("attention after 2,000 quick runs (-before +after):\n%s", diff)
	}
	for _, d := range after.Jobs.Jobs {
		if d.Name == "payroll" && (len(d.Day.Numbers) != 1 || d.Day.States[0] != job.Failed || d.LastRun.Number != 1) {
			t.Errorf("the day of payroll: %+v", d)
		}
		if d.Name == "every-minute" && (d.Runs != quick || len(d.Day.Numbers) != query.OverviewCells || !d.Day.More) {
			t.Errorf("the day of every-minute: %+v", d)
		}
	}
}

func overviewOld(t *testing.T, s *store.Store) {
	const day = 24 * time.Hour
	endedAs(t, s, "old", job.Failed, noon.Add(-31*day))
	endedAs(t, s, "younger", job.Failed, noon.Add(-29*day))
	known := endedAs(t, s, "old-and-known", job.Failed, noon.Add(-40*day))
	if _, _, err := s.Acknowledge(t.Context(), known, "ada", "", noon); err != nil {
		t.Fatal(err)
	}
	// One that ran for long has just failed; nobody knows when a lost one ended, only when it reported last.
	long := begin(t, s, "long", noon.Add(-31*day))
	long.at = long.at.Add(31 * day)
	long.endAs(job.Failed)
	long.send(s, noon)
	lose(t, s, begin(t, s, "lost", noon.Add(-31*day)).id)
	wantAttention(t, s, noon, "long#1 failed", "younger#1 failed")
	o := overviewAt(t, s, noon)
	if o.Attention.Older != 2 || o.Attention.Count != 2 || o.Attention.Acknowledged != 0 {
		t.Errorf("counts: %+v", o.Attention)
	}
	older, err := s.Overview(t.Context(), query.Overview{Now: noon, Limit: 100, Older: true})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range older.Attention.Runs {
		names = append(names, r.Job)
	}
	if diff := gocmp.Diff([]string{"lost", "old", "old-and-known"}, names); diff != "" || older.Attention.Count != 2 || older.Attention.Older != 2 {
		t.Errorf("older runs (-want +got):\n%s", diff)
	}
}

func overviewDays(t *testing.T, s *store.Store) {
	for i := range 3 {
		endedAs(t, s, "nightly", job.Succeeded, noon.Add(-time.Duration(2-i)*20*time.Hour))
	}
	active := begin(t, s, "nightly", noon.Add(time.Hour))
	endedAs(t, s, "weekly", job.Failed, noon.Add(-5*24*time.Hour))
	now := noon.Add(2 * time.Hour)
	o := overviewAt(t, s, now)
	if o.Jobs.Count != 2 || o.Jobs.NextCursor != nil {
		t.Errorf("jobs: %+v", o.Jobs)
	}
	usual := o.Jobs.Jobs[0].Usual
	if usual == nil || usual.Runs != 3 || usual.DurationP50Seconds <= 0 {
		t.Errorf("usual: %+v", usual)
	}
	want := []api.JobDay{
		{
			Name: "nightly", Runs: 4, Active: 1, Usual: usual, LastRun: &api.LastRun{Number: 4, State: job.Running, StartAt: mustRun(t, s, active.id).StartAt},
			Day: api.Day{Numbers: []int64{4, 3, 2}, States: []job.State{job.Running, job.Succeeded, job.Succeeded}, AgesSeconds: []int64{3600, 7200, 22 * 3600}},
		},
		{
			Name: "weekly", Runs: 1, LastRun: &api.LastRun{Number: 1, State: job.Failed, StartAt: noon.Add(-5 * 24 * time.Hour)},
			Day: api.Day{Numbers: []int64{}, States: []job.State{}, AgesSeconds: []int64{}},
		},
	}
	if diff := gocmp.Diff(want, o.Jobs.Jobs); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
}

// A run whose agent waits for its next attempt has not ended.
func overviewRetries(t *testing.T, s *store.Store) {
	a := journal.Attempt{Job: "flaky", Run: runID()}
	j := newJournal(t, a)
	j.command()
	j.retrying(noon.Add(time.Hour))
	offset, data := j.take()
	one(t, s, j.id, 1, offset, data)
	wantAttention(t, s, noon)
	if o := overviewAt(t, s, noon); o.Active.Count != 0 || len(o.Active.Runs) != 0 || o.Waiting.Count != 1 || len(o.Waiting.Runs) != 1 || o.Waiting.Runs[0].State != job.Retrying {
		t.Errorf("active: %+v, waiting: %+v", o.Active, o.Waiting)
	}
	a.Attempt = 2
	second := newJournal(t, a)
	second.command()
	second.end(1)
	_, data = second.take()
	one(t, s, j.id, 2, 0, data)
	wantAttention(t, s, noon, "flaky#1 failed")
}

func acknowledgementEnds(t *testing.T, s *store.Store) {
	acknowledge := func(id string) {
		t.Helper()
		run, events, err := s.Acknowledge(t.Context(), id, "ada", "on it", noon)
		if err != nil || len(events) != 1 || events[0].Kind != job.EventAcknowledged {
			t.Fatalf("%+v, %v", events, err)
		}
		if diff := gocmp.Diff(mustRun(t, s, id), run); diff != "" || run.Acknowledged == nil || run.Acknowledged.By != "ada" || run.Acknowledged.Why != "on it" {
			t.Errorf("acknowledged run (-stored +returned):\n%s", diff)
		}
	}
	holds := func(id string, want bool, when string) {
		t.Helper()
		if got := mustRun(t, s, id).Acknowledged != nil; got != want {
			t.Errorf("%s the acknowledgement holds: %t", when, got)
		}
	}
	j := begin(t, s, "a", noon)
	judge(t, s, j.id, job.Warning)
	acknowledge(j.id)
	j.output("x\n")
	j.send(s, noon)
	holds(j.id, true, "after more output")
	if _, _, err := s.RequestCancel(t.Context(), j.id, job.Cancel{By: "ada", At: noon}); err != nil {
		t.Fatal(err)
	}
	holds(j.id, true, "while the run is stopped")
	judge(t, s, j.id, job.Critical)
	holds(j.id, false, "after it got worse")
	acknowledge(j.id)
	lose(t, s, j.id)
	holds(j.id, false, "after it was lost")
	acknowledge(j.id)
	beatOnce(t, s, j.id, 1, noon.Add(2*time.Hour))
	holds(j.id, false, "after it reported again")
	lose(t, s, j.id)
	holds(j.id, false, "after it was lost again")
	acknowledge(j.id)
	j.endAs(job.Failed)
	j.send(s, noon.Add(3*time.Hour))
	holds(j.id, false, "after the rest of a lost run arrived: it failed")
	acknowledge(j.id)
	second := newJournal(t, journal.Attempt{Job: "a", Run: j.id, Attempt: 2})
	second.command()
	_, data := second.take()
	got := one(t, s, j.id, 2, 0, data)
	if got.Run.Acknowledged != nil {
		t.Errorf("attempt 2 is acknowledged: %+v", got.Run.Acknowledged)
	}
	holds(j.id, false, "in the next attempt")
}

func unacknowledging(t *testing.T, s *store.Store) {
	id := endedAs(t, s, "a", job.Failed, noon)
	if run, events, err := s.Unacknowledge(t.Context(), id, "bob", noon); err != nil || len(events) != 0 || run.ID != id {
		t.Errorf("of nothing: %+v, %v", events, err)
	}
	if _, _, err := s.Acknowledge(t.Context(), id, "ada", "", noon.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	wantAttention(t, s, noon.Add(time.Hour), "[a#1 failed]")
	run, events, err := s.Unacknowledge(t.Context(), id, "bob", noon.Add(2*time.Minute))
	if err != nil || run.Acknowledged != nil || len(events) != 1 || events[0].Kind != job.EventUnacknowledged || events[0].Evidence != "Acknowledgement by ada removed by bob" {
		t.Errorf("%+v %+v, %v", run.Acknowledged, events, err)
	}
	if yes, err := s.Acknowledged(t.Context(), id, noon); yes || err != nil {
		t.Errorf("still acknowledged: %t, %v", yes, err)
	}
	wantAttention(t, s, noon.Add(time.Hour), "a#1 failed")
	var gone *query.NotFoundError
	if _, _, err := s.Unacknowledge(t.Context(), runID(), "bob", noon); !errors.As(err, &gone) {
		t.Errorf("of no run: %v", err)
	}
}

func overviewUnreadable(t *testing.T, s *store.Store) {
	id := endedAs(t, s, "a", job.Failed, noon)
	endedAs(t, s, "b", job.Failed, noon)
	must(t, s.Exec(t.Context(), `UPDATE runs SET doc = '{' WHERE id = $1`, id))
	o := overviewAt(t, s, noon)
	if len(o.Attention.Runs) != 2 || o.Attention.Count != 2 {
		t.Errorf("attention: %+v", o.Attention)
	}
	items, err := s.Troubled(t.Context(), 10)
	if err != nil || len(items) != 1 || items[0].ID != id {
		t.Errorf("troubled: %+v, %v", items, err)
	}
}

// Names are data: what means something in SQL, JSON or a cursor is a name like others.
func overviewPages(t *testing.T, s *store.Store) {
	names := []string{"ä", "a.b", "%", "a_b", "job'", `q"`, "a,b", "a b", "ζ", "A"}
	var taken []string
	for i, name := range names {
		if job.CheckName(name) != nil {
			continue
		}
		endedAs(t, s, name, job.Failed, noon.Add(time.Duration(i%3)*time.Second))
		taken = append(taken, name)
	}
	if len(taken) < 4 {
		t.Fatalf("names: %q", taken)
	}
	whole := overviewAt(t, s, noon)
	for limit := 1; limit <= len(taken)+1; limit++ {
		attention, jobs := overviewPagesOf(t, s, noon, limit, false)
		if diff := gocmp.Diff(whole.Attention.Runs, attention); diff != "" {
			t.Errorf("attention in pages of %d (-whole +pages):\n%s", limit, diff)
		}
		if diff := gocmp.Diff(whole.Jobs.Jobs, jobs); diff != "" {
			t.Errorf("jobs in pages of %d (-whole +pages):\n%s", limit, diff)
		}
	}
	if len(whole.Attention.Runs) != len(taken) || len(whole.Jobs.Jobs) != len(taken) {
		t.Errorf("%d rows and %d jobs of %d", len(whole.Attention.Runs), len(whole.Jobs.Jobs), len(taken))
	}
}

// overviewPagesOf reads all pages of both lists, which never are longer than limit.
func overviewPagesOf(t *testing.T, s *store.Store, now time.Time, limit int, older bool) (attention []api.OverviewRun, jobs []api.JobDay) {
	t.Helper()
	read := func(q query.Overview) api.Overview {
		t.Helper()
		q.Now, q.Limit, q.Older = now, limit, older
		o, err := s.Overview(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(o.Attention.Runs) > limit || len(o.Jobs.Jobs) > limit {
			t.Fatalf("a page of %d has %d and %d rows", limit, len(o.Attention.Runs), len(o.Jobs.Jobs))
		}
		return o
	}
	o := read(query.Overview{})
	attention, jobs = o.Attention.Runs, o.Jobs.Jobs
	for next := o.Attention.NextCursor; next != nil; {
		o := read(query.Overview{AttentionCursor: *next})
		if len(o.Jobs.Jobs) > 0 || len(o.Active.Runs) > 0 {
			t.Error("a page of attention lists something else")
		}
		attention, next = append(attention, o.Attention.Runs...), o.Attention.NextCursor
	}
	for next := o.Jobs.NextCursor; next != nil; {
		o := read(query.Overview{JobsCursor: *next})
		if len(o.Attention.Runs) > 0 || len(o.Active.Runs) > 0 {
			t.Error("a page of jobs lists something else")
		}
		jobs, next = append(jobs, o.Jobs.Jobs...), o.Jobs.NextCursor
	}
	return attention, jobs
}

// A run that was tried again ended when its last attempt did, however long ago the first one began.
func overviewRetried(t *testing.T, s *store.Store) {
	endedAs(t, s, "before", job.Failed, noon.Add(-2*time.Hour))
	endedAs(t, s, "after", job.Failed, noon.Add(-time.Minute))
	first := begin(t, s, "retried", noon.Add(-40*24*time.Hour))
	first.retrying(noon)
	first.send(s, noon.Add(-39*24*time.Hour))
	second := newJournal(t, journal.Attempt{Run: first.id, Attempt: 2, Job: "retried"})
	second.command()
	second.endAs(job.Failed)
	_, data := second.take()
	if got := try(t, s, index.Append{Run: first.id, Attempt: 2, Data: data, At: noon.Add(-time.Hour)}); got.Err != nil || got.Run.State != job.Failed {
		t.Fatalf("second attempt: %+v", got)
	}
	wantAttention(t, s, noon, "after#1 failed", "retried#1 failed", "before#1 failed")
	if o := overviewAt(t, s, noon); o.Attention.Older != 0 || o.Attention.Count != 3 {
		t.Errorf("counts: %+v", o.Attention)
	}
}
