package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
	"stint.dev/stint/journal"
)

type runPage struct {
	Runs       []job.Run `json:"runs"`
	NextCursor *string   `json:"next_cursor"`
}

func TestListRuns(t *testing.T) {
	l := start(t, server.Config{})
	for i := range 7 {
		s := newSketch(t, []string{"etl", "train"}[i%2], map[string]string{"n": fmt.Sprint(i), "team": "a,b:c=d"}).command()
		if i < 5 {
			s.finish(i % 2)
		}
		l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
	}
	team := url.QueryEscape("team=a,b:c=d")
	tests := []struct {
		query string
		want  []string // job#number, newest first
	}{
		{"", []string{"etl#4", "train#3", "etl#3", "train#2", "etl#2", "train#1", "etl#1"}},
		{"job=train", []string{"train#3", "train#2", "train#1"}},
		{"state=running", []string{"etl#4", "train#3"}},
		{"state=running&state=failed", []string{"etl#4", "train#3", "train#2", "train#1"}},
		{"state=running,succeeded&job=etl", []string{"etl#4", "etl#3", "etl#2", "etl#1"}},
		{"health=healthy", []string{"etl#4", "train#3"}},
		{"label=n%3D3", []string{"train#2"}},
		{"label=n:3", []string{"train#2"}},
		{"label=n%3D3&label=" + team, []string{"train#2"}},
		{"label=n%3D3&label=team%3Dx", []string{}},
		{"q=TRAI&limit=2", []string{"train#3", "train#2"}},
		{"job=nobody", []string{}},
	}
	names := func(runs []job.Run) []string {
		out := []string{}
		for _, r := range runs {
			out = append(out, fmt.Sprintf("%s#%d", r.Job, r.Number))
		}
		return out
	}
	for _, tt := range tests {
		var page runPage
		l.get("/api/v1/runs?"+tt.query).ok(t, &page)
		if got := names(page.Runs); !slices.Equal(got, tt.want) {
			t.Errorf("?%s: %v, want %v", tt.query, got, tt.want)
		}
	}

	var all []string
	for cursor, pages := "", 0; ; pages++ {
		if pages > 10 {
			t.Fatal("paging does not end")
		}
		var page runPage
		r := l.get("/api/v1/runs?limit=3&cursor=" + url.QueryEscape(cursor))
		r.ok(t, &page)
		all = append(all, names(page.Runs)...)
		if page.NextCursor == nil {
			if !strings.Contains(string(r.body), `"next_cursor":null`) {
				t.Errorf("the last page does not say null: %s", r.body)
			}
			break
		}
		cursor = *page.NextCursor
	}
	if !slices.Equal(all, tests[0].want) {
		t.Errorf("page by page: %v, want %v", all, tests[0].want)
	}
}

func TestRunsOfAnEmptyServer(t *testing.T) {
	l := start(t, server.Config{})
	for path, want := range map[string]string{
		"/api/v1/runs": `{"runs":[],"next_cursor":null}`,
		"/api/v1/jobs": `{"jobs":[],"next_cursor":null}`,
	} {
		if got := strings.TrimSpace(string(l.get(path).body)); got != want {
			t.Errorf("GET %s: %s, want %s", path, got, want)
		}
	}
}

func TestQuestionsThatAreRefused(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "j", nil)
	l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
	tests := []struct {
		path   string
		status int
		says   string
	}{
		{"/api/v1/runs?stat=running", 400, "stat"},
		{"/api/v1/runs?state=runing", 400, "runing"},
		{"/api/v1/runs?health=sick", 400, "sick"},
		{"/api/v1/runs?label=team", 400, "team"},
		{"/api/v1/runs?label=a%3D1&label=a%3D2", 400, "two different values"},
		{"/api/v1/runs?limit=0", 400, "limit"},
		{"/api/v1/runs?limit=501", 400, "limit"},
		{"/api/v1/runs?limit=ten", 400, "limit"},
		{"/api/v1/runs?cursor=nonsense", 400, "cursor"},
		{"/api/v1/runs?q=%ff", 400, "not text"},
		{"/api/v1/runs?q=a%00b", 400, "not text"},
		{"/api/v1/runs?q=" + strings.Repeat("x", 300), 400, "q"},
		{"/api/v1/runs/abc", 404, "no job with runs has this name"},
		{"/api/v1/runs/a%2Fb", 400, "names no run"},
		{"/api/v1/runs/xyz-not-hex", 404, "xyz"},
		{"/api/v1/runs/j@failed", 404, "no run of the job is failed"},
		{"/api/v1/runs/j%23-2", 404, "fewer than 2 runs"},
		{"/api/v1/runs/j%231.2", 404, "attempt 2"},
		{"/api/v1/runs/j%231.x", 400, "number of an attempt"},
		{"/api/v1/runs/j%231.1?attempt=2", 400, "attempt 1 and the parameter attempt says 2"},
		{"/api/v1/runs/j%231.1/events", 400, "leave out .1"},
		{"/api/v1/runs/j%231.2/log", 404, "attempt 2"},
		{"/api/v1/runs/j%231.2/stream", 404, "attempt 2"},
		{"/api/v1/runs/" + uuid.NewString(), 404, "not found"},
		{"/api/v1/runs/j%232", 404, "j"},
		{"/api/v1/runs/j%230", 400, "number"},
		{"/api/v1/runs/nobody%231", 404, "nobody"},
		{"/api/v1/runs/" + s.id + "/events?after=-1", 400, "after"},
		{"/api/v1/runs/" + s.id + "/event", 404, "no path"},
		{"/api/v1/runs/" + s.id + "?verbose=1", 400, "verbose"},
		{"/api/v1/runs/" + s.id + "/attempts/2/journal", 404, "attempt 2"},
		{"/api/v1/runs/" + s.id + "/attempts/1/journal?offset=99999", 400, "beyond"},
		{"/api/v1/jobs/nobody", 404, "nobody"},
		{"/api/v1/jobs/a%0Ab", 400, "printable"},
		{"/healthz2", 404, ""},
	}
	for _, tt := range tests {
		t.Run(tt.path[:min(len(tt.path), 60)], func(t *testing.T) {
			l.t = t
			r := l.get(tt.path)
			if tt.says == "" {
				if r.status != tt.status {
					t.Errorf("status %d", r.status)
				}
				return
			}
			if p := r.problem(t, tt.status); !strings.Contains(p.Detail, tt.says) {
				t.Errorf("the answer does not say %q: %s", tt.says, p.Detail)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "j", nil).command()
	l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
	cancel := "/api/v1/runs/j%231/cancel"

	for _, body := range []string{`{"by":`, `[]`, `{"by":3}`, `{"who":"ada"}`, `{"by":"` + strings.Repeat("x", 300) + `"}`} {
		l.do("POST", cancel, []byte(body), "Content-Type", "application/json").problem(t, http.StatusBadRequest)
	}
	l.do("POST", cancel, []byte(strings.Repeat(" ", 100<<10)), "Content-Type", "application/json").problem(t, http.StatusRequestEntityTooLarge)
	if run := l.run(s.id); run.Cancel != nil || run.State != job.Running {
		t.Fatalf("refused calls canceled the run: %+v", run)
	}

	var run job.Run
	l.do("POST", cancel, []byte(`{"by":"ada","why":"wrong\ndata"}`), "Content-Type", "application/json").ok(t, &run)
	if run.State != job.Stopping || run.Cancel == nil || run.Cancel.By != "ada" || run.Cancel.Why != "wrong data" {
		t.Errorf("after cancel: %s, %+v", run.State, run.Cancel)
	}
	l.do("POST", cancel, nil).ok(t, &run)
	if run.Cancel.By != "ada" {
		t.Errorf("a repeated cancel took the place of the first: %+v", run.Cancel)
	}
	var events struct{ Events []job.RunEvent }
	l.get("/api/v1/runs/"+s.id+"/events").ok(t, &events)
	var tos []string
	for _, e := range events.Events {
		if e.Kind == "state" {
			tos = append(tos, e.To)
		}
	}
	if want := []string{"starting", "running", "stopping"}; !slices.Equal(tos, want) {
		t.Errorf("states %v, want %v", tos, want)
	}
}

// Notes of the agent are events, at the place and time at which it wrote them, and as few as the run has notes.
func TestNotesAreEvents(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "train", nil).command()
	s.add(journal.TypeNote, journal.Note{Step: -1, Text: "first\x1b[2J"})
	at := s.at
	done := l.deliver(s, 0, 1<<20)
	var got struct{ Events []job.RunEvent }
	l.get("/api/v1/runs/"+s.id+"/events").ok(t, &got)
	if n := len(got.Events); n != 3 {
		t.Fatalf("while it runs: %+v", got.Events)
	}
	if e := got.Events[2]; e.Kind != job.EventNote || e.From != "running" || e.To != e.From || e.Attempt != 1 || e.Clock != "agent" ||
		!e.At.Equal(at.Truncate(time.Microsecond)) || !strings.HasPrefix(e.Evidence, "first") || strings.Contains(e.Evidence, "\x1b") {
		t.Errorf("%+v, and the note is of %s", e, at)
	}
	for range 300 {
		s.add(journal.TypeNote, journal.Note{Step: -1, Text: "more"})
	}
	l.deliver(s.finish(0), done, 1<<20)
	l.get("/api/v1/runs/"+s.id+"/events?limit=1000").ok(t, &got)
	var kinds []string
	for _, e := range got.Events {
		kinds = append(kinds, e.Kind)
	}
	want := "state state" + strings.Repeat(" note", len(l.run(s.id).Notes)) + " state"
	if text := strings.Join(kinds, " "); text != want {
		t.Errorf("events %s, want %s", text, want)
	}
}

func TestJobs(t *testing.T) {
	l := start(t, server.Config{})
	for range 3 {
		s := newSketch(t, "nightly backup", nil).command().finish(0)
		l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
	}
	var one api.Summary
	l.get("/api/v1/jobs/nightly%20backup").ok(t, &one)
	if one.Runs != 3 || one.Succeeded != 3 || one.LastRun == nil || one.LastRun.Number != 3 || one.Usual == nil {
		t.Errorf("job: %+v", one)
	}
	s := newSketch(t, "weekly", nil).command()
	l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
	var page struct {
		Jobs       []api.Summary `json:"jobs"`
		NextCursor *string       `json:"next_cursor"`
	}
	l.get("/api/v1/jobs?limit=1").ok(t, &page)
	if len(page.Jobs) != 1 || page.Jobs[0].Name != "nightly backup" || page.NextCursor == nil || len(page.Jobs[0].LastRun.Args) != 0 {
		t.Fatalf("first page: %+v", page)
	}
	l.get("/api/v1/jobs?limit=1&cursor="+*page.NextCursor).ok(t, &page)
	if len(page.Jobs) != 1 || page.Jobs[0].Name != "weekly" || page.NextCursor != nil {
		t.Errorf("last page: %+v", page)
	}
	l.get("/api/v1/jobs?cursor=x").problem(t, http.StatusBadRequest)
	l.do("DELETE", "/api/v1/jobs/weekly", nil).problem(t, http.StatusConflict)
	var deleted struct{ Runs int64 }
	if l.do("DELETE", "/api/v1/jobs/nightly%20backup", nil).ok(t, &deleted); deleted.Runs != 3 {
		t.Errorf("%d runs were deleted", deleted.Runs)
	}
	l.get("/api/v1/jobs/nightly%20backup").problem(t, http.StatusNotFound)
	l.do("DELETE", "/api/v1/jobs/nightly%20backup", nil).problem(t, http.StatusNotFound)
}

// Names of jobs are the client's to choose, but not any number of them.
func TestNewJobsOfAClientAreBounded(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{NewJobs: 3, RequireToken: true, Now: c.now})
	mint := func(scope access.Scope) string { return l.mint(scope, time.Time{}, c.now()) }
	greedy, other := mint(access.Agent), mint(access.Agent)
	begin := func(token, name string) reply {
		s := newSketch(t, name, nil).command()
		return l.do("POST", journalPath(s.id, 1, 0), s.bytes(), "Authorization", "Bearer "+token)
	}
	for i := range 3 {
		begin(greedy, fmt.Sprint("job-", i)).ok(t, nil)
	}
	refused := begin(greedy, "one-more")
	if p := refused.problem(t, http.StatusTooManyRequests); !strings.Contains(p.Detail, "one-more") || refused.header.Get("Retry-After") != "60" {
		t.Errorf("%s, after %s", p.Detail, refused.header.Get("Retry-After"))
	}
	begin(greedy, "job-1").ok(t, nil)
	begin(other, "one-more").ok(t, nil)
	begin(greedy, "one-more").ok(t, nil)
	c.add(59 * time.Minute)
	begin(greedy, "too-soon").problem(t, http.StatusTooManyRequests)
	c.add(time.Minute)
	begin(greedy, "in-the-next-hour").ok(t, nil)
}
