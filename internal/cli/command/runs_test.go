package command

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// runServer has runs of the job report, the newest first, by their states. It knows runs by id and as
// report, report#N and report#N.A, and answers that 0197 begins several ids.
func runServer(t *testing.T, states ...job.State) (c *client.Client, asked func() int) {
	t.Helper()
	runs, requests := []job.Run{}, 0
	for i, state := range states {
		n := len(states) - i
		runs = append(runs, job.Run{ID: strings.Repeat("0", n), Job: "report", Number: int64(n), State: state, StartAt: time.Unix(int64(n), 0)})
	}
	reply := func(w http.ResponseWriter, kind string, status int, v any) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/runs", func(w http.ResponseWriter, r *http.Request) {
		page, q := []job.Run{}, r.URL.Query()
		for _, run := range runs {
			if q.Get("job") == "report" && strings.Contains(strings.Join(q["state"], ","), string(run.State)) {
				page = append(page, run)
			}
		}
		reply(w, "application/json", 200, map[string]any{"runs": page})
	})
	mux.HandleFunc("GET /api/v1/runs/{run}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("run")
		for _, run := range runs {
			if whole, _, _ := strings.Cut(name, "."); name == "report" || whole == RunName(run) || name == run.ID {
				reply(w, "application/json", 200, run)
				return
			}
		}
		problem := job.Problem{Type: job.ProblemNotFound, Status: 404, Detail: "run " + name + " was not found"}
		if name == "0197" {
			problem = job.Problem{Type: job.ProblemConflict, Status: 409, Detail: "several", Candidates: []job.Candidate{
				{ID: wholeID, Job: "report", Number: 7, State: job.Failed, StartAt: time.Unix(0, 0)}, {ID: wholeID, Job: "other", Number: 8, State: job.Running},
			}}
		}
		reply(w, "application/problem+json", problem.Status, problem)
	})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { requests++; mux.ServeHTTP(w, r) }))
	t.Cleanup(s.Close)
	c, err := client.New(client.Options{URL: s.URL, UserAgent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, func() int { n := requests; requests = 0; return n }
}

const wholeID = "0197a000-0000-7000-8000-000000000001"

// A name costs one request, and a wrong use none that can be spared.
func TestFindRun(t *testing.T) {
	c, asked := runServer(t, job.Running, job.Failed)
	for text, want := range map[string]int64{"report": 2, "report#1": 1, "00": 2} {
		if got, err := FindRun(t.Context(), c, text); got.Number != want || err != nil || asked() != 1 {
			t.Errorf("%s is #%d, %v; want #%d", text, got.Number, err, want)
		}
	}
	for text, tc := range map[string]struct {
		says     string
		usage    bool
		requests int
	}{
		"none":       {"run none was not found", false, 1},
		"counts":     {"run counts#-1 was not found", false, 1},
		"a/b":        {"names no run", true, 0},
		"report#x":   {"wants a number", true, 0},
		"report#1.x": {"number of an attempt", true, 0},
		"report#1.2": {"names attempt 2", true, 1},
		"0197":       {"name one of them: report#7 (0197a000-0000, failed, started ", true, 1},
	} {
		got, err := FindRun(t.Context(), c, text)
		var usage *option.UsageError
		if err == nil || !strings.Contains(err.Error(), tc.says) || errors.As(err, &usage) != tc.usage || asked() != tc.requests {
			t.Errorf("%s is %q, %v; want %q", text, got.ID, err, tc.says)
		}
	}
	if run, attempt, err := FindAttempt(t.Context(), c, "report#1.2"); run.Number != 1 || attempt != 2 || err != nil {
		t.Errorf("%+v, %d, %v", run, attempt, err)
	}
}

func TestFindUnended(t *testing.T) {
	for name, tc := range map[string]struct {
		states []job.State
		text   string
		want   int64
		says   string // of a wrong use, instead
		no     string // of a refusal, beside the run
	}{
		"one":      {states: []job.State{job.Succeeded, job.Running, job.Failed}, want: 2},
		"none":     {states: []job.State{job.Succeeded, job.Failed}, want: 2, no: "job report has no run that has not ended: the last one, report#2, is succeeded"},
		"several":  {states: []job.State{job.Queued, job.Failed, job.Retrying}, says: "name one of them: report#3 (000, queued, submitted "},
		"a number": {states: []job.State{job.Succeeded, job.Running}, text: "report#1", want: 1},
		"an id":    {states: []job.State{job.Succeeded, job.Running}, text: "00", want: 2},
	} {
		c, _ := runServer(t, tc.states...)
		if tc.text == "" {
			tc.text = "report"
		}
		got, err := FindUnended(t.Context(), c, tc.text)
		var usage *option.UsageError
		if tc.no != "" {
			if err == nil || err.Error() != tc.no {
				t.Errorf("%s: %v", name, err)
			}
			err = nil
		}
		if tc.says != "" && (!errors.As(err, &usage) || !strings.Contains(err.Error(), tc.says)) || tc.says == "" && err != nil || got.Number != tc.want {
			t.Errorf("%s: #%d, %v", name, got.Number, err)
		}
	}
}
