package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
	"stint.dev/stint/journal"
)

func TestDueIsSetShownPausedAndDeleted(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{Now: c.now})
	const path = "/api/v1/jobs/backup/due"
	if r := l.get(path); r.status != http.StatusNotFound {
		t.Errorf("status %d before it is set: %s", r.status, r.body)
	}
	var due api.JobDue
	l.do("PUT", path, []byte(`{"cron":"0 3 * * *","zone":"Europe/Berlin"}`), "Content-Type", "application/json").ok(t, &due)
	want := job.Expectation{Cron: "0 3 * * *", Zone: "Europe/Berlin", GraceSeconds: 3600}
	if due.Expectation != want || due.State != api.DueNew || due.NextDueAt != nil || due.Missed == nil || due.Days == nil {
		t.Errorf("%+v", due)
	}
	var sum api.Summary // a job that has not run yet
	l.get("/api/v1/jobs/backup").ok(t, &sum)
	if sum.Due == nil || sum.Due.State != api.DueNew || sum.Runs != 0 || sum.LastRun != nil {
		t.Errorf("%+v", sum)
	}
	var list struct{ Jobs []api.Summary }
	l.get("/api/v1/jobs").ok(t, &list)
	if len(list.Jobs) != 1 || list.Jobs[0].Name != "backup" || list.Jobs[0].Due == nil {
		t.Errorf("%+v", list)
	}
	l.do("POST", path+"/pause", nil).ok(t, &due)
	if due.State != api.DuePaused {
		t.Errorf("%+v", due)
	}
	l.do("POST", path+"/resume", nil).ok(t, &due)
	if due.State != api.DueNew {
		t.Errorf("%+v", due)
	}
	if r := l.do("DELETE", path, nil); r.status != http.StatusNoContent {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	for _, method := range []string{"POST /pause", "POST /resume", "DELETE "} {
		verb, end, _ := strings.Cut(method, " ")
		if r := l.do(verb, path+end, nil); r.status != http.StatusNotFound {
			t.Errorf("%s: status %d: %s", method, r.status, r.body)
		}
	}
}

// What cannot be expected is refused with the field and the reason.
func TestDueThatMakesNoSense(t *testing.T) {
	l := start(t, server.Config{})
	for name, c := range map[string]struct {
		body   string
		status int
		want   string
	}{
		"nothing":            {`{}`, 400, "every_seconds"},
		"both":               {`{"every_seconds":60,"cron":"* * * * *"}`, 400, "choose one"},
		"a field too many":   {`{"every":60}`, 400, "every"},
		"a text":             {`{"every_seconds":"1d"}`, 400, "every_seconds"},
		"a fraction":         {`{"every_seconds":60.5}`, 400, "every_seconds"},
		"negative":           {`{"every_seconds":-60}`, 400, "every_seconds"},
		"too short a grace":  {`{"every_seconds":60,"grace_seconds":1}`, 400, "grace_seconds"},
		"seconds":            {`{"cron":"0 0 3 * * *"}`, 400, "without seconds"},
		"no such zone":       {`{"cron":"0 3 * * *","zone":"Mars/Olympus"}`, 400, "zone"},
		"control characters": {`{"cron":"0 3 * * *\u0000\u001b[31m"}`, 400, "cron"},
		"no JSON":            {`every day`, 400, ""},
		"a megabyte":         {`{"cron":"` + strings.Repeat("*", 1<<20) + `"}`, 0, ""},
	} {
		r := l.do("PUT", "/api/v1/jobs/backup/due", []byte(c.body), "Content-Type", "application/json")
		if c.status != 0 && r.status != c.status || r.status < 400 || r.status >= 500 || !strings.Contains(string(r.body), c.want) || len(r.body) > 3000 {
			t.Errorf("%s: status %d: %.500s", name, r.status, r.body)
		}
		var problem job.Problem
		if err := json.Unmarshal(r.body, &problem); err != nil || strings.ContainsAny(problem.Detail, "\x00\x1b") {
			t.Errorf("%s: %q, %v", name, problem.Detail, err)
		}
	}
	for _, name := range []string{"a\x00b", "\x1b[31m", strings.Repeat("x", 700), " "} {
		r := l.do("PUT", "/api/v1/jobs/"+url.PathEscape(name)+"/due", []byte(`{"every_seconds":60}`), "Content-Type", "application/json")
		if r.status != 400 {
			t.Errorf("job %q: status %d: %.300s", name, r.status, r.body)
		}
	}
	if r := l.get("/api/v1/jobs/backup/due"); r.status != http.StatusNotFound {
		t.Errorf("something was set: %s", r.body)
	}
}

// A missed run is on the overview, at the job, in its badge, and in a notification.
func TestAMissedRunIsShown(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{Now: c.now})
	l.append(newSketch(t, "backup", nil).command().finish(0))
	c.add(time.Minute) // the store has a clock of its own
	l.do("PUT", "/api/v1/jobs/backup/due", []byte(`{"every_seconds":3600,"grace_seconds":600}`), "Content-Type", "application/json").ok(t, nil)
	for end := c.now().Add(75 * time.Minute); c.now().Before(end); c.add(3 * time.Second) { // a pause would count as a stop of the server
		if _, err := l.store.CheckDue(t.Context(), c.now()); err != nil {
			t.Fatal(err)
		}
	}
	var sum api.Summary
	l.get("/api/v1/jobs/backup").ok(t, &sum)
	if sum.Due == nil || sum.Due.State != api.DueMissed || sum.Due.MissedSince == nil {
		t.Errorf("%+v", sum.Due)
	}
	var view api.Overview
	l.get("/api/v1/overview").ok(t, &view)
	if f := sum.Findings; len(f) != 1 || f[0].Rule != "missed" || f[0].Health != job.Critical || !f[0].Since.Equal(*sum.Due.MissedSince) || f[0].NextCode != job.NextDue || len(f[0].SentenceTimes) != 2 {
		t.Errorf("%+v", f)
	}
	if len(view.Findings) != 1 || view.Findings[0].Job != "backup" || view.Findings[0].Rule != "missed" {
		t.Errorf("%+v", view.Findings)
	}
	if r := l.get("/api/v1/jobs/backup/badge.svg"); !strings.Contains(string(r.body), "backup: missed") {
		t.Errorf("badge %s", r.body)
	}
	l.append(newSketch(t, "backup", nil).command().finish(0)) // its journal arrives late
	if _, err := l.store.CheckDue(t.Context(), c.now()); err != nil {
		t.Fatal(err)
	}
	var due api.JobDue
	l.get("/api/v1/jobs/backup/due").ok(t, &due)
	if due.State != api.DueOK || due.MissedSince != nil || len(due.Missed) != 1 || due.Missed[0].HealedAt == nil || due.LastStartAt == nil {
		t.Errorf("%+v", due)
	}
	var log struct{ Actions []api.Action }
	l.get("/api/v1/actions").ok(t, &log)
	if len(log.Actions) != 2 || log.Actions[0].Ends != "missed" || log.Actions[1].What != "missed" {
		t.Errorf("%+v", log.Actions)
	}
}

// A run brings when further runs are expected. What makes no sense is ignored, and the run is stored.
func TestARunSetsWhenItIsDue(t *testing.T) {
	l := start(t, server.Config{})
	for name, e := range map[string]job.Expectation{
		"sync": {EverySeconds: 900, GraceSeconds: 300}, "bad": {EverySeconds: 1}, "long": {Cron: strings.Repeat("* ", 1000)}, "zone": {Cron: "0 3 * * *", Zone: "Mars/Olympus"},
	} {
		s := &sketch{t: t, id: uuid.Must(uuid.NewV7()).String(), at: time.Now().UTC()}
		w, err := journal.NewWriter(&s.buf)
		if err != nil {
			t.Fatal(err)
		}
		s.w = w
		s.add(journal.TypeAttempt, journal.Attempt{Run: s.id, Attempt: 1, Job: name, Args: []string{"true"}, Host: "h", AgentVersion: "test", Due: &e})
		l.append(s.command().finish(0))
		r := l.get("/api/v1/jobs/" + name + "/due")
		if name != "sync" {
			if r.status != http.StatusNotFound {
				t.Errorf("%s: %s", name, r.body)
			}
			continue
		}
		if _, err := l.store.CheckDue(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		var due api.JobDue
		l.get("/api/v1/jobs/sync/due").ok(t, &due)
		if due.Expectation != e || due.State != api.DueOK || due.SetBy != "a run" || due.NextDueAt.Sub(*due.LastStartAt) != 15*time.Minute {
			t.Errorf("%+v", due)
		}
	}
}

func TestTheDueTimesThatAnExpectationWouldHave(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{Now: c.now})
	read := func(query string) (out api.DueTimes) {
		l.get("/api/v1/jobs/backup/due/times?"+query).ok(t, &out)
		return out
	}
	out := read("cron=30+2+*+*+*&zone=Europe/Berlin&n=100")
	if len(out.Times) != 100 || out.LastStartAt != nil || out.GraceSeconds != 3600 || out.Times[0].MissedAt.Sub(out.Times[0].At) != time.Hour || out.Times[0].At.Format("15:04") != "02:30" {
		t.Errorf("%+v", out)
	}
	out = read("every_seconds=900&grace_seconds=60&n=2")
	if len(out.Times) != 2 || out.Times[1].At.Sub(out.Times[0].At) != 15*time.Minute || out.Times[1].MissedAt.Sub(out.Times[1].At) != time.Minute {
		t.Errorf("%+v", out)
	}
	for query, want := range map[string]string{
		"":                              "give one of them",
		"cron=0+3+*+*":                  "cron",
		"cron=0+3+*+*+*&zone=Nowhere":   "zone",
		"every_seconds=1":               "every_seconds",
		"every_seconds=60&cron=0+3+*+*": "choose one",
	} {
		if p := l.get("/api/v1/jobs/backup/due/times?"+query).problem(t, http.StatusBadRequest); !strings.Contains(p.Detail, want) {
			t.Errorf("%s: %s", query, p.Detail)
		}
	}
	if r := l.get("/api/v1/jobs/backup/due"); r.status != http.StatusNotFound {
		t.Errorf("the expectation was set: %s", r.body)
	}
}

// A pattern in the starts of a job that nobody expects is suggested, until it is accepted or dismissed.
func TestAnExpectationIsSuggested(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{Now: c.now})
	for range 10 {
		for _, name := range []string{"backup", "report"} {
			l.append(newSketch(t, name, nil).command().finish(0))
		}
	}
	const day = 24 * time.Hour
	first := c.now().Add(-10*day - time.Hour) // one run each day
	if err := l.store.Change(t.Context(), "spread runs over days", `UPDATE runs SET start_at = $1 + number * $2`, first.UnixMicro(), day.Microseconds()); err != nil {
		t.Fatal(err)
	}
	const path = "/api/v1/jobs/backup/due/suggestion"
	var got api.DueSuggestion
	l.get(path+"?zone=Europe%2FBerlin").ok(t, &got)
	if s := got.Suggested; s == nil || s.Zone != "Europe/Berlin" || s.Starts < 8 || !strings.HasPrefix(s.When, "each day at ") {
		t.Fatalf("%+v", s)
	}
	if r := l.get(path + "?zone=Nowhere"); r.status != 400 || !strings.Contains(string(r.body), "Nowhere") {
		t.Errorf("%s", r.body)
	}
	e := got.Suggested.Expectation
	l.do("PUT", "/api/v1/jobs/backup/due", []byte(fmt.Sprintf(`{"cron":%q,"zone":%q,"grace_seconds":%d}`, e.Cron, e.Zone, e.GraceSeconds)), "Content-Type", "application/json").ok(t, nil)
	if r := l.do("DELETE", "/api/v1/jobs/report/due/suggestion", nil); r.status != http.StatusNoContent {
		t.Errorf("%d %s", r.status, r.body)
	}
	for _, name := range []string{"backup", "report", "unknown"} {
		got = api.DueSuggestion{}
		l.get("/api/v1/jobs/"+name+"/due/suggestion").ok(t, &got)
		if got.Suggested != nil {
			t.Errorf("%s: %+v", name, got.Suggested)
		}
	}
	if r := l.do("DELETE", "/api/v1/jobs/unknown/due/suggestion", nil); r.status != http.StatusNotFound {
		t.Errorf("%d %s", r.status, r.body)
	}
}
