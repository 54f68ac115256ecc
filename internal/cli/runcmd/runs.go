package runcmd

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// runs lists runs, newest first.
func (p *program) runs() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "runs [flags] [JOB]",
		Short: "List runs, newest first",
		Long: `List runs, the last started first: all, or those that match all filters. Times of day and dates
are those of this machine's time zone.`,
		Args: perhapsJob,
	}, slices.Concat([]option.Option{
		{FlagOnly: true, Name: "job", Value: "NAME", Help: "only runs of this job; the same as the argument JOB"},
		{FlagOnly: true, Name: "state", Kind: option.List, Value: "STATE", Help: "only runs in this state (repeatable): " + command.StateNames()},
		{FlagOnly: true, Name: "health", Kind: option.List, Value: "HEALTH", Help: "only runs with this health (repeatable): " + healthNames},
		{FlagOnly: true, Name: "label", Kind: option.List, Value: "K=V", Help: "only runs with this label (repeatable: all must match)"},
		{FlagOnly: true, Name: "host", Value: "NAME", Help: "only runs on this host"},
		{FlagOnly: true, Name: "search", Short: "q", Value: "TEXT", Help: "only runs with this text in job, command, host, id or a label"},
	}, command.PeriodRows("runs that started"), command.PageRows("20")), func(ctx context.Context, r command.Request) (listed, error) {
		q, err := runsQuery(r.Opts, r.Args, time.Now())
		if err != nil {
			return listed{}, err
		}
		part, err := command.ReadPage(r.Opts)
		if err != nil {
			return listed{}, err
		}
		wait := p.Wait("asking %s", r.URL())
		defer wait.Done()
		runs, next, err := command.ReadPages(part, func(part command.Page) ([]job.Run, string, error) {
			q.Limit, q.Cursor = part.Limit, part.Cursor
			page, err := r.Runs(ctx, q)
			if err != nil || page.NextCursor == nil {
				return page.Runs, "", err
			}
			return page.Runs, *page.NextCursor, nil
		})
		out := listed{RunsPage: client.RunsPage{Runs: runs}, query: q}
		if next != "" {
			out.NextCursor = &next
		}
		return out, err
	}, func(l listed) string {
		if len(l.Runs) == 0 {
			p.Say("%s", noRunsText(l.query))
			return ""
		}
		return p.runsTable(l.Runs, time.Now())
	})
}

// perhapsJob takes the name of a job, or nothing.
func perhapsJob(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return option.Usagef("%s takes the name of one JOB, or none", cmd.CommandPath())
	}
	if len(args) == 1 {
		if job.CheckName(args[0]) != nil && strings.ContainsAny(args[0], "#@") {
			return option.Usagef("%s is one run: stint show %s shows it", job.Quote(args[0]), args[0])
		}
		return job.CheckName(args[0])
	}
	return nil
}

// listed is a page of runs, and the query that it answers.
type listed struct {
	client.RunsPage
	query client.RunsQuery
}

// More says that there are more runs than were printed.
func (l listed) More() string {
	if l.NextCursor == nil {
		return ""
	}
	return command.More(*l.NextCursor, "runs")
}

const healthNames = "healthy, warning, critical"

// runsQuery reads which runs the options and the argument ask for at the time now.
func runsQuery(opts *option.Set, args []string, now time.Time) (client.RunsQuery, error) {
	q := client.RunsQuery{
		Job: opts.Text("job"), Health: command.Words(opts.List("health")),
		Host: opts.Text("host"), Text: opts.Text("search"),
	}
	if len(args) > 0 {
		if q.Job != "" && q.Job != args[0] {
			return q, option.Usagef("--job: %s is another job than the argument %s", job.Quote(q.Job), job.Quote(args[0]))
		}
		q.Job = args[0]
	}
	if err := command.CheckJobOption(q.Job); err != nil {
		return q, err
	}
	var err error
	if q.State, err = command.States(opts); err != nil {
		return q, err
	}
	for _, h := range q.Health {
		if !job.Health(h).Valid() {
			return q, option.Usagef("--health: %s is none of %s", job.Quote(h), healthNames)
		}
	}
	if q.Labels, err = command.Labels(opts); err != nil {
		return q, err
	}
	q.Since, q.Until, err = command.Period(opts, now)
	return q, err
}

// noRunsText distinguishes a server without runs from a filter that matches none.
func noRunsText(q client.RunsQuery) string {
	if q.Job+q.Text+q.Host != "" || len(q.State)+len(q.Health)+len(q.Labels) > 0 || !q.Since.IsZero() || !q.Until.IsZero() {
		return "no run matches; stint runs without filters lists all"
	}
	return "no runs yet; start one with: stint run -- COMMAND"
}

func (p *program) runsTable(runs []job.Run, now time.Time) string {
	s := p.StyleFor(p.Out)
	var rows [][]console.Cell
	for _, r := range runs {
		cpu, peak := "-", "-"
		if measured(r) {
			cpu, peak = fmt.Sprintf("%.1f s", r.Usage.CPUSeconds), job.Bytes(r.Usage.PeakMemoryBytes)
		}
		rows = append(rows, []console.Cell{
			console.RunCell(r.Job, r.Number, s.Bold), console.StateCell(r.State, s), healthCell(r, s),
			startedCell(r, now), console.T(durationText(r, now)),
			console.T(cpu), console.T(peak),
			console.T(r.Host), console.P(command.ShortID(r.ID), s.Muted), console.T(cmp.Or(console.Cut(r.Command, maxCommand), "-")),
		})
	}
	return p.Table([]console.Column{
		{Head: "RUN", Min: 16},
		{Head: "STATE"},
		{Head: "HEALTH", Min: 8},
		{Head: "STARTED", Min: 8},
		{Head: "TOOK", Right: true},
		{Head: "CPU", Right: true, Drop: 3},
		{Head: "PEAK", Right: true, Drop: 2},
		{Head: "HOST", Min: 8, Drop: 4},
		{Head: "ID", Drop: 1},
		{Head: "COMMAND", Min: 24, Drop: 5},
	}, rows)
}

// maxCommand bounds a command in a table that no terminal bounds; show has the whole.
const maxCommand = 200

func healthCell(r job.Run, s console.Style) console.Cell {
	if r.SuspendedAt != nil && r.Health == job.Healthy {
		return console.P("suspended", s.Yellow)
	}
	switch r.Health {
	case job.Healthy:
		return console.P("healthy", s.Green)
	case job.Warning:
		return console.P("warning: "+rules(r.Findings), s.Yellow)
	case job.Critical:
		return console.P("critical: "+rules(r.Findings), s.Red)
	}
	return console.P("-", s.Muted)
}

func rules(findings []job.Finding) string {
	names := make([]string, len(findings))
	for i, f := range findings {
		names[i] = f.Rule
	}
	return strings.Join(names, ", ")
}

func startedCell(r job.Run, now time.Time) console.Cell {
	if r.StartedAt == nil {
		return console.T("not yet")
	}
	layout := "2006-01-02 15:04"
	if now.Sub(r.StartAt) < 20*time.Hour {
		layout = "15:04:05"
	}
	cell := console.At(r.StartAt, layout)
	if late := lateText(r); late != "" {
		cell.Text += ", " + late
	}
	return cell
}

// lateText reports that a run was delivered late; empty for one that was not.
func lateText(r job.Run) string {
	if r.DeliveredLateSeconds == 0 {
		return ""
	}
	return "delivered " + job.DurationText(time.Duration(r.DeliveredLateSeconds*float64(time.Second))) + " later"
}

func durationText(r job.Run, now time.Time) string {
	took, known := r.Took()
	switch {
	case r.StartedAt == nil:
		return "-"
	case known:
		return job.DurationText(took)
	case r.State.Terminal():
		return "?"
	}
	return job.DurationText(now.Sub(*r.StartedAt))
}
