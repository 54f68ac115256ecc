package query

import (
	"stint.dev/stint/internal/index"
	"stint.dev/stint/job"
)

// ListedRun returns a run without its long parts, because a page of jobs has many runs.
func ListedRun(r *job.Run) *job.Run {
	if r == nil {
		return nil
	}
	short := *r
	short.Labels, short.Args, short.Steps, short.Notes = map[string]string{}, []string{}, []job.Step{}, []string{}
	short.Findings, short.Output.Gaps = make([]job.Finding, len(r.Findings)), []job.Gap{}
	for i, f := range r.Findings {
		short.Findings[i] = job.Finding{Rule: f.Rule, Health: f.Health, Since: f.Since}
	}
	short.StoppedProcesses = nil
	short.Command, short.Status, short.Dir = index.Truncate(r.Command, 200), index.Truncate(r.Status, 200), ""
	short.SetDerived()
	return &short
}
