package command

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// RunHelp says how a command reads the argument RUN.
const RunHelp = "RUN is an id, the first characters of one, job#number, or the name of a job, which is its newest run."

// OneRun refuses other arguments than one RUN.
func OneRun(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return option.Usagef("%s needs one RUN: an id, the first characters of one, job#number, or the name of a job", cmd.CommandPath())
	}
	return nil
}

// FindRun returns a reference that the server knows to the run that a person names: the id of the newest run
// if text is the name of a job, else text itself.
func FindRun(ctx context.Context, c *client.Client, text string) (string, error) {
	page, err := runsOf(ctx, c, text, 1)
	switch {
	case err != nil:
		return "", err
	case len(page.Runs) > 0:
		return page.Runs[0].ID, nil
	}
	if _, err := job.ParseRef(text); err == nil || job.CheckName(text) != nil {
		return text, err
	}
	return "", fmt.Errorf("there is no run %s, and no run of a job with this name", job.Quote(text))
}

// mostCandidates is how many runs an error lists.
const mostCandidates = 10

// FindOnlyRun is FindRun for a command that changes the run: the name of a job is its only run in one of some
// states. done says what can be done to those.
func FindOnlyRun(ctx context.Context, c *client.Client, text, done string, states ...job.State) (string, error) {
	page, err := runsOf(ctx, c, text, mostCandidates, states...)
	if err != nil {
		return "", err
	}
	switch len(page.Runs) {
	case 1:
		return page.Runs[0].ID, nil
	case 0:
		newest, err := runsOf(ctx, c, text, 1)
		if err != nil || len(newest.Runs) == 0 {
			return FindRun(ctx, c, text)
		}
		return "", option.Usagef("job %s has no run that can be %s: the newest, %s", job.Quote(text), done, candidate(newest.Runs[0]))
	}
	var names []string
	for _, r := range page.Runs {
		names = append(names, candidate(r))
	}
	if page.NextCursor != nil {
		names = append(names, "and others")
	}
	return "", option.Usagef("job %s has several runs that can be %s; name one of them: %s", job.Quote(text), done, strings.Join(names, ", "))
}

func candidate(r job.Run) string { return fmt.Sprintf("%s, is %s", RunName(r), r.State) }

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

// runsOf returns the newest runs of the job with a name, in some states, if there are any; none for a text that
// names one run.
func runsOf(ctx context.Context, c *client.Client, name string, limit int, states ...job.State) (client.RunsPage, error) {
	if job.CheckName(name) != nil || job.CheckRunID(name) == nil {
		return client.RunsPage{}, nil
	}
	q := client.RunsQuery{Job: name, Limit: limit}
	for _, s := range states {
		q.State = append(q.State, string(s))
	}
	return c.Runs(ctx, q)
}
