package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/health/diagnose"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
	"stint.dev/stint/journal"
)

// send stores a whole journal.
func (l *live) send(s *sketch) {
	l.t.Helper()
	l.do("POST", "/api/v1/runs/"+s.id+"/attempts/1/journal?offset=0", s.bytes()).ok(l.t, nil)
}

// goodRun is a run that took ten seconds of the agent's clock, with samples.
func goodRun(t *testing.T, name string, megabytes int64) *sketch {
	s := newSketch(t, name, nil).command()
	began := s.at
	for i := range 10 {
		s.add(journal.TypeSample, job.Sample{
			At: began.Add(time.Duration(i) * time.Second), CPUCores: float64(i), CPUSeconds: float64(i), MemoryBytes: megabytes << 20, Processes: 1,
		})
	}
	s.at = began.Add(10 * time.Second)
	return s.finish(0)
}

func TestPolicyOverHTTP(t *testing.T) {
	l := start(t, server.Config{})
	const own = "/api/v1/jobs/nightly/policy"
	var p api.JobPolicy
	l.get(own).ok(t, &p)
	if !p.Default || p.YAML != "" || p.SetAt != nil || p.Effective["stalled"].(map[string]any)["after_seconds"] != 900.0 {
		t.Errorf("the default: %+v", p)
	}
	text := "rules:\n  stalled: {after: 2h}\n"
	l.do("PUT", own, []byte(text)).ok(t, &p)
	if p.Default || p.YAML != text || p.SetAt == nil || p.Effective["stalled"].(map[string]any)["after_seconds"] != 7200.0 {
		t.Errorf("set: %+v", p)
	}
	refused := l.do("PUT", own, []byte("rules:\n  stalled: {aftr: 2h}\n")).problem(t, http.StatusUnprocessableEntity)
	if refused.Line != 2 || refused.Column != 13 || !strings.Contains(refused.Detail, `"aftr" is not known in stalled`) {
		t.Errorf("refused: %+v", refused)
	}
	l.do("PUT", own, []byte(strings.Repeat("#", 70<<10))).problem(t, http.StatusRequestEntityTooLarge)
	l.do("PUT", "/api/v1/jobs/%20/policy", []byte(text)).problem(t, http.StatusBadRequest)
	var after api.JobPolicy
	l.get(own).ok(t, &after)
	if after.YAML != text {
		t.Errorf("a refused policy changed the stored one: %+v", after)
	}
	// One that an older server cannot read is shown as it is, and the default holds.
	stored := policy.Stored{Job: "nightly", YAML: "rules: {staled: {}}\n", SetAt: time.Now()}
	if err := l.store.SetPolicy(t.Context(), stored, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	l.get(own).ok(t, &after)
	if after.YAML != stored.YAML || after.Default || after.Effective["stalled"].(map[string]any)["after_seconds"] != 900.0 {
		t.Errorf("a policy that cannot be read: %+v", after)
	}
	l.do("DELETE", own, nil).ok(t, &after)
	if !after.Default {
		t.Errorf("deleted: %+v", after)
	}
	l.do("DELETE", own, nil).problem(t, http.StatusNotFound)
}

func TestBandsChangesAndDiagnosis(t *testing.T) {
	l := start(t, server.Config{})
	for i := range 3 {
		l.send(goodRun(t, "train", int64(100+100*i)))
	}
	bad := newSketch(t, "train", map[string]string{"team": "b"}).command()
	bad.output("ValueError: bad shape\n").finish(1)
	l.send(bad)
	run := l.run(bad.id)
	if x := run.Expected; x == nil || x.Runs != 3 || x.PeakMemoryBytes.P95 != 300<<20 || x.DurationSeconds.P50 < 9 || x.LongestSilenceSeconds.P50 < 9 {
		t.Errorf("expected %+v", run.Expected)
	}
	var sum api.Summary
	l.get("/api/v1/jobs/train").ok(t, &sum)
	if sum.Expected == nil || sum.Expected.Runs != 3 {
		t.Errorf("job: %+v", sum.Expected)
	}
	var changes api.Changes
	l.get("/api/v1/runs/"+bad.id+"/changes").ok(t, &changes)
	if changes.Since == nil || changes.Since.Number != 3 || len(changes.Changes) == 0 || changes.Changes[0] != (api.Change{What: "labels", After: "team=b"}) {
		t.Errorf("changes %+v", changes)
	}
	l.get("/api/v1/runs/train%231/changes").ok(t, &changes)
	if changes.Since != nil || len(changes.Changes) != 0 {
		t.Errorf("changes of the first run %+v", changes)
	}
	l.get("/api/v1/runs/train%232/changes?with=train%231").ok(t, &changes)
	if changes.Since == nil || changes.Since.Number != 1 || len(changes.Changes) != 1 || changes.Changes[0].What != "profile" {
		t.Errorf("changes since the first run %+v", changes)
	}
	for run, want := range map[string]string{"train%231": " 2", "train%232": "1 3", bad.id: "3 "} {
		var beside api.Neighbors
		l.get("/api/v1/runs/"+run+"/neighbors").ok(t, &beside)
		number := func(n *api.Neighbor) string {
			if n == nil {
				return ""
			}
			return fmt.Sprint(n.Number)
		}
		if got := number(beside.Previous) + " " + number(beside.Next); got != want {
			t.Errorf("beside %s: %q, want %q", run, got, want)
		}
	}
	var band api.Band
	l.get("/api/v1/runs/"+bad.id+"/band?points=10").ok(t, &band)
	if band.Runs != 3 || len(band.Points) != 10 || band.Points[0].MemoryBytes != (api.Spread{P10: 100 << 20, P50: 200 << 20, P90: 300 << 20}) || band.Points[9].CPUCores.P50 < 8 {
		t.Errorf("band %+v", band)
	}
	l.get("/api/v1/runs/train%231/band").ok(t, &band)
	if band.Runs != 0 || len(band.Points) != 0 {
		t.Errorf("band of the first run %+v", band)
	}
	d, err := diagnose.Investigate(t.Context(), l.store, run)
	if err != nil || d == nil || !strings.Contains(d.Sentence, "ValueError: bad shape") || !strings.Contains(d.Sentence, "since the last good run, #3: labels") {
		t.Errorf("diagnosis %+v, %v", d, err)
	}
}

func TestExplainAndReplay(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "slow", nil).command()
	l.send(s)
	hb := `{"sequence":1,"sent_at":%q,"uptime_ms":60000,"output_age_ms":-1,"processes":1,"memory_bytes":95,"memory_limit_bytes":100,"period_ms":1000}`
	l.do("POST", "/api/v1/runs/"+s.id+"/attempts/1/heartbeat", fmt.Appendf(nil, hb, time.Now().UTC().Format(time.RFC3339Nano))).ok(t, nil)
	var e api.Explanation
	l.get("/api/v1/runs/"+s.id+"/explain").ok(t, &e)
	fires := map[string]bool{}
	for _, r := range e.Rules {
		fires[r.Rule] = r.Fires
	}
	if e.Policy != "default" || len(e.Rules) != 8 || !fires["memory"] || fires["stalled"] || fires["quiet"] {
		t.Errorf("explained: %+v", e)
	}
	l.do("PUT", "/api/v1/jobs/slow/policy", []byte("rules: {overdue: {limit: 40s}}")).ok(t, nil)
	l.get("/api/v1/runs/"+s.id+"/explain").ok(t, &e)
	for _, r := range e.Rules {
		if r.Rule == "overdue" && (!r.Fires || r.NextAt == nil || r.Inputs["limit_seconds"] != 40.0) || e.Policy != "job" {
			t.Errorf("overdue: %+v", r)
		}
	}

	l.send(goodRun(t, "fast", 100))
	var test api.PolicyTest
	l.do("POST", "/api/v1/jobs/fast/policy/test", []byte("rules: {overdue: {limit: 5s}, no_output: {after: 1h}}")).ok(t, &test)
	if test.Runs != 1 || len(test.WouldRaise) != 1 || test.WouldRaise[0].Rule != "overdue" || len(test.WouldMiss) != 0 {
		t.Errorf("replayed: %+v", test)
	}
	l.do("POST", "/api/v1/jobs/fast/policy/test", []byte("rules: {stalled: {after: 100h}}")).ok(t, &test)
	if test.Runs != 1 || len(test.WouldRaise) != 0 {
		t.Errorf("replayed: %+v", test)
	}
	bad := newSketch(t, "fast", nil).command().finish(3)
	l.send(bad)
	l.do("POST", "/api/v1/jobs/fast/policy/test", []byte("actions: {failed: {notify: false}}")).ok(t, &test)
	if test.Runs != 2 || len(test.WouldMiss) != 1 || test.WouldMiss[0].Rule != "failed" || test.WouldMiss[0].Run != bad.id {
		t.Errorf("missed: %+v", test)
	}
	l.do("POST", "/api/v1/jobs/fast/policy/test", []byte("x")).problem(t, http.StatusUnprocessableEntity)
	l.get("/api/v1/runs/"+bad.id+"/explain").ok(t, &e)
	if e.Rules[0].Fires || !strings.Contains(e.Rules[0].Sentence, "The state of the run is failed") {
		t.Errorf("explained after the end: %+v", e.Rules[0])
	}
	lost := newSketch(t, "fast", nil).command()
	if err := lost.w.Finish(lost.at, journal.Final{Outcome: job.Outcome{State: job.Lost, Reason: job.AgentLost, Message: "The agent died."}}); err != nil {
		t.Fatal(err)
	}
	l.send(lost)
	l.get("/api/v1/runs/"+lost.id+"/explain").ok(t, &e)
	if e.Rules[0].Fires || e.Rules[0].Sentence != api.EndedPrefix(job.Lost)+"The agent died." {
		t.Errorf("a lost run explained: %+v", e.Rules[0])
	}
}

// A loss is explained by the token of the run's agent, and not by that of a client that names the run.
func TestLossAfterATokenWasRevoked(t *testing.T) {
	l := start(t, server.Config{RequireToken: true})
	secret := l.mint(access.Agent, time.Time{}, time.Now())
	s := newSketch(t, "train", nil).command()
	l.do("POST", journalPath(s.id, 1, 0), s.bytes(), "Authorization", "Bearer "+secret).ok(t, nil)
	leased, err := l.store.Lease(t.Context(), s.id)
	if err != nil {
		t.Fatal(err)
	}
	judged, err := l.store.Judge(t.Context(), []lease.Verdict{{Run: s.id, Attempt: 1, ReportedAt: leased.ReportedAt, At: time.Now(), Lost: true, Evidence: "No heartbeat."}})
	if err != nil || len(judged) != 1 {
		t.Fatalf("%+v, %v", judged, err)
	}
	cause := func() string {
		t.Helper()
		d, err := diagnose.Investigate(t.Context(), l.store, judged[0].Run)
		if err != nil || d == nil {
			t.Fatalf("%+v, %v", d, err)
		}
		return d.Causes[0].Cause
	}
	wrong := "Bearer stint_" + strings.Repeat("x", 43)
	l.do("POST", "/api/v1/runs/"+s.id+"/attempts/1/heartbeat", []byte(`{"sequence":1}`), "Authorization", wrong).problem(t, http.StatusUnauthorized)
	if got := cause(); got != "agent_killed" {
		t.Errorf("after a stranger's heartbeat: %s", got)
	}
	if err := l.store.RevokeToken(t.Context(), leased.Owner); err != nil {
		t.Fatal(err)
	}
	if got := cause(); got != "token_refused" {
		t.Errorf("after its token was revoked: %s", got)
	}
}
