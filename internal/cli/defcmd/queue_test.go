package defcmd

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/cli/clitest"
	"stint.dev/stint/job"
)

func TestQueueList(t *testing.T) {
	soon, next := time.Now().Add(14*time.Minute+30*time.Second), "c"
	page := job.QueuePage{Queued: 7, Held: 1, NextCursor: &next, Runs: []job.QueuedRun{
		{Job: "backup", Number: 31, Since: time.Now().Add(-3 * time.Minute), Priority: job.PriorityNormal, Health: job.Warning, Ahead: 4, StartsAbout: &soon, Gates: []job.Gate{
			{Text: "group db: 1 of 1 places are taken, by etl#88"}, {Text: "4 runs come first"},
		}},
		{Job: "etl", Number: 89, Since: time.Now(), Priority: job.PriorityHigh, Worker: "w7"},
	}}
	mux := http.NewServeMux()
	asked := ""
	mux.HandleFunc("GET /api/v1/queue", func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.RawQuery
		clitest.Answer(t, w, page)
	})
	out, _, err := ask(t, mux, "queue", "--job", "backup", "--held")
	if err != nil || asked != "held=true&job=backup&limit=50" {
		t.Errorf("%q, %v", asked, err)
	}
	for _, text := range []string{"backup#31", "3 m", "in 14 m ", "group db: 1 of 1 places are taken, by etl#88; 4 runs come first", "given to w7, starting", "7 runs in the queue", "held: 1"} {
		if !strings.Contains(out, text) {
			t.Errorf("%q is not in\n%s", text, out)
		}
	}
	if fields := strings.Fields(out); !slices.Contains(fields, "HEALTH") || !slices.Contains(fields, "warning") || slices.Index(fields, "-") < slices.Index(fields, "etl#89") {
		t.Errorf("the run that waits for too long is not marked, or the other one is:\n%s", out)
	}
	page = job.QueuePage{}
	if _, stderr, err := ask(t, mux, "queue"); err != nil || !strings.Contains(stderr, "the queue is empty") {
		t.Errorf("%q, %v", stderr, err)
	}
	if _, _, err := ask(t, mux, "queue", "--limit", "0"); err == nil {
		t.Error("--limit 0 was taken")
	}
}

func TestQueueChanges(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/queue/release", func(w http.ResponseWriter, r *http.Request) {
		var in job.QueueReleaseRequest
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Job != "etl" || in.By == "" {
			t.Errorf("%+v, %v", in, err)
		}
		clitest.Answer(t, w, job.QueueReleaseReply{Released: 2})
	})
	id := job.RunIDForKey("etl", "k")
	mux.HandleFunc("GET /api/v1/runs/etl%237", func(w http.ResponseWriter, _ *http.Request) {
		clitest.Answer(t, w, job.Run{ID: id, Job: "etl", Number: 7})
	})
	mux.HandleFunc("POST /api/v1/runs/{run}/priority", func(w http.ResponseWriter, r *http.Request) {
		var in job.PriorityRequest
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.PathValue("run") != id {
			t.Errorf("%s: %+v, %v", r.PathValue("run"), in, err)
		}
		clitest.Answer(t, w, job.Run{Job: "etl", Number: 7, Submitted: &job.Submission{Priority: in.Priority}})
	})
	if out, _, err := ask(t, mux, "queue", "release", "--job", "etl"); err != nil || out != "2 runs released\n" {
		t.Errorf("%q, %v", out, err)
	}
	if out, _, err := ask(t, mux, "queue", "move", "etl#7", "--priority", "high"); err != nil || out != "etl#7 has the priority high\n" {
		t.Errorf("%q, %v", out, err)
	}
	for _, args := range [][]string{{"queue", "move", "etl#7"}, {"queue", "move", "--priority", "high"}, {"queue", "bogus"}} {
		if _, _, err := ask(t, mux, args...); err == nil {
			t.Errorf("%v was taken", args)
		}
	}
}

func TestGroups(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/groups", func(w http.ResponseWriter, _ *http.Request) {
		clitest.Answer(t, w, map[string]any{"groups": []job.Group{{Name: "warehouse", Limit: 4, Active: 3, Waiting: 12}}})
	})
	mux.HandleFunc("PUT /api/v1/groups/{name}", func(w http.ResponseWriter, r *http.Request) {
		in := job.Group{Name: r.PathValue("name"), Active: 3}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		clitest.Answer(t, w, in)
	})
	mux.HandleFunc("DELETE /api/v1/groups/{name}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for _, c := range []struct{ args, says string }{
		{"group list", "warehouse      4       3       12"},
		{"group set warehouse --limit 4", "warehouse has the limit 4\n"},
		{"group set warehouse --limit 0", "warehouse has the limit 0: none of its runs starts\n"},
		{"group set warehouse --limit 2", "warehouse has the limit 2; 3 are active, so none starts until 2 have ended\n"},
		{"group delete warehouse", "group warehouse is deleted\n"},
	} {
		if out, _, err := ask(t, mux, strings.Fields(c.args)...); err != nil || !strings.Contains(out, c.says) {
			t.Errorf("%s: %q, %v", c.args, out, err)
		}
	}
	for _, args := range []string{"group set warehouse", "group set --limit 4", "group set warehouse --limit 1.5", "group set warehouse --limit -1", "group delete"} {
		if _, _, err := ask(t, mux, strings.Fields(args)...); err == nil {
			t.Errorf("%s was taken", args)
		}
	}
}
