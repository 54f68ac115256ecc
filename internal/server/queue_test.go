package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// submit submits a run, and returns the reply.
func (l *live) submit(run string, in job.SubmitRequest, headers ...string) reply {
	l.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		l.t.Fatal(err)
	}
	return l.do("PUT", "/api/v1/runs/"+run, body, append(headers, "Content-Type", "application/json")...)
}

// created checks that a reply has the run that was made.
func (r reply) created(t *testing.T) (run job.Run) {
	t.Helper()
	if r.status != http.StatusCreated {
		t.Fatalf("status %d: %.500s", r.status, r.body)
	}
	r.json(t, &run)
	return run
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func TestSubmitRuns(t *testing.T) {
	l := start(t, server.Config{})
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	soon := time.Now().Add(time.Hour)
	l.apply(api.ApplyRequest{Files: files(report)}).ok(t, nil)
	id := newID()
	in := job.SubmitRequest{Job: "report", Parameters: map[string]string{"CUSTOMER": "x"}, Labels: map[string]string{"by": "ci"}, By: "ada"}
	run := l.submit(id, in).created(t)
	if run.ID != id || run.Number != 1 || run.State != job.Queued || run.Attempt != 0 || run.Labels["by"] != "ci" || run.Command != "python report.py" {
		t.Errorf("%+v", run)
	}
	s := run.Submitted
	if s == nil || s.By != "ada" || s.Parameters["DAY"] != s.At.In(zone).AddDate(0, 0, -1).Format(time.DateOnly) || s.Parameters["CUSTOMER"] != "x" || len(s.Given) != 1 || s.Group != "warehouse" || len(s.Definition) != 64 {
		t.Errorf("%+v", s)
	}
	var again job.Run
	l.submit(id, in).ok(t, &again)
	if again.ID != id || again.Number != 1 {
		t.Errorf("%+v", again)
	}
	in.By = "somebody else" // the caller is no part of the request
	l.submit(id, in).ok(t, nil)
	in.Priority = job.PriorityHigh
	if p := l.submit(id, in).problem(t, http.StatusConflict); !strings.Contains(p.Detail, "report#1") {
		t.Error(p.Detail)
	}

	// The run is shown as any other, and can be canceled.
	var got job.Run
	l.get("/api/v1/runs/report%231").ok(t, &got)
	if got.State != job.Queued || got.Submitted == nil || got.Submitted.Parameters["DAY"] != s.Parameters["DAY"] {
		t.Errorf("%+v", got)
	}
	l.get("/api/v1/runs?state=queued").ok(t, nil)
	l.get("/api/v1/runs/"+id+"/log").ok(t, nil)
	l.get("/api/v1/runs/"+id+"/events").ok(t, nil)
	l.do("POST", "/api/v1/runs/"+id+"/cancel", nil).ok(t, &got)
	if got.State != job.Canceled {
		t.Errorf("%+v", got)
	}

	for says, bad := range map[string]job.SubmitRequest{
		"NIGHT":        {Job: "report", Parameters: map[string]string{"CUSTOMER": "x", "NIGHT": "1"}},
		"CUSTOMER":     {Job: "report"},
		"never":        {Job: "report", Parameters: map[string]string{"CUSTOMER": "x", "DAY": "never"}},
		"priority":     {Job: "report", Parameters: map[string]string{"CUSTOMER": "x"}, Priority: "urgent"},
		"job name":     {Job: "a/b"},
		"is empty":     {Job: "x", Command: &job.Spec{}},
		"group":        {Job: "report", Parameters: map[string]string{"CUSTOMER": "x"}, Group: "other"},
		"NUL":          {Job: "report", Parameters: map[string]string{"CUSTOMER": "a\x00b"}},
		"32768":        {Job: "report", Parameters: map[string]string{"CUSTOMER": strings.Repeat("x", 32769)}},
		"choose one":   {Job: "report", Parameters: map[string]string{"CUSTOMER": "x"}, DelayMS: 5, NotBefore: &soon},
		"not the id":   {Job: "report", Parameters: map[string]string{"CUSTOMER": "x"}, After: []job.Dependency{{Run: "report#1", When: "ended"}}},
		"itself":       {Job: "report", Parameters: map[string]string{"CUSTOMER": "x"}, After: []job.Dependency{{Run: "01890a5d-ac96-774b-bcce-b30200000001", When: "ended"}}},
		"succeeded":    {Job: "report", Parameters: map[string]string{"CUSTOMER": "x"}, After: []job.Dependency{{Run: newID(), When: "sometimes"}}},
		"never be met": {Job: "report", Parameters: map[string]string{"CUSTOMER": "x"}, After: []job.Dependency{{Run: id, When: "succeeded"}}},
	} {
		if p := l.submit("01890a5d-ac96-774b-bcce-b30200000001", bad).problem(t, http.StatusBadRequest); !strings.Contains(p.Detail, says) {
			t.Errorf("%q does not say %q", p.Detail, says)
		}
	}
	l.submit(newID(), job.SubmitRequest{Job: "none"}).problem(t, http.StatusNotFound)
	l.submit("report%231", in).problem(t, http.StatusBadRequest)
	l.submit("0189", in).problem(t, http.StatusBadRequest)
}

// A run that runs again has the values that were given, and defaults of now.
func TestSubmitAgain(t *testing.T) {
	l := start(t, server.Config{})
	l.apply(api.ApplyRequest{Files: files(report)}).ok(t, nil)
	first := l.submit(newID(), job.SubmitRequest{
		Job: "report", Parameters: map[string]string{"CUSTOMER": "x", "DAY": "2026-01-02"}, Labels: map[string]string{"by": "ci"}, Priority: job.PriorityLow,
	}).created(t)
	l.apply(api.ApplyRequest{Files: files(strings.Replace(report, "report.py", "new.py", 1))}).ok(t, nil)
	in := job.SubmitRequest{Job: "report", Again: "report#1", Parameters: map[string]string{"CUSTOMER": "y"}}
	id := newID()
	run := l.submit(id, in).created(t)
	s := run.Submitted
	if s.Parameters["CUSTOMER"] != "y" || s.Parameters["DAY"] != "2026-01-02" || len(s.Given) != 2 || run.Labels["by"] != "ci" || s.Priority != job.PriorityLow {
		t.Errorf("%+v, %+v", run, s)
	}
	if run.Command != "python new.py" || s.Definition == first.Submitted.Definition {
		t.Errorf("version %s, command %s", s.Definition, run.Command)
	}
	l.submit(id, in).ok(t, nil) // the same request
	in.Version = first.Submitted.Definition
	l.submit(id, in).problem(t, http.StatusConflict)
	if old := l.submit(newID(), in).created(t); old.Command != "python report.py" {
		t.Errorf("version %s runs %s", in.Version, old.Command)
	}

	command := job.SubmitRequest{Job: "ad-hoc", Command: &job.Spec{Version: job.SpecVersion, Args: []string{"true"}, Dir: "/srv"}, Group: "db", Requires: map[string]string{"zone": "fra"}}
	l.submit(newID(), command).created(t)
	command.Command.Env = map[string]string{"PASSWORD": "hunter2"}
	l.submit(newID(), command).created(t)
	run = l.submit(newID(), job.SubmitRequest{Job: "ad-hoc", Again: "ad-hoc#1", Labels: map[string]string{"try": "2"}}).created(t)
	if s := run.Submitted; run.Command != "true" || run.Dir != "/srv" || s.Group != "db" || s.Requires["zone"] != "fra" || run.Labels["try"] != "2" {
		t.Errorf("%+v, %+v", run, s)
	}
	byHand := newSketch(t, "nightly", nil).command().finish(0)
	l.send(byHand)
	for says, bad := range map[string]job.SubmitRequest{
		"not of":            {Job: "report", Again: "ad-hoc#1"},
		"PASSWORD":          {Job: "ad-hoc", Again: "ad-hoc#2"},
		"on its host":       {Job: "nightly", Again: byHand.id},
		"leave":             {Job: "ad-hoc", Again: "ad-hoc#1", Command: &job.Spec{Args: []string{"false"}}},
		"neither":           {Job: "ad-hoc", Again: "ad-hoc#1", Parameters: map[string]string{"A": "1"}},
		"NIGHT":             {Job: "report", Again: "report#1", Parameters: map[string]string{"NIGHT": "1"}},
		"wants a number":    {Job: "report", Again: "report#z"},
		"has the character": {Job: "report", Again: "x#y#z"},
	} {
		p := l.submit(newID(), bad).problem(t, http.StatusBadRequest)
		if !strings.Contains(p.Detail, says) || strings.Contains(p.Detail, "hunter2") {
			t.Errorf("%q does not say %q", p.Detail, says)
		}
	}
	l.submit(newID(), job.SubmitRequest{Job: "report", Again: newID()}).problem(t, http.StatusNotFound)
}

// A command decides what runs on the hosts of workers, so that write is not enough; and nothing of its
// variables is in the audit log.
func TestSubmitCommands(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{Now: c.now, RequireToken: true})
	as := func(scope access.Scope) []string {
		return []string{"Authorization", "Bearer " + l.mint(scope, time.Time{}, c.now())}
	}
	in := job.SubmitRequest{Job: "ad-hoc", Command: &job.Spec{Version: job.SpecVersion, Args: []string{"env"}, Env: map[string]string{"PASSWORD": "hunter2"}}, By: "mallory"}
	if p := l.submit(newID(), in, as(access.Write)...).problem(t, http.StatusForbidden); !strings.Contains(p.Detail, "scope author") {
		t.Error(p.Detail)
	}
	run := l.submit(newID(), in, as(access.Author)...).created(t)
	if run.Submitted == nil || run.Submitted.By != "for author" || strings.Contains(run.Command, "hunter2") {
		t.Errorf("%+v", run)
	}
	entries, err := l.store.AuditLog(t.Context(), query.Audit{Limit: 10})
	if err != nil || len(entries) != 2 || entries[0].Detail != "command of job ad-hoc" {
		t.Errorf("%+v, %v", entries, err)
	}
}
