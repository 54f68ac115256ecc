package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"stint.dev/stint/job"
)

// A submission whose answer is lost is sent again with the same id; one that was refused is not.
func TestSubmitRepeatsWhatHasNoAnswer(t *testing.T) {
	id := job.RunIDForKey("report", "7")
	var asked atomic.Int32
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var in job.SubmitRequest
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Method != http.MethodPut || r.URL.Path != "/api/v1/runs/"+id || in.Job != "report" {
			t.Errorf("%s %s: %+v, %v", r.Method, r.URL.Path, in, err)
		}
		switch asked.Add(1) {
		case 1:
			panic(http.ErrAbortHandler)
		case 2:
			w.Header().Set("Content-Type", "application/problem+json")
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"type":"urn:stint:unavailable","title":"Service Unavailable","status":503,"detail":"wait"}`)
		default:
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"id":%q,"job":"report","state":"queued"}`, id)
		}
	})
	r, err := c.Submit(context.Background(), id, job.SubmitRequest{Job: "report"})
	if err != nil || r.ID != id || r.State != job.Queued || asked.Load() != 3 {
		t.Errorf("%+v after %d requests: %v", r, asked.Load(), err)
	}

	asked.Store(0)
	refusing := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusConflict)
		fmt.Fprint(w, `{"type":"urn:stint:conflict","title":"Conflict","status":409,"detail":"another request"}`)
	})
	var p *job.Problem
	if _, err := refusing.Submit(context.Background(), id, job.SubmitRequest{Job: "report"}); !errors.As(err, &p) || p.Status != http.StatusConflict || asked.Load() != 1 {
		t.Errorf("after %d requests: %v", asked.Load(), err)
	}
}

// An answer for another run is not taken for an answer.
func TestSubmitChecksTheRun(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"id":"01890a5d-ac96-774b-bcce-b30200000001"}`)
	})
	if _, err := c.Submit(context.Background(), job.RunIDForKey("a", "b"), job.SubmitRequest{Job: "a"}); err == nil {
		t.Error("the answer for another run was taken")
	}
}

func TestQueueCalls(t *testing.T) {
	var got string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = r.Method + " " + r.URL.RequestURI() + " " + string(body)
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{}`)
	})
	ctx := context.Background()
	for want, call := range map[string]func() error{
		"GET /api/v1/queue? ": func() error { _, err := c.Queue(ctx, QueueQuery{}); return err },
		"GET /api/v1/queue?cursor=c&group=g&held=true&job=a&limit=5 ": func() error {
			_, err := c.Queue(ctx, QueueQuery{Job: "a", Group: "g", Held: true, Limit: 5, Cursor: "c"})
			return err
		},
		`POST /api/v1/queue/release {"job":"a","by":"ada"}`:    func() error { _, err := c.ReleaseQueue(ctx, "a", "ada"); return err },
		`POST /api/v1/runs/a%231/priority {"priority":"high"}`: func() error { _, err := c.SetPriority(ctx, "a#1", job.PriorityHigh); return err },

		"GET /api/v1/groups ":                   func() error { _, err := c.Groups(ctx); return err },
		`PUT /api/v1/groups/db%20x {"limit":4}`: func() error { _, err := c.SetGroup(ctx, "db x", 4); return err },
		"DELETE /api/v1/groups/db ":             func() error { return c.DeleteGroup(ctx, "db") },
		"GET /api/v1/workers ":                  func() error { _, err := c.Workers(ctx); return err },
		`POST /api/v1/workers/w7/drain {"reason":"disk","deadline_ms":5}`: func() error {
			_, err := c.DrainWorker(ctx, "w7", job.DrainRequest{Reason: "disk", DeadlineMS: 5})
			return err
		},
		"POST /api/v1/workers/w7/resume ": func() error { _, err := c.ResumeWorker(ctx, "w7"); return err },
	} {
		if err := call(); err != nil || got != want {
			t.Errorf("%s, want %s: %v", got, want, err)
		}
	}
}
