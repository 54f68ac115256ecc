package runcmd

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"stint.dev/stint/internal/cli/clitest"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// ask runs a command against a server, and returns what it printed.
func ask(t *testing.T, server http.Handler, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	return clitest.Ask(t, server, func(c *console.Console) *cobra.Command {
		root := &cobra.Command{Use: "stint"}
		root.AddCommand(Commands(&command.Program{Console: c, Version: "test"})...)
		return root
	}, args...)
}

// attempted is a server with a run of three attempts, of which the last one goes on.
func attempted(t *testing.T) *http.ServeMux {
	t.Helper()
	at := func(d time.Duration) *time.Time { v := noon.Add(d); return &v }
	run := job.Run{ID: "0197a000-0000-7000-8000-000000000001", Job: "etl", Number: 7, Attempt: 3, State: job.Running, Host: "c", StartedAt: at(3 * time.Minute)}
	first, second := run, run
	first.Attempt, first.State, first.Host, first.StartedAt, first.EndedAt = 1, job.Failed, "a", at(0), at(time.Second)
	first.Outcome = &job.Outcome{State: job.Failed, Message: "Exited with code 3."}
	first.Output.Gaps = []job.Gap{{Stream: job.Stdout, AtBytes: 1 << 20, Bytes: 22 << 20, Lines: 5, Reason: "the spool was full"}}
	first.Steps = []job.Step{{Name: "command"}}
	second.Attempt, second.State, second.Host, second.StartedAt = 2, job.Lost, "b", at(2*time.Minute)
	second.Outcome = &job.Outcome{State: job.Lost, Message: "The agent left no outcome, and attempt 3 followed."}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/runs/{run}", func(w http.ResponseWriter, r *http.Request) {
		clitest.Answer(t, w, map[string]job.Run{"etl": run, "etl#7": run, "etl#7.1": first, "etl#7.2": second}[r.PathValue("run")])
	})
	mux.HandleFunc("GET /api/v1/runs/{run}/log", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Stint-Log-Run", run.ID)
		w.Header().Set("Stint-Log-Attempt", "1")
		_, _ = w.Write([]byte("attempt " + r.URL.Query().Get("attempt") + "\n"))
	})
	mux.HandleFunc("GET /api/v1/runs/{run}/events", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("run") != run.ID {
			t.Errorf("asked for the events of %s", r.PathValue("run"))
		}
		page := []job.RunEvent{
			{ID: 1, Attempt: 1, At: noon, Kind: "state", To: "running", Evidence: "The command began: make"},
			{ID: 2, Attempt: 1, At: noon.Add(2 * time.Second), Kind: "health", From: "healthy", To: "warning", Rule: "quiet", Evidence: "No heartbeat since 12:00."},
			{ID: 3, Attempt: 1, At: noon.Add(4 * time.Second), Kind: job.EventAcknowledged, Evidence: "Acknowledged by ada: known"},
		}
		if r.URL.Query().Get("after") != "0" {
			page = nil
		}
		clitest.Answer(t, w, map[string]any{"events": page})
	})
	mux.HandleFunc("GET /api/v1/runs/{run}/actions", func(w http.ResponseWriter, _ *http.Request) {
		clitest.Answer(t, w, map[string]any{"actions": []api.Action{
			{ID: 3, Kind: "retry", What: "retry", Status: "done", CreatedAt: noon},
			{ID: 2, Kind: "notify", What: "lost", Route: "ops", Status: "failed", LastError: "410 Gone", CreatedAt: noon.Add(3 * time.Second)},
			{ID: 1, Kind: "notify", What: "quiet", Route: "ops", Status: "done", CreatedAt: noon.Add(time.Second), DoneAt: at(2500 * time.Millisecond)},
		}})
	})
	return mux
}

func TestEvents(t *testing.T) {
	out, _, err := ask(t, attempted(t), "events", "etl")
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, want := range []string{"running", "The command began: make", "warning", "quiet: No heartbeat", "sent", `notification "quiet" to ops`, "not sent", `notification "lost" to ops: 410 Gone`, "acknowledged", "Acknowledged by ada: known"} {
		i := strings.Index(out[at:], want)
		if i < 0 {
			t.Fatalf("%q is missing, or not in order:\n%s", want, out)
		}
		at += i
	}
	if n := strings.Count(out, "\n"); n != 6 {
		t.Errorf("%d lines:\n%s", n, out)
	}
}

func TestAttempts(t *testing.T) {
	out, _, err := ask(t, attempted(t), "show", "etl")
	if err != nil || !strings.Contains(out, "Exited with code 3.") || !strings.Contains(out, "attempt 3 followed") || strings.Count(out, "✕ ") != 1 {
		t.Errorf("%v\n%s", err, out)
	}
	if out, _, err = ask(t, attempted(t), "show", "etl#7.1"); err != nil || strings.Contains(out, "ATTEMPT") || !strings.Contains(out, "with 1 gap of 22.0 MiB in all") && !strings.Contains(out, "with 1 gap of 22 MiB in all") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, _, err = ask(t, attempted(t), "show", "etl", "--json"); err != nil || strings.Count(out, `"attempt": `) != 4 || !strings.Contains(out, `"attempts": [`) {
		t.Errorf("%v\n%s", err, out)
	}
}

// What is missing of a log is named on stderr, and nothing of a log that goes on.
func TestLogsNameWhatIsMissing(t *testing.T) {
	for _, c := range []struct {
		args, out, says string
	}{
		{"etl", "attempt \n", ""},
		{"etl#7.1", "attempt 1\n", "missing in this log: 22 MiB (5 lines) of stdout of command, after its first 1 MiB: the spool was full\n"},
		{"etl --attempt 1", "attempt 1\n", "the spool was full\n"},
		{"etl#7.2", "attempt 2\n", "this log is not proved complete: the run is lost, and what its agent had not delivered is missing\n"},
	} {
		out, stderr, err := ask(t, attempted(t), append([]string{"logs"}, strings.Fields(c.args)...)...)
		if err != nil || out != c.out || !strings.HasSuffix(stderr, c.says) || c.says == "" && stderr != "" {
			t.Errorf("logs %s: %q, %q, %v", c.args, out, stderr, err)
		}
	}
	for args, says := range map[string]string{"etl --attempt 4": "etl#7 has no attempt 4: it has 3 attempts", "etl#7.1 --attempt 2": "give one of them", "etl --attempt 0": "whole number from 1"} {
		if _, _, err := ask(t, attempted(t), append([]string{"logs"}, strings.Fields(args)...)...); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("logs %s: %v", args, err)
		}
	}
}

func TestManyGapsAreCounted(t *testing.T) {
	c, printed := clitest.Console(t, func(string) string { return "" })
	p := &program{&command.Program{Console: c}}
	p.sayMissing(job.Run{Job: "a", Number: 1, Attempt: 2, State: job.Failed, Output: job.Output{Gaps: make([]job.Gap, 7)}})
	if _, stderr := printed(); strings.Count(stderr, "missing in this log") != 5 || !strings.Contains(stderr, "and 2 gaps more; stint show a#1.2 lists them") {
		t.Error(stderr)
	}
}

func TestNextAttempt(t *testing.T) {
	at := noon.Add(20 * time.Second)
	for want, r := range map[string]job.Run{
		"":          {State: job.Failed, Attempt: 1, Outcome: &job.Outcome{RetryAt: &at}},
		"attempt 3": {State: job.Retrying, Attempt: 2},
		"attempt 2 in 20 s, at " + at.Local().Format("15:04:05 -07:00"):    {State: job.Retrying, Attempt: 1, Outcome: &job.Outcome{RetryAt: &at}},
		"attempt 2 is due since " + noon.Local().Format("15:04:05 -07:00"): {State: job.Retrying, Attempt: 1, Outcome: &job.Outcome{RetryAt: &noon}},
	} {
		if got := nextAttemptText(r, noon); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestNotesHaveLines(t *testing.T) {
	if got := noteText("2 processes\nsh (pid 1)\x1b\nsleep\n", console.Style{}, 0); got != "note 2 processes\n     sh (pid 1)\\x1b\n     sleep\n" {
		t.Errorf("%q", got)
	}
}

func TestDiagnosisThatIsNotThereYet(t *testing.T) {
	for want, r := range map[bool]job.Run{
		true:  {State: job.Failed, EndedAt: &noon},
		false: {State: job.Canceled, EndedAt: &noon},
	} {
		if got := isBeingDiagnosed(r, noon.Add(time.Second)); got != want {
			t.Errorf("%s: %v", r.State, got)
		}
	}
	if r := (job.Run{State: job.Failed, EndedAt: &noon}); isBeingDiagnosed(r, noon.Add(time.Hour)) {
		t.Error("an hour later it is still looked for")
	}
}
