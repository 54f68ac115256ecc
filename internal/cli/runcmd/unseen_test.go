package runcmd

import (
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/cli/clitest"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/job"
)

// The watcher of a dead agent completes its journal. What the job had printed and the agent not read is in none.
func TestLogOfADeadAgentIsNotProved(t *testing.T) {
	now := time.Now()
	lost := job.Step{Name: "command", PID: 7, State: job.Lost, EndedAt: &now}
	open, ended, ping := lost, lost, lost
	open.EndedAt, ended.State, ping.PID = nil, job.Succeeded, 0
	for name, c := range map[string]struct {
		state  job.State
		step   job.Step
		unseen bool
	}{
		"a step that the watcher ended": {job.Lost, lost, true},
		"an open step":                  {job.Lost, open, true},
		"a step that the agent ended":   {job.Lost, ended, false},
		"pings":                         {job.Lost, ping, false},
		"not lost":                      {job.Failed, open, false},
	} {
		console, printed := clitest.Console(t, func(string) string { return "" })
		p := &program{&command.Program{Console: console}}
		run := job.Run{Job: "etl", Number: 1, Attempt: 1, State: c.state, Steps: []job.Step{c.step}, Output: job.Output{Complete: true}}
		p.sayMissing(run)
		_, stderr := printed()
		if got := strings.Contains(stderr, "not proved complete: the run is lost, and what its agent had not read is missing"); got != c.unseen {
			t.Errorf("%s: says so %t", name, got)
		}
		if got := strings.Contains(outputText(run), "as far as its agent had read it"); got != c.unseen {
			t.Errorf("%s: %s", name, outputText(run))
		}
	}
}
