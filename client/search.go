package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"stint.dev/stint/job"
)

// SearchQuery says what to look for in a log, and where.
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

// searchDone is the last line of an answer.
type searchDone struct {
	Matches  int64  `json:"matches"`
	Stopped  string `json:"stopped"`
	NextLine int64  `json:"next_line"`
}

// Search looks through the whole log on the server, in as many requests as it takes, and
// calls found for each line as it comes. It returns how many lines match. An error of
// found ends the search and is returned.
func (c *Client) Search(ctx context.Context, ref string, q SearchQuery, found func(SearchLine) error) (int64, error) {
	var matches int64
	for {
		done, err := c.searchOnce(ctx, ref, q, found)
		matches += done.Matches
		if err != nil || done.Stopped == "" {
			return matches, err
		}
		if done.NextLine <= q.FromLine {
			return matches, fmt.Errorf("the search of %s does not get on behind line %d: look for something simpler", ref, q.FromLine)
		}
		q.FromLine = done.NextLine
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

func (c *Client) searchOnce(ctx context.Context, ref string, q SearchQuery, found func(SearchLine) error) (searchDone, error) {
	req, err := c.request(ctx, http.MethodGet, runPath(ref)+"/log/search?"+q.values().Encode(), nil)
	if err != nil {
		return searchDone{}, err
	}
	resp, err := c.calls.Do(req)
	if err != nil {
		return searchDone{}, c.transportError(err)
	}
	defer func() { _ = resp.Body.Close() }() // read to its end or abandoned
	if err := c.check(resp); err != nil {
		return searchDone{}, err
	}
	dec := json.NewDecoder(bufio.NewReaderSize(resp.Body, 64<<10))
	for {
		var line struct {
			SearchLine
			Progress *json.RawMessage `json:"progress"`
			Done     *searchDone      `json:"done"`
		}
		switch err := dec.Decode(&line); {
		case errors.Is(err, io.EOF):
			return searchDone{}, fmt.Errorf("the search of %s broke off: %w", ref, io.ErrUnexpectedEOF)
		case err != nil:
			return searchDone{}, fmt.Errorf("the search of %s broke off: %w", ref, c.transportError(err))
		case line.Done != nil:
			return *line.Done, nil
		case line.Progress != nil:
			continue
		}
		if err := found(line.SearchLine); err != nil {
			return searchDone{}, err
		}
	}
}
