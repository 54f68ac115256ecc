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

// searchDone is the last line of an answer.
type searchDone struct {
	Matches  int64  `json:"matches"`
	Stopped  string `json:"stopped"`
	NextLine int64  `json:"next_line"`
}

// Search searches the whole log on the server, in as many requests as it takes, and
// calls found for each line as it comes. It returns how many lines match. An error of
// found ends the search and is returned. found may be slow: a reply that is
// interrupted meanwhile is requested again after the last line that found was given.
func (c *Client) Search(ctx context.Context, ref string, q SearchQuery, found func(SearchLine) error) (int64, error) {
	s := &search{c: c, ref: ref, query: q, found: found}
	for {
		err := resume(ctx, s.read(ctx), func() (bool, error) {
			before := s.given
			err := s.read(ctx)
			return s.given > before, err
		})
		switch {
		case err != nil && canResume(err):
			return s.matches, fmt.Errorf("the search of %s broke off: %w", ref, err)
		case err != nil:
			return s.matches, callersError(err)
		case s.done:
			return s.matches, nil
		}
	}
}

// search is a search on its way.
type search struct {
	c       *Client
	ref     string
	query   SearchQuery // FromLine is where the next request begins
	found   func(SearchLine) error
	given   int64 // lines that found was given since there
	matches int64 // before there
	done    bool
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

// read makes one request and gives found the lines that it has not got yet.
func (s *search) read(ctx context.Context) error {
	resp, err := s.ask(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // read to its end or abandoned
	dec := json.NewDecoder(bufio.NewReaderSize(resp.Body, 64<<10))
	for n := int64(0); ; {
		var line struct {
			SearchLine
			Progress *json.RawMessage `json:"progress"`
			Done     *searchDone      `json:"done"`
		}
		switch err := dec.Decode(&line); {
		case errors.Is(err, io.EOF):
			return &brokenOffError{s.c.transportError(io.ErrUnexpectedEOF)}
		case err != nil:
			return &brokenOffError{s.c.transportError(err)}
		case line.Done != nil:
			return s.next(*line.Done, n)
		case line.Progress != nil:
			continue
		}
		if n++; n <= s.given {
			continue
		}
		if err := s.found(line.SearchLine); err != nil {
			return &stopError{err}
		}
		s.given = n
	}
}

func (s *search) ask(ctx context.Context) (*http.Response, error) {
	req, err := s.c.request(ctx, http.MethodGet, runPath(s.ref)+"/log/search?"+s.query.values().Encode(), nil)
	if err != nil {
		return nil, &stopError{err}
	}
	resp, err := s.c.calls.Do(req)
	if err != nil {
		return nil, s.c.transportError(err)
	}
	err = s.c.check(resp)
	attempt := resp.Header.Get("Stint-Log-Attempt")
	if err == nil && attempt == "" {
		err = s.c.foreign(resp, nil, "is not a search")
	}
	if err != nil {
		drain(resp)
		return nil, err
	}
	// Later requests are about the same log, although a newer run may have the name by then.
	if id := resp.Header.Get("Stint-Log-Run"); id != "" {
		s.ref = id
	}
	if n, err := strconv.Atoi(attempt); err == nil {
		s.query.Attempt = n
	}
	return resp, nil
}

// next takes the end of an answer that had n lines.
func (s *search) next(d searchDone, n int64) error {
	s.matches += d.Matches
	s.given = max(0, s.given-n) // a search that is cut short by time may end before what was given
	if s.done = d.Stopped == ""; s.done {
		return nil
	}
	if d.NextLine <= s.query.FromLine {
		return &stopError{fmt.Errorf("the search of %s makes no progress after line %d: search for something simpler", s.ref, s.query.FromLine)}
	}
	s.query.FromLine = d.NextLine
	return nil
}
