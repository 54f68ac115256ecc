// Package search finds the lines of a log that match a text or an expression, forwards and backwards,
// and writes them as NDJSON while it runs. It reads the blocks of a journal and does not know HTTP.
package search

import (
	"context"
	"errors"
	"io"
	"time"

	"stint.dev/stint/internal/logs"
	"stint.dev/stint/job"
)

// The reasons why a search stops before the end of the log.
var (
	errLimit = errors.New("limit")
	errTime  = errors.New("time")
)

// progressInterval is the interval between two progress lines.
const progressInterval = time.Second

// Query describes the lines that a search returns.
type Query struct {
	logs.Filter
	Matcher       *Matcher
	From, To      int64 // lines; To is 0 for the end
	Before, After int64 // number of lines shown before and after each match
	Limit         int64 // of matches; 0: only count
	Back          bool  // from the end towards the beginning
}

// Options limit the time of a search and report its progress.
type Options struct {
	Limit    time.Duration    // maximum duration
	Stopping <-chan struct{}  // when closed, the search ends as at its limit; may be nil
	Progress func()           // called while the search runs; may be nil
	Now      func() time.Time // the clock; nil for time.Now
}

// Writer receives the answer of a search. Flush sends the bytes that were written before.
type Writer interface {
	io.Writer
	Flush() error
}

// Run searches the output that an attempt had when view was read. It writes the matching lines and
// finally a SearchDoneLine, as NDJSON. It returns the error of ctx if the context ended, of the store, or of
// the writer.
func Run(ctx context.Context, store logs.Store, w Writer, view job.Run, q Query, o Options) error {
	if o.Progress == nil {
		o.Progress = func() {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	se := &search{
		Options: o, ctx: ctx, store: store, view: view, q: q,
		out: newWriter(w, o.Now), deadline: o.Now().Add(o.Limit),
	}
	se.scan = &scanner{
		m: q.Matcher, filter: q.Filter, from: q.From, to: q.To, silent: q.Limit == 0,
		hit: se.hit, check: se.check, bytesLeft: -1,
	}
	return se.run()
}

// search is a running search.
type search struct {
	Options
	ctx      context.Context
	store    logs.Store
	view     job.Run
	q        Query
	scan     *scanner
	out      *writer
	deadline time.Time

	matches, lastHit int64
	last             int64 // first line of a backward search
	stopErr          error // errLimit or errTime if it stopped early
	limitReached     bool  // the limit of matches was reached; further hits are in open lines
	outputBytes      int64 // output to search

	// With context, hits are buffered until their block was read and are written in the order of lines.
	waiting      []foundLine
	lastWritten  int64 // the last line that was written
	contextUntil int64 // lines up to this one are written as context
}

// hit counts a matching line and writes it, or buffers it if context is shown.
func (se *search) hit(h foundLine) error {
	se.matches++
	if se.q.Limit == 0 {
		return nil
	}
	se.lastHit = h.n
	if se.q.Before > 0 || se.q.After > 0 {
		se.waiting = append(se.waiting, h)
	} else if err := se.out.line(h, false); err != nil {
		return err
	}
	if !se.limitReached && se.matches >= se.q.Limit {
		return errLimit
	}
	return nil
}

// report writes the hits of a block and, at intervals, the progress.
func (se *search) report() error {
	if err := se.context(se.scan.complete()); err != nil {
		return err
	}
	return se.out.progress(SearchProgress{Bytes: se.scan.bytes, Of: se.outputBytes, Matches: se.matches})
}

// check returns the error that ends the search, or nil.
func (se *search) check() error {
	se.Progress()
	select {
	case <-se.ctx.Done():
		return se.ctx.Err()
	case <-se.Stopping:
		return errTime
	default:
	}
	if se.Now().After(se.deadline) {
		return errTime
	}
	return nil
}

// run searches and writes the SearchDoneLine.
func (se *search) run() error {
	direction := se.forward
	if se.q.Back {
		direction = se.backward
	}
	line, err := direction()
	if err != nil {
		return err
	}
	stopped := ""
	if se.stopErr != nil {
		stopped = se.stopErr.Error()
	}
	return se.out.done(SearchDone{
		Matches: se.matches, Bytes: se.scan.bytes, Lines: se.lines(line), Stopped: stopped, NextLine: line,
	})
}

// lines returns how many lines were searched, when the next one is known.
func (se *search) lines(next int64) int64 {
	if se.q.Back {
		return max(0, se.last-max(next, se.q.From-1))
	}
	return max(0, next-se.q.From)
}

// forward searches from the first line of the query on. It returns the line at which to continue.
func (se *search) forward() (int64, error) {
	start := int64(0)
	if se.q.From > 1 {
		heads, err := se.store.BlocksFromLine(se.ctx, se.view.ID, se.view.Attempt, se.q.From, 1)
		if err != nil || len(heads) == 0 {
			return max(se.q.From, se.view.Output.Lines+1), err
		}
		start = heads[0].Start
	}
	ahead := newReadAhead(se.ctx, se.store, se.view.ID, se.view.Attempt, start)
	defer ahead.close()
	for first := true; ; first = false {
		b, ok, err := ahead.next()
		if err != nil {
			return 0, se.readError(err)
		}
		if !ok {
			break
		}
		if b.Jumped && !first { // the ends of open lines were deleted
			if err := se.scan.end(); err != nil {
				return 0, err
			}
		}
		if first || b.Jumped {
			se.scan.start(b.Head)
			se.scan.bytesLeft = max(0, se.view.Output.Bytes-b.Head.OutputStart)
		}
		if first {
			se.outputBytes = se.scan.bytesLeft
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
		if err := se.report(); err != nil {
			return 0, err
		}
		if se.scan.bytesLeft == 0 || se.q.To > 0 && se.scan.next > se.q.To && !se.scan.waiting() {
			break
		}
	}
	se.limitReached = true // the last lines of each stream may exceed the limit
	if err := se.scan.end(); err != nil {
		return 0, err
	}
	return se.scan.next, se.context(se.scan.next - 1)
}

// early stops a search before the end of the log. It first reads the ends of open lines, so that a client that
// continues with the next line misses none.
func (se *search) early(ahead *readAhead) (int64, error) {
	se.limitReached = true
	for read := int64(0); read < logs.MaxReadAhead && se.scan.waiting() && se.scan.bytesLeft != 0; {
		b, ok, err := ahead.next()
		if err != nil {
			return 0, se.readError(err)
		}
		if !ok || b.Jumped {
			break
		}
		read += b.Head.Size
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
	se.stopErr = se.scan.closeErr
	return next, se.trail()
}

// backward searches from the last line to the first.
func (se *search) backward() (int64, error) {
	to := se.view.Output.Lines
	if se.q.To > 0 {
		to = min(to, se.q.To)
	}
	se.scan.to, se.last = to, to
	se.outputBytes = se.view.Output.Bytes
	if to < se.q.From {
		return 0, nil
	}
	sb := &backward{store: se.store, view: se.view, scan: se.scan, most: int(se.q.Limit), send: se.hit, after: se.report}
	next, err := sb.run(se.ctx, to)
	if errors.Is(err, errLimit) {
		next = se.lastHit - 1
	}
	if errors.Is(err, errLimit) || errors.Is(err, errTime) {
		se.stopErr = err
		return next, nil
	}
	return next, se.readError(err)
}

// readError returns the error of the context if the context ended, otherwise err.
func (se *search) readError(err error) error {
	if err != nil && se.ctx.Err() != nil {
		return se.ctx.Err()
	}
	return err
}
