package server

import (
	"bufio"
	"context"
	"encoding/json"
	"time"

	"stint.dev/stint/job"
)

// One line of a search's answer is a searchedLine, a searchProgressLine or, the last one,
// a searchDoneLine.
type (
	searchedLine struct {
		Line    int64      `json:"line" doc:"The line's number in the log."`
		At      time.Time  `json:"at" doc:"When its first byte was printed, by the agent's clock."`
		Step    int        `json:"step"`
		Stream  job.Stream `json:"stream"`
		Text    string     `json:"text" doc:"The line; of a long one, the part around its first match."`
		Ranges  [][2]int   `json:"ranges,omitempty" doc:"Where the matches are: byte offsets in text, from and to."`
		Cut     bool       `json:"cut,omitempty" doc:"Only a part of the line is shown."`
		Context bool       `json:"context,omitempty" doc:"The line does not match, but is near one that does."`
	}
	searchProgress struct {
		Bytes   int64 `json:"bytes" doc:"Output searched so far."`
		Of      int64 `json:"of" doc:"Output to search."`
		Matches int64 `json:"matches"`
	}
	searchProgressLine struct {
		Progress searchProgress `json:"progress"`
	}
	searchDone struct {
		Matches  int64  `json:"matches"`
		Bytes    int64  `json:"bytes"`
		Lines    int64  `json:"lines" doc:"Lines searched."`
		Stopped  string `json:"stopped" doc:"Why it ended before the log did: limit or time; else empty."`
		NextLine int64  `json:"next_line" doc:"Where to go on: as from_line, or backwards as to_line, where 0 is the beginning."`
	}
	searchDoneLine struct {
		Done searchDone `json:"done"`
	}
)

// search is one search under way.
type search struct {
	ctx      context.Context
	moved    func() // is called on progress
	store    blockStore
	stopping <-chan struct{}
	view     job.Run
	q        searchQuery
	scan     *searchScan
	out      *searchWriter
	deadline time.Time

	matches, lastHit int64
	last             int64 // where a search backwards began
	why              error // errLimit or errTime, when it ended early
	over             bool  // the limit was reached; hits that still come are of open lines
	of               int64 // output to search

	// With context, hits wait until their block was read, and are told by line.
	waiting []searchHit
	toldTo  int64 // the last line that was told
	owed    int64 // context is due up to this line
}

// newSearch prepares a search that may take the given time.
func newSearch(ctx context.Context, store blockStore, stopping <-chan struct{}, limit time.Duration, w *patientWriter, view job.Run, q searchQuery) *search {
	se := &search{
		moved: func() {}, ctx: ctx, store: store, stopping: stopping, view: view, q: q,
		out: newSearchWriter(w), deadline: time.Now().Add(limit),
	}
	se.scan = &searchScan{
		m: q.matcher, filter: q.outputFilter, from: q.from, to: q.to, silent: q.limit == 0,
		hit: se.hit, check: se.check, left: -1,
	}
	return se
}

// hit takes a line that matches.
func (se *search) hit(h searchHit) error {
	se.matches++
	if se.q.limit == 0 {
		return nil
	}
	se.lastHit = h.n
	if se.q.before > 0 || se.q.after > 0 {
		se.waiting = append(se.waiting, h)
	} else if err := se.out.line(h, false); err != nil {
		return err
	}
	if !se.over && se.matches >= se.q.limit {
		return errLimit
	}
	return nil
}

// told sends what a block brought, and now and then how far the search is.
func (se *search) told() error {
	if err := se.context(se.scan.settled()); err != nil {
		return err
	}
	return se.out.progress(searchProgress{Bytes: se.scan.bytes, Of: se.of, Matches: se.matches})
}

// searchWriter writes the answer of a search.
type searchWriter struct {
	out   *patientWriter
	buf   *bufio.Writer
	enc   *json.Encoder
	dirty bool
	last  time.Time // of the last word on progress
}

func newSearchWriter(w *patientWriter) *searchWriter {
	buf := bufio.NewWriterSize(w, 64<<10)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	return &searchWriter{out: w, buf: buf, enc: enc, last: time.Now()}
}

func (w *searchWriter) line(h searchHit, context bool) error {
	w.dirty = true
	return w.enc.Encode(searchedLine{
		Line: h.n, At: h.at.UTC(), Step: h.key.step, Stream: h.key.stream,
		Text: h.text.Text, Ranges: h.text.Ranges, Cut: h.text.Cut, Context: context,
	})
}

// progress sends what was found, and once in a while how far the search is.
func (w *searchWriter) progress(p searchProgress) error {
	if now := time.Now(); now.Sub(w.last) >= progressEvery {
		w.last, w.dirty = now, true
		if err := w.enc.Encode(searchProgressLine{p}); err != nil {
			return err
		}
	}
	if !w.dirty {
		return nil
	}
	w.dirty = false
	if err := w.buf.Flush(); err != nil {
		return err
	}
	return w.out.flush()
}

func (w *searchWriter) done(d searchDone) error {
	if err := w.enc.Encode(searchDoneLine{d}); err != nil {
		return err
	}
	return w.buf.Flush()
}
