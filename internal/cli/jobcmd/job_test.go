package jobcmd

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

func TestJobPageHasFindings(t *testing.T) {
	now := time.Date(2026, 3, 1, 15, 0, 0, 0, time.UTC)
	sum := api.Summary{Name: "report", Findings: []api.JobFinding{{Job: "report", Finding: job.Finding{
		Rule: "skipped", Health: job.Warning, Since: now.Add(-time.Hour), Evidence: "Schedule 1 did not start report.\x1b[2J",
	}}}}
	p := &program{&command.Program{Console: &console.Console{Out: os.Stdout, Getenv: func(string) string { return "" }}}}
	got := p.jobPage(sum, api.JobPolicy{Default: true}, now)
	if !strings.Contains(got, "skipped        warning, began 1 h ago: Schedule 1 did not start report.") || strings.Contains(got, "\x1b[2J") {
		t.Errorf("%q", got)
	}
}
