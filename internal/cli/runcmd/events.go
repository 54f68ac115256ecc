package runcmd

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// events lists what happened to a run.
func (p *program) events() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "events [flags] RUN",
		Short: "List what happened to a run, in order",
		Long: `List the history of a run in order: attempts, states and findings, cancels, retries and
acknowledgements with person and reason, its diagnosis, notes of its agent, and messages about
it. Times are those of the server if it observed the event, and otherwise those of the agent;
--json names the clock.

` + command.RunHelp,
		Args: command.OneRun,
	}, nil, func(ctx context.Context, r command.Request) (history, error) {
		run, err := command.FindRun(ctx, r.Client, r.Args[0])
		if err != nil {
			return history{}, err
		}
		return readHistory(ctx, r.Client, run.ID)
	}, p.historyText)
}

// history is what happened to a run, the oldest first, and what the server did because of it.
type history struct {
	Events  []job.RunEvent `json:"events"`
	Actions []api.Action   `json:"actions"`
}

// mostActions is how many actions the server returns at once.
const mostActions = 500

func readHistory(ctx context.Context, c *client.Client, run string) (h history, err error) {
	const page = 1000
	for after := int64(0); ; after = h.Events[len(h.Events)-1].ID {
		var next struct {
			Events []job.RunEvent `json:"events"`
		}
		if err := c.Get(ctx, fmt.Sprintf("/api/v1/runs/%s/events?after=%d&limit=%d", run, after, page), &next); err != nil {
			return h, err
		}
		h.Events = append(h.Events, next.Events...)
		if len(next.Events) < page {
			break
		}
	}
	var last struct {
		Actions []api.Action `json:"actions"`
	}
	err = c.Get(ctx, fmt.Sprintf("/api/v1/runs/%s/actions?limit=%d", run, mostActions), &last)
	h.Actions = last.Actions
	slices.Reverse(h.Actions)
	return h, err
}

// happened is a line of a history.
type happened struct {
	at      time.Time
	attempt int
	what    string
	paint   func(string) string
	text    string
}

func (p *program) historyText(h history) string {
	s := p.StyleFor(p.Out)
	var all []happened
	for _, e := range h.Events {
		all = append(all, eventLine(e, s))
	}
	for _, a := range h.Actions {
		if a.Kind == "notify" {
			all = append(all, messageLine(a, s))
		}
	}
	slices.SortStableFunc(all, func(a, b happened) int { return a.at.Compare(b.at) })
	rows := make([][]console.Cell, 0, len(all))
	for _, l := range all {
		attempt := "-"
		if l.attempt > 0 {
			attempt = fmt.Sprint(l.attempt)
		}
		rows = append(rows, []console.Cell{console.At(l.at, "2006-01-02 15:04:05.000"), console.T(attempt), console.P(l.what, l.paint), console.T(l.text)})
	}
	return p.Table([]console.Column{{Head: "AT"}, {Head: "ATTEMPT", Right: true, Drop: 1}, {Head: "WHAT"}, {Head: "WHY", Min: 20, Wrap: true}}, rows)
}

// eventLine is a change of a run as a line.
func eventLine(e job.RunEvent, s console.Style) happened {
	l := happened{at: e.At, attempt: e.Attempt, what: e.Kind, text: console.LocalTimes(e.Evidence, e.SentenceTimes)}
	switch e.Kind {
	case "state":
		cell := console.StateCell(job.State(e.To), s)
		l.what, l.paint = cell.Text, cell.Paint
	case "health":
		l.what = e.To
		switch job.Health(e.To) {
		case job.Critical:
			l.paint = s.Red
		case job.Warning:
			l.paint = s.Yellow
		case job.Healthy:
			l.paint = s.Green
		}
		if e.Rule != "" {
			l.text = e.Rule + ": " + l.text
		}
	}
	return l
}

// messageLine is a notification about a run as a line.
func messageLine(a api.Action, s console.Style) happened {
	l := happened{at: a.CreatedAt, attempt: a.Attempt, paint: s.Muted, text: fmt.Sprintf("notification %q", a.What)}
	if a.DoneAt != nil {
		l.at = *a.DoneAt
	}
	if a.Route != "" {
		l.text += " to " + a.Route
	}
	switch a.Status {
	case "done":
		l.what = "sent"
	case "pending":
		l.what = "to send"
		if a.Tries > 0 {
			l.text += fmt.Sprintf(" (tried %s)", console.Count(int64(a.Tries), "time"))
		}
	case "failed":
		l.what, l.paint = "not sent", s.Red
	default:
		l.what = "not sent"
	}
	if a.LastError != "" {
		l.text += ": " + a.LastError
	}
	return l
}
