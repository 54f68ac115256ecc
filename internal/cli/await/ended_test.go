package await

import (
	"strings"
	"testing"
	"time"

	"stint.dev/stint/job"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// As in tables, moments are in the zone of the terminal.
func TestEndedTextInTheZoneOfTheTerminal(t *testing.T) {
	defer func(was *time.Location) { time.Local = was }(time.Local)
	time.Local = time.FixedZone("NPT", 20_700)
	r := job.Run{State: job.Lost, Attempt: 1, StartedAt: &noon, Outcome: &job.Outcome{State: job.Lost, Message: "The last record is from " + job.TimeText(noon) + "."}}
	r.SetDerived()
	if text := EndedText(r); !strings.HasSuffix(text, "from 2026-11-29 17:45:00 NPT.") {
		t.Error(text)
	}
}

func TestExitCodes(t *testing.T) {
	number := func(n int) *int { return &n }
	started := &noon
	for name, c := range map[string]struct {
		run  job.Run
		code int
		says string
	}{
		"succeeded": {job.Run{State: job.Succeeded, Attempt: 1, StartedAt: started, Outcome: &job.Outcome{State: job.Succeeded, ExitCode: number(0)}}, 0, "succeeded"},
		"failed": {
			job.Run{State: job.Failed, Attempt: 2, StartedAt: started, Outcome: &job.Outcome{State: job.Failed, ExitCode: number(3), Message: "exit code 3"}}, 3, "is failed: exit code 3",
		},
		"killed":    {job.Run{State: job.Failed, Attempt: 1, StartedAt: started, Outcome: &job.Outcome{State: job.Failed, SignalNumber: 9}}, 137, "failed"},
		"timed out": {job.Run{State: job.TimedOut, Attempt: 1, StartedAt: started, Outcome: &job.Outcome{State: job.TimedOut, Reason: job.Timeout}}, 124, "timed_out"},
		"canceled":  {job.Run{State: job.Canceled, Attempt: 1, StartedAt: started, Outcome: &job.Outcome{State: job.Canceled, Reason: job.ByCancel, SignalNumber: 15}}, 143, "canceled"},
		"agent interrupted": {
			job.Run{State: job.Canceled, Attempt: 1, StartedAt: started, Outcome: &job.Outcome{State: job.Canceled, Reason: job.ByCancel, By: "signal SIGINT", SignalNumber: 15}}, 130, "canceled",
		},
		"Ctrl-C between attempts": {
			job.Run{State: job.Canceled, Attempt: 1, StartedAt: started, Outcome: &job.Outcome{State: job.Canceled, Reason: job.ByCancel, By: "Ctrl-C"}}, 130, "canceled",
		},
		"agent terminated": {
			job.Run{State: job.Canceled, Attempt: 1, StartedAt: started, Outcome: &job.Outcome{State: job.Canceled, Reason: job.AgentStopped, By: "signal SIGTERM", SignalNumber: 9}}, 143, "canceled",
		},
		"agent terminated, exited with 0": {
			job.Run{State: job.Canceled, Attempt: 1, StartedAt: started, Outcome: &job.Outcome{State: job.Canceled, Reason: job.AgentStopped, By: "signal SIGTERM", ExitCode: number(0)}}, 0, "canceled",
		},
		"lost": {job.Run{State: job.Lost, Attempt: 1, StartedAt: started}, 125, "is lost"},
		"no such command": {
			job.Run{State: job.Failed, Attempt: 1, StartedAt: started, Outcome: &job.Outcome{State: job.Failed, Reason: job.CouldNotStart, Errno: "ENOENT"}}, 127, "failed",
		},
		"expired":            {job.Run{State: job.Canceled, Submitted: &job.Submission{Reason: "expired"}}, 125, "never started: expired"},
		"canceled before":    {job.Run{State: job.Canceled, Cancel: &job.Cancel{By: "ada", Why: "wrong day"}}, 125, "never started: canceled by ada: wrong day"},
		"could not start":    {job.Run{State: job.Failed, Outcome: &job.Outcome{State: job.Failed, Reason: job.CouldNotStart, Message: "no directory /srv"}}, 125, "never started: no directory /srv"},
		"ended without word": {job.Run{State: job.Canceled}, 125, "never started: it is canceled"},
	} {
		if code, text := exitCode(c.run), EndedText(c.run); code != c.code || !strings.Contains(text, c.says) {
			t.Errorf("%s: %d and %q, want %d and %q", name, code, text, c.code, c.says)
		}
	}
}
