package runcmd

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
)

// searchRows returns the options of stint logs that search.
func searchRows() []option.Option {
	return []option.Option{
		{FlagOnly: true, Name: "grep", Value: "RE", Help: "only lines that match this regular expression (RE2), searched on the server; exit code 1 when none does"},
		{FlagOnly: true, Name: "ignore-case", Short: "i", Kind: option.Switch, Help: "with --grep: ignore case"},
		{FlagOnly: true, Name: "context", Short: "C", Value: "N", Kind: option.Number, Help: "with --grep: N lines around each match too, up to 100"},
		{FlagOnly: true, Name: "count", Kind: option.Switch, Help: "with --grep: print only how many lines match"},
		{FlagOnly: true, Name: "since", Value: "TIME", Help: "only lines printed then or later: " + option.Moments},
		{FlagOnly: true, Name: "until", Value: "TIME", Help: "only lines printed up to then"},
	}
}

// searchQuery reads the search that the options ask for; false for none.
func searchQuery(opts *option.Set, q client.LogQuery) (client.SearchQuery, bool, error) {
	around := opts.Number("context")
	s := client.SearchQuery{
		Text: opts.Text("grep"), Regexp: true, AnyCase: opts.On("ignore-case"), Count: opts.On("count"),
		Attempt: q.Attempt, Step: q.Step, Stream: q.Stream, FromLine: q.FromLine, Before: int(around), After: int(around),
	}
	switch {
	case !opts.Given("grep") && (s.AnyCase || s.Count || opts.Given("context")):
		return s, false, option.Usagef("--ignore-case, --context and --count need --grep")
	case !opts.Given("grep"):
		return s, false, nil
	case s.Text == "":
		return s, false, option.Usagef("--grep: the expression is empty")
	case around < 0 || around > 100 || around != float64(s.Before):
		return s, false, option.Usagef("--context: %v is not a whole number from 0 to 100", around)
	case opts.On("follow") || q.Tail > 0 || q.Lines > 0 || !q.FromTime.IsZero() || !q.ToTime.IsZero():
		return s, false, option.Usagef("--grep cannot be combined with --follow, --tail, --lines, --since or --until")
	}
	return s, true, nil
}

// searchLogs prints the lines that match, as grep does: with lines around them, -- separates
// those that do not follow each other.
func searchLogs(ctx context.Context, c *client.Client, run string, q client.SearchQuery, asJSON bool, w io.Writer) error {
	out := bufio.NewWriterSize(w, 64<<10)
	last := int64(-1)
	matches, err := c.Search(ctx, run, q, func(l client.SearchLine) error {
		if asJSON {
			line, err := json.Marshal(l)
			if err != nil {
				return fmt.Errorf("write a line as JSON: %w", err)
			}
			_, err = out.WriteString(console.EscapeJSON(string(line)) + "\n")
			return err
		}
		if q.Before > 0 && last >= 0 && l.Line != last+1 {
			_, _ = out.WriteString("--\n") // a bufio.Writer keeps its first error
		}
		last = l.Line
		_, _ = out.WriteString(l.Text)
		return out.WriteByte('\n')
	})
	if err == nil && q.Count {
		format := "%d\n"
		if asJSON {
			format = `{"matches":%d}` + "\n"
		}
		_, err = fmt.Fprintf(out, format, matches)
	}
	if ferr := out.Flush(); err == nil {
		err = ferr
	}
	if err == nil && matches == 0 {
		return &console.ExitError{Code: 1}
	}
	return brokenPipe(err)
}
