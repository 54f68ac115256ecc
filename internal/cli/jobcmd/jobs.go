package jobcmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// jobs lists jobs, in the order of names.
func (p *program) jobs() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "jobs [flags]",
		Short: "List jobs with their last state, last success, next time and findings",
		Long: `List jobs by name: the state and start of the last run, the last success, the next due time, and
the findings of the last run and of the job itself, such as missed. stint job show NAME shows
one job.`,
		Args: command.NoArgs,
	}, command.PageRows("100"), func(ctx context.Context, r command.Request) (jobsPage, error) {
		part, err := command.ReadPage(r.Opts)
		if err != nil {
			return jobsPage{}, err
		}
		wait := p.Wait("asking %s", r.URL())
		defer wait.Done()
		var out jobsPage
		out.Jobs, out.NextCursor, err = command.ReadPages(part, func(part command.Page) ([]api.Summary, string, error) {
			page, err := r.Jobs(ctx, part.Cursor, part.Limit)
			return page.Jobs, page.NextCursor, err
		})
		return out, err
	}, func(page jobsPage) string {
		if len(page.Jobs) == 0 {
			p.Say("no jobs yet; start a run with: stint run -- COMMAND")
			return ""
		}
		return p.jobsTable(page.Jobs)
	})
}

// jobsPage is a page of jobs.
type jobsPage struct{ client.JobPage }

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
