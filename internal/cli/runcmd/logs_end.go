package runcmd

import (
	"context"
	"fmt"
	"slices"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/await"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/job"
)

// attemptName names an attempt of a run.
func attemptName(run job.Run, attempt int) string {
	return fmt.Sprintf("%s.%d", command.RunName(run), attempt)
}

// sayEnd says how a run ended that was followed, or an attempt of it, and what is missing of its log.
func (p *program) sayEnd(ctx context.Context, c *client.Client, run job.Run, attempt int) error {
	name := run.ID
	if attempt > 0 {
		name = attemptName(run, attempt)
	}
	run, err := await.Patiently(ctx, await.NewOutage(p.Say), func() (job.Run, error) { return c.Run(ctx, name) })
	if err != nil {
		return err
	}
	p.sayMissing(run)
	p.Say("%s", await.EndedText(run))
	return nil
}

// mostGaps is how many gaps are named.
const mostGaps = 5

// sayMissing says which output of an attempt could not be kept, or that nothing proves that all of it is there.
func (p *program) sayMissing(run job.Run) {
	gaps := run.Output.Gaps
	for _, g := range gaps[:min(len(gaps), mostGaps)] {
		p.Say("missing in this log: %s", gapText(run, g))
	}
	if len(gaps) > mostGaps {
		p.Say("and %s more; stint show %s lists them", console.Count(int64(len(gaps)-mostGaps), "gap"), attemptName(run, run.Attempt))
	}
	if run.State.Terminal() && run.Attempt > 0 && len(gaps) == 0 && (!run.Output.Complete || endUnseen(run)) {
		p.Say("this log is not proved complete: %s", unprovedText(run))
	}
}

// gapText says where output is missing, how much, and why.
func gapText(run job.Run, g job.Gap) string {
	step := fmt.Sprintf("step %d", g.Step)
	for _, s := range run.Steps {
		if s.Index == g.Step {
			step = s.Name
		}
	}
	return fmt.Sprintf("%s (%s) of %s of %s, after its first %s: %s", job.Bytes(g.Bytes), console.Count(g.Lines, "line"), g.Stream, step, job.Bytes(g.AtBytes), g.Reason)
}

// endUnseen reports whether the agent died while a process of the job ran. Its journal can be complete then, but what the
// job printed last may be in no journal. A run of pings has no process.
func endUnseen(run job.Run) bool {
	return run.State == job.Lost && slices.ContainsFunc(run.Steps, func(s job.Step) bool {
		return s.PID > 0 && (s.EndedAt == nil || s.State == job.Lost)
	})
}

// unprovedText says why nothing proves that the log of a run that ended is complete.
func unprovedText(run job.Run) string {
	if run.Output.Complete {
		return "the run is lost, and what its agent had not read is missing"
	}
	if run.State == job.Lost || run.Outcome == nil {
		return "the run is lost, and what its agent had not delivered is missing"
	}
	return "the end of the journal of its agent has not arrived"
}
