package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"sync/atomic"
	"time"
)

// patientWriter writes an answer that may take as long as it likes, as long as the client
// goes on taking it: every piece has its own deadline, so a slow link works and a dead one
// is cut off.
type patientWriter struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	pause time.Duration
	until time.Time   // when the answer must be written; zero for whenever
	gone  atomic.Bool // the client was cut off
	turn  *turn       // is paused while the client takes a piece; may be nil
}

// newPatientWriter makes a writer to a client that may take so long to accept a piece.
func newPatientWriter(w http.ResponseWriter, pause time.Duration) *patientWriter {
	return &patientWriter{w: w, rc: http.NewResponseController(w), pause: pause}
}

// allow gives the next write its deadline.
func (p *patientWriter) allow() {
	by := time.Now().Add(p.pause)
	if !p.until.IsZero() && by.After(p.until) {
		by = p.until
	}
	_ = p.rc.SetWriteDeadline(by) // only a recorder in a test has none
	if p.gone.Load() {
		_ = p.rc.SetWriteDeadline(time.Unix(1, 0))
	}
}

// cut ends a write that waits for the client. It may be called from anywhere.
func (p *patientWriter) cut() {
	p.gone.Store(true)
	_ = p.rc.SetWriteDeadline(time.Unix(1, 0))
}

func (p *patientWriter) Write(data []byte) (int, error) {
	const most = 64 << 10
	written := 0
	for len(data) > 0 {
		p.allow()
		resume := p.turn.pause()
		n, err := p.w.Write(data[:min(most, len(data))])
		resume()
		written += n
		if err != nil {
			return written, &goneError{err}
		}
		data = data[n:]
	}
	return written, nil
}

// Flush sends what the HTTP server holds back.
func (p *patientWriter) Flush() error {
	p.allow()
	defer p.turn.pause()()
	if err := p.rc.Flush(); err != nil {
		return &goneError{err}
	}
	return nil
}

// goneError says that the client does not take the answer any more.
type goneError struct{ err error }

func (e *goneError) Error() string { return "client is gone: " + e.err.Error() }
func (e *goneError) Unwrap() error { return e.err }

// eventWriter writes server-sent events.
type eventWriter struct {
	out *patientWriter
	buf *bufio.Writer
	enc bytes.Buffer // of one event's data
}

// startEvents sends the headers of a live stream to a client that may take so long to accept
// a piece.
func startEvents(w http.ResponseWriter, pause time.Duration) *eventWriter {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no") // a proxy that holds events back makes them useless
	w.WriteHeader(http.StatusOK)
	out := newPatientWriter(w, pause)
	e := &eventWriter{out: out, buf: bufio.NewWriterSize(out, 32<<10)}
	_, _ = e.buf.WriteString("retry: 1000\n\n")
	return e
}

// event adds one event. The id may be empty: then the client's place stays what it was.
func (e *eventWriter) event(kind, id string, data any) error {
	e.enc.Reset()
	enc := json.NewEncoder(&e.enc)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(data); err != nil { // one line, with its newline
		return err
	}
	if id != "" {
		_, _ = e.buf.WriteString("id: " + id + "\n")
	}
	_, _ = e.buf.WriteString("event: " + kind + "\ndata: ")
	_, _ = e.buf.Write(e.enc.Bytes())
	err := e.buf.WriteByte('\n') // a bufio.Writer keeps its first error
	if e.enc.Cap() > 256<<10 {
		e.enc = bytes.Buffer{}
	}
	return err
}

// raw adds events that were written before.
func (e *eventWriter) raw(events []byte) error {
	_, err := e.buf.Write(events)
	return err
}

// beat adds a comment that tells the client and everything between that the line lives.
func (e *eventWriter) beat() error {
	_, err := e.buf.WriteString(": still here\n\n")
	return err
}

// flush sends everything added so far.
func (e *eventWriter) flush() error {
	if err := e.buf.Flush(); err != nil {
		return err
	}
	return e.out.Flush()
}
