package accesscmd

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"stint.dev/stint/client/lists"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
)

// auditList is a page of the audit log.
type auditList struct {
	lists.AuditPage
	filtered bool
}

// More says that there are more entries than were printed.
func (l auditList) More() string {
	if l.NextCursor == 0 {
		return ""
	}
	return command.More(strconv.FormatInt(l.NextCursor, 10), "entries")
}

// audit lists what people changed.
func (p *program) audit() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "audit [flags]",
		Short: "List the changes that people made, newest first",
		Long: `List what people and admin tokens changed on the server, and which logins and tokens it refused, newest
first. It needs a token of the scope admin.`,
		Args: command.NoArgs,
	}, slices.Concat([]option.Option{
		{FlagOnly: true, Name: "who", Value: "NAME", Help: "only changes by this token or person"},
		{FlagOnly: true, Name: "search", Short: "q", Value: "TEXT", Help: "only entries with this text in the action, its target or its detail"},
	}, command.PeriodRows("changes made"), command.PageRows("20")), readAudit, func(l auditList) string {
		switch {
		case len(l.Entries) > 0:
			return p.auditTable(l.Entries)
		case l.filtered:
			p.Say("no entry matches; stint audit without filters lists all")
		default:
			p.Say("the audit log is empty")
		}
		return ""
	})
}

func readAudit(ctx context.Context, r command.Request) (out auditList, err error) {
	q := lists.AuditQuery{Who: r.Opts.Text("who"), Text: r.Opts.Text("search")}
	if q.Since, q.Until, err = command.Period(r.Opts, time.Now()); err != nil {
		return out, err
	}
	out.filtered = q != lists.AuditQuery{}
	part, err := command.ReadPage(r.Opts)
	if err != nil {
		return out, err
	}
	all, next, err := command.ReadPages(part, func(part command.Page) ([]lists.AuditEntry, string, error) {
		q.Cursor, q.Limit = part.Cursor, part.Limit
		page, err := lists.Audit(ctx, r.Client, q)
		if err != nil || page.NextCursor == 0 {
			return page.Entries, "", err
		}
		return page.Entries, strconv.FormatInt(page.NextCursor, 10), nil
	})
	if err == nil && next != "" {
		out.NextCursor, err = strconv.ParseInt(next, 10, 64)
	}
	out.Entries = all
	return out, err
}

func (p *program) auditTable(entries []lists.AuditEntry) string {
	s := p.StyleFor(p.Out)
	var rows [][]console.Cell
	for _, e := range entries {
		status := console.T(fmt.Sprint(e.Status))
		if e.Status >= 400 {
			status.Paint = s.Red
		}
		rows = append(rows, []console.Cell{
			console.At(e.At, "2006-01-02 15:04:05"), console.P(cmp.Or(e.Who, "-"), s.Bold), console.T(e.Via), console.T(e.Address),
			status, console.T(e.Action), console.T(e.Target), console.T(cmp.Or(e.Detail, "-")),
		})
	}
	return p.Table([]console.Column{
		{Head: "AT"},
		{Head: "WHO", Min: 10},
		{Head: "VIA", Drop: 2},
		{Head: "FROM", Drop: 3},
		{Head: "STATUS", Right: true, Drop: 5},
		{Head: "ACTION", Min: 16},
		{Head: "TARGET", Min: 20, Drop: 4},
		{Head: "DETAIL", Min: 12, Drop: 1},
	}, rows)
}
