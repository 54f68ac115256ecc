// Package deletecmd holds the command that deletes runs, or a job with all its runs, for good.
package deletecmd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
	"stint.dev/stint/client"
	"stint.dev/stint/client/deletion"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

type program struct{ *command.Program }

// deleted is what the command prints.
type deleted struct {
	Runs       []api.DeletedRun `json:"runs,omitempty"`
	Job        string           `json:"job,omitempty"`
	Count      int64            `json:"count"` // of runs
	NotReached []string         `json:"not_reached"`
	names      []string
}

// Command returns the command.
func Command(c *command.Program) *cobra.Command {
	p := &program{c}
	return command.Reply(c, &cobra.Command{
		Use:   "delete [flags] RUN… | --job JOB",
		Short: "Delete runs that have ended, or a job with all its runs, for good",
		Long: `Delete ended runs for good, with their logs, messages and everything that was derived from them.
It needs a token with the scope admin. Within 10 minutes their bytes are erased from the
server's database, its files and its archive. The record of the deletion stays, with the id of
the run, so that an agent that still has output of the run removes it. docs/retention.md names
what is not erased, such as backups. Active runs are refused: cancel them first.

With --job the job is deleted with all its runs, its policy, its definition and when it is
expected, as stint job delete does.

` + command.RunHelp + ` Here the name of a job alone is refused.

At a terminal it asks before it deletes, unless --yes is given; in a script it does not ask.`,
	}, []option.Option{
		{FlagOnly: true, Name: "job", Value: "JOB", Help: "delete this job with all its runs"},
		{FlagOnly: true, Name: "yes", Kind: option.Switch, Help: "delete without asking"},
	}, p.delete, text)
}

func (p *program) delete(ctx context.Context, r command.Request) (deleted, error) {
	name := r.Opts.Text("job")
	switch {
	case r.Opts.Given("job") && len(r.Args) > 0:
		return deleted{}, option.Usagef("--job and RUN exclude each other: choose one")
	case r.Opts.Given("job"):
		if err := job.CheckName(name); err != nil {
			return deleted{}, option.Usagef("--job: %v", err)
		}
		return p.deleteJob(ctx, r, name)
	case len(r.Args) == 0:
		return deleted{}, option.Usagef("stint delete needs one RUN or more, or --job JOB")
	}
	return p.deleteRuns(ctx, r)
}

func (p *program) deleteJob(ctx context.Context, r command.Request, name string) (deleted, error) {
	if !r.Opts.On("yes") {
		sum, err := r.Job(ctx, name)
		var missing *job.Problem
		if errors.As(err, &missing) && missing.Status == http.StatusNotFound {
			sum, err = api.Summary{}, nil // it may have a policy or definition only
		}
		if err != nil {
			return deleted{}, err
		}
		if err := p.confirm("Delete the job %s for good, with %s, their logs, its definition and its policy?", name, console.Count(sum.Runs, "run")); err != nil {
			return deleted{}, err
		}
	}
	done, err := deletion.Job(ctx, r.Client, name)
	return deleted{Job: done.Job, Count: done.Runs, NotReached: done.NotReached}, err
}

// deleteRuns finds all runs before it deletes the first, so that a mistake deletes none.
func (p *program) deleteRuns(ctx context.Context, r command.Request) (out deleted, err error) {
	runs := make([]job.Run, len(r.Args))
	for i, arg := range r.Args {
		if runs[i], err = find(ctx, r.Client, arg); err != nil {
			return out, err
		}
		out.names = append(out.names, fmt.Sprintf("%s#%d", runs[i].Job, runs[i].Number))
	}
	if !r.Opts.On("yes") {
		if err := p.confirm("Delete %s for good, with %s?", strings.Join(out.names, ", "), logs(len(runs))); err != nil {
			return out, err
		}
	}
	for i, run := range runs {
		done, err := deletion.Run(ctx, r.Client, run.ID)
		if err != nil {
			if i > 0 {
				err = fmt.Errorf("%w; deleted before: %s", err, strings.Join(out.names[:i], ", "))
			}
			return out, err
		}
		out.Runs, out.NotReached = append(out.Runs, done), done.NotReached
		out.Count++
	}
	return out, nil
}

func logs(runs int) string {
	if runs == 1 {
		return "its log"
	}
	return "their logs"
}

// find returns the run that an argument names. The name of a job is refused: it may be meant as a whole.
func find(ctx context.Context, c *client.Client, arg string) (job.Run, error) {
	run, err := command.FindRun(ctx, c, arg)
	if err == nil && run.Job == arg && !strings.HasPrefix(run.ID, strings.ToLower(arg)) {
		return job.Run{}, option.Usagef("%s is the name of a job: write %s#%d for its last run, or --job %s for the job with all its runs", job.Quote(arg), arg, run.Number, arg)
	}
	return run, err
}

// confirm returns an error if somebody at a terminal does not agree.
func (p *program) confirm(format string, args ...any) error {
	yes, err := p.Confirm(format, args...)
	if err == nil && !yes {
		err = errors.New("nothing is deleted")
	}
	return err
}

func text(d deleted) string {
	var b strings.Builder
	if d.Job != "" {
		fmt.Fprintf(&b, "the job %s is deleted, with %s\n", console.Clean(d.Job), console.Count(d.Count, "run"))
	}
	for _, name := range d.names {
		fmt.Fprintf(&b, "%s is deleted\n", console.Clean(name))
	}
	b.WriteString("\nNot deleted:\n")
	for _, one := range d.NotReached {
		fmt.Fprintf(&b, "- %s\n", console.Clean(one))
	}
	return b.String()
}
