package runcmd

import (
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/cli/clitest"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// Sentences of the server name moments in UTC, and tables are in the zone of the terminal: what is printed has only that.
func TestShowNamesOneTimeZone(t *testing.T) {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	defer func(was *time.Location) { time.Local = was }(time.Local)
	time.Local = zone
	at := time.Date(2026, 11, 28, 4, 10, 47, 0, time.UTC)
	run := job.Run{
		ID: "01a2b3c4-0000-7000-8000-000000000000", Job: "memhog", Number: 1, State: job.Failed, Health: job.Critical, StartedAt: &at, EndedAt: &at,
		Outcome:   &job.Outcome{Message: "Killed at " + job.ClockText(at) + "."},
		Diagnosis: &job.Diagnosis{Sentence: "Peak 50 MiB at " + job.ClockText(at) + ".", Causes: []job.Cause{{Cause: "out_of_memory", Evidence: "Seen at " + job.TimeText(at) + "."}}},
		Notes:     []string{"skipped at " + job.TimeText(at) + " (pid 7)"},
		Findings:  []job.Finding{{Rule: "memory", Health: job.Critical, Evidence: "Full since " + job.ClockText(at.Add(2*time.Hour)) + "."}},
	}
	run.SetDerived()
	c, _ := clitest.Console(t, func(string) string { return "" })
	p := &program{&command.Program{Console: c}}
	rule := api.RuleResult{Rule: "memory", On: true, Fires: true, Health: job.Critical, Sentence: "Full since " + job.TimeText(at) + "."}
	rule.SentenceTimes = job.TimesIn(at, rule.Sentence)
	shown := p.runPage(shown{Run: localRun(run)}, at) + p.explanation(localRun(run), localExplanation(api.Explanation{Rules: []api.RuleResult{rule}}), api.Changes{}, at)
	if strings.Contains(shown, "UTC") {
		t.Errorf("names UTC:\n%s", shown)
	}
	for _, want := range []string{"Killed at 23:10:47 EST.", "Peak 50 MiB at 23:10:47 EST.", "Full since 01:10:47 EST.", "Seen at 2026-11-27 23:10:47 EST.", "skipped at 2026-11-27 23:10:47 EST (pid 7)", "2026-11-27 23:10:47.000 -05:00"} {
		if !strings.Contains(shown, want) {
			t.Errorf("has no %q:\n%s", want, shown)
		}
	}
	if run.Outcome.Message != "Killed at 04:10:47 UTC." || run.Findings[0].Evidence != "Full since 06:10:47 UTC." {
		t.Error("the run itself was changed")
	}
}
