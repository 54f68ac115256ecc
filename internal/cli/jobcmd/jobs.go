package jobcmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stint.dev/stint/client/lists"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// jobs lists jobs, in the order of names.
func (p *program) jobs() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "jobs [flags]",
		Short: "List jobs with their last state, last success, next time and findings",
		Long: `List jobs by name, all or those that match all filters: the state and start of the last run, the
last success, the next due time, and the findings of the last run and of the job itself, such as
missed. stint job show NAME shows one job.`,
		Args: command.NoArgs,
	}, append([]option.Option{
		{FlagOnly: true, Name: "state", Kind: option.List, Value: "STATE", Help: "only jobs whose last run is in this state (repeatable): " + command.StateNames()},
		{FlagOnly: true, Name: "label", Kind: option.List, Value: "K=V", Help: "only jobs whose last run has this label (repeatable: all must match)"},
		{FlagOnly: true, Name: "search", Short: "q", Value: "TEXT", Help: "only jobs with this text in the name"},
	}, command.PageRows("100")...), func(ctx context.Context, r command.Request) (jobsPage, error) {
		part, err := command.ReadPage(r.Opts)
		if err != nil {
			return jobsPage{}, err
		}
		out := jobsPage{query: lists.JobsQuery{Text: r.Opts.Text("search")}}
		if out.query.State, err = command.States(r.Opts); err != nil {
			return out, err
		}
		if out.query.Labels, err = command.Labels(r.Opts); err != nil {
			return out, err
		}
		wait := p.Wait("asking %s", r.URL())
		defer wait.Done()
		out.Jobs, out.NextCursor, err = command.ReadPages(part, func(part command.Page) ([]api.Summary, string, error) {
			q := out.query
			q.Limit, q.Cursor = part.Limit, part.Cursor
			page, err := lists.Jobs(ctx, r.Client, q)
			return page.Jobs, page.NextCursor, err
		})
		return out, err
	}, func(page jobsPage) string {
		if len(page.Jobs) == 0 {
			p.Say("%s", noJobsText(page.query))
			return ""
		}
		return p.jobsTable(page.Jobs)
	})
}

// jobsPage is a page of jobs, and the query that it answers.
type jobsPage struct {
	lists.JobPage
	query lists.JobsQuery
}

// noJobsText distinguishes a server without jobs from a filter that matches none.
func noJobsText(q lists.JobsQuery) string {
	if q.Text != "" || len(q.State)+len(q.Labels) > 0 {
		return "no job matches; stint jobs without filters lists all"
	}
	return "no jobs yet; start a run with: stint run -- COMMAND"
}

// More says that there are more jobs than were printed.
func (p jobsPage) More() string { return command.More(p.NextCursor, "jobs") }

func (p *program) jobsTable(jobs []api.Summary) string {
	s := p.StyleFor(p.Out)
	moment := func(at *time.Time) console.Cell {
		if at == nil {
			return console.T("-")
		}
		return console.At(*at, "2006-01-02 15:04")
	}
	var rows [][]console.Cell
	for _, sum := range jobs {
		state, started := console.T("-"), (*time.Time)(nil)
		if sum.LastRun != nil {
			state, started = console.StateCell(sum.LastRun.State, s), sum.LastRun.StartedAt
		}
		next := sum.NextAt
		if next == nil && sum.Due != nil {
			next = sum.Due.NextDueAt
		}
		rows = append(rows, []console.Cell{
			console.P(sum.Name, s.Bold), state, moment(started), moment(sum.LastSuccessAt), moment(next), console.T(fmt.Sprint(sum.Runs)), findingsCell(sum, s),
		})
	}
	return p.Table([]console.Column{
		{Head: "JOB", Min: 20}, {Head: "STATE"}, {Head: "STARTED", Drop: 2}, {Head: "SUCCEEDED"}, {Head: "NEXT", Drop: 3}, {Head: "RUNS", Right: true, Drop: 1}, {Head: "FINDINGS", Min: 12},
	}, rows)
}

// findingsCell names the rules that fire for a job and its last run, in the colour of the worst.
func findingsCell(sum api.Summary, s console.Style) console.Cell {
	all := make([]job.Finding, 0, len(sum.Findings))
	for _, f := range sum.Findings {
		all = append(all, f.Finding)
	}
	critical := false
	if r := sum.LastRun; r != nil {
		all, critical = append(all, r.Findings...), r.Health == job.Critical
	}
	var names []string
	for _, f := range all {
		names, critical = append(names, f.Rule), critical || f.Health == job.Critical
	}
	switch text := strings.Join(names, ", "); {
	case text == "":
		return console.P("-", s.Muted)
	case critical:
		return console.P(text, s.Red)
	default:
		return console.P(text, s.Yellow)
	}
}
