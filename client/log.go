package client

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"stint.dev/stint/job"
)

// resumeTime is how long an interrupted log or search is requested again while nothing more
// arrives.
const resumeTime = time.Minute

// Log copies the exact bytes of a log, or the selected lines of it, to w. With asLines it
// copies NDJSON instead: one object a line, with time, stream and number.
//
// w may be slow: a reply that the server has cut off meanwhile, or that was interrupted by a
// restart of the server, is requested again from the last byte that w took. It is an error if
// the bytes before that have changed.
func (c *Client) Log(ctx context.Context, w io.Writer, ref string, q LogQuery, asLines bool) error {
	l := &logCopy{c: c, w: w, path: runPath(ref), query: q, asLines: asLines}
	l.taken.SetSeed(maphash.MakeSeed())
	err := retryUnavailable(ctx, func() error { return l.read(ctx) })
	err = resume(ctx, err, func() (bool, error) {
		before := l.written
		err := l.read(ctx)
		return l.written > before, err
	})
	if err != nil && l.began && canResume(err) {
		return fmt.Errorf("the log of %s broke off: %w", ref, err)
	}
	return callersError(err)
}

// resume calls a function again after a temporary error, until it succeeds or returns another
// error, or nothing more has arrived for a while. more reports whether something arrived.
func resume(ctx context.Context, err error, repeat func() (more bool, err error)) error {
	var broken *brokenOffError
	if !errors.As(err, &broken) {
		return err
	}
	pause, last := time.Duration(0), time.Now() // at once, the first time
	for canResume(err) && time.Since(last) < resumeTime && sleep(ctx, pause) {
		var more bool
		more, err = repeat()
		pause = min(max(pause*2, firstPause), lastPause)
		if more {
			pause, last = 0, time.Now()
		}
	}
	return err
}

// brokenOffError is the error of a reply that was interrupted.
type brokenOffError struct{ err error }

func (e *brokenOffError) Error() string { return e.err.Error() }
func (e *brokenOffError) Unwrap() error { return e.err }

// canResume reports whether the rest of an interrupted reply may arrive later.
func canResume(err error) bool {
	var stop *stopError
	var p *job.Problem
	var foreign *ForeignReplyError
	var away *UnreachableError
	switch {
	case err == nil, errors.As(err, &stop):
		return false
	case errors.As(err, &p):
		return p.Temporary()
	case errors.As(err, &foreign):
		return foreign.Status >= 500 || foreign.RetryAfter > 0
	}
	return errors.As(err, &away)
}

// callersError takes the caller's own error out of the one that carried it.
func callersError(err error) error {
	var stop *stopError
	if errors.As(err, &stop) {
		return stop.err
	}
	return err
}

// logCopy is a log on its way to a writer.
type logCopy struct {
	c       *Client
	w       io.Writer
	path    string // of the run
	query   LogQuery
	asLines bool

	began   bool
	total   int64        // bytes of the whole log when the copy began
	written int64        // bytes that w took
	taken   maphash.Hash // of them
}

// whole reports whether every byte of the log is requested, so that an offset in the reply is an
// offset in the log.
func (l *logCopy) whole() bool {
	return !l.asLines && l.query == LogQuery{Attempt: l.query.Attempt}
}

// read requests what w has not taken yet, and copies it.
func (l *logCopy) read(ctx context.Context) error {
	if l.began && l.whole() && l.written >= l.total {
		return nil
	}
	resp, err := l.ask(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // read to its end or abandoned
	again := l.written                       // bytes that come a second time
	if resp.StatusCode == http.StatusPartialContent {
		if !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", l.written)) {
			return l.c.foreign(resp, nil, "is another part of the log")
		}
		again = 0
	}
	if !l.began {
		l.pin(resp.Header)
	}
	if err := l.pass(resp.Body, again); err != nil {
		return err
	}
	body := io.Reader(resp.Body)
	if l.whole() { // what was printed since is not part of the answer
		body = io.LimitReader(body, l.total-l.written)
	}
	if _, err := io.Copy(l, body); err != nil {
		return l.brokenOff(err)
	}
	return nil
}

func (l *logCopy) ask(ctx context.Context) (*http.Response, error) {
	req, err := l.c.request(ctx, http.MethodGet, l.path+"/log?"+l.query.Values().Encode(), nil)
	if err != nil {
		return nil, &stopError{err}
	}
	req.Header.Set("Accept", "text/plain")
	if l.asLines {
		req.Header.Set("Accept", "application/x-ndjson")
	}
	if l.written > 0 && l.whole() {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", l.written, l.total-1))
	}
	resp, err := l.c.calls.Do(req)
	if err != nil {
		return nil, l.c.transportError(err)
	}
	err = l.c.check(resp)
	if err == nil && resp.Header.Get("Stint-Log-Attempt") == "" {
		err = l.c.foreign(resp, nil, "is not a log")
	}
	if err != nil {
		drain(resp)
		return nil, err
	}
	return resp, nil
}

// pin makes later requests ask for the same log, although a newer run may have the same
// name by then, a newer attempt the same run, and more lines be the last.
func (l *logCopy) pin(h http.Header) {
	l.began = true
	l.total = math.MaxInt64
	if n, err := strconv.ParseInt(h.Get("Stint-Log-Bytes"), 10, 64); err == nil {
		l.total = n
	}
	if id := h.Get("Stint-Log-Run"); id != "" {
		l.path = runPath(id)
	}
	if n, err := strconv.Atoi(h.Get("Stint-Log-Attempt")); err == nil {
		l.query.Attempt = n
	}
	lines, err := strconv.ParseInt(h.Get("Stint-Log-Lines"), 10, 64)
	if q := &l.query; err == nil && q.Tail > 0 && q.Step == "" && q.Stream == "" {
		q.FromLine, q.Lines, q.Tail = max(1, lines-int64(q.Tail)+1), q.Tail, 0
	}
}

// pass reads bytes that w has taken already, and makes sure that they are the same.
func (l *logCopy) pass(body io.Reader, n int64) error {
	if n == 0 {
		return nil
	}
	var seen maphash.Hash
	seen.SetSeed(l.taken.Seed())
	_, err := io.CopyN(&seen, body, n)
	switch {
	case errors.Is(err, io.EOF) || err == nil && seen.Sum64() != l.taken.Sum64():
		return &stopError{fmt.Errorf("the log broke off after %s and has changed (the run went on, or the server dropped a part): request it again", job.Bytes(l.written))}
	case err != nil:
		return l.brokenOff(err)
	}
	return nil
}

// brokenOff distinguishes an error of the connection from one of w.
func (l *logCopy) brokenOff(err error) error {
	var stop *stopError
	if errors.As(err, &stop) {
		return err
	}
	return &brokenOffError{l.c.transportError(err)}
}

// Write implements io.Writer for the bytes that w is to take.
func (l *logCopy) Write(p []byte) (int, error) {
	n, err := l.w.Write(p)
	l.written += int64(n)
	_, _ = l.taken.Write(p[:n]) // it never fails
	if err != nil {
		return n, &stopError{err}
	}
	return n, nil
}
