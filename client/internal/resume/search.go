package resume

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
)

// searchDone is the last line of an answer.
type searchDone struct {
	Matches  int64  `json:"matches"`
	Stopped  string `json:"stopped"`
	NextLine int64  `json:"next_line"`
}

// Search is a search of a log, in as many requests as it takes.
type Search struct {
	from     Source
	run      string
	query    url.Values
	fromLine int64 // where the next request begins
	found    func(line json.RawMessage) error
	given    int64 // lines that found was given since there
	matches  int64 // before there
	done     bool
}

// NewSearch begins a search of the log of a run. The query says what to search for, from a line on.
// found is called with each line; its error ends the search, as *StopError.
func NewSearch(from Source, run string, fromLine int64, query url.Values, found func(line json.RawMessage) error) *Search {
	return &Search{from: from, run: run, query: query, fromLine: fromLine, found: found}
}

// Given returns how many lines found was given since the last request that the server ended, Matches
// how many lines matched before, and Done whether the search is over.
func (s *Search) Given() int64   { return s.given }
func (s *Search) Matches() int64 { return s.matches }
func (s *Search) Done() bool     { return s.done }

// Read makes one request and gives found the lines that it has not got yet.
func (s *Search) Read(ctx context.Context) error {
	resp, err := s.ask(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // read to its end or abandoned
	dec := json.NewDecoder(bufio.NewReaderSize(resp.Body, 64<<10))
	for n := int64(0); ; {
		var text json.RawMessage
		var kind struct {
			Progress *json.RawMessage `json:"progress"`
			Done     *searchDone      `json:"done"`
		}
		err := dec.Decode(&text)
		if err == nil {
			err = json.Unmarshal(text, &kind)
		}
		switch {
		case errors.Is(err, io.EOF):
			return &BrokenOffError{s.from.Broken(io.ErrUnexpectedEOF)}
		case err != nil:
			return &BrokenOffError{s.from.Broken(err)}
		case kind.Done != nil:
			return s.next(*kind.Done, n)
		case kind.Progress != nil:
			continue
		}
		if n++; n <= s.given {
			continue
		}
		if err := s.found(text); err != nil {
			return &StopError{err}
		}
		s.given = n
	}
}

func (s *Search) ask(ctx context.Context) (*http.Response, error) {
	resp, err := s.from.Get(ctx, runPath(s.run)+"/log/search?"+s.query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	attempt := resp.Header.Get("Stint-Log-Attempt")
	if attempt == "" {
		err := s.from.Foreign(resp, "is not a search")
		_ = resp.Body.Close() // it is of no use
		return nil, err
	}
	// Later requests are about the same log, although a newer run may have the name by then.
	if id := resp.Header.Get("Stint-Log-Run"); id != "" {
		s.run = id
	}
	if n, err := strconv.Atoi(attempt); err == nil {
		s.query.Set("attempt", strconv.Itoa(n))
	}
	return resp, nil
}

// next takes the end of an answer that had n lines.
func (s *Search) next(d searchDone, n int64) error {
	s.matches += d.Matches
	s.given = max(0, s.given-n) // a search that is cut short by time may end before what was given
	if s.done = d.Stopped == ""; s.done {
		return nil
	}
	if d.NextLine <= s.fromLine {
		return &StopError{fmt.Errorf("the search of %s makes no progress after line %d: search for something simpler", s.run, s.fromLine)}
	}
	s.fromLine = d.NextLine
	s.query.Set("from_line", strconv.FormatInt(s.fromLine, 10))
	return nil
}
