package diagnose

import (
	"testing"

	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

func TestCausesNameWhatTheyRepeat(t *testing.T) {
	for name, c := range map[string]struct {
		clues Clues
		want  map[string]job.CauseSource
	}{
		"a line of the log": {
			ended(job.Failed, job.ExitCode, saying("connect: connection refused")),
			map[string]job.CauseSource{"network": job.SourceLog, "said_so_itself": job.SourceLog},
		},
		"the message of the outcome": {
			ended(job.Failed, job.CouldNotStart),
			map[string]job.CauseSource{"could_not_start": job.SourceOutcome},
		},
		"a finding": {
			stalling(),
			map[string]job.CauseSource{"stopped_making_progress": job.SourceFinding},
		},
		"words of its own": {
			ended(job.Lost, job.AgentLost, func(c *Clues) { c.Since, c.Changes = "#3", []api.Change{{What: "command"}} }),
			map[string]job.CauseSource{"agent_killed": "", "changed": ""},
		},
	} {
		d := Diagnose(c.clues)
		if d == nil {
			t.Errorf("%s: there is no diagnosis", name)
			continue
		}
		for _, cause := range d.Causes {
			if want, known := c.want[cause.Cause]; !known || cause.Source != want {
				t.Errorf("%s: the source of %s (%q) is %q, want %q", name, cause.Cause, cause.Evidence, cause.Source, want)
			}
			delete(c.want, cause.Cause)
		}
		if len(c.want) > 0 {
			t.Errorf("%s: causes %v are missing", name, c.want)
		}
	}
}
