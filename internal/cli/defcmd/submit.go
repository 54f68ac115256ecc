package defcmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/await"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

const submitLong = `Submit a run of a job that has a definition (stint apply), or of a command. The run waits in the
queue until a worker (stint worker run) takes it. A command needs a token with the scope author,
and a worker that accepts commands.

A parameter that is not given has its default. With --key KEY a repeated request returns the
same run, which job and key identify. --again RUN submits a new run with the values of RUN,
changed by the options; defaults are resolved again, and the newest definition is used unless
--version names another.

--wait waits for the end of the run and exits with its code, as stint run does, and with 125 if
the run never started. --follow also prints the output of the run. Ctrl-C ends the waiting, not
the run.

` + command.RunHelp

// submitRows are the options of stint submit. None has a name in the environment: there a name
// such as STINT_JOB is about the job that stint submit is part of.
func submitRows() []option.Option {
	rows := []option.Option{
		{Name: "again", Value: "RUN", Help: "run this one again: with the values, labels and priority that it was given, where no option says otherwise"},
		{Name: "version", Value: "HASH", Help: "version of the definition, by the first characters of its hash (default: the newest)"},
		{Name: "param", Kind: option.List, Value: "K=V", Help: "value of a parameter of the definition (repeatable)"},
		{Name: "priority", Value: "P", Help: "low, normal or high (default: that of the definition)"},
		{Name: "label", Kind: option.List, Value: "K=V", Help: "label of the run (repeatable)"},
		{Name: "require", Kind: option.List, Value: "K=V", Help: "label that a worker must have (repeatable)"},
		{Name: "delay", Kind: option.Duration, Value: "D", Help: "start not before this time has passed"},
		{Name: "at", Value: "TIME", Help: "start not before this time: 15:04 (the next), 2006-01-02 15:04, or 2006-01-02T15:04:05Z"},
		{Name: "after", Kind: option.List, Value: "RUN[:WHEN]", Help: "start when this run has succeeded, or with :ended or :failed (repeatable)"},
		{Name: "key", Value: "KEY", Help: "asking again with the same job and key asks for the same run"},
		{Name: "overlap", Value: "HOW", Help: "queue, skip or allow: skip submits nothing while other work of the job waits or goes on (default: queue)"},
		{Name: "wait", Kind: option.Switch, Help: "wait for the end of the run, and end with its exit code"},
		{Name: "follow", Short: "f", Kind: option.Switch, Help: "print what the run prints, and wait"},
	}
	rows = append(rows, commandRows()...)
	for i := range rows {
		rows[i].FlagOnly = true
	}
	return rows
}

// commandRows are the options about a command, which are those of stint run.
func commandRows() []option.Option {
	return []option.Option{
		{Name: "job", Value: "NAME", Help: "with a command: name of the job (default: the script or module of an interpreter, else the command's base name)"},
		{Name: "group", Value: "NAME", Help: "with a command: group whose limit bounds how many runs are active at once"},
		{Name: "install", Kind: option.List, Value: "CMD", Help: "with a command: install step, run through sh -c before it (repeatable, in order)"},
		{Name: "install-cache", Kind: option.List, Value: "FILE", Help: "with a command: lock file that determines what the install steps make (repeatable)"},
		{Name: "cache-dir", Kind: option.List, Value: "DIR", Help: "with a command: directory that the install steps make and the cache keeps (repeatable)"},
		{Name: "script", Short: "c", Value: "SCRIPT", Help: "run SCRIPT through sh -c instead of COMMAND"},
		{Name: "dir", Value: "DIR", Help: "with a command: its directory on the worker's host (default: the home of the worker's user)"},
		{Name: "env", Kind: option.List, Value: "K=V", Help: "with a command: variable in its environment (repeatable)"},
		{Name: "timeout", Kind: option.Duration, Value: "D", Help: "with a command: stop it when it has run this long"},
		{Name: "install-timeout", Kind: option.Duration, Value: "D", Help: "with a command: stop the job when the install steps together have run this long"},
		{Name: "no-output-timeout", Kind: option.Duration, Value: "D", Help: "with a command: stop the job when it has printed nothing for this long"},
		{Name: "memory-limit", Kind: option.Size, Value: "SIZE", Help: "with a command: limit the memory of all its processes together"},
		{Name: "cpu-limit", Kind: option.Number, Value: "CORES", Help: "with a command: limit the CPU of all its processes together"},
	}
}

// submit asks for a run.
func (p *program) submit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "submit [flags] JOB | submit [flags] --again RUN | submit [flags] -- COMMAND [ARG…]",
		Short: "Ask the server for a run of a job or command on a worker",
		Long:  submitLong,
		Args:  cobra.ArbitraryArgs, // checked with the options
	}
	opts := option.Register(cmd.Flags(), slices.Concat(command.ServerRows(), submitRows(), []option.Option{command.JSONRow()}))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := p.Client(opts)
		if err != nil {
			return err
		}
		defer c.Close()
		r, err := readSubmission(opts, args, cmd.ArgsLenAtDash() == 0, time.Now())
		if err != nil {
			return err
		}
		r.By = command.UserName()
		ctx, stop := command.Interruptible(cmd)
		defer stop()
		return p.submitRun(ctx, c, opts, r)
	}
	return cmd
}

// submitRun asks for the run, and waits for it if that is wanted.
func (p *program) submitRun(ctx context.Context, c *client.Client, opts *option.Set, r job.SubmitRequest) error {
	if r.Again != "" {
		of, err := command.FindRun(ctx, c, r.Again)
		if err != nil {
			return fmt.Errorf("--again %s: %w", r.Again, err)
		}
		r.Again, r.Job = of.ID, of.Job
	}
	for i := range r.After {
		before, err := command.FindRun(ctx, c, r.After[i].Run)
		if err != nil {
			return fmt.Errorf("--after %s: %w", r.After[i].Run, err)
		}
		r.After[i].Run = before.ID
	}
	id, err := newRunID(r)
	if err != nil {
		return err
	}
	run, err := c.Submit(ctx, id, r)
	if err != nil {
		var problem *job.Problem
		if !errors.As(err, &problem) {
			p.Say("it is not known whether the run was submitted; its id would be %s", id)
		}
		return err
	}
	if opts.On("wait") || opts.On("follow") {
		return await.Runs(ctx, p.Console, c, []job.Run{run}, await.Options{Follow: opts.On("follow"), JSON: opts.On("json")})
	}
	if opts.On("json") {
		return p.PrintJSON(run)
	}
	return console.WriteAll(p.Out, p.submittedText(ctx, c, run))
}

// newRunID returns the id of the run: by the key if there is one, else a new one.
func newRunID(r job.SubmitRequest) (string, error) {
	if r.Key != "" {
		return job.RunIDForKey(r.Job, r.Key), nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make the id of the run: %w", err)
	}
	return id.String(), nil
}

// submittedText says which run was submitted, and what it waits for.
func (p *program) submittedText(ctx context.Context, c *client.Client, run job.Run) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s  %s\n", p.StyleFor(p.Out).Bold(console.Clean(runName(run))), run.State, run.ID)
	if e, err := c.Explain(ctx, run.ID); err == nil && e.Waiting != nil { // else stint explain shows it
		for _, g := range e.Waiting.Gates {
			fmt.Fprintf(&b, "%s\n", console.Clean(g.Text))
		}
	}
	return b.String()
}

// runName is the name of a run for people.
func runName(r job.Run) string { return fmt.Sprintf("%s#%d", r.Job, r.Number) }
