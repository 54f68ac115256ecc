package server_test

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
)

func TestCountsAndFilters(t *testing.T) {
	l := start(t, server.Config{})
	for i := range 4 {
		s := newSketch(t, "j", map[string]string{"odd": []string{"no", "yes"}[i%2]}).command()
		if i < 3 {
			s.finish(i % 2)
		}
		l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
	}
	later := url.QueryEscape(time.Now().Add(time.Hour).Format(time.RFC3339))
	for query, want := range map[string]string{
		"":                          `{"exact":true,"health":{"healthy":1},"state":{"failed":1,"running":1,"succeeded":2},"total":4}`,
		"state=failed,succeeded":    `{"exact":true,"health":{},"state":{"failed":1,"running":1,"succeeded":2},"total":3}`,
		"label=odd%3Dyes":           `{"exact":true,"health":{"healthy":1},"state":{"failed":1,"running":1},"total":2}`,
		"host=h&health=healthy":     `{"exact":true,"health":{"healthy":1},"state":{"running":1},"total":1}`,
		"host=elsewhere":            `{"exact":true,"health":{},"state":{},"total":0}`,
		"q=j&since=" + later:        `{"exact":true,"health":{},"state":{},"total":0}`,
		"until=" + later + "&job=j": `{"exact":true,"health":{"healthy":1},"state":{"failed":1,"running":1,"succeeded":2},"total":4}`,
	} {
		var got any
		l.get("/api/v1/runs/counts?"+query).ok(t, &got)
		text, err := json.Marshal(got) // with sorted keys
		if err != nil || string(text) != want {
			t.Errorf("?%s: %s, want %s", query, text, want)
		}
	}
	for query, runs := range map[string]int{"host=h": 4, "host=x": 0, "since=" + later: 0, "until=" + later: 4} {
		var page runPage
		l.get("/api/v1/runs?"+query).ok(t, &page)
		if len(page.Runs) != runs {
			t.Errorf("?%s: %d runs, want %d", query, len(page.Runs), runs)
		}
	}
	for _, bad := range []string{"since=yesterday", "until=1", "host=%00", "limit=3", "state=x"} {
		l.get("/api/v1/runs/counts?"+bad).problem(t, http.StatusBadRequest)
	}
}

func TestCancelOfManyRuns(t *testing.T) {
	l := start(t, server.Config{})
	one, two := newSketch(t, "j", nil).command(), newSketch(t, "j", nil).command()
	over := newSketch(t, "j", nil).command().finish(0)
	for _, s := range []*sketch{one, two, over} {
		l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
	}
	nobody := uuid.NewString()
	body, err := json.Marshal(map[string]any{"runs": []string{one.id, nobody, "j#2", over.id, "what?"}, "reason": "wrong data"})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Results []struct {
			Run      string
			Canceled bool
			Error    string
		}
	}
	l.do("POST", "/api/v1/runs/cancel", body, "Content-Type", "application/json").ok(t, &got)
	if len(got.Results) != 5 {
		t.Fatalf("%d results", len(got.Results))
	}
	for i, says := range []string{"", "not found", "", "already ended", "what?"} {
		r := got.Results[i]
		if r.Canceled != (says == "") || !strings.Contains(r.Error, says) {
			t.Errorf("result %d: %+v", i, r)
		}
	}
	for _, s := range []*sketch{one, two} {
		if run := l.run(s.id); run.State != job.Stopping || run.Cancel == nil || run.Cancel.Why != "wrong data" {
			t.Errorf("run %s is %s: %+v", s.id, run.State, run.Cancel)
		}
	}
	for _, bad := range []string{``, `{}`, `{"runs":[]}`, `{"runs":"x"}`, `{"runs":["a"],"who":1}`, `{"runs":[` + strings.Repeat(`"a",`, 1000) + `"a"]}`} {
		l.do("POST", "/api/v1/runs/cancel", []byte(bad), "Content-Type", "application/json").problem(t, http.StatusBadRequest)
	}
}

// A run that waits for a retry, or is lost, is canceled among others as it is alone.
func TestCancelOfManyThatNoAgentWorksOn(t *testing.T) {
	l := start(t, server.Config{})
	retrying, lost := newSketch(t, "j", nil).command().finish(1), newSketch(t, "j", nil).command()
	for _, s := range []*sketch{retrying, lost} {
		l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
	}
	l.do("POST", "/api/v1/runs/"+retrying.id+"/attempts/1/heartbeat", []byte(`{"sequence":1,"waiting_ms":60000,"period_ms":5000}`)).ok(t, nil)
	l.do("POST", "/api/v1/runs/"+retrying.id+"/retry", nil).ok(t, nil)
	leases, err := l.store.Due(t.Context(), time.Now().Add(time.Hour), 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, active := range leases {
		if active.Run == lost.id {
			v := lease.Verdict{Run: lost.id, Attempt: 1, ReportedAt: active.ReportedAt, At: time.Now(), Lost: true}
			if _, err := l.store.Judge(t.Context(), []lease.Verdict{v}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if a, b := l.run(retrying.id), l.run(lost.id); a.State != job.Retrying || b.State != job.Lost {
		t.Fatalf("the runs are %s and %s", a.State, b.State)
	}
	body, err := json.Marshal(map[string]any{"runs": []string{retrying.id, lost.id}})
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		Run      string
		Canceled bool
		Error    string
	}
	ask := func() []result {
		t.Helper()
		var got struct{ Results []result }
		l.do("POST", "/api/v1/runs/cancel", body, "Content-Type", "application/json").ok(t, &got)
		return got.Results
	}
	if diff := cmp.Diff([]result{{Run: retrying.id, Canceled: true}, {Run: lost.id, Canceled: true}}, ask()); diff != "" {
		t.Error(diff)
	}
	if a, b := l.run(retrying.id), l.run(lost.id); a.State != job.Canceled || b.State != job.Lost || b.Cancel == nil {
		t.Errorf("the runs are %s and %s, %+v", a.State, b.State, b.Cancel)
	}
	again := ask()
	if again[0].Canceled || !strings.Contains(again[0].Error, "already ended: canceled") || !again[1].Canceled {
		t.Errorf("a second time: %+v", again)
	}
}

func TestFleet(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{Now: c.now})
	type fleet struct {
		At     time.Time
		Agents int
		Hosts  []struct {
			Host            string
			Agents          int
			CPUCores        float64    `json:"cpu_cores"`
			MemoryBytes     int64      `json:"memory_bytes"`
			UnsentBytes     int64      `json:"unsent_bytes"`
			LastHeartbeatAt *time.Time `json:"last_heartbeat_at"`
		}
		Ingest struct {
			BytesPerSecond      float64 `json:"bytes_per_second"`
			HeartbeatsPerSecond float64 `json:"heartbeats_per_second"`
		}
		LagSeconds float64 `json:"lag_seconds"`
	}
	getFleet := func() fleet {
		var f fleet
		l.get("/api/v1/fleet").ok(t, &f)
		return f
	}
	if f := getFleet(); f.Agents != 0 || f.Hosts == nil || len(f.Hosts) != 0 {
		t.Errorf("an empty fleet: %+v", f)
	}
	s := newSketch(t, "j", nil).command()
	l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
	beat := func(n int64, cpu float64) {
		body, err := json.Marshal(job.Heartbeat{Sequence: n, UptimeMS: 10_000 * n, CPUSeconds: cpu, MemoryBytes: 100, UnsentBytes: 7, PeriodMS: 10_000})
		if err != nil {
			t.Fatal(err)
		}
		l.do("POST", "/api/v1/runs/"+s.id+"/attempts/1/heartbeat", body).ok(t, nil)
	}
	beat(1, 20)
	before := c.now()
	c.add(4 * time.Second)
	if f := getFleet(); f.Agents != 0 || !f.At.Equal(before) {
		t.Errorf("an answer is good for a while, but this is another: %+v", f)
	}
	c.add(6 * time.Second)
	f := getFleet()
	if !f.At.Equal(c.now()) {
		t.Errorf("read at %s, and it is %s", f.At, c.now())
	}
	if f.Agents != 1 || len(f.Hosts) != 1 || f.Hosts[0].Host != "h" || f.Hosts[0].CPUCores != 2 || f.Hosts[0].MemoryBytes != 100 ||
		f.Hosts[0].UnsentBytes != 7 || f.Hosts[0].LastHeartbeatAt == nil || f.LagSeconds <= 0 {
		t.Errorf("fleet %+v", f)
	}
	if f.Ingest.HeartbeatsPerSecond != 0.1 || f.Ingest.BytesPerSecond != float64(len(s.bytes()))/10 {
		t.Errorf("ingest %+v", f.Ingest)
	}
	beat(2, 25)
	c.add(10 * time.Second)
	if f := getFleet(); f.Hosts[0].CPUCores != 0.5 {
		t.Errorf("%v cores after 5 CPU seconds in 10 s", f.Hosts[0].CPUCores)
	}
}

func TestBadge(t *testing.T) {
	l := start(t, server.Config{PublicBadges: true})
	name := "a <b> & \"c\""
	path := "/api/v1/jobs/" + url.PathEscape(name) + "/badge.svg"
	l.get(path).problem(t, http.StatusNotFound)
	s := newSketch(t, name, nil).command()
	l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
	running := l.get(path)
	running.ok(t, nil)
	had := len(s.bytes())
	s.finish(0)
	l.deliver(s, had, 1<<20)
	done := l.get(path)
	done.ok(t, nil)
	var svg struct {
		Title string   `xml:"title"`
		Text  []string `xml:"g>text"`
	}
	if err := xml.Unmarshal(done.body, &svg); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{name, "succeeded"}, svg.Text); diff != "" || svg.Title != name+": succeeded" {
		t.Errorf("%q (-want +got): %s", svg.Title, diff)
	}
	if done.header.Get("Content-Type") != "image/svg+xml" || running.header.Get("ETag") == done.header.Get("ETag") {
		t.Errorf("headers %v", done.header)
	}
	if r := l.get(path, "If-None-Match", done.header.Get("ETag")); r.status != http.StatusNotModified || len(r.body) != 0 {
		t.Errorf("the same again: %d, %d bytes", r.status, len(r.body))
	}
	for _, rt := range server.RouteList(l.srv) {
		if strings.HasSuffix(rt.Pattern, "badge.svg") && rt.Scope != access.Public {
			t.Errorf("a public badge asks for %q", rt.Scope)
		}
	}
}

// The first response has rates too, since the start of the server: a person who opens the page first does not read
// that nothing arrives.
func TestFirstRatesOfTheFleet(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{Now: c.now})
	s := newSketch(t, "j", nil).command()
	l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
	c.add(10 * time.Second)
	var f struct {
		Ingest struct {
			BytesPerSecond float64 `json:"bytes_per_second"`
		}
	}
	l.get("/api/v1/fleet").ok(t, &f)
	if want := float64(len(s.bytes())) / 10; f.Ingest.BytesPerSecond != want {
		t.Errorf("%g bytes a second, want %g", f.Ingest.BytesPerSecond, want)
	}
}
