package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"stint.dev/stint/client/internal/resume"
	"stint.dev/stint/job"
)

// SearchQuery is a search in a log.
type SearchQuery struct {
	Text     string
	Regexp   bool // Text is a regular expression (RE2)
	AnyCase  bool
	Attempt  int    // 0: the last
	Step     string // empty: all
	Stream   string // empty: both
	FromLine int64  // 0: the first
	Before   int    // lines before each match, up to 100
	After    int
	Count    bool // only count: no line is returned
}

// SearchLine is a line that matches, or with Context one near it. Of a long line, Text is
// the part around its first match, and Cut is set.
type SearchLine struct {
	Line    int64      `json:"line"`
	At      time.Time  `json:"at"`
	Step    int        `json:"step"`
	Stream  job.Stream `json:"stream"`
	Text    string     `json:"text"`
	Ranges  [][2]int   `json:"ranges,omitempty"` // byte offsets in Text
	Cut     bool       `json:"cut,omitempty"`
	Context bool       `json:"context,omitempty"`
}

// Search searches the whole log on the server, in as many requests as it takes, and
// calls found for each line as it comes. It returns how many lines match. An error of
// found ends the search and is returned. found may be slow: a reply that is
// interrupted meanwhile is requested again after the last line that found was given.
func (c *Client) Search(ctx context.Context, ref string, q SearchQuery, found func(SearchLine) error) (int64, error) {
	s := resume.NewSearch(source{c}, ref, q.FromLine, q.values(), func(text json.RawMessage) error {
		var line SearchLine
		if err := json.Unmarshal(text, &line); err != nil {
			return err
		}
		return found(line)
	})
	for {
		err := resume.Do(ctx, s.Read(ctx), canResume, func() (bool, error) {
			before := s.Given()
			err := s.Read(ctx)
			return s.Given() > before, err
		})
		switch {
		case err != nil && canResume(err):
			return s.Matches(), fmt.Errorf("the search of %s broke off: %w", ref, err)
		case err != nil:
			return s.Matches(), resume.CallersError(err)
		case s.Done():
			return s.Matches(), nil
		}
	}
}

func (q SearchQuery) values() url.Values {
	const most = 10_000
	v := LogQuery{Attempt: q.Attempt, Step: q.Step, Stream: q.Stream, FromLine: q.FromLine}.Values()
	v.Set("q", q.Text)
	v.Set("regex", strconv.FormatBool(q.Regexp))
	v.Set("case", strconv.FormatBool(!q.AnyCase))
	v.Set("before", strconv.Itoa(q.Before))
	v.Set("after", strconv.Itoa(q.After))
	v.Set("limit", strconv.Itoa(most))
	if q.Count {
		v.Set("limit", "0")
	}
	return v
}
