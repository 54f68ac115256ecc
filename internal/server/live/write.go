package live

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"time"

	"stint.dev/stint/internal/server/httpio"
)

// eventWriter writes server-sent events.
type eventWriter struct {
	out *httpio.Writer
	buf *bufio.Writer
	enc bytes.Buffer // of one event's data
}

// startEvents sends the headers of a live stream to a client that may take up to timeout to accept each
// part.
func startEvents(w http.ResponseWriter, timeout time.Duration) *eventWriter {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no") // a proxy must not buffer events
	w.WriteHeader(http.StatusOK)
	out := httpio.NewWriter(w, timeout)
	e := &eventWriter{out: out, buf: bufio.NewWriterSize(out, 32<<10)}
	_, _ = e.buf.WriteString("retry: 1000\n\n")
	return e
}

// event adds an event. With an empty id the client keeps the last one.
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

// raw adds encoded events.
func (e *eventWriter) raw(events []byte) error {
	_, err := e.buf.Write(events)
	return err
}

// keepAlive adds a comment, so that neither the client nor a proxy closes an idle connection.
func (e *eventWriter) keepAlive() error {
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
