package command

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// runServer has the newest runs of the job report, by their states.
func runServer(t *testing.T, states ...job.State) *client.Client {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, runs := r.URL.Query(), []job.Run{}
		for i, state := range states {
			if n := len(states) - i; q.Get("job") == "report" && (!q.Has("state") || strings.Contains(strings.Join(q["state"], ","), string(state))) {
				runs = append(runs, job.Run{ID: strings.Repeat("0", n), Job: "report", Number: int64(n), State: state})
			}
		}
		page := map[string]any{"runs": runs}
		if limit := map[string]int{"1": 1}[q.Get("limit")]; limit > 0 && len(runs) > limit {
			page = map[string]any{"runs": runs[:limit], "next_cursor": "more"}
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(page); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	c, err := client.New(client.Options{URL: s.URL, UserAgent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

const wholeID = "0197a000-0000-7000-8000-000000000001"

func TestFindRun(t *testing.T) {
	c := runServer(t, job.Running, job.Failed)
	for text, want := range map[string]string{
		"report": "00", "report#1": "report#1", wholeID: wholeID, "0197a": "0197a",
	} {
		if got, err := FindRun(t.Context(), c, text); got != want || err != nil {
			t.Errorf("%s is %q, %v; want %q", text, got, err, want)
		}
	}
	for text, says := range map[string]string{"none": "no run of a job with this name", "a/b": "neither an id", "report#x": "wants a number"} {
		if got, err := FindRun(t.Context(), c, text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s is %q, %v", text, got, err)
		}
	}
}

func TestFindOnlyRun(t *testing.T) {
	for name, tc := range map[string]struct {
		states []job.State
		text   string
		want   string
		says   string // of a wrong use, instead
	}{
		"one":          {states: []job.State{job.Succeeded, job.Running, job.Failed}, want: "00"},
		"none":         {states: []job.State{job.Succeeded, job.Failed}, says: `no run that can be canceled: the newest, report#2, is succeeded`},
		"several":      {states: []job.State{job.Queued, job.Failed, job.Running}, says: `name one of them: report#3, is queued, report#1, is running`},
		"a number":     {states: []job.State{job.Succeeded}, text: "report#1", want: "report#1"},
		"the whole id": {text: wholeID, want: wholeID},
		"a prefix":     {text: "0197a", want: "0197a"},
	} {
		c := runServer(t, tc.states...)
		if tc.text == "" {
			tc.text = "report"
		}
		got, err := FindOnlyRun(t.Context(), c, tc.text, "canceled", job.Queued, job.Running)
		var usage *option.UsageError
		if tc.says != "" && (!errors.As(err, &usage) || !strings.Contains(err.Error(), tc.says)) || tc.says == "" && err != nil || got != tc.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := FindOnlyRun(t.Context(), runServer(t), "none", "canceled", job.Running); err == nil || !strings.Contains(err.Error(), "no run of a job with this name") {
		t.Error(err)
	}
}
