package resume

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"stint.dev/stint/job"
)

// Log is a log on its way to a writer.
type Log struct {
	from    Source
	w       io.Writer
	run     string
	query   url.Values
	asLines bool

	began   bool
	total   int64        // bytes of the whole log when the copy began
	written int64        // bytes that w took
	taken   maphash.Hash // of them
}

// NewLog begins to copy the log of a run to w: its exact bytes, or with asLines NDJSON. The query
// chooses a part of it.
func NewLog(from Source, w io.Writer, run string, query url.Values, asLines bool) *Log {
	l := &Log{from: from, w: w, run: run, query: query, asLines: asLines}
	l.taken.SetSeed(maphash.MakeSeed())
	return l
}

// Written returns how many bytes w took, and Began whether a reply has begun.
func (l *Log) Written() int64 { return l.written }
func (l *Log) Began() bool    { return l.began }

// whole reports whether every byte of the log is requested, so that an offset in the reply is an
// offset in the log.
func (l *Log) whole() bool {
	others := len(l.query)
	if l.query.Has("attempt") {
		others--
	}
	return !l.asLines && others == 0
}

// Read requests what w has not taken yet, and copies it.
func (l *Log) Read(ctx context.Context) error {
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
			return l.from.Foreign(resp, "is another part of the log")
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

func (l *Log) ask(ctx context.Context) (*http.Response, error) {
	header := http.Header{"Accept": {"text/plain"}}
	if l.asLines {
		header.Set("Accept", "application/x-ndjson")
	}
	if l.written > 0 && l.whole() {
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", l.written, l.total-1))
	}
	resp, err := l.from.Get(ctx, runPath(l.run)+"/log?"+l.query.Encode(), header)
	if err == nil && resp.Header.Get("Stint-Log-Attempt") == "" {
		err = l.from.Foreign(resp, "is not a log")
		_ = resp.Body.Close() // it is of no use
	}
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// pin makes later requests ask for the same log, although a newer run may have the same
// name by then, a newer attempt the same run, and more lines be the last.
func (l *Log) pin(h http.Header) {
	l.began = true
	l.total = math.MaxInt64
	if n, err := strconv.ParseInt(h.Get("Stint-Log-Bytes"), 10, 64); err == nil {
		l.total = n
	}
	if id := h.Get("Stint-Log-Run"); id != "" {
		l.run = id
	}
	if n, err := strconv.Atoi(h.Get("Stint-Log-Attempt")); err == nil {
		l.query.Set("attempt", strconv.Itoa(n))
	}
	lines, err := strconv.ParseInt(h.Get("Stint-Log-Lines"), 10, 64)
	tail, _ := strconv.ParseInt(l.query.Get("tail"), 10, 64) // 0 without one
	if err == nil && tail > 0 && !l.query.Has("step") && !l.query.Has("stream") {
		l.query.Set("from_line", strconv.FormatInt(max(1, lines-tail+1), 10))
		l.query.Set("lines", strconv.FormatInt(tail, 10))
		l.query.Del("tail")
	}
}

// pass reads bytes that w has taken already, and makes sure that they are the same.
func (l *Log) pass(body io.Reader, n int64) error {
	if n == 0 {
		return nil
	}
	var seen maphash.Hash
	seen.SetSeed(l.taken.Seed())
	_, err := io.CopyN(&seen, body, n)
	switch {
	case errors.Is(err, io.EOF) || err == nil && seen.Sum64() != l.taken.Sum64():
		return &StopError{fmt.Errorf("the log broke off after %s and has changed (the run went on, or the server dropped a part): request it again", job.Bytes(l.written))}
	case err != nil:
		return l.brokenOff(err)
	}
	return nil
}

// brokenOff distinguishes an error of the connection from one of w.
func (l *Log) brokenOff(err error) error {
	var stop *StopError
	if errors.As(err, &stop) {
		return err
	}
	return &BrokenOffError{l.from.Broken(err)}
}

// Write implements io.Writer for the bytes that w is to take.
func (l *Log) Write(p []byte) (int, error) {
	n, err := l.w.Write(p)
	l.written += int64(n)
	_, _ = l.taken.Write(p[:n]) // it never fails
	if err != nil {
		return n, &StopError{err}
	}
	return n, nil
}
