package notifycmd

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
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

// statuses are those that an action can have.
var statuses = []string{"pending", "done", "failed", "dropped"}

// log lists what was sent and done.
func (p *program) log() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use: "log [flags] [RUN]", Short: "List notifications and actions, newest first",
		Long: "List notifications and actions, newest first, of all runs or of one. " + command.RunHelp,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return command.OneRun(cmd, args)
			}
			return nil
		},
	}, slices.Concat([]option.Option{
		{FlagOnly: true, Name: "status", Value: "STATUS", Help: "only those that are pending, done, failed or dropped"},
	}, command.PeriodRows("those that were made"), command.PageRows("20")), p.actions, func(l actionList) string { return p.actionsTable(l.Actions) })
}

// actionList is a page of actions.
type actionList struct{ lists.ActionPage }

// More says that there are more actions than were printed.
func (l actionList) More() string {
	if l.NextCursor == 0 {
		return ""
	}
	return command.More(strconv.FormatInt(l.NextCursor, 10), "entries")
}

// actions asks for those that the options and the argument name.
func (p *program) actions(ctx context.Context, r command.Request) (out actionList, err error) {
	q := lists.ActionsQuery{Status: r.Opts.Text("status")}
	if q.Status != "" && !slices.Contains(statuses, q.Status) {
		return out, option.Usagef("--status: %s is none of pending, done, failed and dropped", job.Quote(q.Status))
	}
	if q.Since, q.Until, err = command.Period(r.Opts, time.Now()); err != nil {
		return out, err
	}
	part, err := command.ReadPage(r.Opts)
	if err != nil {
		return out, err
	}
	if len(r.Args) > 0 {
		run, err := command.FindRun(ctx, r.Client, r.Args[0])
		if err != nil {
			return out, err
		}
		q.Run = run.ID
	}
	all, next, err := command.ReadPages(part, func(part command.Page) ([]api.Action, string, error) {
		q.Cursor, q.Limit = part.Cursor, part.Limit
		page, err := lists.Actions(ctx, r.Client, q)
		if err != nil || page.NextCursor == 0 {
			return page.Actions, "", err
		}
		return page.Actions, strconv.FormatInt(page.NextCursor, 10), nil
	})
	if err != nil {
		return out, err
	}
	out.Actions = all
	if next != "" {
		out.NextCursor, err = strconv.ParseInt(next, 10, 64)
	}
	return out, err
}

func (p *program) actionsTable(actions []api.Action) string {
	if len(actions) == 0 {
		p.Say("no notifications and actions; stint notify list shows the routes")
		return ""
	}
	var rows [][]console.Cell
	for _, a := range actions {
		rows = append(rows, []console.Cell{
			console.At(a.CreatedAt, "01-02 15:04:05"), subjectCell(a), console.T(a.Kind), console.T(a.What), console.T(cmp.Or(a.Route, "-")),
			console.T(a.Status), console.T(fmt.Sprint(a.Tries)), console.T(cmp.Or(a.LastError, "-")), console.T(console.LocalTimes(a.Message, a.SentenceTimes)),
		})
	}
	return p.Table([]console.Column{
		{Head: "AT"},
		{Head: "RUN", Min: 16},
		{Head: "KIND", Drop: 2},
		{Head: "WHAT", Min: 8, Drop: 5},
		{Head: "ROUTE", Min: 8, Drop: 4},
		{Head: "STATUS"},
		{Head: "TRIES", Right: true, Drop: 1},
		{Head: "RESULT", Min: 12, Drop: 3},
		{Head: "MESSAGE", Min: 20},
	}, rows)
}

// subjectCell names the run that an action is about, or the job; of a run that is deleted the id.
func subjectCell(a api.Action) console.Cell {
	if name, number, ok := strings.Cut(a.RunName, "#"); ok {
		return console.Cell{Text: name, Tail: "#" + number}
	}
	return console.T(cmp.Or(a.Job, command.ShortID(a.Run), "-"))
}
