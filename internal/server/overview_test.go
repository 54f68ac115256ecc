package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// overviewBody is the answer as another program reads it.
type overviewBody struct {
	api.Overview
	Fleet struct {
		Agents     int `json:"agents"`
		HostsTotal int `json:"hosts_total"`
		Hosts      []struct {
			Host string `json:"host"`
		} `json:"hosts"`
	} `json:"fleet"`
	Server struct {
		Degraded []string `json:"degraded"`
		Troubled int      `json:"troubled"`
	} `json:"server"`
}

func TestOverviewOverHTTP(t *testing.T) {
	l := start(t, server.Config{})
	for _, name := range []string{"backup", "train"} {
		l.append(newSketch(t, name, nil).command().finish(1))
	}
	l.append(newSketch(t, "train", nil).command().finish(0))
	active := newSketch(t, "etl", nil).command()
	l.append(active)
	var o overviewBody
	l.get("/api/v1/overview").ok(t, &o)
	if a := o.Attention; len(a.Runs) != 1 || a.Count != 1 || a.Runs[0].Job != "backup" || a.Runs[0].Outcome == nil || a.Runs[0].Outcome.Message == "" {
		t.Errorf("attention: %+v", a)
	}
	if a := o.Active; a.Count != 1 || a.Healthy != 1 || len(a.Runs) != 1 || a.Runs[0].ID != active.id {
		t.Errorf("active: %+v", a)
	}
	if j := o.Jobs; j.Count != 3 || len(j.Jobs) != 3 || j.Jobs[2].Name != "train" || len(j.Jobs[2].Day.States) != 2 || j.Jobs[2].LastRun == nil {
		t.Errorf("jobs: %+v", j)
	}
	if f := o.Fleet; f.Agents != 1 || f.HostsTotal != 1 || len(f.Hosts) != 1 || f.Hosts[0].Host != "h" || o.Server.Degraded == nil || o.Server.Troubled != 0 {
		t.Errorf("fleet and server: %+v, %+v", f, o.Server)
	}
	l.get("/api/v1/overview?limit=2").ok(t, &o)
	if len(o.Jobs.Jobs) != 2 || o.Jobs.NextCursor == nil {
		t.Fatalf("a page of jobs: %+v", o.Jobs)
	}
	next := *o.Jobs.NextCursor
	l.get("/api/v1/overview?limit=2&jobs_cursor="+next).ok(t, &o)
	if len(o.Jobs.Jobs) != 1 || o.Jobs.NextCursor != nil || len(o.Attention.Runs) != 0 || o.Attention.Count != 1 || len(o.Active.Runs) != 0 {
		t.Errorf("the next page of jobs: %+v", o)
	}
	l.get("/api/v1/overview?attention_cursor=nonsense").problem(t, http.StatusBadRequest)
	l.get("/api/v1/overview?jobs_cursor=%21").problem(t, http.StatusBadRequest)
	l.get("/api/v1/overview?limit=101").problem(t, http.StatusBadRequest)
	l.get("/api/v1/overview?state=failed").problem(t, http.StatusBadRequest)
}

// An acknowledgement is by the person that the token names, is on the run and in its history, in the
// audit log and on the stream of all runs, and can be removed.
func TestAcknowledgeOverHTTP(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "train", nil).command().finish(1)
	l.append(s)
	path := "/api/v1/runs/train%231/acknowledge"
	stream := l.follow("/api/v1/stream", "")
	// next waits for the next snapshot of the run, and the change after it.
	next := func() (run job.Run, kind string) {
		t.Helper()
		for {
			e, err := stream.next()
			if err != nil {
				t.Fatal(err)
			}
			switch e.kind {
			case "run":
				run = job.Run{}
				err = json.Unmarshal(e.data, &run)
			case "change":
				var c job.RunEvent
				if err = json.Unmarshal(e.data, &c); err == nil {
					return run, c.Kind
				}
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	read, write := l.mint(access.Read, time.Time{}, time.Now()), l.mint(access.Write, time.Time{}, time.Now())
	bearer := func(token string) []string { return []string{"Authorization", "Bearer " + token} }
	for _, method := range []string{"POST", "DELETE"} {
		l.do(method, path, nil, bearer(read)...).problem(t, http.StatusForbidden)
		l.do(method, "/api/v1/runs/train%239/acknowledge", nil).problem(t, http.StatusNotFound)
	}

	var run job.Run
	l.do("POST", path, []byte(`{"by":"ada","why":"on it"}`)).ok(t, &run)
	want := func(when string, run job.Run, by, why string) {
		t.Helper()
		a := run.Acknowledged
		if a == nil || a.By != by || a.Why != why || a.At.IsZero() || a.State != job.Failed || a.Attempt != 1 {
			t.Errorf("%s: %+v", when, a)
		}
	}
	want("the answer", run, "ada", "on it")
	want("the run", l.run("train%231"), "ada", "on it")
	if shown, kind := next(); kind != job.EventAcknowledged {
		t.Errorf("the stream sends %s", kind)
	} else {
		want("the stream", shown, "ada", "on it")
	}
	var o overviewBody
	l.get("/api/v1/overview").ok(t, &o)
	if a := o.Attention; a.Count != 0 || a.Acknowledged != 1 || len(a.Runs) != 1 || a.Runs[0].Acknowledged == nil {
		t.Errorf("attention: %+v", a)
	}
	run = job.Run{}
	l.do("POST", path, []byte(`{"by":"ada"}`), bearer(write)...).ok(t, &run)
	want("with a token", run, "for write", "")
	if _, kind := next(); kind != job.EventAcknowledged {
		t.Errorf("the stream sends %s", kind)
	}
	run = job.Run{}
	l.do("DELETE", path+"?by=bob", nil).ok(t, &run)
	if shown, kind := next(); kind != job.EventUnacknowledged || shown.Acknowledged != nil || run.Acknowledged != nil || run.ID != s.id {
		t.Errorf("removed: %s, %+v, %+v", kind, shown.Acknowledged, run.Acknowledged)
	}
	l.do("DELETE", path, nil).ok(t, nil) // nothing to remove

	var history struct{ Events []job.RunEvent }
	l.get("/api/v1/runs/"+s.id+"/events").ok(t, &history)
	var lines []string
	for _, e := range history.Events[len(history.Events)-3:] {
		lines = append(lines, e.Kind+": "+e.Evidence)
	}
	if got, want := strings.Join(lines, "\n"), "acknowledged: Acknowledged by ada: on it\nacknowledged: Acknowledged by for write\nunacknowledged: Acknowledgement by for write removed by bob"; got != want {
		t.Errorf("history:\n%s", got)
	}
	var log struct {
		Entries []struct{ Action, Target string }
	}
	l.get("/api/v1/audit").ok(t, &log)
	counts := map[string]int{}
	for _, e := range log.Entries {
		counts[e.Action]++
	}
	if got := fmt.Sprint(counts); !strings.Contains(got, "POST /api/v1/runs/{run}/acknowledge") || !strings.Contains(got, "DELETE /api/v1/runs/{run}/acknowledge") {
		t.Errorf("audit log: %s", got)
	}
}
