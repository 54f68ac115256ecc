package command

import (
	"math"

	"stint.dev/stint/internal/cli/option"
)

// mostInPage is the most that a server puts on a page.
const mostInPage = 500

// PageRows returns the options of a command that lists something in pages, each of limit rows unless the person says
// another number.
func PageRows(limit string) []option.Option {
	return []option.Option{
		{FlagOnly: true, Name: "limit", Short: "n", Value: "N", Default: limit, Kind: option.Number, Help: "how many at most (1 to 500)"},
		{FlagOnly: true, Name: "cursor", Value: "CURSOR", Help: "continue where the page before ended"},
		{FlagOnly: true, Name: "all", Kind: option.Switch, Help: "list all, also more than one page"},
	}
}

// Page is which part of a list a command asks for.
type Page struct {
	Limit  int
	Cursor string
	All    bool // from Cursor on
}

// ReadPage reads the options of PageRows.
func ReadPage(opts *option.Set) (Page, error) {
	limit := opts.Number("limit")
	p := Page{Limit: int(limit), Cursor: opts.Text("cursor"), All: opts.On("all")}
	switch {
	case limit < 1 || limit > mostInPage || limit != math.Trunc(limit):
		return p, option.Usagef("--limit: %v is not a whole number from 1 to %d", limit, mostInPage)
	case p.All && opts.Flagged("limit"):
		return p, option.Usagef("--all lists everything: it cannot be combined with --limit")
	case p.All:
		p.Limit = mostInPage
	}
	return p, nil
}

// ReadPages asks for the page, and with All for those behind it. It returns the items, and the cursor of what is left;
// empty for nothing.
func ReadPages[T any](p Page, ask func(Page) (items []T, next string, err error)) (all []T, next string, err error) {
	all = []T{} // in JSON a list, also if it has no items
	for {
		items, next, err := ask(p)
		if err != nil {
			return nil, "", err
		}
		if all = append(all, items...); next == "" || !p.All {
			return all, next, nil
		}
		p.Cursor = next
	}
}

// More says how to get what is behind a page that ends before cursor next; empty if nothing is.
func More(next, what string) string {
	if next == "" {
		return ""
	}
	return "there are more " + what + ": add --cursor " + next + " for the next page, or --all for all of them"
}
