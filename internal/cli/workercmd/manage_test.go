package workercmd

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"stint.dev/stint/internal/cli/clitest"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/job"
)

// ask runs stint worker with arguments against a server, and returns what it printed.
func ask(t *testing.T, server http.HandlerFunc, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	return clitest.Ask(t, server, func(c *console.Console) *cobra.Command {
		return Command(&command.Program{Console: c, Version: "test"})
	}, args...)
}

func TestWorkerList(t *testing.T) {
	now := time.Now()
	cpus, memory, stop := 1.5, int64(2<<30), now.Add(time.Hour)
	all := []job.WorkerInfo{
		{Name: "w1", Host: "a", Version: "1.2", Slots: 4, Claimed: 1, Active: 2, Live: true, LastAt: now, Labels: map[string]string{"zone": "fra", "gpu": "true"}, FreeCPUs: &cpus, FreeMemoryBytes: &memory},
		{Name: "w2", Host: "b", Slots: 2, Live: true, LastAt: now, Drain: &job.Drain{Reason: "new disk", StopBy: &stop}, Allow: []string{"etl", "report"}},
		{Name: "w3\x1b[2J", Host: "c", Slots: 1, LastAt: now.Add(-time.Hour), Commands: true, Withheld: []job.Gate{{Text: "Worker w3 is not offered report until 2026-11-29 14:05:00 UTC."}}},
	}
	out, _, err := ask(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method+" "+r.URL.Path != "GET /api/v1/workers" {
			t.Errorf("%s %s", r.Method, r.URL.Path)
		}
		clitest.Answer(t, w, map[string]any{"workers": all})
	}, "list")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"w1", "3/4", "1.5 cores, 2 GiB", "gpu=true zone=fra", "draining, stops in", "new disk", "only etl, report", "away, last seen 1 h ago", "commands too", "\nWorker w3 is not offered report until 2026-11-29 14:05:00 UTC.\n", `w3\x1b[2J`} {
		if !strings.Contains(out, text) {
			t.Errorf("%q is not in\n%s", text, out)
		}
	}
	_, hint, err := ask(t, func(w http.ResponseWriter, _ *http.Request) { clitest.Answer(t, w, map[string]any{"workers": []any{}}) }, "list")
	if err != nil || !strings.Contains(hint, "stint worker run") {
		t.Errorf("%q, %v", hint, err)
	}
}

func TestWorkerDrainAndResume(t *testing.T) {
	stop := time.Now().Add(2 * time.Hour)
	out, _, err := ask(t, func(w http.ResponseWriter, r *http.Request) {
		var in job.DrainRequest
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.URL.Path != "/api/v1/workers/w7/drain" || in.DeadlineMS != 7_200_000 || in.Reason != "new disk" || in.By == "" {
			t.Errorf("%s: %+v, %v", r.URL.Path, in, err)
		}
		clitest.Answer(t, w, job.WorkerInfo{Name: "w7", Active: 3, Drain: &job.Drain{StopBy: &stop}})
	}, "drain", "w7", "--deadline", "2h", "--reason", "new disk")
	if err != nil || !strings.Contains(out, "w7 gets no more runs; active: 3; they are asked to stop at ") {
		t.Errorf("%q, %v", out, err)
	}
	out, _, err = ask(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/workers/w7/resume" {
			t.Error(r.URL.Path)
		}
		clitest.Answer(t, w, job.WorkerInfo{Name: "w7"})
	}, "resume", "w7")
	if err != nil || out != "w7 gets runs again\n" {
		t.Errorf("%q, %v", out, err)
	}
	for _, args := range [][]string{{"drain"}, {"resume"}, {"drain", "a", "b"}} {
		if _, _, err := ask(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }, args...); err == nil || !strings.Contains(err.Error(), "needs the NAME of one worker") {
			t.Errorf("%v: %v", args, err)
		}
	}
}
