package workercmd

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

func oneWorker(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return option.Usagef("%s needs the NAME of one worker; stint worker list shows them", cmd.CommandPath())
	}
	return nil
}

type workerList struct {
	Workers []job.WorkerInfo `json:"workers"`
}

// list lists the workers that a server knows.
func (p *program) list() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use: "list [flags]", Short: "List workers with their slots and labels", Args: command.NoArgs,
	}, nil, func(ctx context.Context, r command.Request) (workerList, error) {
		all, err := r.Workers(ctx)
		return workerList{all}, err
	}, func(l workerList) string {
		if len(l.Workers) == 0 {
			p.Say("no workers yet; start one with: stint worker run")
			return ""
		}
		return p.workersTable(l.Workers, time.Now())
	})
}

func (p *program) workersTable(all []job.WorkerInfo, now time.Time) string {
	s := p.StyleFor(p.Out)
	var rows [][]console.Cell
	for _, w := range all {
		state := console.P("ready", s.Green)
		switch {
		case !w.Live:
			state = console.P("away, last seen "+console.Ago(w.LastAt, now), s.Red)
		case w.Drain != nil:
			state = console.P(drainText(*w.Drain, now), s.Yellow)
		}
		rows = append(rows, []console.Cell{
			console.P(w.Name, s.Bold), state, console.T(fmt.Sprintf("%d/%d", w.Claimed+w.Active, w.Slots)),
			console.T(w.Host), console.T(w.Version), console.T(freeText(w)), console.T(takesText(w)),
		})
	}
	table := p.Table([]console.Column{{Head: "WORKER", Min: 12}, {Head: "STATE", Min: 20}, {Head: "SLOTS", Right: true}, {Head: "HOST", Min: 8, Drop: 2}, {Head: "VERSION", Min: 8, Drop: 1}, {Head: "FREE", Min: 12, Drop: 3}, {Head: "TAKES", Min: 8}}, rows)
	for _, w := range all {
		for _, work := range w.Withheld {
			table += s.Yellow(console.Clean(work.Text)) + "\n"
		}
	}
	return table
}

// drainText says that a worker gets no more runs, and until when its agents may work.
func drainText(d job.Drain, now time.Time) string {
	text := "draining"
	if d.StopBy != nil {
		if left := d.StopBy.Sub(now); left > 0 {
			text += ", stops in " + job.DurationText(left)
		} else {
			text += ", stopping"
		}
	}
	if d.Reason != "" {
		text += ": " + d.Reason
	}
	return text
}

// freeText is what the host of a worker has free.
func freeText(w job.WorkerInfo) string {
	var parts []string
	if w.FreeCPUs != nil {
		parts = append(parts, fmt.Sprintf("%.1f cores", *w.FreeCPUs))
	}
	if w.FreeMemoryBytes != nil {
		parts = append(parts, job.Bytes(*w.FreeMemoryBytes))
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

// takesText is which runs a worker takes: its labels, and how it narrows them.
func takesText(w job.WorkerInfo) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(w.Labels)) {
		parts = append(parts, k+"="+w.Labels[k])
	}
	if len(w.Allow) > 0 {
		parts = append(parts, "only "+strings.Join(w.Allow, ", "))
	}
	if w.Commands {
		parts = append(parts, "commands too")
	}
	return strings.Join(parts, " ")
}

// drain keeps a worker from getting runs.
func (p *program) drain() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "drain [flags] NAME",
		Short: "Assign no more runs to a worker",
		Long: `Assign no more runs to a worker until stint worker resume. Assigned runs that have not started
return to the queue; active ones continue. At the deadline their agents are asked to stop them:
reason evicted, retried by default.`,
		Args: oneWorker,
	}, []option.Option{
		{FlagOnly: true, Name: "deadline", Kind: option.Duration, Value: "D", Help: "after this time, ask the agents to stop their jobs (default: never)"},
		{FlagOnly: true, Name: "reason", Value: "TEXT", Help: "the reason, which worker and server show"},
	}, func(ctx context.Context, r command.Request) (job.WorkerInfo, error) {
		return r.DrainWorker(ctx, r.Args[0], job.DrainRequest{
			Reason: r.Opts.Text("reason"), By: command.UserName(), DeadlineMS: r.Opts.Duration("deadline").Milliseconds(),
		})
	}, func(w job.WorkerInfo) string {
		text := w.Name + " gets no more runs"
		if w.Active > 0 {
			text += fmt.Sprintf("; active: %d", w.Active)
		}
		if w.Drain != nil && w.Drain.StopBy != nil {
			text += "; they are asked to stop at " + console.LocalTime(*w.Drain.StopBy)
		}
		return console.Clean(text) + "\n"
	})
}

// resume ends a drain.
func (p *program) resume() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use: "resume [flags] NAME", Short: "Assign runs to a drained worker again", Args: oneWorker,
	}, nil, func(ctx context.Context, r command.Request) (job.WorkerInfo, error) {
		return r.ResumeWorker(ctx, r.Args[0])
	}, func(w job.WorkerInfo) string {
		return console.Clean(w.Name+" gets runs again") + "\n"
	})
}
