package server

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"stint.dev/stint/internal/shares"
	"stint.dev/stint/job"
)

const (
	defaultMatches = 1000
	maxMatches     = 10_000
	maxContext     = 100
	// searchWait is how long a search waits for others to end.
	searchWait = 5 * time.Second
	// searchShare is how many searches one client may have under way while others wait, and
	// searchSilence after how long without progress, because its client does not read, a
	// search makes room for others.
	searchShare   = 2
	searchSilence = time.Second
	// progressEvery is the pause between two words on how far a search is.
	progressEvery = time.Second
)

// Why a search ends before the log does.
var (
	errLimit = errors.New("limit")
	errTime  = errors.New("time")
)

// searchQuery is what was asked of a search.
type searchQuery struct {
	outputFilter
	matcher       *matcher
	attempt       int
	from, to      int64 // to is 0 for the end
	before, after int64
	limit         int64 // 0: only count
	back          bool
}

func parseSearch(r *http.Request) (searchQuery, error) {
	p := newParams(r, "q", "regex", "case", "attempt", "step", "stream", "from_line", "to_line",
		"before", "after", "limit", "direction")
	q := searchQuery{
		outputFilter: p.filter(),
		attempt:      int(p.number("attempt", 1, job.MaxAttempt, 0)),
		from:         p.number("from_line", 1, maxNumber, 1),
		to:           p.number("to_line", 1, maxNumber, 0),
		before:       p.number("before", 0, maxContext, 0),
		after:        p.number("after", 0, maxContext, 0),
		limit:        p.number("limit", 0, maxMatches, defaultMatches),
		back:         p.values.Get("direction") == "back",
	}
	isRegexp, exactCase := p.truth("regex", false), p.truth("case", false)
	switch direction := p.values.Get("direction"); {
	case direction != "" && direction != "back" && direction != "forward":
		p.refuse("direction=%s: want forward or back", job.Quote(direction))
	case q.back && (q.before > 0 || q.after > 0):
		p.refuse("before and after do not go with direction=back: ask for the lines around a match with from_line")
	case q.back && q.limit == 0:
		p.refuse("limit=0 counts, which does not go with direction=back")
	}
	if p.err != nil {
		return q, p.err
	}
	var err error
	q.matcher, err = newMatcher(p.values.Get("q"), isRegexp, exactCase)
	return q, err
}

// searchLog looks for text in what a run printed, and answers each matching line as soon
// as it is found.
func (s *Server) searchLog(w http.ResponseWriter, r *http.Request) {
	q, err := parseSearch(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	view, err := s.attemptView(r.Context(), r.PathValue("run"), q.attempt)
	if err == nil {
		err = q.chooseStep(view)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	ctx, place, err := s.searchTurn(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer place.Leave()
	h := w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("X-Accel-Buffering", "no") // results are of use one by one
	h.Set(headerLogRun, view.ID)
	h.Set(headerLogAttempt, strconv.Itoa(view.Attempt))
	if r.Method == http.MethodHead {
		return
	}
	out := newPatientWriter(w, s.cfg.WritePause)
	out.until = time.Now().Add(s.cfg.SearchTime + s.cfg.WritePause)
	defer context.AfterFunc(ctx, out.cut)()
	se := newSearch(ctx, s.store, s.stopping, s.cfg.SearchTime, out, view, q)
	se.moved = place.Moved
	if err := se.run(); err != nil {
		s.breakOff(r, err)
	}
}

// searchTurn waits for a place among those who search. The context that it returns ends when
// the search has to make room, because its client does not read.
func (s *Server) searchTurn(r *http.Request) (context.Context, *shares.Place, error) {
	ctx, cancel := context.WithCancel(r.Context())
	limit, stop := context.WithTimeout(ctx, searchWait)
	defer stop()
	go func() {
		select {
		case <-s.stopping:
			stop()
		case <-limit.Done():
		}
	}()
	place, err := s.searches.EnterWait(limit, ownerOf(r), 1, cancel)
	if err == nil {
		return ctx, place, nil
	}
	cancel()
	var full *shares.FullError
	switch {
	case r.Context().Err() != nil:
		return nil, nil, r.Context().Err()
	case s.draining.Load():
		return nil, nil, busy(http.StatusServiceUnavailable, time.Second, "the server is shutting down")
	case errors.As(err, &full) && full.Own:
		return nil, nil, busy(http.StatusTooManyRequests, searchWait, "%d other searches of this client are running: try again", full.Limit)
	}
	return nil, nil, busy(http.StatusTooManyRequests, searchWait, "%d other searches are running: try again", s.cfg.Searches)
}

// check is asked between pieces of work, and says why a search is to stop.
func (se *search) check() error {
	se.moved()
	select {
	case <-se.ctx.Done():
		return &goneError{se.ctx.Err()}
	case <-se.stopping:
		return errTime
	default:
	}
	if time.Now().After(se.deadline) {
		return errTime
	}
	return nil
}

// run searches and says how it went.
func (se *search) run() error {
	direction := se.forward
	if se.q.back {
		direction = se.backward
	}
	line, err := direction()
	if err != nil {
		return err
	}
	stopped := ""
	if se.why != nil {
		stopped = se.why.Error()
	}
	return se.out.done(searchDone{
		Matches: se.matches, Bytes: se.scan.bytes, Lines: se.lines(line), Stopped: stopped, NextLine: line,
	})
}

// lines is how many lines were searched, when the next one is known.
func (se *search) lines(next int64) int64 {
	if se.q.back {
		return max(0, se.last-max(next, se.q.from-1))
	}
	return max(0, next-se.q.from)
}

// forward searches from the first line on. It returns the line to go on with.
func (se *search) forward() (int64, error) {
	start := int64(0)
	if se.q.from > 1 {
		heads, err := se.store.BlocksFromLine(se.ctx, se.view.ID, se.view.Attempt, se.q.from, 1)
		if err != nil || len(heads) == 0 {
			return max(se.q.from, se.view.Output.Lines+1), err
		}
		start = heads[0].Start
	}
	ahead := newReadAhead(se.ctx, se.store, se.view.ID, se.view.Attempt, start)
	defer ahead.close()
	for first := true; ; first = false {
		b, ok, err := ahead.next()
		if err != nil {
			return 0, se.quiet(err)
		}
		if !ok {
			break
		}
		if b.jumped && !first { // the ends of open lines are gone
			if err := se.scan.end(); err != nil {
				return 0, err
			}
		}
		if first || b.jumped {
			se.scan.start(b.head)
			se.scan.left = max(0, se.view.Output.Bytes-b.head.OutputStart)
		}
		if first {
			se.of = se.scan.left
		}
		if se.scan.closing {
			return se.early(ahead)
		}
		if err := se.scan.block(b); err != nil {
			return 0, err
		}
		if se.scan.closing {
			return se.early(ahead)
		}
		if err := se.told(); err != nil {
			return 0, err
		}
		if se.scan.left == 0 || se.q.to > 0 && se.scan.next > se.q.to && !se.scan.waiting() {
			break
		}
	}
	se.over = true // the last lines of each stream may come on top of the limit
	if err := se.scan.end(); err != nil {
		return 0, err
	}
	return se.scan.next, se.context(se.scan.next - 1)
}

// early ends a search before the log does. Lines that are open get their end, so that who
// goes on with the next line has missed none.
func (se *search) early(ahead *readAhead) (int64, error) {
	se.over = true
	for read := int64(0); read < lookAhead && se.scan.waiting() && se.scan.left != 0; {
		b, ok, err := ahead.next()
		if err != nil {
			return 0, se.quiet(err)
		}
		if !ok || b.jumped {
			break
		}
		read += b.head.Size
		if err := se.scan.block(b); err != nil {
			return 0, err
		}
	}
	next := se.scan.to + 1
	if err := se.scan.end(); err != nil {
		return 0, err
	}
	if err := se.context(next - 1); err != nil {
		return 0, err
	}
	se.why = se.scan.why
	return next, se.trail()
}

// backward searches from the last line on to the first.
func (se *search) backward() (int64, error) {
	to := se.view.Output.Lines
	if se.q.to > 0 {
		to = min(to, se.q.to)
	}
	se.scan.to, se.last = to, to
	se.of = se.view.Output.Bytes
	if to < se.q.from {
		return 0, nil
	}
	sb := &searchBack{store: se.store, view: se.view, scan: se.scan, most: int(se.q.limit), send: se.hit, after: se.told}
	next, err := sb.run(se.ctx, to)
	if errors.Is(err, errLimit) {
		next = se.lastHit - 1
	}
	if errors.Is(err, errLimit) || errors.Is(err, errTime) {
		se.why = err
		return next, nil
	}
	return next, se.quiet(err)
}

// quiet drops the error of a read that failed because the client left.
func (se *search) quiet(err error) error {
	if err != nil && se.ctx.Err() != nil {
		return &goneError{se.ctx.Err()}
	}
	return err
}
