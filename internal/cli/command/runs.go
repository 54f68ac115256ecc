package command

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
	"stint.dev/stint/job/ref"
)

// RunHelp says how a command reads the argument RUN.
const RunHelp = `RUN is tried in this order: a whole id; JOB#N, or JOB#-1 for the last run of a job; the name of
a job, which is its last run; JOB@failed, the last run that failed, timed out or was lost, and
JOB@running, the last one that an agent works on, or JOB@ and another state; 4 or more of the first
characters of an id. The last run is the one that started last.`

// AttemptHelp says more for a command that reads one attempt of a run.
const AttemptHelp = RunHelp + " JOB#N.A is attempt A of a run."

// OneRun refuses other arguments than one RUN.
func OneRun(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return option.Usagef("%s needs one RUN: %s", cmd.CommandPath(), ref.Grammar)
	}
	return nil
}

// CheckJobOption refuses a value of --job that no job can be named; "" is no value.
func CheckJobOption(name string) error {
	if name == "" {
		return nil
	}
	if err := job.CheckName(name); err != nil {
		return option.Usagef("--job: %v", err)
	}
	return nil
}

// FindRun returns the run that a person names. The name of an attempt is refused.
func FindRun(ctx context.Context, c *client.Client, text string) (job.Run, error) {
	run, attempt, err := FindAttempt(ctx, c, text)
	if err == nil && attempt > 0 {
		return job.Run{}, option.Usagef("%s names attempt %d, and this is done to a run as a whole: leave out .%d", job.Quote(text), attempt, attempt)
	}
	return run, err
}

// FindAttempt returns the run that a person names, as of the attempt that may be named with it; attempt 0
// is the last. An error that names several runs, or none that can be, is a wrong use.
func FindAttempt(ctx context.Context, c *client.Client, text string) (run job.Run, attempt int, err error) {
	r, err := ref.Parse(text)
	if err != nil {
		return run, 0, option.Usagef("%v", err)
	}
	if text == "counts" { // has a meaning of its own in paths of the API
		text += "#-1"
	}
	run, err = c.Run(ctx, text)
	var problem *job.Problem
	if errors.As(err, &problem) && len(problem.Candidates) > 0 {
		return run, 0, option.Usagef("%s begins the ids of several runs; name one of them: %s", job.Quote(text), candidates(problem.Candidates))
	}
	return run, r.Attempt, err
}

// mostCandidates is how many runs an error lists.
const mostCandidates = 10

// FindUnended is FindRun for a command that stops a run: the name of a job is its only run that has not ended.
func FindUnended(ctx context.Context, c *client.Client, text string) (job.Run, error) {
	if job.CheckName(text) != nil || job.CheckRunID(strings.ToLower(text)) == nil {
		return FindRun(ctx, c, text)
	}
	q := client.RunsQuery{Job: text, Limit: mostCandidates}
	for _, s := range job.States() {
		if !s.Terminal() {
			q.State = append(q.State, string(s))
		}
	}
	page, err := c.Runs(ctx, q)
	switch {
	case err != nil:
		return job.Run{}, err
	case len(page.Runs) == 1:
		return page.Runs[0], nil
	case len(page.Runs) == 0:
		run, err := FindRun(ctx, c, text)
		if err == nil && run.Job == text {
			return run, &console.ExitError{Code: console.ExitFailed, Err: fmt.Errorf("job %s has no run that has not ended: the last one, %s, is %s", text, RunName(run), run.State)}
		}
		return run, err
	}
	var found []job.Candidate
	for _, r := range page.Runs {
		found = append(found, job.Candidate{ID: r.ID, Job: r.Job, Number: r.Number, State: r.State, StartAt: r.StartAt})
	}
	names := candidates(found)
	if page.NextCursor != nil {
		names += "; and others"
	}
	return job.Run{}, option.Usagef("job %s has several runs that have not ended; name one of them: %s", job.Quote(text), names)
}

// candidates lists runs, with what distinguishes them for a person.
func candidates(of []job.Candidate) string {
	texts := make([]string, len(of))
	for i, c := range of {
		began := "started"
		if c.State == job.Queued {
			began = "submitted"
		}
		texts[i] = fmt.Sprintf("%s#%d (%s, %s, %s %s)", c.Job, c.Number, ShortID(c.ID), c.State, began, console.LocalTime(c.StartAt))
	}
	return strings.Join(texts, "; ")
}

// RunName returns the name of a run for people: job#number.
func RunName(r job.Run) string { return fmt.Sprintf("%s#%d", r.Job, r.Number) }

// ShortID returns the part of a UUIDv7 that a person can type and that identifies a run: its
// first 8 characters are only time (65 s each), so more is shown.
func ShortID(id string) string {
	if len(id) > 13 {
		return id[:13]
	}
	return id
}
