package defcmd

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// queue lists queued runs, and holds the commands that change their order.
func (p *program) queue() *cobra.Command {
	cmd := command.Reply(p.Program, &cobra.Command{
		Use:   "queue [flags]",
		Short: "List queued runs and what each waits for",
		Args:  command.NoCommand,
	}, []option.Option{
		{FlagOnly: true, Name: "job", Value: "NAME", Help: "only runs of this job"},
		{FlagOnly: true, Name: "group", Value: "NAME", Help: "only runs of this group"},
		{FlagOnly: true, Name: "held", Kind: option.Switch, Help: "only runs that wait for stint queue release"},
		{FlagOnly: true, Name: "limit", Value: "N", Default: "50", Kind: option.Number, Help: "how many at most (1 to 500)"},
	}, func(ctx context.Context, r command.Request) (job.QueuePage, error) {
		limit := r.Opts.Number("limit")
		if limit < 1 || limit > 500 || limit != float64(int(limit)) {
			return job.QueuePage{}, option.Usagef("--limit: %v is not a whole number from 1 to 500", limit)
		}
		if err := command.CheckJobOption(r.Opts.Text("job")); err != nil {
			return job.QueuePage{}, err
		}
		return r.Queue(ctx, client.QueueQuery{Job: r.Opts.Text("job"), Group: r.Opts.Text("group"), Held: r.Opts.On("held"), Limit: int(limit)})
	}, func(page job.QueuePage) string { return p.queueText(page, time.Now()) })
	cmd.AddCommand(p.queueRelease(), p.queueMove())
	return cmd
}

// queueText is a page of the queue as a table.
func (p *program) queueText(page job.QueuePage, now time.Time) string {
	if len(page.Runs) == 0 {
		if page.Queued == 0 {
			p.Say("the queue is empty")
		} else {
			p.Say("no queued run matches; %s in the queue", console.Count(page.Queued, "run"))
		}
		return ""
	}
	s := p.StyleFor(p.Out)
	var rows [][]console.Cell
	for _, r := range page.Runs {
		paint := s.Bold
		switch r.Health {
		case job.Warning:
			paint = s.Yellow
		case job.Critical:
			paint = s.Red
		}
		rows = append(rows, []console.Cell{
			console.RunCell(r.Job, r.Number, paint), console.T(cmp.Or(string(r.Health), "-")), console.T(job.DurationText(max(0, now.Sub(r.Since)))), console.T(string(r.Priority)),
			console.T(fmt.Sprint(r.Ahead)), console.T(aboutText(r.StartsAbout, now)), console.T(waitText(r)),
		})
	}
	text := p.Table([]console.Column{{Head: "RUN", Min: 20}, {Head: "HEALTH", Drop: 2}, {Head: "WAITS", Right: true}, {Head: "PRIORITY", Drop: 1}, {Head: "AHEAD", Right: true, Drop: 3}, {Head: "STARTS"}, {Head: "FOR", Min: 20}}, rows)
	if more := page.Queued - int64(len(page.Runs)); more > 0 && page.NextCursor != nil {
		text += s.Muted(fmt.Sprintf("%s in the queue; --limit shows more", console.Count(page.Queued, "run"))) + "\n"
	}
	if page.Held > 0 {
		text += fmt.Sprintf("held: %d; stint queue release lets them go on\n", page.Held)
	}
	return text
}

// aboutText is an estimate of when a run starts.
func aboutText(at *time.Time, now time.Time) string {
	switch {
	case at == nil:
		return "-"
	case !at.After(now):
		return "now"
	}
	return "in " + job.DurationText(at.Sub(now))
}

// waitText is what a queued run waits for.
func waitText(r job.QueuedRun) string {
	if r.Worker != "" {
		return "given to " + r.Worker + ", starting"
	}
	var texts []string
	for _, g := range r.Gates {
		texts = append(texts, strings.TrimSuffix(console.LocalTimes(g.Text, g.SentenceTimes), "."))
	}
	return strings.Join(texts, "; ")
}

// queueRelease lets held runs go on.
func (p *program) queueRelease() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "release [flags]",
		Short: "Let held runs start",
		Long: `Release runs that are held because the server's database was restored: they may have run since
the backup. stint queue --held lists them with the reason.`,
		Args: command.NoArgs,
	}, []option.Option{
		{FlagOnly: true, Name: "job", Value: "NAME", Help: "only runs of this job"},
	}, func(ctx context.Context, r command.Request) (job.QueueReleaseReply, error) {
		if err := command.CheckJobOption(r.Opts.Text("job")); err != nil {
			return job.QueueReleaseReply{}, err
		}
		n, err := r.ReleaseQueue(ctx, r.Opts.Text("job"), command.UserName())
		return job.QueueReleaseReply{Released: n}, err
	}, func(r job.QueueReleaseReply) string {
		return console.Count(r.Released, "run") + " released\n"
	})
}

// queueMove gives a queued run another priority.
func (p *program) queueMove() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "move [flags] RUN --priority P",
		Short: "Give a queued run another priority",
		Long:  "Change the priority of a queued run. It is ranked as if it was submitted now.",
		Args:  command.OneRun,
	}, []option.Option{
		{FlagOnly: true, Name: "priority", Value: "P", Help: "low, normal or high"},
	}, func(ctx context.Context, r command.Request) (job.Run, error) {
		priority := job.Priority(r.Opts.Text("priority"))
		if priority.Weight() == 0 {
			return job.Run{}, option.Usagef("--priority: %s is none of low, normal and high", job.Quote(string(priority)))
		}
		run, err := command.FindRun(ctx, r.Client, r.Args[0])
		if err != nil {
			return job.Run{}, err
		}
		return r.SetPriority(ctx, run.ID, priority)
	}, func(r job.Run) string {
		priority := ""
		if r.Submitted != nil {
			priority = string(r.Submitted.Priority)
		}
		return console.Clean(fmt.Sprintf("%s has the priority %s", runName(r), priority)) + "\n"
	})
}
