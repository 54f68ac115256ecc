package runcmd

import (
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

func TestWaitingText(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) *time.Time { v := now.Add(d); return &v }
	for name, c := range map[string]struct {
		q    job.QueuedRun
		want string
	}{
		"behind others": {
			job.QueuedRun{Attempt: 1, Since: now.Add(-3 * time.Minute), Priority: job.PriorityNormal, Ahead: 4, StartsAbout: at(14 * time.Minute), Gates: []job.Gate{
				{Gate: job.GateGroup, Text: "group db: 1 of 1 places are taken, by etl#88.", OpensAt: at(12 * time.Minute)},
			}},
			"Attempt 1 has waited for 3 m, with the priority normal.\ngroup      group db: 1 of 1 places are taken, by etl#88. Opens in 12 m.\nAhead of it: 4 runs.\nIt starts in about 14 m.\n\n",
		},
		"given": {
			job.QueuedRun{Attempt: 2, Since: now, Priority: job.PriorityHigh, Worker: "w7"},
			"Attempt 2 has waited for 0 ms, with the priority high.\nWorker w7 has it, and is starting it.\n\n",
		},
		"next": {
			job.QueuedRun{Attempt: 1, Since: now.Add(time.Second), Priority: job.PriorityLow},
			"Attempt 1 has waited for 0 ms, with the priority low.\nNothing keeps it from starting: the next worker with a free slot takes it.\n\n",
		},
	} {
		if got := waitingText(c.q, now, console.Style{}, 0); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestSubmissionFacts(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	soon := now.Add(time.Hour)
	var got []string
	add := func(name, text string) {
		if text != "" {
			got = append(got, name+": "+text)
		}
	}
	submissionFacts(nil, add, now)
	if got != nil {
		t.Errorf("a run that was not submitted has %q", got)
	}
	submissionFacts(&job.Submission{
		By: "ada", At: now.Add(-time.Minute), Definition: strings.Repeat("0a", 32), Parameters: map[string]string{"FORMAT": "pdf", "DAY": "2026-11-28"},
		Priority: job.PriorityHigh, Group: "db", Requires: map[string]string{"zone": "fra"}, StartBy: &soon, NotBefore: &now,
		After: []job.Dependency{{Run: "01890a5d", When: "ended"}}, Held: "restored",
		Occurrence: &job.Occurrence{Schedule: 2, At: now},
	}, add, now)
	text := strings.Join(got, "\n")
	for _, want := range []string{
		"submitted: by ada 1 m ago", "definition: 0a0a0a0a0a0a\n", "parameters: DAY=2026-11-28 FORMAT=pdf", "priority: high", "group: db", "requires: zone=fra",
		"start by: 2026-11-29", "after: 01890a5d ended", "held: restored", "occurrence: of schedule 2 at 2026-11-29",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "not before") || strings.Contains(text, "reason") {
		t.Errorf("what does not matter is shown:\n%s", text)
	}
}

func TestOccurrenceText(t *testing.T) {
	at := time.Date(2026, 11, 28, 2, 30, 0, 0, time.FixedZone("", 3600))
	for want, o := range map[string]api.RunOccurrence{
		"Made by schedule 1 (30 2 * * *, Europe/Berlin) for Sat 2026-11-28 02:30:00 +01:00. All times: stint schedule list etl": {
			Schedule: 1, When: "30 2 * * *", Zone: "Europe/Berlin", At: at, Result: "ran", LateSeconds: 0.4,
		},
		"Made by schedule 2 for Sat 2026-11-28 02:30:00 +01:00, 2 h 10 m late: backfilled by bob. All times: stint schedule list etl": {
			Schedule: 2, At: at, Result: "ran_late", Why: "backfilled by bob", LateSeconds: 7800,
		},
	} {
		if got := occurrenceText("etl", o); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
