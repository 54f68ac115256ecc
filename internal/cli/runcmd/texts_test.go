package runcmd

import (
	"os"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

func TestExplanationOfAnEndedRunSaysSoOnce(t *testing.T) {
	p := &program{&command.Program{Console: &console.Console{Out: os.Stdout, Getenv: func(string) string { return "" }}}}
	ended := api.EndedPrefix(job.Failed)
	text := p.explanation(job.Run{Job: "a", Number: 1, State: job.Failed}, api.Explanation{Rules: []api.RuleResult{
		{Rule: "quiet", On: true, Sentence: ended + "A heartbeat arrived."},
		{Rule: "memory", On: true, Sentence: ended + "Near no limit.", Inputs: map[string]any{"percent": 1.23456}},
	}}, api.Changes{}, time.Now())
	if strings.Count(text, "no rule is evaluated any more") != 1 || !strings.Contains(text, "memory     ok       Near no limit.") || !strings.Contains(text, "percent=1.235\n") {
		t.Errorf("got\n%s", text)
	}
}

func TestCancelSaysWhetherThereWasAnythingToStop(t *testing.T) {
	asked := &job.Cancel{}
	for want, r := range map[string]job.Run{
		"a#1 is asked to stop; it is running\n": {Job: "a", Number: 1, State: job.Running, Cancel: asked},
		"a#1 had ended before: failed\n":        {Job: "a", Number: 1, State: job.Failed},
		"a#1 has ended: canceled\n":             {Job: "a", Number: 1, State: job.Canceled, Cancel: asked},
	} {
		if got := canceledText(r); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
